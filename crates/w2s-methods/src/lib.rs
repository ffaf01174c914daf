//! The methods, one file each, for teacher and student alike. A difference of two files is the difference between two papers.
//!
//! **From labels.** [`classify`] puts a classification head on a base model and lets a method move it: [`Naive`] imitates the
//! labels, [`Confidence`] may disagree with them, [`Product`] multiplies the two opinions; [`Entropy`], [`Window`] and [`Kl`] are
//! variants. The weak teacher and the strong ceiling are [`Naive`] on gold labels. [`probe()`] does the same with a
//! linear head on features that were made beforehand; [`Learning`] is what both share.
//!
//! **From conversations.** [`sft()`] imitates answers, [`prefer()`] puts the better answer of a pair above the other one, against what
//! the frozen base makes of both, which [`reference()`] computed once. Both start from a [`Setup`], and the model stays a language
//! model. [`reward()`] gives it a head that scores answers, and learns from pairs what [`classify`] learns from classes.
#![deny(missing_docs)]

mod confidence;
mod entropy;
mod kl;
mod naive;
mod product;
mod window;

mod prefer;
mod reward;
mod sft;

mod classify;
mod conversation;
mod labels;
mod probe;
mod reference;

pub use classify::{Learning, Supervision, Tokenised, classify, targets};
pub use confidence::Confidence;
pub use conversation::{Conversation, EncodedAnswers, Setup, encode_answers, open};
pub use entropy::Entropy;
pub use kl::Kl;
pub use labels::{Labels, Logits, learner};
pub use naive::Naive;
pub use prefer::{Prefer, prefer};
pub use probe::probe;
pub use product::Product;
pub use reference::{Referenced, reference};
pub use reward::{RewardTraining, reward};
pub use sft::{Sft, sft};
pub use window::Window;
