//! The entropy loss: the confidence loss with the student's soft prediction as its own target.
//!
//! `entropy` in the `w2s/loss.py` of EleutherAI/w2s.
//!
//! ```text
//! L = CE(z, (1 - a) w + a p)        p = softmax(z), without gradient; a = a_max min(1, s/u) at progress s, warm-up u
//! ```
//!
//! Each row stands for itself: no pass over the whole batch is needed. Any number of classes.
//!
//! # Shapes
//! logits `z` and weak labels `w` are `[rows, classes]`.

use burn::tensor::{Tensor, activation::softmax};

use super::confidence::{mix, ramp};
use super::cross_entropy::cross_entropy_rows;

/// An entropy loss with its schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entropy {
    /// `a_max`, the weight of the student's own prediction after the warm-up.
    pub max_weight: f64,
    /// The part of the training that the warm-up takes.
    pub warmup_fraction: f64,
}

impl Entropy {
    /// The settings of its source.
    pub const DEFAULT: Self = Self {
        max_weight: 0.5,
        warmup_fraction: 0.1,
    };

    /// The weight `a` at a step, given as `step / steps` with steps counted from zero.
    pub fn weight(&self, step_fraction: f64) -> f64 {
        ramp(step_fraction, self.warmup_fraction) * self.max_weight
    }
}

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
        // Half of the warm-up of a tenth is done after a twentieth.
        assert_eq!(Entropy::DEFAULT.weight(0.05), 0.25);
        assert_eq!(Entropy::DEFAULT.weight(0.5), 0.5);
    }
}
