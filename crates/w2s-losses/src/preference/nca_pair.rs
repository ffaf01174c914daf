//! Noise contrastive alignment on pairs (Chen et al. 2024, arXiv 2402.05369), `nca_pair` of TRL.
//!
//! ```text
//! L = -log σ(β h_c) - ½ log σ(-β h_c) - ½ log σ(-β h_r)
//! ```
//!
//! All are `[pairs]`.

use burn::tensor::Tensor;

use crate::numeric::neg_log_sigmoid;

pub(super) fn loss((chosen, rejected): (Tensor<1>, Tensor<1>), beta: f64) -> Tensor<1> {
    let (chosen, rejected) = (chosen.mul_scalar(beta), rejected.mul_scalar(beta));
    neg_log_sigmoid(chosen.clone())
        + (neg_log_sigmoid(chosen.neg()) + neg_log_sigmoid(rejected.neg())).mul_scalar(0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // h_c = ln 3, h_r = -ln 3: -ln 3/4 - ½ ln 1/4 - ½ ln 3/4.
        let expected = -1.5 * 0.75f64.ln() - 0.5 * 0.25f64.ln();
        let (c, r) = (vector(&[3f64.ln()]), vector(&[-(3f64.ln())]));
        close(loss((c, r), 1.0), &[expected]);
    }
}
