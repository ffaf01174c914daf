//! Weak labels moved so that a batch holds both classes equally.
//!
//! `balance_batch` of EleutherAI/w2s, for a teacher that is biased towards one class.
//!
//! ```text
//! w_1 <- σ(logit(w_1) - mean over the batch of logit(w_1))        logit(x) = log(x + ε) - log(1 - x + ε), ε = 1e-7
//! ```
//!
//! # Shapes
//! weak labels are `[rows, 2]`, with all rows of the batch.

use burn::tensor::Tensor;

use crate::error::LossError;
use crate::numeric::{host, like};

/// The weak labels `[rows, 2]` of a whole batch with the mean of their log-odds taken out.
pub fn balance_batch(weak: &Tensor<2>) -> Result<Tensor<2>, LossError> {
    let [rows, classes] = weak.dims();
    if classes != 2 {
        let loss = "balance-batch";
        return Err(LossError::NotBinary { loss, classes });
    }
    const EPS: f64 = 1e-7;
    let logits: Vec<f64> = host(weak)
        .as_chunks::<2>()
        .0
        .iter()
        .map(|w| (w[1] + EPS).ln() - (1.0 - w[1] + EPS).ln())
        .collect();
    let mean = logits.iter().sum::<f64>() / rows as f64;
    let balanced = logits
        .iter()
        .flat_map(|logit| {
            let first = 1.0 / (1.0 + (mean - logit).exp());
            [1.0 - first, first]
        })
        .collect();
    Ok(like(balanced, [rows, 2], weak))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::matrix;

    #[test]
    fn by_hand() {
        // Odds 3 and 3: the mean takes all of it away. Odds 9 and 1: divided by 3 (the geometric mean) 3 and 1/3.
        for (weak, expected) in [([0.75, 0.75], [0.5, 0.5]), ([0.9, 0.5], [0.75, 0.25])] {
            let rows = matrix(&weak.map(|w| [1.0 - w, w]));
            let got = host(&balance_batch(&rows).unwrap());
            // The ε of the source moves the sixth digit.
            assert!((got[1] - expected[0]).abs() < 1e-6 && (got[3] - expected[1]).abs() < 1e-6);
        }
    }
}
