//! The preference losses by name, each with the settings that it alone reads, and the loss before the first step.
//!
//! A setting stands once: as a field of the variants that read it. [`PreferenceLoss::ALL`] holds its defaults, [`Setting`] its
//! name and range, and what takes settings by name (flags, say) goes through [`Preference::set`], which refuses those that a loss
//! does not have.

use std::{f64::consts::LN_2, fmt, str::FromStr};

use crate::error::{LossError, check};

/// A preference loss with what it reads beside `β`. `D`, `D̄`, `h` and `m` as in [`preference`](crate::preference)'s file; every one
/// is a mean over pairs, and `ε`, the label smoothing, is the part of the pairs taken to be the wrong way round.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PreferenceLoss {
    /// DPO: `-log σ(β D)`. With label smoothing, conservative DPO.
    Sigmoid {
        /// `ε`
        label_smoothing: f64,
    },
    /// DPO made unbiased under flipped preferences; can be negative.
    Robust {
        /// `ε`, above zero: without it the loss is that of `sigmoid`.
        label_smoothing: f64,
    },
    /// `max(0, 1 - β D)`
    Hinge,
    /// `(D̄ - 1/(2β))²`, on means per token.
    Ipo,
    /// `(D - 1/(2β))²`, on sums.
    IpoSum,
    /// Length-normalised DPO, the loss of delta learning: `-log σ(β D̄)`. With label smoothing, conservative.
    DeltaPreference {
        /// `ε`
        label_smoothing: f64,
    },
    /// `-log σ(β (m_c - m_r) - γ)`, without a reference. With label smoothing, conservative.
    SimPo {
        /// `γ`, the target margin of rewards.
        gamma: f64,
        /// `ε`
        label_smoothing: f64,
    },
    /// `-m_c - β log σ(log-odds ratio)`, without a reference.
    Orpo,
    /// Prospect theory: each side against the KL estimate of the batch.
    Kto {
        /// Weight of chosen responses.
        desirable_weight: f64,
        /// Weight of rejected responses.
        undesirable_weight: f64,
    },
    /// `1 - σ(β h_c) + σ(β h_r)`, for chosen responses better than the policy's own.
    ApoZero,
    /// `σ(β h_c) + 1 - σ(β D)`, for chosen responses worse than the policy's own.
    ApoDown,
    /// Reverse KL to the smoothed preference.
    ExoPair {
        /// `ε`, above zero: without it the loss is infinite.
        label_smoothing: f64,
    },
    /// Noise contrastive alignment on pairs.
    NcaPair,
    /// Binary classifier optimisation on pairs.
    BcoPair,
    /// Self-play preference optimisation with hard probabilities.
    SppoHard,
    /// The discovered loss: logistic and exponential, blended by `σ(β D / τ)`.
    Discopop {
        /// `τ`, the temperature of the blend: above one the loss is unbounded on bad pairs.
        tau: f64,
    },
    /// Optimal transport: sorted differences of the policy against sorted ones of the reference.
    Aot {
        /// `ε`
        label_smoothing: f64,
    },
    /// Optimal transport: sorted chosen log-ratios against sorted rejected ones.
    AotUnpaired {
        /// `ε`
        label_smoothing: f64,
    },
}

use PreferenceLoss::*;

/// No pair is taken to be the wrong way round.
const SURE: f64 = 0.0;

impl PreferenceLoss {
    /// Every loss, with the settings of its own public trainer. `robust` has no default that makes sense and must be given one.
    pub const ALL: [Self; 18] = [
        Sigmoid {
            label_smoothing: SURE,
        },
        Robust {
            label_smoothing: SURE,
        },
        Hinge,
        Ipo,
        IpoSum,
        DeltaPreference {
            label_smoothing: SURE,
        },
        SimPo {
            gamma: 0.5,
            label_smoothing: SURE,
        },
        Orpo,
        Kto {
            desirable_weight: 1.0,
            undesirable_weight: 1.0,
        },
        ApoZero,
        ApoDown,
        ExoPair {
            label_smoothing: 1e-3,
        },
        NcaPair,
        BcoPair,
        SppoHard,
        Discopop { tau: 0.05 },
        Aot {
            label_smoothing: SURE,
        },
        AotUnpaired {
            label_smoothing: SURE,
        },
    ];

