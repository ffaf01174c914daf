//! The auxiliary confidence loss (arXiv 2312.09390, section 4.3.2 and equation 1; `logconf` of openai/weak-to-strong): the
//! target is the label mixed with the student's own prediction, hardened at a threshold over the whole batch.

use crate::labels::{place, told};
use crate::{Labels, Logits};
use burn::tensor::Tensor;
use burn::tensor::activation::softmax;
use w2s_lm::ClassModel;
use w2s_losses::cross_entropy_rows;
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// May disagree with the labels where the student is sure of itself.
pub struct Confidence<M: ClassModel> {
    /// What it learns from.
    pub labels: Labels<M>,
    /// Variant and schedule.
    pub confidence: w2s_losses::Confidence,
    /// The targets of the step's batch, without gradient.
    targets: Option<Tensor<2>>,
}

impl<M: ClassModel> Confidence<M> {
    /// The loss of a variant on some rows.
    pub fn new(labels: Labels<M>, confidence: w2s_losses::Confidence) -> Self {
        Self {
            labels,
            confidence,
            targets: None,
        }
    }
}

impl<M: ClassModel> Objective<M> for Confidence<M> {
    type Pass = Logits;

    fn forward(&mut self, model: &M, rows: &[usize], _: StepInfo) -> Result<Logits, TrainError> {
        Ok(self.labels.logits(model, rows))
    }

    /// The threshold is one of the predictions on the whole batch.
    fn reads_whole_batch(&self) -> bool {
        true
    }

    fn whole(&mut self, passes: &[Logits], info: StepInfo) -> Result<(), TrainError> {
        let logits = passes.iter().map(|pass| still(pass.logits.clone()));
        let student = softmax(Tensor::cat(logits.collect(), 0), 1); // [batch, classes]
        let labels = self.labels.of(info.batch, info, &student.device())?;
        let targets = self.confidence.targets(&student, labels, info.fraction());
        self.targets = Some(targets.map_err(told)?);
        Ok(())
    }

    fn loss(&mut self, pass: Logits, rows: &[usize], info: StepInfo) -> Result<Loss, TrainError> {
        let all = self
            .targets
            .clone()
            .expect("the loop shows the batch first");
        let targets = all.narrow(0, place(rows, info), rows.len()); // [rows, classes]
        let targets = if pass.logits.device().is_autodiff() {
            Tensor::from_inner(targets)
        } else {
            targets
        };
        let losses = cross_entropy_rows(pass.logits.clone(), targets);
        Ok(pass.share(losses, info))
    }

    fn held_out(&mut self, model: &M) -> Option<f64> {
        Some(self.labels.agreement(model))
    }
}

/// The same values without a gradient.
fn still(tensor: Tensor<2>) -> Tensor<2> {
    if tensor.device().is_autodiff() {
        tensor.inner()
    } else {
        tensor
    }
}
