//! What the methods that learn from labels share: labels of a batch, and a loss as the mean over it.

use crate::{Confidence, Entropy, Kl, Naive, Product, Window};
use burn::tensor::{Device, Tensor};
use w2s_lm::{ClassModel, LabelledRows};
use w2s_losses::{LabelLoss, LossError, balance_batch};
use w2s_train::{Loss, Objective, StepInfo, TrainError};

/// Rows with labels: those that are trained on, and those that early stopping looks at, with labels from the same teacher.
pub struct Labels<M: ClassModel> {
    /// What is trained on.
    pub rows: LabelledRows<M>,
    /// What early stopping looks at.
    pub held_out: LabelledRows<M>,
    /// Whether the labels of each batch are moved so that it holds both classes equally.
    pub balance: bool,
}

impl<M: ClassModel> Labels<M> {
    /// A forward pass over some rows.
    pub fn logits(&self, model: &M, rows: &[usize]) -> Logits {
        let (logits, tokens) = self.rows.logits(model, rows);
        Logits { logits, tokens }
    }

    /// Labels of some rows of a step, `[rows, classes]`.
    pub fn of(
        &self,
        rows: &[usize],
        info: StepInfo,
        device: &Device,
    ) -> Result<Tensor<2>, TrainError> {
        if !self.balance {
            return Ok(self.rows.targets(rows, device));
        }
        let batch = self.rows.targets(info.batch, device);
        let balanced = balance_batch(&batch).map_err(told)?;
        Ok(balanced.narrow(0, place(rows, info), rows.len()))
    }

    /// How often the model's most probable class is the label's, over the rows that are held out.
    pub fn agreement(&self, model: &M) -> f64 {
        self.held_out.agreement(model)
    }
}

/// Where the rows of a pass stand in their batch: passes follow each other in its order.
pub(crate) fn place(rows: &[usize], info: StepInfo) -> usize {
    let place = info.batch.iter().position(|row| *row == rows[0]);
    place.expect("a pass is part of its batch")
}

/// A forward pass over some rows.
pub struct Logits {
    /// `[rows, classes]`
    pub logits: Tensor<2>,
    /// Tokens that were computed for them.
    pub tokens: usize,
}

impl Logits {
    /// The share of these rows in the mean over the batch, from the loss of each, `[rows]`.
    pub fn share(&self, losses: Tensor<1>, info: StepInfo) -> Loss {
        Loss {
            value: losses.sum() / info.batch.len() as f64,
            tokens: self.tokens,
            metrics: Vec::new(),
        }
    }
}

/// The method of a loss.
pub fn learner<M: ClassModel + 'static>(
    loss: LabelLoss,
    labels: Labels<M>,
) -> Box<dyn Objective<M, Pass = Logits>> {
    match loss {
        LabelLoss::CrossEntropy => Box::new(Naive { labels }),
        LabelLoss::Confidence(confidence) => Box::new(Confidence::new(labels, confidence)),
        LabelLoss::Product(product) => Box::new(Product { labels, product }),
        LabelLoss::Entropy(entropy) => Box::new(Entropy { labels, entropy }),
        LabelLoss::Window(window) => Box::new(Window { labels, window }),
        LabelLoss::Kl => Box::new(Kl { labels }),
    }
}

/// An error of a loss with its hint.
pub(crate) fn told(error: LossError) -> TrainError {
    TrainError::Objective(match error.hint() {
        None => error.to_string(),
        Some(hint) => format!("{error}\nhint: {hint}"),
    })
}
