//! The reward model's loss (Bradley and Terry 1952; the form of TRL's reward trainer).
//!
//! ```text
//! L = -log σ(r_c - r_r - margin) + weight (r_c + r_r)²        mean over pairs
//! ```
//!
//! The margin says by how much the chosen response is better, where that is known; the second term keeps scores around zero
//! (Eisenstein et al. 2023, arXiv 2312.09244).
//!
//! # Shapes
//! scores and margins are `[pairs]`; a score is read at the response's last token.

use burn::tensor::Tensor;

use crate::error::{LossError, check};
use crate::numeric::neg_log_sigmoid;
use crate::preference::PreferenceOutput;

/// A reward model's scores of both responses to each prompt.
#[derive(Debug, Clone)]
pub struct PairScores {
    /// Of the better response, `[pairs]`.
    pub chosen: Tensor<1>,
    /// Of the worse response, `[pairs]`.
    pub rejected: Tensor<1>,
}

/// Loss of each pair, with the scores as rewards. `margin` is `[pairs]`, `centre_weight` not below zero.
pub fn reward_model(
    scores: &PairScores,
    margin: Option<Tensor<1>>,
    centre_weight: f64,
) -> Result<PreferenceOutput, LossError> {
    let must = "at least 0";
    let fine = centre_weight >= 0.0 && centre_weight.is_finite();
    check(fine, "centre_weight", centre_weight, must)?;
    let (chosen, rejected) = (scores.chosen.clone(), scores.rejected.clone());
    let [right_count] = chosen.dims();
    let margins = margin.as_ref().map_or(right_count, |m| m.dims()[0]);
    for (left, left_count) in [
        ("rejected scores", rejected.dims()[0]),
        ("margins", margins),
    ] {
        if left_count != right_count {
            return Err(LossError::Counts {
                left,
                left_count,
                right: "chosen scores",
                right_count,
            });
        }
    }
    let mut difference = chosen.clone() - rejected.clone();
    if let Some(margin) = margin {
        difference = difference - margin;
    }
    let mut loss = neg_log_sigmoid(difference);
    if centre_weight != 0.0 {
        let centre = (chosen.clone() + rejected.clone()).square();
        loss = loss + centre.mul_scalar(centre_weight);
    }
    Ok(PreferenceOutput {
        loss,
        chosen_rewards: chosen.detach(),
        rejected_rewards: rejected.detach(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::numeric::tests::{close, vector};

    #[test]
    fn by_hand() {
        // r_c - r_r - margin = 2 - 1 - (1 - ln 3) = ln 3: -ln 3/4; and .01 * (2 + 1)² = .09.
        let scores = PairScores {
            chosen: vector(&[2.0]),
            rejected: vector(&[1.0]),
        };
        let margin = vector(&[1.0 - 3f64.ln()]);
        let output = reward_model(&scores, Some(margin), 0.01).unwrap();
        close(output.margins(), &[1.0]);
        close(output.loss, &[-(0.75f64.ln()) + 0.09]);
    }
}
