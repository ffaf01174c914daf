//! Pairs of answers as tokens, and what becomes of those that do not fit.

use crate::{LmError, turns};
use std::fmt;
use w2s_artifact::{Answer, Pair, summary};
use w2s_text::{Encoded, Encoder, Fit};

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
    pub fn keep(&mut self, fit: Fit) -> Option<Encoded> {
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
    pub fn by_reason(&self, side: &str) -> summary::Dropped {
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
pub const NOTHING_FITS: &str = "hint: raise --max-tokens, up to the model's positions, or look at the rows with `w2s-data inspect`";

/// One pair as tokens.
#[derive(Clone, Debug)]
pub struct EncodedPair {
    /// Number of the pair.
    pub id: u64,
    /// The prompt with the chosen answer, then with the rejected one.
    pub sides: [Encoded; 2],
    /// The prompt with an answer to another one, where that was asked for and fits.
    pub mismatched: Option<Encoded>,
    /// Who ordered it.
    pub order: Order,
}

/// What is known of a pair's order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Order {
    /// The group of the pair's prompt.
    pub group: u64,
    /// The place of the chosen answer where both are shown without an order; see [`Pair::place`].
    pub place: usize,
    /// Probability that the chosen answer is the better one, where a model ordered the pair.
    pub confidence: Option<f32>,
    /// Whether the truth orders it so too, where a model ordered it and the truth is known.
    pub gold: Option<bool>,
}

impl Order {
    fn of(pair: &Pair) -> Self {
        Self {
            group: pair.group,
            place: pair.place(),
            confidence: pair.confidence,
            gold: pair.gold,
        }
    }

    /// Whether the truth orders the pair as it is ordered: a pair that no model ordered has the order of its source.
    pub fn is_right(&self) -> Option<bool> {
        match self.confidence {
            None => Some(self.gold.unwrap_or(true)),
            Some(_) => self.gold,
        }
    }
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
pub fn encode_pairs(
    encoder: &Encoder,
    pairs: &[Pair],
    mismatched: bool,
) -> Result<EncodedPairs, LmError> {
    let (mut encoded, mut counts) = (Vec::new(), PairCounts::default());
    counts.mismatched = mismatched.then(SideCounts::default);
    let neighbours = mismatched.then(|| neighbours(pairs)).flatten();
    for (index, pair) in pairs.iter().enumerate() {
        let prompt = turns(&pair.messages);
        let answer = |answer: &Answer| {
            encoder
                .answer(&prompt, &answer.text, answer.finished)
                .map_err(|source| LmError::Encode {
                    what: format!("pair {}", pair.id),
                    source,
                })
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
            order: Order::of(pair),
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
        return Err(LmError::NothingLeft(format!(
            "none of {} pairs is left: {} have the same answer on both sides; of the chosen answers {}; of the rejected \
             answers {}\n{NOTHING_FITS}",
            pairs.len(),
            counts.pairs_identical,
            counts.chosen.dropped,
            counts.rejected.dropped
        )));
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
    use w2s_artifact::Message;

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
