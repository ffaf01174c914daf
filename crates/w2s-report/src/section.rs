//! What a report says: sections of text, tables and charts. Every page prints these and nothing else.

use serde::{Deserialize, Serialize};
use w2s_artifact::{ArtifactRef, Role};
use w2s_stats::Estimate;

use crate::format::{self, Unit, commas};
use crate::grouped::add_once;
use crate::provenance::StepResult;

/// Layout of `report.json`; raised when a field changes its meaning or goes away.
pub const FORMAT: u32 = 3;

/// Everything that is known of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Layout of this file.
    pub format: u32,
    /// Name of the recipe.
    pub recipe: String,
    /// What stands above everything.
    pub title: String,
    /// The result in a sentence or two, with its uncertainty.
    pub headline: String,
    /// What the run changed in the recipe.
    pub overrides: Vec<String>,
    /// What the numbers say, a sentence each.
    pub findings: Vec<String>,
    /// What a reader must know before quoting a number.
    pub warnings: Vec<String>,
    /// Tables and charts, the most important first.
    pub sections: Vec<Section>,
    /// The same estimates for programs: every arm on every metric.
    pub arms: Vec<ArmEstimates>,
    /// Every step behind the numbers, inputs before what was made from them.
    pub steps: Vec<StepResult>,
}

/// One arm on every metric of its test.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmEstimates {
    /// The test, where there are several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test: Option<String>,
    /// Name of the arm.
    pub arm: String,
    /// What it is in the experiment.
    pub role: Role,
    /// The seeds of `per_seed`.
    pub seeds: Vec<u64>,
    /// Each metric, by key.
    pub metrics: Vec<MetricEstimate>,
}

/// One metric of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricEstimate {
    /// Key of the metric.
    pub metric: String,
    /// The value and its uncertainty.
    #[serde(flatten)]
    pub value: Estimate,
}

/// One part of a report.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Section {
    /// A short name, unique in the report.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// Paragraphs.
    pub text: Vec<String>,
    /// Charts, which stand above the tables.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub charts: Vec<Chart>,
    /// Tables.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub tables: Vec<Table>,
}

impl Section {
    /// A section with an introduction.
    pub(crate) fn new(id: &str, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            title: title.into(),
            text: vec![text.into()],
            ..Self::default()
        }
    }

    /// Adds paragraphs.
    pub(crate) fn text(mut self, text: impl IntoIterator<Item = String>) -> Self {
        self.text.extend(text);
        self
    }

    /// Adds charts.
    pub(crate) fn charts(mut self, charts: impl IntoIterator<Item = Chart>) -> Self {
        self.charts.extend(charts);
        self
    }

    /// Adds tables.
    pub(crate) fn tables(mut self, tables: impl IntoIterator<Item = Table>) -> Self {
        self.tables.extend(tables);
        self
    }
}

/// Where the cells of a column stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows of cells.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// A short name, unique in its section.
    pub id: String,
    /// What stands above it; empty where the section's heading says it.
    pub title: String,
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
    /// Whether it is for those who ask: folded on the page, left out of the compact one.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub folded: bool,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name for programs.
    pub key: String,
    /// Its name for people.
    pub name: String,
    /// Where its cells stand.
    pub align: Align,
}

/// One row of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What the arm of the row is, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<Role>,
    /// One cell a column.
    pub cells: Vec<Cell>,
    /// What the row was made from.
    pub artifacts: Vec<String>,
}

/// One cell of a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// As every page prints it.
    pub text: String,
    /// Its number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<f64>,
    /// The 95 % interval of the number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ci95: Option<[f64; 2]>,
    /// Predictions or items behind the number.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub n: Option<usize>,
}

/// What stands where there is nothing to say.
pub(crate) const DASH: &str = "–";

/// Says how something stands in a cell.
macro_rules! cells {
    ($($what:ty: $cell:expr;)*) => {
        $(impl From<$what> for Cell {
            fn from(what: $what) -> Self {
                $cell(what)
            }
        })*
    };
}

cells! {
    &str: Cell::text;
    &String: Cell::text;
    String: Cell::text;
    usize: |count: usize| Cell::valued(format::count(count), count as f64);
    f64: |score: f64| Cell::valued(format::score(score), score);
    Estimate: |score: Estimate| Cell::estimate(&score, Unit::Score);
    &Estimate: |score: &Estimate| Cell::estimate(score, Unit::Score);
}

