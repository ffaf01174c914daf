//! From scores and theory artifacts to the report.

use std::collections::BTreeMap;

use w2s_artifact::{Artifact, Store};

use super::analysis::Analysis;
use super::entry::{Arm, CompareError, Entry, arrange, common_metrics};
use super::ladder::ladder;
use super::training::Models;
use super::{ArmScores, BASE, Comparison, FORMAT, StoppingCurve, StoppingPoint, findings};
use crate::bootstrap::Settings;
use crate::report::{Bootstrap, findings::oracle_warnings, provenance};
use crate::theory::{Study, THEORY_FILE};

/// What shapes a report besides its scores.
#[derive(Clone, Debug)]
pub struct Options {
    /// Name of the recipe, for the title.
    pub recipe: String,
    /// The metric of the headline; the first one by name where none is asked for.
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
    let headline = match &options.metric {
        Some(metric) => place(metric, &metrics, &partial)?,
        None => 0,
    };
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
    report.stopping = stopping(&arms, &report.arms, headline);
    (report.training, report.warnings) = models.logs(&arms);
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

/// Where `metric` stands among the metrics that all arms have.
fn place(
    metric: &str,
    metrics: &[String],
    partial: &BTreeMap<String, String>,
) -> Result<usize, CompareError> {
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

/// One curve for each arm that was scored after several numbers of steps.
fn stopping(arms: &[Arm<'_, '_>], scores: &[ArmScores], metric: usize) -> Vec<StoppingCurve> {
    let mut curves: Vec<StoppingCurve> = Vec::new();
    let point = |steps, arm: &ArmScores| StoppingPoint {
        steps,
        value: arm.metrics[metric].value.clone(),
    };
    let base = scores.iter().find(|arm| arm.role == BASE);
    for (arm, scores) in arms.iter().zip(scores) {
        let Some(steps) = arm.first().steps else {
            continue;
        };
        let name = &arm.first().arm;
        let at = curves.iter().position(|curve| curve.arm == *name);
        let at = at.unwrap_or_else(|| {
            curves.push(StoppingCurve {
                arm: name.clone(),
                points: base.map(|base| point(0, base)).into_iter().collect(),
            });
            curves.len() - 1
        });
        curves[at].points.push(point(steps, scores));
    }
    for curve in &mut curves {
        curve.points.sort_by_key(|point| point.steps);
    }
    curves
}
