//! Anchored preference optimisation (D'Oosterlinck et al. 2024, arXiv 2408.06266), `apo_zero` and `apo_down` of TRL.
//!
//! ```text
//! apo-zero   L = 1 - σ(β h_c) + σ(β h_r)      chosen up, rejected down: the chosen response is better than the policy's own
//! apo-down   L = σ(β h_c) + 1 - σ(β D)        both down, rejected further: the chosen response is worse than the policy's own
//! ```
//!
//! All are `[pairs]`.

use burn::tensor::{Tensor, activation::sigmoid};

pub(super) fn zero((chosen, rejected): (Tensor<1>, Tensor<1>), beta: f64) -> Tensor<1> {
    // 1 - σ(x) is σ(-x), which keeps its digits where σ(x) has rounded to one.
    sigmoid(chosen.mul_scalar(-beta)) + sigmoid(rejected.mul_scalar(beta))
}

pub(super) fn down((chosen, rejected): (Tensor<1>, Tensor<1>), beta: f64) -> Tensor<1> {
    let difference = chosen.clone() - rejected;
    sigmoid(chosen.mul_scalar(beta)) + sigmoid(difference.mul_scalar(-beta))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // σ(ln 3) = 3/4, σ(-ln 3) = 1/4, σ(2 ln 3) = 9/10. Zero: 1/4 + 1/4; down: 3/4 + 1/10.
        let (c, r) = (vector(&[3f64.ln()]), vector(&[-(3f64.ln())]));
        close(zero((c.clone(), r.clone()), 1.0), &[0.5]);
        close(down((c, r), 1.0), &[0.85]);
    }
}
