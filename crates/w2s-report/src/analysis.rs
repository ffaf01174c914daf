//! Every quantity of an experiment with what each seed and each group of items contributes to it, so that whatever is derived
//! from two of them is paired.

use std::collections::HashSet;

use w2s_stats::metrics::{self, McNemar};
use w2s_stats::{Design, Estimate, Series, Terms};

use crate::experiment::{Experiment, Item, Run};
use crate::metric::Metric;

/// An experiment whose quantities can be compared.
pub(crate) struct Analysis<'x> {
    pub(crate) experiment: &'x Experiment,
    pub(crate) design: Design,
}

impl<'x> Analysis<'x> {
    pub(crate) fn new(experiment: &'x Experiment) -> Self {
        let items = &experiment.items;
        let groups: Vec<Vec<u64>> = items.iter().map(|seed| seed.iter().map(|item| item.group).collect()).collect();
        // A number means the same group in two seeds only where they ask some of the same.
        let contents = |seed: &[Item]| seed.iter().map(|item| item.content).collect::<HashSet<_>>();
        let first = contents(&items[0]);
        let alike = items[1..].iter().all(|seed| !first.is_disjoint(&contents(seed)));
        let design = match alike {
            true => Design::new(&groups),
            false => Design::nested(&groups),
        };
        Self { experiment, design }
    }

    /// The metrics of the experiment, and those that are not a mean over items.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let mut all = self.experiment.metrics.clone();
        let binary: &[&str] = match self.experiment.classes.len() {
            2 => &["auroc", "prior_matched_accuracy", "balanced_accuracy", "weighted_f1"],
            0 => &[],
            _ => &["balanced_accuracy", "weighted_f1"],
        };
        all.extend(binary.iter().map(|key| Metric::new(key)));
        all
    }

    /// A metric of an arm.
    pub(crate) fn metric(&self, arm: usize, key: &str) -> Option<Series> {
        let classes = self.experiment.classes.len();
        let of_metric = self.experiment.metrics.iter().any(|metric| metric.key == key);
        let terms: fn(&Run, &[Item]) -> Terms = match key {
            _ if of_metric => {
                let runs = self.experiment.arms[arm].runs.iter();
                return Some(self.design.mean(&runs.map(|run| run.column(key)).collect::<Vec<_>>()));
            }
            "auroc" if classes == 2 => |run, items| Terms::auroc(&positive(run), &is_positive(items)),
            "prior_matched_accuracy" if classes == 2 => {
                |run, items| Terms::prior_matched_accuracy(&positive(run), &is_positive(items))
            }
            "balanced_accuracy" if classes > 0 => |run, items| Terms::balanced_accuracy(&run.predicted, &gold(items)),
            "weighted_f1" if classes > 0 => |run, items| Terms::weighted_f1(&run.predicted, &gold(items)),
            _ => return None,
        };
        let runs = self.experiment.arms[arm].runs.iter().zip(&self.experiment.items);
        let terms: Vec<Terms> = runs.map(|(run, items)| terms(run, items)).collect();
        Some(self.design.metric(&terms))
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

    /// A metric of an arm minus a number.
    pub(crate) fn above(&self, arm: usize, key: &str, level: f64) -> Series {
        let runs = self.experiment.arms[arm].runs.iter();
        let above = runs.map(|run| run.column(key).iter().map(|value| value - level).collect());
        self.design.mean(&above.collect::<Vec<Vec<f64>>>())
    }

    /// The share of items of which `test` holds for the answer of a classifier, that of its teacher, and the right one.
    pub(crate) fn share(&self, arm: usize, teacher: usize, test: fn(u32, u32, u32) -> bool) -> Series {
        let arms = &self.experiment.arms;
        let runs = arms[arm].runs.iter().zip(&arms[teacher].runs).zip(&self.experiment.items);
        let columns = runs.map(|((own, teacher), items)| {
            let answers = own.predicted.iter().zip(&teacher.predicted).zip(gold(items));
            let held = answers.map(|((own, teacher), gold)| test(*own, *teacher, gold));
            held.map(|held| f64::from(u8::from(held))).collect()
        });
        self.design.mean(&columns.collect::<Vec<Vec<f64>>>())
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
        runs.map(|(own, other)| Some(metrics::mcnemar(&right(own)?, &right(other)?))).collect()
    }
}

fn gold(items: &[Item]) -> Vec<u32> {
    items.iter().map(|item| item.gold.unwrap_or_default()).collect()
}

fn positive(run: &Run) -> Vec<f64> {
    run.probabilities.iter().map(|row| row[1]).collect()
}

fn is_positive(items: &[Item]) -> Vec<bool> {
    items.iter().map(|item| item.gold == Some(1)).collect()
}
