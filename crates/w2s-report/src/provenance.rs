//! Where the numbers came from: every step behind them, with what it says of its result and the settings it ran with.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use w2s_artifact::summary::{
    Dropped, LabelsSummary, PairsSummary, PredictionsSummary, ScoresSummary, SplitSummary,
    TrainingSummary,
};
use w2s_artifact::{ArtifactRef, Input, Kind, Manifest};

use crate::format::{Unit, commas, count, duration, nouns, plural};
use crate::grouped::{add_once, grouped};
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
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for manifest in &walk.ordered {
        let next = places.len();
        places
            .entry(group(&name(manifest)).to_owned())
            .or_insert(next);
    }
    walk.ordered
        .sort_by_key(|manifest| places[group(&name(manifest))]);
    (walk.ordered, walk.warnings)
}

/// The name of a step without its matrix point: `naive` of `naive[seed=0]`.
fn group(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

/// The name of the step that made something.
pub(crate) fn name(manifest: &Manifest) -> String {
    manifest.step.clone().unwrap_or_else(|| operation(manifest))
}

/// Stage and operation.
pub(crate) fn operation(manifest: &Manifest) -> String {
    format!("{} {}", manifest.stage, manifest.operation)
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
            match self.lineage.manifest(artifact) {
                Some(input) => self.visit(&input),
                None if self.seen.insert(artifact) => self.warnings.push(format!(
                    "{} is no longer in the store, so the provenance of step {} is incomplete",
                    artifact.short(),
                    name(manifest)
                )),
                None => {}
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
    StepResult {
        step: name(manifest),
        operation: operation(manifest),
        artifact: manifest.reference().to_string(),
        seconds: manifest.seconds,
        cached: false,
        tokens_per_second: speed(manifest).filter(|speed| *speed > 0.0),
        device: manifest.device.clone(),
        threads: manifest.threads,
        tool_version: manifest.tool_version.clone(),
        started: manifest.started.clone(),
        inputs: inputs.collect(),
        parameters: manifest.parameters.clone(),
        summary: manifest.summary.clone(),
    }
}

/// Tokens a second, of what measures them.
fn speed(manifest: &Manifest) -> Option<f64> {
    match manifest.kind {
        Kind::Checkpoint => Some(
            manifest
                .summary::<TrainingSummary>()
                .ok()?
                .fit
                .tokens_per_second,
        ),
        Kind::Labels => Some(manifest.summary::<LabelsSummary>().ok()?.tokens_per_second),
        Kind::Predictions => {
            manifest
                .summary::<PredictionsSummary>()
                .ok()?
                .tokens_per_second
        }
        _ => None,
    }
}

/// What a step says about its result, in a few words, and what it left out or cut.
pub(crate) fn outcome(manifest: &Manifest) -> String {
    let rows = |rows: usize, noun: &str| Some(format!("{} {noun}", count(rows)));
    let truncated = |n: usize| rows(n, "truncated").filter(|_| n > 0);
    let sides = |sides: Option<(f64, f64)>, unit: &str| {
        let (chosen, rejected) = sides?;
        Some(format!("chosen {chosen:.1}, rejected {rejected:.1} {unit}"))
    };
    let parts = if let Ok(said) = manifest.summary::<TrainingSummary>() {
        vec![
            // Not its line for people, which tells a speed: no two runs have the same.
            Some(format!("final loss {:.3}", said.fit.final_loss)),
            rows(said.rows, "rows"),
            dropped(&said.dropped),
            truncated(said.truncated),
            sides(said.tokens_chosen.zip(said.tokens_rejected), "tokens"),
        ]
    } else if let Ok(said) = manifest.summary::<PairsSummary>() {
        let lengths = said.mean_chosen_length.zip(said.mean_rejected_length);
        let longer = Unit::Percent.write(said.longer_is_chosen);
        vec![
            rows(said.rows, "pairs"),
            dropped(&said.dropped),
            sides(lengths, &said.length_unit),
            Some(format!("the longer is chosen in {longer}")),
        ]
    } else if let Ok(said) = manifest.summary::<SplitSummary>() {
        vec![rows(said.rows, "rows"), dropped(&said.plan.dropped)]
    } else if let Ok(said) = manifest.summary::<ScoresSummary>() {
        vec![dropped(&said.dropped), truncated(said.truncated)]
    } else {
        Vec::new()
    };
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Rows left out, by reason; none where there are none.
pub(crate) fn dropped(dropped: &Dropped) -> Option<String> {
    let reasons = dropped.iter().filter(|(_, rows)| **rows > 0);
    let told = reasons.map(|(why, rows)| format!("{} {}", why.replace('_', " "), count(rows)));
    let told = commas(told);
    (!told.is_empty()).then(|| format!("dropped: {told}"))
}

/// Every step, and folded under it the resolved parameters of each step of the recipe.
pub(crate) fn section(manifests: &[Manifest], steps: &[StepResult]) -> Section {
    let seconds = duration(steps.iter().map(|step| step.seconds).sum());
    let introduction = format!(
        "{}, {seconds} of work when they ran.",
        plural(steps.len(), "step")
    );
    let rows: Vec<(&Manifest, &StepResult)> = manifests.iter().zip(steps).collect();
    let table = Table::of("steps", &rows)
        .column("step|Step", |(_, step)| &step.step)
        .column("operation|Operation", |(_, step)| &step.operation)
        .column("artifact|Artifact", |(made, _)| made.reference().short())
        .column("result|Result", |(made, _)| outcome(made))
        .column(">seconds|Time", |(_, step)| duration(step.seconds))
        .column(">tokens_per_second|Tokens/s", |(_, step)| {
            match step.tokens_per_second {
                Some(speed) => (speed.round() as usize).into(),
                None => Cell::default(),
            }
        })
        .column(
            "device|Device",
            |(
                _,
                StepResult {
                    device, threads, ..
                },
            )| { format!("{device}, {threads} {}", nouns(*threads, "thread")) },
        )
        .source(|(made, _)| (None, [made.reference()]));
    Section::new("steps", "Steps", introduction)
        .tables([table.done()])
        .tables(parameters(steps))
}

/// Resolved parameters, one table a step of the recipe; values that differ inside its matrix are listed.
fn parameters(steps: &[StepResult]) -> Vec<Table> {
    let mut tables = Vec::new();
    for (name, members) in grouped(steps.iter().map(|step| (group(&step.step), step))) {
        let rows = values(members.iter().map(|step| &step.parameters));
        let table = Table::of(name, &rows)
            .column("parameter|Parameter", |(key, _)| *key)
            .column("value|Value", |(_, values)| commas(values))
            .done();
        let title = format!("Parameters of {name} ({})", members[0].operation);
        tables.push(table.titled(title).folded());
    }
    tables.retain(|table| !table.rows.is_empty());
    tables
}

/// Every parameter of some steps with its different values, in order of appearance.
pub(crate) fn values<'v>(of: impl Iterator<Item = &'v Value>) -> Vec<(&'v String, Vec<String>)> {
    let all = of.flat_map(|parameters| parameters.as_object().into_iter().flatten());
    let mut values = Vec::new();
    for (key, of_key) in grouped(all) {
        let mut written = Vec::new();
        for value in of_key {
            let text = value.as_str().map(str::to_owned);
            let other = || {
                if value.is_null() {
                    "–".to_owned()
                } else {
                    value.to_string()
                }
            };
            add_once(&mut written, text.unwrap_or_else(other));
        }
        values.push((key, written));
    }
    values
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
