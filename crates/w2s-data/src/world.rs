//! Generated worlds: languages made up from a seed, with text to pretrain on and a task to learn, so that an experiment
//! needs no download and its question is known to have an answer.

pub mod glossary;
pub mod question;
pub mod reviews;
pub mod sections;
mod words;
