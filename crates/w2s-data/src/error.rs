//! What can be wrong with a data set, its description or the wishes for its split. Each error names its subject (file,
//! line, column, split) and both values; [`DataError::hint`] says what to do next.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Ends what an error says of a value in place of the value.
pub(crate) const NOT_SHOWN: &str = "not shown";

/// Where a record stands in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: Arc<Path>,
    /// The line of a text file or the row of a Parquet file, counted from 1.
    pub number: u64,
    /// Whether `number` counts rows, because the file has no lines.
    pub is_row: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let between = if self.is_row { ": row " } else { ":" };
        write!(f, "{}{between}{}", self.file.display(), self.number)
    }
}

/// Everything that stops this crate, in words for the person who typed the command.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The file system refused.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The extension of the file names no format that is read here.
    #[error("{}: files of the kind `{}` cannot be read; known: .jsonl, .json, .csv, .tsv, .parquet, .txt",
        path.display(), path.extension().map_or("no extension".into(), |e| format!(".{}", e.to_string_lossy())))]
    UnknownFormat {
        /// The file.
        path: PathBuf,
    },
    /// A folder without a file that can be read.
    #[error("{}: the folder holds no .jsonl, .csv, .tsv or .parquet file", path.display())]
    NoFiles {
        /// The folder.
        path: PathBuf,
    },
    /// The file has no records.
    #[error("{}: no records", path.display())]
    NoRecords {
        /// The file or folder.
        path: PathBuf,
    },
    /// The record does not follow its format.
    #[error("{place}: {problem}")]
    Malformed {
        /// Which record.
        place: Place,
        /// What is wrong with it.
        problem: String,
    },
    /// The Parquet reader refused.
    #[error("{}: not a readable Parquet file: {problem}", path.display())]
    Parquet {
        /// The file.
        path: PathBuf,
        /// What it said.
        problem: String,
    },
    /// What git leaves in the place of a large file.
    #[error("{} is a note of git-lfs about a file, and not the file", path.display())]
    Pointer {
        /// The file.
        path: PathBuf,
    },
    /// Nobody can say which of two columns is meant.
    #[error("{}: two columns are called `{column}`", path.display())]
    TwoColumns {
        /// The file.
        path: PathBuf,
        /// Their name.
        column: String,
    },
    /// A column that is asked for is not there.
    #[error("{at}: no column `{column}`; there are {}", quoted(present))]
    MissingColumn {
        /// The file, with the line if lines can differ.
        at: String,
        /// The column asked for.
        column: String,
        /// The columns there are.
        present: Vec<String>,
    },
    /// A row without a conversation.
    #[error(
        "{place}: no question: none of the columns {}, and no transcript with `\\n\\nAssistant:` in `chosen`; there are {}",
        quoted(columns),
        quoted(present)
    )]
    NoQuestion {
        /// Which record.
        place: Place,
        /// The columns that would do.
        columns: Vec<String>,
        /// The columns there are.
        present: Vec<String>,
    },
    /// A row without two answers.
    #[error(
        "{place}: no pair of columns `chosen` and `rejected`, or `response1`, `response2` and `label`; there are {}",
        quoted(present)
    )]
    NoAnswers {
        /// Which record.
        place: Place,
        /// The columns there are.
        present: Vec<String>,
    },
    /// An answer to a prompt that nobody knows.
    #[error("{responses} answers the prompt {prompt}, which {prompts} does not have")]
    UnknownPrompt {
        /// The responses.
        responses: String,
        /// The number of the prompt.
        prompt: u64,
        /// The prompts.
        prompts: String,
    },
    /// A prompt with two answers of the same number.
    #[error("{responses} answers the prompt {prompt} twice as sample {sample}")]
    AnsweredTwice {
        /// The responses.
        responses: String,
        /// The number of the prompt.
        prompt: u64,
        /// The number of the sample.
        sample: u32,
    },
    /// A metric that the scores do not have, or no choice between several.
    #[error("{scores}: {}; there are {}", match name {
        Some(name) => format!("no score is called `{name}`"),
        None => "one score must be chosen".to_owned(),
    }, quoted(present))]
    UnknownScore {
        /// The scores.
        scores: String,
        /// What was asked for.
        name: Option<String>,
        /// The metrics there are.
        present: Vec<String>,
    },
    /// Scores that belong to other answers.
    #[error("none of the {answers} answers of {responses} has the score `{name}` in {scores}")]
    Unscored {
        /// The responses.
        responses: String,
        /// How many answers there are.
        answers: usize,
        /// The metric.
        name: String,
        /// The scores.
        scores: String,
    },
    /// Every pair was left out.
    #[error("no pair is left: {dropped}")]
    NoPairs {
        /// How many were left out for which reason.
        dropped: String,
    },
    /// Pairs in an order that is no truth, to be held against labels.
    #[error(
        "pair {pair} has the rule `{rule}`, a control whose order is no truth that labels could be right about"
    )]
    NoTruth {
        /// The first such pair.
        pair: u64,
        /// The control.
        rule: String,
    },
    /// No answer was selected.
    #[error("none of the {prompts} prompts is kept: {dropped}")]
    NothingSelected {
        /// How many prompts there are.
        prompts: usize,
        /// How many were left out for which reason.
        dropped: String,
    },
    /// No row of a file became a response.
    #[error(
        "none of the {rows} rows answers a prompt: {unmatched} belong to no prompt, {empty} hold no answer"
    )]
    NothingImported {
        /// How many rows there are.
        rows: usize,
        /// Rows whose question or number no prompt has.
        unmatched: usize,
        /// Rows with an empty answer.
        empty: usize,
    },
    /// A value that is neither text nor number nor true/false.
    #[error("{place}: column `{column}` holds {found}; text, a number or true/false is needed")]
    Value {
        /// Which record.
        place: Place,
        /// Which column.
        column: String,
        /// What it holds.
        found: String,
    },
    /// A label that the task maps to no class.
    #[error(
        "{place}: column `{column}` has the label `{value}`, known are {}",
        quoted(known)
    )]
    UnknownLabel {
        /// Which record.
        place: Place,
        /// The label column.
        column: String,
        /// What it holds.
        value: String,
        /// What the task knows.
        known: Vec<String>,
        /// Whether it names the right answer of a question.
        of_answer: bool,
    },
    /// A file that none of the layouts of a task fits.
    #[error("{}: the task `{task}` reads files whose names begin with {}", path.display(), quoted(known))]
    NoLayout {
        /// The file.
        path: PathBuf,
        /// The task.
        task: String,
        /// Beginnings of the names of files that it knows.
        known: Vec<String>,
    },
    /// The task description is not in order.
    #[error("task `{task}`: {problem}")]
    Task {
        /// Its name or file.
        task: String,
        /// What is wrong.
        problem: String,
    },
    /// There is no such task.
    #[error("no task `{name}`; there are {}", quoted(known))]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// What there is.
        known: Vec<String>,
        /// The closest of them, if one is close.
        nearest: Option<String>,
    },
    /// A split that got no row.
    #[error("split `{split}` is empty: {history}")]
    EmptySplit {
        /// gold, transfer or test.
        split: String,
        /// Where the rows went.
        history: String,
    },
    /// A split with one class cannot teach or test anything.
    #[error(
        "split `{split}` has only the class `{class}` in its {rows} rows; the task has {}",
        quoted(classes)
    )]
    OneClass {
        /// gold, transfer or test.
        split: String,
        /// The class it has.
        class: String,
        /// How many rows.
        rows: usize,
        /// The classes of the task.
        classes: Vec<String>,
    },
    /// A split asks for more rows than there are.
    #[error("split `{split}` needs {needed} rows and {usable} are usable ({detail})")]
    TooFewRows {
        /// gold, transfer or test.
        split: String,
        /// Asked for.
        needed: usize,
        /// Found.
        usable: usize,
        /// Rows by class, or where the rest went.
        detail: String,
    },
    /// A knob of a world outside its range.
    #[error(transparent)]
    World(#[from] w2s_worlds::WorldError),
    /// A setting outside its range, or settings that exclude each other.
    #[error("{0}")]
    Parameter(String),
    /// The tokenizer could not be trained or written.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
}

