//! Every quantity of an experiment, over seeds and in every draw, so that whatever is derived from two of them is paired.

use std::collections::HashMap;

use w2s_stats::bootstrap::{Draws, Estimate, SeedSample, Series, Settings, paired};
use w2s_stats::metrics::{self, McNemar};
use w2s_stats::ranking::Ranking;

use crate::experiment::{Experiment, Run};
use crate::metric::Metric;

/// With more classes than this, the metrics that look at each class are left out.
const MOST_CLASSES: usize = 20;

/// What is counted of each item beside the metrics, for one arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Count {
    /// A metric of the experiment, by its place.
    Metric(usize),
    /// Right where the teacher is right.
    BothRight,
    /// The same answer as the teacher, and wrong.
    SameError,
    /// Of this class and recognised.
    Right(u32),
    /// Said to be of this class.
    Said(u32),
    /// Of this class: the same for all arms.
    Gold(u32),
}

/// An experiment with all of its quantities drawn.
pub(crate) struct Analysis<'x> {
    pub(crate) experiment: &'x Experiment,
    draws: Draws,
    columns: HashMap<(usize, Count), usize>,
    binary: bool,
    by_class: bool,
}

impl<'x> Analysis<'x> {
    /// Draws seeds and items once for all arms and metrics.
    pub(crate) fn new(experiment: &'x Experiment, settings: Settings) -> Self {
        let classes = experiment.classes.len();
        let binary = classes == 2;
        let by_class = (2..=MOST_CLASSES).contains(&classes);
        let mut counts: Vec<(usize, Count)> = Vec::new();
        for (at, arm) in experiment.arms.iter().enumerate() {
            counts.extend((0..experiment.metrics.len()).map(|metric| (at, Count::Metric(metric))));
            if experiment.classifies() && arm.teacher.is_some() {
                counts.extend([(at, Count::BothRight), (at, Count::SameError)]);
            }
            if by_class {
                let each = 0..classes as u32;
                counts.extend(each.flat_map(|k| [(at, Count::Right(k)), (at, Count::Said(k))]));
            }
        }
        if by_class {
            counts.extend((0..classes as u32).map(|class| (0, Count::Gold(class))));
        }
        let samples: Vec<SeedSample> = (0..experiment.seeds.len())
            .map(|seed| {
                let columns: Vec<Vec<f64>> = counts
                    .iter()
                    .map(|&(arm, count)| column(experiment, seed, arm, count))
                    .collect();
                let rankings = experiment.arms.iter().filter(|_| binary);
                let rankings = rankings.map(|arm| ranking(experiment, seed, &arm.runs[seed]));
                SeedSample::new(experiment.items[seed].len(), &columns, rankings.collect())
            })
            .collect();
        Self {
            experiment,
            draws: paired(&samples, experiment.shared_items, settings),
            columns: counts.into_iter().enumerate().map(|(at, count)| (count, at)).collect(),
            binary,
            by_class,
        }
    }

    fn count(&self, arm: usize, count: Count) -> Option<Series> {
        Some(self.draws.column(*self.columns.get(&(arm, count))?))
    }

    /// The metrics of the experiment, and those that are not a mean over items.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut all = self.experiment.metrics.clone();
        let more = [
            ("auroc", self.binary),
            ("prior_matched_accuracy", self.binary),
            ("balanced_accuracy", self.by_class),
            ("weighted_f1", self.by_class),
        ];
        let known = more.into_iter().filter(|(_, known)| *known);
        all.extend(known.map(|(key, _)| Metric::new(key)));
        all
    }

    /// A metric of an arm, in every draw.
    pub(crate) fn metric(&self, arm: usize, key: &str) -> Option<Series> {
        let place = self.experiment.metrics.iter().position(|metric| metric.key == key);
        match key {
            _ if place.is_some() => self.count(arm, Count::Metric(place?)),
            "auroc" if self.binary => Some(self.draws.auroc(arm)),
            "prior_matched_accuracy" if self.binary => Some(self.draws.prior_matched(arm)),
            "balanced_accuracy" | "weighted_f1" => self.over_classes(arm, key == "weighted_f1"),
            _ => None,
        }
    }

    /// The mean recall of the classes that there are, or the mean of each class's F1 with its share of the items as weight.
    fn over_classes(&self, arm: usize, f1: bool) -> Option<Series> {
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
        let mut sums: Option<[Series; 2]> = None;
        for class in 0..self.experiment.classes.len() as u32 {
            let right = self.count(arm, Count::Right(class))?;
            let said = self.count(arm, Count::Said(class))?;
            let gold = self.count(0, Count::Gold(class))?;
            let term = match f1 {
                true => {
                    let both = said.zip(&gold, |said, gold| said + gold);
                    let f1 = right.zip(&both, |right, both| share(2.0 * right, both));
                    [f1.zip(&gold, |f1, gold| f1 * gold), gold]
                }
                false => {
                    let there = gold.zip(&gold, |gold, _| f64::from(u8::from(gold > 0.0)));
                    [right.zip(&gold, share), there]
                }
            };
            sums = Some(match sums {
                None => term,
                Some([values, weights]) => [
                    values.zip(&term[0], |a, b| a + b),
                    weights.zip(&term[1], |a, b| a + b),
                ],
            });
        }
        sums.map(|[values, weights]| values.over(&weights))
    }

    /// The headline metric of an arm.
    pub(crate) fn headline(&self, arm: usize) -> Series {
        self.metric(arm, &self.experiment.metric().key)
            .expect("the headline is a metric of the experiment")
    }

    /// A metric of an arm with its interval; per seed only where it was trained in each.
    pub(crate) fn estimate(&self, arm: usize, key: &str) -> Option<Estimate> {
        Some(self.estimated(arm, &self.metric(arm, key)?))
    }

    /// A quantity of an arm with its interval.
    pub(crate) fn estimated(&self, arm: usize, series: &Series) -> Estimate {
        let arm = &self.experiment.arms[arm];
        let mut estimate = series.estimate(arm.items());
        estimate.per_seed.truncate(arm.own_runs().len());
        estimate
    }

    /// An arm minus another one.
    pub(crate) fn difference(&self, arm: usize, other: usize, key: &str) -> Option<Series> {
        Some(self.metric(arm, key)?.minus(&self.metric(other, key)?))
    }

    /// How often an arm is right together with its teacher, and how often it makes the same error.
    pub(crate) fn agreement(&self, arm: usize) -> Option<[Series; 2]> {
        Some([self.count(arm, Count::BothRight)?, self.count(arm, Count::SameError)?])
    }

    /// The exact test of two arms, seed by seed, where the metric is right or wrong on every item of both.
    pub(crate) fn mcnemar(&self, arm: usize, other: usize, key: &str) -> Option<Vec<McNemar>> {
        let arms = &self.experiment.arms;
        let right = |run: &Run| -> Option<Vec<bool>> {
            let binary = |value: f64| match value {
                0.0 => Some(false),
                1.0 => Some(true),
                _ => None,
            };
            run.column(key).into_iter().map(binary).collect()
        };
        let runs = arms[arm].own_runs().iter().zip(&arms[other].runs);
        runs.map(|(own, other)| Some(metrics::mcnemar(&right(own)?, &right(other)?)))
            .collect()
    }
}

