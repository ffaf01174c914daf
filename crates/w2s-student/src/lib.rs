//! The strong student: a large model trained on the output of a weak teacher. One file a method, in [`methods`].
//!
//! [`train()`] puts a classification head on a base model and lets a method move it: [`methods::Naive`] imitates the
//! labels, [`methods::Confidence`] may disagree with them, [`methods::Product`] multiplies the two opinions. The strong
//! ceiling is [`methods::Naive`] on gold labels. Rows may be [`Prepared`] once for several students.
//!
//! On conversations the student stays a language model: [`methods::sft()`] imitates answers, [`methods::preference()`]
//! prefers the better answer of a pair, against what the frozen base makes of both, which [`reference()`] computed once.
//! Both start from a [`Setup`]. With the feature `cli` (the default) the operations of the binary `w2s-student` are here
//! too.
#![deny(missing_docs)]

mod conversation;
pub mod methods;
#[cfg(feature = "cli")]
mod operations;
mod reference;
mod train;

pub use conversation::{
    Conversation, Dropped, EncodedAnswers, EncodedPair, EncodedPairs, PairCounts, Setup,
    SideCounts, encode_answers, encode_pairs, open,
};
#[cfg(feature = "cli")]
pub use operations::{ComputeFeatures, Encode, Method, Reference, Side, Train};
pub use reference::{Referenced, reference};
pub use train::{Prepared, Supervision, Trained, train};
