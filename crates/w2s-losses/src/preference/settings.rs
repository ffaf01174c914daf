//! The names of the preference losses, the settings of each with its own defaults, and the loss before the first step.

use std::{f64::consts::LN_2, fmt, str::FromStr};

use crate::error::{LossError, check};

/// A preference loss. `D`, `D̄`, `h` and `m` as in [`preference`](crate::preference)'s file; every one is a mean over pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PreferenceLoss {
    /// DPO: `-log σ(β D)`. With label smoothing, conservative DPO.
    Sigmoid,
    /// DPO made unbiased under flipped preferences; can be negative.
    Robust,
    /// `max(0, 1 - β D)`
    Hinge,
    /// `(D̄ - 1/(2β))²`, on means per token.
    Ipo,
    /// `(D - 1/(2β))²`, on sums.
    IpoSum,
    /// Length-normalised DPO, the loss of delta learning: `-log σ(β D̄)`. With label smoothing, conservative.
    DeltaPreference,
    /// `-log σ(β (m_c - m_r) - γ)`, without a reference. With label smoothing, conservative.
    SimPo,
    /// `-m_c - β log σ(log-odds ratio)`, without a reference.
    Orpo,
    /// Prospect theory: each side against the KL estimate of the batch.
    Kto,
    /// `1 - σ(β h_c) + σ(β h_r)`, for chosen responses better than the policy's own.
    ApoZero,
    /// `σ(β h_c) + 1 - σ(β D)`, for chosen responses worse than the policy's own.
    ApoDown,
    /// Reverse KL to the smoothed preference; needs label smoothing.
    ExoPair,
    /// Noise contrastive alignment on pairs.
    NcaPair,
    /// Binary classifier optimisation on pairs.
    BcoPair,
    /// Self-play preference optimisation with hard probabilities.
    SppoHard,
    /// The discovered loss: logistic and exponential, blended by `σ(β D / τ)`.
    Discopop,
    /// Optimal transport: sorted differences of the policy against sorted ones of the reference.
    Aot,
    /// Optimal transport: sorted chosen log-ratios against sorted rejected ones.
    AotUnpaired,
}

use PreferenceLoss::*;

impl PreferenceLoss {
    /// Every loss.
    pub const ALL: [Self; 18] = [
        Sigmoid,
        Robust,
        Hinge,
        Ipo,
        IpoSum,
        DeltaPreference,
        SimPo,
        Orpo,
        Kto,
        ApoZero,
        ApoDown,
        ExoPair,
        NcaPair,
        BcoPair,
        SppoHard,
        Discopop,
        Aot,
        AotUnpaired,
    ];

