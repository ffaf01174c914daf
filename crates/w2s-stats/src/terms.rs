//! Metrics written as means over items.
//!
//! A mean is the mean of its items. Any other smooth metric is, up to smaller terms, the mean of one number an item: its
//! value plus the item's influence on it, that is by how much the metric of a very large test set would change for each
//! such item that is added, divided by their share. The spread of these numbers between items is the spread of the metric
//! (Efron 1982, chapter 6; for AUROC they are the structural components of DeLong, DeLong and Clarke-Pearson 1988).

use crate::metrics;

/// A metric on the items of one seed: its value, and one term an item whose mean is the value.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The metric; not a number where it does not exist.
    pub value: f64,
    /// Its value plus each item's influence.
    pub terms: Vec<f64>,
    /// Whether the metric lies between 0 and 1.
    pub(crate) share: bool,
    /// How far one item can move the metric, times the number of items; zero where that has no limit.
    pub(crate) unit: f64,
}

impl Terms {
    /// The mean of one number an item; a share where all are 0 or 1.
    pub fn mean(column: &[f64]) -> Self {
        let share = column.iter().all(|&value| value == 0.0 || value == 1.0);
        Self {
            value: metrics::mean(column).unwrap_or(f64::NAN),
            terms: column.to_vec(),
            share,
            unit: f64::from(u8::from(share)),
        }
    }

    fn undefined(items: usize) -> Self {
        Self {
            value: f64::NAN,
            terms: vec![f64::NAN; items],
            share: true,
            unit: 0.0,
        }
    }

    /// [`metrics::auroc`].
    pub fn auroc(scores: &[f64], positive: &[bool]) -> Self {
        let Some(value) = metrics::auroc(scores, positive) else {
            return Self::undefined(scores.len());
        };
        let sorted = |class: bool| {
            let of_class = scores.iter().zip(positive).filter(|row| *row.1 == class);
            let mut sorted: Vec<f64> = of_class.map(|row| *row.0).collect();
            sorted.sort_by(f64::total_cmp);
            sorted
        };
        let (negative_scores, positive_scores) = (sorted(false), sorted(true));
        // Share of `others` below a score, ties one half.
        let below = |score: f64, others: &[f64]| {
            let less = others.partition_point(|other| *other < score);
            let not_more = others.partition_point(|other| *other <= score);
            (less + not_more) as f64 / 2.0 / others.len() as f64
        };
        let items = scores.len() as f64;
        let terms = scores.iter().zip(positive).map(|(&score, &positive)| {
            let (wins, own) = match positive {
                true => (below(score, &negative_scores), positive_scores.len()),
                false => (1.0 - below(score, &positive_scores), negative_scores.len()),
            };
            value + (wins - value) * items / own as f64
        });
        Self {
            terms: terms.collect(),
            value,
            share: true,
            unit: items / positive_scores.len().min(negative_scores.len()) as f64,
        }
    }

    /// [`metrics::prior_matched_accuracy`].
    ///
    /// The items move the threshold, too. By how much that changes the accuracy depends on the share of positive items around
    /// the threshold; it is read off the root of n items on either side. At one half a moving threshold changes nothing.
    pub fn prior_matched_accuracy(scores: &[f64], positive: &[bool]) -> Self {
        let Some(value) = metrics::prior_matched_accuracy(scores, positive) else {
            return Self::undefined(scores.len());
        };
        let order = metrics::descending(scores);
        let positives = positive.iter().filter(|&&label| label).count();
        let reach = (scores.len() as f64).sqrt().ceil() as usize;
        let reach = reach.min(positives).min(scores.len() - positives);
        let around = &order[positives - reach..positives + reach];
        let density = match reach {
            0 => 0.5,
            _ => around.iter().filter(|&&item| positive[item]).count() as f64 / around.len() as f64,
        };
        let called = metrics::prior_matched(scores, positive);
        let terms = called.iter().zip(positive).map(|(&called, &positive)| {
            let number = |flag: bool| f64::from(u8::from(flag));
            number(called == positive) + (2.0 * density - 1.0) * (number(positive) - number(called))
        });
        Self {
            terms: terms.collect(),
            value,
            share: true,
            unit: 1.0,
        }
    }

