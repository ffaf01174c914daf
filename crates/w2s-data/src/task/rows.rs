//! From the records of files to rows, as a description says.

use std::path::PathBuf;

use w2s_worlds::{fnv1a, mix};

use super::{
    Choices, Keys, LabelColumn, Task, Template,
    cells::{Cells, Row as Record},
};
use crate::{
    error::{DataError, NOT_SHOWN},
    source::{self, ReadOptions},
    split::Row,
};

/// Longest label that an error shows of a task whose texts are not shown: longer ones may be texts of another column.
const LONGEST_LABEL: usize = 20;

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

impl Task {
    /// Reads files (or all files of folders) into rows, numbered from `first` on. `limit` is the most records to read.
    pub fn load(
        &self,
        paths: &[PathBuf],
        limit: Option<usize>,
        first: u64,
    ) -> Result<Loaded, DataError> {
        let template = self.template()?;
        let mut reader = Reader::new(self, template.as_ref(), first);
        source::for_each_file(paths, limit, &mut |file, limit| {
            let cells = Cells::new(self, file, &reader.columns.0)?;
            let before = reader.records;
            let options = ReadOptions {
                tsv_quoting: self.tsv_quoting,
                limit,
            };
            let columns = cells.columns();
            source::read_file(file, columns.as_deref(), options, &mut |place, values| {
                reader.take(&cells.row(place, &values)?)
            })?;
            Ok(reader.records - before)
        })?;
        reader.loaded.end = first + reader.room() * reader.records as u64;
        Ok(reader.loaded)
    }

    /// A label as errors show it.
    fn shown(&self, label: &str) -> String {
        let is_text = label.contains(char::is_whitespace) || label.len() > LONGEST_LABEL;
        match self.sensitive && is_text {
            true => format!("{} characters, {NOT_SHOWN}", label.chars().count()),
            false => label.into(),
        }
    }
}

/// Makes rows of records, one after the other.
struct Reader<'a> {
    task: &'a Task,
    template: Option<&'a Template>,
    /// The values that the description names; the indices are places among them.
    columns: Columns<'a>,
    groups: Vec<usize>,
    answers: Vec<usize>,
    /// The value that decides on the label, or on the right answer.
    deciding: Option<usize>,
    keys: Option<usize>,
    first: u64,
    records: usize,
    loaded: Loaded,
}

impl<'a> Reader<'a> {
    fn new(task: &'a Task, template: Option<&'a Template>, first: u64) -> Self {
        let mut columns = Columns::default();
        for column in template.into_iter().flat_map(Template::columns) {
            if !task.is_answer(column) {
                columns.index(column);
            }
        }
        let groups = task.group.iter().map(|name| columns.index(name)).collect();
        let answers = task.choices.iter().flat_map(|choices| &choices.answers);
        let answers = answers.map(|name| columns.index(name)).collect();
        let deciding = match (&task.label, &task.choices) {
            (Some(label), _) => Some(&label.column),
            (None, Some(choices)) => choices.right_index.as_ref(),
            (None, None) => None,
        };
        let deciding = deciding.map(|name| columns.index(name));
        let keys = match task
            .choices
            .as_ref()
            .and_then(|choices| choices.keys.as_ref())
        {
            Some(Keys::Column(name)) => Some(columns.index(name)),
            Some(Keys::Values(_)) | None => None,
        };
        Self {
            task,
            template,
            columns,
            groups,
            answers,
            deciding,
            keys,
            first,
            records: 0,
            loaded: Loaded::default(),
        }
    }

    /// A question takes up as many numbers as it can have rows.
    fn room(&self) -> u64 {
        let choices = self.task.choices.as_ref();
        choices.map_or(1, |choices| 1 + choices.wrong) as u64
    }

    fn take(&mut self, record: &Record) -> Result<(), DataError> {
        let id = self.first + self.room() * self.records as u64;
        self.records += 1;
        match (&self.task.label, &self.task.choices) {
            (Some(label), _) => self.take_labelled(label, record, id),
            (None, Some(choices)) => self.take_question(choices, record, id),
            (None, None) => Ok(()),
        }
    }

    fn take_labelled(
        &mut self,
        label: &LabelColumn,
        record: &Record,
        id: u64,
    ) -> Result<(), DataError> {
        let value = self
            .deciding
            .map_or("", |column| record.cells[column].text.trim());
        match label.class_of(value) {
            Class::Known(class) => self.push(record, id, class, None),
            Class::Unlabelled => self.loaded.unlabelled += 1,
            Class::Unknown => {
                return Err(DataError::UnknownLabel {
                    place: record.place.clone(),
                    column: label.column.clone(),
                    value: self.task.shown(value),
                    known: label.values.keys().cloned().collect(),
                    of_answer: false,
                });
            }
        }
        Ok(())
    }

    fn take_question(
        &mut self,
        choices: &Choices,
        record: &Record,
        id: u64,
    ) -> Result<(), DataError> {
        let answers = self.answers_of(choices, record)?;
        let Some(right) = self.right_answer(choices, record, &answers)? else {
            self.loaded.unlabelled += choices.wrong + 1;
            return Ok(());
        };
        let wrong = choices.wrong_answers(record, &answers, right);
        let first_wrong = wrong.first().map_or("", |&wrong| answers[wrong]);
        self.push(record, id, 1, Some([answers[right], first_wrong]));
        for (id, wrong) in (id + 1..).zip(wrong) {
            self.push(record, id, 0, Some([answers[wrong], answers[right]]));
        }
        Ok(())
    }

