//! The product loss: weak label and student's prediction as two independent witnesses.
//!
//! `product` in the `weak_to_strong/loss.py` of openai/weak-to-strong; in the code only, not in the paper.
//!
//! ```text
//! t_c = p_c^β w_c^α / Σ_k p_k^β w_k^α        p = softmax(z), without gradient
//! L   = CE(z, t)                              mean over rows
//! ```
//!
//! The public code multiplies probabilities, and gets 0/0 where `p` underflows on the only class that `w` allows. Here
//! the product is a sum of logarithms, so a target is finite whenever its weak label has any mass. With `w` uniform and
//! `α = β = 1` the target is `p` and the gradient zero. Each row stands for itself: no pass over the whole batch is needed.
//!
//! # Shapes
//! logits `z`, weak labels `w` and targets `t` are `[rows, classes]`, any number of classes.

use burn::tensor::{
    Tensor,
    activation::{log_softmax, softmax},
};

use super::cross_entropy::cross_entropy_rows;

/// The exponents of a product loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Product {
    /// `α`, of the weak label.
    pub alpha: f64,
    /// `β`, of the student's own prediction.
    pub beta: f64,
}

impl Product {
    /// The exponents of its source.
    pub const DEFAULT: Self = Self {
        alpha: 1.0,
        beta: 1.0,
    };
}

/// The targets of the product loss, without gradient; `alpha` is the weak label's exponent, `beta` the student's.
pub fn product_targets(logits: Tensor<2>, weak: Tensor<2>, alpha: f64, beta: f64) -> Tensor<2> {
    let mut log_target = log_softmax(logits.detach(), 1).mul_scalar(beta);
    // w^0 is one also for w = 0, where 0 * log 0 would be NaN.
    if alpha != 0.0 {
        log_target = log_target + weak.detach().log().mul_scalar(alpha);
    }
    softmax(log_target, 1)
}

/// The product loss of each row, `[rows]`; the mean of a batch is `rows.sum() / batch_rows`.
pub fn product_rows(logits: Tensor<2>, weak: Tensor<2>, alpha: f64, beta: f64) -> Tensor<1> {
    let targets = product_targets(logits.clone(), weak, alpha, beta);
    cross_entropy_rows(logits, targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, matrix};

    #[test]
    fn by_hand() {
        // p = (3/4, 1/4) and w = (1/4, 3/4) cancel: the target is (1/2, 1/2). With β = 0 it is w, with α = 0 it is p.
        let (z, w) = (matrix(&[[3f64.ln(), 0.0]]), matrix(&[[0.25, 0.75]]));
        let target = |alpha, beta| product_targets(z.clone(), w.clone(), alpha, beta);
        close(target(1.0, 1.0), &[0.5, 0.5]);
        close(target(1.0, 0.0), &[0.25, 0.75]);
        close(target(0.0, 1.0), &[0.75, 0.25]);
        // β = 2: 9/16 * 1/4 against 1/16 * 3/4, that is 3 to 1.
        close(target(1.0, 2.0), &[0.75, 0.25]);
        let loss = -(0.75f64.ln() + 0.25f64.ln()) / 2.0;
        close(product_rows(z.clone(), w.clone(), 1.0, 1.0), &[loss]);
    }
}
