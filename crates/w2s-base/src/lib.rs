//! Base models: decoders that are pretrained here from scratch, or imported from a Hugging Face folder.
//!
//! [`pretrain`] learns to predict the next token of a corpus; [`import`] checks a model folder and copies it. Both leave a
//! checkpoint, which is a model folder again. With the feature `cli` (the default) the operations of the binary
//! `w2s-base` are here too.
#![deny(missing_docs)]

mod import;
#[cfg(feature = "cli")]
mod operations;
mod pretrain;

pub use import::import;
#[cfg(feature = "cli")]
pub use operations::{Import, Init, Pretrain, Sizes};
pub use pretrain::{Pretraining, pretrain};
