//! `w2s-teacher judge`: a model's opinion of which answer of a pair is better.

use anyhow::Result;
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::summary::{LabelsSummary, PAIR_CLASSES};
use w2s_artifact::{Kind, Label, Pair, ReferenceLogProbs};
use w2s_lm::{MarginArgs, argmax, pair_margins};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};

/// Labels pairs with the probability that the chosen answer is the better one.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Judge {
    /// Model that judges: a reward model, or a language model by its log-probabilities
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Pairs to judge, none of which it was trained on
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// What a reference model makes of the pairs, which log-probabilities are then compared with
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub reference: Option<ArtifactArg>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) margin: MarginArgs,
}

impl Operation for Judge {
    const NAME: &'static str = "judge";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Labels;
    const ABOUT: &'static str =
        "Labels pairs with a model's probability that the chosen answer is the better one";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs
            .artifact("reference", &self.reference)
            .of(Kind::References);
    }

    fn check(&self) -> Result<()> {
        self.margin
            .check(self.reference.is_some())
            .map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let pairs = step.artifact("pairs")?.records::<Pair>()?;
        let reference = step.optional_artifact("reference")?;
        let reference = reference.map(|rows| rows.records::<ReferenceLogProbs>());
        let mut watch = step.watch("pair");
        let started = Instant::now();
        let done = pair_margins(
            &step.artifact("model")?,
            &pairs,
            &self.margin,
            reference.transpose()?.as_deref(),
            &w2s_lm::device(step.device())?,
            &mut |done, total| watch(done as u64, total as u64, String::new()),
        )?
        .ok_or(Interrupted)?;
        let (mut confidence, mut right) = (0.0, 0);
        let rows = done.margins.iter().map(|(pair, margin)| {
            let chosen = self.margin.confidence(*margin);
            let agrees = (chosen >= 0.5) == pair.order.is_right().unwrap_or(true);
            right += usize::from(agrees);
            let probabilities = vec![chosen as f32, (1.0 - chosen) as f32];
            confidence += f64::from(probabilities[argmax(&probabilities)]);
            Label {
                id: pair.id,
                probabilities,
            }
        });
        let labels: Vec<Label> = rows.collect();
        step.write_records(&labels)?;
        let rows = labels.len().max(1) as f64;
        Ok(json!(LabelsSummary {
            rows: labels.len(),
            classes: PAIR_CLASSES.map(str::to_owned).to_vec(),
            mean_confidence: confidence / rows,
            accuracy: right as f64 / rows,
            dropped_too_long: pairs.len() - labels.len(),
            truncated: done.counts.truncated(),
            tokens: done.tokens,
            tokens_per_second: done.tokens as f64 / started.elapsed().as_secs_f64(),
        }))
    }
}
