//! What a data set means: which columns make up the text, which values are which class, which rows belong together. The
//! descriptions of public data sets stand in `data/tasks` and are part of the binary; a user's own file has the same form.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{error::DataError, source};

mod cells;

mod check;

mod columns;

mod rows;

mod template;

pub use columns::{Layout, Made};
pub use rows::Loaded;
pub(crate) use rows::hash;
pub(crate) use template::Template;

/// The descriptions of these names in `data/tasks`: name and content.
macro_rules! built_in {
    ($($name:literal)*) => {
        [$(($name, include_str!(concat!("../../../../data/tasks/", $name, ".toml")))),*]
    };
}

/// The descriptions that come with the program.
const BUILT_IN: [(&str, &str); 33] = built_in!(
    "ag_news" "amazon_polarity" "anli_r2" "boolq" "cola" "cosmos_qa" "dream" "ethics_deontology" "ethics_justice"
    "ethics_utilitarianism" "ethics_virtue" "hellaswag" "mc_taco" "multirc" "openbookqa" "paws" "piqa"
    "privacy_policy_qa" "quail" "quartz" "safety" "safety_pairs" "safety_prompts" "sciq" "social_i_qa" "sst2"
    "tos_unfair_clauses" "toxicity" "toxicity_classes" "twitter_sentiment" "unfair_tos" "unfair_tos_types" "wic"
);

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
    /// The text of a row: columns in braces, `{{` and `}}` for braces; a list is an item a line. With `choices`, `{answer}` is
    /// the answer and `{other}` the one that it is compared with: the right one for a wrong answer. Rows that are known by features of the user's own need none: they are called `row 0`, `row 1`, ... by their numbers.
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
    /// Whether nobody should meet the texts unasked: they are abuse, or requests for harm.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// Columns made of those of the files, by the names that `text`, `group`, `label` and `choices` use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, Made>,
    /// Files with columns of other names. Where there is a layout, every file must fit one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layouts: Vec<Layout>,
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
    /// The columns of the answers; a column may hold a list of them.
    pub answers: Vec<String>,
    /// The one of them that always holds the right answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<String>,
    /// Or the column with the index of the right answer, counted from 0; -1 marks a question without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_index: Option<String>,
    /// What that column holds instead of indices, one key an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// What it holds for a question without a right answer, besides -1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlabelled: Vec<String>,
    /// How many wrong answers of a question are used, so that both classes are equally frequent.
    #[serde(default = "one")]
    pub wrong: usize,
    /// What a wrong and a right answer are called.
    #[serde(default = "wrong_and_right")]
    pub classes: [String; 2],
}

/// How the answers of a question are called.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Keys {
    /// The same for all questions, such as `A`, `B` and `C`.
    Values(Vec<String>),
    /// A column with a list of them.
    Column(String),
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
        check::check(&task, origin)?;
        Ok(task)
    }

    /// How the text of a row is made, where it has one.
    fn template(&self) -> Result<Option<Template>, DataError> {
        let parsed = self.text.as_deref().map(Template::parse).transpose();
        parsed.map_err(|problem| self.problem(format!("`text`: {problem}")))
    }

    fn problem(&self, problem: String) -> DataError {
        DataError::Task {
            task: self.name.clone(),
            problem,
        }
    }

    /// Whether `column` means an answer of a question and no column.
    fn is_answer(&self, column: &str) -> bool {
        self.choices.is_some() && matches!(column, "answer" | "other")
    }

    /// Whether the text of a row tells the answer that its own is compared with.
    fn tells_other(&self, template: &Template) -> bool {
        self.choices.is_some() && template.columns().any(|column| column == "other")
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
            let begins = |file: &&PathBuf| cells::begins_with(file, std::slice::from_ref(word));
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
