//! Texts for a classifier: prompt, token limit, probabilities.

use crate::{Batch, Classifier, LmError, Tokenizer, by_token_budget};
use burn::tensor::activation::softmax;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What happens to a text that has more tokens than a classifier reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TooLong {
    /// Its row is left out, and counted.
    Drop,
    /// It keeps its first tokens, and is counted.
    Truncate,
}

impl FromStr for TooLong {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "drop" => Ok(Self::Drop),
            "truncate" => Ok(Self::Truncate),
            other => Err(format!("unknown choice `{other}`; there are drop, truncate")),
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
