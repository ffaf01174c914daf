//! What the pretrained models had learnt before anything was taught: their loss, and whether a probe finds the meaning of words
//! in them. A student of a base that learnt nothing shows nothing.

use std::collections::BTreeMap;

use w2s_artifact::summary::TrainingSummary;
use w2s_artifact::{ArtifactRef, Role};

use super::Page;
use crate::analysis::Analysis;
use crate::experiment::Experiment;
use crate::format::{Unit, list, score};
use crate::lineage::Lineage;
use crate::provenance::name;
use crate::section::{Cell, Section, Table};

/// Whether an experiment is about bases alone: predictions of probes.
pub(crate) fn is_bases(experiment: &Experiment) -> bool {
    experiment.classifies()
        && experiment
            .arms
            .iter()
            .all(|arm| matches!(arm.role, Role::Base | Role::Baseline))
}

/// Everything that is known of one base.
#[derive(Default)]
struct Base {
    arms: Vec<String>,
    /// Whether a student or a ceiling was trained from it.
    strong: bool,
    probe: Option<(usize, usize)>,
}

/// A row for each pretrained model behind the arms of `experiments`, with what the `probes` found. Says in large letters, before
/// everything else, if the strong base did not learn; the result is then none, and `true`.
pub(crate) fn bases(
    experiments: &[&Analysis<'_>],
    probes: &[&Analysis<'_>],
    lineage: &Lineage<'_>,
    page: &mut Page,
) -> bool {
    let mut bases: BTreeMap<ArtifactRef, Base> = BTreeMap::new();
    for analysis in experiments {
        for arm in &analysis.experiment.arms {
            for model in arm.own_runs().iter().filter_map(|run| run.model) {
                let base = bases.entry(lineage.base_of(model)).or_default();
                base.strong |= matches!(arm.role, Role::Student | Role::Ceiling);
                if !base.arms.contains(&arm.name) {
                    base.arms.push(arm.name.clone());
                }
            }
        }
    }
    for (test, analysis) in probes.iter().enumerate() {
        for at in analysis.experiment.of_role(Role::Base) {
            let models = analysis.experiment.arms[at]
                .own_runs()
                .iter()
                .filter_map(|run| run.model);
            for model in models {
                bases.entry(lineage.base_of(model)).or_default().probe = Some((test, at));
            }
        }
    }
    let mut table = Table::new(
        "bases",
        &[
            "base|Base",
            "arms|Arms from it",
            ">loss|Final loss",
            ">probe|Accuracy of its probe",
            ">chance|Chance",
            "learnt|",
        ],
    );
    let mut failed = false;
    for (reference, base) in &bases {
        let manifest = lineage.manifest(*reference);
        let named = manifest
            .as_ref()
            .map_or_else(|| reference.short(), |manifest| name(manifest));
        let summary = manifest.and_then(|manifest| manifest.summary::<TrainingSummary>().ok());
        let loss = summary
            .map(|summary| summary.fit.final_loss)
            .filter(|loss| *loss > 0.0);
        if loss.is_none() && base.probe.is_none() {
            continue;
        }
        let mut cells = vec![
            Cell::text(&named),
            Cell::text(list(&base.arms)),
            Cell::number(loss, Unit::Score),
        ];
        let mut artifacts = vec![*reference];
        match base.probe {
            Some((test, at)) => {
                let analysis = probes[test];
                let chance = chance(analysis.experiment);
                let accuracy = analysis
                    .estimate(at, "accuracy")
                    .expect("a probe is a classifier");
                let learnt = accuracy.ci95.is_some_and(|[low, _]| low > chance);
                artifacts.extend(analysis.experiment.arms[at].artifacts());
                if !learnt {
                    let reached = Unit::Score.estimate(accuracy.mean, accuracy.ci95);
                    let what = if base.strong {
                        "The strong base"
                    } else {
                        "The base"
                    };
                    let loss = loss.map_or(String::new(), |loss| {
                        format!(" after a final loss of {loss:.3}")
                    });
                    let sentence = format!(
                        "{what} (step {named}) did not learn{loss}: a probe on what it makes of words has accuracy {reached}, and chance is {}",
                        score(chance)
                    );
                    match base.strong {
                        true => {
                            failed = true;
                            page.headlines.insert(0, format!("{sentence}. What its students recover of a gap says nothing, so no PGR is quoted: pretrain it for longer."));
                        }
                        false => page.warnings.push(sentence),
                    }
                }
                cells.extend([
                    Cell::estimate(&accuracy, Unit::Score),
                    Cell::number(Some(chance), Unit::Score),
                    Cell::text(if learnt { "learnt" } else { "did not learn" }),
                ]);
            }
            None => cells.extend([Cell::text("–"), Cell::text("–"), Cell::text("–")]),
        }
        table.push(None, cells, artifacts);
    }
    if !table.rows.is_empty() {
        let mut section = Section::new(
            "bases",
            "Bases",
            "What each pretrained model had learnt before anything was taught: the mean loss over the last tenth of its training, and where there is a probe, how well a linear classifier reads words from it. Chance is the share of the most frequent class.",
        );
        section.tables.push(table.without_blank_columns());
        page.section(section);
    }
    failed
}

/// The share of the most frequent class in the test, or one class of as many as there are.
fn chance(experiment: &Experiment) -> f64 {
    let mut counts = vec![0usize; experiment.classes.len()];
    for gold in experiment
        .items
        .iter()
        .flatten()
        .filter_map(|item| item.gold)
    {
        counts[gold as usize] += 1;
    }
    let all: usize = counts.iter().sum();
    let most = counts.iter().max().copied().unwrap_or(0);
    (most as f64 / all.max(1) as f64).max(1.0 / counts.len().max(1) as f64)
}
