//! `w2s-student classify`: a classifier from the labels of examples.

use super::{LabelLossArgs, encode};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use w2s_artifact::summary::LabelsSummary;
use w2s_artifact::{Artifact, Kind, Label, Split};
use w2s_lm::{ClassifierArgs, TooLong};
use w2s_methods::{Learning, Supervision, classify};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{LearnArgs, progress_line};

/// Trains a classifier on a teacher's labels, or the ceiling on gold labels.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Classify {
    /// Base model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Examples, of which the transfer split is trained on
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// The teacher's labels of the transfer split
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub labels: Option<ArtifactArg>,
    /// Train on gold labels instead: the strong ceiling
    #[arg(long, conflicts_with = "labels")]
    pub gold: bool,
    /// The examples' tokens, from `w2s-student encode`, shared by all students of this base; prompt and limits are those of
    /// the tokens
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub tokens: Option<ArtifactArg>,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) loss: LabelLossArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) classifier: ClassifierArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) learn: LearnArgs,
}

impl Operation for Classify {
    const NAME: &'static str = "classify";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str =
        "Trains a classifier on a teacher's labels, or the ceiling on gold labels";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
        inputs.artifact("labels", &self.labels).of(Kind::Labels);
        inputs.artifact("tokens", &self.tokens).of(Kind::Tokens);
    }

    fn check(&self) -> Result<()> {
        if self.labels.is_none() && !self.gold {
            bail!(
                "--labels is not given, the labels to learn\nhint: or give --gold, for the ceiling"
            );
        }
        let prompt = &self.classifier.prompt;
        if self.tokens.is_some() {
            for (flag, given) in [
                ("template", prompt.template != "{text}"),
                ("max-tokens", prompt.max_tokens.is_some()),
                ("too-long", prompt.too_long != TooLong::Drop),
            ] {
                if given {
                    bail!("--{flag} is that of --tokens\nhint: give it to `w2s-student encode`");
                }
            }
        }
        self.loss.check_batch(self.learn.batch)?;
        self.classifier.check().map_err(anyhow::Error::msg)?;
        self.learn.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let data = step.artifact("data")?;
        let base = step.artifact("base")?;
        let supervision = match step.optional_artifact("labels")? {
            Some(labels) => Supervision::Weak(labels_of(&labels, &data)?),
            None => Supervision::Gold,
        };
        let mut classifier = self.classifier.clone();
        let mut tokens = None;
        if let Some(made) = step.optional_artifact("tokens")? {
            let (prompt, rows) = encode::read(&made, &base, &data)?;
            classifier.prompt = prompt;
            tokens = Some(rows);
        }
        let mut watch = step.watch("step");
        let summary = classify(
            &base.path,
            &data.examples(Split::Transfer)?,
            &data.classes()?,
            &supervision,
            tokens,
            &classifier,
            &Learning {
                loss: self.loss.loss()?,
                balance: self.loss.balance,
                args: &self.learn,
                dir: step.dir(),
                state_dir: &step.scratch()?,
            },
            &w2s_lm::device(step.device())?,
            &mut |line, steps| watch(line.step as u64, steps as u64, progress_line(line)),
        )?;
        Ok(json!(summary))
    }
}

/// Labels of the rows of `data`.
///
/// # Errors
///
/// If their classes are not those of the data, in the same order: they would be learnt under other names.
pub(crate) fn labels_of(labels: &Artifact, data: &Artifact) -> Result<Vec<Label>> {
    let (theirs, ours) = (labels.summary::<LabelsSummary>()?.classes, data.classes()?);
    if theirs != ours {
        bail!(
            "{} was made with the classes {}, in this order, but those of {} are {}\n\
             hint: let the teacher learn and label the same task, or bring the classes of its description into the same order",
            labels.reference.short(),
            theirs.join(", "),
            data.reference.short(),
            ours.join(", ")
        );
    }
    Ok(labels.records()?)
}
