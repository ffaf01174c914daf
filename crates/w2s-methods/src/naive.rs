//! Naive finetuning: cross entropy against the labels as they are (arXiv 2312.09390, section 4.2). With gold labels it makes the
//! weak teacher and the strong ceiling.

use crate::{Labels, Logits};
use w2s_lm::ClassModel;
use w2s_losses::cross_entropy_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// Imitates the labels, soft or hard.
pub struct Naive<M: ClassModel> {
    /// What it learns from.
    pub labels: Labels<M>,
}

impl<M: ClassModel> Objective<M> for Naive<M> {
    type Pass = Logits;

    fn forward(&mut self, model: &M, rows: &[usize], _: StepInfo) -> Result<Logits, TrainError> {
        Ok(self.labels.logits(model, rows))
    }

    fn loss(&mut self, pass: Logits, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let labels = self.labels.of(rows, info, &pass.logits.device())?; // [rows, classes]
        let losses = cross_entropy_rows(pass.logits.clone(), labels);
        Ok(pass.share(losses, info))
    }

    fn held_out(&mut self, model: &M) -> Option<f64> {
        Some(self.labels.agreement(model))
    }
}
