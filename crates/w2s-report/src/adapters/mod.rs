//! From artifacts to what an experiment is made of.

pub(crate) mod pairs;
pub(crate) mod predictions;
pub(crate) mod scores;
pub(crate) mod theory;
