//! Predictions, metrics, statistics and the report of an experiment.
//!
//! The arithmetic is that of `w2s-stats`. [`baselines`] are the trivial classifiers that stand beside every
//! result. [`report`] joins them: [`report::build_report`] reads prediction artifacts, checks that arms, seeds and test rows
//! match, follows the inputs back to their sources, and computes everything that `report.json`, `report.md` and
//! `report.html` say. [`compare`] is the report of preference runs, whose arms are read against the model that they started
//! from, and [`theory`] the linear theory of delta learning, which it shows beside them.
//!
//! Language models are scored item by item: [`scorers`] look at one answer, [`answers`] joins answers with their prompts,
//! [`judge()`] asks a classifier, [`choices`] and [`likelihood`] read the model's own log-probabilities, and [`scores`] makes
//! of all of them what a manifest says.

#![deny(missing_docs)]

pub mod baselines;

pub mod report;

pub mod scorers;

pub mod answers;

mod judge;
pub use judge::judge;

pub mod choices;

pub mod likelihood;

pub mod scores;
pub mod theory;

pub mod compare;

mod predict;
pub use predict::{Predicted, predict};

#[cfg(feature = "cli")]
pub mod operation;

#[cfg(test)]
mod golden;
