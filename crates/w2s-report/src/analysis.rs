//! Every quantity of an experiment with what each seed and each group of items contributes to it, so that whatever is derived
//! from two of them is paired.

use std::collections::HashSet;

use w2s_stats::metrics::{self, McNemar};
use w2s_stats::{Design, Estimate, Series, Terms};

use crate::experiment::{Experiment, Item, Run, indicators};
use crate::metric::Metric;

/// Metrics of classifiers that are no mean over items; the first two are of two classes alone.
const OF_CLASSES: [&str; 4] = [
    "auroc",
    "prior_matched_accuracy",
    "balanced_accuracy",
    "weighted_f1",
];

/// An experiment whose quantities can be compared.
pub(crate) struct Analysis<'x> {
    pub(crate) experiment: &'x Experiment,
    pub(crate) design: Design,
}

impl<'x> Analysis<'x> {
    pub(crate) fn new(experiment: &'x Experiment) -> Self {
        let items = &experiment.items;
        let group = |seed: &Vec<Item>| seed.iter().map(|item| item.group).collect();
        let groups: Vec<Vec<u64>> = items.iter().map(group).collect();
        // A number means the same group in two seeds only where they ask some of the same.
        let contents = |seed: &[Item]| seed.iter().map(|item| item.content).collect::<HashSet<_>>();
        let first = contents(&items[0]);
        let design = match items[1..]
            .iter()
            .any(|seed| first.is_disjoint(&contents(seed)))
        {
            true => Design::nested(&groups),
            false => Design::new(&groups),
        };
        Self { experiment, design }
    }

    /// The metrics of the experiment, and those that are not a mean over items.
    pub(crate) fn metrics(&self) -> Vec<Metric> {
        let more = match self.experiment.classes.len() {
            0 => &[],
            2 => &OF_CLASSES[..],
            _ => &OF_CLASSES[2..],
        };
        let more = more.iter().map(|key| Metric::new(key));
        self.experiment
            .metrics
            .iter()
            .cloned()
            .chain(more)
            .collect()
    }

    /// A metric of an arm.
    pub(crate) fn metric(&self, arm: usize, key: &str) -> Option<Series> {
        let runs = &self.experiment.arms[arm].runs;
        let classes = self.experiment.classes.len();
        let terms: fn(&Run, &[Item]) -> Terms = match key {
            _ if self
                .experiment
                .metrics
                .iter()
                .any(|metric| metric.key == key) =>
            {
                let columns: Vec<_> = runs.iter().map(|run| run.column(key)).collect();
                return Some(self.design.mean(&columns));
            }
            "auroc" if classes == 2 => {
                |run, items| Terms::auroc(&positive(run), &is_positive(items))
            }
            "prior_matched_accuracy" if classes == 2 => {
                |run, items| Terms::prior_matched_accuracy(&positive(run), &is_positive(items))
            }
            "balanced_accuracy" if classes > 0 => {
                |run, items| Terms::balanced_accuracy(&run.predicted, &gold(items))
            }
            "weighted_f1" if classes > 0 => {
                |run, items| Terms::weighted_f1(&run.predicted, &gold(items))
            }
            _ => return None,
        };
        let runs = runs.iter().zip(&self.experiment.items);
        let terms: Vec<Terms> = runs.map(|(run, items)| terms(run, items)).collect();
        Some(self.design.metric(&terms))
    }

    /// The headline metric of an arm.
    pub(crate) fn headline(&self, arm: usize) -> Series {
        let headline = self.metric(arm, &self.experiment.metric().key);
        headline.expect("the headline is a metric of the experiment")
    }

    /// The headline metric of an arm with its interval.
    pub(crate) fn value(&self, arm: usize) -> Estimate {
        self.estimated(arm, &self.headline(arm))
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
        let above = |run: &Run| run.column(key).iter().map(|value| value - level).collect();
        let columns = self.experiment.arms[arm].runs.iter().map(above);
        self.design.mean(&columns.collect::<Vec<Vec<f64>>>())
    }

    /// The share of items of which `test` holds for the answer of a classifier, that of its teacher, and the right one.
    pub(crate) fn share(
        &self,
        arm: usize,
        teacher: usize,
        test: fn(u32, u32, u32) -> bool,
    ) -> Series {
        let [own, teacher] = [arm, teacher].map(|at| &self.experiment.arms[at].runs);
        let mut columns = Vec::new();
        for ((own, teacher), items) in own.iter().zip(teacher).zip(&self.experiment.items) {
            let answers = own
                .predicted
                .iter()
                .zip(&teacher.predicted)
                .zip(gold(items));
            columns.push(indicators(
                answers.map(|((own, teacher), gold)| test(*own, *teacher, gold)),
            ));
        }
        self.design.mean(&columns)
    }

    /// The exact test of two arms, seed by seed, where the metric is right or wrong on every item of both.
    pub(crate) fn mcnemar(&self, arm: usize, other: usize, key: &str) -> Option<Vec<McNemar>> {
        let right = |run: &Run| -> Option<Vec<bool>> {
            let values = run.column(key).into_iter();
            values
                .map(|value| [0.0, 1.0].contains(&value).then_some(value == 1.0))
                .collect()
        };
        let arms = &self.experiment.arms;
        let runs = arms[arm].own_runs().iter().zip(&arms[other].runs);
        runs.map(|(own, other)| Some(metrics::mcnemar(&right(own)?, &right(other)?)))
            .collect()
    }
}

fn gold(items: &[Item]) -> Vec<u32> {
    items
        .iter()
        .map(|item| item.gold.unwrap_or_default())
        .collect()
}

fn positive(run: &Run) -> Vec<f64> {
    run.probabilities.iter().map(|row| row[1]).collect()
}

fn is_positive(items: &[Item]) -> Vec<bool> {
    items.iter().map(|item| item.gold == Some(1)).collect()
}
