//! What the pretrained models had learnt before anything was taught: their loss, and whether a probe finds the meaning of words
//! in them. A student of a base that learnt nothing shows nothing.

use std::collections::BTreeMap;

use w2s_artifact::summary::TrainingSummary;
use w2s_artifact::{ArtifactRef, Role};
use w2s_stats::Estimate;

use super::Page;
use crate::analysis::Analysis;
use crate::experiment::Experiment;
use crate::format::{Unit, list, score};
use crate::grouped::add_once;
use crate::lineage::Lineage;
use crate::provenance::name;
use crate::section::{DASH, Section, Table};

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
struct Base<'a> {
    arms: Vec<&'a str>,
    /// Whether a student or a ceiling was trained from it.
    strong: bool,
    probe: Option<Probe>,
    named: String,
    loss: Option<f64>,
}

/// How well a probe reads words from a base.
struct Probe {
    accuracy: Estimate,
    chance: f64,
    artifacts: Vec<ArtifactRef>,
}

impl Probe {
    fn learnt(&self) -> bool {
        self.accuracy.ci95.is_some_and(|[low, _]| low > self.chance)
    }
}

/// A row for each pretrained model behind the arms of `experiments`, with what the `probes` found. Says in large letters, instead
/// of everything else, if the strong base did not learn: the result is then none.
pub(crate) fn bases(
    experiments: Vec<&Analysis<'_>>,
    probes: Vec<&Analysis<'_>>,
    lineage: &Lineage<'_>,
    page: &mut Page,
) {
    let mut bases: BTreeMap<ArtifactRef, Base<'_>> = BTreeMap::new();
    for arm in experiments
        .iter()
        .flat_map(|analysis| &analysis.experiment.arms)
    {
        for model in arm.models() {
            let base = bases.entry(lineage.base_of(model)).or_default();
            base.strong |= matches!(arm.role, Role::Student | Role::Ceiling);
            add_once(&mut base.arms, &arm.name);
        }
    }
    for analysis in probes {
        let experiment = analysis.experiment;
        for at in experiment.of_role(Role::Base) {
            for model in experiment.arms[at].models() {
                bases.entry(lineage.base_of(model)).or_default().probe = Some(Probe {
                    accuracy: analysis.estimate(at, "accuracy").unwrap_or_default(),
                    chance: chance(experiment),
                    artifacts: experiment.source(&[at]).1,
                });
            }
        }
    }
    for (reference, base) in &mut bases {
        let manifest = lineage.manifest(*reference);
        let named = manifest.as_ref().map(|manifest| name(manifest));
        base.named = named.unwrap_or_else(|| reference.short());
        let summary = manifest.and_then(|manifest| manifest.summary::<TrainingSummary>().ok());
        let loss = summary.map(|summary| summary.fit.final_loss);
        base.loss = loss.filter(|loss| *loss > 0.0);
    }
    bases.retain(|_, base| base.loss.is_some() || base.probe.is_some());
    let failed: Vec<(bool, String)> = bases.values().filter_map(failure).collect();
    for (strong, sentence) in failed {
        match strong {
            true => {
                page.headlines = vec![format!(
                    "{sentence}. What its students recover of a gap says nothing, so no PGR is quoted: pretrain it for longer."
                )]
            }
            false => page.warning(sentence),
        }
    }
    if bases.is_empty() {
        return;
    }
    let rows: Vec<(ArtifactRef, Base<'_>)> = bases.into_iter().collect();
    let table = Table::of("bases", &rows)
        .column("base|Base", |(_, base)| &base.named)
        .column("arms|Arms from it", |(_, base)| list(&base.arms))
        .column(">loss|Final loss", |(_, base)| base.loss)
        .column(">probe|Accuracy of its probe", |(_, base)| {
            base.probe.as_ref().map(|probe| &probe.accuracy)
        })
        .column(">chance|Chance", |(_, base)| {
            base.probe.as_ref().map(|probe| probe.chance)
        })
        .column("learnt|", |(_, base)| {
            match base.probe.as_ref().map(Probe::learnt) {
                Some(true) => "learnt",
                Some(false) => "did not learn",
                None => DASH,
            }
        })
        .source(|(reference, base)| {
            let probe = base.probe.iter().flat_map(|probe| &probe.artifacts);
            (None, [*reference].into_iter().chain(probe.copied()))
        });
    let introduction = "What each pretrained model had learnt before anything was taught: the mean loss over the last tenth of its training, and where there is a probe, how well a linear classifier reads words from it. Chance is the share of the most frequent class.";
    page.section(Section::new("bases", "Bases", introduction).tables([table.done()]));
}

/// Says that a base did not learn, and whether students stand on it.
fn failure(base: &Base<'_>) -> Option<(bool, String)> {
    let probe = base.probe.as_ref().filter(|probe| !probe.learnt())?;
    let what = if base.strong {
        "The strong base"
    } else {
        "The base"
    };
    let loss = base
        .loss
        .map(|loss| format!(" after a final loss of {loss:.3}"));
    let (named, loss) = (&base.named, loss.unwrap_or_default());
    let (reached, chance) = (Unit::Score.told(&probe.accuracy), score(probe.chance));
    Some((
        base.strong,
        format!(
            "{what} (step {named}) did not learn{loss}: a probe on what it makes of words has accuracy {reached}, and chance is {chance}"
        ),
    ))
}

/// The share of the most frequent class in the test, or one class of as many as there are.
fn chance(experiment: &Experiment) -> f64 {
    let mut counts = vec![0usize; experiment.classes.len()];
    let items = experiment.items.iter().flatten();
    for gold in items.filter_map(|item| item.gold) {
        counts[gold as usize] += 1;
    }
    let all: usize = counts.iter().sum();
    let most = counts.iter().max().copied().unwrap_or(0);
    (most as f64 / all.max(1) as f64).max(1.0 / counts.len().max(1) as f64)
}
