//! A classifier as a judge: its probability of one class is the score of an answer.

use std::path::Path;

use anyhow::{Result, bail};
use burn::tensor::Device;
use w2s_lm::{Classified, ModelFolder, classify};

/// Probability that the classifier in `folder` gives to `class`, for each text; none for a text that is too long for it.
/// `each` hears how many texts are done at a time, and stops the work by returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// A folder that holds no classifier, or one without the class.
pub fn judge(
    folder: &Path,
    class: &str,
    texts: &[String],
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Vec<Option<f64>>>> {
    let classes = ModelFolder::open(folder)?.classifier_settings()?.classes;
    let Some(column) = classes.iter().position(|name| name == class) else {
        bail!(
            "the judge has no class `{class}`; it has {}",
            classes.join(", ")
        );
    };
    let texts_of = texts.iter().map(String::as_str);
    let Some(Classified {
        encoded,
        probabilities,
    }) = classify(folder, texts_of, device, each)?
    else {
        return Ok(None);
    };
    let mut judged = vec![None; texts.len()];
    for (row, probabilities) in encoded.rows.into_iter().zip(probabilities) {
        judged[row] = Some(f64::from(probabilities[column]));
    }
    Ok(Some(judged))
}
