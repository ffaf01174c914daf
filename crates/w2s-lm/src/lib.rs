//! Decoder language models: configurations, weights, batches without padding, heads.
//!
//! A [`ModelFolder`] is an ordinary Hugging Face folder of the Llama family (SmolLM2, TinyLlama, Llama 3), of Qwen2
//! (Qwen2.5) or of GPT-2; it gives a [`LanguageModel`] or a [`Classifier`], both around one [`Decoder`] that
//! [`DecoderConfig`] describes. Text becomes ids through a [`Tokenizer`], ids become a [`Batch`], all tokens in one row.
//! [`device()`] turns a name from a command line into a place to compute. [`generate`] lets a language model write on;
//! a [`Responder`] answers conversations, which [`EncodingArgs`] turns into tokens, and [`answer_log_probs`] says how
//! likely it finds answers; [`kl_divergence`] says how far a model's own answers have moved from another model.
//! [`LanguageModel::with_lora`] freezes a model and puts a low-rank adapter on it.
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
mod folder;
pub mod generate;
mod kl;
mod lora;
mod peft;
mod respond;

pub use answers::{AnswerBatch, LogProbSum, answer_log_probs};
pub use batch::{Batch, by_token_budget};
pub use classify::{
    Classified, ClassifierArgs, ClassifierSettings, Encoded, Featured, Inputs, LabelledRows,
    PromptArgs, TooLong, argmax, classify, features,
};
pub use config::{DecoderConfig, Family, Llama3Scaling, PRESETS, Rope};
pub use conversation::{EncodingArgs, Template, turns};
pub use decoder::{
    Attention, Block, Classifier, Decoder, Embedding, LanguageModel, Linear, Mlp, Norm,
};
pub use device::device;
pub use error::LmError;
pub use folder::{ModelFolder, save_classifier, save_language_model};
pub use kl::{Kl, kl_divergence};
pub use lora::{LORA_TARGETS, Lora, LoraArgs, LoraSave, LoraSettings};
pub use peft::save_adapter;
pub use respond::{Responded, Responder, SamplingArgs};
pub use w2s_text::Tokenizer;
