//! From scores and theory artifacts to the report.

use std::collections::{BTreeMap, HashSet};

use w2s_artifact::{Artifact, Store};

use super::analysis::Analysis;
use super::entry::{Arm, CompareError, Entry, arrange, common_metrics};
use super::ladder::ladder;
use super::training::Models;
use super::{ArmScores, Comparison, DIVERGENCES, FORMAT, StoppingCurve, StoppingPoint, findings};
use crate::report::{Bootstrap, findings::oracle_warnings, format::count, provenance};
use crate::theory::{Study, THEORY_FILE};
use w2s_stats::bootstrap::Settings;

/// What shapes a report besides its scores.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the recipe, for the title.
    pub recipe: String,
    /// The metric of the headline; the first one by name that is no divergence where none is asked for.
    pub metric: Option<String>,
    /// Draws and seed of the bootstrap.
    pub bootstrap: Settings,
}

/// Computes the report on `scores`, whose models and pairs are looked up in `store`, and on `theory`. One of the two may be
/// empty.
pub fn build_comparison(
    store: &Store,
    scores: &[Artifact],
    theory: &[Artifact],
    options: &Options,
) -> Result<Comparison, CompareError> {
    if options.bootstrap.draws == 0 {
        return Err(CompareError::NoDraws);
    }
    if scores.is_empty() && theory.is_empty() {
        return Err(CompareError::Nothing);
    }
    let roots: Vec<_> = scores
        .iter()
        .chain(theory)
        .map(|artifact| &artifact.manifest)
        .collect();
    let provenance = provenance::trace(store, &roots);
    let mut report = Comparison {
        format: FORMAT,
        recipe: options.recipe.clone(),
        headline: String::new(),
        metric: None,
        metrics: Vec::new(),
        seeds: Vec::new(),
        bootstrap: None,
        arms: Vec::new(),
        findings: Vec::new(),
        warnings: Vec::new(),
        ladder: None,
        stopping: Vec::new(),
        training: Vec::new(),
        theory: theory.iter().map(study).collect::<Result<_, _>>()?,
        steps: provenance.steps,
    };
    let entries = scores
        .iter()
        .map(Entry::read)
        .collect::<Result<Vec<_>, _>>()?;
    if !entries.is_empty() {
        add_scores(&mut report, store, &entries, options)?;
    }
    report.headline = findings::headline(&report);
    report.findings = findings::findings(&report);
    let warnings = findings::warnings(&report);
    report.warnings.splice(..0, warnings);
    report.warnings.extend(oracle_warnings(&report.steps));
    report.warnings.extend(provenance.warnings);
    Ok(report)
}

fn study(artifact: &Artifact) -> Result<Study, CompareError> {
    let unreadable = |reason: String| CompareError::Theory {
        artifact: artifact.reference.short(),
        reason,
    };
    let bytes = std::fs::read(artifact.file(THEORY_FILE)).map_err(|e| unreadable(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))
}

