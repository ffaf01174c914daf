//! The pages: `report.md` for terminals and pull requests, `report.html` with charts. Both are templates over the sections.

mod svg;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context};

use crate::section::{Chart, Drawing, Report, Row, Section, Size, Table};

/// Artifacts of a row that are named one by one.
const NAMED_ARTIFACTS: usize = 6;

impl Report {
    /// The report as `report.json`.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// The compact page for a terminal or a pull request.
    pub fn to_markdown(&self) -> Result<String, minijinja::Error> {
        let environment = environment(AutoEscape::None)?;
        environment.render_str(include_str!("report.md.jinja"), page(self, |_| context! {}))
    }

    /// The page with charts: one file, nothing loaded from elsewhere.
    pub fn to_html(&self) -> Result<String, minijinja::Error> {
        let environment = environment(AutoEscape::Html)?;
        let charts = |section: &Section| context! { groups => groups(&section.charts) };
        environment.render_str(include_str!("report.html.jinja"), page(self, charts))
    }
}

fn environment(escape: AutoEscape) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(move |_| escape.clone());
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    // A bar or a line break in a cell would end it.
    environment.add_filter("cell", |text: String| {
        text.replace('|', "\\|").replace('\n', "<br>")
    });
    environment.add_template("style.css", include_str!("style.css"))?;
    Ok(environment)
}

fn page(report: &Report, charts: impl Fn(&Section) -> Value) -> Value {
    let section = |section: &Section| {
        context! {
            tables => section.tables.iter().map(table).collect::<Vec<_>>(),
            section => Value::from(Serde(section)),
            ..charts(section)
        }
    };
    context! {
        report => Value::from(Serde(report)),
        sections => report.sections.iter().map(section).collect::<Vec<_>>(),
    }
}

/// A table, and what its rows were made from as links to the steps.
fn table(table: &Table) -> Value {
    let steps = table.id == "steps";
    let row = |row: &Row| {
        let links: Vec<Value> = row
            .artifacts
            .iter()
            .take(NAMED_ARTIFACTS)
            .map(|artifact| context! { artifact, anchor => anchor(artifact) })
            .collect();
        context! {
            links => if steps { Vec::new() } else { links },
            more => row.artifacts.len().saturating_sub(NAMED_ARTIFACTS),
            anchor => row.artifacts.first().filter(|_| steps).map(|artifact| anchor(artifact)),
            role => row.role.map(w2s_artifact::Role::name),
            cells => row.cells.iter().map(cell).collect::<Vec<_>>(),
        }
    };
    context! {
        rows => table.rows.iter().map(row).collect::<Vec<_>>(),
        linked => !steps && table.rows.iter().any(|row| !row.artifacts.is_empty()),
        ..Value::from(Serde(table))
    }
}

/// A cell whose number and interval stand on two lines.
fn cell(cell: &crate::section::Cell) -> Value {
    let split = cell.text.split_once(" [").filter(|_| cell.ci95.is_some());
    let (main, range) = match split {
        Some((main, range)) => (main, range.replacen(']', "", 1)),
        None => (&cell.text[..], String::new()),
    };
    context! { text => &cell.text, main, range, n => cell.n }
}

/// The place of a step on the page.
fn anchor(artifact: &str) -> String {
    let (kind, key) = artifact.split_once('/').unwrap_or(("", artifact));
    format!("{kind}-{}", key.get(..8).unwrap_or(key))
}

/// Charts by their group, those without one first; neighbours that are not wide share a grid.
fn groups(charts: &[Chart]) -> Vec<Value> {
    let mut names: Vec<&str> = Vec::new();
    for chart in charts {
        if !names.contains(&&chart.group[..]) {
            names.push(&chart.group);
        }
    }
    let group = |name: &str| {
        let of_group = charts.iter().filter(|chart| chart.group == name);
        let mut legend = Vec::new();
        let mut drawn = Vec::new();
        for chart in of_group {
            for entry in &chart.legend {
                if !legend.contains(entry) {
                    legend.push(entry.clone());
                }
            }
            drawn.push(context! {
                title => &chart.title,
                size => size(&chart.drawing),
                svg => Value::from_safe_string(svg::draw(&chart.drawing)),
            });
        }
        let legend: Vec<Value> = legend
            .iter()
            .map(|(tone, name)| context! { tone => tone.name(), name })
            .collect();
        context! { name, legend, charts => drawn }
    };
    names.into_iter().map(group).collect()
}

/// The grid in which a chart stands; none for a wide one.
fn size(drawing: &Drawing) -> Option<&'static str> {
    match drawing {
        Drawing::Plot(plot) => match plot.size {
            Size::Wide => None,
            Size::Half => Some("plots"),
            Size::Small => Some("wide"),
            Size::Square => Some("squares"),
        },
        Drawing::Dots { .. } | Drawing::Map(_) => None,
    }
}
