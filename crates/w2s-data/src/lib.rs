//! Tasks, splits, generated worlds, tokenizers and preference pairs.
//!
//! [`source`] reads records from files, a [`Task`] says what they mean and makes [`Row`]s of them, and [`cut`] divides the rows
//! into gold, transfer and test with a [`SplitPlan`] that accounts for each. [`pre_cut`] takes rows that were divided
//! elsewhere. Where no data is at hand, a [`ReviewsWorld`] makes up a language: [`Reviews::documents`] to pretrain on,
//! [`Reviews::pool_reviews`] and [`Reviews::test_reviews`] to classify. A [`QuestionWorld`] asks and answers instead:
//! [`question::documents`] to pretrain on, [`question::questions`] to tune and to test with. [`tokenizer`] learns a vocabulary
//! from documents.
//!
//! For preference tuning, a [`RowFormat`] finds the conversations in rows of files, [`prompts()`] makes prompts of them, and a
//! [`Pairing`] makes pairs, of rows or of the [`Answers`] of models, leaves out what teaches nothing, and counts it.
//!
//! A [`Matrix`] is features of the user's own, one row for each row of the source, for probes on frozen models of any kind.
//!
//! All of it is a function of files and seeds; nothing here trains or scores a model.
//!
//! ```
//! use w2s_data::{Reader, ReviewsWorld, Row, SplitParams, cut, reviews};
//!
//! # fn main() -> Result<(), w2s_data::DataError> {
//! let world = ReviewsWorld::default().build(7)?;
//! println!("{}", world.documents().next().unwrap_or_default());
//!
//! let pool = reviews::rows(world.pool_reviews().take(500), 0);
//! let test = reviews::rows(world.test_reviews().take(100), 500);
//! let sizes = SplitParams { gold_rows: Some(100), transfer_rows: Some(200), ..SplitParams::default() };
//! let classes = reviews::CLASSES.map(String::from);
//! let (examples, plan) = cut(pool, Some(test), 0, &classes, 0, &sizes)?;
//! assert_eq!(plan.splits.test.per_class, [50, 50]);
//!
//! // Whoever knows every word and the grammar is always right.
//! let right = |label: u32, score: i64| (label == 1) == (score > 0);
//! assert!(examples.iter().all(|row| right(row.label, Reader::COMPLETE.read(&world, &row.text))));
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

mod random;

mod world;

pub mod tokenizer;

#[cfg(feature = "cli")]
mod world_params;

#[cfg(feature = "cli")]
mod operations;

#[cfg(feature = "cli")]
mod preference_operations;

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
        Answers, Given, LengthUnit, PairFilters, PairRule, Pairing, PairsDropped, Reason,
        ScoreColumn,
    },
    prompts::{PromptsRead, prompts},
    random::Stream,
    split::{
        Dropped, Normalise, Row, SplitCount, SplitCounts, SplitParams, SplitPlan, cut, pre_cut,
    },
    task::{Choices, FileRoles, LabelColumn, Loaded, Origin, Task},
    world::glossary::{Glossary, GlossaryWorld},
    world::question::{self, Part, QuestionWorld},
    world::reviews::{self, Reader, Review, Reviews, ReviewsWorld},
    world::sections::{Sections, SectionsWorld},
};
#[cfg(feature = "cli")]
pub use crate::{
    export::{Export, ExportFormat},
    inspect::{Inspect, RowsOf, TemplateName, TooLong},
    matrix::FeaturesOperation,
    operations::{Corpus, TaskOperation},
    preference_operations::{Pairs, Prompts},
    questions::{AnswersOperation, QuestionsOperation},
    world_params::{WorldName, WorldParams},
};
