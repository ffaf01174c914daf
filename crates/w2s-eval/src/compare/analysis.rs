//! From scores of items to means, intervals and differences to the base.

use std::collections::BTreeMap;
use std::iter;

use super::entry::{Arm, Entry};
use super::{ArmScores, BASE, Lesson, MetricScores, VersusBase};
use w2s_stats::bootstrap::{Draws, SeedSample, Series, Settings, paired};
use w2s_stats::metrics::{self, McNemar};

/// Every arm and metric in every draw.
pub(super) struct Analysis<'x, 'e, 'a> {
    arms: &'x [Arm<'e, 'a>],
    metrics: &'x [String],
    draws: Draws,
    base: Option<usize>,
    shared_items: bool,
}

impl<'x, 'e, 'a> Analysis<'x, 'e, 'a> {
    /// Draws seeds and items once for all arms and metrics.
    pub(super) fn new(
        arms: &'x [Arm<'e, 'a>],
        metrics: &'x [String],
        shared_items: bool,
        settings: Settings,
    ) -> Self {
        let seeds = arms.first().map_or(0, |arm| arm.runs.len());
        let samples: Vec<SeedSample> = (0..seeds)
            .map(|seed| {
                let columns: Vec<Vec<f64>> = arms
                    .iter()
                    .flat_map(|arm| metrics.iter().map(|metric| column(arm.runs[seed], metric)))
                    .collect();
                SeedSample::new(arms[0].runs[seed].items.len(), &columns, vec![])
            })
            .collect();
        Self {
            arms,
            metrics,
            draws: paired(&samples, shared_items, settings),
            base: arms.iter().position(|arm| arm.first().role == BASE),
            shared_items,
        }
    }

    fn series(&self, arm: usize, metric: usize) -> Series {
        self.draws.column(arm * self.metrics.len() + metric)
    }

    /// An arm minus the base; none for the base itself, and without one.
    pub(super) fn gain(&self, arm: usize, metric: usize) -> Option<Series> {
        let base = self.base.filter(|base| *base != arm)?;
        Some(self.series(arm, metric).minus(&self.series(base, metric)))
    }

    /// Everything about one arm.
    pub(super) fn arm(&self, at: usize, lesson: Option<Lesson>) -> ArmScores {
        let arm = &self.arms[at];
        let own = arm.own_runs();
        let total = |count: fn(&Entry<'_>) -> usize| own.iter().map(|run| count(run)).sum();
        ArmScores {
            arm: arm.name.clone(),
            role: arm.first().role.clone(),
            lesson,
            tags: arm.first().tags.clone(),
            seeds: own.iter().map(|run| run.seed).collect(),
            items_original: total(|run| run.items_original),
            items_effective: total(|run| run.items.len()),
            answers: total(|run| run.answers),
            metrics: (0..self.metrics.len())
                .map(|metric| self.scores(at, metric))
                .collect(),
        }
    }

    fn scores(&self, at: usize, metric: usize) -> MetricScores {
        let (arm, name) = (&self.arms[at], &self.metrics[metric]);
        let own = arm.own_runs();
        let columns: Vec<Vec<f64>> = own.iter().map(|run| column(run, name)).collect();
        let n = columns.iter().map(Vec::len).sum();
        let items: Vec<f64> = if self.shared_items {
            let seeds = columns.len() as f64;
            (0..columns[0].len())
                .map(|item| columns.iter().map(|column| column[item]).sum::<f64>() / seeds)
                .collect()
        } else {
            columns.concat()
        };
        let means: Vec<f64> = columns.iter().filter_map(|c| metrics::mean(c)).collect();
        let root = (means.len() as f64).sqrt();
        MetricScores {
            metric: name.clone(),
            value: self.series(at, metric).estimate(n),
            stderr: metrics::stderr(&items).filter(|stderr| stderr.is_finite()),
            seed_deviation: metrics::stderr(&means)
                .map(|stderr| stderr * root)
                .filter(|deviation| deviation.is_finite()),
            versus_base: self.gain(at, metric).and_then(|gain| {
                let difference = gain.estimate(n);
                difference.mean?;
                Some(VersusBase {
                    shown: difference
                        .ci95
                        .is_some_and(|[low, high]| low > 0.0 || high < 0.0),
                    difference,
                    mcnemar: self.mcnemar(at, name),
                })
            }),
        }
    }

    /// The exact test seed by seed, where the metric is right or wrong on every item of both arms.
    fn mcnemar(&self, at: usize, metric: &str) -> Option<Vec<McNemar>> {
        let base = &self.arms[self.base?];
        let right = |run: &Entry<'_>| -> Option<Vec<bool>> {
            let binary = |value: f64| match value {
                0.0 => Some(false),
                1.0 => Some(true),
                _ => None,
            };
            column(run, metric).into_iter().map(binary).collect()
        };
        iter::zip(self.arms[at].own_runs(), &base.runs)
            .map(|(arm, base)| Some(metrics::mcnemar(&right(arm)?, &right(base)?)))
            .collect()
    }
}

/// One metric of every item, in the order of the items; not a number where a teacher has no divergence.
fn column(run: &Entry<'_>, metric: &str) -> Vec<f64> {
    let value = |item: &BTreeMap<String, f64>| item.get(metric).copied().unwrap_or(f64::NAN);
    run.items.values().map(value).collect()
}
