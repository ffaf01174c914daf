//! The strong student: a large model trained on the output of a weak teacher. One file a method, in [`methods`].
//!
//! [`train`] puts a classification head on a base model and lets a method move it: [`methods::Naive`] imitates the labels,
//! [`methods::Confidence`] may disagree with them, [`methods::Product`] multiplies the two opinions. The strong ceiling is
//! [`methods::Naive`] on gold labels. With the feature `cli` (the default) the operation of the binary `w2s-student` is
//! here too.
#![deny(missing_docs)]

pub mod methods;
#[cfg(feature = "cli")]
mod operations;
mod train;

#[cfg(feature = "cli")]
pub use operations::Train;
pub use train::{Supervision, Trained, train};
