//! Soft-label cross entropy: the student imitates the weak label.
//!
//! Naive finetuning of Burns et al. 2023 (arXiv 2312.09390), `xent` in openai/weak-to-strong.
//!
//! ```text
//! CE(z, t)_i = - Σ_c t_ic log softmax(z_i)_c          mean over the rows of the batch
//! dCE/dz     = (softmax(z) - t) / rows
//! ```
//!
//! # Shapes
//! logits `z` and targets `t` are `[rows, classes]`; the rows of `t` sum to one. No gradient flows into `t`.

use burn::tensor::{Tensor, activation::log_softmax};

/// Mean cross entropy of logits `[rows, classes]` against soft targets `[rows, classes]`; a scalar `[1]`.
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    cross_entropy_rows(logits, targets).mean()
}

/// Cross entropy of each row, `[rows]`.
///
/// Micro-batches of one batch add up to its mean when each gives back `rows.sum() / batch_rows`.
pub fn cross_entropy_rows(logits: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    let [rows, classes] = logits.dims();
    assert_eq!(
        targets.dims(),
        [rows, classes],
        "targets must have the shape of the logits"
    );
    (log_softmax(logits, 1) * targets.detach())
        .sum_dim(1) // [rows, 1]
        .reshape([rows])
        .neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, matrix};

    #[test]
    fn by_hand() {
        // Logits ln 3 and 0: p = (3/4, 1/4). Targets (1, 0): -ln 3/4; targets (1/2, 1/2): -(ln 3/4 + ln 1/4) / 2.
        let logits = matrix(&[[3f64.ln(), 0.0], [3f64.ln(), 0.0]]);
        let targets = matrix(&[[1.0, 0.0], [0.5, 0.5]]);
        let rows = [-(0.75f64.ln()), -(0.75f64.ln() + 0.25f64.ln()) / 2.0];
        close(cross_entropy_rows(logits.clone(), targets.clone()), &rows);
        close(cross_entropy(logits, targets), &[(rows[0] + rows[1]) / 2.0]);
    }
}
