//! The operations of the binary, one file each.

mod finetune;
mod label;
mod respond;

pub use finetune::Finetune;
pub use label::Label;
pub use respond::Respond;
