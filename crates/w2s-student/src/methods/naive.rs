//! Naive finetuning: cross entropy against the labels as they are (arXiv 2312.09390, section 4.2).

use w2s_lm::{Classifier, LabelledRows};
use w2s_losses::cross_entropy_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// Imitates the labels, soft or hard.
pub struct Naive {
    /// What is trained on.
    pub rows: LabelledRows,
    /// What early stopping looks at: the labels of other rows, from the same teacher.
    pub held_out: LabelledRows,
}

impl Objective<Classifier> for Naive {
    fn loss(
        &mut self,
        model: &Classifier,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let (logits, tokens) = self.rows.logits(model, rows); // [rows, classes]
        let targets = self.rows.targets(rows, &logits.device());
        Ok(Loss {
            value: cross_entropy_rows(logits, targets).sum() / info.batch.len() as f64,
            tokens,
            metrics: Vec::new(),
        })
    }

    fn held_out(&mut self, model: &Classifier) -> Option<f64> {
        Some(self.held_out.agreement(model))
    }
}
