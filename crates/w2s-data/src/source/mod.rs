//! Records from files: JSON, CSV, TSV, Parquet and plain text, one file or a folder of them. Whatever a value was in the file
//! (text, number, true/false), [`read`] gives it out as text and the task description gives it a meaning; [`read_objects`]
//! gives out all columns as they are, lists and structures too, for rows that hold conversations. Each format has one reader,
//! which serves both.

use std::{
    fs::{self, File},
    io::{Read, Seek},
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::error::{DataError, Place};

mod json;

mod delimited;

mod parquet;

mod pages;

mod text;

/// The most bytes of text in a record. A book has one or two million; to cut a text into tokens takes 60 times its size.
pub const MOST_TEXT: usize = 8 << 20;

/// How files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether a field of a TSV file may stand in quotation marks. CSV fields always may.
    pub tsv_quoting: bool,
    /// Read at most so many records.
    pub limit: Option<usize>,
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            tsv_quoting: true,
            limit: None,
        }
    }
}

/// One record: the values of the columns that were asked for, in that order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub place: Place,
    /// A missing value (JSON `null`, Parquet null) is the empty text.
    pub values: Vec<String>,
}

/// One record with all its columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Where it stands.
    pub place: Place,
    /// The columns by name, in the order of the file. Values of CSV and TSV files are texts.
    pub values: Map<String, Value>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Csv,
    Tsv,
    Parquet,
    Text,
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" | "json" => Some(Format::Json),
        "csv" => Some(Format::Csv),
        "tsv" => Some(Format::Tsv),
        "parquet" => Some(Format::Parquet),
        "txt" => Some(Format::Text),
        _ => None,
    }
}

/// The files to read for `path`: the file itself, or every file of a known kind under the folder, sorted by path.
///
/// `.json` and `.txt` files count only when named themselves: in a folder they are metadata and licences more often
/// than data.
pub fn files(path: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |source| DataError::Io {
        path: path.into(),
        source,
    };
    if !fs::metadata(path).map_err(io)?.is_dir() {
        return match format_of(path) {
            Some(_) => Ok(vec![path.into()]),
            None => Err(DataError::UnknownFormat { path: path.into() }),
        };
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?.path();
            let hidden = entry
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with('.'));
            let metadata = entry.extension().is_some_and(|e| e == "json" || e == "txt");
            if hidden {
                continue;
            } else if entry.is_dir() {
                folders.push(entry);
            } else if !metadata && format_of(&entry).is_some() {
                found.push(entry);
            }
        }
    }
    if found.is_empty() {
        return Err(DataError::NoFiles { path: path.into() });
    }
    found.sort();
    Ok(found)
}

/// What a reader of a format does with a record; false when no more are needed.
type Each<'a> = &'a mut dyn FnMut(Place, Map<String, Value>) -> Result<bool, DataError>;

/// Reads the `columns` of every record of the files and folders, in the order of [`files`].
pub fn read(
    paths: &[PathBuf],
    columns: &[&str],
    options: ReadOptions,
) -> Result<Vec<Record>, DataError> {
    let mut records = Vec::new();
    for_each_file(paths, options.limit, &mut |file, limit| {
        let before = records.len();
        let options = ReadOptions { limit, ..options };
        read_file(file, Some(columns), options, &mut |place, values| {
            let values = columns
                .iter()
                .map(|column| text_of(&place, &values, column));
            let values = values.collect::<Result<_, _>>()?;
            records.push(Record { place, values });
            Ok(())
        })?;
        Ok(records.len() - before)
    })?;
    Ok(records)
}

/// Reads a file up to a number of records, and says how many it had.
type ReadFile<'a> = &'a mut dyn FnMut(&Path, Option<usize>) -> Result<usize, DataError>;

/// Calls `read` for each file of the files and folders, in the order of [`files`], with the most records that it may still
/// read; it returns how many it has read.
pub(crate) fn for_each_file(
    paths: &[PathBuf],
    limit: Option<usize>,
    read: ReadFile,
) -> Result<(), DataError> {
    let mut left = limit;
    for path in paths {
        let mut found = 0;
        for file in files(path)? {
            if left != Some(0) {
                let records = read(&file, left)?;
                found += records;
                left = left.map(|left| left.saturating_sub(records));
            }
        }
        if found == 0 && left != Some(0) {
            return Err(DataError::NoRecords { path: path.clone() });
        }
    }
    Ok(())
}

