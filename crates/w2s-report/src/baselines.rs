//! Trivial classifiers that every result has to be read against.
//!
//! Each is fitted on the gold split, which the weak teacher trains on too, and evaluated on the test split. A model that
//! does not clearly beat them has not shown that it understands the task: a class that is always the same, the number of
//! words, or the words without their order would have done.

use std::collections::HashMap;

/// Texts with the index of their class.
pub(crate) type Labelled<'a> = [(&'a str, u32)];

/// Class probabilities of a text.
pub(crate) type Classifier = Box<dyn Fn(&str) -> Vec<f64>>;

/// A classifier that needs no model.
pub(crate) struct Baseline {
    /// Name of its arm in a report.
    pub(crate) name: &'static str,
    /// What it does, for the reader of a report.
    pub(crate) about: &'static str,
    /// Whether it looks at the text; rows that are features alone have none.
    pub(crate) reads: bool,
    /// Fits it on the gold split, for so many classes.
    pub(crate) fit: fn(&Labelled<'_>, usize) -> Classifier,
}

pub(crate) const BASELINES: [Baseline; 3] = [
    Baseline {
        name: "majority-class",
        about: "always the most frequent class of the gold split",
        reads: false,
        fit: majority_class,
    },
    Baseline {
        name: "length",
        about: "one threshold on the number of words",
        reads: true,
        fit: length,
    },
    Baseline {
        name: "unigram-bayes",
        about: "naive Bayes over single words, add-one smoothing",
        reads: true,
        fit: unigram_bayes,
    },
];

fn class_counts(gold: &Labelled<'_>, classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; classes];
    for (_, label) in gold {
        counts[*label as usize] += 1.0;
    }
    counts
}

/// Add-one smoothed shares: no class is impossible because a small sample missed it.
fn smoothed(counts: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().sum::<f64>() + counts.len() as f64;
    counts.iter().map(|count| (count + 1.0) / total).collect()
}

/// Always the most frequent class of the gold split (the first one among equals).
fn majority_class(gold: &Labelled<'_>, classes: usize) -> Classifier {
    let shares = smoothed(&class_counts(gold, classes));
    Box::new(move |_| shares.clone())
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

/// Decides by the number of words: the threshold, and the class on either side of it, that fit the gold split best.
fn length(gold: &Labelled<'_>, classes: usize) -> Classifier {
    let mut rows: Vec<_> = gold
        .iter()
        .map(|(text, label)| (words(text), *label))
        .collect();
    rows.sort_unstable();
    let most = |counts: &[f64]| counts.iter().copied().fold(0.0, f64::max);
    let (mut short, mut long) = (vec![0.0; classes], class_counts(gold, classes));
    // No threshold at all is the majority class; a cut has to fit strictly better to be taken.
    let (mut best, mut at_most, mut sides) = (most(&long), 0, [smoothed(&long), smoothed(&long)]);
    for (at, &(length, label)) in rows.iter().enumerate() {
        short[label as usize] += 1.0;
        long[label as usize] -= 1.0;
        let cut = rows.get(at + 1).is_some_and(|&(next, _)| next > length);
        let fit = most(&short) + most(&long);
        if cut && fit > best {
            (best, at_most, sides) = (fit, length, [smoothed(&short), smoothed(&long)]);
        }
    }
    Box::new(move |text| sides[usize::from(words(text) > at_most)].clone())
}

/// Lower-cased runs of letters and digits; an apostrophe inside a word belongs to it.
fn tokens(text: &str) -> Vec<String> {
    let text = text.to_lowercase();
    let runs = text.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’');
    let words = runs.map(|token| token.trim_matches(['\'', '’']));
    words
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Naive Bayes over single words: multinomial, add-one smoothing, words unseen in the gold split ignored.
fn unigram_bayes(gold: &Labelled<'_>, classes: usize) -> Classifier {
    let mut counts: HashMap<String, Vec<f64>> = HashMap::new();
    let mut totals = vec![0.0; classes];
    for (text, label) in gold {
        for token in tokens(text) {
            counts.entry(token).or_insert_with(|| vec![0.0; classes])[*label as usize] += 1.0;
            totals[*label as usize] += 1.0;
        }
    }
    let vocabulary = counts.len() as f64;
    for likelihood in counts.values_mut() {
        for (count, total) in likelihood.iter_mut().zip(&totals) {
            *count = ((*count + 1.0) / (total + vocabulary)).ln();
        }
    }
    let shares = smoothed(&class_counts(gold, classes));
    Box::new(move |text| {
        let mut scores: Vec<f64> = shares.iter().map(|share| share.ln()).collect();
        for likelihood in tokens(text).iter().filter_map(|token| counts.get(token)) {
            for (score, log) in scores.iter_mut().zip(likelihood) {
                *score += log;
            }
        }
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let odds: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
        let total: f64 = odds.iter().sum();
        odds.iter().map(|odds| odds / total).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use w2s_stats::metrics::predicted;

    #[test]
    fn the_majority_is_counted_on_the_gold_split() {
        let gold = [("a", 1), ("b", 1), ("c", 0)];
        // Add-one: (1 + 1) / 5 and (2 + 1) / 5.
        assert_eq!(majority_class(&gold, 2)("whatever"), [0.4, 0.6]);
    }

    #[test]
    fn length_finds_the_cut_and_its_direction() {
        // Short is class 1, long is class 0; the cut lies after two words.
        let gold = [
            ("a", 1),
            ("a b", 1),
            ("a b c", 0),
            ("a b c d", 0),
            ("a b c d e", 0),
        ];
        let length = length(&gold, 2);
        assert_eq!(predicted(&length("x y")), 1);
        assert_eq!(predicted(&length("x y z")), 0);
    }

    #[test]
    fn length_that_says_nothing_is_the_majority_class() {
        let gold = [("a b", 1), ("c d", 1), ("e f", 0)];
        assert_eq!(length(&gold, 2)("x"), majority_class(&gold, 2)("x"));
    }

    #[test]
    fn naive_bayes_by_hand() {
        let bayes = unigram_bayes(&[("good film", 1), ("bad film", 0)], 2);
        // Vocabulary 3, two tokens a class. P(good|1) = 2/5, P(good|0) = 1/5; the prior is even: 2/3 for class 1.
        let p = bayes("Good!");
        assert!((p[1] - 2.0 / 3.0).abs() < 1e-12, "{p:?}");
        // A word in both classes, and one never seen, say nothing.
        assert!((bayes("film, unheard-of")[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn words_are_lower_case_runs_of_letters() {
        let words = tokens("Don't stop -- 'Good' film!");
        assert_eq!(words, ["don't", "stop", "good", "film"]);
    }
}
