//! Length-normalised DPO: `sigmoid_norm` of TRL, `dpo_norm` of open-instruct, and the loss of delta learning
//! (Geng et al. 2025, arXiv 2507.06187).
//!
//! ```text
//! L = -(1 - ε) log σ(β D̄) - ε log σ(-β D̄)        D̄ = h_c / n_c - h_r / n_r
//! ```
//!
//! On means per token, `β = 5` acts like `5 / n` on sums. `D̄` is `[pairs]`.

use burn::tensor::Tensor;

use super::sigmoid::conservative;

pub(super) fn loss(difference_mean: Tensor<1>, beta: f64, smoothing: f64) -> Tensor<1> {
    conservative(difference_mean.mul_scalar(beta), smoothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // h = ln 3 over 2 tokens against -ln 3 over 4: D̄ = ln 3 (1/2 + 1/4), β = 4/3: z = ln 3, so -ln 3/4.
        let d = vector(&[3f64.ln() * 0.75]);
        close(loss(d, 4.0 / 3.0, 0.0), &[-(0.75f64.ln())]);
    }
}
