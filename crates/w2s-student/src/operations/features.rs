//! `w2s-student features`: what a frozen base makes of the examples, once for all probes on it.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::summary::FeaturesSummary;
use w2s_artifact::{Example, Features, Kind, Split};
use w2s_lm::{Featured, PromptArgs};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step, choices};

/// Computes what a frozen base makes of the examples, once for all the linear probes on it.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct ComputeFeatures {
    /// Base model that reads the examples
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Examples
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// Split to read; may be given several times [default: all of them]
    #[arg(long, value_parser = choices(Split::ALL), value_name = "NAME")]
    pub split: Vec<Split>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) prompt: PromptArgs,
}

impl Operation for ComputeFeatures {
    const NAME: &'static str = "features";
    const VERSION: u32 = 3;
    const KIND: Kind = Kind::Features;
    const ABOUT: &'static str =
        "Computes once what a frozen base makes of the examples, for linear probes";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
    }

    fn check(&self) -> Result<()> {
        self.prompt.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let base = step.artifact("base")?;
        let mut examples = step.artifact("data")?.records::<Example>()?;
        examples.retain(|row| self.split.is_empty() || self.split.contains(&row.split));
        if examples.is_empty() {
            bail!("--data has no rows of the splits that --split names");
        }
        let total = examples.len() as u64;
        let (mut watch, mut done) = (step.watch("row"), 0);
        let started = Instant::now();
        let Featured { encoded, features } = w2s_lm::features(
            &base.path,
            &self.prompt,
            examples.iter().map(|e| e.text.as_str()),
            &w2s_lm::device(step.device())?,
            &mut |rows| {
                done += rows as u64;
                watch(done, total, String::new())
            },
        )?
        .ok_or(Interrupted)?;
        let rows = encoded.rows.iter().zip(features);
        let rows: Vec<Features> = rows
            .map(|(&row, values)| Features {
                id: examples[row].id,
                values,
            })
            .collect();
        step.write_records(&rows)?;
        let tokens: usize = encoded.sequences.iter().map(Vec::len).sum();
        Ok(json!(FeaturesSummary {
            rows: rows.len(),
            width: rows.first().map_or(0, |row| row.values.len()),
            dropped_too_long: encoded.dropped,
            truncated: encoded.truncated,
            tokens: Some(tokens),
            tokens_per_second: Some(tokens as f64 / started.elapsed().as_secs_f64()),
        }))
    }
}
