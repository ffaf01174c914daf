//! What the methods on conversations share: prompts and answers as tokens, and from a base model to a trained folder.

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use std::fmt;
use std::path::Path;
use w2s_artifact::summary::{self, FitSummary};
use w2s_artifact::{Answer, Message, Pair};
use w2s_lm::{EncodingArgs, LanguageModel, LoraArgs, ModelFolder, turns};
use w2s_text::{Encoded, Encoder, Fit};
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
        let encoder = self.encoding.encoder(self.base, &model)?;
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
    let encoder = encoding.encoder(folder, &model)?;
    Ok((model, encoder))
}

/// Answers that are left out, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Prompt and answer together have too many tokens.
    pub too_long: usize,
    /// The prompt alone leaves no room for an answer.
    pub no_room: usize,
    /// The answer has no text.
    pub empty: usize,
    /// The answer holds a token that would have ended it.
    pub ends_inside: usize,
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
}

impl Dropped {
    /// The counts under their names, each behind `side`.
    pub(crate) fn by_reason(&self, side: &str) -> summary::Dropped {
        let Self {
            too_long,
            no_room,
            empty,
            ends_inside,
        } = *self;
        let reasons = [
            ("too_long", too_long),
            ("no_room", no_room),
            ("empty", empty),
            ("ends_inside", ends_inside),
        ];
        let named = reasons.map(|(reason, count)| (format!("{side}{reason}"), count));
        named.into_iter().filter(|(_, count)| *count > 0).collect()
    }
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            too_long,
            no_room,
            empty,
            ends_inside,
        } = self;
        write!(
            f,
            "{too_long} too long, {no_room} with a prompt that leaves no room for an answer, {empty} empty, \
             {ends_inside} with the token that ends an answer inside it"
        )
    }
}

/// What to do when no row is left.
const HINT: &str = "hint: raise --max-tokens, up to the model's positions, or look at the rows with `w2s-data inspect`";

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
        bail!("none of {} answers is left: {dropped}\n{HINT}", rows.len());
    }
    Ok(EncodedAnswers {
        truncated: answers.iter().filter(|answer| answer.cut > 0).count(),
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

/// What became of the answers on one side of pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SideCounts {
    /// Answers of the pairs that are left.
    pub kept: usize,
    /// How many of those were cut at their end.
    pub truncated: usize,
    /// Answers that do not fit.
    pub dropped: Dropped,
}

impl SideCounts {
    fn kept<'a>(&mut self, answers: impl Iterator<Item = &'a Encoded>) {
        for answer in answers {
            self.kept += 1;
            self.truncated += usize::from(answer.cut > 0);
        }
    }
}

/// What became of pairs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Pairs that are left.
    pub pairs: usize,
    /// Pairs left out because one of their answers does not fit, or both.
    pub pairs_dropped: usize,
    /// Pairs left out because both answers are the same tokens: there is nothing to prefer.
    pub pairs_identical: usize,
    /// The chosen answers.
    pub chosen: SideCounts,
    /// The rejected answers.
    pub rejected: SideCounts,
    /// The answers to other prompts, of the pairs that are left and where they were asked for.
    pub mismatched: Option<SideCounts>,
}

impl PairCounts {
    /// What was left out, under its names: pairs, and on each side the answers that do not fit.
    pub fn dropped(&self) -> summary::Dropped {
        let pairs = [
            ("pairs_dropped", self.pairs_dropped),
            ("pairs_identical", self.pairs_identical),
        ];
        let pairs = pairs.map(|(reason, count)| (reason.to_owned(), count));
        let mut dropped: summary::Dropped = pairs.into_iter().filter(|(_, n)| *n > 0).collect();
        for (side, counts) in [
            ("chosen_", Some(self.chosen)),
            ("rejected_", Some(self.rejected)),
            ("mismatched_", self.mismatched),
        ] {
            dropped.extend(counts.unwrap_or_default().dropped.by_reason(side));
        }
        dropped
    }

    /// Answers that were cut at their end, of all sides.
    pub fn truncated(&self) -> usize {
        let other = self.mismatched.map_or(0, |counts| counts.truncated);
        self.chosen.truncated + self.rejected.truncated + other
    }
}

/// Pairs to learn from, as tokens.
#[derive(Clone, Debug)]
pub struct EncodedPairs {
    /// Those that fit, in their order.
    pub pairs: Vec<EncodedPair>,
    /// How many those are, and what became of the others.
    pub counts: PairCounts,
}

