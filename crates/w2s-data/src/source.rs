//! Records from files: JSON lines, CSV, TSV, Parquet and plain text, one file or a folder of them. Whatever a value was
//! in the file (text, number, true/false), [`read`] gives it out as text and the task description gives it a meaning;
//! [`read_objects`] gives out all columns as they are, lists and structures too, for rows that hold conversations.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::{Array, AsArray, RecordBatch, StringArray},
    compute::cast,
    datatypes::DataType,
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value};

use crate::error::{DataError, Place};

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
    JsonLines,
    Csv,
    Tsv,
    Parquet,
    Text,
}

fn format_of(path: &Path) -> Option<Format> {
    match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" | "json" => Some(Format::JsonLines),
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

/// Reads the `columns` of every record of the files and folders, in the order of [`files`].
pub fn read(
    paths: &[PathBuf],
    columns: &[&str],
    options: ReadOptions,
) -> Result<Vec<Record>, DataError> {
    let mut records = Vec::new();
    for path in paths {
        let before = records.len();
        for file in files(path)? {
            let left = options
                .limit
                .map_or(usize::MAX, |limit| limit - records.len());
            if left > 0 {
                read_file(&file, columns, options, left, &mut records)?;
            }
        }
        if records.len() == before && options.limit.is_none_or(|limit| records.len() < limit) {
            return Err(DataError::NoRecords { path: path.clone() });
        }
    }
    Ok(records)
}

fn read_file(
    path: &Path,
    columns: &[&str],
    options: ReadOptions,
    limit: usize,
    records: &mut Vec<Record>,
) -> Result<(), DataError> {
    let format = format_of(path).ok_or_else(|| DataError::UnknownFormat { path: path.into() })?;
    let file = File::open(path).map_err(|source| DataError::Io {
        path: path.into(),
        source,
    })?;
    match format {
        Format::JsonLines => read_json_lines(path, file, columns, limit, records),
        Format::Csv => read_delimited(path, file, columns, limit, records, b',', true),
        Format::Tsv => read_delimited(
            path,
            file,
            columns,
            limit,
            records,
            b'\t',
            options.tsv_quoting,
        ),
        Format::Parquet => read_parquet(path, file, columns, limit, records),
        Format::Text => read_text(path, file, columns, limit, records),
    }
}

/// Reads every record of the files and folders with all its columns, in the order of [`files`].
pub fn read_objects(paths: &[PathBuf]) -> Result<Vec<Object>, DataError> {
    let mut objects = Vec::new();
    for path in paths {
        let before = objects.len();
        for file in files(path)? {
            read_objects_of(&file, &mut objects)?;
        }
        if objects.len() == before {
            return Err(DataError::NoRecords { path: path.clone() });
        }
    }
    Ok(objects)
}

fn read_objects_of(path: &Path, objects: &mut Vec<Object>) -> Result<(), DataError> {
    let io = |source| DataError::Io {
        path: path.into(),
        source,
    };
    let columns = match format_of(path) {
        Some(Format::JsonLines) => {
            return for_each_line(path, File::open(path).map_err(io)?, |place, line| {
                let values = json_object(&place, line)?;
                objects.push(Object { place, values });
                Ok(true)
            });
        }
        Some(Format::Parquet) => {
            return read_parquet_objects(path, File::open(path).map_err(io)?, objects);
        }
        Some(Format::Csv) => delimited_header(path, b',')?,
        Some(Format::Tsv) => delimited_header(path, b'\t')?,
        Some(Format::Text) | None => vec!["text".to_owned()],
    };
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let mut records = Vec::new();
    read_file(
        path,
        &names,
        ReadOptions::default(),
        usize::MAX,
        &mut records,
    )?;
    objects.extend(records.into_iter().map(|record| {
        Object {
            place: record.place,
            values: columns
                .iter()
                .cloned()
                .zip(record.values.into_iter().map(Value::String))
                .collect(),
        }
    }));
    Ok(())
}

/// Calls `each` with every line that is not blank, without its end and without a byte-order mark, until it says false.
fn for_each_line(
    path: &Path,
    file: File,
    mut each: impl FnMut(Place, &str) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    let name: Arc<Path> = path.into();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = reader
            .read_until(b'\n', &mut bytes)
            .map_err(|source| DataError::Io {
                path: path.into(),
                source,
            })?;
        if read == 0 {
            break;
        }
        let place = Place {
            file: name.clone(),
            number,
            is_row: false,
        };
        let line = std::str::from_utf8(&bytes).map_err(|error| not_utf8(&place, error))?;
        let line = if number == 1 {
            line.trim_start_matches('\u{feff}')
        } else {
            line
        };
        let line = line.trim_end_matches(['\n', '\r']);
        if !line.trim().is_empty() && !each(place, line)? {
            break;
        }
    }
    Ok(())
}

