//! `w2s-student reference`.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::summary::ReferencesSummary;
use w2s_artifact::{Artifact, Kind, Pair};
use w2s_lm::{EncodingArgs, ModelFolder};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};

/// Computes what the frozen reference model makes of pairs.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Reference {
    /// Reference model: the base that is to be trained
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Pairs to score
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// Score each prompt with an answer to another one too: the loss `kto` compares with it
    #[arg(long)]
    pub mismatched: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) encoding: EncodingArgs,
}

impl Operation for Reference {
    const NAME: &'static str = "reference";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::References;
    const ABOUT: &'static str =
        "Computes once what the frozen reference model makes of both answers of pairs";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
    }

    fn check(&self) -> Result<()> {
        self.encoding.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let model = step.artifact("model")?;
        let pairs = step.artifact("pairs")?.records::<Pair>()?;
        let mut watch = step.watch("pair");
        let started = Instant::now();
        let done = w2s_methods::reference(
            &model.path,
            &pairs,
            &self.encoding,
            self.mismatched,
            &w2s_lm::device(step.device())?,
            &mut |done, total| watch(done as u64, total as u64, String::new()),
        )?
        .ok_or(Interrupted)?;
        step.write_records(&done.rows)?;
        let seconds = started.elapsed().as_secs_f64();
        Ok(json!(ReferencesSummary {
            model: model.reference.to_string(),
            tokenizer: tokenizer_hash(&model)?.into(),
            template: self.encoding.template_hash(&model.path)?,
            pairs: done.counts.pairs,
            dropped: done.counts.dropped(),
            truncated: done.counts.truncated(),
            pairs_per_second: done.rows.len() as f64 / seconds,
        }))
    }
}

/// The hash of a checkpoint's tokenizer.
fn tokenizer_hash(model: &Artifact) -> Result<&str> {
    let mut files = model.manifest.files.iter();
    let file = files.find(|file| file.name == "tokenizer.json");
    let file = file.with_context(|| format!("{} has no tokenizer", model.reference.short()))?;
    Ok(&file.blake3)
}

/// Refuses a reference that another model made, or that was made of other pairs or other tokens.
pub(super) fn check_origin(
    reference: &Artifact,
    base: &Artifact,
    pairs: &Artifact,
    encoding: &EncodingArgs,
) -> Result<()> {
    let name = reference.reference.short();
    let said: ReferencesSummary = reference.summary()?;
    // Another tokenizer or template also changes the key of the model: the nearer cause is told first.
    let tokens = [
        (
            "tokenizer",
            said.tokenizer,
            tokenizer_hash(base)?.to_owned(),
        ),
        (
            "template",
            said.template,
            encoding.template_hash(&base.path)?,
        ),
    ];
    for (what, theirs, ours) in tokens {
        if theirs != ours {
            bail!(
                "{name} was made by another {what}: {}, not the base's {}\n\
                 hint: make it anew with `w2s-student reference`, whose --model is this --base and with this --template",
                short(&theirs),
                short(&ours)
            );
        }
    }
    for (flag, input, ours) in [("base", "model", base), ("pairs", "pairs", pairs)] {
        let theirs = reference.manifest.input(input);
        if theirs != Some(ours.reference) {
            bail!(
                "{name} was made from {}, but --{flag} is {}\n\
                 hint: make it anew with `w2s-student reference`, whose --model is this --base and with these --pairs",
                theirs.map_or("something else".to_owned(), |r| r.short()),
                ours.reference.short()
            );
        }
    }
    // The same tokens fit under both only if these are the same.
    let positions = ModelFolder::open(&base.path)?.config().positions;
    let parameters = &reference.manifest.parameters;
    let longest = |max_tokens: Option<usize>| {
        let args = EncodingArgs {
            max_tokens,
            ..encoding.clone()
        };
        json!(args.longest(positions))
    };
    let max_tokens = parameters["max_tokens"].as_u64().map(|n| n as usize);
    for (flag, theirs, ours) in [
        (
            "max-tokens",
            longest(max_tokens),
            longest(encoding.max_tokens),
        ),
        (
            "too-long",
            parameters["too_long"].clone(),
            json!(encoding.too_long),
        ),
        (
            "separate",
            parameters["separate"].clone(),
            json!(encoding.separate),
        ),
    ] {
        if theirs != ours {
            let word = |value: &Value| value.as_str().map_or(value.to_string(), str::to_owned);
            let (theirs, ours) = (word(&theirs), word(&ours));
            bail!(
                "{name} was made with --{flag} {theirs}, but here it is {ours}\n\
                 hint: give both steps the same --max-tokens, --too-long and --separate"
            );
        }
    }
    Ok(())
}

fn short(hash: &str) -> &str {
    hash.get(..8).unwrap_or(hash)
}
