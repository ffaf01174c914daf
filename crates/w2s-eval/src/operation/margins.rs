//! `w2s-eval margins`: by how much a model finds the better answer of held-out pairs better.

use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use w2s_artifact::summary::PredictionsSummary;
use w2s_artifact::{Kind, Pair, Prediction, ReferenceLogProbs};
use w2s_lm::{MarginArgs, pair_margins};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};

use crate::scores::{ArmArgs, model_seed};

/// The file beside the predictions, with the margin of each pair a line.
const MARGINS_FILE: &str = "margins.jsonl";

/// Predicts which answer of held-out pairs is the better one, by a model's own rule.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct MarginsOperation {
    /// Model: a reward model, or a language model by its log-probabilities
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Held-out pairs whose true order is known
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// Pairs that the report fits trivial models on, to stand beside: those that the teacher learnt from
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub gold_pairs: Option<ArtifactArg>,
    /// What a reference model makes of the pairs, which log-probabilities are then compared with
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub reference: Option<ArtifactArg>,
    /// Seed by which arms are paired [default: that of the model's own training]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How margins are taken, and what they say
    #[command(flatten)]
    #[serde(flatten)]
    pub margin: MarginArgs,
    /// Where the predictions belong in the report
    #[command(flatten)]
    #[serde(flatten)]
    pub arm: ArmArgs,
}

impl Operation for MarginsOperation {
    const NAME: &'static str = "margins";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Predictions;
    const ABOUT: &'static str = "Writes how sure a model is of the better answer of held-out pairs";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs
            .artifact("gold-pairs", &self.gold_pairs)
            .of(Kind::Pairs);
        inputs
            .artifact("reference", &self.reference)
            .of(Kind::References);
    }

    fn check(&self) -> Result<()> {
        self.arm.check().map_err(anyhow::Error::msg)?;
        self.margin
            .check(self.reference.is_some())
            .map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let model = step.artifact("model")?;
        let pairs = step.artifact("pairs")?.records::<Pair>()?;
        let reference = step.optional_artifact("reference")?;
        let reference = reference.map(|rows| rows.records::<ReferenceLogProbs>());
        let mut watch = step.watch("pair");
        let started = Instant::now();
        let done = pair_margins(
            &model,
            &pairs,
            &self.margin,
            reference.transpose()?.as_deref(),
            &w2s_lm::device(step.device())?,
            &mut |done, total| watch(done as u64, total as u64, String::new()),
        )?
        .ok_or(Interrupted)?;
        let (mut predictions, mut lines, mut right) = (Vec::new(), String::new(), 0);
        for (pair, margin) in &done.margins {
            let truth = pair.order.is_right().with_context(|| {
                format!(
                    "pair {} was ordered by a model, and its true order is not known\n\
                     hint: margins are of pairs in their true order, or of those of `w2s-data relabel`",
                    pair.id
                )
            })?;
            // Towards the answer that the truth calls better.
            let margin = if truth { *margin } else { -margin };
            let gold = pair.order.place ^ usize::from(!truth);
            let confidence = self.margin.confidence(margin);
            right += usize::from(margin >= 0.0);
            let mut probabilities = vec![(1.0 - confidence) as f32; 2];
            probabilities[gold] = confidence as f32;
            predictions.push(Prediction {
                id: pair.id,
                group: pair.order.group,
                label: gold as u32,
                probabilities,
            });
            let line = json!({
                "id": pair.id, "margin": margin, "confidence": confidence, "right": margin >= 0.0,
            });
            lines += &format!("{line}\n");
        }
        step.write_file(MARGINS_FILE, lines)?;
        step.write_records(&predictions)?;
        let rows = predictions.len();
        Ok(json!(PredictionsSummary {
            arm: self.arm.arm.clone(),
            role: self.arm.role,
            tags: self.arm.tags(),
            seed: model_seed(self.seed, &model.manifest),
            classes: ["first", "second"].map(str::to_owned).to_vec(),
            rows,
            accuracy: right as f64 / rows.max(1) as f64,
            dropped_too_long: pairs.len() - rows,
            truncated: done.counts.truncated(),
            tokens: Some(done.tokens),
            tokens_per_second: Some(done.tokens as f64 / started.elapsed().as_secs_f64()),
        }))
    }
}
