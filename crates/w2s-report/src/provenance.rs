//! Where the numbers came from: every step behind them, with what it says of its result and the settings it ran with.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use w2s_artifact::summary::{
    Dropped, LabelsSummary, PairsSummary, PredictionsSummary, ScoresSummary, SplitSummary,
    TrainingSummary,
};
use w2s_artifact::{ArtifactRef, Input, Kind, Manifest};

use crate::format::{count, duration, percent};
use crate::lineage::{Lineage, artifacts};
use crate::section::{Cell, Section, Table};

/// One step behind the numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Name of the step, with its matrix point.
    pub step: String,
    /// Stage and operation, such as `student classify`.
    pub operation: String,
    /// What it left behind.
    pub artifact: String,
    /// Seconds that it took when it ran.
    pub seconds: f64,
    /// Whether the run that made this report found it done already. Whoever runs the steps fills it in.
    pub cached: bool,
    /// Training or prediction speed, where the step measures it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens_per_second: Option<f64>,
    /// Device it ran on.
    pub device: String,
    /// Threads it was given.
    pub threads: usize,
    /// Version of w2s that ran it.
    pub tool_version: String,
    /// When it began.
    pub started: String,
    /// Artifacts that it read, as [flag, artifact].
    pub inputs: Vec<[String; 2]>,
    /// Resolved parameters.
    pub parameters: Value,
    /// What the step says about its result.
    pub summary: Value,
}

/// Walks the inputs of `roots` back to their sources. Inputs come before what was made from them, and the steps of one
/// matrix stand together. The second value holds a warning for each artifact that is gone.
pub(crate) fn trace(lineage: &Lineage<'_>, roots: &[&Manifest]) -> (Vec<Manifest>, Vec<String>) {
    let mut walk = Walk {
        lineage,
        seen: HashSet::new(),
        ordered: Vec::new(),
        warnings: Vec::new(),
    };
    for root in roots {
        walk.visit(root);
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
    (walk.ordered, walk.warnings)
}

/// The name of a step without its matrix point: `naive` of `naive[seed=0]`.
pub(crate) fn group(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

/// The name of the step that made something.
pub(crate) fn name(manifest: &Manifest) -> String {
    let unnamed = || format!("{} {}", manifest.stage, manifest.operation);
    manifest.step.clone().unwrap_or_else(unnamed)
}

struct Walk<'a> {
    lineage: &'a Lineage<'a>,
    seen: HashSet<ArtifactRef>,
    ordered: Vec<Manifest>,
    warnings: Vec<String>,
}

impl Walk<'_> {
    fn visit(&mut self, manifest: &Manifest) {
        if !self.seen.insert(manifest.reference()) {
            return;
        }
        for artifact in artifacts(manifest) {
            if self.seen.contains(&artifact) {
                continue;
            }
            match self.lineage.manifest(artifact) {
                Some(input) => self.visit(&input),
                None => {
                    self.seen.insert(artifact);
                    self.warnings.push(format!(
                        "{} is no longer in the store, so the provenance of step {} is incomplete",
                        artifact.short(),
                        name(manifest)
                    ));
                }
            }
        }
        self.ordered.push(manifest.clone());
    }
}

/// A step as `report.json` keeps it.
pub(crate) fn step(manifest: &Manifest) -> StepResult {
    let inputs = manifest.inputs.iter().map(|input| match input {
        Input::Artifact { name, artifact } => [name.clone(), artifact.to_string()],
        Input::File { name, blake3, .. } => [name.clone(), format!("blake3:{blake3}")],
    });
    let speed = match manifest.kind {
        Kind::Checkpoint => manifest
            .summary::<TrainingSummary>()
            .ok()
            .map(|s| s.fit.tokens_per_second),
        Kind::Labels => manifest
            .summary::<LabelsSummary>()
            .ok()
            .map(|s| s.tokens_per_second),
        Kind::Predictions => manifest
            .summary::<PredictionsSummary>()
            .ok()
            .and_then(|s| s.tokens_per_second),
        _ => None,
    };
    StepResult {
        step: name(manifest),
        operation: format!("{} {}", manifest.stage, manifest.operation),
        artifact: manifest.reference().to_string(),
        seconds: manifest.seconds,
        cached: false,
        tokens_per_second: speed.filter(|speed| *speed > 0.0),
        device: manifest.device.clone(),
        threads: manifest.threads,
        tool_version: manifest.tool_version.clone(),
        started: manifest.started.clone(),
        inputs: inputs.collect(),
        parameters: manifest.parameters.clone(),
        summary: manifest.summary.clone(),
    }
}

