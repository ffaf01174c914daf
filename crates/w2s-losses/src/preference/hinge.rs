//! The hinge loss on DPO's margin (SLiC, Zhao et al. 2023, arXiv 2305.10425; the form of TRL).
//!
//! ```text
//! L = max(0, 1 - β D)
//! ```
//!
//! `D` is `[pairs]`.

use burn::tensor::{Tensor, activation::relu};

pub(super) fn loss(difference: Tensor<1>, beta: f64) -> Tensor<1> {
    relu(difference.mul_scalar(-beta).add_scalar(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // 1 - .5 * 1 = .5; 1 - .5 * 3 is below zero; 1 - .5 * (-2) = 2.
        close(loss(vector(&[1.0, 3.0, -2.0]), 0.5), &[0.5, 0.0, 2.0]);
    }
}