fn not_utf8(place: &Place, error: std::str::Utf8Error) -> DataError {
    DataError::Malformed {
        place: place.clone(),
        problem: format!(
            "not UTF-8 text from byte {} of the line on",
            error.valid_up_to() + 1
        ),
    }
}

fn read_json_lines(
    path: &Path,
    file: File,
    columns: &[&str],
    limit: usize,
    records: &mut Vec<Record>,
) -> Result<(), DataError> {
    let end = records.len().saturating_add(limit);
    for_each_line(path, file, |place, line| {
        let object = json_object(&place, line)?;
        let mut values = Vec::with_capacity(columns.len());
        for &column in columns {
            values.push(match object.get(column) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                Some(Value::Bool(truth)) => truth.to_string(),
                Some(Value::Null) => String::new(),
                Some(other) => {
                    return Err(DataError::Value {
                        place,
                        column: column.into(),
                        found: json_kind(other).into(),
                    });
                }
                None => {
                    let present = object.keys().cloned().collect();
                    return Err(DataError::MissingColumn {
                        at: place.to_string(),
                        column: column.into(),
                        present,
                    });
                }
            });
        }
        records.push(Record { place, values });
        Ok(records.len() < end)
    })
}

fn json_object(place: &Place, line: &str) -> Result<Map<String, Value>, DataError> {
    let malformed = |problem| DataError::Malformed {
        place: place.clone(),
        problem,
    };
    match serde_json::from_str(line) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(malformed(format!(
            "an object `{{...}}` is needed on each line, this one holds {}",
            json_kind(&other)
        ))),
        Err(error) => Err(malformed(json_problem(&error))),
    }
}

