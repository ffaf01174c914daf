//! The values that a description asks for, out of the columns of a file.

use std::path::Path;

use serde_json::{Map, Value};

use super::{Layout, Task, columns::Maker};
use crate::{
    error::{DataError, Place},
    source::{json_kind, scalar_of},
};

/// A value: a text, or a list of texts.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    /// The text; of a list, an item a line.
    pub(super) text: String,
    /// The items of a list.
    pub(super) items: Option<Vec<String>>,
}

impl Cell {
    /// The items of a list, or the text as the only one.
    pub(super) fn items(&self) -> &[String] {
        match &self.items {
            Some(items) => items,
            None => std::slice::from_ref(&self.text),
        }
    }
}

/// The values of a record in the order in which they were asked for.
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) cells: Vec<Cell>,
}

/// How the files of one layout give the values that are asked for.
pub(super) struct Cells<'a> {
    sources: Vec<Source<'a>>,
    trim: bool,
}

/// Where a value comes from.
enum Source<'a> {
    Column(&'a str),
    Made(Maker<'a>),
}

impl<'a> Cells<'a> {
    /// How the file gives the values called `names`.
    pub(super) fn new(task: &'a Task, file: &Path, names: &[&'a str]) -> Result<Self, DataError> {
        let layout = match &task.layouts[..] {
            [] => None,
            layouts => {
                let fits = |layout: &&Layout| begins_with(file, &layout.files);
                Some(layouts.iter().find(fits).ok_or_else(|| {
                    let known = layouts.iter().flat_map(|layout| layout.files.clone());
                    DataError::NoLayout {
                        path: file.into(),
                        task: task.name.clone(),
                        known: known.collect(),
                    }
                })?)
            }
        };
        let source = |name: &&'a str| {
            let own = layout.and_then(|layout| layout.columns.get(*name));
            let Some(made) = own.or_else(|| task.columns.get(*name)) else {
                return Ok(Source::Column(name));
            };
            let problem = |problem| task.problem(format!("column `{name}`: {problem}"));
            made.maker().map(Source::Made).map_err(problem)
        };
        Ok(Self {
            sources: names.iter().map(source).collect::<Result<_, _>>()?,
            trim: task.trim,
        })
    }

    /// The columns of the file to read; `None` for all, where a name may mean a part of a column.
    pub(super) fn columns(&self) -> Option<Vec<&str>> {
        let mut columns: Vec<&str> = Vec::new();
        for source in &self.sources {
            match source {
                Source::Column(name) => columns.push(name),
                Source::Made(maker) => columns.extend(maker.columns()),
            }
        }
        columns.sort_unstable();
        columns.dedup();
        let in_part = columns.iter().any(|name| name.contains('.'));
        (!in_part).then_some(columns)
    }

    /// The values of a record.
    pub(super) fn row(&self, place: Place, values: &Map<String, Value>) -> Result<Row, DataError> {
        let cell = |source: &Source| match source {
            Source::Column(name) => self.cell(&place, values, name),
            Source::Made(maker) => {
                let read =
                    |name: &str| Ok((name.to_owned(), self.cell(&place, values, name)?.text));
                let texts: Vec<(String, String)> = maker
                    .columns()
                    .map(read)
                    .collect::<Result<_, DataError>>()?;
                let text = maker.make(|column| {
                    let found = texts.iter().find(|(name, _)| name == column);
                    found.map_or("", |(_, text)| text)
                });
                let text = self.trimmed(text);
                Ok(Cell { text, items: None })
            }
        };
        let cells = self.sources.iter().map(cell).collect::<Result<_, _>>()?;
        Ok(Row { place, cells })
    }

    fn cell(
        &self,
        place: &Place,
        values: &Map<String, Value>,
        name: &str,
    ) -> Result<Cell, DataError> {
        let Some(value) = look_up(values, name) else {
            return Err(DataError::MissingColumn {
                at: place.to_string(),
                column: name.into(),
                present: values.keys().cloned().collect(),
            });
        };
        let refused = |found: String| DataError::Value {
            place: place.clone(),
            column: name.into(),
            found,
        };
        if let Value::Array(items) = &value {
            let item = |item: &Value| {
                let text = scalar_of(item).map(|text| self.trimmed(text));
                text.ok_or_else(|| refused(format!("an array with {} in it", json_kind(item))))
            };
            let items: Vec<String> = items.iter().map(item).collect::<Result<_, _>>()?;
            return Ok(Cell {
                text: items.join("\n"),
                items: Some(items),
            });
        }
        match scalar_of(&value) {
            Some(text) => Ok(Cell {
                text: self.trimmed(text),
                items: None,
            }),
            None => Err(refused(json_kind(&value).into())),
        }
    }

    fn trimmed(&self, text: String) -> String {
        let trimmed = text.trim();
        match self.trim && trimmed.len() < text.len() {
            true => trimmed.to_owned(),
            false => text,
        }
    }
}

/// Whether the name of a file begins with one of the words, in upper or lower case.
pub(super) fn begins_with(file: &Path, words: &[String]) -> bool {
    file.file_name().is_some_and(|name| {
        let name = name.to_string_lossy().to_lowercase();
        words.iter().any(|word| name.starts_with(word.as_str()))
    })
}

/// The value of a column, or with dots in the name of a part of it: `choices.text` is `text` in the object `choices`, or the
/// list of `text` in all objects of the list `choices`.
fn look_up(values: &Map<String, Value>, name: &str) -> Option<Value> {
    if let Some(value) = values.get(name) {
        return Some(value.clone());
    }
    let (first, rest) = name.split_once('.')?;
    inside(values.get(first)?, rest)
}

fn inside(value: &Value, path: &str) -> Option<Value> {
    match value {
        Value::Object(values) => look_up(values, path),
        Value::Array(items) => {
            let items = items.iter().map(|item| inside(item, path));
            items.collect::<Option<Vec<_>>>().map(Value::Array)
        }
        _ => None,
    }
}
