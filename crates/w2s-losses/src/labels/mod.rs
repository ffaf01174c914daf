//! Losses of weak labels: a distribution over classes for each row, from a teacher that may be wrong.

mod balance;
mod confidence;
mod cross_entropy;
mod entropy;
mod kl;
mod product;
mod settings;
mod window;

pub use balance::balance_batch;
pub use confidence::{Confidence, ConfidenceVariant, mix};
pub use cross_entropy::{cross_entropy, cross_entropy_rows};
pub use entropy::{Entropy, entropy_rows};
pub use kl::kl_rows;
pub use product::{Product, product_rows, product_targets};
pub use settings::{LabelLoss, LabelSetting};
pub use window::{Window, window_rows};
