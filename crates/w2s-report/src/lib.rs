//! The one report: items to tables, charts and findings.
//!
//! [`build()`] reads predictions, scores and theory. An adapter for each kind turns artifacts into entries: one arm in one seed on
//! one test, with its items and what it did with them. The entries of a test are joined into an [`Experiment`], items x arms x
//! seeds x metrics, which refuses arms that were not asked the same. All of its quantities are drawn together, so that whatever is derived from
//! two of them is paired, and each contrast (the recovered gap, arms against the base, students against each other, the ladder, the curve, ...)
//! writes its sections, findings and warnings. The [`Report`] is these sections; [`Report::to_json`],
//! [`Report::to_markdown`] and [`Report::to_html`] print them and nothing else: a number that is not in a [`Section`] is on no page.
//!
//! ```
//! use w2s_report::{Cell, Section, Table, Unit};
//!
//! let mut table = Table::new("arms", &["arm|Arm", ">accuracy|Accuracy"]);
//! table.push(None, vec![Cell::text("naive"), Cell::number(Some(0.8284), Unit::Score)], []);
//! let mut section = Section::new("result", "Result", "One arm on 2,000 items.");
//! section.tables.push(table);
//! assert_eq!(section.tables[0].rows[0].cells[1].text, "0.828");
//! ```

#![deny(missing_docs)]

mod section;
pub use section::{
    Align, ArmEstimates, Cell, Chart, Column, Dot, Drawing, FORMAT, HeatCell, HeatMap, Level, Line,
    Mark, MetricEstimate, Plot, Report, Row, Section, Size, Spot, Table, Tone,
};

mod experiment;
pub use experiment::{Arm, Entry, Experiment, Item, Run};

mod metric;
pub use metric::{Better, Metric};

mod adapters;
pub mod baselines;

mod analysis;
mod contrasts;

mod build;
pub use build::{Inputs, Options, build};

mod error;
pub use error::ReportError;

mod lineage;
mod provenance;
pub use provenance::StepResult;

mod format;
pub use format::Unit;

mod render;

#[cfg(feature = "cli")]
mod operation;
#[cfg(feature = "cli")]
pub use operation::Build;
