//! Trivial classifiers that every result has to be read against.
//!
//! Each is fitted on the gold split, which the weak teacher trains on too, and evaluated on the test split. A model that
//! does not clearly beat them has not shown that it understands the task: a class that is always the same, the number of
//! words, or the words without their order would have done.

use std::collections::HashMap;

/// A labelled text.
#[derive(Clone, Copy, Debug)]
pub struct Labelled<'a> {
    /// The text as the models see it.
    pub text: &'a str,
    /// Index of its class.
    pub label: u32,
}

/// A classifier that needs no model.
pub trait Baseline {
    /// Name of its arm in a report.
    const NAME: &'static str;
    /// What it does, for the reader of a report.
    const ABOUT: &'static str;
    /// Fits it on labelled texts of `classes` classes.
    fn fit(gold: &[Labelled<'_>], classes: usize) -> Self;
    /// Class probabilities of a text.
    fn probabilities(&self, text: &str) -> Vec<f64>;
}

fn class_counts(gold: &[Labelled<'_>], classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; classes];
    for row in gold {
        counts[row.label as usize] += 1.0;
    }
    counts
}

/// Add-one smoothed shares: no class is impossible because a small sample missed it.
fn smoothed(counts: &[f64]) -> Vec<f64> {
    let total: f64 = counts.iter().sum::<f64>() + counts.len() as f64;
    counts.iter().map(|count| (count + 1.0) / total).collect()
}

/// Always the most frequent class of the gold split (the first one among equals).
#[derive(Clone, Debug)]
pub struct MajorityClass {
    shares: Vec<f64>,
}

impl Baseline for MajorityClass {
    const NAME: &'static str = "majority-class";
    const ABOUT: &'static str = "always the most frequent class of the gold split";

    fn fit(gold: &[Labelled<'_>], classes: usize) -> Self {
        Self {
            shares: smoothed(&class_counts(gold, classes)),
        }
    }

    fn probabilities(&self, _text: &str) -> Vec<f64> {
        self.shares.clone()
    }
}

/// Decides by the number of words: the threshold, and the class on either side of it, that fit the gold split best.
#[derive(Clone, Debug)]
pub struct LengthThreshold {
    /// Texts of at most this many words are on the first side.
    pub at_most_words: usize,
    sides: [Vec<f64>; 2],
}

fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

impl Baseline for LengthThreshold {
    const NAME: &'static str = "length";
    const ABOUT: &'static str = "one threshold on the number of words";

    fn fit(gold: &[Labelled<'_>], classes: usize) -> Self {
        let mut rows: Vec<(usize, u32)> = gold
            .iter()
            .map(|row| (words(row.text), row.label))
            .collect();
        rows.sort_unstable();
        let most = |counts: &[f64]| counts.iter().copied().fold(0.0, f64::max);
        let mut short = vec![0.0; classes];
        let mut long = class_counts(gold, classes);
        // No threshold at all is the majority class; a cut has to fit strictly better to be taken.
        let mut best = (
            most(&long),
            Self {
                at_most_words: 0,
                sides: [smoothed(&long), smoothed(&long)],
            },
        );
        for (at, &(length, label)) in rows.iter().enumerate() {
            short[label as usize] += 1.0;
            long[label as usize] -= 1.0;
            let cut = rows.get(at + 1).is_some_and(|&(next, _)| next > length);
            let fit = most(&short) + most(&long);
            if cut && fit > best.0 {
                best = (
                    fit,
                    Self {
                        at_most_words: length,
                        sides: [smoothed(&short), smoothed(&long)],
                    },
                );
            }
        }
        best.1
    }

    fn probabilities(&self, text: &str) -> Vec<f64> {
        self.sides[usize::from(words(text) > self.at_most_words)].clone()
    }
}

/// Naive Bayes over single words: multinomial, add-one smoothing, words unseen in the gold split ignored.
#[derive(Clone, Debug)]
pub struct UnigramBayes {
    log_prior: Vec<f64>,
    log_likelihood: HashMap<String, Vec<f64>>,
}

/// Lower-cased runs of letters and digits; an apostrophe inside a word belongs to it.
pub fn tokens(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’')
        .map(|token| token.trim_matches(['\'', '’']))
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

impl Baseline for UnigramBayes {
    const NAME: &'static str = "unigram-bayes";
    const ABOUT: &'static str = "naive Bayes over single words, add-one smoothing";

    fn fit(gold: &[Labelled<'_>], classes: usize) -> Self {
        let mut counts: HashMap<String, Vec<f64>> = HashMap::new();
        let mut totals = vec![0.0; classes];
        for row in gold {
            for token in tokens(row.text) {
                counts.entry(token).or_insert_with(|| vec![0.0; classes])[row.label as usize] +=
                    1.0;
                totals[row.label as usize] += 1.0;
            }
        }
        let vocabulary = counts.len() as f64;
        let log_likelihood = counts
            .into_iter()
            .map(|(token, counts)| {
                let log =
                    |(count, total): (&f64, &f64)| ((count + 1.0) / (total + vocabulary)).ln();
                (token, counts.iter().zip(&totals).map(log).collect())
            })
            .collect();
        let log_prior = smoothed(&class_counts(gold, classes))
            .iter()
            .map(|share| share.ln())
            .collect();
        Self {
            log_prior,
            log_likelihood,
        }
    }

    fn probabilities(&self, text: &str) -> Vec<f64> {
        let mut scores = self.log_prior.clone();
        for token in tokens(text) {
            if let Some(likelihood) = self.log_likelihood.get(&token) {
                for (score, log) in scores.iter_mut().zip(likelihood) {
                    *score += log;
                }
            }
        }
        let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|score| (score - top).exp()).sum();
        scores
            .iter()
            .map(|score| (score - top).exp() / total)
            .collect()
    }
}

/// Fits one baseline and gives its class probabilities of each test text.
pub fn evaluate<B: Baseline>(
    gold: &[Labelled<'_>],
    test: &[Labelled<'_>],
    classes: usize,
) -> Vec<Vec<f64>> {
    let baseline = B::fit(gold, classes);
    test.iter()
        .map(|row| baseline.probabilities(row.text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use w2s_stats::metrics::predicted;

    fn rows<'a>(rows: &[(&'a str, u32)]) -> Vec<Labelled<'a>> {
        rows.iter()
            .map(|&(text, label)| Labelled { text, label })
            .collect()
    }

    #[test]
    fn the_majority_is_counted_on_the_gold_split() {
        let gold = rows(&[("a", 1), ("b", 1), ("c", 0)]);
        // Add-one: (1 + 1) / 5 and (2 + 1) / 5.
        assert_eq!(
            MajorityClass::fit(&gold, 2).probabilities("whatever"),
            [0.4, 0.6]
        );
    }

    #[test]
    fn length_finds_the_cut_and_its_direction() {
        // Short is class 1, long is class 0; the cut lies after two words.
        let gold = rows(&[
            ("a", 1),
            ("a b", 1),
            ("a b c", 0),
            ("a b c d", 0),
            ("a b c d e", 0),
        ]);
        let length = LengthThreshold::fit(&gold, 2);
        assert_eq!(length.at_most_words, 2);
        assert_eq!(predicted(&length.probabilities("x y")), 1);
        assert_eq!(predicted(&length.probabilities("x y z")), 0);
    }

    #[test]
    fn length_that_says_nothing_is_the_majority_class() {
        let gold = rows(&[("a b", 1), ("c d", 1), ("e f", 0)]);
        let length = LengthThreshold::fit(&gold, 2);
        assert_eq!(
            length.probabilities("x"),
            MajorityClass::fit(&gold, 2).probabilities("x")
        );
    }

    #[test]
    fn naive_bayes_by_hand() {
        let gold = rows(&[("good film", 1), ("bad film", 0)]);
        let bayes = UnigramBayes::fit(&gold, 2);
        // Vocabulary 3, two tokens a class. P(good|1) = 2/5, P(good|0) = 1/5; the prior is even: 2/3 for class 1.
        let p = bayes.probabilities("Good!");
        assert!((p[1] - 2.0 / 3.0).abs() < 1e-12, "{p:?}");
        // A word in both classes, and one never seen, say nothing.
        assert!((bayes.probabilities("film, unheard-of")[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn words_are_lower_case_runs_of_letters() {
        assert_eq!(
            tokens("Don't stop -- 'Good' film!"),
            ["don't", "stop", "good", "film"]
        );
    }
}
