//! The window loss: cross entropy on the rows of which the student is not sure yet.
//!
//! `window` in the `w2s/loss.py` of EleutherAI/w2s.
//!
//! ```text
//! L_i = CE(z_i, w_i) if max_c p_ic < 1/2 + radius, else 0        mean over all rows of the batch
//! ```
//!
//! Each row stands for itself: no pass over the whole batch is needed.
//!
//! # Shapes
//! logits `z` and weak labels `w` are `[rows, classes]`.

use burn::tensor::{Tensor, activation::softmax};

use super::cross_entropy::cross_entropy_rows;

/// A window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Window {
    /// How far above one half the student's larger probability may lie.
    pub radius: f64,
}

impl Window {
    /// The radius of its source.
    pub const DEFAULT: Self = Self { radius: 0.15 };
}

/// The window loss of each row, `[rows]`; zero on rows outside the window, which still count in the mean.
pub fn window_rows(logits: Tensor<2>, weak: Tensor<2>, radius: f64) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let sure = softmax(logits.clone().detach(), 1)
        .max_dim(1) // [rows, 1]
        .reshape([rows])
        .greater_equal_elem(0.5 + radius);
    cross_entropy_rows(logits, weak).mask_fill(sure, 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, matrix};

    #[test]
    fn by_hand() {
        // p = (3/4, 1/4): inside a radius of .3, outside one of .2. Cross entropy against (1, 0) is -ln 3/4.
        let rows = |radius| window_rows(matrix(&[[3f64.ln(), 0.0]]), matrix(&[[1.0, 0.0]]), radius);
        close(rows(0.3), &[-(0.75f64.ln())]);
        close(rows(0.2), &[0.0]);
    }
}
