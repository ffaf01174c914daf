//! The operations of the weak teacher: a small model finetuned on gold labels, which then labels the transfer half.
//!
//! [`Finetune`] is the naive method of `w2s_methods` on gold labels, and [`TrainProbe`] the same for a head on features; [`Label`] writes any classifier's soft labels of rows it never
//! trained on; [`Respond`] lets any language model answer prompts.
#![deny(missing_docs)]

mod operations;

pub use operations::{Finetune, Label, Respond, TrainProbe};
