//! The pages: `report.md` for terminals and pull requests, `report.html` with charts. Both are templates over the sections.

mod svg;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, context, escape_formatter};

use crate::format::printable;
use crate::grouped::{add_once, grouped};
use crate::section::{Cell, Chart, Drawing, Report, Row, Section, Size, Table};

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
    let markdown = matches!(escape, AutoEscape::None);
    environment.set_auto_escape_callback(move |_| escape.clone());
    // Names, prompts and answers are anybody's words: none of them is markup, and none steers a terminal.
    environment.set_formatter(move |out, state, value| match value.as_str() {
        Some(text) if !value.is_safe() => match markdown {
            true => Ok(out.write_str(&plain_markdown(text).replace('\n', " "))?),
            false => escape_formatter(out, state, &Value::from(printable(text))),
        },
        _ => escape_formatter(out, state, value),
    });
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    // A bar or a line break in a cell would end it.
    environment.add_filter("cell", |text: String| {
        let text = plain_markdown(&text).replace('|', "\\|");
        Value::from_safe_string(text.replace('\n', "<br>"))
    });
    environment.add_template("style.css", include_str!("style.css"))?;
    Ok(environment)
}

/// Text in which no `<` begins a tag.
fn plain_markdown(text: &str) -> String {
    let mut plain = String::new();
    let text = printable(text);
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let next = rest.peek().copied().unwrap_or(' ');
        if character == '<' && (next.is_ascii_alphabetic() || "/!?".contains(next)) {
            plain.push('\\');
        }
        plain.push(character);
    }
    plain
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
        let named = if steps { 0 } else { NAMED_ARTIFACTS };
        let links = row.artifacts.iter().take(named);
        let links = links.map(|artifact| context! { artifact, anchor => anchor(artifact) });
        context! {
            links => links.collect::<Vec<_>>(),
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
fn cell(cell: &Cell) -> Value {
    let split = cell.text.split_once(" [").filter(|_| cell.ci95.is_some());
    let (main, range) = split.unwrap_or((&cell.text, ""));
    context! { text => &cell.text, main, range => range.replacen(']', "", 1), n => cell.n }
}

/// The place of a step on the page.
fn anchor(artifact: &str) -> String {
    let (kind, key) = artifact.split_once('/').unwrap_or(("", artifact));
    format!("{kind}-{}", key.get(..8).unwrap_or(key))
}

/// Charts by their group, with what their tones mean; neighbours that are not wide share a grid.
fn groups(charts: &[Chart]) -> Vec<Value> {
    let group = |(name, charts): (&String, Vec<&Chart>)| {
        let mut legend = Vec::new();
        for entry in charts.iter().flat_map(|chart| &chart.legend) {
            add_once(&mut legend, entry);
        }
        let drawn = charts.iter().map(|chart| {
            context! {
                title => &chart.title,
                size => size(&chart.drawing),
                svg => Value::from_safe_string(svg::draw(&chart.drawing)),
            }
        });
        context! { name, legend => Value::from(Serde(legend)), charts => drawn.collect::<Vec<_>>() }
    };
    let charts = charts.iter().map(|chart| (&chart.group, chart));
    grouped(charts).into_iter().map(group).collect()
}

/// The grid in which a chart stands; none for a wide one.
fn size(drawing: &Drawing) -> Option<&'static str> {
    let Drawing::Plot(plot) = drawing else {
        return None;
    };
    match plot.size {
        Size::Wide => None,
        Size::Half => Some("plots"),
        Size::Small => Some("wide"),
        Size::Square => Some("squares"),
    }
}
