//! Metrics, paired intervals and the recovered gap: slices in, numbers out.

#![deny(missing_docs)]

pub mod metrics;

pub mod ranking;

pub mod bootstrap;

pub mod pgr;

#[cfg(test)]
mod golden;
