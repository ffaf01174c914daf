//! Metrics, paired intervals and the recovered gap: slices in, numbers out.

#![deny(missing_docs)]

pub mod metrics;

mod design;
mod interval;
mod series;
mod terms;
pub use design::Design;
pub use series::{Estimate, Series};
pub use terms::Terms;

pub mod pgr;

pub mod correlation;
pub mod pairwise;

#[cfg(test)]
mod golden;
