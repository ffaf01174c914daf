//! What a data set means: which columns make up the text, which values are which class, which rows belong together. The
//! descriptions of public data sets stand in `data/tasks` and are part of the binary; a user's own file has the same form.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{error::DataError, source};

mod rows;

mod template;

pub use rows::Loaded;
pub(crate) use rows::hash;
pub(crate) use template::Template;

/// The descriptions that come with the program: name and content.
const BUILT_IN: [(&str, &str); 5] = [
    (
        "amazon_polarity",
        include_str!("../../../../data/tasks/amazon_polarity.toml"),
    ),
    ("boolq", include_str!("../../../../data/tasks/boolq.toml")),
    (
        "cosmos_qa",
        include_str!("../../../../data/tasks/cosmos_qa.toml"),
    ),
    ("sciq", include_str!("../../../../data/tasks/sciq.toml")),
    ("sst2", include_str!("../../../../data/tasks/sst2.toml")),
];

/// A data set as a two-class (or more) question about a text.
///
/// Either `label` or `choices` is given: rows with a label of their own, or questions with several answers of which each
/// becomes a row "is this answer right?".
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// One word.
    pub name: String,
    /// One line.
    pub about: String,
    /// The text of a row: columns in braces, `{{` and `}}` for braces. With `choices`, `{answer}` is the answer. Rows that
    /// are known by features of the user's own need none: they are called `row 0`, `row 1`, ... by their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Cut white space off both ends of every value.
    #[serde(default = "yes")]
    pub trim: bool,
    /// Columns that tie rows together: rows with the same value in one of them stay in one split.
    #[serde(default)]
    pub group: Vec<String>,
    /// Rows that share so many words in a row stay in one split; 0: words tie nothing.
    #[serde(default)]
    pub shared_run: usize,
    /// Whether fields of TSV files may stand in quotation marks.
    #[serde(default = "yes")]
    pub tsv_quoting: bool,
    /// Rows with a label of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<LabelColumn>,
    /// Questions with several answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Choices>,
    /// Which files of a folder are what.
    #[serde(default)]
    pub files: FileRoles,
    /// Where the data set comes from.
    pub origin: Origin,
}

/// How the label of a row is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelColumn {
    /// The column.
    pub column: String,
    /// The classes; their order numbers them.
    pub classes: Vec<String>,
    /// Value in the column (as text) to class.
    pub values: BTreeMap<String, String>,
    /// Values that mark a row without a label; such rows are dropped and counted.
    #[serde(default)]
    pub unlabelled: Vec<String>,
}

/// How a question and its answers are written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Choices {
    /// The columns of the answers.
    pub answers: Vec<String>,
    /// The one of them that always holds the right answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// Or the column with the index of the right answer, counted from 0; -1 marks a question without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_index: Option<String>,
    /// How many wrong answers of a question are used, so that both classes are equally frequent.
    #[serde(default = "one")]
    pub wrong: usize,
    /// What a wrong and a right answer are called.
    #[serde(default = "wrong_and_right")]
    pub classes: [String; 2],
}

/// Which files of a folder hold the rows to split and which the test rows: the files whose names begin with one of the
/// words. The first word of `test` that fits a file is used, the others are not read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRoles {
    /// Beginnings of the names of files with rows for the gold and transfer split.
    pub pool: Vec<String>,
    /// Beginnings of the names of files with test rows, best first.
    pub test: Vec<String>,
}

/// Where a data set comes from and what may be done with it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origin {
    /// The place to get it.
    pub url: String,
    /// The licence as stated there.
    pub licence: String,
    /// The work to cite.
    pub citation: String,
}

fn yes() -> bool {
    true
}

fn one() -> usize {
    1
}

fn wrong_and_right() -> [String; 2] {
    ["wrong".into(), "right".into()]
}

impl Default for FileRoles {
    fn default() -> Self {
        let words = |words: &[&str]| words.iter().map(|word| word.to_string()).collect();
        Self {
            pool: words(&["train"]),
            test: words(&["test", "validation", "valid", "dev"]),
        }
    }
}

impl Task {
    /// The names of the descriptions that come with the program.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Whether `name` means a file of the user and not a description that comes with the program.
    pub fn is_path(name: &str) -> bool {
        name.ends_with(".toml") || name.contains(['/', '\\'])
    }

