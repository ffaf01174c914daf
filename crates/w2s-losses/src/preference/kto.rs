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
//! loss is their mean, which makes the mean over pairs TRL's mean over responses. All tensors are `[responses]`.

use burn::tensor::{Tensor, activation::sigmoid};

use super::settings::PreferenceSettings;
use crate::error::LossError;
use crate::numeric::like;

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
    Ok((sum / count as f64).max(0.0))
}

/// KTO on responses without partners: the loss of each, `[responses]`.
///
/// Reads `beta`, both weights and `kto_kl` of the settings; `desirable` says which side each response is on.
pub fn kto_rows(
    log_ratios: Tensor<1>,
    desirable: &[bool],
    settings: &PreferenceSettings,
) -> Result<Tensor<1>, LossError> {
    let [count] = log_ratios.dims();
    if desirable.len() != count {
        return Err(LossError::Counts {
            left: "log-ratios",
            left_count: count,
            right: "marks of desirable responses",
            right_count: desirable.len(),
        });
    }
    settings.check(super::PreferenceLoss::Kto)?;
    let kl = settings.kto_kl.ok_or(LossError::NoKl)?;
    let per_side = |yes: f64, no: f64| {
        let values = desirable.iter().map(|&d| if d { yes } else { no });
        like(values.collect(), [count], &log_ratios)
    };
    // 1 - σ(x) is σ(-x), which keeps its digits where σ(x) has rounded to one.
    let signs = per_side(-settings.beta, settings.beta);
    let weights = per_side(settings.desirable_weight, settings.undesirable_weight);
    Ok(sigmoid(log_ratios.clone().sub_scalar(kl) * signs) * weights)
}

pub(super) fn loss(
    chosen: Tensor<1>,
    rejected: Tensor<1>,
    settings: &PreferenceSettings,
) -> Result<Tensor<1>, LossError> {
    let [pairs] = chosen.dims();
    let chosen = kto_rows(chosen, &vec![true; pairs], settings)?;
    let rejected = kto_rows(rejected, &vec![false; pairs], settings)?;
    Ok((chosen + rejected).mul_scalar(0.5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PreferenceLoss;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // h - KL = ln 3 at β = 1: σ = 3/4. Desirable 2 (1 - 3/4), undesirable 1 - σ(-ln 3) = 3/4; their mean .625.
        let settings = PreferenceSettings {
            beta: 1.0,
            desirable_weight: 2.0,
            kto_kl: Some(1.0),
            ..PreferenceLoss::Kto.settings()
        };
        let h = vector(&[1.0 + 3f64.ln(); 2]);
        close(
            kto_rows(h.clone(), &[true, false], &settings).unwrap(),
            &[0.5, 0.75],
        );
        close(loss(h.clone(), h, &settings).unwrap(), &[0.625, 0.625]);
        // Mean of -1 - -3 and -5 - -4: (2 - 1) / 2. The other way round it is negative, and clamped.
        assert_eq!(kto_kl(&[-1.0, -5.0], &[-3.0, -4.0]), Ok(0.5));
        assert_eq!(kto_kl(&[-3.0, -4.0], &[-1.0, -5.0]), Ok(0.0));
        assert!(kto_kl(&[-1.0], &[-1.0]).is_err());
    }
}
