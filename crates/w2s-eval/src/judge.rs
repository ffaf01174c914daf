//! A model as a judge: a classifier's probability of one class is the score of an answer, or a reward model's number.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use w2s_artifact::{Prompt, Response};
use w2s_lm::{Classified, ModelFolder, classify, turns};
use w2s_text::Fit;

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

/// Rewards that the model in `folder` gives to answers, each behind its prompt; none for an answer that does not fit. `each` is
/// that of [`judge`].
///
/// # Errors
///
/// A folder that holds no reward model, or a conversation that does not encode.
pub fn rewards(
    folder: &Path,
    answers: &[(&Prompt, &Response)],
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Vec<Option<f64>>>> {
    let opened = ModelFolder::open(folder)?;
    let encoding = opened.reward_settings()?.encoding;
    let model = opened.reward_model(device)?;
    let encoder = encoding.encoder(opened.tokenizer_folder(), model.decoder())?;
    let (mut sequences, mut places) = (Vec::new(), Vec::new());
    for (place, (prompt, response)) in answers.iter().enumerate() {
        let fit = encoder
            .answer(&turns(&prompt.messages), &response.text, response.finished)
            .with_context(|| format!("the answer to prompt {} does not encode", prompt.id))?;
        if let Fit::Fits(encoded) = fit {
            sequences.push(encoded.ids);
            places.push(place);
        }
    }
    let Some(scores) = model.score(&sequences, each) else {
        return Ok(None);
    };
    let mut rewards = vec![None; answers.len()];
    for (place, score) in places.into_iter().zip(scores) {
        rewards[place] = Some(f64::from(score));
    }
    Ok(Some(rewards))
}
