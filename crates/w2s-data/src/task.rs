//! What a data set means: which columns make up the text, which values are which class, which rows belong together. The
//! descriptions of public data sets stand in `data/tasks` and are part of the binary; a user's own file has the same form.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use w2s_worlds::{fnv1a, mix};

use crate::{
    error::DataError,
    source::{self, ReadOptions, Record},
    split::Row,
};

/// The descriptions that come with the program: name and content.
const BUILT_IN: [(&str, &str); 5] = [
    (
        "amazon_polarity",
        include_str!("../../../data/tasks/amazon_polarity.toml"),
    ),
    ("boolq", include_str!("../../../data/tasks/boolq.toml")),
    (
        "cosmos_qa",
        include_str!("../../../data/tasks/cosmos_qa.toml"),
    ),
    ("sciq", include_str!("../../../data/tasks/sciq.toml")),
    ("sst2", include_str!("../../../data/tasks/sst2.toml")),
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

/// The rows of some files, with a count of the ones left out on the way.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// The rows. Their numbers count the records of the files in their order, whether they have a label or not; a question
    /// with several answers has room for the right one and the wrong ones that are used, in this order.
    pub rows: Vec<Row>,
    /// Rows without a label.
    pub unlabelled: usize,
    /// The number that the row after these would have.
    pub end: u64,
}

/// A piece of a text template.
#[derive(Debug, PartialEq)]
enum Piece {
    Words(String),
    Column(String),
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
        let pieces = task.template().map_err(problem)?;
        let uses = |column: &str| {
            pieces
                .iter()
                .any(|piece| matches!(piece, Piece::Column(name) if name == column))
        };
        if let Some(text) = &task.text
            && !pieces.iter().any(|piece| matches!(piece, Piece::Column(_)))
        {
            return Err(problem(format!(
                "`text = {text:?}` names no column in braces"
            )));
        }
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

    /// Reads files (or all files of folders) into rows, numbered from `first` on. `limit` is the most records to read.
    pub fn load(
        &self,
        paths: &[PathBuf],
        limit: Option<usize>,
        first: u64,
    ) -> Result<Loaded, DataError> {
        let pieces = self.template().map_err(|problem| DataError::Task {
            task: self.name.clone(),
            problem,
        })?;
        let mut columns = Columns::default();
        // Where a piece of the text comes from; `None` is the answer of the row.
        let slots: Vec<Option<usize>> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Column(name) if name == "answer" && self.choices.is_some() => None,
                Piece::Column(name) => Some(columns.index(name)),
                Piece::Words(_) => None,
            })
            .collect();
        let groups: Vec<usize> = self.group.iter().map(|name| columns.index(name)).collect();
        let answers: Vec<usize> = match &self.choices {
            Some(choices) => choices
                .answers
                .iter()
                .map(|name| columns.index(name))
                .collect(),
            None => Vec::new(),
        };
        let deciding = match (&self.label, &self.choices) {
            (Some(label), _) => Some(columns.index(&label.column)),
            (None, Some(choices)) => choices.right_index.as_ref().map(|name| columns.index(name)),
            (None, None) => None,
        };

        let options = ReadOptions {
            tsv_quoting: self.tsv_quoting,
            limit,
        };
        let records = source::read(paths, &columns.names(), options)?;
        // A question takes up as many numbers as it can have rows.
        let room = self.choices.as_ref().map_or(1, |choices| 1 + choices.wrong) as u64;
        let mut loaded = Loaded {
            end: first + room * records.len() as u64,
            ..Loaded::default()
        };
        for (number, mut record) in (0..).zip(records) {
            let mut id = first + room * number;
            if self.trim {
                for value in &mut record.values {
                    let trimmed = value.trim();
                    if trimmed.len() < value.len() {
                        *value = trimmed.to_string();
                    }
                }
            }
            let group_keys: Vec<u64> = groups
                .iter()
                .enumerate()
                .filter(|&(_, &column)| !record.values[column].is_empty())
                .map(|(number, &column)| hash(number as u64, &record.values[column]))
                .collect();
            let text = |answer: &str| -> String {
                let part = |(piece, slot): (&Piece, &Option<usize>)| match (piece, slot) {
                    (Piece::Words(words), _) => words.clone(),
                    (_, Some(column)) => record.values[*column].clone(),
                    (_, None) => answer.to_string(),
                };
                pieces.iter().zip(&slots).map(part).collect()
            };
            let mut push = |label: usize, answer: &str| {
                // A text whose columns are all empty is empty, whatever words the template adds.
                let filled = slots
                    .iter()
                    .flatten()
                    .any(|&column| !record.values[column].is_empty())
                    && (self.choices.is_none() || !answer.is_empty());
                let text = match self.text {
                    None => format!("row {id}"),
                    Some(_) if filled => text(answer),
                    Some(_) => String::new(),
                };
                loaded.rows.push(Row {
                    id,
                    text,
                    label: label as u32,
                    groups: group_keys.clone(),
                });
                id += 1;
            };
            if let (Some(label), Some(column)) = (&self.label, deciding) {
                match label.class_of(&record, column)? {
                    Some(class) => push(class, ""),
                    None => loaded.unlabelled += 1,
                }
            } else if let Some(choices) = &self.choices {
                match choices.right_answer(&record, deciding)? {
                    Some(right) => {
                        push(1, &record.values[answers[right]]);
                        for wrong in choices.wrong_answers(&record, &answers, right) {
                            push(0, &record.values[answers[wrong]]);
                        }
                    }
                    None => loaded.unlabelled += choices.wrong + 1,
                }
            }
        }
        Ok(loaded)
    }

    fn template(&self) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut words = String::new();
        let template = self.text.as_deref().unwrap_or_default();
        let mut rest = template.chars().peekable();
        while let Some(c) = rest.next() {
            match c {
                '{' | '}' if rest.peek() == Some(&c) => words.extend(rest.next()),
                '{' => {
                    let mut column = String::new();
                    loop {
                        match rest.next() {
                            Some('}') if !column.is_empty() => break,
                            Some(c) if c != '{' && c != '}' => column.push(c),
                            Some(_) => {
                                return Err(format!(
                                    "`text = {template:?}` has a brace without a column"
                                ));
                            }
                            None => {
                                return Err(format!(
                                    "`text = {template:?}` has a brace without its end"
                                ));
                            }
                        }
                    }
                    if !words.is_empty() {
                        pieces.push(Piece::Words(std::mem::take(&mut words)));
                    }
                    pieces.push(Piece::Column(column));
                }
                '}' => {
                    return Err(format!(
                        "`text = {template:?}` has a closing brace too many"
                    ));
                }
                c => words.push(c),
            }
        }
        if !words.is_empty() {
            pieces.push(Piece::Words(words));
        }
        Ok(pieces)
    }
}

