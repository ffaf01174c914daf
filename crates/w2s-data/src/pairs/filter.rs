//! Which pairs are not worth learning from, and how many were left out for which reason.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde::Serialize;
use w2s_artifact::{Answer, Pair, Prompt, prompt_fingerprint, summary::Dropped};

use super::{LengthUnit, PairRule, Pairing, delta, has_empty_side, length};
use crate::error::DataError;

/// Which pairs are left out, besides those with an empty side, with identical sides, and those that were there before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct PairFilters {
    /// Leave out pairs whose answers differ in length by more: in tokens if all answers that are not empty were made by
    /// models, otherwise in characters
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_length_difference: Option<usize>,
    /// Leave out pairs whose scores differ by less, before --reversed turns them round
    #[cfg_attr(feature = "cli", arg(long, value_name = "X"))]
    pub min_delta: Option<f64>,
    /// Leave out pairs whose better answer is worse by its score, or wrong where the other one is right by the prompt's
    /// answer
    #[cfg_attr(feature = "cli", arg(long))]
    pub drop_inverted: bool,
    /// Leave out pairs with an answer that was cut before its end
    #[cfg_attr(feature = "cli", arg(long))]
    pub drop_unfinished: bool,
}

/// Why there is no pair, in the order in which pairs are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// No answer to the prompt, or only one.
    Missing,
    /// The two answers of a file follow different prompts.
    PromptsDiffer,
    /// The prompt or an answer is empty.
    Empty,
    /// Both answers are the same but for white space around them.
    Identical,
    /// Prompt and both answers were there before.
    Duplicate,
    /// An answer was cut before its end.
    Unfinished,
    /// A score is needed and an answer has none.
    Unscored,
    /// Neither answer is better.
    Tied,
    /// One answer is better, and the rule is that none is.
    Unequal,
    /// The scores are too close.
    SmallDelta,
    /// The better answer is verifiably worse.
    Inverted,
    /// The lengths are too far apart.
    LengthDifference,
    /// There are enough pairs.
    BeyondLimit,
    /// The vote of the samples, or the model that ordered the pair, is not sure enough.
    LowConfidence,
    /// Most samples come to no answer.
    NoTopAnswer,
    /// The weak answer and all samples agree.
    TooEasy,
    /// The weak answer disagrees with a vote that is not sure enough.
    Disagreement,
    /// Other pairs ask the same.
    InOtherPairs,
    /// Another part has the pair.
    OtherPart,
    /// No part needs the pair.
    NotNeeded,
    /// No model ordered the pair.
    Unlabelled,
    /// The truth orders the pair otherwise than the model.
    Wrong,
}

impl Reason {
    /// Its name in summaries, and in a sentence.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("missing", "with fewer than two answers"),
            Self::PromptsDiffer => ("prompts_differ", "with different prompts"),
            Self::Empty => ("empty", "with an empty side"),
            Self::Identical => ("identical", "with identical sides"),
            Self::Duplicate => ("duplicate", "seen before"),
            Self::Unfinished => ("unfinished", "unfinished"),
            Self::Unscored => ("unscored", "without a score"),
            Self::Tied => ("tied", "tied"),
            Self::Unequal => ("unequal", "of unequal score"),
            Self::SmallDelta => ("small_delta", "with too small a delta"),
            Self::Inverted => ("inverted", "inverted"),
            Self::LengthDifference => ("length_difference", "too far apart in length"),
            Self::BeyondLimit => ("beyond_limit", "beyond the limit"),
            Self::LowConfidence => ("low_confidence", "with too low a confidence"),
            Self::NoTopAnswer => (
                "no_top_answer",
                "with samples that mostly come to no answer",
            ),
            Self::TooEasy => ("too_easy", "too easy"),
            Self::Disagreement => ("disagreement", "in disagreement with an unsure vote"),
            Self::InOtherPairs => ("in_other_pairs", "that other pairs ask too"),
            Self::OtherPart => ("other_part", "of other parts"),
            Self::NotNeeded => ("not_needed", "that no part needs"),
            Self::Unlabelled => ("unlabelled", "without a label"),
            Self::Wrong => ("wrong", "with a wrong label"),
        }
    }
}

