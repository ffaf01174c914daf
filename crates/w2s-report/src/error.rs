//! Why artifacts do not add up to a report.

use w2s_artifact::{Role, StoreError};

/// Why artifacts do not add up to a report. A text may end in a line `hint: …`, the next thing to type.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Nothing to report on.
    #[error(
        "there are no predictions, scores or theory to report on\nhint: name some with `--predictions`, `--scores` or `--theory`"
    )]
    Nothing,
    /// Predictions that do not say what they are about.
    #[error("{artifact} has no input `{input}`\nhint: make it with an operation of `w2s-eval`")]
    NoInput {
        /// The artifact.
        artifact: String,
        /// The input that is missing.
        input: &'static str,
    },
    /// One arm and seed twice.
    #[error(
        "arm `{arm}` has two results for seed {seed}: {first} and {second}\nhint: give each way of training its own `--arm`, each number of steps its own `--tag steps=N`, and each test its own `--tag test=NAME`"
    )]
    Duplicate {
        /// The arm.
        arm: String,
        /// The seed.
        seed: u64,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// An arm that is two things.
    #[error(
        "arm `{arm}` has {what} {first} in one seed and {second} in another\nhint: give an arm the same {what} in every seed"
    )]
    TwoMeanings {
        /// The arm.
        arm: String,
        /// `role` or `tags`.
        what: &'static str,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// Several arms of a role, and none of them is an arm's own.
    #[error(
        "arms {candidates} all have role `{role}`, and the inputs of arm `{arm}` do not tell which is its own\nhint: write one report for each {role}"
    )]
    Ambiguous {
        /// The arm that is compared.
        arm: String,
        /// The role.
        role: Role,
        /// The arms of that role.
        candidates: String,
    },
    /// An arm lacks seeds that another arm has.
    #[error(
        "results are incomplete: {}\nhint: make what is missing, or leave those seeds out; in a recipe, `[*]` behind a step's name means all of its seeds",
        missing.join("; ")
    )]
    Incomplete {
        /// What is missing, one entry an arm.
        missing: Vec<String>,
    },
    /// Results that are not about the rows of their data.
    #[error(
        "arm `{arm}`, seed {seed}: {predictions} and the test split of {examples} differ: {reason}\nhint: predict with the `--data` of the same seed for every arm"
    )]
    OtherRows {
        /// The arm.
        arm: String,
        /// The seed.
        seed: u64,
        /// The predictions.
        predictions: String,
        /// The examples they name as their data.
        examples: String,
        /// The first difference.
        reason: String,
    },
    /// Two arms of one seed were looked at on different items.
    #[error(
        "seed {seed}: {first} and {second} were tested on different items: {reason}\nhint: test every arm on the same rows or prompts, with a `--max-tokens` into which all of them fit"
    )]
    OtherItems {
        /// The seed.
        seed: u64,
        /// One arm and its artifact.
        first: String,
        /// The other arm and its artifact.
        second: String,
        /// The first difference.
        reason: String,
    },
    /// Two arms of one test have other classes.
    #[error(
        "{first} and {second} do not have the same classes: {reason}\nhint: train, predict and test on the same classes in the same order"
    )]
    OtherClasses {
        /// One arm and its artifact.
        first: String,
        /// The other arm and its artifact.
        second: String,
        /// Both lists of classes.
        reason: String,
    },
    /// An artifact without an item.
    #[error("{artifact} of arm `{arm}` has no items\nhint: look at what its summary says was dropped")]
    NoItems {
        /// The artifact.
        artifact: String,
        /// The arm.
        arm: String,
    },
    /// No metric that all arms have on all items.
    #[error(
        "the arms have no metric in common: {}\nhint: score every arm with the same `--scorer`",
        partial.join("; ")
    )]
    NoMetric {
        /// Where each metric is missing.
        partial: Vec<String>,
    },
    /// A headline metric that some arms lack.
    #[error("the metric {reason}\nhint: score every arm with the same `--scorer`")]
    PartialMetric {
        /// Where it is missing.
        reason: String,
    },
    /// A headline metric that is not there.
    #[error("no metric is called `{metric}`; there are {}", known.join(", "))]
    UnknownMetric {
        /// What was asked for.
        metric: String,
        /// What there is.
        known: Vec<String>,
    },
    /// A tag `steps` that is no number.
    #[error(
        "arm `{arm}` has the tag steps={steps}, which is not a number of steps\nhint: write it like `--tag steps=100`"
    )]
    Steps {
        /// The arm.
        arm: String,
        /// Its tag.
        steps: String,
    },
    /// A file of an artifact that cannot be read.
    #[error("{artifact} cannot be read: {reason}")]
    Unreadable {
        /// The artifact.
        artifact: String,
        /// Why.
        reason: String,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}
