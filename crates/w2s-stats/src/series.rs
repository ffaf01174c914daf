//! A score with what every seed and every group of items contributes to it.

use serde::{Deserialize, Serialize};

use crate::design::Design;
use crate::interval::Parts;
use crate::terms::Terms;

/// One score: its mean over seeds, its value on each seed, and how it depends on each group of items.
///
/// Scores of one [`Design`] are subtracted and divided with that dependence, which is what makes the interval of a
/// difference paired. Not a number marks a score that does not exist.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Over all seeds, which count alike.
    pub mean: f64,
    /// Seed by seed.
    pub per_seed: Vec<f64>,
    pub(crate) design: Design,
    /// The score on each seed, linearised: its mean is the mean.
    pub(crate) seeds: Vec<f64>,
    /// How far each group moves the score of each seed; a seed's groups sum to zero.
    pub(crate) groups: Vec<Vec<f64>>,
    /// How far one item can move the score, times the number of items; zero where that has no limit.
    pub(crate) unit: f64,
    share: bool,
}

impl Series {
    pub(crate) fn new(design: &Design, terms: &[Terms]) -> Self {
        assert_eq!(terms.len(), design.seeds(), "one score a seed");
        let groups = terms.iter().zip(design.each()).map(|(terms, seed)| {
            assert_eq!(terms.terms.len(), seed.place.len(), "one term an item");
            let items = terms.terms.len() as f64;
            let mut groups = vec![0.0; seed.group.len()];
            for (&place, term) in seed.place.iter().zip(&terms.terms) {
                groups[place] += (term - terms.value) / items;
            }
            groups
        });
        let groups = groups.collect();
        let per_seed: Vec<f64> = terms.iter().map(|terms| terms.value).collect();
        Self {
            mean: per_seed.iter().sum::<f64>() / per_seed.len() as f64,
            seeds: per_seed.clone(),
            per_seed,
            design: design.clone(),
            groups,
            unit: terms.iter().map(|terms| terms.unit).fold(0.0, f64::max),
            share: terms.iter().all(|terms| terms.share),
        }
    }

    /// `self + other`, paired.
    pub fn plus(&self, other: &Self) -> Self {
        self.linear(1.0, other, 1.0)
    }

    /// `self - other`, paired.
    pub fn minus(&self, other: &Self) -> Self {
        self.linear(1.0, other, -1.0)
    }

    /// `1 - self`.
    pub fn complement(&self) -> Self {
        let flip = |values: &[f64]| values.iter().map(|value| 1.0 - value).collect();
        let negate = |values: &Vec<f64>| values.iter().map(|value| -value).collect();
        Self {
            mean: 1.0 - self.mean,
            per_seed: flip(&self.per_seed),
            seeds: flip(&self.seeds),
            groups: self.groups.iter().map(negate).collect(),
            ..self.clone()
        }
    }

    /// `self / other`, paired: the ratio of the means, and of each seed's values. Not a number where `other` is zero.
    pub fn over(&self, other: &Self) -> Self {
        let divide = |a: f64, b: f64| if b == 0.0 { f64::NAN } else { a / b };
        let ratio = divide(self.mean, other.mean);
        // d(a / b) = (da - (a / b) db) / b
        let linear = self.linear(1.0 / other.mean, other, -ratio / other.mean);
        Self {
            mean: ratio,
            per_seed: zip(&self.per_seed, &other.per_seed, divide),
            seeds: linear.seeds.iter().map(|seed| ratio + seed).collect(),
            unit: self.unit.max(ratio.abs() * other.unit) / other.mean.abs(),
            ..linear
        }
    }

    /// The same score, known to lie between 0 and 1: its interval does, too. Means of zeros and ones, AUROC and the other
    /// shares of [`Terms`] are known already.
    pub fn as_share(self) -> Self {
        Self {
            share: true,
            ..self
        }
    }

    fn linear(&self, a: f64, other: &Self, b: f64) -> Self {
        assert!(self.design == other.design, "scores of the same design");
        let mix = |x: f64, y: f64| a * x + b * y;
        let groups = self.groups.iter().zip(&other.groups);
        Self {
            mean: mix(self.mean, other.mean),
            per_seed: zip(&self.per_seed, &other.per_seed, mix),
            seeds: zip(&self.seeds, &other.seeds, mix),
            groups: groups.map(|(x, y)| zip(x, y, mix)).collect(),
            unit: (a.abs() * self.unit).max(b.abs() * other.unit),
            share: false,
            design: self.design.clone(),
        }
    }

    /// The 95 % interval; none where the score does not exist or nothing is known of its spread.
    pub fn interval(&self) -> Option<[f64; 2]> {
        let rule = self.design.rule()?;
        let half = rule.half_width(Parts::of(self, self), self.unit);
        if !(self.mean.is_finite() && half.is_finite()) {
            return None;
        }
        Some(match self.share {
            true => rule.share(self.mean, half, self.unit),
            false => [self.mean - half, self.mean + half],
        })
    }

