//! Texts for a classifier: prompt, token limit, probabilities.

use crate::{
    Batch, ClassModel, Classifier, LmError, LoraArgs, LoraSave, ModelFolder, Tokenizer,
    by_token_budget, save_classifier, save_classifier_adapter,
};
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

/// What happens to a text that has more tokens than a classifier reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum TooLong {
    /// Its row is left out, and counted.
    Drop,
    /// The prompt keeps its first tokens, whatever stands behind the text included, and is counted.
    Truncate,
}

impl fmt::Display for TooLong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drop => "drop",
            Self::Truncate => "truncate",
        })
    }
}

/// What a classifier needs beside its weights; kept under `w2s` in `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassifierSettings {
    /// The prompt around a text; `{text}` stands for it.
    pub template: String,
    /// Class names in the order of the head's rows.
    pub classes: Vec<String>,
    /// Longest prompt in tokens.
    pub max_tokens: usize,
    /// What happens to longer ones.
    pub too_long: TooLong,
}

/// Texts as token ids.
#[derive(Clone, Debug, PartialEq)]
pub struct EncodedTexts {
    /// The texts that are left, by their place in the input.
    pub rows: Vec<usize>,
    /// Token ids of each of them.
    pub sequences: Vec<Vec<u32>>,
    /// How many were left out, for their length or because no token was left of them.
    pub dropped: usize,
    /// How many were cut.
    pub truncated: usize,
}

impl ClassifierSettings {
    /// Texts inside the prompt, tokenised.
    pub fn encode<'a>(
        &self,
        tokenizer: &Tokenizer,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<EncodedTexts, LmError> {
        let prompts = texts
            .into_iter()
            .map(|text| self.template.replace("{text}", text))
            .collect();
        let mut encoded = EncodedTexts {
            rows: Vec::new(),
            sequences: Vec::new(),
            dropped: 0,
            truncated: 0,
        };
        for (row, mut ids) in tokenizer.encode_all(prompts)?.into_iter().enumerate() {
            if ids.len() > self.max_tokens && self.too_long == TooLong::Truncate {
                ids.truncate(self.max_tokens);
                encoded.truncated += 1;
            }
            if ids.is_empty() || ids.len() > self.max_tokens {
                encoded.dropped += 1;
                continue;
            }
            encoded.rows.push(row);
            encoded.sequences.push(ids);
        }
        Ok(encoded)
    }
}

/// How texts become prompts; flags and key of every operation that starts a classifier.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct PromptArgs {
    /// Prompt around a text, which `{text}` stands for; `\n` is a line break
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value = "{text}", value_name = "TEXT")
    )]
    pub template: String,
    /// Longest prompt in tokens [default: the model's positions]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_tokens: Option<usize>,
    /// What happens to longer ones, counted either way
    #[cfg_attr(feature = "cli", arg(long, default_value_t = TooLong::Drop, value_name = "CHOICE"))]
    pub too_long: TooLong,
}

impl PromptArgs {
    /// Refuses a template without a place for the text.
    pub fn check(&self) -> Result<(), String> {
        if !self.template.contains("{text}") {
            return Err(format!("--template `{}` has no `{{text}}`", self.template));
        }
        if self.max_tokens == Some(0) {
            return Err("--max-tokens is 0; it must be above zero".into());
        }
        Ok(())
    }

    /// Texts as the model in a folder reads them.
    pub fn encode<'a>(
        &self,
        folder: &Path,
        texts: impl IntoIterator<Item = &'a str>,
    ) -> Result<EncodedTexts, LmError> {
        let (_, tokenizer, settings) = self.open(folder, &[])?;
        settings.encode(&tokenizer, texts)
    }

    fn open(
        &self,
        folder: &Path,
        classes: &[String],
    ) -> Result<(ModelFolder, Tokenizer, ClassifierSettings), LmError> {
        let opened = ModelFolder::open(folder)?;
        let tokenizer = Tokenizer::load(folder)?;
        tokenizer.fits(opened.config().vocabulary)?;
        let longest = opened.config().longest();
        let settings = ClassifierSettings {
            template: self.template.replace("\\n", "\n"),
            classes: classes.to_vec(),
            max_tokens: self.max_tokens.unwrap_or(longest).min(longest),
            too_long: self.too_long,
        };
        Ok((opened, tokenizer, settings))
    }
}

/// How a classifier reads texts, where its head starts and what of its decoder is trained; flags and key of every operation
/// that trains one.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ClassifierArgs {
    /// How texts become prompts.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub prompt: PromptArgs,
    /// Start the head from the unembedding rows of these words, one a class in their order [default: zeros]
    #[cfg_attr(feature = "cli", arg(long, value_name = "WORD"))]
    pub label_words: Vec<String>,
    /// Whether an adapter is trained instead of the decoder.
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    pub lora: LoraArgs,
}

impl ClassifierArgs {
    /// Refuses values that no classifier can be trained with.
    pub fn check(&self) -> Result<(), String> {
        self.prompt.check()?;
        self.lora.check()
    }

    /// A classifier on the decoder of a model folder, its tokenizer, and the settings to save with it. Where an adapter is
    /// asked for, `seed` draws it, and nothing else of the decoder is trained.
    ///
    /// # Errors
    ///
    /// Besides what a folder can have wrong: a number of label words that is not the number of classes, or a word that is
    /// not one token; an adapter that does not fit the model, or that could not be saved alone.
    pub fn start(
        &self,
        folder: &Path,
        classes: &[String],
        seed: u64,
        device: &Device,
    ) -> Result<(Classifier, Tokenizer, ClassifierSettings), LmError> {
        let (opened, tokenizer, settings) = self.prompt.open(folder, classes)?;
        let words = self.label_tokens(&tokenizer, classes)?;
        self.lora.check_base(&opened)?;
        let model = opened.language_model(device)?;
        let classifier = match words {
            None => Classifier::zero_head(model.model, classes.len(), device),
            Some(words) => Classifier::word_head(model, &words, device),
        };
        let classifier = match self.lora.settings() {
            None => classifier,
            Some(lora) => classifier.with_lora(&lora, seed)?,
        };
        Ok((classifier, tokenizer, settings))
    }

