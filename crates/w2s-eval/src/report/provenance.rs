//! Where predictions came from: the steps behind them, and the training logs of the models.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde_json::Value;
use w2s_artifact::{ArtifactRef, Input, Kind, Manifest, Store};

use super::{StepResult, TrainingCurve};

/// The training log in a checkpoint folder.
pub(crate) const TRAINING_LOG: &str = "metrics.jsonl";
/// Points of a curve; longer logs are averaged over neighbours.
const CURVE_POINTS: usize = 240;

/// Everything behind the predictions.
pub(crate) struct Provenance {
    pub(crate) steps: Vec<StepResult>,
    pub(crate) training: Vec<TrainingCurve>,
    pub(crate) warnings: Vec<String>,
}

/// Walks the inputs of `roots` back to their sources. Inputs come before what was made from them, and the steps of one
/// matrix stand together.
pub(crate) fn trace(store: &Store, roots: &[&Manifest]) -> Provenance {
    let mut walk = Walk {
        store,
        seen: HashSet::new(),
        ordered: Vec::new(),
        warnings: Vec::new(),
    };
    for root in roots {
        walk.visit((*root).clone());
    }
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    for manifest in &walk.ordered {
        let next = groups.len();
        groups
            .entry(group(&name(manifest)).to_owned())
            .or_insert(next);
    }
    walk.ordered
        .sort_by_key(|manifest| groups[group(&name(manifest))]);

    let mut training = Vec::new();
    for manifest in walk
        .ordered
        .iter()
        .filter(|manifest| manifest.kind == Kind::Checkpoint)
    {
        let folder = store.artifact_dir(&manifest.reference());
        match curve(&folder, manifest) {
            Ok(found) => training.extend(found),
            Err(reason) => walk.warnings.push(format!(
                "the training log of step {} ({}) cannot be read: {reason}",
                name(manifest),
                manifest.reference().short()
            )),
        }
    }
    Provenance {
        steps: walk.ordered.iter().map(step).collect(),
        training,
        warnings: walk.warnings,
    }
}

/// The name of a step without its matrix point: `naive` of `naive[seed=0]`.
pub(crate) fn group(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

pub(crate) fn name(manifest: &Manifest) -> String {
    manifest
        .step
        .clone()
        .unwrap_or_else(|| format!("{} {}", manifest.stage, manifest.operation))
}

struct Walk<'a> {
    store: &'a Store,
    seen: HashSet<ArtifactRef>,
    ordered: Vec<Manifest>,
    warnings: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, manifest: Manifest) {
        if !self.seen.insert(manifest.reference()) {
            return;
        }
        for input in &manifest.inputs {
            let Input::Artifact { artifact, .. } = input else {
                continue;
            };
            if self.seen.contains(artifact) {
                continue;
            }
            match Manifest::read(&self.store.artifact_dir(artifact)) {
                Ok(input) => self.visit(input),
                Err(_) => {
                    self.seen.insert(*artifact);
                    self.warnings.push(format!(
                        "{} is no longer in the store, so the provenance of step {} is incomplete",
                        artifact.short(),
                        name(&manifest)
                    ));
                }
            }
        }
        self.ordered.push(manifest);
    }
}

fn step(manifest: &Manifest) -> StepResult {
    let inputs = manifest
        .inputs
        .iter()
        .map(|input| match input {
            Input::Artifact { name, artifact } => [name.clone(), artifact.to_string()],
            Input::File { name, blake3, .. } => [name.clone(), format!("blake3:{blake3}")],
        })
        .collect();
    StepResult {
        step: name(manifest),
        operation: format!("{} {}", manifest.stage, manifest.operation),
        artifact: manifest.reference().to_string(),
        seconds: manifest.seconds,
        cached: false,
        tokens_per_second: manifest
            .summary
            .get("tokens_per_second")
            .and_then(Value::as_f64),
        device: manifest.device.clone(),
        threads: manifest.threads,
        tool_version: manifest.tool_version.clone(),
        started: manifest.started.clone(),
        inputs,
        parameters: manifest.parameters.clone(),
        summary: manifest.summary.clone(),
    }
}

fn curve(folder: &Path, manifest: &Manifest) -> Result<Option<TrainingCurve>, String> {
    if !manifest.files.iter().any(|file| file.name == TRAINING_LOG) {
        return Ok(None);
    }
    let (mut loss, mut held_out_accuracy) = (Vec::new(), Vec::new());
    let lines = training_log(folder)?;
    for (step, line) in &lines {
        let number = |name: &str| line.get(name).and_then(Value::as_f64);
        loss.extend(number("loss").map(|value| [*step, value]));
        held_out_accuracy.extend(number("held_out_accuracy").map(|value| [*step, value]));
    }
    Ok(Some(TrainingCurve {
        step: name(manifest),
        artifact: manifest.reference().to_string(),
        logged_steps: lines.len(),
        loss: thin(&loss),
        held_out_accuracy: thin(&held_out_accuracy),
    }))
}

/// The training log in a checkpoint folder: each line with its step.
pub(crate) fn training_log(folder: &Path) -> Result<Vec<(f64, Value)>, String> {
    let text =
        std::fs::read_to_string(folder.join(TRAINING_LOG)).map_err(|error| error.to_string())?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            let line: Value =
                serde_json::from_str(line).map_err(|error| format!("line {}: {error}", at + 1))?;
            let step = line.get("step").and_then(Value::as_f64);
            let step = step.ok_or_else(|| format!("line {}: no `step`", at + 1))?;
            Ok((step, line))
        })
        .collect()
}

/// Averages neighbouring points until at most [`CURVE_POINTS`] are left.
pub(crate) fn thin(points: &[[f64; 2]]) -> Vec<[f64; 2]> {
    let size = points.len().div_ceil(CURVE_POINTS).max(1);
    let mean = |chunk: &[[f64; 2]], at: usize| {
        chunk.iter().map(|point| point[at]).sum::<f64>() / chunk.len() as f64
    };
    points
        .chunks(size)
        .map(|chunk| [mean(chunk, 0), mean(chunk, 1)])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_curves_are_averaged() {
        let points: Vec<[f64; 2]> = (0..960)
            .map(|step| [f64::from(step), f64::from(step % 4)])
            .collect();
        let thinned = thin(&points);
        assert_eq!(thinned.len(), 240);
        // Steps 0 to 3 with values 0 to 3.
        assert_eq!(thinned[0], [1.5, 1.5]);
        assert_eq!(thin(&points[..10]), &points[..10]);
        assert!(thin(&[]).is_empty());
    }

    #[test]
    fn a_matrix_point_is_not_part_of_the_group() {
        assert_eq!(group("naive[seed=0]"), "naive");
        assert_eq!(group("corpus"), "corpus");
    }
}
