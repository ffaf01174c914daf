//! `w2s-student encode` and `w2s-student features`: what is computed of the transfer split once for several students.

use crate::Prepared;
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::{Artifact, Features, Kind, Split, Tokens};
use w2s_lm::{Featured, Inputs as Rows, PromptArgs};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};

/// Tokenises the transfer split once for all the students of one base.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Encode {
    /// Base model that will read the tokens
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Examples, of which the transfer split is read
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub prompt: PromptArgs,
}

impl Operation for Encode {
    const NAME: &'static str = "encode";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Tokens;
    const ABOUT: &'static str = "Tokenises the transfer split once, for all students of one base";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
    }

    fn check(&self) -> Result<()> {
        self.prompt.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let base = step.artifact("base")?;
        let examples = step.artifact("data")?.examples(Split::Transfer)?;
        let texts = examples.iter().map(|e| e.text.as_str());
        let encoded = self.prompt.encode(&base.path, texts)?;
        let tokens: usize = encoded.sequences.iter().map(Vec::len).sum();
        let rows = encoded.rows.iter().zip(encoded.sequences);
        let rows: Vec<Tokens> = rows
            .map(|(&row, ids)| Tokens {
                id: examples[row].id,
                ids,
            })
            .collect();
        step.write_records(&rows)?;
        Ok(json!({
            "rows": rows.len(),
            "tokens": tokens,
            "dropped_too_long": encoded.dropped,
            "truncated": encoded.truncated,
        }))
    }
}

/// Computes what a frozen base makes of the transfer split, once for all the linear probes on it.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct ComputeFeatures {
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub encode: Encode,
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

/// Rows of `prepared`, tokens or features, and how their texts became prompts, after a check that they come from `base` and
/// `data`.
pub(super) fn read(
    prepared: &Artifact,
    base: &Artifact,
    data: &Artifact,
) -> Result<(PromptArgs, Prepared)> {
    let name = prepared.reference.short();
    let operation = &prepared.manifest.operation;
    for (flag, ours) in [("base", base), ("data", data)] {
        let theirs = prepared.manifest.input(flag);
        if theirs != Some(ours.reference) {
            bail!(
                "{name} was made from {}, but --{flag} is {}\n\
                 hint: make it anew with `w2s-student {operation}` from the same base and data",
                theirs.map_or("something else".to_owned(), |r| r.short()),
                ours.reference.short()
            );
        }
    }
    let (ids, inputs) = match prepared.reference.kind {
        Kind::Tokens => {
            let rows = prepared.records::<Tokens>()?.into_iter();
            let (ids, tokens) = rows.map(|row| (row.id, row.ids)).unzip();
            (ids, Rows::Tokens(tokens))
        }
        _ => {
            let rows = prepared.records::<Features>()?.into_iter();
            let (ids, features) = rows.map(|row| (row.id, row.values)).unzip();
            (ids, Rows::Features(features))
        }
    };
    let truncated = prepared.manifest.summary["truncated"].as_u64();
    let prepared_rows = Prepared {
        ids,
        inputs,
        truncated: truncated.unwrap_or(0) as usize,
    };
    let prompt = serde_json::from_value(prepared.manifest.parameters.clone())
        .with_context(|| format!("cannot read the parameters of {name}"))?;
    Ok((prompt, prepared_rows))
}
