//! The operations of the strong student, a large model that learns from a weak teacher. The methods themselves are in
//! `w2s_methods`.
//!
//! [`Classify`] trains on labels, [`TrainProbe`] a head on features alone, [`Sft`] on answers, [`Prefer`] and [`Reward`] on pairs of
//! answers. What several students share is made once: [`Encode`] makes the tokens of a split, [`ComputeFeatures`] what a frozen base makes of the examples, [`Reference`] what it makes of pairs.
#![deny(missing_docs)]

mod operations;

pub use operations::{
    Classify, ComputeFeatures, Encode, LabelLossArgs, Prefer, Reference, Reward, Sft, Side,
    TrainProbe,
};
