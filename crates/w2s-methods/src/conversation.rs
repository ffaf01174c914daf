//! What the methods on conversations share: prompts and answers as tokens, and from a base model to a trained folder.

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use std::path::Path;
use w2s_artifact::Message;
use w2s_artifact::summary::FitSummary;
use w2s_lm::{Dropped, EncodingArgs, LanguageModel, LoraArgs, ModelFolder, NOTHING_FITS, turns};
use w2s_text::{Encoded, Encoder};
use w2s_train::{Batches, Objective, TrainArgs, Watch, fit};

/// What training on conversations needs, whatever the method.
pub struct Setup<'a> {
    /// Model folder to start from.
    pub base: &'a Path,
    /// How conversations become tokens.
    pub encoding: &'a EncodingArgs,
    /// Rows in a step.
    pub batch: usize,
    /// Whether rows stay in their order instead of being shuffled.
    pub in_order: bool,
    /// Training settings.
    pub train: &'a TrainArgs,
    /// Whether an adapter is trained instead of the whole model.
    pub lora: &'a LoraArgs,
    /// Where to compute.
    pub device: &'a Device,
    /// Where the trained model goes.
    pub dir: &'a Path,
    /// Where the state for resuming is kept.
    pub state_dir: &'a Path,
}

impl Setup<'_> {
    /// The base model, with the adapter that is asked for, and what turns conversations into its tokens.
    pub fn open(&self) -> Result<(LanguageModel, Encoder)> {
        let folder = ModelFolder::open(self.base)?;
        let model = self.lora.start(&folder, self.train.seed, self.device)?;
        let encoder = self.encoding.encoder(self.base, &model.model)?;
        Ok((model, encoder))
    }

    /// Which of `rows` rows make which step.
    pub fn batches(&self, rows: usize) -> Batches {
        let (batch, epochs) = (self.batch, self.train.epochs);
        let batches = if self.in_order {
            Batches::in_order(rows, batch, epochs)
        } else {
            Batches::by_examples(rows, batch, epochs, self.train.seed)
        };
        batches.at_most(self.train.max_steps)
    }

    /// Trains `model` by `objective`, and writes the model folder.
    pub fn fit(
        &self,
        model: LanguageModel,
        encoder: &Encoder,
        objective: &mut impl Objective<LanguageModel>,
        batches: &Batches,
        watch: Watch,
    ) -> Result<FitSummary> {
        let config = self.train.config(self.dir, self.state_dir, None);
        let fitted = fit(model, objective, batches, &config, watch)?;
        self.lora.save(&fitted.model, self.base, self.dir)?;
        encoder
            .tokenizer()
            .save(self.dir)
            .context("cannot copy the tokenizer")?;
        Ok(fitted.summary)
    }
}

/// A language model, and what turns conversations into its tokens.
pub fn open(
    folder: &Path,
    encoding: &EncodingArgs,
    device: &Device,
) -> Result<(LanguageModel, Encoder)> {
    let model = ModelFolder::open(folder)?.language_model(device)?;
    let encoder = encoding.encoder(folder, &model.model)?;
    Ok((model, encoder))
}

/// Answers to learn from, as tokens.
#[derive(Clone, Debug)]
pub struct EncodedAnswers {
    /// Those that fit, in their order.
    pub answers: Vec<Encoded>,
    /// The others.
    pub dropped: Dropped,
    /// How many of the answers were cut at their end.
    pub truncated: usize,
}

/// One prompt with its answer.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Number of the prompt.
    pub prompt: u64,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer.
    pub answer: String,
    /// Whether it came to its end: only then is the end learnt.
    pub finished: bool,
}

/// Prompts with one answer each, as tokens.
///
/// # Errors
///
/// A conversation that does not encode, or if none is left.
pub fn encode_answers(encoder: &Encoder, rows: &[Conversation]) -> Result<EncodedAnswers> {
    let (mut answers, mut dropped) = (Vec::new(), Dropped::default());
    for row in rows {
        let fit = encoder
            .answer(&turns(&row.messages), &row.answer, row.finished)
            .with_context(|| format!("the answer to prompt {} does not encode", row.prompt))?;
        answers.extend(dropped.keep(fit));
    }
    if answers.is_empty() {
        bail!(
            "none of {} answers is left: {dropped}\n{NOTHING_FITS}",
            rows.len()
        );
    }
    Ok(EncodedAnswers {
        truncated: answers.iter().filter(|answer| answer.cut > 0).count(),
        answers,
        dropped,
    })
}
