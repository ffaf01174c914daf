//! Preference pairs: which of two answers should be preferred and by what rule, which pairs are not worth learning from,
//! and the controls that show whether the preference matters at all.

mod rule;

mod answers;

mod filter;

mod parts;

mod relabel;

mod mix;

mod summary;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use w2s_artifact::{Answer, Pair, Prompt, prompt_fingerprint};
use w2s_worlds::Stream;

use self::summary::length;
pub use self::{
    answers::{Answers, ScoreColumn},
    filter::{PairFilters, PairsDropped, Reason},
    relabel::LabelFilters,
    rule::{Given, PairRule},
    summary::LengthUnit,
};
use crate::{
    conversation::{Form, RowFormat},
    error::DataError,
    prompts::{Groups, is_empty},
    source::Object,
};

/// Pairs on their way from answers to an artifact. The number of a pair is given when it is made and stays with it, so that
/// the arms of an experiment agree on what a number means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairing {
    /// The pairs that are left.
    pub pairs: Vec<Pair>,
    /// Those that are not.
    pub dropped: PairsDropped,
    /// The metric of the scores, if it has a name.
    pub score: Option<String>,
    /// Pairs whose answers changed places.
    pub turned: usize,
    /// Rows whose marked transcript was read as turns.
    pub transcripts: usize,
}

impl Pairing {
    /// Pairs as they are.
    pub fn new(pairs: Vec<Pair>) -> Self {
        Self {
            pairs,
            ..Self::default()
        }
    }

    /// What the rows of preference files say. Rows with the same conversation share the number of their prompt, which is
    /// that of the first such row, as [`prompts`](crate::prompts()) numbers them.
    pub fn from_rows(rows: &[Object], format: &RowFormat) -> Result<Self, DataError> {
        let mut pairing = Self::default();
        let mut known: HashMap<u64, u64> = HashMap::new();
        let mut groups = Groups::new(format);
        for (id, row) in (0..).zip(rows) {
            let comparison = match format.comparison(row)? {
                Ok(comparison) => comparison,
                Err(reason) => {
                    pairing.dropped.add(reason, 1);
                    continue;
                }
            };
            let file = row.place.file.file_name().unwrap_or_default();
            let answer = |text: String, score| Answer {
                text,
                source: file.to_string_lossy().into_owned(),
                sample: 0,
                score,
                tokens: None,
                finished: true,
            };
            let [chosen_score, rejected_score] = comparison.scores;
            let fingerprint = prompt_fingerprint(&comparison.messages);
            let prompt = *known.entry(fingerprint).or_insert(id);
            pairing.transcripts += usize::from(comparison.form == Form::Transcript);
            pairing.pairs.push(Pair {
                id,
                prompt,
                group: groups.of(row, prompt)?,
                messages: comparison.messages,
                chosen: answer(comparison.chosen, chosen_score),
                rejected: answer(comparison.rejected, rejected_score),
                rule: "file".to_owned(),
                confidence: None,
                gold: None,
            });
        }
        Ok(pairing)
    }

    fn push(&mut self, rule: &str, prompt: &Prompt, chosen: &Answer, rejected: &Answer) {
        self.pairs.push(Pair {
            id: self.pairs.len() as u64,
            prompt: prompt.id,
            group: prompt.group,
            messages: prompt.messages.clone(),
            chosen: chosen.clone(),
            rejected: rejected.clone(),
            rule: rule.to_owned(),
            confidence: None,
            gold: None,
        });
    }

    /// Turns every pair round: the worse answer is to be preferred.
    pub fn reverse(&mut self) {
        for pair in &mut self.pairs {
            swap(pair);
            pair.rule = "reversed".to_owned();
        }
        self.turned = self.pairs.len();
    }

    /// Turns each pair round with probability 1/2. The coin belongs to the number of the pair, so that a filter does not
    /// change how the others fall.
    pub fn toss(&mut self, seed: u64) {
        for pair in &mut self.pairs {
            pair.rule = "shuffled".to_owned();
            if Stream::new("pair coin", seed, pair.id).chance(0.5) {
                swap(pair);
                self.turned += 1;
            }
        }
    }

    /// Keeps the first `limit` pairs.
    pub fn limit(&mut self, limit: usize) {
        let beyond = self.pairs.len().saturating_sub(limit);
        self.pairs.truncate(limit);
        self.dropped.add(Reason::BeyondLimit, beyond);
    }
}

/// Whether the prompt or an answer says nothing.
fn has_empty_side(pair: &Pair) -> bool {
    let answers = [&pair.chosen, &pair.rejected];
    is_empty(&pair.messages) || answers.iter().any(|answer| answer.text.trim().is_empty())
}

/// By how much the chosen answer scores above the other one, where both have scores.
fn delta(pair: &Pair) -> Option<f64> {
    Some(pair.chosen.score? - pair.rejected.score?)
}

fn swap(pair: &mut Pair) {
    std::mem::swap(&mut pair.chosen, &mut pair.rejected);
}