/// How many pairs were left out for which reason.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairsDropped(pub(super) BTreeMap<Reason, usize>);

impl PairsDropped {
    /// Pairs left out for any reason.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    pub(crate) fn add(&mut self, reason: Reason, pairs: usize) {
        if pairs > 0 {
            *self.0.entry(reason).or_default() += pairs;
        }
    }

    /// The counts under the names of summaries.
    pub fn by_name(&self) -> Dropped {
        let named = |(reason, count): (&Reason, &usize)| (reason.words().0.to_owned(), *count);
        self.0.iter().map(named).collect()
    }
}

impl fmt::Display for PairsDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none was there");
        }
        let counts = self
            .0
            .iter()
            .map(|(reason, n)| format!("{n} {}", reason.words().1));
        f.write_str(&counts.collect::<Vec<_>>().join(", "))
    }
}

impl Pairing {
    /// Leaves out what the filters and the rule do not want, and says how lengths were counted. A pair is counted for the
    /// first reason against it, in the order of [`Reason`]. `prompts` are asked for right answers.
    pub fn filter(
        &mut self,
        rule: PairRule,
        filters: &PairFilters,
        prompts: &[Prompt],
    ) -> Result<LengthUnit, DataError> {
        let right: HashMap<u64, &str> = prompts
            .iter()
            .filter_map(|prompt| Some((prompt.id, prompt.answer.as_deref()?)))
            .collect();
        let verifiable = |pair: &Pair| delta(pair).is_some() || right.contains_key(&pair.prompt);
        if filters.drop_inverted && !self.pairs.is_empty() && !self.pairs.iter().any(verifiable) {
            return Err(DataError::Parameter(
                "--drop-inverted can tell nothing: no pair has scores, or a prompt with a known answer".into(),
            ));
        }
        let unit = self.length_unit();
        let mut known = HashSet::new();
        let mut reason_against = |pair: &Pair| {
            let (chosen, rejected) = (&pair.chosen, &pair.rejected);
            let delta = delta(pair);
            let scores_matter = filters.min_delta.is_some()
                || (rule == PairRule::Tied && (chosen.score.is_some() || rejected.score.is_some()));
            if has_empty_side(pair) {
                Some(Reason::Empty)
            } else if chosen.text.trim() == rejected.text.trim() {
                Some(Reason::Identical)
            } else if !known.insert((
                prompt_fingerprint(&pair.messages),
                chosen.text.clone(),
                rejected.text.clone(),
            )) {
                Some(Reason::Duplicate)
            } else if filters.drop_unfinished && !(chosen.finished && rejected.finished) {
                Some(Reason::Unfinished)
            } else if scores_matter && delta.is_none() {
                Some(Reason::Unscored)
            } else if rule == PairRule::Tied && delta.is_some_and(|delta| delta != 0.0) {
                Some(Reason::Unequal)
            } else if filters.min_delta.is_some_and(|least| delta < Some(least)) {
                Some(Reason::SmallDelta)
            } else if filters.drop_inverted && inverted(pair, right.get(&pair.prompt).copied()) {
                Some(Reason::Inverted)
            } else if filters
                .max_length_difference
                .is_some_and(|most| length(chosen, unit).abs_diff(length(rejected, unit)) > most)
            {
                Some(Reason::LengthDifference)
            } else {
                None
            }
        };
        let dropped = &mut self.dropped;
        self.pairs.retain(|pair| match reason_against(pair) {
            Some(reason) => {
                dropped.add(reason, 1);
                false
            }
            None => true,
        });
        if self.pairs.is_empty() {
            return Err(DataError::NoPairs {
                dropped: self.dropped.to_string(),
            });
        }
        Ok(unit)
    }
}

/// Whether the rejected answer is verifiably better: by the scores, or else by the right answer, which an answer meets if
/// it is the same but for case and white space around it.
fn inverted(pair: &Pair, right: Option<&str>) -> bool {
    match (delta(pair), right) {
        (Some(delta), _) => delta < 0.0,
        (None, Some(right)) => {
            let is_right =
                |answer: &Answer| answer.text.trim().to_lowercase() == right.trim().to_lowercase();
            is_right(&pair.rejected) && !is_right(&pair.chosen)
        }
        (None, None) => false,
    }
}