    /// Adds a row; of a question with the answer it asks about and the one that this is compared with.
    fn push(&mut self, record: &Record, id: u64, class: usize, answers: Option<[&str; 2]>) {
        let text = match self.template {
            None => format!("row {id}"),
            Some(template) => self.text(template, record, answers).unwrap_or_default(),
        };
        let value = |(number, &column): (usize, &usize)| {
            let value = &record.cells[column].text;
            (!value.is_empty()).then(|| hash(number as u64, value))
        };
        self.loaded.rows.push(Row {
            id,
            text,
            label: class as u32,
            groups: self.groups.iter().enumerate().filter_map(value).collect(),
        });
    }

    /// The text of a row, if it says something. Without an answer, or without the other one that the text tells, it does not.
    fn text(
        &self,
        template: &Template,
        record: &Record,
        answers: Option<[&str; 2]>,
    ) -> Option<String> {
        if let Some([answer, other]) = answers
            && (answer.is_empty() || other.is_empty() && self.task.tells_other(template))
        {
            return None;
        }
        template.fill(|column| match (column, answers) {
            ("answer", Some([answer, _])) => answer,
            ("other", Some([_, other])) => other,
            _ => &record.cells[self.columns.place(column)].text,
        })
    }

    /// All answers of a question; a column may hold several as a list.
    fn answers_of<'r>(
        &self,
        choices: &Choices,
        record: &'r Record,
    ) -> Result<Vec<&'r str>, DataError> {
        let cells = self.answers.iter().map(|&column| &record.cells[column]);
        let list = cells
            .clone()
            .zip(&choices.answers)
            .find(|(cell, _)| cell.items.is_some());
        if let (Some((_, column)), Some(_)) = (list, &choices.right) {
            return Err(DataError::Value {
                place: record.place.clone(),
                column: column.clone(),
                found: "an array".into(),
            });
        }
        let answers: Vec<&str> = cells
            .flat_map(|cell| cell.items())
            .map(String::as_str)
            .collect();
        if answers.len() < 2 {
            return Err(DataError::Malformed {
                place: record.place.clone(),
                problem: format!(
                    "a question needs two answers or more, this one has {} in {}",
                    answers.len(),
                    crate::error::quoted(&choices.answers)
                ),
            });
        }
        Ok(answers)
    }

    fn right_answer(
        &self,
        choices: &Choices,
        record: &Record,
        answers: &[&str],
    ) -> Result<Option<usize>, DataError> {
        let Some(column) = self.deciding else {
            let right = |answer: &String| Some(answer) == choices.right.as_ref();
            return Ok(choices.answers.iter().position(right));
        };
        let value = record.cells[column].text.trim();
        if choices.unlabelled.iter().any(|none| none == value) {
            return Ok(None);
        }
        let numbers = || (0..answers.len()).map(|index| index.to_string()).collect();
        let keys: Vec<String> = match (&choices.keys, self.keys) {
            (Some(Keys::Values(keys)), _) => keys.clone(),
            (_, Some(column)) => record.cells[column].items().to_vec(),
            (_, None) if value == "-1" => return Ok(None),
            (_, None) => numbers(),
        };
        if keys.len() != answers.len() {
            return Err(DataError::Malformed {
                place: record.place.clone(),
                problem: format!("{} answers, and keys for {}", answers.len(), keys.len()),
            });
        }
        match keys.iter().position(|key| key.trim() == value) {
            Some(right) => Ok(Some(right)),
            None => Err(DataError::UnknownLabel {
                place: record.place.clone(),
                column: choices.right_index.clone().unwrap_or_default(),
                value: self.task.shown(value),
                known: keys,
                of_answer: true,
            }),
        }
    }
}

/// What a label says.
enum Class {
    Known(usize),
    Unlabelled,
    Unknown,
}

impl LabelColumn {
    fn class_of(&self, value: &str) -> Class {
        if self.unlabelled.iter().any(|none| none == value) {
            return Class::Unlabelled;
        }
        let class = self.values.get(value);
        match class.and_then(|class| self.classes.iter().position(|known| known == class)) {
            Some(class) => Class::Known(class),
            None => Class::Unknown,
        }
    }
}

impl Choices {
    /// The wrong answers to use: picked by a hash of question and answer, so that no seed and no order of rows changes
    /// them. Answers that repeat the right one are not wrong.
    fn wrong_answers(&self, record: &Record, answers: &[&str], right: usize) -> Vec<usize> {
        let values = record.cells.iter().flat_map(|cell| cell.items());
        let whole = values.fold(0, |state, value| hash(state, value));
        let mut wrong: Vec<usize> = (0..answers.len())
            .filter(|&index| index != right && answers[index] != answers[right])
            .collect();
        wrong.sort_by_key(|&index| hash(whole, answers[index]));
        wrong.dedup_by_key(|index| answers[*index]);
        wrong.truncate(self.wrong);
        wrong
    }
}

/// The names of the values to read, each once.
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

    /// The place of a name that is among them.
    fn place(&self, name: &str) -> usize {
        let place = self.0.iter().position(|known| *known == name);
        place.expect("the columns of the template are among those to read")
    }
}

/// A 64-bit hash of a text that is the same in every version and on every machine.
pub(crate) fn hash(state: u64, text: &str) -> u64 {
    mix(fnv1a(mix(state), text) ^ text.len() as u64)
}
