//! The end of a run: the report is copied to where people look, and its table is printed.
//!
//! The artifact itself does not change. Only the copy says which steps this run found cached and how long the others
//! took. Fields of `report.json` that are not there are left out of the table.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use w2s_artifact::{ArtifactRef, Kind, Store};

use crate::complaint::{OrComplain, Result};
use crate::plan::Plan;
use crate::run::Seen;
use crate::stages::Planned;
use crate::status::thousands;
use crate::workspace;

/// Files of a report that are copied.
const FILES: [&str; 3] = ["report.html", "report.md", "report.json"];

/// Copies every report of the run to `<store>/reports/<recipe>/` and prints its table.
pub fn publish(
    recipe: &str,
    store: &Store,
    plan: &Plan,
    planned: &[Planned],
    seen: &[Seen],
) -> Result<()> {
    let reports: Vec<(usize, ArtifactRef)> = planned
        .iter()
        .enumerate()
        .filter_map(|(index, planned)| Some((index, planned.artifact.parse::<ArtifactRef>().ok()?)))
        .filter(|(_, reference)| reference.kind == Kind::Report)
        .collect();
    for (index, reference) in &reports {
        let mut folder = store.reports_dir(recipe);
        if reports.len() > 1 {
            folder = folder.join(&plan.tasks[*index].slug);
        }
        let report = copy(&store.artifact_dir(reference), &folder, plan, planned, seen)?;
        println!("\n{}", table(&report));
        println!("report: {}", workspace::shown(&best(&folder)));
    }
    Ok(())
}

/// The file of a report that a person opens.
fn best(folder: &Path) -> PathBuf {
    FILES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| folder.to_path_buf())
}

fn copy(from: &Path, to: &Path, plan: &Plan, planned: &[Planned], seen: &[Seen]) -> Result<Value> {
    fs::create_dir_all(to).or_complain(|| format!("cannot create {}", workspace::shown(to)))?;
    let mut report = Value::Null;
    for name in FILES {
        let source = from.join(name);
        if !source.is_file() {
            continue;
        }
        let mut bytes = fs::read(&source)
            .or_complain(|| format!("cannot read {}", workspace::shown(&source)))?;
        if name == "report.json" {
            report = serde_json::from_slice(&bytes)
                .or_complain(|| format!("{} is not JSON", workspace::shown(&source)))?;
            mark_steps(&mut report, plan, planned, seen);
            bytes = serde_json::to_vec_pretty(&report)
                .or_complain(|| format!("cannot write {}", workspace::shown(to)))?;
            bytes.push(b'\n');
        }
        let target = to.join(name);
        let cannot_write = || format!("cannot write {}", workspace::shown(&target));
        // A reader never sees half a report.
        let partial = to.join(format!(".{name}.partial"));
        fs::write(&partial, &bytes).or_complain(cannot_write)?;
        fs::rename(&partial, &target).or_complain(cannot_write)?;
    }
    Ok(report)
}

/// Sets `cached`, and for steps that ran `seconds`, to what this run saw; adds the steps the report cannot know of,
/// above all its own.
fn mark_steps(report: &mut Value, plan: &Plan, planned: &[Planned], seen: &[Seen]) {
    let Some(report) = report.as_object_mut() else {
        return;
    };
    let steps = report.entry("steps").or_insert_with(|| json!([]));
    let Some(steps) = steps.as_array_mut() else {
        return;
    };
    for ((task, planned), seen) in plan.tasks.iter().zip(planned).zip(seen) {
        let is_it = |step: &&mut Value| match step.get("artifact").and_then(Value::as_str) {
            Some(artifact) => artifact == planned.artifact,
            None => step.get("step").and_then(Value::as_str) == Some(&task.name),
        };
        match steps.iter_mut().find(is_it).and_then(Value::as_object_mut) {
            Some(step) => {
                // Another recipe may have made it under another name.
                step.insert("step".to_owned(), json!(task.name));
                step.insert("cached".to_owned(), json!(seen.cached));
                if !seen.cached {
                    step.insert("seconds".to_owned(), json!(seen.seconds));
                }
            }
            None => steps.push(json!({
                "step": task.name, "artifact": planned.artifact, "seconds": seen.seconds, "cached": seen.cached,
            })),
        }
    }
}

/// The table a paper would print.
fn table(report: &Value) -> String {
    let (heads, rows) = match report.get("metric") {
        Some(metric) => compared(report, metric.as_str().unwrap_or_default()),
        None => recovered_by_arm(report),
    };
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut text = title(report);
    text.push('\n');
    if let Some(headline) = report.get("headline").and_then(Value::as_str) {
        text.push_str(&format!("{headline}\n"));
    }
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&aligned(&heads, &rows));
    }
    for finding in list(report, "findings") {
        text.push_str(&format!("- {}\n", finding.as_str().unwrap_or_default()));
    }
    for warning in list(report, "warnings") {
        text.push_str(&format!(
            "warning: {}\n",
            warning.as_str().unwrap_or_default()
        ));
    }
    text
}

