//! The vote of several samples.

use std::{collections::HashMap, hash::Hash};

/// The most frequent of several answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Where it stands first.
    pub first: usize,
    /// How often it was given.
    pub votes: usize,
    /// How many answers there are.
    pub total: usize,
}

impl Vote {
    /// The share of answers that are the most frequent one.
    pub fn confidence(&self) -> f64 {
        self.votes as f64 / self.total as f64
    }

    /// Whether it was given by more than half.
    pub fn is_majority(&self) -> bool {
        2 * self.votes > self.total
    }
}

/// The most frequent answer, of several equally frequent ones the one that was seen first; `None` where there is no answer. An
/// empty answer counts as one: where most samples come to no answer, none wins.
pub fn vote<T: Eq + Hash>(answers: &[T]) -> Option<Vote> {
    let mut counts: HashMap<&T, (usize, usize)> = HashMap::new();
    for (place, answer) in answers.iter().enumerate() {
        counts.entry(answer).or_insert((place, 0)).1 += 1;
    }
    let most = counts
        .into_values()
        .max_by_key(|&(first, votes)| (votes, std::cmp::Reverse(first)));
    most.map(|(first, votes)| Vote {
        first,
        votes,
        total: answers.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_votes_for_nothing() {
        assert_eq!(vote::<u8>(&[]), None);
        let split = vote(&["a", "b", "b", "a"]).unwrap();
        assert_eq!(
            (split.first, split.votes, split.is_majority()),
            (0, 2, false)
        );
        assert!(vote(&["a", "b", "b"]).unwrap().is_majority());
    }
}
