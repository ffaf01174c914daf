//! The operations of the student in a store, and what they refuse.

mod classify;
mod preference;
mod probe;
mod reward;

#[path = "../../../w2s-methods/tests/methods/models.rs"]
mod models;
mod support;
