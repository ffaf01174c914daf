//! SimPO (Meng et al. 2024, arXiv 2405.14734, equation 6): mean log-probabilities as rewards, without a reference.
//!
//! ```text
//! L = -(1 - ε) log σ(z) - ε log σ(-z)        z = β (m_c - m_r) - γ
//! ```
//!
//! `γ` is the margin in rewards, TRL's `simpo_gamma`; open-instruct and the paper's code set `γ / β`. `m` is `[pairs]`.

use burn::tensor::Tensor;

use super::sigmoid::conservative;

pub(super) fn loss(difference: Tensor<1>, beta: f64, gamma: f64, smoothing: f64) -> Tensor<1> {
    conservative(difference.mul_scalar(beta).sub_scalar(gamma), smoothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // 2 * ln 3 - ln 3 = ln 3: -ln 3/4.
        let expected = [-(0.75f64.ln())];
        close(loss(vector(&[3f64.ln()]), 2.0, 3f64.ln(), 0.0), &expected);
    }
}
