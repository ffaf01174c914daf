//! Decoder language models: configurations, weights, batches without padding, heads.
//!
//! A [`ModelFolder`] is an ordinary Hugging Face folder of the Llama family (SmolLM2, TinyLlama, Llama 3), of Qwen2
//! (Qwen2.5) or of GPT-2; it gives a [`LanguageModel`] or a [`Classifier`], both around one [`Decoder`] that
//! [`DecoderConfig`] describes. Text becomes ids through a [`Tokenizer`], ids become a [`Batch`], all tokens in one row.
//! [`device()`] turns a name from a command line into a place to compute. [`generate`] lets a language model write on;
//! a [`Responder`] answers conversations, which [`EncodingArgs`] turns into tokens, and [`answer_log_probs`] says how
//! likely it finds answers; [`kl_divergence`] says how far a model's own answers have moved from another model.
//! [`LanguageModel::with_lora`] and [`Classifier::with_lora`] freeze a decoder and put a low-rank adapter on it.
//!
//! Two models tell classes apart, [`ClassModel`]s on [`LabelledRows`]: a [`Classifier`] reads token ids, a [`Probe`] reads
//! features that were made beforehand. [`classify_examples`] lets a checkpoint of either kind read the examples of a split.
//!
//! ```
//! use w2s_lm::{Batch, DecoderConfig, LanguageModel, device};
//!
//! let device = device("flex")?;
//! let config = DecoderConfig::preset("nano", 100).expect("nano is a preset");
//! let model = LanguageModel::init(&config, 0, &device);
//! let batch = Batch::pack([&[1, 2, 3][..], &[4, 5]]);
//! let log_probs = model.log_probs(&batch);
//! assert_eq!((log_probs[0].len(), log_probs[1].len()), (2, 1));
//! # Ok::<(), w2s_lm::LmError>(())
//! ```
#![deny(missing_docs)]

mod answers;
mod batch;
mod classify;
mod config;
mod conversation;
mod decoder;
mod device;
mod error;
mod examples;
mod folder;
pub mod generate;
mod kl;
mod labelled;
mod lora;
mod margins;
mod names;
mod pairs;
mod peft;
mod probe;
mod respond;
mod reward;
mod save;
mod shots;
mod weights;

pub use answers::{AnswerBatch, LogProbSum, answer_log_probs};
pub use batch::{Batch, by_token_budget};
pub use classify::{
    Classified, ClassifierArgs, ClassifierSettings, EncodedTexts, Featured, PromptArgs, TooLong,
    argmax, classify, features,
};
pub use config::{DecoderConfig, Family, Llama3Scaling, PRESETS, Rope};
pub use conversation::{EncodingArgs, Template, turns};
pub use decoder::{
    Attention, Block, Classifier, Decoder, Embedding, LanguageModel, Linear, Mlp, Norm,
};
pub use device::device;
pub use error::LmError;
pub use examples::{ClassifiedExamples, classify_examples};
pub use folder::ModelFolder;
pub use kl::{Kl, kl_divergence};
pub use labelled::{ClassModel, LabelledRows};
pub use lora::{LORA_TARGETS, Lora, LoraArgs, LoraSave, LoraSettings};
pub use margins::{MarginArgs, MarginRule, Margins, pair_margins};
pub use pairs::{
    Dropped, EncodedPair, EncodedPairs, NOTHING_FITS, Order, PairCounts, SideCounts, encode_pairs,
};
pub use peft::{adapter_base, save_adapter, save_classifier_adapter};
pub use probe::{FeatureScale, FeatureTable, Probe, ProbeSettings};
pub use respond::{Responded, Responder, SamplingArgs};
pub use reward::{FrozenReward, RewardModel, RewardSettings};
pub use save::{save_classifier, save_language_model};
pub use shots::{Demonstration, ShotArgs, ShotRule, demonstrations, with_shots};
pub use w2s_text::Tokenizer;
