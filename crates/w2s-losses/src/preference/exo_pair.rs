//! EXO on pairs (Ji et al. 2024, arXiv 2402.00856, equation 16), `exo_pair` of TRL.
//!
//! ```text
//! L = q_c (log q_c - log(1 - ε)) + q_r (log q_r - log ε)        q_c = σ(β D), q_r = σ(-β D)
//! ```
//!
//! The reverse KL from the policy's preference to the label's, infinite without smoothing. `D` is `[pairs]`.

use burn::tensor::{Tensor, activation::sigmoid};

use crate::numeric::neg_log_sigmoid;

pub(super) fn loss(difference: Tensor<1>, beta: f64, smoothing: f64) -> Tensor<1> {
    let z = difference.mul_scalar(beta);
    let side = |z: Tensor<1>, label: f64| {
        sigmoid(z.clone()) * neg_log_sigmoid(z).neg().sub_scalar(label.ln())
    };
    side(z.clone(), 1.0 - smoothing) + side(z.neg(), smoothing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // q = (3/4, 1/4). Equal to the label at ε = 1/4; at ε = 1/8: 3/4 ln((3/4)/(7/8)) + 1/4 ln((1/4)/(1/8)).
        let z = vector(&[3f64.ln()]);
        close(loss(z.clone(), 1.0, 0.25), &[0.0]);
        let expected = 0.75 * (6f64 / 7.0).ln() + 0.25 * 2f64.ln();
        close(loss(z, 1.0, 0.125), &[expected]);
    }
}
