//! What a manifest says of pairs: counts, scores and lengths.

use std::collections::HashSet;

use w2s_artifact::{Answer, Pair, summary::PairsSummary};

use super::{Pairing, delta, has_empty_side};

/// How the lengths of answers are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LengthUnit {
    /// Tokens of the models that made the answers.
    Tokens,
    /// Characters of the text.
    Characters,
}

impl LengthUnit {
    fn name(self) -> &'static str {
        match self {
            Self::Tokens => "tokens",
            Self::Characters => "characters",
        }
    }
}

/// The length of an answer.
pub(super) fn length(answer: &Answer, unit: LengthUnit) -> usize {
    match (unit, answer.tokens) {
        (LengthUnit::Tokens, Some(tokens)) => tokens as usize,
        _ => answer.text.chars().count(),
    }
}

impl Pairing {
    /// Tokens if every answer was made by a model, so that one artifact never mixes units. A model that ended its answer at
    /// once has no token to show for it, so pairs with an empty side have no say.
    pub(crate) fn length_unit(&self) -> LengthUnit {
        let pairs = self.pairs.iter().filter(|pair| !has_empty_side(pair));
        let mut sides = pairs.flat_map(|pair| [&pair.chosen, &pair.rejected]);
        if sides.all(|answer| answer.tokens.is_some()) {
            LengthUnit::Tokens
        } else {
            LengthUnit::Characters
        }
    }

    /// The numbers of the manifest. Lengths are counted as [`filter`](Self::filter) did.
    pub fn summary(&self, unit: LengthUnit) -> PairsSummary {
        let pairs = &self.pairs;
        let scored: Vec<&Pair> = pairs.iter().filter(|pair| delta(pair).is_some()).collect();
        let score =
            |side: fn(&Pair) -> &Answer| mean(scored.iter().filter_map(|pair| side(pair).score));
        let lengths = |side: fn(&Pair) -> &Answer| {
            mean(pairs.iter().map(|pair| length(side(pair), unit) as f64))
        };
        let chosen: fn(&Pair) -> &Answer = |pair| &pair.chosen;
        let rejected: fn(&Pair) -> &Answer = |pair| &pair.rejected;
        let longer = |pair: &&Pair| length(&pair.chosen, unit) > length(&pair.rejected, unit);
        let prompts: HashSet<u64> = pairs.iter().map(|pair| pair.prompt).collect();
        PairsSummary {
            rows: pairs.len(),
            rule: pairs.first().map(|pair| pair.rule.clone()),
            prompts: prompts.len(),
            candidates: pairs.len() + self.dropped.total(),
            dropped: self.dropped.by_name(),
            turned: self.turned,
            score: self.score.clone(),
            scored: scored.len(),
            mean_delta: mean(scored.iter().filter_map(|pair| delta(pair))),
            mean_chosen_score: score(chosen),
            mean_rejected_score: score(rejected),
            length_unit: unit.name().to_owned(),
            mean_chosen_length: lengths(chosen),
            mean_rejected_length: lengths(rejected),
            longer_is_chosen: pairs.iter().filter(longer).count() as f64 / pairs.len() as f64,
            transcripts: self.transcripts,
            ..PairsSummary::default()
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}
