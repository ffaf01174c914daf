//! The operations of the binary, one file each.

mod finetune;
mod label;
mod probe;
mod respond;

pub use finetune::Finetune;
pub use label::Label;
pub use probe::TrainProbe;
pub use respond::Respond;
