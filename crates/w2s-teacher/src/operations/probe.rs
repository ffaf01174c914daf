//! `w2s-teacher probe`: a weak teacher that is a head on features, from gold labels.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use w2s_artifact::{Kind, Split};
use w2s_lm::FeatureTable;
use w2s_losses::LabelLoss;
use w2s_methods::{Learning, Supervision, probe};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step, choices};
use w2s_train::{EarlyStoppingArgs, TrainArgs, progress_line};

/// Trains a linear probe on gold labels.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct TrainProbe {
    /// Features of the examples, from `w2s-student features` or `w2s-data features`
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub features: ArtifactArg,
    /// Examples with gold labels
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// Split to train on
    #[arg(
        long,
        value_parser = choices([Split::Gold, Split::Transfer]),
        default_value_t = Split::Gold,
        value_name = "NAME"
    )]
    pub split: Split,
    /// Bring every feature to mean 0 and deviation 1 over the rows that are trained on: for features of different sizes
    #[arg(long)]
    pub standardize: bool,
    /// Rows in a batch
    #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), default_value_t = 32, value_name = "N")]
    pub batch: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) stopping: EarlyStoppingArgs,
}

impl Operation for TrainProbe {
    const NAME: &'static str = "probe";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Trains a linear probe on gold labels";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs
            .artifact("features", &self.features)
            .of(Kind::Features);
        inputs.artifact("data", &self.data).of(Kind::Examples);
    }

    fn check(&self) -> Result<()> {
        if self.batch == 0 {
            bail!("--batch is 0; it must be above zero");
        }
        self.train.check().map_err(anyhow::Error::msg)?;
        self.stopping.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let data = step.artifact("data")?;
        let mut watch = step.watch("step");
        let summary = probe(
            FeatureTable::read(&step.artifact("features")?, &data)?,
            &data.examples(self.split)?,
            &data.classes()?,
            &Supervision::Gold,
            self.standardize,
            &Learning {
                loss: LabelLoss::CrossEntropy,
                balance: false,
                batch: self.batch,
                train: &self.train,
                stopping: &self.stopping,
                dir: step.dir(),
                state_dir: &step.scratch()?,
            },
            &w2s_lm::device(step.device())?,
            &mut |line, steps| watch(line.step as u64, steps as u64, progress_line(line)),
        )?;
        Ok(json!(summary))
    }
}