    /// The name in recipes and flags.
    pub fn name(self) -> &'static str {
        match self {
            Sigmoid => "sigmoid",
            Robust => "robust",
            Hinge => "hinge",
            Ipo => "ipo",
            IpoSum => "ipo-sum",
            DeltaPreference => "delta-preference",
            SimPo => "simpo",
            Orpo => "orpo",
            Kto => "kto",
            ApoZero => "apo-zero",
            ApoDown => "apo-down",
            ExoPair => "exo-pair",
            NcaPair => "nca-pair",
            BcoPair => "bco-pair",
            SppoHard => "sppo-hard",
            Discopop => "discopop",
            Aot => "aot",
            AotUnpaired => "aot-unpaired",
        }
    }

    /// The loss of a pair in one line of plain text, as it is with these settings: `h_c = LP_c - LR_c` is the log-ratio of
    /// policy and reference, `n_c` the number of tokens.
    pub fn formula(self, settings: &PreferenceSettings) -> String {
        let logistic = |z: &str| match settings.label_smoothing {
            0.0 => format!("-log sigmoid({z})"),
            _ => format!("-(1 - eps) log sigmoid(z) - eps log sigmoid(-z), z = {z}"),
        };
        let loss = match self {
            Sigmoid => logistic("beta (h_c - h_r)"),
            DeltaPreference => logistic("beta (h_c/n_c - h_r/n_r)"),
            SimPo => logistic("beta (LP_c/n_c - LP_r/n_r) - gamma"),
            Aot => logistic("beta (sorted (LP_c - LP_r) - sorted (LR_c - LR_r))"),
            AotUnpaired => logistic("beta (sorted h_c - sorted h_r)"),
            Robust => "(-(1 - eps) log sigmoid(z) + eps log sigmoid(-z)) / (1 - 2 eps), z = beta (h_c - h_r)".into(),
            Hinge => "max(0, 1 - beta (h_c - h_r))".into(),
            Ipo => "(h_c/n_c - h_r/n_r - 1/(2 beta))^2".into(),
            IpoSum => "(h_c - h_r - 1/(2 beta))^2".into(),
            Orpo => "-LP_c/n_c - beta log sigmoid(log odds(LP_c/n_c) - log odds(LP_r/n_r))".into(),
            Kto => "(w_d sigmoid(beta (KL - h_c)) + w_u sigmoid(beta (h_r - KL))) / 2".into(),
            ApoZero => "1 - sigmoid(beta h_c) + sigmoid(beta h_r)".into(),
            ApoDown => "sigmoid(beta h_c) + 1 - sigmoid(beta (h_c - h_r))".into(),
            ExoPair => "q (log q - log(1 - eps)) + (1 - q) (log(1 - q) - log eps), q = sigmoid(beta (h_c - h_r))".into(),
            NcaPair => "-log sigmoid(beta h_c) - (log sigmoid(-beta h_c) + log sigmoid(-beta h_r)) / 2".into(),
            BcoPair => "-log sigmoid(beta h_c) - log sigmoid(-beta h_r)".into(),
            SppoHard => "(h_c - 1/(2 beta))^2 + (h_r + 1/(2 beta))^2".into(),
            Discopop => "-(1 - s) log sigmoid(z) + s exp(-z), s = sigmoid(z/tau), z = beta (h_c - h_r)".into(),
        };
        match settings.nll_weight {
            0.0 => loss,
            _ => format!("{loss}; plus nll_weight (-LP_c/n_c)"),
        }
    }

    /// `β` of the loss's own public trainer: it is not portable between losses.
    pub fn default_beta(self) -> f64 {
        match self {
            DeltaPreference => 5.0,
            SimPo => 2.0,
            _ => 0.1,
        }
    }

    /// The settings of the loss's own public trainer.
    pub fn settings(self) -> PreferenceSettings {
        PreferenceSettings {
            beta: self.default_beta(),
            // The loss is infinite without smoothing; this is its paper's value.
            label_smoothing: if self == ExoPair { 1e-3 } else { 0.0 },
            ..PreferenceSettings::NEUTRAL
        }
    }

    /// Whether it compares the policy with a frozen reference model.
    pub fn needs_reference(self) -> bool {
        !matches!(self, SimPo | Orpo)
    }

    /// Whether it reads the batch's KL estimate, [`PreferenceSettings::kto_kl`].
    pub fn needs_kl(self) -> bool {
        self == Kto
    }

    /// Whether it sorts the batch and reads [`PairLogProbs::partners`](crate::PairLogProbs::partners).
    pub fn needs_partners(self) -> bool {
        matches!(self, Aot | AotUnpaired)
    }

    /// Whether it reads a setting, by the name of its field. All losses read `beta` and `nll_weight`.
    pub fn reads(self, setting: &str) -> bool {
        match setting {
            "label_smoothing" => matches!(
                self,
                Sigmoid | Robust | DeltaPreference | SimPo | ExoPair | Aot | AotUnpaired
            ),
            "gamma" => self == SimPo,
            "tau" => self == Discopop,
            "desirable_weight" | "undesirable_weight" | "kto_kl" => self == Kto,
            _ => true,
        }
    }

    /// Refuses a setting that was given, be it at its default, to a loss that does not read it.
    pub fn check_reads(self, name: &'static str, value: f64) -> Result<(), LossError> {
        if self.reads(name) {
            return Ok(());
        }
        let loss = self.name();
        Err(LossError::UnusedSetting { name, value, loss })
    }

    /// The loss of every pair while the policy still equals the reference, where that is a constant: `ln 2` for DPO. The
    /// NLL part, which depends on the responses, comes on top.
    ///
    /// None without a reference, where all of the value depends on the responses.
    pub fn step_zero_loss(self, settings: &PreferenceSettings) -> Option<f64> {
        let PreferenceSettings {
            beta,
            label_smoothing,
            desirable_weight,
            undesirable_weight,
            ..
        } = *settings;
        Some(match self {
            SimPo | Orpo => return None,
            Sigmoid | DeltaPreference | Robust | Aot | AotUnpaired => LN_2,
            Hinge | ApoZero | ApoDown => 1.0,
            Ipo | IpoSum => 0.25 / (beta * beta),
            SppoHard => 0.5 / (beta * beta),
            NcaPair | BcoPair => 2.0 * LN_2,
            // The KL estimate is zero as well.
            Kto => (desirable_weight + undesirable_weight) / 4.0,
            ExoPair => -LN_2 - 0.5 * (label_smoothing.ln() + (1.0 - label_smoothing).ln()),
            Discopop => 0.5 * (LN_2 + 1.0),
        })
    }
}

