//! IPO (Azar et al. 2023, arXiv 2310.12036, equation 17), with `β` in the place of its `τ`.
//!
//! ```text
//! ipo       L = (D̄ - 1/(2β))²        means per token: TRL, after its authors
//! ipo-sum   L = (D - 1/(2β))²        sums: OpenRLHF
//! ```
//!
//! Two different losses under one name in public code: with the same `β` they pull towards different margins.
//! `D` and `D̄` are `[pairs]`.

use burn::tensor::Tensor;

pub(super) fn loss(difference: Tensor<1>, beta: f64) -> Tensor<1> {
    difference.sub_scalar(0.5 / beta).square()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // β = .25: target 2. (3 - 2)² = 1 and (0 - 2)² = 4.
        close(loss(vector(&[3.0, 0.0]), 0.25), &[1.0, 4.0]);
    }
}
