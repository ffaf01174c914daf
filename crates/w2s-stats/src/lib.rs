//! Metrics, paired intervals and the recovered gap: slices in, numbers out.
//!
//! [`metrics`] scores one set of predictions, or two on the same items, as plain arithmetic. For anything that is to have an
//! interval, say in a [`Design`] which items every seed was tested on and which of them belong together. A design makes a
//! [`Series`] of a score: [`Design::mean`] of one number an item, [`Design::metric`] of [`Terms`], which write AUROC and other
//! metrics that are no means as one number an item, too. Series of one design are paired: [`Series::minus`] and
//! [`Series::over`] know that two arms saw the same items under the same seeds. [`Series::estimate`] gives the [`Estimate`] that a
//! report prints: mean, 95 % interval over seeds and items, value of each seed, standard error.
//!
//! On top of it stand [`pgr`], the performance gap recovered with Fieller's interval; [`pairwise`], every arm against every
//! other with Holm's correction; [`correlation`], whether arms that have more of something score higher; and [`audit`], where a
//! student errs by what its teacher and its ceiling know.
//!
//! ```
//! use w2s_stats::{Design, Series, metrics, pairwise, pgr};
//!
//! // Two seeds, the same 200 items for both, four rows a question.
//! let questions: Vec<u64> = (0..200).map(|item| item / 4).collect();
//! let design = Design::crossed(2, &questions);
//! assert_eq!(design.to_string(), "seeds and items: 2 seeds on the same 50 groups of test items");
//!
//! // Whether each item is right: some 60, 75 and 90 %.
//! let arm = |percent: usize| -> Series {
//!     let right = |seed: usize| (0..200).map(|item| f64::from(u8::from((37 * item + seed) % 100 < percent))).collect();
//!     design.mean::<Vec<f64>>(&[right(0), right(5)])
//! };
//! let (weak, student, ceiling) = (arm(60), arm(75), arm(90));
//!
//! let gain = student.minus(&weak).estimate(400);
//! assert!((gain.mean.unwrap() - 0.15).abs() < 1e-9);
//!
//! let recovered = pgr::recovered(&weak, &student, &ceiling);
//! assert!((recovered.value.unwrap() - 0.5).abs() < 1e-9);
//! let [low, high] = recovered.ci95.expect("the gap is significant");
//! assert!(low < 0.5 && 0.5 < high);
//!
//! let all = pairwise::differences(&[&weak, &student, &ceiling], 400);
//! assert!(all[1].p_holm.unwrap() < 0.05, "the ceiling is above the teacher");
//!
//! // Two seeds say little about how seeds differ, which a report has to say.
//! assert!(design.cautions()[0].starts_with("two seeds"));
//! ```
//!
//! `docs/statistics.md` has the formulas, where they come from, and the simulation that holds the coverage
//! (`tests/coverage.rs`). Nothing here is random, and nothing depends on the number of threads.

#![deny(missing_docs)]

pub mod metrics;

mod design;
mod series;
mod terms;
pub use design::Design;
pub use series::{Estimate, Series};
pub use terms::Terms;

mod interval;

pub mod pgr;

pub mod pairwise;

pub mod correlation;

pub mod audit;

#[cfg(test)]
mod golden;
