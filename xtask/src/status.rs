//! Status lines that align and survive a pipe.

use std::time::Duration;

use console::Style;

use crate::out::plain;

/// The word a status line starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// The artifact was there.
    Cached,
    /// The step ran.
    Done,
    /// The step failed.
    Failed,
    /// The step starts, or would.
    Run,
    /// The step was interrupted and saved its state.
    Stopped,
}

/// Where a line goes, which decides whether it has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Results.
    Stdout,
    /// Progress.
    Stderr,
}

impl Word {
    fn text(self) -> &'static str {
        match self {
            Self::Cached => "CACHED",
            Self::Done => "DONE",
            Self::Failed => "FAILED",
            Self::Run => "RUN",
            Self::Stopped => "STOPPED",
        }
    }

    fn style(self, stream: Stream) -> Style {
        let style = match stream {
            Stream::Stdout => Style::new().for_stdout(),
            Stream::Stderr => Style::new().for_stderr(),
        };
        match self {
            Self::Cached => style.cyan(),
            Self::Done => style.green().bold(),
            Self::Failed => style.red().bold(),
            Self::Run => style.blue().bold(),
            Self::Stopped => style.yellow().bold(),
        }
    }
}

/// One status line; `width` is that of the longest name of the run.
pub fn line(
    stream: Stream,
    word: Word,
    time: Option<Duration>,
    name: &str,
    width: usize,
    subject: &str,
    rest: &str,
) -> String {
    let word = word.style(stream).apply_to(format!("{:>10}", word.text()));
    let time = time.map_or_else(String::new, |time| {
        format!("[{:>7.1}s]", time.as_secs_f64())
    });
    let (name, subject, rest) = (plain(name), plain(subject), plain(rest));
    format!("{word} {time:<10}  {name:<width$}  {subject:<20}  {rest}")
        .trim_end()
        .to_owned()
}

/// `kind/` and eight hex digits of a full reference.
pub fn short(artifact: &str) -> String {
    match artifact.split_once('/') {
        Some((kind, key)) => format!("{kind}/{}", key.get(..8).unwrap_or(key)),
        None => artifact.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_align() {
        let line = |word, time: Option<f64>, name: &str, subject: &str, rest: &str| {
            line(
                Stream::Stderr,
                word,
                time.map(Duration::from_secs_f64),
                name,
                8,
                subject,
                rest,
            )
        };
        let lines = [
            line(
                Word::Cached,
                None,
                "data",
                "examples/3f9a1c02",
                "12,000 examples",
            ),
            line(
                Word::Done,
                Some(42.1),
                "teacher",
                "checkpoint/81be77d0",
                "accuracy 0.742",
            ),
            line(
                Word::Failed,
                Some(3.04),
                "naive",
                "exit 1",
                ".w2s/logs/naive.log",
            ),
        ];
        assert_eq!(
            console::strip_ansi_codes(&lines.join("\n")),
            "    CACHED             data      examples/3f9a1c02     12,000 examples\n      \
             DONE [   42.1s]  teacher   checkpoint/81be77d0   accuracy 0.742\n    \
             FAILED [    3.0s]  naive     exit 1                .w2s/logs/naive.log"
        );
    }
}
