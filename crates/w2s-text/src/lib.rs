//! Text to tokens once, with the span of the answer.
//!
//! A [`Tokenizer`] is a model folder's `tokenizer.json`, a [`ChatTemplate`] its way to write a conversation down. An
//! [`Encoder`] has both and turns [`Turn`]s with an answer into [`Encoded`] tokens: which of them are the answer's, with the
//! token that ends it if the answer came to its end. [`Fit`] says why a row cannot be used; nothing is cut silently.
//!
//! ```
//! use w2s_text::{Encoder, Fit, Turn};
//!
//! # let folder = tempfile::tempdir()?;
//! # std::fs::write(folder.path().join("tokenizer.json"), r#"{"version": "1.0", "model": {"type": "BPE",
//! #   "vocab": {"1": 0, "2": 1, "+": 2, "=": 3, "<eos>": 4}, "merges": []}}"#)?;
//! # std::fs::write(folder.path().join("tokenizer_config.json"), r#"{"eos_token": "<eos>"}"#)?;
//! // A folder with `tokenizer.json` and `tokenizer_config.json`; this one has no chat template.
//! let encoder = Encoder::load(folder.path(), 512)?;
//! let question = [Turn { role: "user", content: "1+1=" }];
//! assert_eq!(encoder.prompt(&question)?, [0, 2, 0, 3]);
//!
//! let Fit::Fits(finished) = encoder.answer(&question, "2", true)? else { panic!("it fits") };
//! assert_eq!((finished.ids, finished.answer), (vec![0, 2, 0, 3, 1, 4], 4..6));
//!
//! // An answer that was cut is not taught to stop.
//! let Fit::Fits(cut) = encoder.answer(&question, "2", false)? else { panic!("it fits") };
//! assert_eq!(cut.ids, [0, 2, 0, 3, 1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![deny(missing_docs)]

mod error;

mod guard;
mod pointer;

mod folder;

mod limits;

mod tokenizer;

mod source;

mod methods;

mod template;

mod encoder;

pub use crate::{
    encoder::{Encoded, Encoder, Fit},
    error::TextError,
    pointer::lfs_pointer,
    template::{ChatTemplate, Turn},
    tokenizer::Tokenizer,
};