    /// The description called `name`, or the one in the file of that path.
    pub fn find(name: &str) -> Result<Self, DataError> {
        if Self::is_path(name) {
            let path = Path::new(name);
            let text = std::fs::read_to_string(path).map_err(|source| DataError::Io {
                path: path.into(),
                source,
            })?;
            return Self::parse(&text, name);
        }
        match BUILT_IN.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::parse(text, name),
            None => {
                let nearest = Self::names()
                    .map(|known| (strsim::jaro_winkler(name, known), known))
                    .max_by(|a, b| a.0.total_cmp(&b.0))
                    .filter(|(likeness, _)| *likeness > 0.7);
                Err(DataError::UnknownTask {
                    name: name.into(),
                    known: Self::names().map(String::from).collect(),
                    nearest: nearest.map(|(_, known)| known.into()),
                })
            }
        }
    }

    /// Reads a description and checks that it makes sense. `origin` names it in errors.
    pub fn parse(text: &str, origin: &str) -> Result<Self, DataError> {
        let problem = |problem: String| DataError::Task {
            task: origin.into(),
            problem,
        };
        let task: Self = toml::from_str(text)
            .map_err(|error| problem(error.to_string().trim_end().to_string()))?;
        let text = task.template()?;
        let uses = |column: &str| text.iter().any(|text| text.columns().any(|c| c == column));
        match (&task.label, &task.choices) {
            (Some(label), None) => {
                let distinct: BTreeSet<_> = label.classes.iter().collect();
                if distinct.len() < 2 || distinct.len() < label.classes.len() {
                    return Err(problem(
                        "`[label] classes` needs two or more different names".into(),
                    ));
                }
                for (value, class) in &label.values {
                    if !label.classes.contains(class) {
                        return Err(problem(format!(
                            "`[label] values` maps `{value}` to `{class}`, which is not one of the classes {}",
                            crate::error::quoted(&label.classes)
                        )));
                    }
                }
                if let Some(class) = label
                    .classes
                    .iter()
                    .find(|class| !label.values.values().any(|c| c == *class))
                {
                    return Err(problem(format!(
                        "no value of `[label] values` stands for the class `{class}`"
                    )));
                }
            }
            (None, Some(choices)) => {
                if choices.answers.len() < 2 {
                    return Err(problem(
                        "`[choices] answers` needs two or more columns".into(),
                    ));
                }
                if choices.right.is_some() == choices.right_index.is_some() {
                    return Err(problem(
                        "`[choices]` needs either `right` or `right_index`".into(),
                    ));
                }
                if let Some(right) = choices
                    .right
                    .as_ref()
                    .filter(|right| !choices.answers.contains(right))
                {
                    return Err(problem(format!(
                        "`[choices] right = \"{right}\"` is not one of the answers"
                    )));
                }
                if choices.wrong == 0 || choices.wrong >= choices.answers.len() {
                    let most = choices.answers.len() - 1;
                    return Err(problem(format!(
                        "`[choices] wrong = {}` must be between 1 and {most}",
                        choices.wrong
                    )));
                }
                if !uses("answer") {
                    return Err(problem(
                        "`text` must hold `{answer}`, the answer the row asks about".into(),
                    ));
                }
            }
            _ => {
                return Err(problem(
                    "either `[label]` or `[choices]` is needed, and not both".into(),
                ));
            }
        }
        Ok(task)
    }

    /// How the text of a row is made, where it has one.
    fn template(&self) -> Result<Option<Template>, DataError> {
        let parsed = self.text.as_deref().map(Template::parse).transpose();
        parsed.map_err(|problem| DataError::Task {
            task: self.name.clone(),
            problem: format!("`text`: {problem}"),
        })
    }

    /// The names of the classes; a row's label is an index into them.
    pub fn classes(&self) -> &[String] {
        match (&self.label, &self.choices) {
            (Some(label), _) => &label.classes,
            (None, Some(choices)) => &choices.classes,
            (None, None) => &[],
        }
    }

    /// Divides a folder into the files to split and the files with test rows; a file is its own pool. No test files: the
    /// test rows have to come out of the pool.
    pub fn roles(&self, path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
        let files = source::files(path)?;
        if path.is_file() {
            return Ok((files, Vec::new()));
        }
        let beginning = |word: &String| -> Vec<PathBuf> {
            let begins = |file: &&PathBuf| {
                file.file_name().is_some_and(|name| {
                    name.to_string_lossy()
                        .to_lowercase()
                        .starts_with(word.as_str())
                })
            };
            files.iter().filter(begins).cloned().collect()
        };
        let pool: Vec<PathBuf> = self.files.pool.iter().flat_map(beginning).collect();
        if pool.is_empty() {
            return Ok((files, Vec::new()));
        }
        let test = self
            .files
            .test
            .iter()
            .map(beginning)
            .find(|files| !files.is_empty())
            .unwrap_or_default();
        Ok((pool, test))
    }
}

#[cfg(test)]
mod tests;
