//! Scores of one set of predictions, and of two sets on the same items.
//!
//! Every function is plain arithmetic over slices in item order. A quantity that does not exist for the given items (a
//! ranking score with one class only, a mean of nothing) is `None`, never zero. Slices of different lengths are a
//! programming error and panic: pairing predictions with the wrong items must not yield a number.

use serde::{Deserialize, Serialize};

/// The class with the largest probability; the first one wins ties, so 0.5 against 0.5 is class 0.
pub fn predicted(probabilities: &[f64]) -> u32 {
    let mut best = 0;
    for (class, &probability) in probabilities.iter().enumerate() {
        if probability > probabilities[best] {
            best = class;
        }
    }
    best as u32
}

/// The arithmetic mean.
pub fn mean(scores: &[f64]) -> Option<f64> {
    (!scores.is_empty()).then(|| scores.iter().sum::<f64>() / scores.len() as f64)
}

/// Standard error of the mean with the sample standard deviation (n - 1), as in lm-evaluation-harness.
pub fn stderr(scores: &[f64]) -> Option<f64> {
    deviation(scores, 1)
}

/// Standard error of the mean with the population standard deviation (n), as openai/weak-to-strong prints it.
///
/// Only for comparing with numbers that were published in this form; it is smaller than [`stderr`].
pub fn stderr_population(scores: &[f64]) -> Option<f64> {
    deviation(scores, 0)
}

fn deviation(scores: &[f64], lost: usize) -> Option<f64> {
    let mean = mean(scores)?;
    if scores.len() <= lost {
        return None;
    }
    let squares: f64 = scores.iter().map(|score| (score - mean).powi(2)).sum();
    Some((squares / (scores.len() - lost) as f64).sqrt() / (scores.len() as f64).sqrt())
}

/// Share of items whose predicted class is the gold class.
pub fn accuracy(predicted: &[u32], gold: &[u32]) -> Option<f64> {
    assert_eq!(predicted.len(), gold.len(), "one prediction per item");
    let right = predicted.iter().zip(gold).filter(|(p, g)| p == g).count();
    (!gold.is_empty()).then(|| right as f64 / gold.len() as f64)
}

/// Mean of the recalls of the classes that occur in the gold labels.
pub fn balanced_accuracy(predicted: &[u32], gold: &[u32]) -> Option<f64> {
    let recalls: Vec<f64> = counts(predicted, gold)
        .iter()
        .filter(|class| class.support > 0)
        .map(|class| class.hits as f64 / class.support as f64)
        .collect();
    mean(&recalls)
}

/// F1 of each class, averaged with the class's share of the gold labels as weight (`average="weighted"` in scikit-learn).
///
/// A class that is neither predicted nor present contributes nothing; one with no hit has F1 0.
pub fn weighted_f1(predicted: &[u32], gold: &[u32]) -> Option<f64> {
    let classes = counts(predicted, gold);
    let weighted: f64 = classes
        .iter()
        .filter(|class| class.support > 0)
        .map(|class| {
            let f1 = 2.0 * class.hits as f64 / (class.support + class.claimed) as f64;
            f1 * class.support as f64
        })
        .sum();
    (!gold.is_empty()).then(|| weighted / gold.len() as f64)
}

/// Items of one class: how many there are, how many are predicted, and how many are both.
#[derive(Clone, Default)]
pub(crate) struct ClassCounts {
    pub(crate) support: usize,
    pub(crate) claimed: usize,
    pub(crate) hits: usize,
}

pub(crate) fn counts(predicted: &[u32], gold: &[u32]) -> Vec<ClassCounts> {
    assert_eq!(predicted.len(), gold.len(), "one prediction per item");
    let classes = predicted
        .iter()
        .chain(gold)
        .max()
        .map_or(0, |&largest| largest as usize + 1);
    let mut counts = vec![ClassCounts::default(); classes];
    for (&p, &g) in predicted.iter().zip(gold) {
        counts[g as usize].support += 1;
        counts[p as usize].claimed += 1;
        if p == g {
            counts[g as usize].hits += 1;
        }
    }
    counts
}

