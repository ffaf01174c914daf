//! The flags of every training operation.

use crate::{Decay, EarlyStopping, Schedule, TrainConfig};
use serde::Serialize;
use std::path::Path;
use std::time::Duration;
use w2s_artifact::summary::TRAINING_LOG;

/// How to train, the same for every method; flags and key of every training operation.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct TrainArgs {
    /// Passes over the rows
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000), default_value_t = 2, value_name = "N"))]
    pub epochs: usize,
    /// Steps after which training ends, the schedule with it, if the passes have more [default: all]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_steps: Option<usize>,
    /// Peak learning rate
    #[cfg_attr(
        feature = "cli",
        arg(long, allow_negative_numbers = true, value_name = "RATE")
    )]
    pub lr: f64,
    /// How the learning rate falls
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value_t = Decay::Cosine, value_name = "NAME"))]
    pub schedule: Decay,
    /// Part of the steps over which the learning rate rises, 0 to 1
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, value_name = "PART"))]
    pub warmup: f64,
    /// Decoupled weight decay (AdamW); 0 is Adam
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, value_name = "RATE"))]
    pub weight_decay: f64,
    /// Decay rate of Adam's second moment
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value_t = 0.999, value_name = "RATE")
    )]
    pub beta2: f64,
    /// Scale gradients longer than this down to it [default: never]
    #[cfg_attr(feature = "cli", arg(long, value_name = "LENGTH"))]
    pub clip: Option<f64>,
    /// Rows computed at once; a larger batch is accumulated, to the same result up to rounding [default: the batch]
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000), value_name = "N"))]
    pub micro_batch: Option<usize>,
    /// Seed of the order of rows, and of new weights
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "N"))]
    pub seed: u64,
    /// Seconds between two saves of the state; not part of the key
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value_t = 10.0, value_name = "SECONDS")
    )]
    #[serde(skip)]
    pub save_seconds: f64,
}

impl TrainArgs {
    /// Refuses values that cannot train: the message names the flag.
    pub fn check(&self) -> Result<(), String> {
        let positive = |name: &str, value: f64| {
            (value > 0.0 && value.is_finite())
                .then_some(())
                .ok_or_else(|| format!("--{name} is {value}; it must be above zero"))
        };
        let part = |name: &str, value: f64| {
            (0.0..=1.0)
                .contains(&value)
                .then_some(())
                .ok_or_else(|| format!("--{name} is {value}; it must lie between 0 and 1"))
        };
        positive("epochs", self.epochs as f64)?;
        if self.max_steps == Some(0) {
            return Err("--max-steps is 0; it must be above zero".into());
        }
        positive("lr", self.lr)?;
        part("warmup", self.warmup)?;
        part("beta2", self.beta2)?;
        if self.weight_decay < 0.0 {
            return Err(format!(
                "--weight-decay is {}; it must not be negative",
                self.weight_decay
            ));
        }
        if let Some(clip) = self.clip {
            positive("clip", clip)?;
        }
        if self.micro_batch == Some(0) {
            return Err("--micro-batch is 0; it must be above zero".into());
        }
        positive("save-seconds", self.save_seconds)
    }

    /// The settings of a run that keeps its state in `state_dir` and its metrics beside the result in `dir`.
    pub fn config(
        &self,
        dir: &Path,
        state_dir: &Path,
        stopping: Option<&EarlyStoppingArgs>,
    ) -> TrainConfig {
        TrainConfig {
            schedule: Schedule {
                peak: self.lr,
                warmup_fraction: self.warmup,
                decay: self.schedule,
            },
            beta1: 0.9,
            beta2: self.beta2,
            eps: 1e-8,
            weight_decay: self.weight_decay,
            clip: self.clip,
            micro_batch: self.micro_batch,
            early_stopping: stopping.and_then(EarlyStoppingArgs::rule),
            state_dir: state_dir.into(),
            metrics_file: dir.join(TRAINING_LOG),
            save_every: Duration::from_secs_f64(self.save_seconds),
        }
    }
}

/// When to stop before the end; flags and key of the operations that can hold rows out.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct EarlyStoppingArgs {
    /// Part of the rows held out for early stopping on their labels, 0 to 0.5; 0 trains to the end
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0.0, value_name = "PART"))]
    pub held_out: f64,
    /// Held-out evaluations per epoch [default: 4]
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000), value_name = "N"))]
    pub evaluations: Option<usize>,
    /// Evaluations without a better score after which training stops [default: 4]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub patience: Option<usize>,
}

impl EarlyStoppingArgs {
    /// Refuses values that make no sense, and those without any effect: the message names the flag.
    pub fn check(&self) -> Result<(), String> {
        if !(0.0..=0.5).contains(&self.held_out) {
            return Err(format!(
                "--held-out is {}; it must lie between 0 and 0.5",
                self.held_out
            ));
        }
        for (name, value) in [
            ("evaluations", self.evaluations),
            ("patience", self.patience),
        ] {
            if value == Some(0) {
                return Err(format!("--{name} is 0; it must be above zero"));
            }
            if value.is_some() && self.held_out == 0.0 {
                return Err(format!(
                    "--{name} is given, but --held-out is 0: nothing is evaluated"
                ));
            }
        }
        Ok(())
    }

    fn rule(&self) -> Option<EarlyStopping> {
        (self.held_out > 0.0).then_some(EarlyStopping {
            evaluations_per_epoch: self.evaluations.unwrap_or(4),
            patience: self.patience.unwrap_or(4),
        })
    }
}

/// How a classifier or a probe learns from labelled rows; flags and key of the operations that train one.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct LearnArgs {
    /// Rows in a batch
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000), default_value_t = 32, value_name = "N"))]
    pub batch: usize,
    /// How to train.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub train: TrainArgs,
    /// When to stop before the end.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub stopping: EarlyStoppingArgs,
}

impl LearnArgs {
    /// Refuses values that cannot train: the message names the flag.
    pub fn check(&self) -> Result<(), String> {
        if self.batch == 0 {
            return Err("--batch is 0; it must be above zero".into());
        }
        self.train.check()?;
        self.stopping.check()
    }
}
