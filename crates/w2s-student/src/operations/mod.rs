//! The operations of the binary.

mod features;
mod reference;
mod train;

pub use features::ComputeFeatures;
pub use reference::Reference;
pub use train::{Method, Side, Train};
