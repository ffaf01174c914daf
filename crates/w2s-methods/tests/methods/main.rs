//! The methods on decoders of a few thousand parameters.

mod conversations;
mod encoding;
mod labels;
mod rewards;

mod models;
