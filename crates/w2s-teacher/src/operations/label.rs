//! `w2s-teacher label`: soft labels of rows that a classifier was not trained on.

use anyhow::Result;
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::summary::LabelsSummary;
use w2s_artifact::{Kind, Split};
use w2s_lm::{argmax, classify_examples};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step, choices};

/// Labels rows that the teacher was not trained on.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Label {
    /// Classifier that labels, of texts or a probe
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Examples to label
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// What a probe reads of the examples
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub features: Option<ArtifactArg>,
    /// Split to label
    #[arg(
        long,
        value_parser = choices([Split::Gold, Split::Transfer]),
        default_value_t = Split::Transfer,
        value_name = "NAME"
    )]
    pub split: Split,
}

impl Operation for Label {
    const NAME: &'static str = "label";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Labels;
    const ABOUT: &'static str = "Writes a classifier's soft labels of rows it was not trained on";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
        inputs
            .artifact("features", &self.features)
            .of(Kind::Features);
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let data = step.artifact("data")?;
        let total = data.examples(self.split)?.len() as u64;
        let (mut watch, mut count) = (step.watch("row"), 0);
        let started = Instant::now();
        let done = classify_examples(
            &step.artifact("model")?,
            step.optional_artifact("features")?.as_ref(),
            &data,
            self.split,
            &w2s_lm::device(step.device())?,
            &mut |rows| {
                count += rows as u64;
                watch(count, total, String::new())
            },
        )?
        .ok_or(Interrupted)?;
        let (mut confidence, mut right) = (0.0, 0);
        let rows = done.examples.iter().zip(done.probabilities);
        let labels: Vec<_> = rows
            .map(|(example, probabilities)| {
                let best = argmax(&probabilities);
                confidence += f64::from(probabilities[best]);
                right += usize::from(best == example.label as usize);
                w2s_artifact::Label {
                    id: example.id,
                    probabilities,
                }
            })
            .collect();
        step.write_records(&labels)?;
        let rows = labels.len().max(1) as f64;
        Ok(json!(LabelsSummary {
            rows: labels.len(),
            classes: done.classes,
            mean_confidence: confidence / rows,
            accuracy: right as f64 / rows,
            dropped_too_long: done.dropped_too_long,
            truncated: done.truncated,
            tokens: done.tokens,
            tokens_per_second: done.tokens as f64 / started.elapsed().as_secs_f64(),
        }))
    }
}
