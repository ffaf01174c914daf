//! Binary classifier optimisation on pairs (Jung et al. 2024, arXiv 2404.04656), `bco_pair` of TRL's DPO trainer.
//!
//! ```text
//! L = -log σ(β h_c) - log σ(-β h_r)
//! ```
//!
//! Without the paper's running mean of rewards, as in that trainer. All are `[pairs]`.

use burn::tensor::Tensor;

use crate::numeric::neg_log_sigmoid;

pub(super) fn loss((chosen, rejected): (Tensor<1>, Tensor<1>), beta: f64) -> Tensor<1> {
    neg_log_sigmoid(chosen.mul_scalar(beta)) + neg_log_sigmoid(rejected.mul_scalar(-beta))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // h_c = h_r = ln 3: -ln 3/4 - ln 1/4.
        let h = vector(&[3f64.ln()]);
        close(loss((h.clone(), h), 1.0), &[-(0.1875f64.ln())]);
    }
}
