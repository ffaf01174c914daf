//! What every world needs: invented words, frequencies as real words have them, and knobs within their range.

use std::{collections::HashSet, fmt::Display, ops::RangeInclusive};

use crate::{Stream, WorldError};

/// Distinct pronounceable words of two or three syllables, none of them among `reserved`.
pub(crate) fn invent(number: usize, reserved: &[&str], stream: &mut Stream) -> Vec<String> {
    const ONSETS: [&str; 26] = [
        "b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "v", "z", "br", "dr",
        "fl", "gl", "kr", "pl", "sk", "st", "tr", "th", "sh",
    ];
    const VOWELS: [&str; 7] = ["a", "e", "i", "o", "u", "ai", "ou"];
    const ENDS: [&str; 10] = ["", "", "", "", "n", "l", "r", "s", "m", "k"];
    let mut known = HashSet::new();
    let mut words = Vec::with_capacity(number);
    while words.len() < number {
        let syllables = 2 + stream.below(2);
        let mut word = String::new();
        for syllable in 0..syllables {
            // Heavy clusters only at the start of a word, closed syllables only at its end: easier to say.
            let onsets = if syllable == 0 {
                &ONSETS[..]
            } else {
                &ONSETS[..15]
            };
            word += stream.choose(onsets);
            word += stream.choose(if syllable == 0 {
                &VOWELS[..]
            } else {
                &VOWELS[..5]
            });
            if syllable + 1 == syllables {
                word += stream.choose(&ENDS);
            }
        }
        let (start, end) = word.split_at(word.len() / 2);
        // `mama` and `gogo` say too much.
        if start != end && !reserved.contains(&word.as_str()) && known.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}

/// Things that come up as often as their weights say, by their index.
#[derive(Clone, Debug)]
pub(crate) struct Weighted(Vec<f64>);

impl Weighted {
    /// At least one weight, each 0 or more.
    pub(crate) fn new(weights: impl Iterator<Item = f64>) -> Self {
        let mut sum = 0.0;
        let cumulative = weights.map(|weight| {
            sum += weight;
            sum
        });
        Self(cumulative.collect())
    }

    /// Ranks with frequencies like 1 / rank^exponent; `number` is 1 or more.
    pub(crate) fn zipf(number: usize, exponent: f64) -> Self {
        Self::new((1..=number).map(|rank| 1.0 / (rank as f64).powf(exponent)))
    }

    pub(crate) fn draw(&self, stream: &mut Stream) -> usize {
        let total = self.0[self.0.len() - 1];
        let point = stream.unit() * total;
        self.0
            .partition_point(|&below| below <= point)
            .min(self.0.len() - 1)
    }

    /// How much of all draws the first `ranks` make up.
    pub(crate) fn share(&self, ranks: usize) -> f64 {
        if ranks == 0 {
            0.0
        } else {
            self.0[ranks.min(self.0.len()) - 1] / self.0[self.0.len() - 1]
        }
    }
}

/// Refuses a knob outside its range.
pub(crate) fn check_range<T: PartialOrd + Display>(
    knob: &str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), WorldError> {
    if range.contains(&value) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(WorldError(format!(
        "--{knob} {value}: between {least} and {most} is possible"
    )))
}

/// Refuses a knob that is no share.
pub(crate) fn check_share(knob: &str, value: f64) -> Result<(), WorldError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    Err(WorldError(format!(
        "--{knob} {value}: a share between 0 and 1 is needed"
    )))
}
