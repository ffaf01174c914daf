//! Tasks, splits, generated worlds, tokenizers and preference pairs.
//!
//! [`source`] reads records from files, a [`Task`] says what they mean and makes [`Row`]s of them, and [`cut`] divides the rows
//! into gold, transfer and test with a plan that accounts for each. [`pre_cut`] takes rows that were divided elsewhere. Where
//! no data is at hand, a world of [`w2s_worlds`] makes it up. [`tokenizer`] learns a vocabulary from documents.
//!
//! For preference tuning, a [`RowFormat`] finds the conversations in rows of files, [`prompts()`] makes prompts of them, and a
//! [`Pairing`] makes pairs, of rows or of the [`Answers`] of models, leaves out what teaches nothing, and counts it. It also
//! deals pairs out to gold, transfer and test, puts them into the order of a weak model's labels, and mixes those of two
//! objectives.
//!
//! Worked solutions are compared by where they come to: a [`Selection`] keeps what two sources agree on, [`contrast`] makes pairs
//! of weak answers and a student's vote, and [`responses`] reads answers from files.
//!
//! A [`Matrix`] is features of the user's own, one row for each row of the source, for probes on frozen models of any kind.
//!
//! All of it is a function of files and seeds; nothing here trains or scores a model.
//!
//! ```
//! use w2s_data::{Row, SplitParams, cut, table};
//!
//! # fn main() -> Result<(), w2s_data::DataError> {
//! let row = |id: u64| Row { id, text: format!("text {id}"), label: (id % 2) as u32, groups: vec![] };
//! let sizes = SplitParams { gold_rows: Some(20), test_rows: Some(40), ..SplitParams::default() };
//! let classes = ["bad", "good"].map(String::from);
//! let (examples, plan) = cut((0..200).map(row).collect(), None, 0, &classes, 0, &sizes)?;
//! assert_eq!(plan.splits.test.per_class, [20, 20]);
//! assert_eq!(examples.len(), 200);
//! println!("{}", table(&plan));
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

mod error;

pub mod source;

mod task;

mod split;

mod conversation;

mod matrix;

mod prompts;

mod pairs;

mod solutions;

pub mod tokenizer;

#[cfg(feature = "cli")]
mod world_params;

#[cfg(feature = "cli")]
mod operations;

#[cfg(feature = "cli")]
mod preference_operations;

#[cfg(feature = "cli")]
mod pair_operations;

#[cfg(feature = "cli")]
mod questions;

#[cfg(feature = "cli")]
mod export;

#[cfg(feature = "cli")]
mod inspect;

pub use crate::{
    conversation::{Asked, Comparison, Form, Mark, RowFormat},
    error::{DataError, Place},
    matrix::{Matrix, MatrixError},
    pairs::{
        Answers, Given, LabelFilters, LengthUnit, PairFilters, PairRule, Pairing, PairsDropped,
        Reason, ScoreColumn,
    },
    prompts::{Half, PromptsRead, prompts, take_out},
    solutions::{
        ContrastRule, Imported, ResponseColumns, SelectRule, Selected, Selection, Solution,
        Solutions, Take, Top, contrast, responses,
    },
    split::{Normalise, Row, SplitParams, counts, cut, pre_cut, table},
    task::{Choices, FileRoles, Keys, LabelColumn, Layout, Loaded, Made, Origin, Task},
};
#[cfg(feature = "cli")]
pub use crate::{
    export::{Export, ExportFormat},
    inspect::{Inspect, RowsOf, TemplateName, TooLong},
    matrix::FeaturesOperation,
    operations::{Corpus, TaskOperation, Unit},
    pair_operations::{Deal, Mix, Relabel},
    preference_operations::{Pairs, Prompts},
    questions::{AnswersOperation, Preferences, QuestionsOperation},
    solutions::{Contrast, ResponsesOperation, Select},
    world_params::{WorldName, WorldParams},
};