/// Reads every record of the files and folders with all its columns, in the order of [`files`].
pub fn read_objects(paths: &[PathBuf]) -> Result<Vec<Object>, DataError> {
    let mut objects = Vec::new();
    for_each_file(paths, None, &mut |file, _| {
        let before = objects.len();
        read_file(file, None, ReadOptions::default(), &mut |place, values| {
            objects.push(Object { place, values });
            Ok(())
        })?;
        Ok(objects.len() - before)
    })?;
    Ok(objects)
}

/// Reads the records of a file, at most `limit` of them, with the columns that are asked for or all of them. Columns that no
/// record asks for, such as images, may hold what has no form here.
pub(crate) fn read_file(
    path: &Path,
    columns: Option<&[&str]>,
    options: ReadOptions,
    each: &mut dyn FnMut(Place, Map<String, Value>) -> Result<(), DataError>,
) -> Result<(), DataError> {
    if options.limit == Some(0) {
        return Ok(());
    }
    let format = format_of(path).ok_or_else(|| DataError::UnknownFormat { path: path.into() })?;
    let file = open(path)?;
    let mut read = 0;
    let each: Each = &mut |place, values| {
        let wanted = |name: &str| columns.is_none_or(|columns| columns.contains(&name));
        for (name, value) in values.iter().filter(|(name, _)| wanted(name)) {
            if bytes_of(value) > MOST_TEXT {
                return Err(too_long(place, &format!("the text of `{name}`"), MOST_TEXT));
            }
        }
        each(place, values)?;
        read += 1;
        Ok(options.limit.is_none_or(|limit| read < limit))
    };
    match format {
        Format::Json => json::read(path, file, each),
        Format::Csv => delimited::read(path, file, b',', true, columns, each),
        Format::Tsv => delimited::read(path, file, b'\t', options.tsv_quoting, columns, each),
        Format::Parquet => parquet::read(path, file, columns, each),
        Format::Text => text::read(path, file, columns, each),
    }
}

/// The bytes of all texts in a value.
fn bytes_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(bytes_of).sum(),
        Value::Object(values) => values.values().map(bytes_of).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// An error about `what`, which is longer than `most` bytes.
fn too_long(place: Place, what: &str, most: usize) -> DataError {
    let problem = format!(
        "{what} is longer than {} MiB, the most that is read",
        most >> 20
    );
    DataError::Malformed { place, problem }
}

/// Opens a file of data, and refuses the note that git-lfs leaves in its place.
fn open(path: &Path) -> Result<File, DataError> {
    const POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";
    let io = |source| DataError::Io {
        path: path.into(),
        source,
    };
    let mut file = File::open(path).map_err(io)?;
    let mut start = Vec::new();
    let most = POINTER.len() as u64;
    (&file).take(most).read_to_end(&mut start).map_err(io)?;
    if start == POINTER {
        return Err(DataError::Pointer { path: path.into() });
    }
    file.rewind().map_err(io)?;
    Ok(file)
}

/// The value of a column as text.
fn text_of(place: &Place, values: &Map<String, Value>, column: &str) -> Result<String, DataError> {
    match values.get(column) {
        Some(value) => scalar_of(value).ok_or_else(|| DataError::Value {
            place: place.clone(),
            column: column.into(),
            found: json_kind(value).into(),
        }),
        None => Err(DataError::MissingColumn {
            at: place.to_string(),
            column: column.into(),
            present: values.keys().cloned().collect(),
        }),
    }
}

/// A text, number, true or false as text; null is the empty text.
pub(crate) fn scalar_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

/// Checks that a file has the columns that are asked for, and each of them, or of all, once.
fn check_columns(
    path: &Path,
    columns: Option<&[&str]>,
    present: &[String],
) -> Result<(), DataError> {
    for column in columns.unwrap_or_default() {
        if !present.iter().any(|name| name == column) {
            return Err(DataError::MissingColumn {
                at: path.display().to_string(),
                column: (*column).into(),
                present: present.to_vec(),
            });
        }
    }
    for (number, name) in present.iter().enumerate() {
        let wanted = columns.is_none_or(|columns| columns.contains(&name.as_str()));
        if wanted && !name.is_empty() && present[..number].contains(name) {
            return Err(DataError::TwoColumns {
                path: path.into(),
                column: name.clone(),
            });
        }
    }
    Ok(())
}

pub(crate) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