/// Area under the ROC curve as Mann-Whitney counts it: the share of (positive, negative) pairs in which the positive item
/// scores higher, ties one half.
pub fn auroc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    assert_eq!(scores.len(), positive.len(), "one score per item");
    let order = descending(scores);
    // Twice the wins stays a whole number; `above` counts the positives with a higher score.
    let (mut twice_wins, mut above, mut negatives) = (0u64, 0u64, 0u64);
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let tied_positives = tied.iter().filter(|&&item| positive[item]).count() as u64;
        let tied_negatives = tied.len() as u64 - tied_positives;
        twice_wins += tied_negatives * (2 * above + tied_positives);
        above += tied_positives;
        negatives += tied_negatives;
    }
    let pairs = above * negatives;
    (pairs > 0).then(|| twice_wins as f64 / (2 * pairs) as f64)
}

/// The items, the highest score first; the lower index first among equal scores.
pub(crate) fn descending(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    order
}

/// Predictions after moving the threshold so that as many items are called positive as there are.
///
/// Among equal scores the lower index is called positive first. Uses the gold class counts, so it measures a model; it is
/// never a way to choose one.
pub fn prior_matched(scores: &[f64], positive: &[bool]) -> Vec<bool> {
    assert_eq!(scores.len(), positive.len(), "one score per item");
    let positives = positive.iter().filter(|&&label| label).count();
    let mut called = vec![false; scores.len()];
    for &item in descending(scores).iter().take(positives) {
        called[item] = true;
    }
    called
}

/// Accuracy of [`prior_matched`] predictions.
pub fn prior_matched_accuracy(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let called = prior_matched(scores, positive);
    let right = called.iter().zip(positive).filter(|(c, p)| c == p).count();
    (!scores.is_empty()).then(|| right as f64 / scores.len() as f64)
}

/// Brier score of one item: half the squared distance between the probabilities and the one-hot gold label.
///
/// With two classes this is (p - y)^2 with p the probability of class 1 and y the gold label.
pub fn brier(probabilities: &[f64], gold: u32) -> f64 {
    let squares: f64 = probabilities
        .iter()
        .enumerate()
        .map(|(class, probability)| (probability - f64::from(class as u32 == gold)).powi(2))
        .sum();
    squares / 2.0
}

/// Predicted probabilities against observed frequencies, in equal-width bins that are closed on the right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// Expected calibration error: |mean probability - observed share| of each bin, weighted by the bin's items.
    pub ece: f64,
    /// The bins in order; bin i covers (i / bins, (i + 1) / bins], and 0 belongs to the first.
    pub bins: Vec<ReliabilityBin>,
}

/// One bin of a [`Reliability`] diagram.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Lower edge, outside the bin (except 0).
    pub lower: f64,
    /// Upper edge, inside the bin.
    pub upper: f64,
    /// Items in the bin.
    pub n: usize,
    /// Mean predicted probability; none in an empty bin.
    pub probability: Option<f64>,
    /// Share of items for which the event happened; none in an empty bin.
    pub observed: Option<f64>,
}

/// Sorts predicted probabilities of an event into `bins` bins and compares them with how often it happened.
pub fn reliability(probabilities: &[f64], happened: &[bool], bins: usize) -> Option<Reliability> {
    assert_eq!(
        probabilities.len(),
        happened.len(),
        "one probability per item"
    );
    if probabilities.is_empty() || bins == 0 {
        return None;
    }
    let mut sums = vec![(0usize, 0.0f64, 0usize); bins];
    for (&probability, &happened) in probabilities.iter().zip(happened) {
        let bin = bin(probability, bins);
        sums[bin].0 += 1;
        sums[bin].1 += probability;
        sums[bin].2 += usize::from(happened);
    }
    let items = probabilities.len() as f64;
    let ece = sums
        .iter()
        .map(|&(_, sum, happened)| (sum - happened as f64).abs() / items)
        .sum();
    let bins = sums
        .iter()
        .enumerate()
        .map(|(bin, &(n, sum, happened))| ReliabilityBin {
            lower: bin as f64 / bins as f64,
            upper: (bin + 1) as f64 / bins as f64,
            n,
            probability: (n > 0).then(|| sum / n as f64),
            observed: (n > 0).then(|| happened as f64 / n as f64),
        })
        .collect();
    Some(Reliability { ece, bins })
}

