//! Generated worlds: languages made up from a seed, with text to pretrain on and a task to learn, so that an experiment
//! needs no download and its question is known to have an answer.
//!
//! [`reviews`] has opinions: [`Reviews::documents`] to pretrain on, [`Reviews::pool_reviews`] and [`Reviews::test_reviews`] to
//! classify, and [`Reviews::opinion_words`] to ask what a model knows of single words. [`sections`], [`glossary`], [`problems`]
//! and [`requests`] ask and answer, so each is a [`QuestionWorld`]: [`question::documents`] to pretrain on,
//! [`question::questions`] to tune and to test with. [`requests`] has two objectives besides, and [`Requests::pairs`] of answers
//! that each of them orders. The same seed and knobs give the same texts for ever: everything is drawn from a [`Stream`].
//!
//! ```
//! use w2s_worlds::{Reader, ReviewsWorld};
//!
//! # fn main() -> Result<(), w2s_worlds::WorldError> {
//! let world = ReviewsWorld::default().build(7)?;
//! println!("{}", world.documents().next().unwrap_or_default());
//!
//! // Whoever knows every word and the grammar is always right.
//! for review in world.test_reviews().take(100) {
//!     assert_eq!(Reader::COMPLETE.read(&world, &review.text) > 0, review.positive);
//! }
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

pub mod reviews;

pub mod question;

pub mod sections;

pub mod glossary;

pub mod problems;

pub mod requests;

mod words;

mod random;

mod hash;

pub use crate::{
    glossary::{Glossary, GlossaryWorld},
    hash::{fnv1a, mix},
    problems::{Problems, ProblemsWorld},
    question::{Half, Part, QuestionWorld},
    random::Stream,
    requests::{Objective, RequestPair, Requests, RequestsWorld},
    reviews::{Reader, Review, Reviews, ReviewsWorld},
    sections::{Sections, SectionsWorld},
};

/// A knob outside its range, or knobs that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WorldError(String);
