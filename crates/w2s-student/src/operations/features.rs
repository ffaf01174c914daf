//! `w2s-student features`: what a frozen base makes of the transfer split, once for several probes.

use super::Encode;
use anyhow::Result;
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::{Features, Kind, Split};
use w2s_lm::Featured;
use w2s_stage::{Inputs, Interrupted, Operation, Step};

/// Computes what a frozen base makes of the transfer split, once for all the linear probes on it.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct ComputeFeatures {
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) encode: Encode,
}

impl Operation for ComputeFeatures {
    const NAME: &'static str = "features";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Features;
    const ABOUT: &'static str =
        "Computes once what a frozen base makes of the transfer split, for linear probes";

    fn inputs(&self, inputs: &mut Inputs) {
        self.encode.inputs(inputs);
    }

    fn check(&self) -> Result<()> {
        self.encode.check()
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let base = step.artifact("base")?;
        let examples = step.artifact("data")?.examples(Split::Transfer)?;
        let total = examples.len() as u64;
        let (mut watch, mut done) = (step.watch("row"), 0);
        let started = Instant::now();
        let Featured { encoded, features } = w2s_lm::features(
            &base.path,
            &self.encode.prompt,
            examples.iter().map(|e| e.text.as_str()),
            &w2s_lm::device(step.device())?,
            &mut |rows| {
                done += rows as u64;
                watch(done, total, String::new())
            },
        )?
        .ok_or(Interrupted)?;
        let rows: Vec<Features> = encoded
            .rows
            .iter()
            .zip(features)
            .map(|(&row, values)| Features {
                id: examples[row].id,
                values,
            })
            .collect();
        step.write_records(&rows)?;
        let tokens: usize = encoded.sequences.iter().map(Vec::len).sum();
        Ok(json!({
            "rows": rows.len(),
            "dropped_too_long": encoded.dropped,
            "truncated": encoded.truncated,
            "tokens_per_second": tokens as f64 / started.elapsed().as_secs_f64(),
        }))
    }
}
