//! A classifier's probabilities on the test split.

use std::path::Path;

use anyhow::Result;
use burn::tensor::Device;
use w2s_artifact::{Example, Prediction};
use w2s_lm::{Classified, classify};

/// Predictions with their counts.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// One prediction a row, in the order of the rows.
    pub predictions: Vec<Prediction>,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
    /// Tokens that were read.
    pub tokens: usize,
}

/// Probabilities of the classifier in `folder` for each example. `each` hears how many rows are done at a time, and stops
/// the work by returning `false`, upon which the result is `None`.
pub fn predict(
    folder: &Path,
    examples: &[Example],
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Predicted>> {
    let texts = examples.iter().map(|e| e.text.as_str());
    let Some(Classified {
        encoded,
        probabilities,
    }) = classify(folder, texts, device, each)?
    else {
        return Ok(None);
    };
    let rows = encoded.rows.iter().zip(probabilities);
    Ok(Some(Predicted {
        predictions: rows
            .map(|(&row, probabilities)| Prediction {
                id: examples[row].id,
                label: examples[row].label,
                probabilities,
            })
            .collect(),
        dropped_too_long: encoded.dropped,
        truncated: encoded.truncated,
        tokens: encoded.sequences.iter().map(Vec::len).sum(),
    }))
}
