//! One file a method. Each reads from top to bottom; a difference of two files is the difference between two papers.

mod confidence;
mod naive;
mod preference;
mod product;
mod sft;

pub use confidence::Confidence;
pub use naive::Naive;
pub use preference::{Preference, Preferred, preference};
pub use product::Product;
pub use sft::{Finetuned, Sft, sft};
