//! DiscoPOP (Lu et al. 2024, arXiv 2406.08414): a loss found by search, `discopop` of TRL.
//!
//! ```text
//! L = -(1 - s) log σ(z) + s exp(-z)        z = β D, s = σ(z / τ)
//! ```
//!
//! On badly ranked pairs `exp(-z)` overflows while `s` vanishes; their product is computed as one exponential, which is
//! bounded for `τ ≤ 1`. `D` is `[pairs]`.

use burn::tensor::{Tensor, activation::sigmoid};

use crate::numeric::neg_log_sigmoid;

pub(super) fn loss(difference: Tensor<1>, beta: f64, tau: f64) -> Tensor<1> {
    let z = difference.mul_scalar(beta);
    let blend = z.clone().div_scalar(tau);
    let logistic = neg_log_sigmoid(z.clone()) * sigmoid(blend.clone().neg());
    let exponential = (neg_log_sigmoid(blend) + z).neg().exp();
    logistic + exponential
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // z = ln 3, τ = 1: σ = s = 3/4, so ¼ ln 4/3 + ¾ * ⅓. At z = -3000: -log σ(z) = 3000 and nothing else.
        let expected = 0.25 * (4f64 / 3.0).ln() + 0.25;
        close(loss(vector(&[3f64.ln()]), 1.0, 1.0), &[expected]);
        close(loss(vector(&[-3000.0]), 1.0, 0.05), &[3000.0]);
    }
}
