//! The operations of the binary, one file each.

mod finetune;
mod judge;
mod label;
mod probe;
mod respond;
mod reward;

pub use finetune::Finetune;
pub use judge::Judge;
pub use label::Label;
pub use probe::TrainProbe;
pub use respond::Respond;
pub use reward::Reward;
