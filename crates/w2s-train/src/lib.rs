//! One optimisation loop for every method.
//!
//! A method says what is learned as an [`Objective`]; [`Batches`] say which rows make which batch; [`fit`] does the rest:
//! AdamW under a [`Schedule`], clipping, accumulation that equals the large batch, one line of metrics a step, early
//! stopping on a held-out score, and a saved state from which a killed run goes on to the same bytes.
//!
//! ```
//! use w2s_train::{Batches, Decay, Schedule};
//!
//! let plan = Batches::by_examples(100, 32, 2, 0);
//! let schedule = Schedule { peak: 1e-3, warmup_fraction: 0.25, decay: Decay::Cosine };
//! assert_eq!(plan.steps(), 8);
//! assert_eq!(schedule.learning_rate(1, plan.steps()), 1e-3);
//! ```
#![deny(missing_docs)]

mod args;
mod batches;
mod error;
mod fit;
mod schedule;
mod state;

pub use args::{EarlyStoppingArgs, LearnArgs, TrainArgs};
pub use batches::Batches;
pub use error::TrainError;
pub use fit::{
    EarlyStopping, Fitted, Loss, Objective, StepInfo, TrainConfig, Watch, fit, progress_line,
};
pub use schedule::{Decay, Schedule};
