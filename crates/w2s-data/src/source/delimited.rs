//! CSV and TSV: a header, then a record a row; every value is a text.

use std::{
    cell::Cell,
    fs::File,
    io::{self, Read},
    path::Path,
    rc::Rc,
    sync::Arc,
};

use serde_json::{Map, Value};

use super::{Each, MOST_TEXT, check_columns};
use crate::error::{DataError, Place};

pub(super) fn read(
    path: &Path,
    file: File,
    delimiter: u8,
    quoting: bool,
    columns: Option<&[&str]>,
    each: Each,
) -> Result<(), DataError> {
    let name: Arc<Path> = path.into();
    let place = |number| Place {
        file: name.clone(),
        number,
        is_row: false,
    };
    let open_quote = Rc::new(Cell::new(None));
    let watched = QuoteWatch {
        file,
        delimiter,
        quoting,
        field: 0,
        state: Quotes::FieldStart,
        line: 1,
        start: 0,
        open_quote: open_quote.clone(),
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .quoting(quoting)
        .from_reader(watched);
    // A quotation mark that is never closed swallows all rows behind it.
    let unclosed = || {
        let line = open_quote.get()?;
        Some(DataError::Malformed {
            place: place(line),
            problem: "a quotation mark opens a field here and is never closed".into(),
        })
    };
    let failed = |error: csv::Error| {
        if let Some(unclosed) = unclosed() {
            return unclosed;
        }
        let line = error.position().map_or(1, csv::Position::line);
        let problem = match error.into_kind() {
            csv::ErrorKind::Io(source) => {
                return DataError::Io {
                    path: path.into(),
                    source,
                };
            }
            csv::ErrorKind::Utf8 { err, .. } => {
                format!("field {} is not UTF-8 text", err.field() + 1)
            }
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("{len} fields, the header has {expected_len}"),
            other => format!("{other:?}"),
        };
        DataError::Malformed {
            place: place(line),
            problem,
        }
    };
    let header: Vec<String> = reader
        .headers()
        .map_err(&failed)?
        .iter()
        .map(|name| name.trim().into())
        .collect();
    check_columns(path, columns, &header)?;
    let wanted: Vec<(usize, &String)> = header
        .iter()
        .enumerate()
        .filter(|(_, name)| columns.is_none_or(|columns| columns.contains(&name.as_str())))
        .collect();
    for record in reader.records() {
        let record = record.map_err(&failed)?;
        if let Some(unclosed) = unclosed() {
            return Err(unclosed);
        }
        let number = record.position().map_or(0, csv::Position::line);
        let value = |&(index, name): &(usize, &String)| (name.clone(), Value::from(&record[index]));
        let values = wanted.iter().map(value).collect::<Map<_, _>>();
        if !each(place(number), values)? {
            break;
        }
    }
    Ok(())
}

/// Where a parser of the format stands with regard to quotation marks.
#[derive(Clone, Copy)]
enum Quotes {
    FieldStart,
    Field,
    Quoted {
        line: u64,
    },
    /// Behind a mark inside a quoted field, which closes it or is one half of a doubled one.
    Closing {
        line: u64,
    },
}

/// Passes a file on and remembers, once it has ended, the line of a quotation mark that was not closed.
struct QuoteWatch {
    file: File,
    delimiter: u8,
    /// Whether marks mean anything.
    quoting: bool,
    /// Bytes of the field so far.
    field: usize,
    state: Quotes,
    line: u64,
    /// Bytes of a byte-order mark that were seen, at most 3.
    start: usize,
    open_quote: Rc<Cell<Option<u64>>>,
}

impl Read for QuoteWatch {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0
            && !buffer.is_empty()
            && let Quotes::Quoted { line } = self.state
        {
            self.open_quote.set(Some(line));
        }
        for &byte in &buffer[..read] {
            if self.start < 3 && byte == b"\xef\xbb\xbf"[self.start] {
                self.start += 1;
                continue;
            }
            self.start = 3;
            let ends_field = byte == self.delimiter || byte == b'\n' || byte == b'\r';
            self.state = match self.state {
                Quotes::FieldStart if byte == b'"' && self.quoting => {
                    Quotes::Quoted { line: self.line }
                }
                Quotes::Quoted { line } if byte == b'"' => Quotes::Closing { line },
                Quotes::Quoted { line } => Quotes::Quoted { line },
                Quotes::Closing { line } if byte == b'"' => Quotes::Quoted { line },
                _ if ends_field => Quotes::FieldStart,
                _ => Quotes::Field,
            };
            self.line += u64::from(byte == b'\n');
            self.field = match self.state {
                Quotes::FieldStart => 0,
                _ => self.field + 1,
            };
            if self.field > MOST_TEXT {
                let (line, most) = (self.line, MOST_TEXT >> 20);
                return Err(io::Error::other(format!(
                    "a field that reaches line {line} is longer than {most} MiB, the most that is read"
                )));
            }
        }
        Ok(read)
    }
}
