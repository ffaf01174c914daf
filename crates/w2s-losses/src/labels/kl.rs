//! Kullback-Leibler divergence from the weak labels to the student: cross entropy less the labels' own entropy.
//!
//! `kl` in the `w2s/loss.py` of EleutherAI/w2s. Its gradient is the cross entropy's; its value is zero when the student agrees.
//!
//! ```text
//! L_i = Σ_c w_ic (log w_ic - log softmax(z_i)_c)        mean over rows; 0 log 0 = 0
//! ```
//!
//! # Shapes
//! logits `z` and weak labels `w` are `[rows, classes]`.

use burn::tensor::Tensor;

use super::cross_entropy::cross_entropy_rows;

/// The divergence of each row, `[rows]`.
pub fn kl_rows(logits: Tensor<2>, weak: Tensor<2>) -> Tensor<1> {
    let [rows, _] = logits.dims();
    let weak = weak.detach();
    let nothing = weak.clone().lower_equal_elem(0.0);
    let own = (weak.clone().mask_fill(nothing, 1.0).log() * weak.clone()).sum_dim(1); // [rows, 1]
    cross_entropy_rows(logits, weak) + own.reshape([rows])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, matrix};

    #[test]
    fn by_hand() {
        // p = (3/4, 1/4): nothing lost against w = p, ln 4/3 against w = (1, 0).
        let z = [3f64.ln(), 0.0];
        let rows = kl_rows(matrix(&[z, z]), matrix(&[[0.75, 0.25], [1.0, 0.0]]));
        close(rows, &[0.0, (4f64 / 3.0).ln()]);
    }
}
