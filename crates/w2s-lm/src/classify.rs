//! Texts for a classifier: prompt, token limit, probabilities.

use crate::{Batch, Classifier, LmError, ModelFolder, Tokenizer, by_token_budget};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor, TensorData};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// What happens to a text that has more tokens than a classifier reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// Its row is left out, and counted.
    Drop,
    /// The prompt keeps its first tokens, whatever stands behind the text included, and is counted.
    Truncate,
}

impl FromStr for TooLong {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "drop" => Ok(Self::Drop),
            "truncate" => Ok(Self::Truncate),
            other => Err(format!(
                "unknown choice `{other}`; there are drop, truncate"
            )),
        }
    }
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
pub struct Encoded {
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
    ) -> Result<Encoded, LmError> {
        let prompts = texts
            .into_iter()
            .map(|text| self.template.replace("{text}", text))
            .collect();
        let mut encoded = Encoded {
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

/// How a classifier reads texts and where its head starts; flags and key of every operation that trains one.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ClassifierArgs {
    /// Prompt around a text, which `{text}` stands for; `\n` is a line break
    #[cfg_attr(
        feature = "cli",
        arg(long, default_value = "{text}", value_name = "TEXT")
    )]
    pub template: String,
    /// Start the head from the unembedding rows of these words, one a class in their order [default: zeros]
    #[cfg_attr(feature = "cli", arg(long, value_name = "WORD"))]
    pub label_words: Vec<String>,
    /// Longest prompt in tokens [default: the model's positions]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_tokens: Option<usize>,
    /// What happens to longer ones: drop, truncate; counted either way
    #[cfg_attr(feature = "cli", arg(long, default_value_t = TooLong::Drop, value_name = "CHOICE"))]
    pub too_long: TooLong,
}

impl ClassifierArgs {
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

    /// A classifier on the decoder of a model folder, its tokenizer, and the settings to save with it.
    ///
    /// # Errors
    ///
    /// Besides what a folder can have wrong: a number of label words that is not the number of classes, or a word that is
    /// not one token.
    pub fn start(
        &self,
        folder: &Path,
        classes: &[String],
        device: &Device,
    ) -> Result<(Classifier, Tokenizer, ClassifierSettings), LmError> {
        let opened = ModelFolder::open(folder)?;
        let tokenizer = Tokenizer::load(folder)?;
        tokenizer.fits(opened.config().vocabulary)?;
        let words = self.label_tokens(&tokenizer, classes)?;
        let model = opened.language_model(device)?;
        let positions = model.model.max_tokens();
        let settings = ClassifierSettings {
            template: self.template.replace("\\n", "\n"),
            classes: classes.to_vec(),
            max_tokens: self.max_tokens.unwrap_or(positions).min(positions),
            too_long: self.too_long,
        };
        let classifier = match words {
            None => Classifier::zero_head(model.model, classes.len(), device),
            Some(words) => Classifier::word_head(model, &words, device),
        };
        Ok((classifier, tokenizer, settings))
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
    pub encoded: Encoded,
    /// Probabilities of the classes, one row for each text that fits.
    pub probabilities: Vec<Vec<f32>>,
}

/// Tokens that [`classify`] computes at once.
const TOKEN_BUDGET: usize = 4096;

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
    let probabilities =
        opened
            .classifier(device)?
            .probabilities(&encoded.sequences, TOKEN_BUDGET, each);
    Ok(probabilities.map(|probabilities| Classified {
        encoded,
        probabilities,
    }))
}

/// Sequences with a target distribution each: what a classifier is trained on.
#[derive(Clone, Debug)]
pub struct LabelledRows {
    /// Token ids.
    pub sequences: Vec<Vec<u32>>,
    /// One probability a class, for each sequence.
    pub targets: Vec<Vec<f32>>,
}

impl LabelledRows {
    /// Some rows as a batch.
    pub fn batch(&self, rows: &[usize]) -> Batch {
        Batch::pack(rows.iter().map(|&r| &self.sequences[r][..]))
    }

    /// The targets of some rows, `[rows, classes]`.
    pub fn targets(&self, rows: &[usize], device: &Device) -> Tensor<2> {
        let classes = self.targets.first().map_or(0, Vec::len);
        let values: Vec<f32> = rows
            .iter()
            .flat_map(|&r| self.targets[r].iter().copied())
            .collect();
        Tensor::from_data(TensorData::new(values, [rows.len(), classes]), device)
    }

    /// How often a model's most probable class is the most probable target, over all rows.
    pub fn agreement(&self, model: &Classifier) -> f64 {
        let probabilities = model
            .probabilities(&self.sequences, 4096, &mut |_| true)
            .expect("nothing stops it");
        let agreeing = probabilities
            .iter()
            .zip(&self.targets)
            .filter(|(p, t)| argmax(p) == argmax(t))
            .count();
        agreeing as f64 / self.sequences.len().max(1) as f64
    }

    /// Takes every `1 / part`-th row out, for held-out scores.
    pub fn split_off(self, part: f64) -> (Self, Self) {
        let (mut kept, mut held) = (Self::empty(), Self::empty());
        let rows = self.sequences.into_iter().zip(self.targets);
        for (i, (sequence, target)) in rows.enumerate() {
            let ends_a_part = ((i + 1) as f64 * part).floor() > (i as f64 * part).floor();
            let side = if ends_a_part { &mut held } else { &mut kept };
            side.sequences.push(sequence);
            side.targets.push(target);
        }
        (kept, held)
    }

    fn empty() -> Self {
        Self {
            sequences: Vec::new(),
            targets: Vec::new(),
        }
    }
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

impl Classifier {
    /// Probabilities of the classes for each sequence, computed in batches of similar lengths; `each` hears how many
    /// sequences a batch had and may stop by returning `false`, upon which the result is `None`.
    pub fn probabilities(
        &self,
        sequences: &[Vec<u32>],
        token_budget: usize,
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<Vec<f32>>> {
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        let mut out = vec![Vec::new(); sequences.len()];
        for rows in by_token_budget(&lengths, token_budget) {
            let batch = Batch::pack(rows.iter().map(|&r| &sequences[r][..]));
            let flat: Vec<f32> = softmax(self.logits(&batch), 1)
                .into_data()
                .try_to_vec()
                .expect("probabilities are f32");
            for (&row, values) in rows.iter().zip(flat.chunks(self.classes())) {
                out[row] = values.to_vec();
            }
            if !each(rows.len()) {
                return None;
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_held_out_evenly() {
        let rows = LabelledRows {
            sequences: (0..10).map(|i| vec![i]).collect(),
            targets: vec![vec![1.0, 0.0]; 10],
        };
        let (kept, held) = rows.split_off(0.2);
        assert_eq!(held.sequences, [[4], [9]]);
        assert_eq!(kept.sequences.len(), 8);
    }

    #[test]
    fn the_first_of_equal_values_is_largest() {
        assert_eq!(argmax(&[0.5, 0.5]), 0);
        assert_eq!(argmax(&[0.1, 0.7, 0.2]), 1);
    }
}
