//! The loss of labels as flags, for every operation that learns from them.

use super::named::{self, named, told};
use anyhow::{Result, bail};
use serde::Serialize;
use w2s_losses::{Confidence, ConfidenceVariant, LabelLoss, LabelSetting};

/// The loss of labels with its settings; flags and key of the operations that learn from labels.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct LabelLossArgs {
    /// Loss
    #[arg(
        long,
        value_parser = named(LabelLoss::ALL),
        default_value_t = LabelLoss::CrossEntropy,
        value_name = "NAME"
    )]
    #[serde(serialize_with = "named::name")]
    pub loss: LabelLoss,
    /// Variant of the confidence loss [default: paper]
    #[arg(long, value_parser = named(ConfidenceVariant::ALL), value_name = "NAME")]
    #[serde(serialize_with = "named::optional_name")]
    pub confidence: Option<ConfidenceVariant>,
    /// confidence, entropy: weight of the student's own prediction after warm-up [default: 0.5]
    #[arg(long, value_name = "WEIGHT")]
    pub max_weight: Option<f64>,
    /// confidence, entropy: part of the training over which that weight rises [default: 0.2 for the paper's confidence
    /// loss, 0.1 for the others]
    #[arg(long, value_name = "PART")]
    pub weight_warmup: Option<f64>,
    /// product: exponent of the label [default: 1]
    #[arg(long, value_name = "POWER")]
    pub alpha: Option<f64>,
    /// product: exponent of the student's own prediction [default: 1]
    #[arg(long, value_name = "POWER")]
    pub beta: Option<f64>,
    /// window: learn from rows whose larger probability is below one half plus this [default: 0.15]
    #[arg(long, value_name = "X")]
    pub radius: Option<f64>,
    /// Move the labels of each batch so that it holds both classes equally: for a teacher biased towards one of them
    #[arg(long)]
    pub balance: bool,
}

impl LabelLossArgs {
    /// The value that was given for a setting.
    fn given(&self, setting: LabelSetting) -> Option<f64> {
        match setting {
            LabelSetting::MaxWeight => self.max_weight,
            LabelSetting::WeightWarmup => self.weight_warmup,
            LabelSetting::Alpha => self.alpha,
            LabelSetting::Beta => self.beta,
            LabelSetting::Radius => self.radius,
        }
    }

    /// Refuses what cannot be trained with: what [`loss`](Self::loss) refuses, and the confidence loss on batches of one row, which
    /// no threshold divides.
    ///
    /// # Errors
    ///
    /// The message names the flag.
    pub fn check_batch(&self, batch: usize) -> Result<()> {
        match self.loss()? {
            LabelLoss::Confidence(_) if batch == 1 => bail!(
                "--batch is 1, and --loss confidence divides a batch by a threshold on all its rows\n\
                 hint: take a --batch of 8 or more; --micro-batch says how many rows are computed at once"
            ),
            _ => Ok(()),
        }
    }

    /// The loss with what was given for it.
    ///
    /// # Errors
    ///
    /// A setting that the loss does not read, or one out of range.
    pub fn loss(&self) -> Result<LabelLoss> {
        let mut loss = self.loss;
        match (&mut loss, self.confidence) {
            (_, None) => {}
            (LabelLoss::Confidence(confidence), Some(variant)) => {
                *confidence = Confidence::new(variant);
            }
            (loss, Some(_)) => {
                bail!("--confidence is not read by --loss {loss}; it belongs to confidence")
            }
        }
        for setting in LabelSetting::ALL {
            if let Some(value) = self.given(setting) {
                loss.set(setting, value).map_err(told)?;
            }
        }
        loss.check().map_err(told)?;
        Ok(loss)
    }
}