fn add_scores(
    report: &mut Comparison,
    store: &Store,
    entries: &[Entry<'_>],
    options: &Options,
) -> Result<(), CompareError> {
    let (seeds, arms) = arrange(entries)?;
    let (metrics, partial) = common_metrics(&arms);
    if metrics.is_empty() {
        let partial = partial.into_values().collect();
        return Err(CompareError::NoMetric { partial });
    }
    let headline = place(options.metric.as_deref(), &metrics, &partial)?;
    let first = &arms[0].runs;
    let shared_items = first
        .iter()
        .all(|run| run.items.keys().eq(first[0].items.keys()));
    let analysis = Analysis::new(&arms, &metrics, shared_items, options.bootstrap);
    let mut models = Models::new(store);
    report.arms = (0..arms.len())
        .map(|at| analysis.arm(at, models.lesson(&arms[at])))
        .collect();
    let gains: Vec<_> = report
        .arms
        .iter()
        .enumerate()
        .filter_map(|(at, arm)| Some((arm, analysis.gain(at, headline)?)))
        .collect();
    report.ladder = ladder(&gains);
    (report.training, report.warnings) = models.logs(&arms);
    report.stopping = stopping(&arms, headline, &mut models, report);
    report.warnings.extend(
        partial
            .into_values()
            .map(|reason| format!("{reason}, so it is left out")),
    );
    report.bootstrap = Some(Bootstrap {
        draws: options.bootstrap.draws,
        seed: options.bootstrap.seed,
        test_items: first.iter().map(|run| run.items.len()).collect(),
        shared_items,
    });
    report.metric = Some(metrics[headline].clone());
    report.metrics = metrics;
    report.seeds = seeds;
    Ok(())
}

/// Where the metric of the headline stands among the metrics that all arms have.
fn place(
    metric: Option<&str>,
    metrics: &[String],
    partial: &BTreeMap<String, String>,
) -> Result<usize, CompareError> {
    let Some(metric) = metric else {
        let quality = |metric: &String| !DIVERGENCES.contains(&&metric[..]);
        return Ok(metrics.iter().position(quality).unwrap_or(0));
    };
    let at = metrics.iter().position(|known| known == metric);
    at.ok_or_else(|| match partial.get(metric) {
        Some(reason) => CompareError::PartialMetric {
            reason: reason.clone(),
        },
        None => CompareError::UnknownMetric {
            metric: metric.to_owned(),
            known: metrics.to_vec(),
        },
    })
}

/// One curve for each arm that was scored after several numbers of steps. The tag says where training was meant to stop, the
/// model where it did: trainings that stopped at the same step, because the data ended there, are one point.
fn stopping(
    arms: &[Arm<'_, '_>],
    metric: usize,
    models: &mut Models<'_>,
    report: &mut Comparison,
) -> Vec<StoppingCurve> {
    let mut curves: Vec<StoppingCurve> = Vec::new();
    let mut seen = HashSet::new();
    let point = |steps, arm: &ArmScores| StoppingPoint {
        steps,
        value: arm.metrics[metric].value.clone(),
    };
    let base = report.base().map(|base| point(0, base));
    for (arm, scores) in arms.iter().zip(&report.arms) {
        let Some(meant) = arm.first().steps else {
            continue;
        };
        let name = &arm.first().arm;
        let taken = models.steps(arm).unwrap_or_else(|| vec![meant]);
        report
            .warnings
            .extend(other_steps(&arm.name, meant, &taken));
        let mean = taken.iter().sum::<u64>() / taken.len() as u64;
        if !seen.insert((name, taken)) {
            continue;
        }
        let at = curves.iter().position(|curve| curve.arm == *name);
        let at = at.unwrap_or_else(|| {
            curves.push(StoppingCurve {
                arm: name.clone(),
                points: base.clone().into_iter().collect(),
            });
            curves.len() - 1
        });
        curves[at].points.push(point(mean, scores));
    }
    for curve in &mut curves {
        curve.points.sort_by_key(|point| point.steps);
    }
    curves
}

/// A warning where models were not trained for the steps that their tag says.
fn other_steps(arm: &str, meant: u64, taken: &[u64]) -> Option<String> {
    let (fewest, most) = (taken.iter().min()?, taken.iter().max()?);
    if (*fewest, *most) == (meant, meant) {
        return None;
    }
    let range = match fewest == most {
        true => count(*most),
        false => format!("{} to {}", count(*fewest), count(*most)),
    };
    let why = match *fewest < meant {
        true => ": the data ended earlier",
        false => "",
    };
    Some(format!(
        "arm {arm}: the tag says {} steps, training took {range}{why}",
        count(meant)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_divergence_is_no_headline_unless_asked_for() {
        let metrics = ["kl", "kl_per_token", "words"].map(str::to_owned);
        let place = |metric, metrics: &[String]| place(metric, metrics, &BTreeMap::new()).unwrap();
        assert_eq!(place(None, &metrics), 2);
        assert_eq!(place(Some("kl"), &metrics), 0);
        assert_eq!(place(None, &metrics[..2]), 0);
    }
}
