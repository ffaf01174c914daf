//! ORPO (Hong et al. 2024, arXiv 2403.07691, equation 6): imitation and odds ratio at once, without a reference.
//!
//! ```text
//! log-odds ratio = (m_c - m_r) - (log(1 - exp m_c) - log(1 - exp m_r))
//! L = NLL_c - β log σ(log-odds ratio)
//! ```
//!
//! `m` are mean log-probabilities and `β` is the paper's `λ`. `NLL_c = -m_c`, over the response only, where TRL takes the mean
//! over prompt and response. `m` is clamped to at most
//! [`MAX_MEAN_LOG_PROB`] inside the odds: at `m = 0`, a response that is certain, they are infinite. All are `[pairs]`.

use burn::tensor::Tensor;

use crate::numeric::{log1mexp, neg_log_sigmoid};

/// Largest mean log-probability inside the odds; a response above it is certain and pulls no further.
pub const MAX_MEAN_LOG_PROB: f64 = -1e-6;

/// Log of the ratio of the odds `P / (1 - P)` of two mean log-probabilities, `[pairs]`.
pub fn log_odds_ratio(chosen_mean: Tensor<1>, rejected_mean: Tensor<1>) -> Tensor<1> {
    let log_odds = |m: Tensor<1>| {
        let certain = m.clone().greater_elem(MAX_MEAN_LOG_PROB);
        let m = m.mask_fill(certain, MAX_MEAN_LOG_PROB);
        m.clone() - log1mexp(m)
    };
    log_odds(chosen_mean) - log_odds(rejected_mean)
}

pub(super) fn loss(
    chosen_mean: Tensor<1>,
    rejected_mean: Tensor<1>,
    nll: Tensor<1>,
    beta: f64,
) -> Tensor<1> {
    nll + neg_log_sigmoid(log_odds_ratio(chosen_mean, rejected_mean)).mul_scalar(beta)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // P = 3/4 and 1/2: odds 3 and 1, log-odds ratio ln 3, σ = 3/4. NLL ln 4/3, β = 2: ln 4/3 + 2 ln 4/3.
        let (c, r) = (vector(&[0.75f64.ln()]), vector(&[0.5f64.ln()]));
        close(log_odds_ratio(c.clone(), r.clone()), &[3f64.ln()]);
        close(loss(c.clone(), r, c.neg(), 2.0), &[3.0 * (4f64 / 3.0).ln()]);
    }
}