/// A dash for none.
impl<T: Into<Cell>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or_else(|| DASH.into(), Into::into)
    }
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A number as it is written in `text`.
    pub(crate) fn valued(text: impl Into<String>, value: f64) -> Self {
        Self {
            value: Some(value),
            ..Self::text(text)
        }
    }

    /// A p-value.
    pub(crate) fn p(p: f64) -> Self {
        Self::valued(format::p_value(p), p)
    }

    /// A number with its interval, or a dash where there is none.
    pub(crate) fn estimate(estimate: &Estimate, unit: Unit) -> Self {
        Self {
            text: unit.told(estimate),
            value: estimate.mean,
            ci95: estimate.mean.and(estimate.ci95),
            n: Some(estimate.n).filter(|n| *n > 0),
        }
    }

    /// Seed by seed.
    pub(crate) fn seeds(estimate: &Estimate, unit: Unit) -> Self {
        let values = estimate.per_seed.iter();
        commas(values.map(|value| unit.estimate(*value, None))).into()
    }

    /// Adds words behind the number.
    pub(crate) fn remark(mut self, remark: Option<&str>) -> Self {
        if let Some(remark) = remark {
            self.text += &format!(", {remark}");
        }
        self
    }
}

/// A table that grows column by column, with a row for each of its items.
pub(crate) struct TableOf<'i, T> {
    items: &'i [T],
    table: Table,
}

impl Table {
    /// A table with a row for each of `items`.
    pub(crate) fn of<'i, T>(id: &str, items: &'i [T]) -> TableOf<'i, T> {
        let rows = vec![Row::default(); items.len()];
        let id = id.to_owned();
        let table = Self {
            id,
            rows,
            ..Self::default()
        };
        TableOf { items, table }
    }

    /// Names the table.
    pub(crate) fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Folds the table away.
    pub(crate) fn folded(mut self) -> Self {
        self.folded = true;
        self
    }
}

impl<'i, T> TableOf<'i, T> {
    /// Adds a column, written `key|name` and that of numbers `>key|name`, with what it says of each item.
    pub(crate) fn column<C: Into<Cell>>(mut self, head: &str, cell: impl Fn(&'i T) -> C) -> Self {
        let words = head.trim_start_matches('>');
        let (key, name) = words.split_once('|').unwrap_or((words, words));
        self.table.columns.push(Column {
            key: key.to_owned(),
            name: name.to_owned(),
            align: match head.starts_with('>') {
                true => Align::Right,
                false => Align::Left,
            },
        });
        for (row, item) in self.table.rows.iter_mut().zip(self.items) {
            row.cells.push(cell(item).into());
        }
        self
    }

    /// Says what the arm of each row is, and what the row was made from.
    pub(crate) fn source<S>(mut self, source: impl Fn(&'i T) -> (Option<Role>, S)) -> Self
    where
        S: IntoIterator<Item = ArtifactRef>,
    {
        for (row, item) in self.table.rows.iter_mut().zip(self.items) {
            let (role, artifacts) = source(item);
            row.role = role;
            for artifact in artifacts.into_iter().map(|artifact| artifact.to_string()) {
                add_once(&mut row.artifacts, artifact);
            }
        }
        self
    }

    /// The table, without columns in which no cell says anything.
    pub(crate) fn done(self) -> Table {
        let mut table = self.table;
        for at in (0..table.columns.len()).rev() {
            let blank = |row: &Row| matches!(&row.cells[at].text[..], "" | DASH);
            if table.rows.iter().all(blank) {
                table.columns.remove(at);
                table.rows.iter_mut().for_each(|row| {
                    row.cells.remove(at);
                });
            }
        }
        table
    }
}

/// What something drawn stands for: a role, or good and bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Tone {
    Base,
    Teacher,
    Student,
    Ceiling,
    Baseline,
    Better,
    Worse,
}

impl From<Role> for Tone {
    fn from(role: Role) -> Self {
        match role {
            Role::Base => Self::Base,
            Role::Teacher => Self::Teacher,
            Role::Student => Self::Student,
            Role::Ceiling => Self::Ceiling,
            Role::Baseline => Self::Baseline,
        }
    }
}

impl Tone {
    /// Good, bad, or neither.
    pub(crate) fn of(better: Option<bool>) -> Self {
        match better {
            Some(true) => Self::Better,
            Some(false) => Self::Worse,
            None => Self::Student,
        }
    }
}

/// A drawing with its caption.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// What is shown; empty where the section's heading says it.
    pub title: String,
    /// The charts of one group stand together, folded away behind its name.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub group: String,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub(crate) legend: Vec<(Tone, String)>,
    #[serde(flatten)]
    pub(crate) drawing: Drawing,
}

impl Chart {
    /// A drawing without more words.
    pub(crate) fn new(title: impl Into<String>, drawing: Drawing) -> Self {
        Self {
            title: title.into(),
            group: String::new(),
            legend: Vec::new(),
            drawing,
        }
    }

    /// Adds what the tones mean.
    pub(crate) fn legend(mut self, legend: &[(Tone, &str)]) -> Self {
        let entries = legend.iter().map(|&(tone, name)| (tone, name.to_owned()));
        self.legend = entries.collect();
        self
    }
}

/// What is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(crate) enum Drawing {
    Dots(Dots),
    Plot(Plot),
    Map(HeatMap),
}

/// A row for each value, with its interval and its seeds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dots {
    pub(crate) rows: Vec<Dot>,
    pub(crate) levels: Vec<Level>,
    pub(crate) limits: Option<[f64; 2]>,
    pub(crate) unit: Unit,
}

