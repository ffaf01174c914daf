//! One file a method. Each reads from top to bottom; a difference of two files is the difference between two papers.

mod confidence;
mod naive;
mod product;

pub use confidence::Confidence;
pub use naive::Naive;
pub use product::Product;