/// One count of every item of a seed.
fn column(experiment: &Experiment, seed: usize, arm: usize, count: Count) -> Vec<f64> {
    let arm = &experiment.arms[arm];
    let run = &arm.runs[seed];
    let gold = experiment.items[seed].iter().map(|item| item.gold.unwrap_or_default());
    let number = |flag: bool| f64::from(u8::from(flag));
    let teacher = || {
        let teacher = arm.teacher.expect("only arms with a teacher agree with one");
        let predicted = &experiment.arms[teacher].runs[seed].predicted;
        gold.clone().zip(&run.predicted).zip(predicted)
    };
    match count {
        Count::Metric(metric) => run.column(&experiment.metrics[metric].key),
        Count::BothRight => teacher()
            .map(|((gold, own), teacher)| number(*own == gold && *teacher == gold))
            .collect(),
        Count::SameError => teacher()
            .map(|((gold, own), teacher)| number(own == teacher && *teacher != gold))
            .collect(),
        Count::Right(class) => gold
            .zip(&run.predicted)
            .map(|(gold, own)| number(gold == class && *own == class))
            .collect(),
        Count::Said(class) => run.predicted.iter().map(|own| number(*own == class)).collect(),
        Count::Gold(class) => gold.map(|gold| number(gold == class)).collect(),
    }
}

fn ranking(experiment: &Experiment, seed: usize, run: &Run) -> Ranking {
    let scores: Vec<f64> = run.probabilities.iter().map(|row| row[1]).collect();
    let positive: Vec<bool> = experiment.items[seed].iter().map(|item| item.gold == Some(1)).collect();
    Ranking::new(&scores, &positive)
}

/// Two-sided p-value of a difference: how far the draws lie on one side of zero.
pub(crate) fn p_value(difference: &Series) -> Option<f64> {
    let draws: Vec<f64> = difference.draws.iter().copied().filter(|draw| !draw.is_nan()).collect();
    let share = |test: fn(&f64) -> bool| {
        (draws.iter().filter(|draw| test(draw)).count() + 1) as f64 / (draws.len() + 1) as f64
    };
    let sides = [share(|draw| *draw <= 0.0), share(|draw| *draw >= 0.0)];
    (!draws.is_empty()).then(|| (2.0 * sides[0].min(sides[1])).min(1.0))
}

/// Holm's correction: p-values that may be compared with one level, however many there are.
pub(crate) fn holm(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut corrected, mut largest) = (vec![0.0; values.len()], 0.0f64);
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max(values[at] * (values.len() - rank) as f64).min(1.0);
        corrected[at] = largest;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holm_by_hand() {
        // 0.01 * 4, 0.02 * 3, 0.03 * 2 is not below 0.06, 0.5.
        let corrected = holm(&[0.03, 0.01, 0.5, 0.02]);
        let expected = [0.06, 0.04, 0.5, 0.06];
        for (got, expected) in corrected.iter().zip(expected) {
            assert!((got - expected).abs() < 1e-12, "{corrected:?}");
        }
        assert_eq!(holm(&[]), Vec::<f64>::new());
        assert_eq!(holm(&[0.9, 0.8]), [1.0, 1.0]);
    }
}
