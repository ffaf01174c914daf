//! Robust DPO (Chowdhury et al. 2024, arXiv 2403.00409), `robust` of TRL.
//!
//! ```text
//! L = [-(1 - ε) log σ(β D) + ε log σ(-β D)] / (1 - 2ε)
//! ```
//!
//! Its expectation under labels flipped with probability `ε` is DPO's under clean ones. It can be negative, and that is no
//! error. `D` is `[pairs]`.

use burn::tensor::Tensor;

use crate::numeric::neg_log_sigmoid;

pub(super) fn loss(difference: Tensor<1>, beta: f64, smoothing: f64) -> Tensor<1> {
    let z = difference.mul_scalar(beta);
    (neg_log_sigmoid(z.clone()).mul_scalar(1.0 - smoothing)
        - neg_log_sigmoid(z.neg()).mul_scalar(smoothing))
    .div_scalar(1.0 - 2.0 * smoothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // σ(ln 3) = 3/4, ε = 1/4: (-3/4 ln 3/4 + 1/4 ln 1/4) / (1/2).
        let expected = 2.0 * (-0.75 * 0.75f64.ln() + 0.25 * 0.25f64.ln());
        close(loss(vector(&[3f64.ln()]), 1.0, 0.25), &[expected]);
    }
}
