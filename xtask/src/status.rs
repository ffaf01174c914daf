//! Status lines that align and survive a pipe, and what a step's summary says in a few words.

use std::time::Duration;

use console::Style;
use serde_json::Value;

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

/// What a summary says, in a few words: every number names its metric.
pub fn headline(kind: &str, summary: &Value) -> String {
    let number = |name: &str| summary.get(name).and_then(Value::as_f64);
    let mut words = Vec::new();
    if let Some(count) = number("rows").or_else(|| number("documents")) {
        let what = match kind {
            "corpus" => "documents",
            "examples" => "examples",
            "labels" => "labels",
            _ => "rows",
        };
        words.push(format!("{} {what}", thousands(count)));
    }
    if let Some(parameters) = number("parameters") {
        words.push(format!("{} parameters", thousands(parameters)));
    }
    if let Some(accuracy) = number("accuracy") {
        words.push(format!("accuracy {accuracy:.3}"));
    }
    if let Some(loss) = number("final_loss") {
        words.push(format!("loss {loss:.3}"));
    }
    if let Some(rate) = number("tokens_per_second").filter(|rate| *rate >= 1.0) {
        words.push(format!("{} tokens/s", thousands(rate)));
    }
    words.join(", ")
}

/// A whole number with a comma every three digits.
pub fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < -0.5 {
        format!("-{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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

    #[test]
    fn a_headline_names_its_metrics() {
        assert_eq!(
            headline("examples", &json!({"rows": 12000, "classes": []})),
            "12,000 examples"
        );
        assert_eq!(
            headline(
                "checkpoint",
                &json!({"parameters": 912384, "final_loss": 0.41234, "tokens_per_second": 12345.6})
            ),
            "912,384 parameters, loss 0.412, 12,346 tokens/s"
        );
        assert_eq!(
            headline("predictions", &json!({"rows": 600, "accuracy": 0.8215})),
            "600 rows, accuracy 0.822"
        );
        assert_eq!(headline("report", &Value::Null), "");
    }

    #[test]
    fn thousands_have_commas() {
        assert_eq!(
            [0.0, 999.4, 1000.0, 1234567.0, -4321.0].map(thousands),
            ["0", "999", "1,000", "1,234,567", "-4,321"]
        );
    }
}