fn list(report: &Value, name: &str) -> Vec<Value> {
    let list = report.get(name).and_then(Value::as_array);
    list.cloned().unwrap_or_default()
}

fn word(arm: &Value, name: &str) -> Option<String> {
    arm.get(name).and_then(Value::as_str).map(str::to_owned)
}

/// Heads and rows of preference runs: every arm against the base in one metric.
fn compared(report: &Value, metric: &str) -> (Vec<String>, Vec<Vec<String>>) {
    let row = |arm: &Value| {
        let is_it = |scores: &&Value| word(scores, "metric").as_deref() == Some(metric);
        let scores = list(arm, "metrics");
        let scores = scores.iter().find(is_it).unwrap_or(&Value::Null);
        let gain = scores.pointer("/versus_base/difference");
        let unshown = scores
            .pointer("/versus_base/shown")
            .and_then(Value::as_bool)
            == Some(false);
        let mut words: Vec<String> = gain.and_then(with_interval).into_iter().collect();
        words.extend(unshown.then(|| "not shown".to_owned()));
        let n = scores.pointer("/value/n").and_then(Value::as_f64);
        vec![
            word(arm, "arm").unwrap_or("?".to_owned()),
            word(arm, "role").unwrap_or_default(),
            n.map_or_else(String::new, thousands),
            scores
                .get("value")
                .and_then(with_interval)
                .unwrap_or_default(),
            words.join(" "),
        ]
    };
    let heads = [
        "arm",
        "role",
        "n",
        &format!("{metric} [95 %]"),
        "minus base [95 %]",
    ];
    let rows = list(report, "arms").iter().map(row).collect();
    (heads.map(str::to_owned).to_vec(), rows)
}

/// Heads and rows of labels: scores, agreement with the teacher, and what each student recovers.
fn recovered_by_arm(report: &Value) -> (Vec<String>, Vec<Vec<String>>) {
    let pgr = list(report, "pgr");
    let row = |arm: &Value| {
        let name = word(arm, "arm").unwrap_or("?".to_owned());
        let gap = pgr
            .iter()
            .find(|pgr| word(pgr, "arm").as_ref() == Some(&name));
        let agreement = |part: &str| {
            arm.get("agreement")
                .and_then(|agreement| estimate(agreement.get(part)?))
        };
        vec![
            name,
            word(arm, "role").unwrap_or_default(),
            arm.pointer("/accuracy/n")
                .and_then(Value::as_f64)
                .map_or_else(String::new, thousands),
            arm.get("accuracy")
                .and_then(with_interval)
                .unwrap_or_default(),
            arm.get("auroc").and_then(with_interval).unwrap_or_default(),
            agreement("overall").unwrap_or_default(),
            agreement("teacher_right").unwrap_or_default(),
            agreement("teacher_wrong").unwrap_or_default(),
            gap.map_or_else(String::new, recovered),
        ]
    };
    let heads = [
        "arm",
        "role",
        "n",
        "accuracy [95 %]",
        "AUROC [95 %]",
        "agreement",
        "teacher right",
        "teacher wrong",
        "PGR [95 %]",
    ];
    let rows = list(report, "arms").iter().map(row).collect();
    (heads.map(str::to_owned).to_vec(), rows)
}

fn title(report: &Value) -> String {
    let name = report
        .get("recipe")
        .and_then(Value::as_str)
        .unwrap_or("report");
    let seeds = report
        .get("seeds")
        .and_then(Value::as_array)
        .cloned()
        .unwrap_or_default();
    match seeds.len() {
        0 => name.to_owned(),
        1 => format!("{name}, seed {}", seeds[0]),
        _ => {
            let seeds: Vec<String> = seeds.iter().map(Value::to_string).collect();
            format!("{name}, seeds {}", seeds.join(", "))
        }
    }
}