/// What a step says about its result, in a few words, and what it left out or cut.
pub(crate) fn outcome(manifest: &Manifest) -> String {
    let mut parts = Vec::new();
    if let Ok(said) = manifest.summary::<TrainingSummary>() {
        // Not its line for people, which tells a speed: no two runs have the same.
        parts.push(format!("final loss {:.3}", said.fit.final_loss));
        parts.push(format!("{} rows", count(said.rows as u64)));
        parts.extend(dropped(&said.dropped));
        parts.extend(truncated(said.truncated));
        let lengths = said.tokens_chosen.zip(said.tokens_rejected);
        parts.extend(lengths.map(|lengths| sides(lengths, "tokens")));
    } else if let Ok(said) = manifest.summary::<PairsSummary>() {
        parts.push(format!("{} pairs", count(said.rows as u64)));
        parts.extend(dropped(&said.dropped));
        let lengths = said.mean_chosen_length.zip(said.mean_rejected_length);
        parts.extend(lengths.map(|lengths| sides(lengths, &said.length_unit)));
        parts.push(format!(
            "the longer is chosen in {}",
            percent(said.longer_is_chosen)
        ));
    } else if let Ok(said) = manifest.summary::<SplitSummary>() {
        parts.push(format!("{} rows", count(said.rows as u64)));
        parts.extend(dropped(&said.plan.dropped));
    } else if let Ok(said) = manifest.summary::<ScoresSummary>() {
        parts.extend(dropped(&said.dropped));
        parts.extend(truncated(said.truncated));
    }
    parts.join("; ")
}

fn sides((chosen, rejected): (f64, f64), unit: &str) -> String {
    format!("chosen {chosen:.1}, rejected {rejected:.1} {unit}")
}

fn truncated(rows: usize) -> Option<String> {
    (rows > 0).then(|| format!("{} truncated", count(rows as u64)))
}

/// Rows left out, by reason; none where there are none.
pub(crate) fn dropped(dropped: &Dropped) -> Option<String> {
    let reasons: Vec<String> = dropped
        .iter()
        .filter(|(_, rows)| **rows > 0)
        .map(|(reason, rows)| format!("{} {}", reason.replace('_', " "), count(*rows as u64)))
        .collect();
    (!reasons.is_empty()).then(|| format!("dropped: {}", reasons.join(", ")))
}

/// Every step, and folded under it the resolved parameters of each step of the recipe.
pub(crate) fn section(manifests: &[Manifest], steps: &[StepResult]) -> Section {
    let seconds: f64 = steps.iter().map(|step| step.seconds).sum();
    let plural = if steps.len() == 1 { "step" } else { "steps" };
    let mut section = Section::new(
        "steps",
        "Steps",
        format!(
            "{} {plural}, {} of work when they ran.",
            steps.len(),
            duration(seconds)
        ),
    );
    let mut table = Table::new(
        "steps",
        &[
            "step|Step",
            "operation|Operation",
            "artifact|Artifact",
            "result|Result",
            ">seconds|Time",
            ">tokens_per_second|Tokens/s",
            "device|Device",
        ],
    );
    for (manifest, step) in manifests.iter().zip(steps) {
        let threads = if step.threads == 1 {
            "thread"
        } else {
            "threads"
        };
        table.push(
            None,
            vec![
                Cell::text(&step.step),
                Cell::text(&step.operation),
                Cell::text(manifest.reference().short()),
                Cell::text(outcome(manifest)),
                Cell::text(duration(step.seconds)),
                step.tokens_per_second
                    .map_or(Cell::text(""), |speed| Cell::count(speed.round() as usize)),
                Cell::text(format!("{}, {} {threads}", step.device, step.threads)),
            ],
            [manifest.reference()],
        );
    }
    section.tables.push(table.without_blank_columns());
    section.tables.extend(parameters(steps));
    section
}

/// Resolved parameters, one table a step of the recipe; values that differ inside its matrix are listed.
fn parameters(steps: &[StepResult]) -> Vec<Table> {
    let mut groups: Vec<(&str, Vec<&StepResult>)> = Vec::new();
    for step in steps {
        let name = group(&step.step);
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, members)) => members.push(step),
            None => groups.push((name, vec![step])),
        }
    }
    let table = |(name, members): (&str, Vec<&StepResult>)| {
        let mut values: Vec<(&String, Vec<String>)> = Vec::new();
        for (key, value) in members
            .iter()
            .flat_map(|step| step.parameters.as_object().into_iter().flatten())
        {
            let value = written(value);
            match values.iter_mut().find(|(known, _)| *known == key) {
                Some((_, known)) if known.contains(&value) => {}
                Some((_, known)) => known.push(value),
                None => values.push((key, vec![value])),
            }
        }
        let mut table = Table::new(name, &["parameter|Parameter", "value|Value"])
            .titled(format!("Parameters of {name} ({})", members[0].operation))
            .folded();
        for (key, values) in values {
            table.push(
                None,
                vec![Cell::text(key), Cell::text(values.join(", "))],
                [],
            );
        }
        table
    };
    let tables = groups.into_iter().map(table);
    tables.filter(|table| !table.rows.is_empty()).collect()
}

/// A parameter as people write it.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_point_is_not_part_of_the_group() {
        assert_eq!(group("naive[seed=0]"), "naive");
        assert_eq!(group("corpus"), "corpus");
    }

    #[test]
    fn reasons_are_told_and_nothing_is_not() {
        let reasons = Dropped::from([("too_long".to_owned(), 5), ("tied".to_owned(), 0)]);
        assert_eq!(dropped(&reasons).unwrap(), "dropped: too long 5");
        assert_eq!(dropped(&Dropped::new()), None);
    }
}
