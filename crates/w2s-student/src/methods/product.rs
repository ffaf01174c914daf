//! The product loss of openai/weak-to-strong: the target is the student's own opinion times the label. It stands in the
//! repository, not in the paper's results.

use w2s_lm::{Classifier, LabelledRows};
use w2s_losses::product_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// Learns the normalised product `p^beta w^alpha` of its own prediction and the label.
pub struct Product {
    /// What is trained on.
    pub rows: LabelledRows,
    /// What early stopping looks at: the labels of other rows, from the same teacher.
    pub held_out: LabelledRows,
    /// Exponent of the label.
    pub alpha: f64,
    /// Exponent of the student's own prediction.
    pub beta: f64,
}

impl Objective<Classifier> for Product {
    fn loss(
        &mut self,
        model: &Classifier,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let (logits, tokens) = self.rows.logits(model, rows); // [rows, classes]
        let labels = self.rows.targets(rows, &logits.device());
        Ok(Loss {
            value: product_rows(logits, labels, self.alpha, self.beta).sum()
                / info.batch.len() as f64,
            tokens,
            metrics: Vec::new(),
        })
    }

    fn held_out(&mut self, model: &Classifier) -> Option<f64> {
        Some(self.held_out.agreement(model))
    }
}
