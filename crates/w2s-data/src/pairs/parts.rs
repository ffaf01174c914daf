//! Pairs in three parts: for the weak model, for the strong one, and for nobody. No prompt is in two of them.

use std::collections::HashSet;

use w2s_artifact::{Pair, Split, prompt_fingerprint, summary::DealSummary};
use w2s_worlds::mix;

use super::{Pairing, Reason};
use crate::{
    error::DataError,
    split::{SplitParams, deal_by_keys},
};

/// What a key of a pair is, so that the number of a group never is that of a prompt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Key {
    /// What is asked.
    Question,
    /// The number of the prompt, in one source.
    Prompt(u64),
    /// The number of the group, in one source.
    Group(u64),
}

impl Key {
    pub(super) fn of(self, value: u64) -> u64 {
        let kind = match self {
            Self::Question => 0,
            Self::Prompt(source) => 1 + 2 * source,
            Self::Group(source) => 2 + 2 * source,
        };
        mix(mix(kind.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_add(value))
    }
}

/// What holds a pair together with others: its question, its prompt and its group.
pub(super) fn keys(pair: &Pair, source: u64) -> Vec<u64> {
    vec![
        Key::Question.of(prompt_fingerprint(&pair.messages)),
        Key::Prompt(source).of(pair.prompt),
        Key::Group(source).of(pair.group),
    ]
}

impl Pairing {
    /// Leaves out the pairs that ask what one of `others` asks.
    pub fn take_out(&mut self, others: &[Pair]) {
        let asked = others.iter().map(|pair| prompt_fingerprint(&pair.messages));
        let asked: HashSet<u64> = asked.collect();
        let before = self.pairs.len();
        let is_new = |pair: &Pair| !asked.contains(&prompt_fingerprint(&pair.messages));
        self.pairs.retain(is_new);
        let out = before - self.pairs.len();
        self.dropped.add(Reason::InOtherPairs, out);
    }

    /// Deals the pairs out to gold, transfer and test as [`cut`](crate::cut) deals rows, and keeps one of the parts, in the
    /// order in which it was dealt. Pairs of one question, one prompt or one group are in one part only.
    pub fn deal(&mut self, part: Split, params: &SplitParams) -> Result<DealSummary, DataError> {
        let all_keys = self.pairs.iter().map(|pair| keys(pair, 0)).collect();
        let dealt = deal_by_keys(all_keys, "pairs", params)?;
        let rows = |of: Split| {
            dealt
                .picked
                .iter()
                .filter(|(split, _)| *split == of)
                .count()
        };
        let summary = DealSummary {
            part: part.to_string(),
            groups: dealt.groups,
            largest_group: dealt.largest_group,
            gold: rows(Split::Gold),
            transfer: rows(Split::Transfer),
            test: rows(Split::Test),
        };
        let taken = dealt.picked.iter().filter(|(split, _)| *split == part);
        let taken: Vec<Pair> = taken.map(|(_, row)| self.pairs[*row].clone()).collect();
        let given = dealt.picked.len();
        self.dropped.add(Reason::OtherPart, given - taken.len());
        self.dropped
            .add(Reason::NotNeeded, self.pairs.len() - given);
        self.pairs = taken;
        Ok(summary)
    }
}
