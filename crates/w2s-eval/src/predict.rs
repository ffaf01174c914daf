//! A classifier's probabilities on examples, beside the truth.

use anyhow::Result;
use burn::tensor::Device;
use w2s_artifact::{Artifact, Prediction, Split};
use w2s_lm::classify_examples;

/// Predictions with their counts.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// One prediction a row, in the order of the rows.
    pub predictions: Vec<Prediction>,
    /// Names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
    /// Tokens that were read; none by a probe.
    pub tokens: usize,
}

/// Probabilities that the checkpoint `model`, with the `features` that a probe reads, gives to the examples of a split of
/// `data`. `each` hears how many rows are done at a time, and stops the work by returning `false`, upon which the result is
/// `None`.
///
/// # Errors
///
/// See [`classify_examples`].
pub fn predict(
    model: &Artifact,
    features: Option<&Artifact>,
    data: &Artifact,
    split: Split,
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Predicted>> {
    let Some(done) = classify_examples(model, features, data, split, device, each)? else {
        return Ok(None);
    };
    let rows = done.examples.iter().zip(done.probabilities);
    Ok(Some(Predicted {
        predictions: rows
            .map(|(example, probabilities)| Prediction {
                id: example.id,
                group: example.group,
                label: example.label,
                probabilities,
            })
            .collect(),
        classes: done.classes,
        dropped_too_long: done.dropped_too_long,
        truncated: done.truncated,
        tokens: done.tokens,
    }))
}