/// What serde_json said, with the column only: its line is always 1 here.
fn json_problem(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    format!("malformed JSON at character {}: {what}", error.column())
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

fn delimited_header(path: &Path, delimiter: u8) -> Result<Vec<String>, DataError> {
    let header = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .from_path(path)
        .and_then(|mut reader| reader.headers().cloned())
        .map_err(|error| DataError::Malformed {
            place: Place {
                file: path.into(),
                number: 1,
                is_row: false,
            },
            problem: error.to_string(),
        })?;
    Ok(header.iter().map(|name| name.trim().into()).collect())
}

fn read_delimited(
    path: &Path,
    file: File,
    columns: &[&str],
    limit: usize,
    records: &mut Vec<Record>,
    delimiter: u8,
    quoting: bool,
) -> Result<(), DataError> {
    let name: Arc<Path> = path.into();
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .from_reader(file);
    let failed = |error: csv::Error| {
        let place = |number| Place {
            file: name.clone(),
            number,
            is_row: false,
        };
        let line = error.position().map_or(1, csv::Position::line);
        match error.into_kind() {
            csv::ErrorKind::Io(source) => DataError::Io {
                path: path.into(),
                source,
            },
            csv::ErrorKind::Utf8 { err, .. } => DataError::Malformed {
                place: place(line),
                problem: format!("field {} is not UTF-8 text", err.field() + 1),
            },
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => DataError::Malformed {
                place: place(line),
                problem: format!("{len} fields, the header has {expected_len}"),
            },
            other => DataError::Malformed {
                place: place(line),
                problem: format!("{other:?}"),
            },
        }
    };
    let header: Vec<String> = reader
        .headers()
        .map_err(&failed)?
        .iter()
        .map(|name| name.trim().into())
        .collect();
    let indices = positions(path, columns, &header)?;
    for record in reader.records().take(limit) {
        let record = record.map_err(&failed)?;
        let number = record.position().map_or(0, csv::Position::line);
        let values = indices
            .iter()
            .map(|&index| record[index].to_string())
            .collect();
        records.push(Record {
            place: Place {
                file: name.clone(),
                number,
                is_row: false,
            },
            values,
        });
    }
    Ok(())
}

/// Where the columns stand among those of a file.
fn positions(path: &Path, columns: &[&str], present: &[String]) -> Result<Vec<usize>, DataError> {
    let position = |&column: &&str| {
        present
            .iter()
            .position(|name| name == column)
            .ok_or_else(|| DataError::MissingColumn {
                at: path.display().to_string(),
                column: column.into(),
                present: present.to_vec(),
            })
    };
    columns.iter().map(position).collect()
}

fn read_parquet(
    path: &Path,
    file: File,
    columns: &[&str],
    limit: usize,
    records: &mut Vec<Record>,
) -> Result<(), DataError> {
    let failed = |problem: String| DataError::Parquet {
        path: path.into(),
        problem,
    };
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed(e.to_string()))?;
    let present: Vec<String> = builder
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    let roots = positions(path, columns, &present)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    let reader = builder
        .with_projection(mask)
        .with_limit(limit)
        .with_batch_size(8192)
        .build()
        .map_err(|e| failed(e.to_string()))?;
    let name: Arc<Path> = path.into();
    let mut number = 0;
    for batch in reader {
        let batch = batch.map_err(|e| failed(e.to_string()))?;
        let place = |number| Place {
            file: name.clone(),
            number,
            is_row: true,
        };
        let texts = columns
            .iter()
            .map(|&column| {
                let array = batch
                    .column_by_name(column)
                    .ok_or_else(|| failed(format!("column `{column}` went missing")))?;
                as_text(array).ok_or_else(|| DataError::Value {
                    place: place(number + 1),
                    column: column.into(),
                    found: format!("values of the type {}", array.data_type()),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        for row in 0..batch.num_rows() {
            number += 1;
            let values = texts
                .iter()
                .map(|array| {
                    if array.is_null(row) {
                        String::new()
                    } else {
                        array.value(row).to_string()
                    }
                })
                .collect();
            records.push(Record {
                place: place(number),
                values,
            });
        }
    }
    Ok(())
}

fn read_parquet_objects(
    path: &Path,
    file: File,
    objects: &mut Vec<Object>,
) -> Result<(), DataError> {
    let failed = |problem: String| DataError::Parquet {
        path: path.into(),
        problem,
    };
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .and_then(|builder| builder.with_batch_size(8192).build())
        .map_err(|error| failed(error.to_string()))?;
    let name: Arc<Path> = path.into();
    let mut number = 0;
    for batch in reader {
        let batch: RecordBatch = batch.map_err(|error| failed(error.to_string()))?;
        let schema = batch.schema();
        let mut rows = vec![Map::new(); batch.num_rows()];
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            // A column that has no form in JSON, such as an image, can be there as long as nobody asks for it.
            let Some(values) = as_json(array) else {
                continue;
            };
            for (row, value) in rows.iter_mut().zip(values) {
                row.insert(field.name().clone(), value);
            }
        }
        for values in rows {
            number += 1;
            let place = Place {
                file: name.clone(),
                number,
                is_row: true,
            };
            objects.push(Object { place, values });
        }
    }
    Ok(())
}

/// The values of an array, with lists as arrays and structures as objects; `None` for binary and other types.
fn as_json(array: &dyn Array) -> Option<Vec<Value>> {
    let values = match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let ends = lists.value_offsets().iter().map(|&end| end as usize);
            cut_lists(as_json(lists.values())?, ends)
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let ends = lists.value_offsets().iter().map(|&end| end as usize);
            cut_lists(as_json(lists.values())?, ends)
        }
        DataType::Struct(fields) => {
            let mut rows = vec![Map::new(); array.len()];
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                for (row, value) in rows.iter_mut().zip(as_json(column)?) {
                    row.insert(field.name().clone(), value);
                }
            }
            rows.into_iter().map(Value::Object).collect()
        }
        kind => {
            let texts = as_text(array)?;
            let value = |text: &str| match kind {
                DataType::Boolean => Value::Bool(text == "true"),
                // Not-a-number has no form in JSON.
                _ if kind.is_numeric() => text.parse().map_or(Value::Null, Value::Number),
                _ => Value::String(text.to_owned()),
            };
            texts
                .iter()
                .map(|text| text.map_or(Value::Null, value))
                .collect()
        }
    };
    let valid = |(row, value)| {
        if array.is_null(row) {
            Value::Null
        } else {
            value
        }
    };
    Some(values.into_iter().enumerate().map(valid).collect())
}

