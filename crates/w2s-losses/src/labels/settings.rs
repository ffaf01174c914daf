//! The losses of weak labels by name, each with the settings that it reads.

use std::{fmt, str::FromStr};

use super::{Confidence, ConfidenceVariant, Entropy, Product, Window};
use crate::error::{LossError, check};

/// A loss of weak labels with its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum LabelLoss {
    /// Imitates the labels, soft or hard: naive finetuning.
    CrossEntropy,
    /// May disagree with the labels where the student is sure of itself.
    Confidence(Confidence),
    /// Multiplies the label and the student's own prediction.
    Product(Product),
    /// The confidence loss with the student's soft prediction as its own target.
    Entropy(Entropy),
    /// Cross entropy on the rows of which the student is not sure yet.
    Window(Window),
    /// Cross entropy less the labels' own entropy.
    Kl,
}

use LabelLoss::*;

impl LabelLoss {
    /// Every loss, with the settings of its source.
    pub const ALL: [Self; 6] = [
        CrossEntropy,
        Confidence(super::Confidence::new(ConfidenceVariant::Paper)),
        Product(super::Product::DEFAULT),
        Entropy(super::Entropy::DEFAULT),
        Window(super::Window::DEFAULT),
        Kl,
    ];

    /// The name in recipes and flags.
    pub fn name(self) -> &'static str {
        match self {
            CrossEntropy => "cross-entropy",
            Confidence(_) => "confidence",
            Product(_) => "product",
            Entropy(_) => "entropy",
            Window(_) => "window",
            Kl => "kl",
        }
    }

    fn settings_mut(&mut self) -> Vec<(LabelSetting, &mut f64)> {
        use LabelSetting::*;
        match self {
            Confidence(super::Confidence {
                max_weight,
                warmup_fraction,
                ..
            })
            | Entropy(super::Entropy {
                max_weight,
                warmup_fraction,
            }) => vec![(MaxWeight, max_weight), (WeightWarmup, warmup_fraction)],
            Product(super::Product { alpha, beta }) => vec![(Alpha, alpha), (Beta, beta)],
            Window(super::Window { radius }) => vec![(Radius, radius)],
            CrossEntropy | Kl => vec![],
        }
    }

    /// Every setting that it reads, with its value.
    pub fn settings(mut self) -> Vec<(LabelSetting, f64)> {
        let settings = self.settings_mut().into_iter();
        settings.map(|(setting, value)| (setting, *value)).collect()
    }

    /// Sets a setting by its name.
    ///
    /// # Errors
    ///
    /// If the loss does not read it, whatever the value.
    pub fn set(&mut self, setting: LabelSetting, value: f64) -> Result<(), LossError> {
        let loss = self.name();
        let mut settings = self.settings_mut().into_iter();
        let own = settings.find(|(own, _)| *own == setting);
        let (_, place) = own.ok_or(LossError::UnusedSetting {
            name: setting.name(),
            value,
            loss,
        })?;
        *place = value;
        Ok(())
    }

    /// Refuses values outside their range.
    pub fn check(self) -> Result<(), LossError> {
        let mut settings = self.settings().into_iter();
        settings.try_for_each(|(setting, value)| setting.check(value))
    }
}

impl fmt::Display for LabelLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for LabelLoss {
    type Err = LossError;

    /// The loss of a name, with the settings of its source.
    fn from_str(name: &str) -> Result<Self, LossError> {
        let loss = Self::ALL.into_iter().find(|loss| loss.name() == name);
        loss.ok_or_else(|| LossError::UnknownName {
            what: "loss of labels",
            name: name.into(),
            known: Self::ALL.map(Self::name).to_vec(),
            meant: match name {
                "xent" | "naive" => Some("`cross-entropy`".into()),
                "logconf" => Some("`confidence`".into()),
                _ => None,
            },
        })
    }
}

/// A number that losses of labels read, by its name in recipes and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelSetting {
    /// Weight of the student's own prediction after the warm-up.
    MaxWeight,
    /// The part of the training over which that weight rises.
    WeightWarmup,
    /// Exponent of the label in a product.
    Alpha,
    /// Exponent of the student's own prediction in a product.
    Beta,
    /// How far above one half a student is not sure yet.
    Radius,
}

impl LabelSetting {
    /// Every setting.
    pub const ALL: [Self; 5] = [
        Self::MaxWeight,
        Self::WeightWarmup,
        Self::Alpha,
        Self::Beta,
        Self::Radius,
    ];

    /// The name in recipes and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::MaxWeight => "max-weight",
            Self::WeightWarmup => "weight-warmup",
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Radius => "radius",
        }
    }

    /// Refuses a value outside the setting's range.
    fn check(self, value: f64) -> Result<(), LossError> {
        let (holds, must) = match self {
            Self::MaxWeight | Self::WeightWarmup => {
                ((0.0..=1.0).contains(&value), "between 0 and 1")
            }
            Self::Alpha | Self::Beta => (value >= 0.0 && value.is_finite(), "at least 0"),
            Self::Radius => (value > 0.0 && value <= 0.5, "above 0 and at most 0.5"),
        };
        check(holds, self.name(), value, must)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_loss_has_a_name_and_every_setting_a_reader() {
        for loss in LabelLoss::ALL {
            assert_eq!(loss.to_string().parse(), Ok(loss));
            assert_eq!(loss.check(), Ok(()));
        }
        for setting in LabelSetting::ALL {
            let mut readers = 0;
            for mut loss in LabelLoss::ALL {
                let read = loss.settings().iter().any(|(own, _)| *own == setting);
                assert_eq!(loss.set(setting, 0.375).is_ok(), read);
                if read {
                    assert!(loss.settings().contains(&(setting, 0.375)));
                    readers += 1;
                }
            }
            assert!(readers > 0, "{}", setting.name());
        }
    }

    #[test]
    fn values_out_of_range_and_unread_are_refused() {
        let mut loss: LabelLoss = "window".parse().unwrap();
        assert_eq!(
            loss.set(LabelSetting::Alpha, 1.0).unwrap_err().to_string(),
            "`alpha` is 1 but the loss `window` does not read it"
        );
        loss.set(LabelSetting::Radius, 0.6).unwrap();
        assert_eq!(
            loss.check().unwrap_err().to_string(),
            "`radius` is 0.6 but must be above 0 and at most 0.5"
        );
        let error = "logconf".parse::<LabelLoss>().unwrap_err();
        assert_eq!(error.hint().unwrap(), "it is called `confidence` here");
    }
}
