//! `w2s-student encode`: the tokens of the transfer split, once for several students.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use w2s_artifact::summary::PreparedSummary;
use w2s_artifact::{Artifact, Kind, Split, Tokens};
use w2s_lm::PromptArgs;
use w2s_methods::Tokenised;
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};

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
    pub(crate) prompt: PromptArgs,
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
        Ok(json!(PreparedSummary {
            rows: rows.len(),
            tokens,
            dropped_too_long: encoded.dropped,
            truncated: encoded.truncated,
        }))
    }
}

/// Tokens of examples and how their texts became prompts, after a check that they come from `base` and `data`.
pub(super) fn read(
    tokens: &Artifact,
    base: &Artifact,
    data: &Artifact,
) -> Result<(PromptArgs, Tokenised)> {
    let name = tokens.reference.short();
    for (flag, ours) in [("base", base), ("data", data)] {
        let theirs = tokens.manifest.input(flag);
        if theirs != Some(ours.reference) {
            bail!(
                "{name} was made from {}, but --{flag} is {}\n\
                 hint: make it anew with `w2s-student encode` from the same base and data",
                theirs.map_or("something else".to_owned(), |r| r.short()),
                ours.reference.short()
            );
        }
    }
    let rows = tokens.records::<Tokens>()?.into_iter();
    let (ids, sequences) = rows.map(|row| (row.id, row.ids)).unzip();
    let tokenised = Tokenised {
        ids,
        sequences,
        truncated: tokens.summary::<PreparedSummary>()?.truncated,
    };
    let prompt = serde_json::from_value(tokens.manifest.parameters.clone())
        .with_context(|| format!("cannot read the parameters of {name}"))?;
    Ok((prompt, tokenised))
}