    /// [`metrics::balanced_accuracy`].
    pub fn balanced_accuracy(predicted: &[u32], gold: &[u32]) -> Self {
        let Some(value) = metrics::balanced_accuracy(predicted, gold) else {
            return Self::undefined(gold.len());
        };
        let classes = metrics::counts(predicted, gold);
        let present = classes.iter().filter(|class| class.support > 0).count() as f64;
        let items = gold.len() as f64;
        let terms = predicted.iter().zip(gold).map(|(p, &g)| {
            let class = &classes[g as usize];
            let support = class.support as f64;
            let hit = f64::from(u8::from(*p == g));
            value + (hit - class.hits as f64 / support) * items / support / present
        });
        let rarest = classes
            .iter()
            .map(|class| class.support)
            .filter(|&n| n > 0)
            .min();
        Self {
            terms: terms.collect(),
            value,
            share: true,
            unit: items / present / rarest.expect("there are items") as f64,
        }
    }

    /// [`metrics::weighted_f1`].
    pub fn weighted_f1(predicted: &[u32], gold: &[u32]) -> Self {
        let Some(value) = metrics::weighted_f1(predicted, gold) else {
            return Self::undefined(gold.len());
        };
        // The part of a class is 2 h s / (s + q) with h, s, q the shares of items that are hits, present and claimed.
        let slopes: Vec<[f64; 3]> = metrics::counts(predicted, gold)
            .iter()
            .map(|class| {
                let (h, s, q) = (
                    class.hits as f64,
                    class.support as f64,
                    class.claimed as f64,
                );
                match s + q {
                    0.0 => [0.0; 3],
                    both => [
                        2.0 * s / both,
                        2.0 * h * q / (both * both),
                        -2.0 * h * s / (both * both),
                    ],
                }
            })
            .collect();
        let raw = predicted.iter().zip(gold).map(|(&p, &g)| {
            let hit = if p == g { slopes[g as usize][0] } else { 0.0 };
            hit + slopes[g as usize][1] + slopes[p as usize][2]
        });
        let raw: Vec<f64> = raw.collect();
        // Of degree one in the three shares, the metric is the mean of its slopes (Euler).
        Self {
            terms: raw,
            value,
            share: true,
            unit: 1.0,
        }
    }

