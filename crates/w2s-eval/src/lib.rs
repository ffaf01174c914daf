//! Predictions, metrics, statistics and the report of an experiment.
//!
//! [`metrics`] scores one set of predictions and compares two on the same items. [`bootstrap`] gives any such score an
//! interval: it draws seeds and test items with replacement and scores all arms on the same draw, so that [`pgr`], a ratio
//! of differences between arms, keeps their pairing. [`baselines`] are the trivial classifiers that stand beside every
//! result. [`report`] joins them: [`report::build_report`] reads prediction artifacts, checks that arms, seeds and test rows
//! match, follows the inputs back to their sources, and computes everything that `report.json`, `report.md` and
//! `report.html` say. [`compare`] is the report of preference runs, whose arms are read against the model that they started
//! from, and [`theory`] the linear theory of delta learning, which it shows beside them.
//!
//! Language models are scored item by item: [`scorers`] look at one answer, [`answers`] joins answers with their prompts,
//! [`judge()`] asks a classifier, [`choices`] and [`likelihood`] read the model's own log-probabilities, and [`scores`] makes
//! of all of them what a manifest says.
//!
//! Metrics and statistics are functions of slices:
//!
//! ```
//! use w2s_eval::bootstrap::{SeedSample, Settings, paired};
//! use w2s_eval::{metrics, pgr};
//!
//! let gold = [1, 0, 1, 0, 1, 1, 0, 1];
//! let (weak, student, ceiling) = ([1, 0, 0, 1, 0, 1, 1, 1], [1, 0, 1, 1, 0, 1, 0, 1], [1, 0, 1, 0, 1, 1, 0, 0]);
//! let accuracy = |predicted: &[u32; 8]| metrics::accuracy(predicted, &gold).unwrap();
//! // 4, 6 and 7 of 8 are right.
//! let share = pgr::value(accuracy(&weak), accuracy(&student), accuracy(&ceiling)).unwrap();
//! assert!((share - 2.0 / 3.0).abs() < 1e-12);
//!
//! // The same with an interval: one column of ones and zeros an arm, all arms in one sample.
//! let right = |predicted: [u32; 8]| predicted.iter().zip(gold).map(|(p, g)| f64::from(u8::from(*p == g))).collect();
//! let sample = SeedSample::new(8, &[right(weak), right(student), right(ceiling)], vec![]);
//! let draws = paired(&[sample], true, Settings { draws: 1000, seed: 0 });
//! let recovered = pgr::recovered(&draws.column(0), &draws.column(1), &draws.column(2));
//! assert!((recovered.value.unwrap() - share).abs() < 1e-12);
//! assert!(!recovered.gap_significant, "eight items prove nothing");
//! ```

#![deny(missing_docs)]

pub mod metrics;

pub mod ranking;

pub mod bootstrap;

pub mod pgr;

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