/// Which of `bins` bins a probability falls into.
pub(crate) fn bin(probability: f64, bins: usize) -> usize {
    ((probability * bins as f64).ceil() as usize).clamp(1, bins) - 1
}

/// How a student agrees with its supervisor, given the gold labels (arXiv 2312.09390, figure 8).
///
/// A good student agrees where the supervisor is right and disagrees where it is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Agreement {
    /// Share of items on which both predict the same class.
    pub overall: Option<f64>,
    /// The same among items on which the supervisor is right.
    pub teacher_right: Option<f64>,
    /// The same among items on which the supervisor is wrong.
    pub teacher_wrong: Option<f64>,
    /// Share of the supervisor's errors on which the student is wrong too, whichever class it says; with two classes this
    /// is [`Agreement::teacher_wrong`].
    pub error_inheritance: Option<f64>,
    /// Share of the items on which the supervisor is right that the student gets wrong.
    pub new_error_rate: Option<f64>,
    /// Items on which the supervisor is right.
    pub n_right: usize,
    /// Items on which the supervisor is wrong.
    pub n_wrong: usize,
}

/// Counts [`Agreement`] over items.
pub fn agreement(student: &[u32], teacher: &[u32], gold: &[u32]) -> Agreement {
    assert_eq!(student.len(), gold.len(), "one student prediction per item");
    assert_eq!(teacher.len(), gold.len(), "one teacher prediction per item");
    let [
        mut right,
        mut same_right,
        mut wrong,
        mut same_wrong,
        mut both_wrong,
    ] = [0usize; 5];
    for ((student, teacher), gold) in student.iter().zip(teacher).zip(gold) {
        if teacher == gold {
            right += 1;
            same_right += usize::from(student == teacher);
        } else {
            wrong += 1;
            same_wrong += usize::from(student == teacher);
            both_wrong += usize::from(student != gold);
        }
    }
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    Agreement {
        overall: share(same_right + same_wrong, right + wrong),
        teacher_right: share(same_right, right),
        teacher_wrong: share(same_wrong, wrong),
        error_inheritance: share(both_wrong, wrong),
        new_error_rate: share(right - same_right, right),
        n_right: right,
        n_wrong: wrong,
    }
}

/// McNemar's exact test of two models on the same items.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Items that only the first model gets right.
    pub only_first: usize,
    /// Items that only the second model gets right.
    pub only_second: usize,
    /// Two-sided p-value: min(1, 2 P(X <= min(b, c))) with X binomial(b + c, 1/2).
    pub p: f64,
}

impl McNemar {
    /// The test for given counts of items that only one of the two gets right.
    pub fn new(only_first: usize, only_second: usize) -> Self {
        let discordant = only_first + only_second;
        // In logarithms: 2^-n underflows long before a test set becomes large.
        let mut term = -(discordant as f64) * std::f64::consts::LN_2;
        let mut tail = 0.0;
        for i in 0..=only_first.min(only_second) {
            if i > 0 {
                term += ((discordant - i + 1) as f64 / i as f64).ln();
            }
            tail += term.exp();
        }
        Self {
            only_first,
            only_second,
            p: (2.0 * tail).min(1.0),
        }
    }
}

