//! The operations of the binary.

mod reference;
mod train;

pub use reference::Reference;
pub use train::{Method, Side, Train};
