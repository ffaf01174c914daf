//! Preference losses: which of two responses is better.
//!
//! One entry point, [`preference`], for all of [`PreferenceLoss`]; each loss stands in its own file with its equation.
//!
//! Notation of those files, for a pair of a chosen response `c` and a rejected one `r` to the same prompt:
//!
//! ```text
//! LP, LR   sum over response tokens of log π(y_t | x, y_<t), of the policy and of the frozen reference
//! n        number of response tokens
//! h        LP - LR                  the log-ratio, of each side
//! D        h_c - h_r
//! D̄        h_c / n_c - h_r / n_r    per token
//! m        LP / n                   mean log-probability, of each side
//! σ        sigmoid
//! ε        label smoothing
//! ```
//!
//! # Shapes
//! every tensor is `[pairs]`. No loss reads another pair of the batch, so micro-batches add up to the batch when each
//! gives back `loss.sum() / batch_pairs`; KTO's KL estimate over the batch and AOT's partners in it are passed in.

mod aot;
mod apo;
mod bco_pair;
mod delta_preference;
mod discopop;
mod exo_pair;
mod hinge;
mod ipo;
mod kto;
mod nca_pair;
mod orpo;
mod robust;
mod settings;
mod sigmoid;
mod simpo;
mod sppo_hard;

pub use aot::{AotPartners, aot_partners};
pub use kto::kto_kl;
pub use orpo::{MAX_MEAN_LOG_PROB, log_odds_ratio};
pub use settings::{Preference, PreferenceLoss, Setting};

use burn::tensor::Tensor;

use crate::error::LossError;
use crate::numeric::like;

/// Log-probabilities of one response to each prompt.
#[derive(Debug, Clone)]
pub struct ResponseLogProbs {
    /// Sum over the response's tokens, `[pairs]`.
    pub sum: Tensor<1>,
    /// Number of tokens in each sum, the end-of-sequence token included when it was scored.
    pub tokens: Vec<usize>,
}

impl ResponseLogProbs {
    /// Mean over each response's tokens, `[pairs]`.
    pub fn mean(&self) -> Tensor<1> {
        self.per_token(self.sum.clone())
    }

    fn per_token(&self, values: Tensor<1>) -> Tensor<1> {
        let counts: Vec<f64> = self.tokens.iter().map(|&n| n as f64).collect();
        let pairs = counts.len();
        let counts = like(counts, [pairs], &values);
        values / counts
    }
}

/// Log-probabilities of both responses to each prompt, under one model.
#[derive(Debug, Clone)]
pub struct PairLogProbs {
    /// The better response.
    pub chosen: ResponseLogProbs,
    /// The worse response.
    pub rejected: ResponseLogProbs,
    /// KTO's KL estimate of the whole batch, from [`kto_kl`].
    pub kl: Option<f64>,
    /// What `aot` and `aot-unpaired` compare each pair with: its part of [`aot_partners`] of the whole batch.
    pub partners: Option<AotPartners>,
}

impl PairLogProbs {
    /// Both responses, without what some losses read of the whole batch.
    pub fn new(chosen: ResponseLogProbs, rejected: ResponseLogProbs) -> Self {
        Self {
            chosen,
            rejected,
            kl: None,
            partners: None,
        }
    }

    /// `h / n` of both sides, chosen first: how far each has moved from the reference, in nats per token, without gradient.
    ///
    /// Both falling is the usual way for a preference loss to go wrong.
    pub fn displacement(&self, reference: &Self) -> (Tensor<1>, Tensor<1>) {
        let side = |policy: &ResponseLogProbs, reference: &ResponseLogProbs| {
            let ratio = policy.sum.clone().detach() - reference.sum.clone().detach();
            policy.per_token(ratio)
        };
        (
            side(&self.chosen, &reference.chosen),
            side(&self.rejected, &reference.rejected),
        )
    }