impl fmt::Display for PreferenceLoss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for PreferenceLoss {
    type Err = LossError;

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

/// Settings of a preference loss; start from [`PreferenceLoss::settings`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PreferenceSettings {
    /// `β`, the scale of the reward, above zero. In IPO it plays the paper's `τ`, in ORPO its `λ`.
    pub beta: f64,
    /// `ε`, the part of the pairs taken to be labelled the wrong way round, in `[0, 1/2)`.
    pub label_smoothing: f64,
    /// Weight of the chosen response's negative log-likelihood per token, added to any loss; not below zero.
    pub nll_weight: f64,
    /// `γ`, SimPO's target margin of rewards; not below zero.
    pub gamma: f64,
    /// `τ`, DiscoPOP's temperature, in `(0, 1]`: above one the loss is unbounded on bad pairs.
    pub tau: f64,
    /// KTO's weight of chosen responses, not below zero.
    pub desirable_weight: f64,
    /// KTO's weight of rejected responses, not below zero.
    pub undesirable_weight: f64,
    /// KTO's KL estimate of the whole batch, from [`kto_kl`](crate::kto_kl); new at every step.
    pub kto_kl: Option<f64>,
}

impl PreferenceSettings {
    /// Values at which a setting that belongs to another loss may stand.
    const NEUTRAL: Self = Self {
        beta: 0.1,
        label_smoothing: 0.0,
        nll_weight: 0.0,
        gamma: 0.5,
        tau: 0.05,
        desirable_weight: 1.0,
        undesirable_weight: 1.0,
        kto_kl: None,
    };

    /// Refuses values outside their range, and values that `loss` would not read.
    pub fn check(&self, loss: PreferenceLoss) -> Result<(), LossError> {
        let Self {
            beta,
            label_smoothing,
            nll_weight,
            gamma,
            tau,
            desirable_weight,
            undesirable_weight,
            kto_kl,
        } = *self;
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let weight = |x: f64| x >= 0.0 && x.is_finite();
        check(positive(beta), "beta", beta, "above 0")?;
        check(
            (0.0..0.5).contains(&label_smoothing),
            "label_smoothing",
            label_smoothing,
            "at least 0 and below 0.5",
        )?;
        if loss == ExoPair {
            check(
                label_smoothing > 0.0,
                "label_smoothing",
                label_smoothing,
                "above 0 for the loss `exo-pair`",
            )?;
        }
        check(
            positive(tau) && tau <= 1.0,
            "tau",
            tau,
            "above 0 and at most 1",
        )?;
        for (name, value) in [
            ("nll_weight", nll_weight),
            ("gamma", gamma),
            ("desirable_weight", desirable_weight),
            ("undesirable_weight", undesirable_weight),
            ("kto_kl", kto_kl.unwrap_or(0.0)),
        ] {
            check(weight(value), name, value, "at least 0")?;
        }

        let neutral = Self::NEUTRAL;
        for (name, value, given) in [
            ("label_smoothing", label_smoothing, label_smoothing != 0.0),
            ("gamma", gamma, gamma != neutral.gamma),
            ("tau", tau, tau != neutral.tau),
            (
                "desirable_weight",
                desirable_weight,
                desirable_weight != 1.0,
            ),
            (
                "undesirable_weight",
                undesirable_weight,
                undesirable_weight != 1.0,
            ),
            ("kto_kl", kto_kl.unwrap_or(0.0), kto_kl.is_some()),
        ] {
            if given {
                loss.check_reads(name, value)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_defaults() {
        for loss in PreferenceLoss::ALL {
            assert_eq!(loss.to_string().parse(), Ok(loss));
            assert_eq!(loss.settings().check(loss), Ok(()));
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
    fn formulas_are_of_the_settings() {
        let mut settings = DeltaPreference.settings();
        assert_eq!(
            DeltaPreference.formula(&settings),
            "-log sigmoid(beta (h_c/n_c - h_r/n_r))"
        );
        settings.label_smoothing = 0.1;
        settings.nll_weight = 0.2;
        assert_eq!(
            DeltaPreference.formula(&settings),
            "-(1 - eps) log sigmoid(z) - eps log sigmoid(-z), z = beta (h_c/n_c - h_r/n_r); plus nll_weight (-LP_c/n_c)"
        );
        let all = PreferenceLoss::ALL.map(|loss| loss.formula(&loss.settings()));
        for (i, formula) in all.iter().enumerate() {
            assert!(!all[..i].contains(formula), "{formula} is of two losses");
        }
    }
}
