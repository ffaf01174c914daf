//! Plain text: a record a line, with one column, `text`.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read},
    path::Path,
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{Each, MOST_TEXT, check_columns, too_long};
use crate::error::{DataError, Place};

pub(super) fn read(
    path: &Path,
    file: File,
    columns: Option<&[&str]>,
    each: Each,
) -> Result<(), DataError> {
    check_columns(path, columns, &["text".to_owned()])?;
    for_each_line(path, file, MOST_TEXT, |place, line| {
        each(
            place,
            Map::from_iter([("text".to_owned(), Value::from(line))]),
        )
    })
}

/// Calls `each` with every line that is not blank, without its end and without a byte-order mark, until it says false. A
/// line of more than `most` bytes is an error, and no more of it is read.
pub(super) fn for_each_line(
    path: &Path,
    file: File,
    most: usize,
    mut each: impl FnMut(Place, &str) -> Result<bool, DataError>,
) -> Result<(), DataError> {
    let name: Arc<Path> = path.into();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = (&mut reader)
            .take(most as u64 + 1)
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
        if read > most {
            return Err(too_long(place, "a line", most));
        }
        let line = std::str::from_utf8(&bytes).map_err(|error| DataError::Malformed {
            place: place.clone(),
            problem: format!(
                "not UTF-8 text from byte {} of the line on",
                error.valid_up_to() + 1
            ),
        })?;
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
