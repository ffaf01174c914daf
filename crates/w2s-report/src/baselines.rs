//! Trivial classifiers that every result has to be read against.
//!
//! Each is fitted on the gold split, which the weak teacher trains on too, and evaluated on the test split. A model that
//! does not clearly beat them has not shown that it understands the task: a class that is always the same, the number of
//! words, or the words without their order would have done.

use std::cmp::Ordering;
use std::collections::HashMap;

use w2s_artifact::Pair;

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

/// How often each word stands in texts of each class, and how many words a class has.
fn word_counts(gold: &Labelled<'_>, classes: usize) -> (HashMap<String, Vec<f64>>, Vec<f64>) {
    let mut counts: HashMap<String, Vec<f64>> = HashMap::new();
    let mut totals = vec![0.0; classes];
    for (text, label) in gold {
        for token in tokens(text) {
            counts.entry(token).or_insert_with(|| vec![0.0; classes])[*label as usize] += 1.0;
            totals[*label as usize] += 1.0;
        }
    }
    (counts, totals)
}

/// Naive Bayes over single words: multinomial, add-one smoothing, words unseen in the gold split ignored.
fn unigram_bayes(gold: &Labelled<'_>, classes: usize) -> Classifier {
    let (mut counts, totals) = word_counts(gold, classes);
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

/// Probability that the first of two answers is the better one.
pub(crate) type Judge = Box<dyn Fn(&str, &str) -> f64>;

/// A judge of pairs that needs no model.
pub(crate) struct PairBaseline {
    /// Name of its arm in a report.
    pub(crate) name: &'static str,
    /// What it does, for the reader of a report.
    pub(crate) about: &'static str,
    /// Fits it on gold pairs.
    pub(crate) fit: fn(&[Pair]) -> Judge,
}

pub(crate) const PAIR_BASELINES: [PairBaseline; 2] = [
    PairBaseline {
        name: "length",
        about: "always the shorter answer or always the longer one, in characters",
        fit: shorter_or_longer,
    },
    PairBaseline {
        name: "unigram-bayes",
        about: "naive Bayes over the single words of both answers, add-one smoothing",
        fit: pair_bayes,
    },
];

fn characters(text: &str) -> usize {
    text.chars().count()
}

/// Prefers the side of the difference in length that gold pairs prefer, with the smoothed share of those that do; equal lengths
/// say nothing.
fn shorter_or_longer(gold: &[Pair]) -> Judge {
    let order = |pair: &Pair| characters(&pair.chosen.text).cmp(&characters(&pair.rejected.text));
    let count = |wanted| gold.iter().filter(|pair| order(pair) == wanted).count() as f64;
    let shares = smoothed(&[count(Ordering::Less), count(Ordering::Greater)]);
    Box::new(
        move |first, second| match characters(first).cmp(&characters(second)) {
            Ordering::Less => shares[0],
            Ordering::Greater => shares[1],
            Ordering::Equal => 0.5,
        },
    )
}

/// Naive Bayes over single words: each word of the first answer speaks for it by how much more often it stands in chosen than in
/// rejected gold answers, each of the second against it; words unseen in gold pairs are ignored.
fn pair_bayes(gold: &[Pair]) -> Judge {
    let mut rows = Vec::new();
    for pair in gold {
        rows.push((&pair.chosen.text[..], 0));
        rows.push((&pair.rejected.text[..], 1));
    }
    let (counts, totals) = word_counts(&rows, 2);
    let vocabulary = counts.len() as f64;
    let weight = |counts: Vec<f64>| {
        let log = |side: usize| ((counts[side] + 1.0) / (totals[side] + vocabulary)).ln();
        log(0) - log(1)
    };
    let weights = counts
        .into_iter()
        .map(|(word, counts)| (word, weight(counts)));
    let weights: HashMap<String, f64> = weights.collect();
    let evidence = move |text: &str| -> f64 {
        let words = tokens(text);
        words.iter().filter_map(|word| weights.get(word)).sum()
    };
    Box::new(move |first, second| {
        let log_odds = evidence(first) - evidence(second);
        1.0 / (1.0 + (-log_odds).exp())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use w2s_artifact::Answer;
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

    fn pairs(answers: &[(&str, &str)]) -> Vec<Pair> {
        let answer = |text: &&str| Answer {
            text: (*text).into(),
            source: "file".into(),
            sample: 0,
            score: None,
            tokens: None,
            finished: true,
        };
        let pair = |(chosen, rejected): &(&str, &str)| Pair {
            id: 0,
            prompt: 0,
            group: 0,
            messages: vec![],
            chosen: answer(chosen),
            rejected: answer(rejected),
            rule: "file".into(),
            confidence: None,
            gold: None,
        };
        answers.iter().map(pair).collect()
    }

    #[test]
    fn length_prefers_what_gold_pairs_prefer() {
        // Twice the shorter one, once the longer one, once neither: (2 + 1) / 5 for the shorter one.
        let gold = pairs(&[("a", "bb"), ("a", "bbb"), ("aa", "b"), ("a", "b")]);
        let judge = shorter_or_longer(&gold);
        assert_eq!(judge("x", "yy"), 0.6);
        assert_eq!(judge("xx", "y"), 0.4);
        assert_eq!(judge("x", "y"), 0.5);
    }

    #[test]
    fn words_of_pairs_by_hand() {
        // Vocabulary 3, two words a side: a chosen `good` has 2 / 5, a rejected one 1 / 5.
        let judge = pair_bayes(&pairs(&[("good day", "bad day")]));
        assert!((judge("Good!", "day") - 2.0 / 3.0).abs() < 1e-12);
        // Each side speaks: odds of 2 times 2.
        assert!((judge("good", "bad") - 0.8).abs() < 1e-12);
        assert!((judge("bad", "good") - 0.2).abs() < 1e-12);
        assert_eq!(judge("unheard-of", "day"), 0.5);
    }

    #[test]
    fn words_are_lower_case_runs_of_letters() {
        let words = tokens("Don't stop -- 'Good' film!");
        assert_eq!(words, ["don't", "stop", "good", "film"]);
    }
}
