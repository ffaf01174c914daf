//! Soft labels.

use anyhow::Result;
use burn::tensor::Device;
use std::path::Path;
use w2s_artifact::{Example, Label};
use w2s_lm::{Classified, argmax, classify};

/// Soft labels with their counts.
#[derive(Clone, Debug)]
pub struct Labelled {
    /// One label a row, in the order of the rows.
    pub labels: Vec<Label>,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
    /// Mean probability of the most probable class.
    pub mean_confidence: f64,
    /// Share of rows whose most probable class is the gold one; told, never used.
    pub accuracy: f64,
    /// Tokens that were read.
    pub tokens: usize,
}

/// Probabilities of the classifier in `folder` for each example. `each` hears how many rows are done at a time, and stops
/// the work by returning `false`, upon which the result is `None`.
pub fn label(
    folder: &Path,
    examples: &[Example],
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Labelled>> {
    let texts = examples.iter().map(|e| e.text.as_str());
    let Some(Classified {
        encoded,
        probabilities,
    }) = classify(folder, texts, device, each)?
    else {
        return Ok(None);
    };
    let n = probabilities.len().max(1) as f64;
    let (mut confidence, mut right) = (0.0, 0);
    let labels: Vec<Label> = encoded
        .rows
        .iter()
        .zip(probabilities)
        .map(|(&row, probabilities)| {
            let best = argmax(&probabilities);
            confidence += f64::from(probabilities[best]);
            right += usize::from(best == examples[row].label as usize);
            Label {
                id: examples[row].id,
                probabilities,
            }
        })
        .collect();
    Ok(Some(Labelled {
        labels,
        dropped_too_long: encoded.dropped,
        truncated: encoded.truncated,
        mean_confidence: confidence / n,
        accuracy: right as f64 / n,
        tokens: encoded.sequences.iter().map(Vec::len).sum(),
    }))
}
