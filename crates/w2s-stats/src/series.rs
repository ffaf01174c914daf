//! A score with what every seed and every group of items contributes to it.

use serde::{Deserialize, Serialize};

use crate::design::Design;
use crate::interval::{Parts, Rule};
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
        let rule = Rule::new(&self.design, 0.05)?;
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
            stderr: Rule::new(&self.design, 0.05).and_then(|_| defined(parts.stderr())),
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