/// Runs [`McNemar`] on the correctness of two models, item by item.
pub fn mcnemar(first_right: &[bool], second_right: &[bool]) -> McNemar {
    assert_eq!(
        first_right.len(),
        second_right.len(),
        "both models on the same items"
    );
    let count = |wanted: (bool, bool)| {
        first_right
            .iter()
            .zip(second_right)
            .filter(|&(&a, &b)| (a, b) == wanted)
            .count()
    };
    McNemar::new(count((true, false)), count((false, true)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::golden;

    fn close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() <= 1e-9,
            "got {got}, expected {expected}"
        );
    }

    #[test]
    fn standard_errors_match_the_golden_case() {
        let case = golden::case("eval.stderr");
        let scores = case.floats("scores");
        close(mean(&scores).unwrap(), case.expected("mean"));
        close(stderr(&scores).unwrap(), case.expected("stderr"));
        close(
            stderr_population(&scores).unwrap(),
            case.expected("openai_w2s_se_ddof0"),
        );
    }

    #[test]
    fn one_score_has_no_standard_error() {
        assert_eq!(stderr(&[1.0]), None);
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn auroc_matches_the_golden_case() {
        let case = golden::case("eval.auroc");
        close(
            auroc(&case.floats("scores"), &case.bools("labels")).unwrap(),
            case.value(),
        );
    }

    #[test]
    fn auroc_needs_both_classes() {
        assert_eq!(auroc(&[0.1, 0.9], &[true, true]), None);
    }

    #[test]
    fn prior_matching_matches_the_golden_case() {
        let case = golden::case("eval.prior_matched");
        let (scores, labels) = (case.floats("scores"), case.bools("labels"));
        assert_eq!(prior_matched(&scores, &labels), case.expected_bools("pred"));
        close(
            prior_matched_accuracy(&scores, &labels).unwrap(),
            case.expected("accuracy"),
        );
    }

    #[test]
    fn brier_and_calibration_error_match_the_golden_cases() {
        let case = golden::case("eval.brier");
        let (p, y) = (case.floats("p"), case.bools("y"));
        let scores: Vec<f64> = p
            .iter()
            .zip(&y)
            .map(|(&p, &y)| brier(&[1.0 - p, p], u32::from(y)))
            .collect();
        close(mean(&scores).unwrap(), case.value());

        let case = golden::case("eval.ece");
        let reliability = reliability(&case.floats("p"), &case.bools("y"), 5).unwrap();
        close(reliability.ece, case.value());
        assert_eq!(
            reliability.bins.iter().map(|bin| bin.n).collect::<Vec<_>>(),
            [0, 1, 2, 1, 1]
        );
    }

    #[test]
    fn bins_are_closed_on_the_right_and_hold_zero() {
        let reliability =
            reliability(&[0.0, 0.5, 0.500001, 1.0], &[false, true, true, true], 2).unwrap();
        assert_eq!(
            reliability.bins.iter().map(|bin| bin.n).collect::<Vec<_>>(),
            [2, 2]
        );
    }

    #[test]
    fn mcnemar_matches_the_golden_case() {
        let case = golden::case("eval.mcnemar_exact");
        let test = mcnemar(&case.bools("correct_a"), &case.bools("correct_b"));
        close(test.only_first as f64, case.expected("b_only_a"));
        close(test.only_second as f64, case.expected("c_only_b"));
        close(test.p, case.expected("p_two_sided"));
    }

    #[test]
    fn mcnemar_survives_large_counts() {
        close(McNemar::new(0, 0).p, 1.0);
        close(McNemar::new(1000, 1000).p, 1.0);
        let p = McNemar::new(3000, 2700).p;
        // The normal approximation with continuity correction: z = 299 / sqrt(5700) = 3.960, p = 7.5e-5.
        assert!((7.0e-5..8.0e-5).contains(&p), "{p}");
    }

    #[test]
    fn agreement_matches_the_golden_case() {
        let case = golden::case("eval.agreement");
        let got = agreement(
            &case.labels("student"),
            &case.labels("supervisor"),
            &case.labels("gold"),
        );
        close(got.overall.unwrap(), case.expected("overall"));
        close(
            got.teacher_right.unwrap(),
            case.expected("given_supervisor_right"),
        );
        close(
            got.teacher_wrong.unwrap(),
            case.expected("given_supervisor_wrong"),
        );
        close(got.n_right as f64, case.expected("n_right"));
        close(got.n_wrong as f64, case.expected("n_wrong"));
        // With two classes, repeating an error is agreeing with it, and the rest of the right ones are new errors.
        assert_eq!(got.error_inheritance, got.teacher_wrong);
        close(got.new_error_rate.unwrap(), 0.25);
    }

    #[test]
    fn with_three_classes_an_error_can_be_shared_without_agreement() {
        // The supervisor is wrong on all three items; the student repeats it, errs differently, and is right.
        let got = agreement(&[1, 2, 0], &[1, 1, 1], &[0, 0, 0]);
        close(got.teacher_wrong.unwrap(), 1.0 / 3.0);
        close(got.error_inheritance.unwrap(), 2.0 / 3.0);
        assert_eq!(got.teacher_right, None);
    }

    #[test]
    fn balanced_accuracy_and_weighted_f1_by_hand() {
        // Class 0: 3 items, 2 hits, claimed 2. Class 1: 1 item, 1 hit, claimed 2.
        let (predicted, gold) = ([0, 0, 1, 1], [0, 0, 0, 1]);
        close(
            balanced_accuracy(&predicted, &gold).unwrap(),
            (2.0 / 3.0 + 1.0) / 2.0,
        );
        // F1 of class 0 is 2*2/(3+2) = 0.8, of class 1 2*1/(1+2) = 2/3; weights 3/4 and 1/4.
        close(
            weighted_f1(&predicted, &gold).unwrap(),
            0.75 * 0.8 + 0.25 * 2.0 / 3.0,
        );
        close(accuracy(&predicted, &gold).unwrap(), 0.75);
    }

    #[test]
    fn the_first_maximum_wins() {
        assert_eq!(predicted(&[0.5, 0.5]), 0);
        assert_eq!(predicted(&[0.2, 0.4, 0.4]), 1);
    }

    fn scored() -> impl Strategy<Value = (Vec<f64>, Vec<bool>)> {
        prop::collection::vec((0u8..20, any::<bool>()), 2..60).prop_map(|rows| {
            rows.into_iter()
                .map(|(score, label)| (f64::from(score) / 20.0, label))
                .unzip()
        })
    }

    proptest! {
        #[test]
        fn auroc_equals_counting_pairs((scores, labels) in scored()) {
            let (mut wins, mut pairs) = (0.0, 0.0);
            for (&p, _) in scores.iter().zip(&labels).filter(|(_, l)| **l) {
                for (&n, _) in scores.iter().zip(&labels).filter(|(_, l)| !**l) {
                    pairs += 1.0;
                    wins += if p > n { 1.0 } else if p == n { 0.5 } else { 0.0 };
                }
            }
            match auroc(&scores, &labels) {
                Some(area) => prop_assert!((area - wins / pairs).abs() < 1e-12),
                None => prop_assert_eq!(pairs, 0.0),
            }
        }

        #[test]
        fn auroc_sees_only_the_order((scores, labels) in scored()) {
            let stretched: Vec<f64> = scores.iter().map(|score| (3.0 * score).exp() - 7.0).collect();
            prop_assert_eq!(auroc(&scores, &labels), auroc(&stretched, &labels));
        }

        #[test]
        fn auroc_of_the_opposite_score_is_the_rest((scores, labels) in scored()) {
            let flipped: Vec<f64> = scores.iter().map(|score| -score).collect();
            if let (Some(a), Some(b)) = (auroc(&scores, &labels), auroc(&flipped, &labels)) {
                prop_assert!((a + b - 1.0).abs() < 1e-12);
            }
        }

        #[test]
        fn prior_matching_keeps_the_number_of_positives((scores, labels) in scored()) {
            let called = prior_matched(&scores, &labels).iter().filter(|c| **c).count();
            prop_assert_eq!(called, labels.iter().filter(|l| **l).count());
        }

        #[test]
        fn mcnemar_does_not_care_who_comes_first(b in 0usize..200, c in 0usize..200) {
            let p = McNemar::new(b, c).p;
            prop_assert_eq!(p, McNemar::new(c, b).p);
            prop_assert!(p > 0.0 && p <= 1.0);
        }
    }
}
