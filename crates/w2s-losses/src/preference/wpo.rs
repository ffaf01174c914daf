//! The weight of weighted preference optimisation (Zhou et al. 2024, arXiv 2406.11827): pairs that the policy would say
//! itself count more.
//!
//! ```text
//! w = min(1, exp(m_c + m_r))        without gradient
//! ```
//!
//! Any loss of a pair may be multiplied by it. open-instruct's `wpo_loss` means this, but its shapes only agree for a batch
//! of one, where it takes sums instead of means. `w` is `[pairs]`.

use burn::tensor::Tensor;

use super::PairLogProbs;

/// The weight of each pair under the policy, `[pairs]`.
pub fn wpo_weight(policy: &PairLogProbs) -> Tensor<1> {
    let means = policy.chosen.mean() + policy.rejected.mean();
    means.detach().exp().clamp_max(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ResponseLogProbs;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // Means -ln 2 over two tokens and -ln 3 over one: 1/2 * 1/3. And never above one.
        let side = |sums: [f64; 2], tokens: usize| ResponseLogProbs {
            sum: vector(&sums),
            tokens: vec![tokens; 2],
        };
        let policy = PairLogProbs::new(
            side([-2.0 * 2f64.ln(), 1e-3], 2),
            side([-(3f64.ln()), 0.0], 1),
        );
        close(wpo_weight(&policy), &[1.0 / 6.0, 1.0]);
    }
}