/// Arrays from all their values in a row and the places where each array begins, and the last one ends.
fn cut_lists(values: Vec<Value>, offsets: impl Iterator<Item = usize>) -> Vec<Value> {
    let offsets: Vec<usize> = offsets.collect();
    offsets
        .windows(2)
        .map(|bounds| Value::Array(values[bounds[0]..bounds[1]].to_vec()))
        .collect()
}

/// Text, numbers and booleans as text; `None` for nested and binary types.
fn as_text(array: &dyn Array) -> Option<StringArray> {
    let inner = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    if inner.is_nested()
        || matches!(
            inner,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        )
    {
        return None;
    }
    Some(
        cast(array, &DataType::Utf8)
            .ok()?
            .as_string::<i32>()
            .clone(),
    )
}

/// A plain text file has one column, `text`, and a record a line.
fn read_text(
    path: &Path,
    file: File,
    columns: &[&str],
    limit: usize,
    records: &mut Vec<Record>,
) -> Result<(), DataError> {
    if let Some(column) = columns.iter().find(|&&column| column != "text") {
        return Err(DataError::MissingColumn {
            at: path.display().to_string(),
            column: (*column).into(),
            present: vec!["text".into()],
        });
    }
    let end = records.len().saturating_add(limit);
    for_each_line(path, file, |place, line| {
        records.push(Record {
            place,
            values: vec![line.to_string(); columns.len()],
        });
        Ok(records.len() < end)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::{
        array::{
            ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array,
            ListArray, ListBuilder, StringBuilder, StringViewArray, StructBuilder,
        },
        datatypes::{Field, Int32Type, Int64Type},
    };
    use parquet::arrow::ArrowWriter;
    use serde_json::json;

    use super::*;

    fn write(name: &str, content: impl AsRef<[u8]>) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    fn values(path: &Path, columns: &[&str], options: ReadOptions) -> Vec<(u64, Vec<String>)> {
        let records = read(&[path.into()], columns, options).unwrap();
        records
            .into_iter()
            .map(|record| (record.place.number, record.values))
            .collect()
    }

    /// The message with the folder cut away, and its hint.
    fn refused(path: &Path, columns: &[&str]) -> String {
        let error = read(&[path.into()], columns, ReadOptions::default()).unwrap_err();
        let folder = format!("{}/", path.parent().unwrap().display());
        error.to_string().replace(&folder, "")
    }

    #[test]
    fn json_lines() {
        let text = "\u{feff}{\"text\": \"a\", \"label\": 1}\n\n{\"label\": true, \"text\": \"b \\u00e9\"}\r\n{\"text\":null,\"label\":2.5}";
        let (_folder, path) = write("rows.jsonl", text);
        let expected = [
            (1, vec!["1", "a"]),
            (3, vec!["true", "b é"]),
            (4, vec!["2.5", ""]),
        ];
        let found = values(&path, &["label", "text"], ReadOptions::default());
        assert_eq!(
            found,
            expected.map(|(line, v)| (line, v.into_iter().map(String::from).collect()))
        );
    }

    #[test]
    fn bad_json_lines_are_named() {
        let (_folder, path) = write(
            "rows.jsonl",
            "{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\" \"label\": 0}\n",
        );
        assert_eq!(
            refused(&path, &["text"]),
            "rows.jsonl:2: malformed JSON at character 14: expected `,` or `}`"
        );
        let (_folder, path) = write(
            "rows.jsonl",
            "{\"text\": \"a\", \"label\": 1}\n{\"txt\": \"b\", \"label\": 0}\n",
        );
        assert_eq!(
            refused(&path, &["text"]),
            "rows.jsonl:2: no column `text`; there are `txt`, `label`"
        );
        let (_folder, path) = write("rows.jsonl", "[1, 2]\n");
        assert_eq!(
            refused(&path, &["text"]),
            "rows.jsonl:1: an object `{...}` is needed on each line, this one holds an array"
        );
        let (_folder, path) = write("rows.jsonl", "{\"text\": [\"a\"]}\n");
        assert_eq!(
            refused(&path, &["text"]),
            "rows.jsonl:1: column `text` holds an array; text, a number or true/false is needed"
        );
        let (_folder, path) = write("rows.jsonl", b"{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n");
        assert_eq!(
            refused(&path, &["text"]),
            "rows.jsonl:2: not UTF-8 text from byte 11 of the line on"
        );
        let (_folder, path) = write("rows.jsonl", "\n");
        assert_eq!(refused(&path, &["text"]), "rows.jsonl: no records");
    }

    #[test]
    fn csv_fields_may_be_quoted() {
        let (_folder, path) = write("rows.csv", "text,label\n\"a, \"\"b\"\"\nc\",1\nd,0\n");
        let found = values(&path, &["text", "label"], ReadOptions::default());
        assert_eq!(
            found,
            [
                (2, vec!["a, \"b\"\nc".into(), "1".into()]),
                (4, vec!["d".into(), "0".into()])
            ]
        );
    }

    #[test]
    fn tsv_fields_are_quoted_or_not_as_asked() {
        let (_folder, path) = write("rows.tsv", "text\tlabel\n\"a\" b \t1\n\"c\t0\n");
        let plain = ReadOptions {
            tsv_quoting: false,
            limit: None,
        };
        let found = values(&path, &["text", "label"], plain);
        assert_eq!(
            found,
            [
                (2, vec!["\"a\" b ".into(), "1".into()]),
                (3, vec!["\"c".into(), "0".into()])
            ]
        );
        assert_eq!(
            refused(&path, &["text"]),
            "rows.tsv:3: 1 fields, the header has 2"
        );
    }

    #[test]
    fn bad_delimited_rows_are_named() {
        let (_folder, path) = write("rows.csv", "text,label\na,1\nb\n");
        assert_eq!(
            refused(&path, &["text"]),
            "rows.csv:3: 1 fields, the header has 2"
        );
        assert_eq!(
            refused(&path, &["sentence"]),
            "rows.csv: no column `sentence`; there are `text`, `label`"
        );
        let (_folder, path) = write("rows.csv", b"text,label\na,1\n\xff,0\n");
        assert_eq!(
            refused(&path, &["text"]),
            "rows.csv:3: field 1 is not UTF-8 text"
        );
    }

    fn write_parquet(path: &Path) {
        let texts: ArrayRef = Arc::new(StringViewArray::from(vec![Some("a"), None, Some("c")]));
        let labels: ArrayRef = Arc::new(Int64Array::from(vec![0, 1, -1]));
        let truths: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true]));
        let kinds: ArrayRef = Arc::new(
            vec!["x", "y", "x"]
                .into_iter()
                .collect::<DictionaryArray<Int32Type>>(),
        );
        let lists: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
            Some(
                vec![Some(1)]
            );
            3
        ]));
        let columns = [
            ("text", texts),
            ("label", labels),
            ("answer", truths),
            ("kind", kinds),
            ("list", lists),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let mut writer =
            ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
    }

    #[test]
    fn parquet() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("train-00000-of-00001.parquet");
        write_parquet(&path);
        // Not the order of the file: columns come as asked.
        let found = values(
            &path,
            &["answer", "kind", "text", "label"],
            ReadOptions::default(),
        );
        let row = |texts: [&str; 4]| texts.map(String::from).to_vec();
        let expected = [
            (1, row(["true", "x", "a", "0"])),
            (2, row(["false", "y", "", "1"])),
            (3, row(["true", "x", "c", "-1"])),
        ];
        assert_eq!(found, expected);
        assert_eq!(
            values(
                &path,
                &["label"],
                ReadOptions {
                    limit: Some(2),
                    ..Default::default()
                }
            )
            .len(),
            2
        );
        assert_eq!(
            refused(&path, &["sentence"]),
            "train-00000-of-00001.parquet: no column `sentence`; there are `text`, `label`, `answer`, `kind`, `list`"
        );
        let message = refused(&path, &["list"]);
        assert!(
            message.starts_with(
                "train-00000-of-00001.parquet: row 1: column `list` holds values of the type List"
            ),
            "{message}"
        );
        fs::write(&path, "no parquet at all").unwrap();
        let message = refused(&path, &["text"]);
        assert!(
            message.starts_with("train-00000-of-00001.parquet: not a readable Parquet file: "),
            "{message}"
        );
    }

    #[test]
    fn objects_keep_lists_and_structures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.parquet");
        let mut turns = ListBuilder::new(StructBuilder::from_fields(
            vec![
                Field::new("role", DataType::Utf8, true),
                Field::new("content", DataType::Utf8, true),
            ],
            3,
        ));
        let mut turn = |role: &str, content: Option<&str>| {
            let builder = turns.values();
            builder
                .field_builder::<StringBuilder>(0)
                .unwrap()
                .append_value(role);
            builder
                .field_builder::<StringBuilder>(1)
                .unwrap()
                .append_option(content);
            builder.append(true);
        };
        turn("user", Some("why ?"));
        turn("assistant", None);
        turns.append(true);
        turns.append(false);
        let columns: [(&str, ArrayRef); 4] = [
            ("turns", Arc::new(turns.finish())),
            ("score", Arc::new(Float64Array::from(vec![0.5, f64::NAN]))),
            ("label", Arc::new(Int64Array::from(vec![Some(-2), None]))),
            (
                "image",
                Arc::new(BinaryArray::from(vec![b"x".as_slice(), b"y"])),
            ),
        ];
        let batch = RecordBatch::try_from_iter_with_nullable(
            columns.map(|(name, array)| (name, array, true)),
        )
        .unwrap();
        let mut writer =
            ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        let values = |path: &Path| -> Vec<Value> {
            let objects = read_objects(&[path.into()]).unwrap();
            objects
                .into_iter()
                .map(|object| Value::Object(object.values))
                .collect()
        };
        let expected = [
            json!({
                "turns": [{"role": "user", "content": "why ?"}, {"role": "assistant", "content": null}],
                "score": 0.5,
                "label": -2,
            }),
            json!({"turns": null, "score": null, "label": null}),
        ];
        assert_eq!(values(&path), expected);
        let lines = folder.path().join("rows.jsonl");
        fs::write(&lines, format!("{}\n\n{}\n", expected[0], expected[1])).unwrap();
        assert_eq!(values(&lines), expected);
        assert_eq!(
            read_objects(&[lines]).unwrap()[1].place.to_string(),
            folder.path().join("rows.jsonl:3").display().to_string()
        );
        let table = folder.path().join("rows.csv");
        fs::write(&table, "a, b\n1,\"x,y\"\n").unwrap();
        assert_eq!(values(&table), [json!({"a": "1", "b": "x,y"})]);
        let text = folder.path().join("rows.txt");
        fs::write(&text, "a line\n").unwrap();
        assert_eq!(values(&text), [json!({"text": "a line"})]);
    }

    #[test]
    fn a_folder_is_read_in_sorted_order() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("data")).unwrap();
        fs::write(at("data/train-00001-of-00002.jsonl"), "{\"text\":\"2\"}").unwrap();
        fs::write(at("data/train-00000-of-00002.jsonl"), "{\"text\":\"1\"}").unwrap();
        fs::write(at("validation.csv"), "text\n3\n").unwrap();
        for other in [
            "README.md",
            "dataset_infos.json",
            "licence.txt",
            ".hidden.csv",
        ] {
            fs::write(at(other), "not data").unwrap();
        }
        let texts = |limit| {
            let records = read(
                &[folder.path().into()],
                &["text"],
                ReadOptions {
                    limit,
                    ..Default::default()
                },
            )
            .unwrap();
            records
                .into_iter()
                .map(|mut record| record.values.remove(0))
                .collect::<Vec<_>>()
        };
        assert_eq!(texts(None), ["1", "2", "3"]);
        assert_eq!(texts(Some(2)), ["1", "2"]);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let (folder, path) = write("rows.xlsx", "");
        assert!(
            refused(&path, &["text"])
                .starts_with("rows.xlsx: files of the kind `.xlsx` cannot be read; known: .jsonl")
        );
        assert!(
            refused(&folder.path().join("none.csv"), &["text"]).starts_with("cannot read none.csv")
        );
        let message = read(&[folder.path().into()], &["text"], ReadOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            message.ends_with("the folder holds no .jsonl, .csv, .tsv or .parquet file"),
            "{message}"
        );
    }

    #[test]
    fn plain_text_is_a_record_a_line() {
        let (_folder, path) = write("own.txt", "one line\n\nanother\n");
        let found = values(&path, &["text"], ReadOptions::default());
        assert_eq!(
            found,
            [(1, vec!["one line".into()]), (3, vec!["another".into()])]
        );
        assert_eq!(
            refused(&path, &["label"]),
            "own.txt: no column `label`; there are `text`"
        );
    }
}