    fn sides(&self) -> [(&'static str, &ResponseLogProbs); 2] {
        [("chosen", &self.chosen), ("rejected", &self.rejected)]
    }

    /// Refuses counts that do not match and responses without tokens.
    fn check(&self) -> Result<usize, LossError> {
        let [pairs] = self.chosen.sum.dims();
        let count = |left, left_count: usize| {
            if left_count == pairs {
                return Ok(());
            }
            Err(LossError::Counts {
                left,
                left_count,
                right: "chosen log-probabilities",
                right_count: pairs,
            })
        };
        count("chosen token counts", self.chosen.tokens.len())?;
        count("rejected log-probabilities", self.rejected.sum.dims()[0])?;
        count("rejected token counts", self.rejected.tokens.len())?;
        if let Some(partners) = &self.partners {
            count("chosen partners", partners.chosen.len())?;
            count("rejected partners", partners.rejected.len())?;
        }
        for (side, response) in self.sides() {
            if let Some(pair) = response.tokens.iter().position(|&n| n == 0) {
                return Err(LossError::NoTokens { side, pair });
            }
        }
        Ok(pairs)
    }

    /// Refuses a reference that scored other tokens.
    fn check_reference(&self, reference: &Self) -> Result<(), LossError> {
        let right_count = reference.check()?;
        let [left_count] = self.chosen.sum.dims();
        if left_count != right_count {
            return Err(LossError::Counts {
                left: "pairs of the policy",
                left_count,
                right: "pairs of the reference",
                right_count,
            });
        }
        for ((side, ours), (_, theirs)) in self.sides().into_iter().zip(reference.sides()) {
            for (pair, (&policy, &reference)) in ours.tokens.iter().zip(&theirs.tokens).enumerate()
            {
                if policy != reference {
                    return Err(LossError::TokenCounts {
                        side,
                        pair,
                        policy,
                        reference,
                    });
                }
            }
        }
        Ok(())
    }
}

/// What a preference loss gives back.
#[derive(Debug, Clone)]
pub struct PreferenceOutput {
    /// The loss of each pair `[pairs]`, its NLL part included; the loss of a batch is the mean.
    pub loss: Tensor<1>,
    /// Reward of the chosen response `[pairs]` in the unit that the loss sees, without gradient.
    pub chosen_rewards: Tensor<1>,
    /// Reward of the rejected response `[pairs]`, likewise.
    pub rejected_rewards: Tensor<1>,
}

impl PreferenceOutput {
    /// Chosen less rejected reward, `[pairs]`.
    pub fn margins(&self) -> Tensor<1> {
        self.chosen_rewards.clone() - self.rejected_rewards.clone()
    }

    /// One where the chosen reward is strictly the larger, else zero, `[pairs]`: ties lose, as at the first step.
    pub fn accuracies(&self) -> Tensor<1> {
        let right = self
            .chosen_rewards
            .clone()
            .greater(self.rejected_rewards.clone());
        self.chosen_rewards.zeros_like().mask_fill(right, 1.0)
    }
}

/// What a loss compares, of both sides, summed and per token: log-ratios, or without a reference log-probabilities.
struct Compared {
    chosen: Tensor<1>,
    rejected: Tensor<1>,
    chosen_mean: Tensor<1>,
    rejected_mean: Tensor<1>,
}

impl Compared {
    fn new(policy: &PairLogProbs, reference: Option<&PairLogProbs>) -> Self {
        let ratio = |policy: &ResponseLogProbs, reference: Option<&ResponseLogProbs>| {
            let sum = policy.sum.clone();
            match reference {
                Some(reference) => sum - reference.sum.clone().detach(),
                None => sum,
            }
        };
        let chosen = ratio(&policy.chosen, reference.map(|r| &r.chosen));
        let rejected = ratio(&policy.rejected, reference.map(|r| &r.rejected));
        Self {
            chosen_mean: policy.chosen.per_token(chosen.clone()),
            rejected_mean: policy.rejected.per_token(rejected.clone()),
            chosen,
            rejected,
        }
    }

    /// `D`
    fn difference(&self) -> Tensor<1> {
        self.chosen.clone() - self.rejected.clone()
    }

