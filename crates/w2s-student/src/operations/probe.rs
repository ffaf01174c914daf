//! `w2s-student probe`: a head on features that were made beforehand.

use super::LabelLossArgs;
use super::classify::labels_of;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use w2s_artifact::{Kind, Split};
use w2s_lm::FeatureTable;
use w2s_methods::{Learning, Supervision, probe};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{LearnArgs, progress_line};

/// Trains a linear probe on a teacher's labels, or the ceiling on gold labels.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct TrainProbe {
    /// Features of the examples, from `w2s-student features` or `w2s-data features`
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub features: ArtifactArg,
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
    /// Bring every feature to mean 0 and deviation 1 over the rows that are trained on: for features of different sizes
    #[arg(long)]
    pub standardize: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) loss: LabelLossArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) learn: LearnArgs,
}

impl Operation for TrainProbe {
    const NAME: &'static str = "probe";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str =
        "Trains a linear probe on a teacher's labels, or the ceiling on gold labels";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs
            .artifact("features", &self.features)
            .of(Kind::Features);
        inputs.artifact("data", &self.data).of(Kind::Examples);
        inputs.artifact("labels", &self.labels).of(Kind::Labels);
    }

    fn check(&self) -> Result<()> {
        if self.labels.is_none() && !self.gold {
            bail!(
                "--labels is not given, the labels to learn\nhint: or give --gold, for the ceiling"
            );
        }
        self.loss.check_batch(self.learn.batch)?;
        self.learn.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let data = step.artifact("data")?;
        let supervision = match step.optional_artifact("labels")? {
            Some(labels) => Supervision::Weak(labels_of(&labels, &data)?),
            None => Supervision::Gold,
        };
        let mut watch = step.watch("step");
        let summary = probe(
            FeatureTable::read(&step.artifact("features")?, &data)?,
            &data.examples(Split::Transfer)?,
            &data.classes()?,
            &supervision,
            self.standardize,
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
