//! DPO (Rafailov et al. 2023, arXiv 2305.18290, equation 7), and conservative DPO with label smoothing.
//!
//! ```text
//! L = -(1 - ε) log σ(β D) - ε log σ(-β D)
//! ```
//!
//! With `ε = 0` it is `-log σ(β D)`. TRL ignores label smoothing for this loss; open-instruct, OpenRLHF and torchtune apply
//! it as here. `D` is `[pairs]`.

use burn::tensor::Tensor;

use crate::numeric::neg_log_sigmoid;

pub(super) fn loss(difference: Tensor<1>, beta: f64, smoothing: f64) -> Tensor<1> {
    conservative(difference.mul_scalar(beta), smoothing)
}

/// `-(1 - ε) log σ(z) - ε log σ(-z)`
pub(super) fn conservative(logits: Tensor<1>, smoothing: f64) -> Tensor<1> {
    if smoothing == 0.0 {
        return neg_log_sigmoid(logits);
    }
    neg_log_sigmoid(logits.clone()).mul_scalar(1.0 - smoothing)
        + neg_log_sigmoid(logits.neg()).mul_scalar(smoothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // β D = .5 * 2 ln 3 = ln 3: σ = 3/4, so -ln 3/4; smoothed by .1, -.9 ln 3/4 - .1 ln 1/4.
        let d = vector(&[2.0 * 3f64.ln()]);
        close(loss(d.clone(), 0.5, 0.0), &[-(0.75f64.ln())]);
        let smoothed = -0.9 * 0.75f64.ln() - 0.1 * 0.25f64.ln();
        close(loss(d, 0.5, 0.1), &[smoothed]);
    }
}
