//! Text to tokens once, with the span of the answer.
//!
//! A [`Tokenizer`] is a model folder's `tokenizer.json`, a [`ChatTemplate`] its way to write a conversation down. An
//! [`Encoder`] has both and turns [`Turn`]s with an answer into [`Encoded`] tokens: which of them are the answer's, with the
//! token that ends it if the answer came to its end. [`Fit`] says why a row cannot be used; nothing is cut silently.
#![deny(missing_docs)]

mod error;

mod folder;

mod tokenizer;

mod template;

mod encoder;

pub use crate::{
    encoder::{Encoded, Encoder, Fit},
    error::TextError,
    template::{ChatTemplate, Turn},
    tokenizer::Tokenizer,
};
