//! The entropy loss of EleutherAI/w2s: the confidence loss with the student's soft prediction as its own target, row by row.

use crate::{Labels, Logits};
use w2s_lm::ClassModel;
use w2s_losses::entropy_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// May disagree with the labels where the student is sure of itself, as much as it is sure.
pub struct Entropy<M: ClassModel> {
    /// What it learns from.
    pub labels: Labels<M>,
    /// The schedule of the weight.
    pub entropy: w2s_losses::Entropy,
}

impl<M: ClassModel> Objective<M> for Entropy<M> {
    type Pass = Logits;

    fn forward(&mut self, model: &M, rows: &[usize], _: StepInfo) -> Result<Logits, TrainError> {
        Ok(self.labels.logits(model, rows))
    }

    fn loss(&mut self, pass: Logits, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let labels = self.labels.of(rows, info, &pass.logits.device())?; // [rows, classes]
        let weight = self.entropy.weight(info.fraction());
        let losses = entropy_rows(pass.logits.clone(), labels, weight);
        Ok(pass.share(losses, info))
    }

    fn held_out(&mut self, model: &M) -> Option<f64> {
        Some(self.labels.agreement(model))
    }
}
