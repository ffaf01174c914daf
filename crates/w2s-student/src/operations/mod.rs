//! The operations of the binary.

mod prepare;
mod reference;
mod train;

pub use prepare::{ComputeFeatures, Encode};
pub use reference::Reference;
pub use train::{Method, Side, Train};
