//! What the methods on conversations share: prompts and answers as tokens, and from a base model to a trained folder.

use anyhow::{Context, Result, anyhow};
use burn::tensor::Device;
use serde::Serialize;
use std::path::Path;
use w2s_artifact::{Answer, Message, Pair};
use w2s_lm::{EncodingArgs, LanguageModel, LoraArgs, ModelFolder};
use w2s_text::{Encoded, Encoder, Fit, Turn};
use w2s_train::{FitSummary, Objective, Plan, TrainArgs, Watch, fit};

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
        let encoder = self.encoding.encoder(self.base, &model)?;
        Ok((model, encoder))
    }

    /// Which of `rows` rows make which step.
    pub fn plan(&self, rows: usize) -> Plan {
        let (batch, epochs) = (self.batch, self.train.epochs);
        let plan = if self.in_order {
            Plan::in_order(rows, batch, epochs)
        } else {
            Plan::by_examples(rows, batch, epochs, self.train.seed)
        };
        plan.at_most(self.train.max_steps)
    }

    /// Trains `model` by `objective`, and writes the model folder.
    pub fn fit(
        &self,
        model: LanguageModel,
        encoder: &Encoder,
        objective: &mut impl Objective<LanguageModel>,
        plan: &Plan,
        watch: Watch,
    ) -> Result<FitSummary> {
        let config = self.train.config(self.dir, self.state_dir, None);
        let fitted = fit(model, objective, plan, &config, watch)?;
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
    let encoder = encoding.encoder(folder, &model)?;
    Ok((model, encoder))
}

/// Rows that are left out, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dropped {
    /// Prompt and answer together have too many tokens.
    pub too_long: usize,
    /// The prompt alone leaves no room for an answer.
    pub no_room: usize,
    /// The answer has no text.
    pub empty: usize,
    /// The answer holds a token that would have ended it.
    pub ends_inside: usize,
    /// Both answers of a pair are the same tokens: there is nothing to prefer.
    pub identical: usize,
}

impl Dropped {
    /// The tokens of a row that fits; any other is counted.
    fn keep(&mut self, fit: Fit) -> Option<Encoded> {
        match fit {
            Fit::Fits(encoded) => return Some(encoded),
            Fit::TooLong { .. } => self.too_long += 1,
            Fit::NoRoom { .. } => self.no_room += 1,
            Fit::Empty => self.empty += 1,
            Fit::EndsInside { .. } => self.ends_inside += 1,
        }
        None
    }

    fn all(&self, rows: usize, what: &str) -> anyhow::Error {
        let Self {
            too_long,
            no_room,
            empty,
            ends_inside,
            identical,
        } = self;
        anyhow!(
            "none of {rows} {what} is left: {too_long} too long, {no_room} with a prompt that leaves no room for an \
             answer, {empty} empty, {ends_inside} with the token that ends an answer inside it, {identical} with the \
             same answer on both sides\n\
             hint: raise --max-tokens, up to the model's positions, or look at the rows with `w2s-data inspect`"
        )
    }
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
        let fit = encoder.answer(&turns(&row.messages), &row.answer, row.finished)?;
        answers.extend(dropped.keep(fit));
    }
    if answers.is_empty() {
        return Err(dropped.all(rows.len(), "answers"));
    }
    Ok(EncodedAnswers {
        truncated: truncated(&answers),
        answers,
        dropped,
    })
}

/// One pair as tokens.
#[derive(Clone, Debug)]
pub struct EncodedPair {
    /// Number of the pair.
    pub id: u64,
    /// The prompt with the chosen answer, then with the rejected one.
    pub sides: [Encoded; 2],
    /// The prompt with an answer to another one, where that was asked for and fits.
    pub mismatched: Option<Encoded>,
}

/// Pairs to learn from, as tokens.
#[derive(Clone, Debug)]
pub struct EncodedPairs {
    /// Those that fit, in their order.
    pub pairs: Vec<EncodedPair>,
    /// The others.
    pub dropped: Dropped,
    /// How many of the answers, two a pair, were cut at their end.
    pub truncated: usize,
}

/// Pairs as tokens; with `mismatched` each also gets the chosen answer of the last pair before it that has another
/// prompt, going round from the first pair to the last.
///
/// # Errors
///
/// A conversation that does not encode, or if no pair is left.
pub fn encode_pairs(encoder: &Encoder, pairs: &[Pair], mismatched: bool) -> Result<EncodedPairs> {
    let (mut encoded, mut dropped) = (Vec::new(), Dropped::default());
    for (index, pair) in pairs.iter().enumerate() {
        let prompt = turns(&pair.messages);
        let answer = |answer: &Answer| {
            encoder
                .answer(&prompt, &answer.text, answer.finished)
                .with_context(|| format!("pair {} does not encode", pair.id))
        };
        let Some(chosen) = dropped.keep(answer(&pair.chosen)?) else {
            continue;
        };
        let Some(rejected) = dropped.keep(answer(&pair.rejected)?) else {
            continue;
        };
        if chosen == rejected {
            dropped.identical += 1;
            continue;
        }
        let neighbour = pairs[..index]
            .iter()
            .rev()
            .chain(pairs[index..].iter().rev())
            .find(|other| mismatched && other.messages != pair.messages);
        let mismatched = match neighbour {
            None => None,
            Some(other) => Dropped::default().keep(answer(&other.chosen)?),
        };
        encoded.push(EncodedPair {
            id: pair.id,
            sides: [chosen, rejected],
            mismatched,
        });
    }
    if encoded.is_empty() {
        return Err(dropped.all(pairs.len(), "pairs"));
    }
    Ok(EncodedPairs {
        truncated: truncated(encoded.iter().flat_map(|pair| &pair.sides)),
        pairs: encoded,
        dropped,
    })
}

fn truncated<'a>(answers: impl IntoIterator<Item = &'a Encoded>) -> usize {
    answers.into_iter().filter(|answer| answer.cut > 0).count()
}

/// A conversation up to the answer, as the encoder takes it.
fn turns(messages: &[Message]) -> Vec<Turn<'_>> {
    messages
        .iter()
        .map(|message| Turn {
            role: &message.role,
            content: &message.content,
        })
        .collect()
}
