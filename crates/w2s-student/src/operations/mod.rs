//! The operations of the binary, one file each.

mod classify;
mod encode;
mod features;
mod label_loss;
mod named;
mod prefer;
mod probe;
mod reference;
mod reward;
mod sft;

pub use classify::Classify;
pub use encode::Encode;
pub use features::ComputeFeatures;
pub use label_loss::LabelLossArgs;
pub use prefer::Prefer;
pub use probe::TrainProbe;
pub use reference::Reference;
pub use reward::Reward;
pub use sft::{Sft, Side};
