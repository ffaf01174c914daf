//! The operations of the weak teacher: a small model finetuned on gold labels, which then labels the transfer half.
//!
//! [`Finetune`] is the naive method of `w2s_methods` on gold labels, [`TrainProbe`] the same for a head on features, and [`Reward`]
//! for pairs of answers. [`Label`] writes any classifier's soft labels of rows it never trained on, [`Judge`] any model's of pairs;
//! [`Respond`] lets any language model answer prompts.
#![deny(missing_docs)]

mod operations;

pub use operations::{Finetune, Judge, Label, Respond, Reward, TrainProbe};
