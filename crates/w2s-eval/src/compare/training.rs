//! What the scored models were trained on, and their training logs.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::Value;
use w2s_artifact::{ArtifactRef, Kind, Manifest, Store};

use super::entry::{Arm, Entry};
use super::{Lesson, TrainingLog};
use crate::report::provenance::{TRAINING_LOG, thin, training_log};
use w2s_stats::metrics;

/// Logged steps at the end of training whose mean displacement is judged.
const LAST_STEPS: usize = 10;
/// Columns of the log that are no curve.
const BOOKKEEPING: [&str; 4] = ["step", "epoch", "tokens", "seconds"];

/// The manifests of models and pairs; one that is no longer in the store is left out, which the provenance warns of.
pub(super) struct Models<'a> {
    store: &'a Store,
    read: HashMap<ArtifactRef, Option<Manifest>>,
}

impl<'a> Models<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self {
            store,
            read: HashMap::new(),
        }
    }

    fn manifest(&mut self, reference: ArtifactRef) -> Option<Manifest> {
        let folder = self.store.artifact_dir(&reference);
        let read = self.read.entry(reference);
        read.or_insert_with(|| Manifest::read(&folder).ok()).clone()
    }

    /// The model behind the scores of a run.
    fn model(&mut self, run: &Entry<'_>) -> Option<Manifest> {
        let subject = self.manifest(run.subject?)?;
        match subject.kind {
            Kind::Responses => self.manifest(subject.input("model")?),
            _ => Some(subject),
        }
    }

    /// What the models of an arm were trained on.
    pub(super) fn lesson(&mut self, arm: &Arm<'_, '_>) -> Option<Lesson> {
        let (mut method, mut rule, mut score) = (None, None, None);
        let (mut deltas, mut scores) = (Vec::new(), Vec::new());
        for run in arm.own_runs() {
            let model = self.model(run)?;
            method = Some(model.parameters.get("method")?.as_str()?.to_owned());
            let Some(pairs) = model.input("pairs").and_then(|pairs| self.manifest(pairs)) else {
                continue;
            };
            let summary = &pairs.summary;
            let learnt = match model.parameters["side"].as_str() {
                Some("rejected") => "mean_rejected_score",
                _ => "mean_chosen_score",
            };
            rule = summary["rule"].as_str().map(str::to_owned);
            score = summary["score"].as_str().map(str::to_owned);
            deltas.extend(summary["mean_delta"].as_f64());
            scores.extend(summary[learnt].as_f64());
        }
        Some(Lesson {
            method: method?,
            rule,
            score,
            mean_delta: metrics::mean(&deltas),
            mean_chosen_score: metrics::mean(&scores),
        })
    }

    /// The steps that the models of an arm have taken, a number for each of its own runs; none where one does not tell.
    pub(super) fn steps(&mut self, arm: &Arm<'_, '_>) -> Option<Vec<u64>> {
        let taken = |run: &&Entry<'_>| self.model(run)?.summary["steps"].as_u64();
        arm.own_runs().iter().map(taken).collect()
    }

    /// The logs of all models, arm by arm, and a warning for each that cannot be read.
    pub(super) fn logs(&mut self, arms: &[Arm<'_, '_>]) -> (Vec<TrainingLog>, Vec<String>) {
        let mut seen = HashSet::new();
        let (mut logs, mut warnings) = (Vec::new(), Vec::new());
        for arm in arms {
            for run in arm.own_runs() {
                let Some(manifest) = self.model(run) else {
                    continue;
                };
                let reference = manifest.reference();
                let has_log = manifest.files.iter().any(|file| file.name == TRAINING_LOG);
                if !has_log || !seen.insert(reference) {
                    continue;
                }
                match training_log(&self.store.artifact_dir(&reference)) {
                    Ok(lines) => logs.push(log(&arm.name, run.seed, reference, &lines)),
                    Err(reason) => warnings.push(format!(
                        "the training log of arm {} ({}) cannot be read: {reason}",
                        arm.name,
                        reference.short()
                    )),
                }
            }
        }
        (logs, warnings)
    }
}

fn log(arm: &str, seed: u64, reference: ArtifactRef, lines: &[(f64, Value)]) -> TrainingLog {
    let mut curves: BTreeMap<String, Vec<[f64; 2]>> = BTreeMap::new();
    for (step, line) in lines {
        for (name, value) in line.as_object().into_iter().flatten() {
            if let Some(value) = value.as_f64()
                && !BOOKKEEPING.contains(&&name[..])
            {
                curves.entry(name.clone()).or_default().push([*step, value]);
            }
        }
    }
    let end = |name: &str| {
        let curve = curves.get(name)?;
        let last: Vec<f64> = curve.iter().rev().take(LAST_STEPS).map(|p| p[1]).collect();
        metrics::mean(&last)
    };
    let displacement = end("displacement_chosen")
        .zip(end("displacement_rejected"))
        .map(|(chosen, rejected)| [chosen, rejected]);
    TrainingLog {
        arm: arm.to_owned(),
        seed,
        artifact: reference.to_string(),
        logged_steps: lines.len(),
        displacement,
        curves: curves
            .into_iter()
            .map(|(name, points)| (name, thin(&points)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use w2s_artifact::Key;

    use super::*;

    #[test]
    fn a_log_becomes_curves_and_a_displacement() {
        let lines: Vec<(f64, Value)> = (1..=12)
            .map(|step| {
                let step = f64::from(step);
                (step, json!({"step": step, "loss": 0.5, "seconds": 1.0, "displacement_chosen": -step, "displacement_rejected": -2.0 * step}))
            })
            .collect();
        let reference = ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([1; 32]));
        let log = log("dpo", 2, reference, &lines);
        let names: Vec<&String> = log.curves.keys().collect();
        assert_eq!(
            names,
            ["displacement_chosen", "displacement_rejected", "loss"]
        );
        assert_eq!(log.curves["loss"].len(), 12);
        // Steps 3 to 12 have the mean 7.5.
        assert_eq!(log.displacement, Some([-7.5, -15.0]));
        assert_eq!((log.seed, log.logged_steps), (2, 12));
    }
}