impl Dots {
    /// Rows, and lines to read them against.
    pub(crate) fn new(rows: Vec<Dot>, levels: Vec<Level>, unit: Unit) -> Self {
        let limits = None;
        Self {
            rows,
            levels,
            limits,
            unit,
        }
    }
}

/// One row of a dot chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dot {
    pub(crate) label: String,
    pub(crate) tone: Tone,
    pub(crate) mean: f64,
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) per_seed: Vec<f64>,
    pub(crate) faint: bool,
}

impl Dot {
    /// The row of an estimate; none where there is no value.
    pub(crate) fn new(label: &str, tone: impl Into<Tone>, estimate: &Estimate) -> Option<Self> {
        Some(Self {
            label: label.to_owned(),
            tone: tone.into(),
            mean: estimate.mean?,
            interval: estimate.ci95,
            per_seed: estimate.per_seed.iter().flatten().copied().collect(),
            faint: false,
        })
    }

    /// Draws it pale, where `faint` says so.
    pub(crate) fn faint(self, faint: bool) -> Self {
        Self { faint, ..self }
    }
}

/// A line to read values against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) at: f64,
    pub(crate) tone: Tone,
    pub(crate) label: String,
}

impl Level {
    pub(crate) fn new(at: f64, tone: impl Into<Tone>, label: impl Into<String>) -> Self {
        let (tone, label) = (tone.into(), label.into());
        Self { at, tone, label }
    }
}

/// How large a plot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Size {
    Wide,
    Half,
    Small,
    Square,
}

/// Lines and points over two axes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plot {
    pub(crate) size: Size,
    pub(crate) x: String,
    pub(crate) logarithmic: bool,
    pub(crate) lines: Vec<Line>,
    pub(crate) level: Option<Level>,
    pub(crate) mark: Option<(f64, String)>,
}

impl Plot {
    /// A plot of lines alone.
    pub(crate) fn new(size: Size, x: &str, lines: Vec<Line>) -> Self {
        Self {
            size,
            x: x.to_owned(),
            logarithmic: false,
            lines,
            level: None,
            mark: None,
        }
    }
}

/// How the points of a line are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Mark {
    None,
    Dot,
    Square,
}

/// One line, or the points of a scatter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) title: String,
    pub(crate) tone: Tone,
    pub(crate) points: Vec<Spot>,
    pub(crate) joined: bool,
    pub(crate) mark: Mark,
    pub(crate) faint: bool,
}

impl Line {
    /// Joined points, without marks where `mark` is none.
    pub(crate) fn curve(
        title: impl Into<String>,
        tone: Tone,
        mark: Mark,
        points: Vec<Spot>,
    ) -> Self {
        Self {
            title: title.into(),
            joined: true,
            ..Self::marks(tone, mark, points)
        }
    }

    /// Marks that are not joined.
    pub(crate) fn marks(tone: Tone, mark: Mark, points: Vec<Spot>) -> Self {
        Self {
            title: String::new(),
            tone,
            points,
            joined: false,
            mark,
            faint: false,
        }
    }

    /// Draws it pale, where `faint` says so.
    pub(crate) fn faint(self, faint: bool) -> Self {
        Self { faint, ..self }
    }
}

/// A point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spot {
    pub(crate) at: [f64; 2],
    pub(crate) interval: Option<[f64; 2]>,
    pub(crate) share: Option<f64>,
    pub(crate) title: String,
}

impl Spot {
    /// A point, and what is told of it.
    pub(crate) fn new(at: [f64; 2], title: impl Into<String>) -> Self {
        Self {
            at,
            interval: None,
            share: None,
            title: title.into(),
        }
    }

    /// The value of something at `x`; none where there is no value.
    pub(crate) fn of(x: f64, estimate: &Estimate, name: &str) -> Option<Self> {
        let title = format!("{name}: {}", Unit::Score.told(estimate));
        Some(Self {
            interval: estimate.ci95,
            ..Self::new([x, estimate.mean?], title)
        })
    }
}

/// Cells over two sides. Without names to the right, both sides have the same: `chosen` downwards, `rejected` to the right, and
/// imitation in a column of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeatMap {
    pub(crate) rungs: Vec<(String, Option<f64>)>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) across: Option<Across>,
    pub(crate) cells: Vec<HeatCell>,
}

/// The sides of a [`HeatMap`] whose columns are not called like its rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Across {
    /// What the names downwards are.
    pub(crate) down: String,
    /// What the names to the right are.
    pub(crate) right: String,
    /// The names to the right.
    pub(crate) names: Vec<String>,
}

/// A cell of a [`HeatMap`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeatCell {
    pub(crate) title: String,
    pub(crate) row: usize,
    pub(crate) column: Option<usize>,
    pub(crate) tone: Tone,
    pub(crate) value: f64,
    pub(crate) text: String,
    pub(crate) note: String,
}
