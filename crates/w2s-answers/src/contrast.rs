//! The pair rule of stage II of weak-to-strong reasoning (arXiv 2407.13647): what a weak answer and the vote of a strong model's
//! samples say about which answers are to be preferred.

use std::hash::Hash;

use crate::vote::{Vote, vote};

/// How sure the vote must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Where the weak answer agrees with it: below that, the prompt teaches nothing.
    pub agree: f64,
    /// Where the weak answer disagrees with it: below that, either may be right.
    pub disagree: f64,
}

impl Default for Thresholds {
    /// Those of the public code.
    fn default() -> Self {
        Self {
            agree: 0.6,
            disagree: 0.8,
        }
    }
}

/// Why a prompt makes no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoPair {
    /// There is no sample, or the vote is less sure than [`Thresholds::agree`].
    LowConfidence,
    /// Most samples come to no answer.
    EmptyTop,
    /// The weak answer and all samples agree.
    TooEasy,
    /// The weak answer disagrees with a vote that is less sure than [`Thresholds::disagree`].
    Disagree,
}

/// What becomes of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The weak answer is preferred to any of these samples.
    WeakChosen(Vec<usize>),
    /// Any of these samples is preferred to the weak answer.
    WeakRejected(Vec<usize>),
    /// No pair is made.
    NoPair(NoPair),
}

/// Decides on a prompt by the weak answer and those of the samples; `empty` tells answers that are none.
pub fn decide<T: Eq + Hash>(
    weak: &T,
    samples: &[T],
    empty: impl Fn(&T) -> bool,
    thresholds: Thresholds,
) -> Decision {
    let Some(vote) = vote(samples).filter(|vote| vote.confidence() >= thresholds.agree) else {
        return Decision::NoPair(NoPair::LowConfidence);
    };
    let top = &samples[vote.first];
    if empty(top) {
        return Decision::NoPair(NoPair::EmptyTop);
    }
    let (for_top, against): (Vec<usize>, Vec<usize>) =
        (0..samples.len()).partition(|&sample| samples[sample] == *top);
    match (weak == top, against.is_empty()) {
        (true, true) => Decision::NoPair(NoPair::TooEasy),
        (true, false) => Decision::WeakChosen(against),
        (false, _) if sure(vote, thresholds.disagree) => Decision::WeakRejected(for_top),
        (false, _) => Decision::NoPair(NoPair::Disagree),
    }
}

fn sure(vote: Vote, threshold: f64) -> bool {
    vote.confidence() >= threshold
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_samples_make_no_pair() {
        let decision = decide(&"5", &[], |a| a.is_empty(), Thresholds::default());
        assert_eq!(decision, Decision::NoPair(NoPair::LowConfidence));
    }

    #[test]
    fn a_weak_answer_that_is_none_is_rejected() {
        let samples = ["5", "5", "5", "5", "7"];
        let decision = decide(&"", &samples, |a| a.is_empty(), Thresholds::default());
        assert_eq!(decision, Decision::WeakRejected(vec![0, 1, 2, 3]));
    }
}
