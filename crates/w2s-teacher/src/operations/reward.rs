//! `w2s-teacher reward`: a reward model from pairs in their true order.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use w2s_artifact::{Kind, Pair};
use w2s_lm::{EncodingArgs, LoraArgs};
use w2s_losses::LabelLoss;
use w2s_methods::{Learning, RewardTraining, reward};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{LearnArgs, progress_line};

/// Trains a model to score answers, from pairs in their true order.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Reward {
    /// Base model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Pairs whose chosen answers are the better ones
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// Leave the decoder as it is, and train the head alone
    #[arg(long)]
    pub frozen: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) encoding: EncodingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) learn: LearnArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) lora: LoraArgs,
}

impl Operation for Reward {
    const NAME: &'static str = "reward";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Trains a model to score answers, from pairs in their true order";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
    }

    fn check(&self) -> Result<()> {
        if self.frozen && self.lora.settings().is_some() {
            bail!("--frozen leaves the decoder as it is, and --lora-rank trains an adapter of it");
        }
        self.encoding.check().map_err(anyhow::Error::msg)?;
        self.learn.check().map_err(anyhow::Error::msg)?;
        self.lora.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let pairs = step.artifact("pairs")?.records::<Pair>()?;
        let mut watch = step.watch("step");
        let summary = reward(
            &pairs,
            &RewardTraining {
                base: &step.artifact("base")?.path,
                encoding: &self.encoding,
                lora: &self.lora,
                frozen: self.frozen,
                conflict: None,
                how: &Learning {
                    loss: LabelLoss::CrossEntropy,
                    balance: false,
                    args: &self.learn,
                    dir: step.dir(),
                    state_dir: &step.scratch()?,
                },
                device: &w2s_lm::device(step.device())?,
            },
            &mut |line, steps| watch(line.step as u64, steps as u64, progress_line(line)),
        )?;
        Ok(json!(summary))
    }
}