    /// `D̄`
    fn difference_mean(&self) -> Tensor<1> {
        self.chosen_mean.clone() - self.rejected_mean.clone()
    }
}

/// Loss and rewards of a batch of pairs.
///
/// `reference` may be absent for a loss that [needs none](PreferenceLoss::needs_reference).
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use w2s_losses::{PairLogProbs, Preference, PreferenceLoss, ResponseLogProbs, preference};
///
/// let device = Device::flex();
/// let side = |sum: f32, tokens| ResponseLogProbs {
///     sum: Tensor::from_floats([sum], &device),
///     tokens: vec![tokens],
/// };
/// let reference = PairLogProbs::new(side(-13.0, 4), side(-18.0, 5));
/// let policy = PairLogProbs::new(side(-12.0, 4), side(-20.0, 5));
///
/// let loss = Preference::from("sigmoid".parse::<PreferenceLoss>()?);
/// assert_eq!(loss.beta, 0.1);
///
/// let start = preference(&loss, &reference, Some(&reference))?;
/// let known = loss.step_zero_loss().unwrap(); // ln 2
/// assert!((start.loss.into_scalar::<f32>() as f64 - known).abs() < 1e-6);
///
/// let later = preference(&loss, &policy, Some(&reference))?;
/// assert!((later.loss.clone().into_scalar::<f32>() - 0.554355).abs() < 1e-6);
/// assert_eq!(later.accuracies().into_scalar::<f32>(), 1.0);
/// # Ok::<(), w2s_losses::LossError>(())
/// ```
pub fn preference(
    what: &Preference,
    policy: &PairLogProbs,
    reference: Option<&PairLogProbs>,
) -> Result<PreferenceOutput, LossError> {
    use PreferenceLoss::*;

    what.check()?;
    policy.check()?;
    let Preference {
        loss,
        beta,
        nll_weight,
    } = *what;
    let reference = if loss.needs_reference() {
        let reference = reference.ok_or(LossError::NoReference { loss: loss.name() })?;
        policy.check_reference(reference)?;
        Some(reference)
    } else {
        None
    };
    let h = Compared::new(policy, reference);
    let sides = || (h.chosen.clone(), h.rejected.clone());
    let nll = || policy.chosen.mean().neg();
    let partners = || {
        let partners = policy.partners.as_ref();
        partners.ok_or(LossError::NoPartners { loss: loss.name() })
    };

    let value = match loss {
        Sigmoid { label_smoothing } => sigmoid::loss(h.difference(), beta, label_smoothing),
        Robust { label_smoothing } => robust::loss(h.difference(), beta, label_smoothing),
        Hinge => hinge::loss(h.difference(), beta),
        Ipo => ipo::loss(h.difference_mean(), beta),
        IpoSum => ipo::loss(h.difference(), beta),
        DeltaPreference { label_smoothing } => {
            delta_preference::loss(h.difference_mean(), beta, label_smoothing)
        }
        SimPo {
            gamma,
            label_smoothing,
        } => simpo::loss(h.difference_mean(), beta, gamma, label_smoothing),
        Orpo => orpo::loss(h.chosen_mean.clone(), h.rejected_mean.clone(), nll(), beta),
        Kto {
            desirable_weight,
            undesirable_weight,
        } => {
            let kl = policy.kl.ok_or(LossError::NoKl)?;
            kto::loss(sides(), beta, kl, [desirable_weight, undesirable_weight])
        }
        ApoZero => apo::zero(sides(), beta),
        ApoDown => apo::down(sides(), beta),
        ExoPair { label_smoothing } => exo_pair::loss(h.difference(), beta, label_smoothing),
        NcaPair => nca_pair::loss(sides(), beta),
        BcoPair => bco_pair::loss(sides(), beta),
        SppoHard => sppo_hard::loss(sides(), beta),
        Discopop { tau } => discopop::loss(h.difference(), beta, tau),
        Aot { label_smoothing } => aot::paired(policy, partners()?, &h, beta, label_smoothing),
        AotUnpaired { label_smoothing } => aot::unpaired(partners()?, &h, beta, label_smoothing),
    };
    let value = if nll_weight == 0.0 {
        value
    } else {
        value + nll().mul_scalar(nll_weight)
    };
    // The reward of a side is β times what the loss compares: a sum, a mean per token, a ratio or a log-probability.
    let (chosen, rejected) = if loss.per_token() {
        (h.chosen_mean, h.rejected_mean)
    } else {
        (h.chosen, h.rejected)
    };
    Ok(PreferenceOutput {
        loss: value,
        chosen_rewards: chosen.detach().mul_scalar(beta),
        rejected_rewards: rejected.detach().mul_scalar(beta),
    })
}
