//! The window loss of EleutherAI/w2s: imitates the labels of those rows of which the student is not sure yet.

use crate::{Labels, Logits};
use w2s_lm::ClassModel;
use w2s_losses::window_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// Leaves alone what the student is sure of.
pub struct Window<M: ClassModel> {
    /// What it learns from.
    pub labels: Labels<M>,
    /// How sure that is.
    pub window: w2s_losses::Window,
}

impl<M: ClassModel> Objective<M> for Window<M> {
    type Pass = Logits;

    fn forward(&mut self, model: &M, rows: &[usize], _: StepInfo) -> Result<Logits, TrainError> {
        Ok(self.labels.logits(model, rows))
    }

    fn loss(&mut self, pass: Logits, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let labels = self.labels.of(rows, info, &pass.logits.device())?; // [rows, classes]
        let losses = window_rows(pass.logits.clone(), labels, self.window.radius);
        Ok(pass.share(losses, info))
    }

    fn held_out(&mut self, model: &M) -> Option<f64> {
        Some(self.labels.agreement(model))
    }
}