    /// Writes the trained classifier into `folder`, its adapter in the form that is asked for. `base` is the folder that it
    /// was started from.
    ///
    /// # Errors
    ///
    /// A file that cannot be written; see [`save_classifier_adapter`].
    pub fn save(
        &self,
        model: &Classifier,
        settings: &ClassifierSettings,
        base: &Path,
        folder: &Path,
    ) -> Result<(), LmError> {
        match self.lora.lora_save {
            LoraSave::Merged => save_classifier(model, settings, folder),
            LoraSave::Adapter => save_classifier_adapter(model, settings, base, folder),
        }
    }

    fn label_tokens(
        &self,
        tokenizer: &Tokenizer,
        classes: &[String],
    ) -> Result<Option<Vec<u32>>, LmError> {
        if self.label_words.is_empty() {
            return Ok(None);
        }
        if self.label_words.len() != classes.len() {
            return Err(LmError::LabelWords(format!(
                "{} label words for {} classes ({})",
                self.label_words.len(),
                classes.len(),
                classes.join(", ")
            )));
        }
        let token = |word: &String| {
            let ids = tokenizer.encode(word)?;
            match ids[..] {
                [id] => Ok(id),
                _ => Err(LmError::LabelWords(format!(
                    "label word `{word}` is {} tokens, not one",
                    ids.len()
                ))),
            }
        };
        self.label_words
            .iter()
            .map(token)
            .collect::<Result<_, _>>()
            .map(Some)
    }
}

/// Texts with a classifier's probabilities.
#[derive(Clone, Debug)]
pub struct Classified {
    /// The texts that fit, and the counts of the others.
    pub encoded: EncodedTexts,
    /// Probabilities of the classes, one row for each text that fits.
    pub probabilities: Vec<Vec<f32>>,
}

/// Tokens that [`classify`] computes at once.
pub(crate) const TOKEN_BUDGET: usize = 4096;

/// Probabilities that the classifier in a model folder gives to texts.
/// `each` hears how many rows are done at a time, and stops the work by returning `false`, upon which the result is `None`.
pub fn classify<'a>(
    folder: &Path,
    texts: impl IntoIterator<Item = &'a str>,
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Classified>, LmError> {
    let opened = ModelFolder::open(folder)?;
    let settings = opened.classifier_settings()?;
    let encoded = settings.encode(&Tokenizer::load(folder)?, texts)?;
    let probabilities = opened
        .classifier(device)?
        .probabilities(&encoded.sequences, each);
    Ok(probabilities.map(|probabilities| Classified {
        encoded,
        probabilities,
    }))
}

/// Texts with what a decoder makes of them.
#[derive(Clone, Debug)]
pub struct Featured {
    /// The texts that fit, and the counts of the others.
    pub encoded: EncodedTexts,
    /// The hidden state of each one's last token, as wide as the model.
    pub features: Vec<Vec<f32>>,
}

/// What the decoder of a model folder makes of texts, for a linear probe. `each` is that of [`classify`].
pub fn features<'a>(
    folder: &Path,
    prompt: &PromptArgs,
    texts: impl IntoIterator<Item = &'a str>,
    device: &Device,
    each: &mut dyn FnMut(usize) -> bool,
) -> Result<Option<Featured>, LmError> {
    let (opened, tokenizer, settings) = prompt.open(folder, &[])?;
    let encoded = settings.encode(&tokenizer, texts)?;
    let decoder = opened.language_model(device)?.model;
    let compute = |batch: &Batch| decoder.features(batch);
    let features = in_batches(&encoded.sequences, TOKEN_BUDGET, each, compute);
    Ok(features.map(|features| Featured { encoded, features }))
}

/// The values of a matrix, row by row.
pub(crate) fn rows_of(matrix: Tensor<2>) -> Vec<Vec<f32>> {
    let [_, width] = matrix.dims();
    let flat: Vec<f32> = matrix.into_data().try_to_vec().expect("values are f32");
    flat.chunks(width).map(<[f32]>::to_vec).collect()
}

/// The place of the largest value; the first of equal ones.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, &value) in values.iter().enumerate() {
        if value > values[best] {
            best = i;
        }
    }
    best
}

/// What `compute` makes of each sequence, one row of its matrix, in batches of similar lengths.
pub(crate) fn in_batches(
    sequences: &[Vec<u32>],
    token_budget: usize,
    each: &mut dyn FnMut(usize) -> bool,
    compute: impl Fn(&Batch) -> Tensor<2>,
) -> Option<Vec<Vec<f32>>> {
    let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
    let mut out = vec![Vec::new(); sequences.len()];
    for rows in by_token_budget(&lengths, token_budget) {
        let batch = Batch::pack(rows.iter().map(|&r| &sequences[r][..]));
        for (&row, values) in rows.iter().zip(rows_of(compute(&batch))) {
            out[row] = values;
        }
        if !each(rows.len()) {
            return None;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_values_is_largest() {
        assert_eq!(argmax(&[0.5, 0.5]), 0);
        assert_eq!(argmax(&[0.1, 0.7, 0.2]), 1);
    }
}
