//! Tasks, splits, generated worlds and tokenizers.
//!
//! [`source`] reads records from files, a [`Task`] says what they mean and makes [`Row`]s of them, and [`cut`] divides the rows
//! into gold, transfer and test with a [`SplitPlan`] that accounts for each. [`pre_cut`] takes rows that were divided
//! elsewhere. Where no data is at hand, a [`ReviewsWorld`] makes up a language: [`Reviews::documents`] to pretrain on,
//! [`Reviews::pool_reviews`] and [`Reviews::test_reviews`] to classify. [`tokenizer`] learns a vocabulary from documents.
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
//! let pool = reviews::rows(world.pool_reviews().take(500));
//! let test = reviews::rows(world.test_reviews().take(100));
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

mod random;

mod world;

pub mod tokenizer;

#[cfg(feature = "cli")]
mod operations;

#[cfg(feature = "cli")]
mod export;

#[cfg(feature = "cli")]
mod inspect;

pub use crate::{
    error::{DataError, Place},
    random::Stream,
    split::{
        Dropped, Normalise, Row, SplitCount, SplitCounts, SplitParams, SplitPlan, cut, pre_cut,
    },
    task::{Choices, FileRoles, LabelColumn, Loaded, Origin, Task},
    world::reviews::{self, Reader, Review, Reviews, ReviewsWorld},
};
#[cfg(feature = "cli")]
pub use crate::{
    export::{Export, ExportFormat},
    inspect::{Inspect, RowsOf, TemplateName},
    operations::{Corpus, TaskOperation, WorldName, WorldParams},
};