impl LabelColumn {
    fn class_of(&self, record: &Record, column: usize) -> Result<Option<usize>, DataError> {
        let value = record.values[column].trim();
        if self.unlabelled.iter().any(|none| none == value) {
            return Ok(None);
        }
        let class = self
            .values
            .get(value)
            .and_then(|class| self.classes.iter().position(|known| known == class));
        match class {
            Some(class) => Ok(Some(class)),
            None => Err(DataError::UnknownLabel {
                place: record.place.clone(),
                column: self.column.clone(),
                value: value.into(),
                known: self.values.keys().cloned().collect(),
            }),
        }
    }
}

impl Choices {
    fn right_answer(
        &self,
        record: &Record,
        column: Option<usize>,
    ) -> Result<Option<usize>, DataError> {
        let Some(column) = column else {
            return Ok(self
                .answers
                .iter()
                .position(|answer| Some(answer) == self.right.as_ref()));
        };
        let value = record.values[column].trim();
        match value.parse::<i64>() {
            Ok(-1) => Ok(None),
            Ok(index) if (0..self.answers.len() as i64).contains(&index) => {
                Ok(Some(index as usize))
            }
            _ => Err(DataError::UnknownLabel {
                place: record.place.clone(),
                column: self.right_index.clone().unwrap_or_default(),
                value: value.into(),
                known: (0..self.answers.len())
                    .map(|index| index.to_string())
                    .collect(),
            }),
        }
    }

    /// The wrong answers to use: picked by a hash of question and answer, so that no seed and no order of rows changes
    /// them. Answers that repeat the right one are not wrong.
    fn wrong_answers(&self, record: &Record, answers: &[usize], right: usize) -> Vec<usize> {
        let whole = record
            .values
            .iter()
            .fold(0, |state, value| hash(state, value));
        let mut wrong: Vec<usize> = (0..answers.len())
            .filter(|&index| {
                index != right && record.values[answers[index]] != record.values[answers[right]]
            })
            .collect();
        wrong.sort_by_key(|&index| hash(whole, &record.values[answers[index]]));
        wrong.dedup_by_key(|index| record.values[answers[*index]].clone());
        wrong.truncate(self.wrong);
        wrong
    }
}

