//! Self-play preference optimisation with hard probabilities (Wu et al. 2024, arXiv 2405.00675), `sppo_hard` of TRL.
//!
//! ```text
//! L = (h_c - 1/(2β))² + (h_r + 1/(2β))²
//! ```
//!
//! All are `[pairs]`.

use burn::tensor::Tensor;

pub(super) fn loss((chosen, rejected): (Tensor<1>, Tensor<1>), beta: f64) -> Tensor<1> {
    let target = 0.5 / beta;
    chosen.sub_scalar(target).square() + rejected.add_scalar(target).square()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // β = .25: target 2. (3 - 2)² + (1 + 2)² = 10.
        close(loss((vector(&[3.0]), vector(&[1.0])), 0.25), &[10.0]);
    }
}
