//! Why artifacts do not add up to a report.

use w2s_artifact::StoreError;

/// Why artifacts do not add up to a report. A text may end in a line `hint: …`, the next thing to type.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// What is wrong, with which artifacts or arms.
    #[error("{0}")]
    Refused(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ReportError {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self::Refused(what.into())
    }

    pub(crate) fn hinted(what: impl std::fmt::Display, hint: impl std::fmt::Display) -> Self {
        Self::Refused(format!("{what}\nhint: {hint}"))
    }

    pub(crate) fn nothing() -> Self {
        Self::hinted(
            "there are no predictions, scores or theory to report on",
            "name some with `--predictions`, `--scores` or `--theory`",
        )
    }

    pub(crate) fn no_items(artifact: &str, arm: &str) -> Self {
        Self::hinted(
            format_args!("{artifact} of arm `{arm}` has no items"),
            "look at what its summary says was dropped",
        )
    }

    pub(crate) fn other_classes(first: &str, second: &str, classes: [&[String]; 2]) -> Self {
        let [ours, theirs] = classes.map(|classes| classes.join(" / "));
        Self::hinted(
            format_args!("{first} and {second} do not have the same classes: {ours} and {theirs}"),
            "train, predict and test on the same classes in the same order",
        )
    }
}
