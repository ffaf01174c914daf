//! The end of a run: each report is copied to where people look, and its first table is printed.
//!
//! The artifact itself does not change. Only the copy says which steps this run found cached and how long the others
//! took. Of a report this program knows its title, its sentences and that its sections hold tables of text; what the
//! numbers mean, it does not.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};
use w2s_artifact::{Artifact, ArtifactRef, Kind, Store};

use crate::complaint::{OrComplain, Result};
use crate::out::{out, plain, say};
use crate::plan::Plan;
use crate::run::Seen;
use crate::stages::Planned;
use crate::table::{Head, aligned};
use crate::workspace;

/// Files of a report that are copied, the one that a person opens first.
const FILES: [&str; 3] = ["report.html", "report.md", "report.json"];
/// So many models are named at the end of a run.
const MODELS: usize = 12;

/// What is printed of a report.json.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Report {
    title: String,
    headline: String,
    overrides: Vec<String>,
    findings: Vec<String>,
    warnings: Vec<String>,
    sections: Vec<Section>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Section {
    tables: Vec<Table>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Column {
    name: String,
    align: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Row {
    cells: Vec<Cell>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Cell {
    text: String,
}

/// Copies every report of the run to `<store>/reports/<name>/`, prints their tables, where the models lie, and where the
/// reports do.
pub fn publish(
    name: &str,
    store: &Store,
    plan: &Plan,
    planned: &[Planned],
    seen: &[Seen],
) -> Result<()> {
    let reports: Vec<(usize, ArtifactRef)> = of_kind(planned, Kind::Report);
    let mut pages = Vec::new();
    for (index, reference) in &reports {
        let artifact = store.require(reference)?;
        let source = artifact.file("report.json");
        let mut report: Value = fs::read(&source)
            .or_complain(|| format!("cannot read {}", workspace::shown(&source)))
            .and_then(|bytes| {
                serde_json::from_slice(&bytes)
                    .or_complain(|| format!("{} is not JSON", workspace::shown(&source)))
            })?;
        out(&format!("\n{}", table(&report, &source)?.trim_end()));
        mark_steps(&mut report, plan, planned, seen);
        let mut folder = store.reports_dir(name);
        if reports.len() > 1 {
            folder = folder.join(&plan.tasks[*index].slug);
        }
        let lies = match copy(&artifact, &folder, &report) {
            Ok(()) => folder,
            // The report itself is there; a store that can only be read is no reason to fail.
            Err(complaint) => {
                say(&format!(
                    "warning: the report is not copied: {}",
                    complaint.in_a_line()
                ));
                artifact.path
            }
        };
        pages.push(page(&lies));
    }
    print_models(store, plan, planned);
    out("");
    for page in pages {
        out(&format!("report: {}", plain(&workspace::shown(&page))));
    }
    Ok(())
}

/// The artifacts of a kind that the plan makes, each with the index of its task.
fn of_kind(planned: &[Planned], kind: Kind) -> Vec<(usize, ArtifactRef)> {
    planned
        .iter()
        .enumerate()
        .filter_map(|(index, planned)| Some((index, planned.artifact.parse().ok()?)))
        .filter(|(_, reference): &(usize, ArtifactRef)| reference.kind == kind)
        .collect()
}

/// The models that the reports speak of: checkpoints that a report reads, or that a step reads which a report reads. Without
/// a report, those that no other step of the run reads.
fn models(plan: &Plan, planned: &[Planned]) -> Vec<(usize, ArtifactRef)> {
    let needs = |index: &usize| plan.tasks[*index].needs.clone();
    let reports = of_kind(planned, Kind::Report);
    let mut wanted: Vec<usize> = Vec::new();
    for (report, _) in &reports {
        let read = needs(report);
        wanted.extend(read.iter().flat_map(needs));
        wanted.extend(read);
    }
    let mut models = of_kind(planned, Kind::Checkpoint);
    if reports.is_empty() {
        let read: Vec<usize> = (0..plan.tasks.len())
            .flat_map(|index| needs(&index))
            .collect();
        models.retain(|(index, _)| !read.contains(index));
    } else {
        models.retain(|(index, _)| wanted.contains(index));
    }
    models
}

fn print_models(store: &Store, plan: &Plan, planned: &[Planned]) {
    let models = models(plan, planned);
    if models.is_empty() {
        return;
    }
    out("\nmodels:");
    let shown = &models[..models.len().min(MODELS)];
    let name = |index: usize| plain(&plan.tasks[index].name).into_owned();
    let width = shown
        .iter()
        .map(|(index, _)| name(*index).chars().count())
        .max()
        .unwrap_or(0);
    for (index, reference) in shown {
        let path = workspace::shown(&store.artifact_dir(reference));
        out(&format!("  {:<width$}  {}", name(*index), plain(&path)));
    }
    if models.len() > MODELS {
        let more = models.len() - MODELS;
        out(&format!("  and {more} more: cargo xtask list checkpoint"));
    }
}

/// The file of a report that a person opens.
fn page(folder: &Path) -> PathBuf {
    FILES
        .iter()
        .map(|name| folder.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| folder.to_path_buf())
}

fn copy(artifact: &Artifact, to: &Path, report: &Value) -> Result<()> {
    fs::create_dir_all(to).or_complain(|| format!("cannot create {}", workspace::shown(to)))?;
    for name in FILES {
        let source = artifact.file(name);
        if !source.is_file() {
            continue;
        }
        let target = to.join(name);
        let cannot_write = || format!("cannot write {}", workspace::shown(&target));
        let bytes = match name {
            "report.json" => format!("{report:#}\n").into_bytes(),
            _ => fs::read(&source)
                .or_complain(|| format!("cannot read {}", workspace::shown(&source)))?,
        };
        // Written under a name of its own and then renamed: a reader never sees half a report, and of two runs that end
        // together one is last.
        let mut builder = tempfile::Builder::new();
        // As any other file of the store: the umask says who may read it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let mut partial = builder.tempfile_in(to).or_complain(cannot_write)?;
        partial.write_all(&bytes).or_complain(cannot_write)?;
        partial.persist(&target).or_complain(cannot_write)?;
    }
    Ok(())
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

/// Title, headline, the first table and the sentences of a report.
fn table(report: &Value, source: &Path) -> Result<String> {
    let report = Report::deserialize(report)
        .or_complain(|| format!("{} is no report", workspace::shown(source)))?;
    let mut text = String::new();
    let mut line = |line: &str| {
        if !line.is_empty() {
            text.push_str(&plain(line));
            text.push('\n');
        }
    };
    line(&report.title);
    if !report.overrides.is_empty() {
        line(&format!("changed: {}", report.overrides.join(", ")));
    }
    line(&report.headline);
    let mut tables = report.sections.iter().flat_map(|section| &section.tables);
    if let Some(table) = tables.find(|table| !table.rows.is_empty()) {
        let heads: Vec<Head<'_>> = table
            .columns
            .iter()
            .map(|column| Head {
                name: &column.name,
                right: column.align == "right",
            })
            .collect();
        let cells = |row: &Row| row.cells.iter().map(|cell| cell.text.clone()).collect();
        let rows: Vec<Vec<String>> = table.rows.iter().map(cells).collect();
        text.push('\n');
        text.push_str(&aligned(&heads, &rows));
    }
    for finding in &report.findings {
        text.push_str(&format!("- {}\n", plain(finding)));
    }
    for warning in &report.warnings {
        text.push_str(&format!("warning: {}\n", plain(warning)));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(texts: &[&str]) -> Value {
        let cells: Vec<Value> = texts.iter().map(|text| json!({"text": text})).collect();
        json!({"cells": cells, "artifacts": []})
    }

    #[test]
    fn the_first_table_of_a_report_is_printed_whatever_it_is_about() {
        let report = json!({
            "format": 3, "recipe": "small", "title": "small, seeds 0, 1", "headline": "naive recovers nothing.",
            "overrides": ["naive.epochs=3", "rows=12"], "findings": ["the gap is small"], "warnings": ["few \u{1b}[2Jrows"],
            "sections": [
                {"id": "settings", "title": "Settings", "text": ["None."], "tables": []},
                {"id": "arms", "title": "Arms", "text": [], "tables": [
                    {"id": "arms", "title": "Arms",
                     "columns": [{"key": "arm", "name": "arm", "align": "left"}, {"key": "n", "name": "n", "align": "right"},
                                 {"key": "note", "name": "note", "align": "left"}],
                     "rows": [cells(&["naive", "1,200", ""]), cells(&["weak", "600", ""])]},
                    {"id": "more", "title": "More", "columns": [], "rows": []}]},
            ],
            "steps": [],
        });
        insta::assert_snapshot!(table(&report, Path::new("report.json")).expect("a report"), @r"
        small, seeds 0, 1
        changed: naive.epochs=3, rows=12
        naive recovers nothing.

        arm        n
        naive  1,200
        weak     600
        - the gap is small
        warning: few \u001b[2Jrows
        ");
        assert_eq!(
            table(&json!({"title": "theory"}), Path::new("report.json")),
            Ok("theory\n".to_owned())
        );
        let wrong = table(&json!({"sections": 3}), Path::new("report.json"));
        assert!(
            wrong
                .expect_err("no report")
                .to_string()
                .starts_with("error: report.json is no report\n  caused by: ")
        );
    }
}
