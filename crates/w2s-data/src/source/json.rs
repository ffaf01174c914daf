//! JSON: an object a line, or one document that holds an array of objects. Which of them it is shows in the content, whatever
//! the name of the file.

use std::{fs::File, io::Seek, path::Path, sync::Arc};

use serde_json::{Deserializer, Map, Value};

use super::{Each, json_kind, text::for_each_line, too_long};
use crate::error::{DataError, Place};

/// The most bytes of a line, and of a file that is one document: they are read whole.
const MOST_DOCUMENT: usize = 1 << 30;

/// Under which name an object may hold the records, as many tools write them.
const WRAPPERS: [&str; 5] = ["data", "rows", "records", "examples", "instances"];

pub(super) fn read(path: &Path, mut file: File, each: Each) -> Result<(), DataError> {
    let io = |source| DataError::Io {
        path: path.into(),
        source,
    };
    // The first line waits for a second: an object by itself may be a document.
    let mut waiting: Option<(Place, Map<String, Value>)> = None;
    let (mut lines, mut is_document) = (0, false);
    for_each_line(
        path,
        file.try_clone().map_err(io)?,
        MOST_DOCUMENT,
        |place, line| {
            lines += 1;
            let value = serde_json::from_str(line);
            if lines == 1 && !matches!(value, Ok(Value::Object(_))) {
                is_document = true;
                return Ok(false);
            }
            let object = match value {
                Ok(Value::Object(object)) => object,
                Ok(other) => return Err(no_object(place, &other)),
                Err(error) => return Err(malformed(place, &error)),
            };
            if lines == 1 {
                waiting = Some((place, object));
                return Ok(true);
            }
            if let Some((place, object)) = waiting.take()
                && !each(place, object)?
            {
                return Ok(false);
            }
            each(place, object)
        },
    )?;
    if is_document {
        file.rewind().map_err(io)?;
        return read_document(path, file, each);
    }
    match waiting {
        Some((place, object)) => match unwrapped(object) {
            Ok(records) => read_array(path, records, &mut 0, each).map(|_| ()),
            Err(object) => each(place, object).map(|_| ()),
        },
        None => Ok(()),
    }
}

/// A document: an array of records, an object that holds one, or records one after the other over several lines.
fn read_document(path: &Path, file: File, each: Each) -> Result<(), DataError> {
    let place = |number| Place {
        file: path.into(),
        number,
        is_row: false,
    };
    if file
        .metadata()
        .is_ok_and(|file| file.len() > MOST_DOCUMENT as u64)
    {
        return Err(too_long(place(1), "a document", MOST_DOCUMENT));
    }
    let text = std::io::read_to_string(file).map_err(|source| DataError::Io {
        path: path.into(),
        source,
    })?;
    let text = text.trim_start_matches('\u{feff}');
    let mut number = 0;
    for value in Deserializer::from_str(text).into_iter::<Value>() {
        let records = match value {
            Ok(Value::Array(records)) => records,
            Ok(Value::Object(object)) => {
                unwrapped(object).unwrap_or_else(|object| vec![Value::Object(object)])
            }
            Ok(other) => vec![other],
            Err(error) => {
                return Err(malformed(place(error.line() as u64), &error));
            }
        };
        if !read_array(path, records, &mut number, each)? {
            break;
        }
    }
    Ok(())
}

fn read_array(
    path: &Path,
    records: Vec<Value>,
    number: &mut u64,
    each: Each,
) -> Result<bool, DataError> {
    let file: Arc<Path> = path.into();
    for record in records {
        *number += 1;
        let place = Place {
            file: file.clone(),
            number: *number,
            is_row: true,
        };
        match record {
            Value::Object(object) => {
                if !each(place, object)? {
                    return Ok(false);
                }
            }
            other => return Err(no_object(place, &other)),
        }
    }
    Ok(true)
}

/// The records that an object holds under a name for them, or the object itself, which is then a record.
fn unwrapped(mut object: Map<String, Value>) -> Result<Vec<Value>, Map<String, Value>> {
    let holds = |name: &&str| match object.get(*name) {
        Some(Value::Array(records)) => !records.is_empty() && records.iter().all(Value::is_object),
        _ => false,
    };
    match WRAPPERS
        .into_iter()
        .find(holds)
        .map(|name| object.remove(name))
    {
        Some(Some(Value::Array(records))) => Ok(records),
        _ => Err(object),
    }
}

fn no_object(place: Place, found: &Value) -> DataError {
    let problem = format!(
        "an object `{{...}}` is needed for each record, this one is {}",
        json_kind(found)
    );
    DataError::Malformed { place, problem }
}

/// What serde_json said, without its line, which the place tells.
fn malformed(place: Place, error: &serde_json::Error) -> DataError {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or(&text);
    DataError::Malformed {
        place,
        problem: format!("malformed JSON at character {}: {what}", error.column()),
    }
}