    /// Two-sided p-value of the score being zero: the smallest level whose interval, `mean` plus or minus a half width,
    /// leaves zero out.
    pub fn p_value(&self) -> Option<f64> {
        crate::interval::p_value(&self.design, self.mean, Parts::of(self, self), self.unit)
    }

    /// Whether the 95 % interval leaves out zero.
    pub fn differs_from_zero(&self) -> bool {
        self.interval()
            .is_some_and(|[low, high]| low > 0.0 || high < 0.0)
    }

    /// The score with its interval, from `n` predictions.
    pub fn estimate(&self, n: usize) -> Estimate {
        let seeds = self.per_seed.len() as f64;
        let mean = self.per_seed.iter().sum::<f64>() / seeds;
        let squares = self.per_seed.iter().map(|value| (value - mean).powi(2));
        let parts = Parts::of(self, self);
        Estimate {
            mean: defined(self.mean),
            ci95: self.interval(),
            per_seed: self.per_seed.iter().copied().map(defined).collect(),
            n,
            stderr: (self.mean.is_finite() && self.design.rule().is_some())
                .then(|| parts.stderr()),
            seed_sd: defined((squares.sum::<f64>() / (seeds - 1.0)).sqrt()),
        }
    }
}

fn zip(a: &[f64], b: &[f64], combine: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    a.iter().zip(b).map(|(&a, &b)| combine(a, b)).collect()
}

