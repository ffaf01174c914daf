//! Alignment via optimal transport (Melnyk et al. 2024, arXiv 2406.05882): the sorted differences of a batch instead of
//! its pairs, `aot` and `aot_unpaired` of TRL.
//!
//! ```text
//! aot            L = -(1 - ε) log σ(β z) - ε log σ(-β z)        z = sort(LP_c - LP_r) - sort(LR_c - LR_r)
//! aot-unpaired   the same                                       z = sort(h_c) - sort(h_r)
//! ```
//!
//! Sorting belongs to the whole batch: [`aot_partners`] says once what stands at the same rank as each pair, and every
//! micro-batch gets its share of that. In `aot` the partner is another pair under the reference, a constant. In
//! `aot-unpaired` it is the other side of another pair, which may stand in another micro-batch: each side is then
//! compared with a constant, and a pair has half the loss of either side, but their whole gradients. Over the batch that
//! is the loss and its gradient. All tensors are `[pairs]`.

use burn::tensor::Tensor;

use super::sigmoid::conservative;
use super::{Compared, PairLogProbs, PreferenceLoss};
use crate::error::LossError;
use crate::numeric::{host, like};

/// What each pair of a batch is compared with by the losses that sort it; from [`aot_partners`].
#[derive(Debug, Clone, PartialEq)]
pub struct AotPartners {
    /// `aot`: the reference's log-probability of the chosen response at the same rank. `aot-unpaired`: the chosen
    /// log-ratio at the rank of the rejected one.
    pub chosen: Vec<f64>,
    /// `aot`: the same of the rejected response. `aot-unpaired`: the rejected log-ratio at the rank of the chosen one.
    pub rejected: Vec<f64>,
}

impl AotPartners {
    /// The partners of some pairs of the batch.
    pub fn of(&self, pairs: impl IntoIterator<Item = usize>) -> Self {
        let (chosen, rejected) = pairs
            .into_iter()
            .map(|pair| (self.chosen[pair], self.rejected[pair]))
            .unzip();
        Self { chosen, rejected }
    }
}

/// What stands at the same rank as each pair of a whole batch. Equal values keep the order of the batch.
///
/// # Errors
///
/// Log-probabilities that do not belong together, and a batch of one pair, which has no order.
pub fn aot_partners(
    loss: PreferenceLoss,
    policy: &PairLogProbs,
    reference: &PairLogProbs,
) -> Result<AotPartners, LossError> {
    let count = policy.check()?;
    policy.check_reference(reference)?;
    if count < 2 {
        return Err(LossError::TooSmall {
            what: "the order of a batch",
            count,
            needed: 2,
        });
    }
    let sums = |side: &Tensor<1>| host(side);
    let minus = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
    let [policy_c, policy_r] = [&policy.chosen.sum, &policy.rejected.sum].map(sums);
    let [reference_c, reference_r] = [&reference.chosen.sum, &reference.rejected.sum].map(sums);
    Ok(if matches!(loss, PreferenceLoss::Aot { .. }) {
        let ours = minus(&policy_c, &policy_r);
        let partner = at_rank(&ours, &minus(&reference_c, &reference_r));
        AotPartners {
            chosen: partner.iter().map(|&pair| reference_c[pair]).collect(),
            rejected: partner.iter().map(|&pair| reference_r[pair]).collect(),
        }
    } else {
        let (h_c, h_r) = (
            minus(&policy_c, &reference_c),
            minus(&policy_r, &reference_r),
        );
        let (of_rejected, of_chosen) = (at_rank(&h_r, &h_c), at_rank(&h_c, &h_r));
        AotPartners {
            chosen: of_rejected.iter().map(|&pair| h_c[pair]).collect(),
            rejected: of_chosen.iter().map(|&pair| h_r[pair]).collect(),
        }
    })
}

/// For each of `ours`, which of `theirs` has its rank.
fn at_rank(ours: &[f64], theirs: &[f64]) -> Vec<usize> {
    let order = |values: &[f64]| {
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        order
    };
    let mut partners = vec![0; ours.len()];
    for (ours, theirs) in order(ours).into_iter().zip(order(theirs)) {
        partners[ours] = theirs;
    }
    partners
}

/// Partners as tensors beside `h`.
fn tensors(partners: &AotPartners, h: &Compared) -> [Tensor<1>; 2] {
    [&partners.chosen, &partners.rejected]
        .map(|values| like(values.clone(), [values.len()], &h.chosen))
}

pub(super) fn paired(
    policy: &PairLogProbs,
    partners: &AotPartners,
    h: &Compared,
    beta: f64,
    smoothing: f64,
) -> Tensor<1> {
    let [chosen, rejected] = tensors(partners, h);
    let z = (policy.chosen.sum.clone() - chosen) - (policy.rejected.sum.clone() - rejected);
    conservative(z.mul_scalar(beta), smoothing)
}

pub(super) fn unpaired(
    partners: &AotPartners,
    h: &Compared,
    beta: f64,
    smoothing: f64,
) -> Tensor<1> {
    let [chosen, rejected] = tensors(partners, h);
    let sides = conservative((h.chosen.clone() - rejected).mul_scalar(beta), smoothing)
        + conservative((chosen - h.rejected.clone()).mul_scalar(beta), smoothing);
    // Half the value, the whole gradient.
    sides.clone() - sides.detach().mul_scalar(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResponseLogProbs;
    use crate::numeric::tests::{close, vector};

    const AOT: PreferenceLoss = PreferenceLoss::Aot {
        label_smoothing: 0.0,
    };
    const UNPAIRED: PreferenceLoss = PreferenceLoss::AotUnpaired {
        label_smoothing: 0.0,
    };

    fn pairs(chosen: &[f64], rejected: &[f64]) -> PairLogProbs {
        let side = |sums: &[f64]| ResponseLogProbs {
            sum: vector(sums),
            tokens: vec![1; sums.len()],
        };
        PairLogProbs::new(side(chosen), side(rejected))
    }

    #[test]
    fn by_hand() {
        let ln3 = 3f64.ln();
        // Differences of the policy are ln 3 and -ln 3, of the reference -2 ln 3 and 0: at the same rank stand 0 and
        // -2 ln 3, and z is ln 3 twice.
        let policy = pairs(&[-1.0, -1.0 - ln3], &[-1.0 - ln3, -1.0]);
        let reference = pairs(&[-2.0 - 2.0 * ln3, -2.0], &[-2.0, -2.0]);
        let partners = aot_partners(AOT, &policy, &reference).unwrap();
        let h = Compared::new(&policy, Some(&reference));
        close(
            paired(&policy, &partners, &h, 1.0, 0.0),
            &[-(0.75f64.ln()); 2],
        );
        // h_c is ln 3 and 0, h_r is -ln 3 and 0: sorted, z is ln 3 twice; of the pairs themselves it is 2 ln 3 and 0.
        let reference = pairs(&[-1.0 - ln3, -1.0 - ln3], &[-1.0; 2]);
        let partners = aot_partners(UNPAIRED, &policy, &reference).unwrap();
        assert_eq!(partners.of([1]).rejected, partners.rejected[1..]);
        let h = Compared::new(&policy, Some(&reference));
        close(unpaired(&partners, &h, 1.0, 0.0), &[-(0.75f64.ln()); 2]);
    }

    #[test]
    fn one_pair_has_no_order() {
        let one = pairs(&[-1.0], &[-2.0]);
        assert_eq!(
            aot_partners(AOT, &one, &one).unwrap_err().to_string(),
            "the order of a batch needs at least 2 entries but has 1"
        );
    }
}
