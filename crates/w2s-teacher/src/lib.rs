//! The weak teacher: a small model finetuned on gold labels, which then labels the transfer half.
//!
//! [`finetune`] trains a classifier on one split's gold labels; [`label`] gives its soft labels on rows it never trained on.
//! With the feature `cli` (the default) the operations of the binary `w2s-teacher` are here too; one of them, `respond`, lets
//! any language model answer prompts.
#![deny(missing_docs)]

mod finetune;
mod label;
#[cfg(feature = "cli")]
mod operations;

pub use finetune::{Finetuned, finetune};
pub use label::{Labelled, label};
#[cfg(feature = "cli")]
pub use operations::{Finetune, Label, Respond};
