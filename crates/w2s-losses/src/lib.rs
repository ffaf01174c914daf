//! Losses for learning from a weaker teacher: tensors in, tensors out. No model, no data set, no file system.
//!
//! **Learning from weak labels.** [`LabelLoss`] names them all with their settings. [`cross_entropy`] imitates the teacher's soft
//! label. [`Confidence`] lets the student disagree with it where the student is sure of itself: it turns weak labels into
//! targets that are partly the student's own. [`product_rows`] multiplies the two opinions. [`entropy_rows`],
//! [`window_rows`], [`kl_rows`] are variants from a later study, and so is [`balance_batch`], which goes before any of them.
//!
//! **Learning from pairs.** [`preference`] is the one entry point for a [`Preference`], which is a [`PreferenceLoss`] with its
//! settings, from DPO (`sigmoid`) and its length-normalised form (`delta-preference`) to ORPO and KTO. It takes
//! [`PairLogProbs`] of the policy and of the reference and gives a [`PreferenceOutput`]. [`reward_model`] gives the same for
//! scores. [`reward_conflict`] and [`preference_conflict`] are a second objective that pulls against the first.
//!
//! # A batch in parts
//!
//! Every loss comes as one value a row or pair, so that micro-batches add up to their batch: divide each sum by the rows
//! of the *whole* batch. Some losses also read the whole batch: the threshold of [`Confidence`], the KL estimate of KTO
//! ([`kto_kl`]) and the order of AOT ([`aot_partners`]). They are taken in a first pass without gradient and then held
//! fixed in the second:
//!
//! ```
//! use burn::tensor::{Device, Tensor, activation::softmax};
//! use w2s_losses::{Confidence, ConfidenceVariant, cross_entropy, cross_entropy_rows};
//!
//! let device = Device::flex();
//! let logits = Tensor::<2>::from_floats([[2.0, -1.0], [0.5, 0.3], [-0.2, 0.4], [-1.5, 1.0]], &device);
//! let weak = Tensor::<2>::from_floats([[0.9, 0.1], [0.4, 0.6], [0.7, 0.3], [0.2, 0.8]], &device);
//!
//! // First pass: the student's predictions on all rows make the targets.
//! let confidence = Confidence::new(ConfidenceVariant::Paper);
//! let student = softmax(logits.clone(), 1);
//! let targets = confidence.targets(&student, weak.clone(), 0.5)?;
//!
//! // Second pass: two rows at a time.
//! let mut loss = 0.0;
//! for rows in [0..2, 2..4] {
//!     let part = cross_entropy_rows(logits.clone().slice(rows.clone()), targets.clone().slice(rows));
//!     loss += (part.sum() / 4.0).into_scalar::<f32>(); // .backward() here, in training
//! }
//! assert!((loss - 0.458276).abs() < 1e-6);
//!
//! // Before the warm-up the loss is the naive one, to the bit.
//! let start = confidence.targets(&student, weak.clone(), 0.0)?;
//! let naive = cross_entropy(logits.clone(), weak).into_scalar::<f32>();
//! assert_eq!(cross_entropy(logits, start).into_scalar::<f32>(), naive);
//! # Ok::<(), w2s_losses::LossError>(())
//! ```
//!
//! What a user can get wrong is a [`LossError`] with a hint; tensors of shapes that no caller should pass are a panic.
#![deny(missing_docs)]

mod conflict;
mod labels;
mod preference;
mod reward;

mod error;
mod numeric;

pub use conflict::{preference_conflict, reward_conflict};
pub use error::LossError;
pub use labels::{
    Confidence, ConfidenceVariant, Entropy, LabelLoss, LabelSetting, Product, Window,
    balance_batch, cross_entropy, cross_entropy_rows, entropy_rows, kl_rows, mix, product_rows,
    product_targets, window_rows,
};
pub use numeric::{log1mexp, neg_log_sigmoid};
pub use preference::{
    AotPartners, MAX_MEAN_LOG_PROB, PairLogProbs, Preference, PreferenceLoss, PreferenceOutput,
    ResponseLogProbs, Setting, aot_partners, kto_kl, log_odds_ratio, preference,
};
pub use reward::{PairScores, reward_model};