    /// The name in recipes and flags.
    pub fn name(self) -> &'static str {
        match self {
            Sigmoid { .. } => "sigmoid",
            Robust { .. } => "robust",
            Hinge => "hinge",
            Ipo => "ipo",
            IpoSum => "ipo-sum",
            DeltaPreference { .. } => "delta-preference",
            SimPo { .. } => "simpo",
            Orpo => "orpo",
            Kto { .. } => "kto",
            ApoZero => "apo-zero",
            ApoDown => "apo-down",
            ExoPair { .. } => "exo-pair",
            NcaPair => "nca-pair",
            BcoPair => "bco-pair",
            SppoHard => "sppo-hard",
            Discopop { .. } => "discopop",
            Aot { .. } => "aot",
            AotUnpaired { .. } => "aot-unpaired",
        }
    }

    /// `β` of the loss's own public trainer: it is not portable between losses.
    pub fn default_beta(self) -> f64 {
        match self {
            DeltaPreference { .. } => 5.0,
            SimPo { .. } => 2.0,
            _ => 0.1,
        }
    }

    /// The settings that it alone reads.
    fn own(&mut self) -> Vec<(Setting, &mut f64)> {
        use Setting::*;
        match self {
            Sigmoid { label_smoothing }
            | Robust { label_smoothing }
            | DeltaPreference { label_smoothing }
            | ExoPair { label_smoothing }
            | Aot { label_smoothing }
            | AotUnpaired { label_smoothing } => vec![(LabelSmoothing, label_smoothing)],
            SimPo {
                gamma,
                label_smoothing,
            } => vec![(Gamma, gamma), (LabelSmoothing, label_smoothing)],
            Kto {
                desirable_weight,
                undesirable_weight,
            } => vec![
                (DesirableWeight, desirable_weight),
                (UndesirableWeight, undesirable_weight),
            ],
            Discopop { tau } => vec![(Tau, tau)],
            Hinge | Ipo | IpoSum | Orpo | ApoZero | ApoDown | NcaPair | BcoPair | SppoHard => {
                vec![]
            }
        }
    }

    /// Whether it compares the policy with a frozen reference model.
    pub fn needs_reference(self) -> bool {
        !matches!(self, SimPo { .. } | Orpo)
    }

    /// Whether it compares means per token, and not sums.
    pub(super) fn per_token(self) -> bool {
        matches!(self, SimPo { .. } | Orpo | DeltaPreference { .. } | Ipo)
    }

    /// Whether it reads the batch's KL estimate, [`PairLogProbs::kl`](crate::PairLogProbs::kl).
    pub fn needs_kl(self) -> bool {
        matches!(self, Kto { .. })
    }

    /// Whether it sorts the batch and reads [`PairLogProbs::partners`](crate::PairLogProbs::partners).
    pub fn needs_partners(self) -> bool {
        matches!(self, Aot { .. } | AotUnpaired { .. })
    }
}

impl fmt::Display for PreferenceLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PreferenceLoss {
    type Err = LossError;

    /// The loss of a name, with the settings of its own public trainer.
    fn from_str(name: &str) -> Result<Self, LossError> {
        Self::ALL
            .into_iter()
            .find(|loss| loss.name() == name)
            .ok_or_else(|| LossError::UnknownName {
                what: "preference loss",
                name: name.into(),
                known: Self::ALL.map(Self::name).to_vec(),
                meant: match name {
                    "dpo" => Some("`sigmoid`".into()),
                    "cdpo" => Some("`sigmoid` with `--label-smoothing` above 0".into()),
                    "sigmoid_norm" | "dpo_norm" | "sigmoid-norm" | "dpo-norm" => {
                        Some("`delta-preference`".into())
                    }
                    // TRL's older names.
                    "aot_pair" | "aot-pair" => Some("`aot`".into()),
                    _ => Self::ALL
                        .map(Self::name)
                        .into_iter()
                        .find(|known| *known == name.to_lowercase().replace('_', "-"))
                        .map(|known| format!("`{known}`")),
                },
            })
    }
}

/// A number that preference losses read, by its name in recipes and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Setting {
    /// `β`, the scale of the reward, of every loss. In IPO it plays the paper's `τ`, in ORPO its `λ`.
    Beta,
    /// Weight of the chosen response's negative log-likelihood per token, added to any loss.
    NllWeight,
    /// `ε`, the part of the pairs taken to be labelled the wrong way round.
    LabelSmoothing,
    /// `γ` of SimPO.
    Gamma,
    /// `τ` of DiscoPOP.
    Tau,
    /// KTO's weight of chosen responses.
    DesirableWeight,
    /// KTO's weight of rejected responses.
    UndesirableWeight,
}

impl Setting {
    /// Every setting.
    pub const ALL: [Self; 7] = [
        Self::Beta,
        Self::NllWeight,
        Self::LabelSmoothing,
        Self::Gamma,
        Self::Tau,
        Self::DesirableWeight,
        Self::UndesirableWeight,
    ];