fn defined(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A number with what is known about its uncertainty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// Over all seeds; none where the quantity does not exist.
    pub mean: Option<f64>,
    /// 95 % interval over seeds and test items, or over test items alone where there is one seed.
    pub ci95: Option<[f64; 2]>,
    /// Seed by seed, in the order of the report's `seeds`.
    pub per_seed: Vec<Option<f64>>,
    /// Predictions behind the number, counted over all seeds.
    pub n: usize,
    /// Standard error of the mean over seeds and test items.
    pub stderr: Option<f64>,
    /// Standard deviation of the seeds' values (n - 1); none with one seed.
    pub seed_sd: Option<f64>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(n: u64) -> Vec<u64> {
        (0..n).collect()
    }

    fn near(got: [f64; 2], expected: [f64; 2]) {
        let far = (got[0] - expected[0])
            .abs()
            .max((got[1] - expected[1]).abs());
        assert!(far < 1e-4, "{got:?}, expected {expected:?}");
    }

    #[test]
    fn seeds_that_differ_have_the_interval_of_t() {
        // Items alike inside a seed: mean 0.5, variance of the seeds 0.09, and t(0.975, 2) = 4.30265.
        let columns = [0.2, 0.5, 0.8].map(|value| vec![value; 30]);
        let series = Design::crossed(3, &items(30)).mean(&columns);
        let half = 4.30265 * (0.09f64 / 3.0).sqrt();
        near(series.interval().unwrap(), [0.5 - half, 0.5 + half]);
        let estimate = series.estimate(90);
        assert!((estimate.seed_sd.unwrap() - 0.3).abs() < 1e-9);
        assert!((estimate.stderr.unwrap() - 0.03f64.sqrt()).abs() < 1e-9);
    }

    #[test]
    fn seeds_that_agree_have_the_interval_of_their_items() {
        // Three seeds with the same numbers on 100 shared items, half of them 1 and half 3: nothing is known but the items,
        // whose mean has the variance 1 / 99. The same of one seed.
        let column: Vec<f64> = (0..100)
            .map(|item| 1.0 + 2.0 * f64::from(item % 2))
            .collect();
        let half = 1.98422 / 99f64.sqrt();
        for seeds in [1, 3] {
            let series = Design::crossed(seeds, &items(100)).mean(&vec![column.clone(); seeds]);
            near(series.interval().unwrap(), [2.0 - half, 2.0 + half]);
        }
        // On items of their own they are three times as many; that their means agree may be chance, and half is left.
        let series = Design::nested(&vec![items(100); 3]).mean(&vec![column; 3]);
        let half = half / 3f64.sqrt() / 2.0;
        near(series.interval().unwrap(), [2.0 - half, 2.0 + half]);
    }

    #[test]
    fn a_group_counts_once() {
        // 40 groups of five equal items are 40 items.
        let column: Vec<f64> = (0..200).map(|item| f64::from(item / 5 % 4)).collect();
        let groups: Vec<u64> = (0..200).map(|item| item / 5).collect();
        let single: Vec<f64> = (0..40).map(|item| f64::from(item % 4)).collect();
        let grouped = Design::crossed(1, &groups).mean(&[column]);
        let alone = Design::crossed(1, &items(40)).mean(&[single]);
        near(grouped.interval().unwrap(), alone.interval().unwrap());
    }

    #[test]
    fn a_share_of_everything_or_nothing_has_a_wide_interval() {
        let design = Design::crossed(1, &items(100));
        let [low, high] = design.mean(&[vec![1.0; 100]]).interval().unwrap();
        // Wilson: 100 / (100 + 1.984^2).
        assert!((low - 0.9621).abs() < 1e-3 && high == 1.0, "{low} {high}");
        let [low, high] = design.mean(&[vec![0.0; 100]]).interval().unwrap();
        assert!(low == 0.0 && (high - 0.0379).abs() < 1e-3, "{low} {high}");
    }

    #[test]
    fn arms_that_agree_on_every_item_may_differ_on_three_in_a_hundred() {
        let column: Vec<f64> = (0..100).map(|item| f64::from(item % 3 == 0)).collect();
        let series = Design::crossed(2, &items(100)).mean(&[column.clone(), column]);
        near(
            series.minus(&series).interval().unwrap(),
            [-0.02996, 0.02996],
        );
        assert_eq!(series.minus(&series).p_value(), Some(1.0));
        assert!(!series.minus(&series).differs_from_zero());
    }

    #[test]
    fn what_does_not_exist_has_no_interval() {
        let series = Design::crossed(2, &items(3)).mean(&[[0.5, f64::NAN, 1.0], [0.5, 0.0, 1.0]]);
        let estimate = series.estimate(6);
        assert_eq!(
            (estimate.mean, estimate.ci95, estimate.stderr),
            (None, None, None)
        );
        assert_eq!(estimate.per_seed, [None, Some(0.5)]);
        assert_eq!(series.p_value(), None);
        // One number alone has no spread.
        assert_eq!(Design::crossed(1, &[0]).mean(&[[2.5]]).interval(), None);
    }

    #[test]
    fn a_ratio_is_that_of_the_means() {
        let design = Design::crossed(2, &items(4));
        let part = design.mean(&[[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 0.0, 0.0]]);
        let whole = design.mean(&[[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]]);
        let ratio = part.over(&whole);
        assert_eq!(
            (ratio.mean, ratio.per_seed.as_slice()),
            (0.5, &[0.5, 0.5][..])
        );
        // Constant in every seed, it varies between items only.
        assert!(ratio.seeds.iter().all(|seed| (seed - 0.5).abs() < 1e-12));
        assert!(part.over(&design.mean(&[[0.0; 4]; 2])).mean.is_nan());
    }

    /// Two arms on three seeds, with groups of up to three items.
    fn arms() -> impl Strategy<Value = (Vec<u64>, Vec<Vec<f64>>, Vec<Vec<f64>>)> {
        prop::collection::vec((0u64..3, prop::array::uniform6(0u8..2)), 4..40).prop_map(|rows| {
            let mut group = 0;
            let groups = rows.iter().map(|row| {
                group += u64::from(row.0 == 0);
                group
            });
            let groups = groups.collect();
            let arm = |from: usize| {
                let seed = |seed: usize| {
                    rows.iter()
                        .map(move |row| f64::from(row.1[from + seed]))
                        .collect()
                };
                (0..3).map(seed).collect()
            };
            (groups, arm(0), arm(3))
        })
    }

    proptest! {
        #[test]
        fn a_difference_is_that_of_the_differences((groups, a, b) in arms()) {
            for design in [Design::crossed(3, &groups), Design::nested(&vec![groups.clone(); 3])] {
                let difference: Vec<Vec<f64>> = a.iter().zip(&b).map(|(a, b)| zip(a, b, |a, b| a - b)).collect();
                let (of_arms, of_items) = (design.mean(&a).minus(&design.mean(&b)), design.mean(&difference));
                prop_assert!((of_arms.mean - of_items.mean).abs() < 1e-12);
                let (x, y) = (Parts::of(&of_arms, &of_arms), Parts::of(&of_items, &of_items));
                prop_assert!((x.stderr() - y.stderr()).abs() < 1e-9);
            }
        }

        #[test]
        fn the_interval_of_a_share_holds_it_and_stays_in_range((groups, a, _) in arms()) {
            let series = Design::crossed(3, &groups).mean(&a);
            let [low, high] = series.interval().unwrap();
            prop_assert!(0.0 <= low && low <= series.mean + 1e-12 && series.mean <= high + 1e-12 && high <= 1.0);
            prop_assert!(high - low > 1e-3);
        }

        #[test]
        fn the_p_value_agrees_with_the_interval((groups, a, b) in arms()) {
            let design = Design::crossed(3, &groups);
            let difference = design.mean(&a).minus(&design.mean(&b));
            let p = difference.p_value().unwrap();
            if (p - 0.05).abs() > 1e-6 {
                prop_assert_eq!(difference.differs_from_zero(), p < 0.05);
            }
        }

        #[test]
        fn the_order_of_seeds_does_not_matter((groups, a, _) in arms()) {
            let design = Design::crossed(3, &groups);
            let turned: Vec<Vec<f64>> = a.iter().rev().cloned().collect();
            let (x, y) = (design.mean(&a).interval().unwrap(), design.mean(&turned).interval().unwrap());
            prop_assert!((x[0] - y[0]).abs() < 1e-9 && (x[1] - y[1]).abs() < 1e-9);
        }
    }
}
