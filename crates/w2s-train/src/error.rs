//! Why a run ends before its last step.

use std::path::{Path, PathBuf};

/// Why training stopped.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A loss or gradient that is not a number.
    #[error("step {step} has loss {loss} and gradient length {grad_norm}; nothing of it is kept")]
    NonFinite {
        /// The step, from 1.
        step: usize,
        /// Its loss.
        loss: f64,
        /// The length of its gradient.
        grad_norm: f64,
    },
    /// The caller stopped it; the state is saved.
    #[error("stopped after step {step} of {steps}; the state is saved")]
    Stopped {
        /// Steps done.
        step: usize,
        /// Steps planned.
        steps: usize,
    },
    /// The state or the metrics cannot be written.
    #[error("cannot write `{}`: {reason}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The objective cannot compute its loss.
    #[error("{0}")]
    Objective(String),
}

impl TrainError {
    pub(crate) fn state(path: &Path, reason: impl ToString) -> Self {
        Self::State {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