    /// The name in recipes and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Beta => "beta",
            Self::NllWeight => "nll-weight",
            Self::LabelSmoothing => "label-smoothing",
            Self::Gamma => "gamma",
            Self::Tau => "tau",
            Self::DesirableWeight => "desirable-weight",
            Self::UndesirableWeight => "undesirable-weight",
        }
    }

    /// Refuses a value outside the setting's range.
    fn check(self, value: f64) -> Result<(), LossError> {
        let (holds, must) = match self {
            Self::Beta => (value > 0.0 && value.is_finite(), "above 0"),
            Self::LabelSmoothing => ((0.0..0.5).contains(&value), "at least 0 and below 0.5"),
            Self::Tau => (value > 0.0 && value <= 1.0, "above 0 and at most 1"),
            Self::NllWeight | Self::Gamma | Self::DesirableWeight | Self::UndesirableWeight => {
                (value >= 0.0 && value.is_finite(), "at least 0")
            }
        };
        check(holds, self.name(), value, must)
    }
}

/// A preference loss with all of its settings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Preference {
    /// The loss, and what it alone reads.
    pub loss: PreferenceLoss,
    /// `β`, the scale of the reward.
    pub beta: f64,
    /// Weight of the chosen response's negative log-likelihood per token, added to the loss.
    pub nll_weight: f64,
}

impl From<PreferenceLoss> for Preference {
    /// The loss at its own default `β`, without an NLL part.
    fn from(loss: PreferenceLoss) -> Self {
        Self {
            loss,
            beta: loss.default_beta(),
            nll_weight: 0.0,
        }
    }
}

impl Preference {
    fn settings_mut(&mut self) -> Vec<(Setting, &mut f64)> {
        let mut all = vec![
            (Setting::Beta, &mut self.beta),
            (Setting::NllWeight, &mut self.nll_weight),
        ];
        all.extend(self.loss.own());
        all
    }

    /// Every setting that the loss reads, with its value.
    pub fn settings(mut self) -> Vec<(Setting, f64)> {
        let settings = self.settings_mut().into_iter();
        settings.map(|(setting, value)| (setting, *value)).collect()
    }