/// Columns as wide as their longest cell, without those that are empty in every row; numbers to the right.
fn aligned(heads: &[&str], rows: &[Vec<String>]) -> String {
    let kept: Vec<usize> = (0..heads.len())
        .filter(|&column| rows.iter().any(|row| !row[column].is_empty()))
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([heads[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let line = |cells: &dyn Fn(usize) -> String| {
        let cells: Vec<String> = kept
            .iter()
            .map(|&column| {
                let (cell, width) = (cells(column), width(column));
                match heads[column] {
                    "n" => format!("{cell:>width$}"),
                    _ => format!("{cell:<width$}"),
                }
            })
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut text = line(&|column| heads[column].to_owned());
    for row in rows {
        text.push_str(&line(&|column| row[column].clone()));
    }
    text
}

/// A number, or the mean of an estimate.
fn estimate(value: &Value) -> Option<String> {
    let number = value.as_f64().or_else(|| value.get("mean")?.as_f64())?;
    Some(format!("{number:.3}"))
}

fn with_interval(value: &Value) -> Option<String> {
    let mean = estimate(value)?;
    Some(match interval(value, 3) {
        Some(interval) => format!("{mean} {interval}"),
        None => mean,
    })
}

fn interval(value: &Value, digits: usize) -> Option<String> {
    let ends = value.get("ci95")?.as_array()?;
    let (low, high) = (ends.first()?.as_f64()?, ends.get(1)?.as_f64()?);
    Some(format!("[{low:.digits$}, {high:.digits$}]"))
}

fn recovered(pgr: &Value) -> String {
    let mut words: Vec<String> = Vec::new();
    match pgr.get("value").and_then(Value::as_f64) {
        Some(value) => words.push(format!("{value:.2}")),
        None => words.push("none".to_owned()),
    }
    words.extend(interval(pgr, 2));
    if pgr.get("gap_significant").and_then(Value::as_bool) == Some(false) {
        words.push("gap not significant".to_owned());
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_what_the_report_has() {
        let report = json!({
            "recipe": "weak-to-strong", "seeds": [0, 1, 2],
            "headline": "naive recovers nothing.", "warnings": ["the gap is small"],
            "arms": [
                {"arm": "weak", "role": "weak",
                 "accuracy": {"mean": 0.7421, "ci95": [0.718, 0.766], "per_seed": [0.74], "n": 1200},
                 "auroc": {"mean": 0.81, "ci95": [0.79, 0.83]}},
                {"arm": "naive", "role": "student", "accuracy": {"mean": 0.82, "ci95": [0.8, 0.84], "n": 1200},
                 "agreement": {"overall": 0.85, "teacher_right": 0.93, "teacher_wrong": {"mean": 0.4}}},
                {"arm": "ceiling", "role": "ceiling", "accuracy": {"mean": 0.9, "n": 1200}},
            ],
            "pgr": [{"arm": "naive", "value": -0.493, "ci95": [-0.7, 0.1], "gap_significant": false}],
        });
        insta::assert_snapshot!(table(&report), @r"
        weak-to-strong, seeds 0, 1, 2
        naive recovers nothing.

        arm      role         n  accuracy [95 %]       AUROC [95 %]          agreement  teacher right  teacher wrong  PGR [95 %]
        weak     weak     1,200  0.742 [0.718, 0.766]  0.810 [0.790, 0.830]
        naive    student  1,200  0.820 [0.800, 0.840]                        0.850      0.930          0.400          -0.49 [-0.70, 0.10] gap not significant
        ceiling  ceiling  1,200  0.900
        warning: the gap is small
        ");
    }

    #[test]
    fn preference_runs_are_compared_with_their_base() {
        let scores = |metric: &str, mean: f64, gain: Value| json!({"metric": metric, "value": {"mean": mean, "ci95": [mean - 0.1, mean + 0.1], "n": 300}, "versus_base": gain});
        let gain = |mean: f64, shown: bool| json!({"difference": {"mean": mean, "ci95": [mean - 0.1, mean + 0.1]}, "shown": shown});
        let report = json!({
            "recipe": "delta-style", "seeds": [0, 1], "metric": "exact", "headline": "In exact, dpo is above base.",
            "findings": ["the shape is seen"],
            "arms": [
                {"arm": "base", "role": "base", "metrics": [scores("exact", 0.5, Value::Null)]},
                {"arm": "dpo", "role": "student", "metrics": [scores("distinct", 9.0, gain(9.0, true)), scores("exact", 0.7, gain(0.2, true))]},
                {"arm": "tied", "role": "student", "metrics": [scores("exact", 0.51, gain(0.01, false))]},
            ],
        });
        insta::assert_snapshot!(table(&report), @r"
        delta-style, seeds 0, 1
        In exact, dpo is above base.

        arm   role       n  exact [95 %]          minus base [95 %]
        base  base     300  0.500 [0.400, 0.600]
        dpo   student  300  0.700 [0.600, 0.800]  0.200 [0.100, 0.300]
        tied  student  300  0.510 [0.410, 0.610]  0.010 [-0.090, 0.110] not shown
        - the shape is seen
        ");
        let theory = json!({"recipe": "delta-theory", "seeds": [], "metric": null, "headline": "It rises.", "arms": []});
        insta::assert_snapshot!(table(&theory), @r"
        delta-theory
        It rises.
        ");
    }

    #[test]
    fn a_gap_that_is_not_there_has_no_pgr() {
        assert_eq!(
            recovered(&json!({"arm": "x", "value": null, "gap_significant": false})),
            "none gap not significant"
        );
        assert_eq!(
            recovered(&json!({"value": 0.5, "ci95": [0.4, 0.6], "gap_significant": true})),
            "0.50 [0.40, 0.60]"
        );
    }

    #[test]
    fn a_report_without_optional_fields_still_has_a_table() {
        insta::assert_snapshot!(table(&json!({"arms": [{"arm": "weak"}]})), @r"
        report

        arm
        weak
        ");
    }
}