    /// Expected calibration error, [`metrics::reliability`], of `bins` bins.
    ///
    /// It is never zero for a calibrated model of finitely many items; the interval covers its spread, not that excess.
    pub fn calibration_error(probabilities: &[f64], happened: &[bool], bins: usize) -> Self {
        let Some(reliability) = metrics::reliability(probabilities, happened, bins) else {
            return Self::undefined(probabilities.len());
        };
        let sign: Vec<f64> = reliability
            .bins
            .iter()
            .map(|bin| match (bin.probability, bin.observed) {
                (Some(said), Some(seen)) if said < seen => -1.0,
                _ => 1.0,
            })
            .collect();
        let terms = probabilities.iter().zip(happened).map(|(&said, &seen)| {
            sign[metrics::bin(said, bins)] * (said - f64::from(u8::from(seen)))
        });
        Self {
            terms: terms.collect(),
            value: reliability.ece,
            share: true,
            unit: 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a metric loses when item `left_out` is not there, times the other items: about its influence.
    fn jackknife(metric: impl Fn(&[usize]) -> f64, n: usize, left_out: usize) -> f64 {
        let all: Vec<usize> = (0..n).collect();
        let rest: Vec<usize> = (0..n).filter(|&item| item != left_out).collect();
        (n - 1) as f64 * (metric(&all) - metric(&rest))
    }

    fn pick<T: Copy>(values: &[T], items: &[usize]) -> Vec<T> {
        items.iter().map(|&item| values[item]).collect()
    }

    /// Scores of three levels of skill and labels, 200 items.
    fn rows() -> (Vec<f64>, Vec<bool>, Vec<u32>, Vec<u32>) {
        let positive: Vec<bool> = (0..200).map(|item| item * 37 % 100 < 35).collect();
        let scores: Vec<f64> = (0..200)
            .map(|item| {
                ((item * 61 % 200) as f64 + 60.0 * f64::from(u8::from(positive[item]))) / 260.0
            })
            .collect();
        let gold: Vec<u32> = (0..200).map(|item| (item * 37 % 100 / 40) as u32).collect();
        let said = (0..200).map(|item| {
            if item * 13 % 10 < 7 {
                gold[item]
            } else {
                (item % 3) as u32
            }
        });
        let said = said.collect();
        (scores, positive, said, gold)
    }

    #[test]
    fn terms_are_what_leaving_an_item_out_costs() {
        let (scores, positive, said, gold) = rows();
        let near = |terms: &Terms, metric: &dyn Fn(&[usize]) -> f64, within: f64| {
            for item in [0, 3, 17, 100, 160, 199] {
                let expected = jackknife(metric, 200, item);
                let got = terms.terms[item] - terms.value;
                assert!(
                    (got - expected).abs() < within,
                    "item {item}: {got}, jackknife {expected}"
                );
            }
        };
        near(
            &Terms::auroc(&scores, &positive),
            &|items| metrics::auroc(&pick(&scores, items), &pick(&positive, items)).unwrap(),
            0.03,
        );
        near(
            &Terms::balanced_accuracy(&said, &gold),
            &|items| metrics::balanced_accuracy(&pick(&said, items), &pick(&gold, items)).unwrap(),
            0.05,
        );
        near(
            &Terms::weighted_f1(&said, &gold),
            &|items| metrics::weighted_f1(&pick(&said, items), &pick(&gold, items)).unwrap(),
            0.03,
        );
    }

    #[test]
    fn where_half_are_positive_prior_matching_is_accuracy_at_the_threshold() {
        let scores: Vec<f64> = (0..40).map(|item| f64::from(item) / 40.0).collect();
        let positive: Vec<bool> = (0..40).map(|item| item % 2 == 0).collect();
        let called = metrics::prior_matched(&scores, &positive);
        let right: Vec<f64> = called
            .iter()
            .zip(&positive)
            .map(|(c, p)| f64::from(u8::from(c == p)))
            .collect();
        assert_eq!(
            Terms::prior_matched_accuracy(&scores, &positive).terms,
            right
        );
    }

    #[test]
    fn one_class_has_no_ranking() {
        let terms = Terms::auroc(&[0.1, 0.9], &[true, true]);
        assert!(terms.value.is_nan() && terms.terms.len() == 2);
    }

    proptest! {
        #[test]
        fn the_mean_of_the_terms_is_the_metric(rows in prop::collection::vec((0u8..10, any::<bool>(), 0u32..3, 0u32..3), 2..60)) {
            let scores: Vec<f64> = rows.iter().map(|row| f64::from(row.0) / 10.0).collect();
            let positive: Vec<bool> = rows.iter().map(|row| row.1).collect();
            let (said, gold): (Vec<u32>, Vec<u32>) = rows.iter().map(|row| (row.2, row.3)).unzip();
            let all = [
                Terms::mean(&scores),
                Terms::auroc(&scores, &positive),
                Terms::prior_matched_accuracy(&scores, &positive),
                Terms::balanced_accuracy(&said, &gold),
                Terms::weighted_f1(&said, &gold),
                Terms::calibration_error(&scores, &positive, 5),
            ];
            for (at, terms) in all.iter().enumerate().filter(|(_, terms)| !terms.value.is_nan()) {
                let mean = metrics::mean(&terms.terms).unwrap();
                prop_assert!((mean - terms.value).abs() < 1e-9, "{at}: {mean} {}", terms.value);
            }
        }
    }
}
