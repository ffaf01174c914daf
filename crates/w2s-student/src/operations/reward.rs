//! `w2s-student reward`: a reward model from pairs that a weaker model has ordered.

use super::LabelLossArgs;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use w2s_artifact::{Kind, Pair};
use w2s_lm::{EncodingArgs, LoraArgs};
use w2s_methods::{Learning, RewardTraining, reward};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{LearnArgs, progress_line};

/// Trains a model to score answers, from pairs that a weaker model has ordered, or the ceiling from pairs in their true order.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Reward {
    /// Base model; one that has a reward head already goes on from it
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Pairs: those of `w2s-data relabel` are learnt with the weak model's confidence, any others with certainty
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// Weight of a reward for answers that the truth calls worse: the explicit conflict of arXiv 2406.11431, which takes 0.5
    #[arg(long, default_value_t = 0.0, value_name = "WEIGHT")]
    pub conflict: f64,
    /// Leave the decoder as it is, and train the head alone
    #[arg(long)]
    pub frozen: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) loss: LabelLossArgs,
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
    const ABOUT: &'static str =
        "Trains a model to score answers, from pairs that a weaker model has ordered";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
    }

    fn check(&self) -> Result<()> {
        if !(0.0..=1e6).contains(&self.conflict) {
            bail!("--conflict is {}; it must not be negative", self.conflict);
        }
        if self.frozen && self.lora.settings().is_some() {
            bail!("--frozen leaves the decoder as it is, and --lora-rank trains an adapter of it");
        }
        self.loss.check_batch(self.learn.batch)?;
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
                conflict: (self.conflict > 0.0).then_some(self.conflict),
                how: &Learning {
                    loss: self.loss.loss()?,
                    balance: self.loss.balance,
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
