//! The product loss of openai/weak-to-strong: the target is the student's own opinion times the label. It stands in the
//! repository, not in the paper's results.

use crate::{Labels, Logits};
use w2s_lm::ClassModel;
use w2s_losses::product_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// Learns the normalised product `p^beta w^alpha` of its own prediction and the label.
pub struct Product<M: ClassModel> {
    /// What it learns from.
    pub labels: Labels<M>,
    /// The exponents.
    pub product: w2s_losses::Product,
}

impl<M: ClassModel> Objective<M> for Product<M> {
    type Pass = Logits;

    fn forward(&mut self, model: &M, rows: &[usize], _: StepInfo) -> Result<Logits, TrainError> {
        Ok(self.labels.logits(model, rows))
    }

    fn loss(&mut self, pass: Logits, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let labels = self.labels.of(rows, info, &pass.logits.device())?; // [rows, classes]
        let w2s_losses::Product { alpha, beta } = self.product;
        let losses = product_rows(pass.logits.clone(), labels, alpha, beta);
        Ok(pass.share(losses, info))
    }

    fn held_out(&mut self, model: &M) -> Option<f64> {
        Some(self.labels.agreement(model))
    }
}
