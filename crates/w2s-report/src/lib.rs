//! The one report: items to tables, charts and findings.
//!
//! [`build()`] reads predictions, scores and theory. An adapter for each kind turns artifacts into entries: one arm in one seed on
//! one test, with its items and what it did with them. The entries of a test are joined into an experiment, items x arms x
//! seeds x metrics, which refuses arms that were not asked the same. All of its quantities are drawn together, so that whatever is derived from
//! two of them is paired, and each contrast (the recovered gap, arms against the base, students against each other, the ladder, the curve, ...)
//! writes its sections, findings and warnings. The [`Report`] is these sections; [`Report::to_json`],
//! [`Report::to_markdown`] and [`Report::to_html`] print them and nothing else: a number that is not in a [`Section`] is on no page.
//!
//! ```
//! use w2s_artifact::Store;
//! use w2s_report::{Inputs, Options, build};
//!
//! # let folder = tempfile::tempdir().unwrap();
//! let store = Store::open(folder.path())?;
//! let nothing = build(&store, &Inputs::default(), &Options::default());
//! assert!(nothing.unwrap_err().to_string().contains("hint: name some with `--predictions`"));
//! # Ok::<(), w2s_artifact::StoreError>(())
//! ```

#![deny(missing_docs)]

mod section;
pub use section::{
    Align, ArmEstimates, Cell, Chart, Column, FORMAT, MetricEstimate, Report, Row, Section, Table,
};

mod experiment;
mod metric;

mod adapters;
mod baselines;

mod analysis;
mod contrasts;
pub use contrasts::{AuditOptions, Comparator};

mod build;
pub use build::{Inputs, Options, build};

mod error;
pub use error::ReportError;

mod lineage;
mod provenance;
pub use provenance::StepResult;

mod format;
mod grouped;

mod render;

#[cfg(feature = "cli")]
mod operation;
#[cfg(feature = "cli")]
pub use operation::Build;
