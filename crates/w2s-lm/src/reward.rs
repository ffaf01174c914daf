//! Reward models: one number for a prompt with an answer, read at the last token (Stiennon et al. 2020, arXiv 2009.01325,
//! section 3.4). The larger number of two answers is the better one's, with the probability of Bradley and Terry (1952).
//!
//! Both answers of a pair are two classes whose logits are their rewards, so whatever learns from labels learns from pairs.

use crate::classify::{TOKEN_BUDGET, in_batches};
use crate::decoder::Classifier;
use crate::{
    Batch, ClassModel, Decoder, EncodingArgs, LmError, LoraArgs, LoraSave, ModelFolder, Probe,
    Template, peft, save,
};
use burn::module::{Module, Param};
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// Where the settings of a reward model lie among those of a head.
pub(crate) const KEY: &str = "reward";

/// Whether a configuration from elsewhere has a head of one row.
pub(crate) fn is_scalar(config: &Value) -> bool {
    let named = config["id2label"].as_object().map(serde_json::Map::len);
    config["num_labels"].as_u64() == Some(1) || named == Some(1)
}

/// What a reward model needs beside its weights; kept under `w2s` in `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RewardSettings {
    /// How conversations become tokens.
    #[serde(rename = "reward")]
    pub encoding: EncodingArgs,
}

impl Default for RewardSettings {
    fn default() -> Self {
        Self {
            encoding: EncodingArgs::of(Template::Model),
        }
    }
}

/// A decoder with a bias-free head of one row that reads the last token.
#[derive(Module, Debug)]
pub struct RewardModel {
    classifier: Classifier,
}

impl RewardModel {
    /// A reward model on a decoder with its head.
    pub(crate) fn of(classifier: Classifier) -> Self {
        Self { classifier }
    }

    /// A reward model on the decoder of a model folder, its head that of the folder where it has one, or else zero. Where an
    /// adapter is asked for, `seed` draws it, and nothing else of the decoder is trained.
    ///
    /// # Errors
    ///
    /// What a folder can have wrong, an adapter that does not fit the model, or that could not be saved alone.
    pub fn start(
        folder: &ModelFolder,
        lora: &LoraArgs,
        seed: u64,
        device: &Device,
    ) -> Result<Self, LmError> {
        lora.check_base(folder)?;
        let classifier = match folder.reward_settings() {
            Ok(_) => folder.reward_model(device)?.classifier,
            Err(_) => Classifier::zero_head(folder.language_model(device)?.model, 1, device),
        };
        Ok(Self::of(match lora.settings() {
            None => classifier,
            Some(settings) => classifier.with_lora(&settings, seed)?,
        }))
    }

    /// The decoder.
    pub fn decoder(&self) -> &Decoder {
        &self.classifier.model
    }

    /// Rewards of sequences, `[sequences, 1]`.
    pub fn rewards(&self, batch: &Batch) -> Tensor<2> {
        self.classifier.logits(batch)
    }

