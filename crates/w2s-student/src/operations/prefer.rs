//! `w2s-student prefer`: the better answer of a pair above the other one.

use super::named::{self, named, told};
use super::reference::check_origin;
use anyhow::{Result, bail};
use serde_json::{Value, json};
use w2s_artifact::summary::TrainingLogLine;
use w2s_artifact::{Kind, Pair, ReferenceLogProbs};
use w2s_lm::{EncodingArgs, LoraArgs};
use w2s_losses::{Preference, PreferenceLoss, Setting};
use w2s_methods::{Setup, prefer};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{TrainArgs, progress_line};

/// Trains a language model to prefer one answer of each pair to the other.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Prefer {
    /// Base model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Pairs of answers
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: ArtifactArg,
    /// What the base makes of the pairs, from `w2s-student reference`; simpo and orpo need none
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub reference: Option<ArtifactArg>,
    /// Loss; sigmoid is DPO
    #[arg(
        long,
        value_parser = named(PreferenceLoss::ALL),
        default_value = "sigmoid",
        value_name = "NAME"
    )]
    #[serde(serialize_with = "named::name")]
    pub loss: PreferenceLoss,
    /// Scale of the reward [default: 5 for delta-preference, 2 for simpo, 0.1 for the others]
    #[arg(long, allow_negative_numbers = true, value_name = "VALUE")]
    pub beta: Option<f64>,
    /// Part of the pairs taken to be the wrong way round, 0 to 0.5 [default: 0.001 for exo-pair, 0 for the others; robust
    /// must be given one]
    #[arg(long, value_name = "PART")]
    pub label_smoothing: Option<f64>,
    /// Weight of the chosen answer's negative log-likelihood per token, added to the loss [default: 0]
    #[arg(long, value_name = "WEIGHT")]
    pub nll_weight: Option<f64>,
    /// simpo: target margin of the rewards [default: 0.5]
    #[arg(long, value_name = "MARGIN")]
    pub gamma: Option<f64>,
    /// discopop: temperature of its blend, up to 1 [default: 0.05]
    #[arg(long, value_name = "VALUE")]
    pub tau: Option<f64>,
    /// kto: weight of chosen answers [default: 1]
    #[arg(long, value_name = "WEIGHT")]
    pub desirable_weight: Option<f64>,
    /// kto: weight of rejected answers [default: 1]
    #[arg(long, value_name = "WEIGHT")]
    pub undesirable_weight: Option<f64>,
    /// sigmoid, simpo: weight of a reward for answers that the truth calls worse, on pairs of `w2s-data relabel`: the explicit
    /// conflict of arXiv 2406.11431, which takes 0.5
    #[arg(long, default_value_t = 0.0, value_name = "WEIGHT")]
    #[serde(skip_serializing_if = "is_zero")]
    pub conflict: f64,
    /// Pairs in a batch
    #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), default_value_t = 32, value_name = "N")]
    pub batch: usize,
    /// Take the pairs in their order instead of shuffling them
    #[arg(long)]
    pub in_order: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) encoding: EncodingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) lora: LoraArgs,
}

/// Whether nothing is in conflict: such a training is the same as before there were conflicts.
fn is_zero(weight: &f64) -> bool {
    *weight == 0.0
}

impl Prefer {
    /// The value that was given for a setting.
    fn given(&self, setting: Setting) -> Option<f64> {
        match setting {
            Setting::Beta => self.beta,
            Setting::NllWeight => self.nll_weight,
            Setting::LabelSmoothing => self.label_smoothing,
            Setting::Gamma => self.gamma,
            Setting::Tau => self.tau,
            Setting::DesirableWeight => self.desirable_weight,
            Setting::UndesirableWeight => self.undesirable_weight,
        }
    }

    /// The loss with what was given for it.
    fn preference(&self) -> Result<Preference> {
        let mut what = Preference::from(self.loss);
        for setting in Setting::ALL {
            if let Some(value) = self.given(setting) {
                what.set(setting, value).map_err(told)?;
            }
        }
        what.check().map_err(told)?;
        Ok(what)
    }
}

impl Operation for Prefer {
    const NAME: &'static str = "prefer";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str =
        "Trains a language model to prefer one answer of each pair to the other";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs
            .artifact("reference", &self.reference)
            .of(Kind::References);
    }

    fn check(&self) -> Result<()> {
        let loss = self.preference()?.loss;
        if loss.needs_reference() && self.reference.is_none() {
            bail!(
                "the loss `{loss}` compares with a reference, and --reference is not given\n\
                 hint: make one with `w2s-student reference`, or use `simpo` or `orpo`, which need none"
            );
        }
        if !(0.0..=1e6).contains(&self.conflict) {
            bail!("--conflict is {}; it must not be negative", self.conflict);
        }
        if self.conflict > 0.0 && !matches!(loss.name(), "sigmoid" | "simpo") {
            bail!(
                "--conflict is not read by --loss {loss}; a conflicting reward is defined for sigmoid and simpo"
            );
        }
        if self.batch == 0 {
            bail!("--batch is 0; it must be above zero");
        }
        self.encoding.check().map_err(anyhow::Error::msg)?;
        self.train.check().map_err(anyhow::Error::msg)?;
        self.lora.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let base = step.artifact("base")?;
        let pairs = step.artifact("pairs")?;
        let reference = match step.optional_artifact("reference")? {
            None => None,
            Some(reference) => {
                check_origin(&reference, &base, &pairs, &self.encoding)?;
                Some(reference.records::<ReferenceLogProbs>()?)
            }
        };
        let pairs = pairs.records::<Pair>()?;
        let mut watch = step.watch("step");
        let setup = Setup {
            base: &base.path,
            encoding: &self.encoding,
            batch: self.batch,
            in_order: self.in_order,
            train: &self.train,
            lora: &self.lora,
            device: &w2s_lm::device(step.device())?,
            dir: step.dir(),
            state_dir: &step.scratch()?,
        };
        let summary = prefer(
            &setup,
            &pairs,
            reference.as_deref(),
            self.preference()?,
            (self.conflict > 0.0).then_some(self.conflict),
            &mut |line, steps| watch(line.step as u64, steps as u64, told_apart(line)),
        )?;
        Ok(json!(summary))
    }
}

/// How well the pairs are told apart, for a progress bar.
fn told_apart(line: &TrainingLogLine) -> String {
    let value = |name: &str| line.more.get(name).copied().unwrap_or(f64::NAN);
    format!(
        "{}, margin {:.3}, accuracy {:.2}",
        progress_line(line),
        value("rewards_margin"),
        value("rewards_accuracy")
    )
}
