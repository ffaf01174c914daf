//! The entropy loss: the confidence loss with the student's soft prediction as its own target.
//!
//! `entropy` in the `w2s/loss.py` of EleutherAI/w2s.
//!
//! ```text
//! L = CE(z, (1 - a) w + a p)        p = softmax(z), without gradient
//! ```
//!
//! Each row stands for itself: no pass over the whole batch is needed. Any number of classes.
//!
//! # Shapes
//! logits `z` and weak labels `w` are `[rows, classes]`.

use burn::tensor::{Tensor, activation::softmax};

use crate::confidence::mix;
use crate::cross_entropy::cross_entropy_rows;

/// The entropy loss of each row, `[rows]`, with weight `a` on the student's own prediction.
pub fn entropy_rows(logits: Tensor<2>, weak: Tensor<2>, weight: f64) -> Tensor<1> {
    let own = softmax(logits.clone().detach(), 1);
    cross_entropy_rows(logits, mix(weak, own, weight))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, matrix};

    #[test]
    fn by_hand() {
        // p = (3/4, 1/4), w = (1/4, 3/4), a = 1/2: target (1/2, 1/2).
        let loss = -(0.75f64.ln() + 0.25f64.ln()) / 2.0;
        let rows = entropy_rows(matrix(&[[3f64.ln(), 0.0]]), matrix(&[[0.25, 0.75]]), 0.5);
        close(rows, &[loss]);
    }
}