    /// Sets a setting by its name.
    ///
    /// # Errors
    ///
    /// If the loss does not read it, whatever the value.
    pub fn set(&mut self, setting: Setting, value: f64) -> Result<(), LossError> {
        let loss = self.loss.name();
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
    pub fn check(&self) -> Result<(), LossError> {
        for (setting, value) in self.settings() {
            setting.check(value)?;
        }
        let (label_smoothing, must) = match self.loss {
            ExoPair { label_smoothing } => (label_smoothing, "above 0 for the loss `exo-pair`"),
            Robust { label_smoothing } => (
                label_smoothing,
                "above 0 for the loss `robust`, which is `sigmoid` without it",
            ),
            _ => return Ok(()),
        };
        check(
            label_smoothing > 0.0,
            Setting::LabelSmoothing.name(),
            label_smoothing,
            must,
        )
    }

    /// The loss of a pair in one line of plain text, as it is with these settings: `h_c = LP_c - LR_c` is the log-ratio of
    /// policy and reference, `n_c` the number of tokens.
    pub fn formula(&self) -> String {
        let logistic = |z: &str, label_smoothing: f64| match label_smoothing {
            0.0 => format!("-log sigmoid({z})"),
            _ => format!("-(1 - eps) log sigmoid(z) - eps log sigmoid(-z), z = {z}"),
        };
        let loss = match self.loss {
            Sigmoid { label_smoothing } => logistic("beta (h_c - h_r)", label_smoothing),
            DeltaPreference { label_smoothing } => {
                logistic("beta (h_c/n_c - h_r/n_r)", label_smoothing)
            }
            SimPo { label_smoothing, .. } => {
                logistic("beta (LP_c/n_c - LP_r/n_r) - gamma", label_smoothing)
            }
            Aot { label_smoothing } => logistic(
                "beta (sorted (LP_c - LP_r) - sorted (LR_c - LR_r))",
                label_smoothing,
            ),
            AotUnpaired { label_smoothing } => {
                logistic("beta (sorted h_c - sorted h_r)", label_smoothing)
            }
            Robust { .. } => "(-(1 - eps) log sigmoid(z) + eps log sigmoid(-z)) / (1 - 2 eps), z = beta (h_c - h_r)".into(),
            Hinge => "max(0, 1 - beta (h_c - h_r))".into(),
            Ipo => "(h_c/n_c - h_r/n_r - 1/(2 beta))^2".into(),
            IpoSum => "(h_c - h_r - 1/(2 beta))^2".into(),
            Orpo => "-LP_c/n_c - beta log sigmoid(log odds(LP_c/n_c) - log odds(LP_r/n_r))".into(),
            Kto { .. } => "(w_d sigmoid(beta (KL - h_c)) + w_u sigmoid(beta (h_r - KL))) / 2".into(),
            ApoZero => "1 - sigmoid(beta h_c) + sigmoid(beta h_r)".into(),
            ApoDown => "sigmoid(beta h_c) + 1 - sigmoid(beta (h_c - h_r))".into(),
            ExoPair { .. } => "q (log q - log(1 - eps)) + (1 - q) (log(1 - q) - log eps), q = sigmoid(beta (h_c - h_r))".into(),
            NcaPair => "-log sigmoid(beta h_c) - (log sigmoid(-beta h_c) + log sigmoid(-beta h_r)) / 2".into(),
            BcoPair => "-log sigmoid(beta h_c) - log sigmoid(-beta h_r)".into(),
            SppoHard => "(h_c - 1/(2 beta))^2 + (h_r + 1/(2 beta))^2".into(),
            Discopop { .. } => "-(1 - s) log sigmoid(z) + s exp(-z), s = sigmoid(z/tau), z = beta (h_c - h_r)".into(),
        };
        match self.nll_weight {
            0.0 => loss,
            _ => format!("{loss}; plus nll_weight (-LP_c/n_c)"),
        }
    }

    /// The loss of every pair while the policy still equals the reference, where that is a constant: `ln 2` for DPO. The
    /// NLL part, which depends on the responses, comes on top.
    ///
    /// None without a reference, where all of the value depends on the responses.
    pub fn step_zero_loss(&self) -> Option<f64> {
        let beta = self.beta;
        Some(match self.loss {
            SimPo { .. } | Orpo => return None,
            Sigmoid { .. }
            | DeltaPreference { .. }
            | Robust { .. }
            | Aot { .. }
            | AotUnpaired { .. } => LN_2,
            Hinge | ApoZero | ApoDown => 1.0,
            Ipo | IpoSum => 0.25 / (beta * beta),
            SppoHard => 0.5 / (beta * beta),
            NcaPair | BcoPair => 2.0 * LN_2,
            // The KL estimate is zero as well.
            Kto {
                desirable_weight,
                undesirable_weight,
            } => (desirable_weight + undesirable_weight) / 4.0,
            ExoPair { label_smoothing } => {
                -LN_2 - 0.5 * (label_smoothing.ln() + (1.0 - label_smoothing).ln())
            }
            Discopop { .. } => 0.5 * (LN_2 + 1.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_defaults() {
        for loss in PreferenceLoss::ALL {
            assert_eq!(loss.to_string().parse(), Ok(loss));
            let fine = Preference::from(loss).check();
            assert_eq!(fine.is_ok(), !matches!(loss, Robust { .. }), "{loss}");
        }
        let error = "dpo_norm".parse::<PreferenceLoss>().unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "it is called `delta-preference` here"
        );
        let error = "apo_zero".parse::<PreferenceLoss>().unwrap_err();
        assert_eq!(error.hint().unwrap(), "it is called `apo-zero` here");
        let error = "cdpo".parse::<PreferenceLoss>().unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "it is called `sigmoid` with `--label-smoothing` above 0 here"
        );
    }

    #[test]
    fn every_setting_is_read_by_some_loss_and_reached_by_its_name() {
        for setting in Setting::ALL {
            let mut readers = 0;
            for loss in PreferenceLoss::ALL {
                let mut loss = Preference::from(loss);
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
    fn formulas_are_of_the_settings() {
        let mut delta = Preference::from(DeltaPreference {
            label_smoothing: 0.0,
        });
        assert_eq!(delta.formula(), "-log sigmoid(beta (h_c/n_c - h_r/n_r))");
        delta.set(Setting::LabelSmoothing, 0.1).unwrap();
        delta.nll_weight = 0.2;
        assert_eq!(
            delta.formula(),
            "-(1 - eps) log sigmoid(z) - eps log sigmoid(-z), z = beta (h_c/n_c - h_r/n_r); plus nll_weight (-LP_c/n_c)"
        );
        let all = PreferenceLoss::ALL.map(|loss| Preference::from(loss).formula());
        for (i, formula) in all.iter().enumerate() {
            assert!(!all[..i].contains(formula), "{formula} is of two losses");
        }
    }
}
