//! The auxiliary confidence loss (arXiv 2312.09390, section 4.3.2 and equation 1; `logconf` of openai/weak-to-strong): the
//! target is the label mixed with the student's own prediction, hardened at a threshold over the whole batch.

use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use w2s_lm::{Classifier, LabelledRows};
use w2s_losses::cross_entropy_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// May disagree with the labels where the student is sure of itself.
pub struct Confidence {
    /// What is trained on.
    pub rows: LabelledRows,
    /// What early stopping looks at: the labels of other rows, from the same teacher.
    pub held_out: LabelledRows,
    /// Variant and schedule.
    pub confidence: w2s_losses::Confidence,
    /// The targets of the step's batch, where it is computed in several passes.
    targets: Option<Tensor<2>>,
}

impl Confidence {
    /// The loss of a variant on some rows.
    pub fn new(
        rows: LabelledRows,
        held_out: LabelledRows,
        confidence: w2s_losses::Confidence,
    ) -> Self {
        Self {
            rows,
            held_out,
            confidence,
            targets: None,
        }
    }

    /// Targets of a whole batch from the student's logits on it, `[rows, classes]`.
    fn targets(&self, logits: Tensor<2>, info: StepInfo) -> Result<Tensor<2>, TrainError> {
        let labels = self.rows.targets(info.batch, &logits.device());
        let student = softmax(logits.detach(), 1);
        self.confidence
            .targets(&student, labels, info.fraction())
            .map_err(|e| TrainError::Objective(e.to_string()))
    }
}

impl Objective<Classifier> for Confidence {
    /// The threshold needs the predictions on the whole batch, so they are made once without gradients; the passes with
    /// gradients then share their targets, and add up to the gradient of the large batch.
    fn prepare(
        &mut self,
        model: &Classifier,
        passes: &[&[usize]],
        info: StepInfo,
    ) -> Result<(), TrainError> {
        let model = burn::module::Module::valid(model);
        let parts = passes
            .iter()
            .map(|rows| self.rows.logits(&model, rows).0)
            .collect();
        self.targets = Some(self.targets(Tensor::cat(parts, 0), info)?);
        Ok(())
    }

    fn loss(
        &mut self,
        model: &Classifier,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let (logits, tokens) = self.rows.logits(model, rows); // [rows, classes]
        let targets = if rows.len() == info.batch.len() {
            self.targets(logits.clone(), info)?
        } else {
            let all = self
                .targets
                .clone()
                .expect("prepared before the first pass");
            // Passes follow each other in the order of the batch.
            let first = info
                .batch
                .iter()
                .position(|r| *r == rows[0])
                .expect("a pass is part of its batch");
            let part = all.narrow(0, first, rows.len());
            if logits.device().is_autodiff() {
                Tensor::from_inner(part)
            } else {
                part
            }
        };
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