/// The columns to read, each once.
#[derive(Default)]
struct Columns<'a>(Vec<&'a str>);

impl<'a> Columns<'a> {
    fn index(&mut self, name: &'a str) -> usize {
        self.0
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                self.0.push(name);
                self.0.len() - 1
            })
    }

    fn names(&self) -> Vec<&'a str> {
        self.0.clone()
    }
}

/// A 64-bit hash of a text that is the same in every version and on every machine.
pub(crate) fn hash(state: u64, text: &str) -> u64 {
    mix(fnv1a(mix(state), text) ^ text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = r#"
        name = "own"
        about = "mails"
        text = "{subject}: {body}"
        group = ["thread"]
        [label]
        column = "spam"
        classes = ["ham", "spam"]
        values = { "no" = "ham", "yes" = "spam" }
        unlabelled = ["?"]
        [origin]
        url = "here"
        licence = "mine"
        citation = "none"
    "#;

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../data/fixtures")
            .join(name)
    }

    fn texts(rows: &[Row]) -> Vec<(u32, &str)> {
        rows.iter()
            .map(|row| (row.label, row.text.as_str()))
            .collect()
    }

    fn load(task: &Task, name: &str, content: &str) -> Result<Loaded, DataError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        task.load(&[path], None, 0)
    }

    fn problem(text: &str) -> String {
        Task::parse(text, "own.toml").unwrap_err().to_string()
    }

    #[test]
    fn rows_follow_the_description() {
        let task = Task::parse(OWN, "own").unwrap();
        let content = "thread,subject,body,spam\n1, Win ,now,yes\n1,Re,ok,no\n,Old,one,?\n,,,no\n2,Re,ok,no\n";
        let loaded = load(&task, "mails.csv", content).unwrap();
        assert_eq!(
            texts(&loaded.rows),
            [(1, "Win: now"), (0, "Re: ok"), (0, ""), (0, "Re: ok")]
        );
        assert_eq!(loaded.unlabelled, 1);
        let groups: Vec<_> = loaded.rows.iter().map(|row| &row.groups).collect();
        assert_eq!(groups[0], groups[1]);
        assert!(groups[2].is_empty());
        assert_ne!(groups[0], groups[3]);
        assert_eq!(
            loaded.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
            [0, 1, 3, 4]
        );
    }

    #[test]
    fn a_row_has_the_number_of_its_record() {
        let mut task =
            Task::parse(&OWN.replace("text = \"{subject}: {body}\"", ""), "own").unwrap();
        task.group.clear();
        let folder = tempfile::tempdir().unwrap();
        let paths = ["b.csv", "a.csv"].map(|name| folder.path().join(name));
        std::fs::write(&paths[0], "spam\nyes\n?\nno\n").unwrap();
        std::fs::write(&paths[1], "spam\nno\n").unwrap();
        let loaded = task.load(&paths, None, 10).unwrap();
        let rows: Vec<_> = loaded
            .rows
            .iter()
            .map(|row| (row.id, row.label, row.text.as_str()))
            .collect();
        assert_eq!(
            rows,
            [(10, 1, "row 10"), (12, 0, "row 12"), (13, 0, "row 13")]
        );
        assert_eq!((loaded.unlabelled, loaded.end), (1, 14));
    }

    #[test]
    fn a_question_has_room_for_its_answers() {
        let mut task = Task::find("cosmos_qa").unwrap();
        task.choices.as_mut().unwrap().wrong = 2;
        let rows = "context,question,answer0,answer1,answer2,answer3,label\nc,q,a,a,b,b,0\nc,r,a,b,c,d,-1\nc,s,a,b,c,d,3\n";
        let loaded = load(&task, "rows.csv", rows).unwrap();
        let ids: Vec<_> = loaded.rows.iter().map(|row| (row.id, row.label)).collect();
        // The first question has one wrong answer only, the second no right one.
        assert_eq!(ids, [(0, 1), (1, 0), (6, 1), (7, 0), (8, 0)]);
        assert_eq!(loaded.end, 9);
    }

    #[test]
    fn a_label_outside_the_mapping_is_named() {
        let task = Task::parse(OWN, "own").unwrap();
        let error = load(
            &task,
            "mails.csv",
            "thread,subject,body,spam\n1,a,b,yes\n1,a,b,maybe\n",
        )
        .unwrap_err();
        let message = error.to_string();
        assert!(
            message.ends_with(
                "mails.csv:3: column `spam` has the label `maybe`, known are `no`, `yes`"
            ),
            "{message}"
        );
        assert_eq!(
            error.hint().unwrap(),
            "add `maybe` to `[label] values` of the task description, or to `unlabelled` if it marks rows without a label"
        );
        let message = load(&task, "mails.csv", "subject,body,spam\na,b,yes\n")
            .unwrap_err()
            .to_string();
        assert!(
            message.ends_with("mails.csv: no column `thread`; there are `subject`, `body`, `spam`"),
            "{message}"
        );
    }

    #[test]
    fn bad_descriptions_are_refused() {
        assert_eq!(
            problem(&OWN.replace("{subject}: {body}", "mail")),
            "task `own.toml`: `text = \"mail\"` names no column in braces"
        );
        assert_eq!(
            problem(&OWN.replace("{body}", "{body")),
            "task `own.toml`: `text = \"{subject}: {body\"` has a brace without its end"
        );
        assert_eq!(
            problem(&OWN.replace("{body}", "body}")),
            "task `own.toml`: `text = \"{subject}: body}\"` has a closing brace too many"
        );
        assert_eq!(
            problem(&OWN.replace("\"yes\" = \"spam\"", "\"yes\" = \"junk\"")),
            "task `own.toml`: `[label] values` maps `yes` to `junk`, which is not one of the classes `ham`, `spam`"
        );
        assert_eq!(
            problem(&OWN.replace(", \"yes\" = \"spam\"", "")),
            "task `own.toml`: no value of `[label] values` stands for the class `spam`"
        );
        assert_eq!(
            problem(&OWN.replace("[\"ham\", \"spam\"]", "[\"ham\"]")),
            "task `own.toml`: `[label] classes` needs two or more different names"
        );
        let message = problem(&OWN.replace("group", "grup"));
        assert!(
            message.contains("unknown field `grup`, expected one of `name`, `about`, `text`"),
            "{message}"
        );
        let none = OWN.split("[label]").next().unwrap().to_string()
            + "[origin]\nurl=\"\"\nlicence=\"\"\ncitation=\"\"";
        assert_eq!(
            problem(&none),
            "task `own.toml`: either `[label]` or `[choices]` is needed, and not both"
        );
    }

    #[test]
    fn an_unknown_task_suggests_the_nearest() {
        let error = Task::find("sst-2").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no task `sst-2`; there are `amazon_polarity`, `boolq`, `cosmos_qa`, `sciq`, `sst2`"
        );
        assert_eq!(error.hint().unwrap(), "did you mean `--task sst2`?");
        assert!(
            Task::find("none/own.toml")
                .unwrap_err()
                .to_string()
                .starts_with("cannot read none/own.toml")
        );
    }

    #[test]
    fn braces_can_be_written() {
        let mut task = Task::parse(OWN, "own").unwrap();
        task.text = Some("{{{body}}}".into());
        let column = Piece::Column("body".into());
        assert_eq!(
            task.template().unwrap(),
            [Piece::Words("{".into()), column, Piece::Words("}".into())]
        );
    }

    #[test]
    fn every_description_reads_its_fixture() {
        // (task, rows, rows of each class, unlabelled)
        let expected = [
            ("amazon_polarity", "amazon_polarity.csv", 12, [6, 6], 0),
            ("boolq", "boolq.jsonl", 12, [6, 6], 0),
            ("cosmos_qa", "cosmos_qa.csv", 20, [10, 10], 2),
            ("sciq", "sciq.jsonl", 20, [10, 10], 0),
            ("sst2", "sst2.parquet", 15, [8, 7], 1),
            ("sst2", "sst2.tsv", 14, [7, 7], 0),
        ];
        assert_eq!(Task::names().count(), 5);
        for (name, file, rows, classes, unlabelled) in expected {
            let task = Task::find(name).unwrap();
            assert_eq!(task.name, name);
            let loaded = task.load(&[fixture(file)], None, 0).unwrap();
            let of = |class| loaded.rows.iter().filter(|row| row.label == class).count();
            assert_eq!(
                (loaded.rows.len(), [of(0), of(1)], loaded.unlabelled),
                (rows, classes, unlabelled),
                "{file}"
            );
            assert!(
                loaded
                    .rows
                    .iter()
                    .all(|row| !row.text.is_empty() && row.text.trim() == row.text),
                "{file}"
            );
        }
    }

    #[test]
    fn fixtures_become_these_texts() {
        let first = |name: &str, file: &str| {
            let loaded = Task::find(name)
                .unwrap()
                .load(&[fixture(file)], Some(1), 0)
                .unwrap();
            loaded
                .rows
                .into_iter()
                .map(|row| (row.label, row.text))
                .collect::<Vec<_>>()
        };
        let row = |label: u32, text: &str| (label, text.to_string());
        assert_eq!(
            first("sst2", "sst2.tsv"),
            [row(1, "a warm and quietly funny little film .")]
        );
        assert_eq!(first("sst2", "sst2.parquet"), first("sst2", "sst2.tsv"));
        assert_eq!(
            first("amazon_polarity", "amazon_polarity.csv"),
            [row(
                1,
                "Still going strong This kettle has boiled water twice a day for a year, and it is as quiet as \"new\"."
            )]
        );
        assert_eq!(
            first("boolq", "boolq.jsonl"),
            [row(
                1,
                "Passage: The harbour bell of Ostrand is rung every evening at dusk. Visitors may watch from the pier.\nQuestion: is the bell in ostrand rung every evening"
            )]
        );
        assert_eq!(
            first("sciq", "sciq.jsonl"),
            [
                row(
                    1,
                    "Q: What is a solid turning straight into a gas called? A: sublimation"
                ),
                row(
                    0,
                    "Q: What is a solid turning straight into a gas called? A: condensation"
                )
            ]
        );
        assert_eq!(
            first("cosmos_qa", "cosmos_qa.csv"),
            [
                row(
                    1,
                    "Context: I missed the last bus and my phone was flat, so I walked the six miles home in the rain.\nQuestion: How did I feel when I got home?\nAnswer: I was wet and tired ."
                ),
                row(
                    0,
                    "Context: I missed the last bus and my phone was flat, so I walked the six miles home in the rain.\nQuestion: How did I feel when I got home?\nAnswer: I was well rested ."
                ),
            ]
        );
    }

    #[test]
    fn questions_on_one_passage_belong_together() {
        let rows = Task::find("sciq")
            .unwrap()
            .load(&[fixture("sciq.jsonl")], None, 0)
            .unwrap()
            .rows;
        // Right and wrong answer of a question, and two questions on one supporting paragraph.
        assert_eq!(rows[0].groups, rows[1].groups);
        assert_eq!(rows[2].groups[1], rows[4].groups[1]);
        assert_ne!(rows[0].groups[1], rows[2].groups[1]);
    }

    #[test]
    fn a_wrong_answer_depends_on_its_question_only() {
        let task = Task::find("sciq").unwrap();
        let record = |values: [&str; 5]| {
            let [question, right, a, b, c] = values;
            format!(
                "{{\"question\":\"{question}\",\"correct_answer\":\"{right}\",\"distractor1\":\"{a}\",\"distractor2\":\"{b}\",\"distractor3\":\"{c}\",\"support\":\"\"}}\n"
            )
        };
        let (one, two) = (
            record(["q", "a", "b", "c", "d"]),
            record(["r", "x", "x", "x", "y"]),
        );
        let there = load(&task, "a.jsonl", &format!("{one}{two}")).unwrap().rows;
        let back = load(&task, "a.jsonl", &format!("{two}{one}")).unwrap().rows;
        assert_eq!(texts(&there[..2]), texts(&back[2..]));
        // A distractor equal to the right answer is no wrong answer.
        assert_eq!(texts(&there[2..]), [(1, "Q: r A: x"), (0, "Q: r A: y")]);
    }

    #[test]
    fn a_folder_is_divided_by_file_names() {
        let folder = tempfile::tempdir().unwrap();
        let make = |names: &[&str]| {
            for name in names {
                std::fs::write(folder.path().join(name), "sentence\tlabel\na\t1\n").unwrap();
            }
        };
        let roles = || {
            let (pool, test) = Task::find("sst2").unwrap().roles(folder.path()).unwrap();
            let names = |paths: Vec<PathBuf>| {
                paths
                    .iter()
                    .map(|path| path.file_name().unwrap().to_string_lossy().to_string())
                    .collect::<Vec<_>>()
            };
            (names(pool), names(test))
        };
        make(&["a.tsv"]);
        assert_eq!(roles(), (vec!["a.tsv".into()], vec![]));
        make(&["train-0.tsv", "train-1.tsv", "dev.tsv"]);
        assert_eq!(
            roles(),
            (vec!["train-0.tsv".into(), "train-1.tsv".into()], vec![])
        );
        make(&["test.tsv"]);
        assert_eq!(roles().1, ["test.tsv"]);
        // On the hub the test rows of SST-2 have no labels; its validation rows are what everybody tests on.
        make(&["validation.tsv"]);
        assert_eq!(roles().1, ["validation.tsv"]);
    }
}