impl DataError {
    /// What to type or change next, if there is a good answer.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::MissingColumn { .. } => {
                Some("name the columns of this file: in a task description (`--task path/to/task.toml`), or for a corpus with `--text`".into())
            }
            Self::Pointer { .. } => Some("fetch the file with `git lfs pull`".into()),
            Self::NoQuestion { .. } => {
                Some("name the column that holds the question with `--prompt-column NAME`".into())
            }
            Self::UnknownScore { .. } => Some("name one of them with `--score NAME`".into()),
            Self::UnknownPrompt { .. } => {
                Some("name the prompts that the answers were made from with `--prompts ARTIFACT`".into())
            }
            Self::NothingImported { unmatched, rows, .. } if unmatched == rows => {
                Some("name the column with the question with `--prompt-column`, or that with the number of the prompt with `--id-column`".into())
            }
            Self::NoTruth { .. } => {
                Some("give the pairs as they were before the control, and make a control of the result".into())
            }
            Self::NothingSelected { .. } => {
                Some("`w2s-eval score --scorer answer` on the responses shows what is found in them".into())
            }
            Self::UnknownLabel { value, .. } if value.ends_with(NOT_SHOWN) => {
                Some("this may be a text: does `column` in `[label]` of the task description name the column of the labels?".into())
            }
            Self::UnknownLabel { of_answer: true, .. } => {
                Some("say in `[choices] keys` of the task description how the answers are called, or in `unlabelled` what marks questions without a right one".into())
            }
            Self::NoLayout { .. } => {
                Some("name the file as it is published, or add a `[[layouts]]` to a copy of the task description".into())
            }
            Self::UnknownLabel { value, .. } => Some(format!(
                "add `{value}` to `[label] values` of the task description, or to `unlabelled` if it marks rows without a label"
            )),
            Self::UnknownTask { nearest: Some(name), .. } => Some(format!("did you mean `--task {name}`?")),
            Self::UnknownTask { .. } => Some("a description of your own is passed by its path: `--task path/to/task.toml`".into()),
            Self::TooFewRows { split, .. } => {
                Some(format!("lower `--{split}-rows`, or loosen `--min-words`, `--max-words`, `--ends-with` and `--shared-run`"))
            }
            Self::EmptySplit { .. } => {
                Some("loosen `--min-words`, `--max-words`, `--ends-with` and `--shared-run`, or give more rows".into())
            }
            Self::Malformed { place, .. } if place.file.extension().is_some_and(|e| e == "tsv") => {
                Some("if quotation marks are part of the text, say `tsv_quoting = false` in the task description".into())
            }
            _ => None,
        }
    }
}

/// `a`, `b`, `c`: how names are listed in messages.
pub(crate) fn quoted(names: &[impl fmt::Display]) -> String {
    if names.is_empty() {
        return "none".into();
    }
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