/// Pairs as tokens; with `mismatched` each also gets the chosen answer of the last pair before it that has another
/// prompt, going round from the first pair to the last.
///
/// # Errors
///
/// A conversation that does not encode, or if no pair is left.
pub fn encode_pairs(encoder: &Encoder, pairs: &[Pair], mismatched: bool) -> Result<EncodedPairs> {
    let (mut encoded, mut counts) = (Vec::new(), PairCounts::default());
    counts.mismatched = mismatched.then(SideCounts::default);
    let neighbours = mismatched.then(|| neighbours(pairs)).flatten();
    for (index, pair) in pairs.iter().enumerate() {
        let prompt = turns(&pair.messages);
        let answer = |answer: &Answer| {
            encoder
                .answer(&prompt, &answer.text, answer.finished)
                .with_context(|| format!("pair {} does not encode", pair.id))
        };
        let chosen = counts.chosen.dropped.keep(answer(&pair.chosen)?);
        let rejected = counts.rejected.dropped.keep(answer(&pair.rejected)?);
        let (Some(chosen), Some(rejected)) = (chosen, rejected) else {
            counts.pairs_dropped += 1;
            continue;
        };
        // What was cut off their ends is not learnt from: answers may differ there alone.
        if (&chosen.ids, &chosen.answer) == (&rejected.ids, &rejected.answer) {
            counts.pairs_identical += 1;
            continue;
        }
        let mismatched = match (&neighbours, &mut counts.mismatched) {
            (Some(neighbours), Some(counts)) => {
                let other = &pairs[neighbours[index]].chosen;
                counts.dropped.keep(answer(other)?)
            }
            _ => None,
        };
        encoded.push(EncodedPair {
            id: pair.id,
            sides: [chosen, rejected],
            mismatched,
        });
    }
    counts.pairs = encoded.len();
    counts
        .chosen
        .kept(encoded.iter().map(|pair| &pair.sides[0]));
    counts
        .rejected
        .kept(encoded.iter().map(|pair| &pair.sides[1]));
    if let Some(counts) = &mut counts.mismatched {
        counts.kept(encoded.iter().filter_map(|pair| pair.mismatched.as_ref()));
    }
    if encoded.is_empty() {
        bail!(
            "none of {} pairs is left: {} have the same answer on both sides; of the chosen answers {}; of the rejected \
             answers {}\n{HINT}",
            pairs.len(),
            counts.pairs_identical,
            counts.chosen.dropped,
            counts.rejected.dropped
        );
    }
    Ok(EncodedPairs {
        pairs: encoded,
        counts,
    })
}

/// For each pair the last one before it that has another prompt, going round; none if all have the same.
fn neighbours(pairs: &[Pair]) -> Option<Vec<usize>> {
    let count = pairs.len();
    let before = |pair: usize| (pair + count - 1) % count;
    let differs = |pair: usize| pairs[pair].messages != pairs[before(pair)].messages;
    // Of pairs with one prompt in a row, the first knows its neighbour and the others have the same.
    let first = (0..count).find(|&pair| differs(pair))?;
    let mut neighbours = vec![0; count];
    for pair in (first..first + count).map(|pair| pair % count) {
        neighbours[pair] = if differs(pair) {
            before(pair)
        } else {
            neighbours[before(pair)]
        };
    }
    Some(neighbours)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of which each answers the prompt of its letter.
    fn neighbours_of(prompts: &str) -> Option<Vec<usize>> {
        let answer = Answer {
            text: "x".into(),
            source: "world".into(),
            sample: 0,
            score: None,
            tokens: None,
            finished: true,
        };
        let pair = |prompt: char| Pair {
            id: 0,
            prompt: 0,
            group: 0,
            messages: vec![Message {
                role: "user".into(),
                content: prompt.into(),
            }],
            chosen: answer.clone(),
            rejected: answer.clone(),
            rule: "order".into(),
            confidence: None,
            gold: None,
        };
        neighbours(&prompts.chars().map(pair).collect::<Vec<_>>())
    }

    #[test]
    fn a_neighbour_is_the_nearest_earlier_pair_with_another_prompt() {
        assert_eq!(neighbours_of("abc"), Some(vec![2, 0, 1]));
        // Those of one prompt share the one before them all.
        assert_eq!(neighbours_of("abbb"), Some(vec![3, 0, 0, 0]));
        // Going round: the last two have the first one's prompt, so all three have the pair before them.
        assert_eq!(neighbours_of("abaa"), Some(vec![1, 0, 1, 1]));
        assert_eq!(neighbours_of("aab"), Some(vec![2, 2, 1]));
        assert_eq!(neighbours_of("aaa"), None);
        assert_eq!(neighbours_of(""), None);
    }
}
