//! The divergence from the labels, `kl` of EleutherAI/w2s: cross entropy whose zero is agreement, with the same gradient.

use crate::{Labels, Logits};
use w2s_lm::ClassModel;
use w2s_losses::kl_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// Imitates the labels; its loss is zero where it agrees with them.
pub struct Kl<M: ClassModel> {
    /// What it learns from.
    pub labels: Labels<M>,
}

impl<M: ClassModel> Objective<M> for Kl<M> {
    type Pass = Logits;

    fn forward(&mut self, model: &M, rows: &[usize], _: StepInfo) -> Result<Logits, TrainError> {
        Ok(self.labels.logits(model, rows))
    }

    fn loss(&mut self, pass: Logits, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let labels = self.labels.of(rows, info, &pass.logits.device())?; // [rows, classes]
        let losses = kl_rows(pass.logits.clone(), labels);
        Ok(pass.share(losses, info))
    }

    fn held_out(&mut self, model: &M) -> Option<f64> {
        Some(self.labels.agreement(model))
    }
}
