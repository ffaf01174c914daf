//! Models looked at item by item: predictions of classifiers, scores of answers, choices and likelihoods.
//!
//! [`predict()`] reads a classifier's probabilities. Language models are scored item by item: [`scorers`] look at one answer,
//! [`answers`] joins answers with their prompts, [`judge()`] asks a classifier, [`choices`] and [`likelihood`] read the model's own
//! log-probabilities, and [`scores`] makes of all of them what a manifest says. What they add up to is the report's, in `w2s-report`.

#![deny(missing_docs)]

pub mod scorers;

pub mod answers;

mod judge;
pub use judge::{judge, rewards};

pub mod choices;

pub mod likelihood;

pub mod scores;

mod predict;
pub use predict::{Predicted, predict};

#[cfg(feature = "cli")]
pub mod operation;

#[cfg(test)]
mod golden;
