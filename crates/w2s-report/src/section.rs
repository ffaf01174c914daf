//! What a report says: sections of text, tables and charts. Every page prints these and nothing else.

use serde::{Deserialize, Serialize};
use w2s_artifact::{ArtifactRef, Role};
use w2s_stats::Estimate;

use crate::format::{self, Unit};
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
    pub fn new(id: &str, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            id: id.to_owned(),
            title: title.into(),
            text: vec![text.into()],
            ..Self::default()
        }
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

impl Cell {
    /// Words.
    pub fn text(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            ..Self::default()
        }
    }

    /// A number, or a dash where there is none.
    pub fn number(value: Option<f64>, unit: Unit) -> Self {
        Self {
            text: value.map_or("–".to_owned(), |value| unit.write(value)),
            value,
            ..Self::default()
        }
    }

    /// A count.
    pub fn count(count: usize) -> Self {
        Self {
            text: format::count(count as u64),
            value: Some(count as f64),
            ..Self::default()
        }
    }

    /// A number with its interval.
    pub fn estimate(estimate: &Estimate, unit: Unit) -> Self {
        Self {
            text: unit.estimate(estimate.mean, estimate.ci95),
            value: estimate.mean,
            ci95: estimate.mean.and(estimate.ci95),
            n: Some(estimate.n),
        }
    }

    /// Seed by seed.
    pub fn seeds(values: &[Option<f64>], unit: Unit) -> Self {
        let written = values
            .iter()
            .map(|value| value.map_or("–".to_owned(), |value| unit.write(value)));
        Self::text(written.collect::<Vec<_>>().join(", "))
    }

    /// Adds words behind the number.
    pub fn remark(mut self, remark: Option<&str>) -> Self {
        if let Some(remark) = remark {
            self.text += &format!(", {remark}");
        }
        self
    }
}

impl Table {
    /// A table whose columns are written `key|name`, those of numbers `>key|name`.
    pub fn new(id: &str, columns: &[&str]) -> Self {
        let column = |text: &&str| {
            let (align, text) = match text.strip_prefix('>') {
                Some(text) => (Align::Right, text),
                None => (Align::Left, *text),
            };
            let (key, name) = text.split_once('|').unwrap_or((text, text));
            Column {
                key: key.to_owned(),
                name: name.to_owned(),
                align,
            }
        };
        Self {
            id: id.to_owned(),
            columns: columns.iter().map(column).collect(),
            ..Self::default()
        }
    }

    /// Names the table.
    pub fn titled(mut self, title: impl Into<String>) -> Self {
        self.title = title.into();
        self
    }

    /// Folds the table away.
    pub fn folded(mut self) -> Self {
        self.folded = true;
        self
    }

    /// Adds a row.
    pub fn push(
        &mut self,
        role: Option<Role>,
        cells: Vec<Cell>,
        artifacts: impl IntoIterator<Item = ArtifactRef>,
    ) {
        debug_assert_eq!(cells.len(), self.columns.len(), "one cell a column");
        let mut row = Row {
            role,
            cells,
            artifacts: Vec::new(),
        };
        for artifact in artifacts {
            let artifact = artifact.to_string();
            if !row.artifacts.contains(&artifact) {
                row.artifacts.push(artifact);
            }
        }
        self.rows.push(row);
    }

    /// Leaves out columns in which no cell says anything.
    pub fn without_blank_columns(mut self) -> Self {
        let blank = |cell: &Cell| matches!(&cell.text[..], "" | "–");
        for at in (0..self.columns.len()).rev() {
            if self.rows.iter().all(|row| blank(&row.cells[at])) {
                self.columns.remove(at);
                for row in &mut self.rows {
                    row.cells.remove(at);
                }
            }
        }
        self
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

impl Tone {
    /// The word for it in style sheets.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Teacher => "teacher",
            Self::Student => "student",
            Self::Ceiling => "ceiling",
            Self::Baseline => "baseline",
            Self::Better => "better",
            Self::Worse => "worse",
        }
    }
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

    /// Puts it into a group.
    pub(crate) fn grouped(mut self, group: impl Into<String>) -> Self {
        self.group = group.into();
        self
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
    /// A row for each value, with its interval and its seeds.
    Dots {
        rows: Vec<Dot>,
        levels: Vec<Level>,
        limits: Option<[f64; 2]>,
        unit: Unit,
    },
    Plot(Plot),
    Map(HeatMap),
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
}

/// A line to read values against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Level {
    pub(crate) at: f64,
    pub(crate) tone: Tone,
    pub(crate) label: String,
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
    /// Joined points without marks.
    pub(crate) fn curve(title: impl Into<String>, tone: Tone, points: &[[f64; 2]]) -> Self {
        Self {
            title: title.into(),
            tone,
            points: points.iter().map(|&at| Spot::bare(at)).collect(),
            joined: true,
            mark: Mark::None,
            faint: false,
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
    /// A point of which nothing more is said.
    pub(crate) fn bare(at: [f64; 2]) -> Self {
        Self {
            at,
            interval: None,
            share: None,
            title: String::new(),
        }
    }
}

/// Cells over two sides with the same names: `chosen` downwards, `rejected` to the right, and imitation in a column of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HeatMap {
    pub(crate) rungs: Vec<(String, Option<f64>)>,
    pub(crate) cells: Vec<HeatCell>,
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