    /// Rewards of sequences as numbers. `each` hears how many are done at a time, and stops the work by returning `false`, upon
    /// which the result is `None`.
    pub fn score(
        &self,
        sequences: &[Vec<u32>],
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<f32>> {
        let rewards = in_batches(sequences, TOKEN_BUDGET, each, |batch| self.rewards(batch))?;
        Some(rewards.concat())
    }

    /// The hidden states that the head reads, one row a sequence.
    pub fn features(&self, sequences: &[Vec<u32>]) -> Vec<Vec<f32>> {
        let decoder = self.decoder();
        in_batches(sequences, TOKEN_BUDGET, &mut |_| true, |batch| {
            decoder.features(batch)
        })
        .expect("nothing stops it")
    }

    /// The same decoder with the head that was trained on its [`features`](Self::features).
    #[must_use]
    pub fn with_head(mut self, head: FrozenReward) -> Self {
        let weight = head.probe.score.weight.val();
        self.classifier.score.weight = Param::from_data(weight.into_data(), &self.device());
        self
    }

    fn device(&self) -> Device {
        self.classifier.score.weight.val().device()
    }

    /// Writes the model into `folder`, as transformers opens it with one label; an adapter in the form that is asked for.
    /// `base` is the folder that it was started from.
    ///
    /// # Errors
    ///
    /// A file that cannot be written; see [`save_classifier_adapter`](crate::save_classifier_adapter).
    pub fn save(
        &self,
        encoding: &EncodingArgs,
        lora: &LoraArgs,
        base: &Path,
        folder: &Path,
    ) -> Result<(), LmError> {
        let settings = json!(RewardSettings {
            encoding: encoding.clone(),
        });
        match (lora.settings(), lora.lora_save) {
            (Some(_), LoraSave::Adapter) => {
                peft::save_head_adapter(&self.classifier, &settings, base, folder)
            }
            _ => save::save_head(&self.classifier, &[KEY.into()], settings, folder),
        }
    }
}

/// Scores of both answers of pairs as logits, `[pairs, 2]`, from those of all answers, `[2 * pairs, 1]`.
fn by_pair(scores: Tensor<2>) -> Tensor<2> {
    let [answers, _] = scores.dims();
    scores.reshape([answers / 2, 2])
}

impl ClassModel for RewardModel {
    /// Token ids of a prompt with each of two answers.
    type Row = [Vec<u32>; 2];

    fn logits_of(&self, rows: &[&[Vec<u32>; 2]]) -> (Tensor<2>, usize) {
        let batch = Batch::pack(rows.iter().flat_map(|row| row.iter().map(|ids| &ids[..])));
        (by_pair(self.rewards(&batch)), batch.tokens())
    }

    fn probabilities(
        &self,
        rows: &[[Vec<u32>; 2]],
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<Vec<f32>>> {
        let mut answers = 0;
        let mut of_pairs = |done: usize| {
            let before = answers / 2;
            answers += done;
            each(answers / 2 - before)
        };
        let scores = self.score(&rows.concat(), &mut of_pairs)?;
        Some(scores.chunks(2).map(both).collect())
    }
}

/// Probabilities that each of two answers is the better one.
fn both(scores: &[f32]) -> Vec<f32> {
    let first = sigmoid(f64::from(scores[0]) - f64::from(scores[1]));
    vec![first as f32, (1.0 - first) as f32]
}

/// `1 / (1 + exp(-x))`, without overflow.
pub(crate) fn sigmoid(x: f64) -> f64 {
    match x < 0.0 {
        true => x.exp() / (1.0 + x.exp()),
        false => 1.0 / (1.0 + (-x).exp()),
    }
}

/// The head of a reward model alone, on what a frozen decoder makes of answers.
#[derive(Module, Debug)]
pub struct FrozenReward {
    /// A head of one row; its bias is the same for both answers of a pair and is never moved.
    pub probe: Probe,
}

impl ClassModel for FrozenReward {
    /// Features of each of two answers.
    type Row = [Vec<f32>; 2];

    fn logits_of(&self, rows: &[&[Vec<f32>; 2]]) -> (Tensor<2>, usize) {
        let answers: Vec<&Vec<f32>> = rows.iter().flat_map(|row| row.iter()).collect();
        let (scores, tokens) = self.probe.logits_of(&answers);
        (by_pair(scores), tokens)
    }

    fn probabilities(
        &self,
        rows: &[[Vec<f32>; 2]],
        each: &mut dyn FnMut(usize) -> bool,
    ) -> Option<Vec<Vec<f32>>> {
        let rows: Vec<&[Vec<f32>; 2]> = rows.iter().collect();
        let probabilities = softmax(self.logits_of(&rows).0, 1);
        each(rows.len()).then(|| crate::classify::rows_of(probabilities))
    }
}
