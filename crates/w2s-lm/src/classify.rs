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
    /// What happens to longer ones: drop, truncate; counted either way
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
    ) -> Result<Encoded, LmError> {
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

/// How a classifier reads texts and where its head starts; flags and key of every operation that trains one.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ClassifierArgs {
    #[cfg_attr(feature = "cli", command(flatten))]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub prompt: PromptArgs,
    /// Start the head from the unembedding rows of these words, one a class in their order [default: zeros]
    #[cfg_attr(feature = "cli", arg(long, value_name = "WORD"))]
    pub label_words: Vec<String>,
}

impl ClassifierArgs {
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
        let (opened, tokenizer, settings) = self.prompt.open(folder, classes)?;
        let words = self.label_tokens(&tokenizer, classes)?;
        let model = opened.language_model(device)?;
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

/// Texts with what a decoder makes of them.
#[derive(Clone, Debug)]
pub struct Featured {
    /// The texts that fit, and the counts of the others.
    pub encoded: Encoded,
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

/// What a classifier reads of its rows.
#[derive(Clone, Debug, PartialEq)]
pub enum Inputs {
    /// Token ids: the whole model runs.
    Tokens(Vec<Vec<u32>>),
    /// What a frozen decoder makes of them, computed beforehand: only the head runs, a linear probe.
    Features(Vec<Vec<f32>>),
}

impl Inputs {
    fn len(&self) -> usize {
        match self {
            Self::Tokens(rows) => rows.len(),
            Self::Features(rows) => rows.len(),
        }
    }

    /// The rows for which `keep` holds, and the others.
    fn partition(self, keep: &[bool]) -> (Self, Self) {
        fn partition<T>(rows: Vec<T>, keep: &[bool]) -> (Vec<T>, Vec<T>) {
            let mut keep = keep.iter();
            rows.into_iter()
                .partition(|_| *keep.next().expect("a choice for each row"))
        }
        match self {
            Self::Tokens(rows) => {
                let (kept, others) = partition(rows, keep);
                (Self::Tokens(kept), Self::Tokens(others))
            }
            Self::Features(rows) => {
                let (kept, others) = partition(rows, keep);
                (Self::Features(kept), Self::Features(others))
            }
        }
    }
}

/// Rows with a target distribution each: what a classifier is trained on.
#[derive(Clone, Debug)]
pub struct LabelledRows {
    inputs: Inputs,
    /// One probability a class, for each row.
    targets: Vec<Vec<f32>>,
}

impl LabelledRows {
    /// The rows that have a target.
    ///
    /// # Panics
    ///
    /// If there are not as many inputs as targets.
    pub fn new(inputs: Inputs, targets: Vec<Option<Vec<f32>>>) -> Self {
        assert_eq!(inputs.len(), targets.len(), "a target for each row");
        let labelled: Vec<bool> = targets.iter().map(Option::is_some).collect();
        Self {
            inputs: inputs.partition(&labelled).0,
            targets: targets.into_iter().flatten().collect(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.targets.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }

    /// A model's logits of some rows, `[rows, classes]`, and the number of tokens that were computed for them.
    pub fn logits(&self, model: &Classifier, rows: &[usize]) -> (Tensor<2>, usize) {
        match &self.inputs {
            Inputs::Tokens(sequences) => {
                let batch = Batch::pack(rows.iter().map(|&r| &sequences[r][..]));
                (model.logits(&batch), batch.tokens())
            }
            Inputs::Features(features) => {
                let dim = model.score.weight.dims()[1];
                let values: Vec<f32> = rows
                    .iter()
                    .flat_map(|&r| features[r].iter().copied())
                    .collect();
                let device = model.score.weight.device();
                let features =
                    Tensor::from_data(TensorData::new(values, [rows.len(), dim]), &device);
                (model.score.forward(features), 0)
            }
        }
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
        let scores = match &self.inputs {
            Inputs::Tokens(sequences) => model
                .probabilities(sequences, TOKEN_BUDGET, &mut |_| true)
                .expect("nothing stops it"),
            Inputs::Features(_) => {
                let all: Vec<usize> = (0..self.len()).collect();
                rows_of(self.logits(model, &all).0)
            }
        };
        let agreeing = scores
            .iter()
            .zip(&self.targets)
            .filter(|(p, t)| argmax(p) == argmax(t))
            .count();
        agreeing as f64 / self.len().max(1) as f64
    }

    /// Takes every `1 / part`-th row out, for held-out scores.
    pub fn split_off(self, part: f64) -> (Self, Self) {
        let kept: Vec<bool> = (0..self.len())
            .map(|i| ((i + 1) as f64 * part).floor() <= (i as f64 * part).floor())
            .collect();
        let (inputs, held_inputs) = self.inputs.partition(&kept);
        let mut kept = kept.iter();
        let (targets, held_targets) = self
            .targets
            .into_iter()
            .partition(|_| *kept.next().expect("a choice for each row"));
        let rows = |inputs, targets| Self { inputs, targets };
        (rows(inputs, targets), rows(held_inputs, held_targets))
    }
}

/// The values of a matrix, row by row.
fn rows_of(matrix: Tensor<2>) -> Vec<Vec<f32>> {
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

impl Classifier {
    /// Probabilities of the classes for each sequence, computed in batches of similar lengths; `each` hears how many
    /// sequences a batch had and may stop by returning `false`, upon which the result is `None`.
    pub fn probabilities(
        &self,
        sequences: &[Vec<u32>],
        token_budget: usize,
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<Vec<f32>>> {
        let probabilities = |batch: &Batch| softmax(self.logits(batch), 1);
        in_batches(sequences, token_budget, each, probabilities)
    }
}

/// What `compute` makes of each sequence, one row of its matrix, in batches of similar lengths.
fn in_batches(
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
    fn a_part_is_held_out_evenly() {
        let sequences = Inputs::Tokens((0..10).map(|i| vec![i]).collect());
        let rows = LabelledRows::new(sequences, vec![Some(vec![1.0, 0.0]); 10]);
        let (kept, held) = rows.split_off(0.2);
        assert_eq!(held.inputs, Inputs::Tokens(vec![vec![4], vec![9]]));
        assert_eq!((kept.len(), held.len()), (8, 2));
    }

    #[test]
    fn rows_without_a_target_are_left_out() {
        let features = Inputs::Features(vec![vec![1.0], vec![2.0], vec![3.0]]);
        let target = Some(vec![0.5, 0.5]);
        let rows = LabelledRows::new(features, vec![target.clone(), None, target]);
        assert_eq!(rows.inputs, Inputs::Features(vec![vec![1.0], vec![3.0]]));
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn the_first_of_equal_values_is_largest() {
        assert_eq!(argmax(&[0.5, 0.5]), 0);
        assert_eq!(argmax(&[0.1, 0.7, 0.2]), 1);
    }
}
