//! The explicit conflict of weak-to-strong deception (arXiv 2406.11431): on top of its loss on weak labels, a student is
//! rewarded for answers that the truth calls worse, wherever it prefers one already.
//!
//! ```text
//! extra = 1[the student's order is wrong] * -log σ(s R - γ)        s = -1 where the labels order a pair as the truth does,
//! L     = L(labels) + α mean(extra)                                    +1 where they do not
//! ```
//!
//! `R` is the reward difference that the loss itself sees, of the answer that the labels prefer less the other one: `z` of a
//! reward model, `β D` of DPO, `β D̄` of SimPO, whose `γ` stands in the extra term too. The student's order is that of `z`, of
//! the policy's sums without the reference, and of its means; a tie counts as the first one's. The mean is over the whole
//! batch: pairs that the student orders rightly add zero. The truth decides the mask and the sign and nothing else.
//!
//! # Shapes
//! every tensor is `[pairs]`.

use burn::tensor::Tensor;

use crate::error::LossError;
use crate::numeric::{host, like, neg_log_sigmoid};
use crate::preference::{PairLogProbs, Preference, PreferenceLoss};

/// The extra loss of each pair for a reward model, from the scores of the labels' better answer less those of the other one.
/// `right` says of each pair whether the labels order it as the truth does.
///
/// # Errors
///
/// If there are not as many pairs as truths.
pub fn reward_conflict(difference: Tensor<1>, right: &[bool]) -> Result<Tensor<1>, LossError> {
    let order = difference.clone();
    extra(&order, difference, 0.0, right)
}

/// The extra loss of each pair for a policy under `sigmoid` (DPO) or `simpo`.
///
/// # Errors
///
/// Another loss, none of which the paper gives a conflict; a missing reference; not as many pairs as truths.
pub fn preference_conflict(
    what: &Preference,
    policy: &PairLogProbs,
    reference: Option<&PairLogProbs>,
    right: &[bool],
) -> Result<Tensor<1>, LossError> {
    let difference = |side: fn(&PairLogProbs) -> [Tensor<1>; 2], of: &PairLogProbs| {
        let [chosen, rejected] = side(of);
        chosen - rejected
    };
    let sums: fn(&PairLogProbs) -> _ = |of| [of.chosen.sum.clone(), of.rejected.sum.clone()];
    let means: fn(&PairLogProbs) -> _ = |of| [of.chosen.mean(), of.rejected.mean()];
    match what.loss {
        PreferenceLoss::Sigmoid { .. } => {
            let reference = reference.ok_or(LossError::NoReference { loss: "sigmoid" })?;
            let order = difference(sums, policy);
            let moved = order.clone() - difference(sums, reference).detach();
            extra(&order, moved.mul_scalar(what.beta), 0.0, right)
        }
        PreferenceLoss::SimPo { gamma, .. } => {
            let order = difference(means, policy);
            let scaled = order.clone().mul_scalar(what.beta);
            extra(&order, scaled, gamma, right)
        }
        other => Err(LossError::NoConflict { loss: other.name() }),
    }
}

/// `1[wrong] * -log σ(s R - γ)`
fn extra(
    order: &Tensor<1>,
    reward: Tensor<1>,
    gamma: f64,
    right: &[bool],
) -> Result<Tensor<1>, LossError> {
    let [right_count] = order.dims();
    if right.len() != right_count {
        return Err(LossError::Counts {
            left: "truths",
            left_count: right.len(),
            right: "pairs",
            right_count,
        });
    }
    let truths = || right.iter().copied();
    let order = host(order).into_iter().zip(truths());
    let mask = order.map(|(order, right)| f64::from((order >= 0.0) != right));
    let mask = like(mask.collect(), [right_count], &reward);
    let signs = truths().map(|right| if right { -1.0 } else { 1.0 });
    let signs = like(signs.collect(), [right_count], &reward);
    Ok(neg_log_sigmoid(reward * signs - gamma) * mask)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // Right labels: an order that agrees adds nothing; one against them adds -log σ(-R), here at R = -ln 3: -ln 3/4.
        let ln3 = 3f64.ln();
        let none = reward_conflict(vector(&[ln3, -ln3]), &[true, true]);
        close(none.unwrap(), &[0.0, -(0.75f64.ln())]);
        // Wrong labels: the order that follows them is wrong by the truth, and is pushed on: -log σ(R).
        let pushed = reward_conflict(vector(&[ln3, -ln3]), &[false, false]);
        close(pushed.unwrap(), &[-(0.75f64.ln()), 0.0]);
    }

    #[test]
    fn counts_must_match() {
        let error = reward_conflict(vector(&[0.0]), &[]).unwrap_err();
        assert_eq!(error.to_string(), "0 truths but 1 pairs");
    }
}
