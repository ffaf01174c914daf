//! KTO (Ethayarajh et al. 2024, arXiv 2402.01306): every response by itself, against a common reference point.
//!
//! ```text
//! desirable     L = w_d (1 - σ(β (h - KL)))
//! undesirable   L = w_u (1 - σ(β (KL - h)))
//! KL = max(0, mean over the batch of h on mismatched responses)        without gradient
//! ```
//!
//! The mismatched response of a prompt is its neighbour's in the batch. `KL` belongs to the whole batch: it is computed once
//! with [`kto_kl`] and passed to every micro-batch. A pair gives one desirable and one undesirable response, so its
//! loss is their mean, which makes the mean over pairs TRL's mean over responses. All tensors are `[pairs]`.

use burn::tensor::{Tensor, activation::sigmoid};

use crate::error::LossError;

/// The KL estimate of a batch from log-probabilities of mismatched responses: prompts with their neighbour's response, summed
/// over tokens, under policy and reference.
pub fn kto_kl(policy: &[f32], reference: &[f32]) -> Result<f64, LossError> {
    if policy.len() != reference.len() {
        return Err(LossError::Counts {
            left: "mismatched responses of the policy",
            left_count: policy.len(),
            right: "mismatched responses of the reference",
            right_count: reference.len(),
        });
    }
    let count = policy.len();
    if count < 2 {
        return Err(LossError::TooSmall {
            what: "the KL estimate of `kto`",
            count,
            needed: 2,
        });
    }
    let ratio = |(p, r): (&f32, &f32)| f64::from(*p) - f64::from(*r);
    let sum: f64 = policy.iter().zip(reference).map(ratio).sum();
    let mean = sum / count as f64;
    // What is no number stays none: the larger of it and zero would be zero.
    Ok(if mean < 0.0 { 0.0 } else { mean })
}

/// Of pairs, whose two responses count the same; the weights are those of desirable and undesirable ones.
pub(super) fn loss(
    (chosen, rejected): (Tensor<1>, Tensor<1>),
    beta: f64,
    kl: f64,
    [desirable, undesirable]: [f64; 2],
) -> Tensor<1> {
    // 1 - σ(x) is σ(-x), which keeps its digits where σ(x) has rounded to one.
    let chosen = sigmoid(chosen.sub_scalar(kl).mul_scalar(-beta)).mul_scalar(desirable);
    let rejected = sigmoid(rejected.sub_scalar(kl).mul_scalar(beta)).mul_scalar(undesirable);
    (chosen + rejected).mul_scalar(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // h - KL = ln 3 at β = 1: σ = 3/4. Desirable 2 (1 - 3/4), undesirable 1 - σ(-ln 3) = 3/4; their mean .625.
        let h = vector(&[1.0 + 3f64.ln(); 2]);
        let weights = [2.0, 1.0];
        close(loss((h.clone(), h), 1.0, 1.0, weights), &[0.625, 0.625]);
        // Mean of -1 - -3 and -5 - -4: (2 - 1) / 2. The other way round it is negative, and clamped.
        assert_eq!(kto_kl(&[-1.0, -5.0], &[-3.0, -4.0]), Ok(0.5));
        assert_eq!(kto_kl(&[-3.0, -4.0], &[-1.0, -5.0]), Ok(0.0));
        assert!(kto_kl(&[f32::NAN, -4.0], &[-1.0, -5.0]).is_ok_and(f64::is_nan));
        assert!(kto_kl(&[-1.0], &[-1.0]).is_err());
    }
}
