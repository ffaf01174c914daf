//! From the records of files to rows, as a description says.

use std::path::PathBuf;

use w2s_worlds::{fnv1a, mix};

use super::{Choices, LabelColumn, Task, Template};
use crate::{
    error::DataError,
    source::{self, ReadOptions, Record},
    split::Row,
};

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
        let is_answer = |column: &str| column == "answer" && self.choices.is_some();
        let mut columns = Columns::default();
        for column in template.iter().flat_map(Template::columns) {
            if !is_answer(column) {
                columns.index(column);
            }
        }
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
            let text = |answer: &str| -> Option<String> {
                template.as_ref()?.fill(|column| match is_answer(column) {
                    true => answer,
                    false => &record.values[columns.place(column)],
                })
            };
            let mut push = |label: usize, answer: &str| {
                let is_empty = self.choices.is_some() && answer.is_empty();
                let text = match template {
                    None => format!("row {id}"),
                    Some(_) if is_empty => String::new(),
                    Some(_) => text(answer).unwrap_or_default(),
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

    /// The place of a column that is among them.
    fn place(&self, name: &str) -> usize {
        let place = self.0.iter().position(|known| *known == name);
        place.expect("the columns of the template are among those to read")
    }

    fn names(&self) -> Vec<&'a str> {
        self.0.clone()
    }
}

/// A 64-bit hash of a text that is the same in every version and on every machine.
pub(crate) fn hash(state: u64, text: &str) -> u64 {
    mix(fnv1a(mix(state), text) ^ text.len() as u64)
}
