//! Errors as a person reads them: what failed, why, and what to type next.

use std::error::Error;
use std::fmt;

use w2s_artifact::{StoreError, plain};

/// Returned by an operation that stopped because [`Step::interrupted`](crate::Step::interrupted) said so. The stage keeps
/// the partial folder and exits with code 130.
///
/// A library below the stages, which cannot name this type, ends the text of its error with `the state is saved`. Any other
/// error is a failure, whenever it happens: a full disk while the state is saved is not a saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl Error for Interrupted {}

/// An error with the next thing to type.
#[derive(Debug)]
struct Hint {
    text: String,
    error: anyhow::Error,
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Hint {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

/// Adds a hint to a result.
///
/// Library crates below the stages need no such trait: a line of an error's text that begins with `hint: ` is shown as the
/// hint too.
pub trait HintExt<T> {
    /// Says what to type next, should this be an error.
    fn hint(self, text: impl Into<String>) -> anyhow::Result<T>;

    /// Like [`hint`](Self::hint), with a text that is only made when needed.
    fn with_hint<S: Into<String>>(self, text: impl FnOnce() -> S) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> HintExt<T> for Result<T, E> {
    fn hint(self, text: impl Into<String>) -> anyhow::Result<T> {
        self.with_hint(|| text)
    }

    fn with_hint<S: Into<String>>(self, text: impl FnOnce() -> S) -> anyhow::Result<T> {
        self.map_err(|error| {
            anyhow::Error::new(Hint {
                text: text().into(),
                error: error.into(),
            })
        })
    }
}

/// How a library below the stages says that it stopped because it was told to.
const SAVED: &str = "the state is saved";

/// Whether an interruption is what stopped the step.
pub(crate) fn is_interruption(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| match cause.downcast_ref::<Hint>() {
            Some(hint) => is_interruption(&hint.error),
            None => cause.is::<Interrupted>() || cause.to_string().ends_with(SAVED),
        })
}

/// The lines of an error: `error:`, then `  caused by:` for each cause, then `hint:`.
pub(crate) fn render(error: &anyhow::Error) -> String {
    let mut lines = Vec::new();
    let mut hint = None;
    for (depth, cause) in error.chain().enumerate() {
        let text = cause.to_string();
        let (hints, message): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| line.starts_with("hint: "));
        let lead = if depth == 0 {
            "error: "
        } else {
            "  caused by: "
        };
        lines.push(format!("{lead}{}", message.join("\n    ")));
        hint = hint
            .or_else(|| hint_of(cause))
            .or_else(|| hints.first().map(|line| line["hint: ".len()..].to_owned()));
    }
    lines.extend(hint.map(|hint| format!("hint: {hint}")));
    let text = lines.join("\n");
    let lines: Vec<_> = text.lines().map(plain).collect();
    lines.join("\n")
}

/// The hint an error carries itself.
fn hint_of(cause: &(dyn Error + 'static)) -> Option<String> {
    if let Some(hint) = cause.downcast_ref::<Hint>() {
        return Some(hint.text.clone());
    }
    cause
        .downcast_ref::<StoreError>()
        .and_then(StoreError::hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn an_error_shows_causes_and_the_outermost_hint() {
        let result: anyhow::Result<()> = Err(anyhow!("labels/5cd0a1f3 has 4000 rows, data 6000"))
            .hint("run the label step again")
            .context("step `naive` cannot start");
        assert_eq!(
            render(&result.unwrap_err()),
            "error: step `naive` cannot start\n  caused by: labels/5cd0a1f3 has 4000 rows, data 6000\nhint: run the label step again"
        );
        let twice: anyhow::Result<()> = Err(anyhow!("low"))
            .hint("inner")
            .context("high")
            .hint("outer");
        assert_eq!(
            render(&twice.unwrap_err()),
            "error: high\n  caused by: low\nhint: outer"
        );
    }

    #[test]
    fn hints_come_from_the_store_and_from_plain_text() {
        let error = StoreError::BadReference {
            text: "x".into(),
            reason: "no".into(),
        };
        assert!(
            render(&anyhow::Error::new(error).context("input `base`"))
                .contains("\nhint: write `KIND/HEX`")
        );
        let error =
            anyhow!("no column `text`\nhint: name it with --text").context("cannot read rows.csv");
        assert_eq!(
            render(&error),
            "error: cannot read rows.csv\n  caused by: no column `text`\nhint: name it with --text"
        );
    }

    #[test]
    fn an_interruption_is_seen_through_context_and_hints() {
        let bare = anyhow::Error::new(Interrupted);
        assert!(is_interruption(&bare));
        assert!(is_interruption(&bare.context("training")));
        let hinted: anyhow::Result<()> = Err(Interrupted)
            .hint("go on")
            .context("training")
            .hint("later");
        assert!(is_interruption(&hinted.unwrap_err()));
        assert!(!is_interruption(&anyhow!("interrupted")));
        // As a training loop of a library says it.
        let stopped = anyhow!("stopped after step 3 of 9; the state is saved");
        assert!(is_interruption(&stopped.context("training")));
    }

    #[test]
    fn what_an_input_holds_does_not_steer_the_terminal() {
        let error = anyhow!("row `a\u{1b}[2J\u{9b}b\rc\u{202e}`").context("cannot read\tit");
        assert_eq!(
            render(&error),
            "error: cannot read it\n  caused by: row `a\\u001b[2J\\u009bb\\u000dc\\u202e`"
        );
    }
}
