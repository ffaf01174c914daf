//! `cargo xtask export`: records for people who work in Python.
//!
//! JSON lines and CSV are written here. Parquet is written by `w2s-data`, which reads it too: it would be most of what
//! this program has to compile.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::build;
use crate::cli::{Export, Format};
use crate::complaint::{Complaint, OrComplain, Result};
use crate::list::{Named, find};
use crate::out::quiet_pipe;
use crate::process::{self, Watched};

/// Writes an artifact's records.
pub fn export(arguments: &Export) -> Result<()> {
    let artifact = match find(&arguments.store, &arguments.artifact)? {
        Named::One(artifact) => artifact,
        Named::Several(lines) => {
            let name = &arguments.artifact;
            let complaint = Complaint::usage(format!("`{name}` names several artifacts"));
            return Err(lines
                .lines()
                .fold(complaint, Complaint::detail)
                .hint("name one of them, by its step or by `kind/hex`"));
        }
    };
    if arguments.excel_safe && arguments.format != Format::Csv {
        return Err(Complaint::usage("--excel-safe is about CSV").hint("add --format csv"));
    }
    if arguments.format == Format::Parquet {
        return parquet(arguments, &artifact.reference.to_string());
    }
    let rows = artifact.records_json()?;
    let written = match &arguments.output {
        Some(path) => {
            let file =
                File::create(path).or_complain(|| format!("cannot write {}", path.display()))?;
            write(
                rows,
                arguments.format,
                arguments.excel_safe,
                BufWriter::new(file),
            )
        }
        None => quiet_pipe(write(
            rows,
            arguments.format,
            arguments.excel_safe,
            BufWriter::new(io::stdout().lock()),
        )),
    };
    written.or_complain(|| match &arguments.output {
        Some(path) => format!("cannot write {}", path.display()),
        None => "cannot write to standard output".to_owned(),
    })
}

fn write(
    rows: impl Iterator<Item = Value>,
    format: Format,
    excel_safe: bool,
    mut out: impl Write,
) -> io::Result<()> {
    match format {
        Format::Csv => csv(rows, excel_safe, &mut out)?,
        Format::Jsonl | Format::Parquet => {
            for row in rows {
                serde_json::to_writer(&mut out, &row)?;
                out.write_all(b"\n")?;
            }
        }
    }
    out.flush()
}

/// A list of numbers becomes one column a number: `probabilities` becomes `probabilities_0`, `probabilities_1`. A row
/// that lacks a column, as lines of a training log do, has an empty cell there.
fn csv(
    rows: impl Iterator<Item = Value>,
    excel_safe: bool,
    out: &mut impl Write,
) -> io::Result<()> {
    let rows: Vec<Vec<(String, String)>> = rows.map(|row| columns(&row, excel_safe)).collect();
    let mut header: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !header.contains(&name.as_str()) {
            header.push(name);
        }
    }
    let mut writer = csv::Writer::from_writer(out);
    if !header.is_empty() {
        writer.write_record(&header).map_err(csv_error)?;
    }
    for row in &rows {
        let cells = header.iter().map(|name| {
            let cell = row.iter().find(|(column, _)| column == name);
            cell.map_or("", |(_, cell)| cell.as_str())
        });
        writer.write_record(cells).map_err(csv_error)?;
    }
    writer.flush()
}

/// The error of the operating system inside: csv's own conversion forgets its kind, and a closed pipe would no longer be
/// one.
fn csv_error(error: csv::Error) -> io::Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        _ => io::Error::other(text),
    }
}

fn columns(row: &Value, excel_safe: bool) -> Vec<(String, String)> {
    let plain = |value: &Value| match value {
        Value::String(text) if excel_safe && is_formula(text) => format!("'{text}"),
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut columns = Vec::new();
    for (name, value) in row.as_object().into_iter().flatten() {
        match value {
            Value::Array(items) => {
                let items = items.iter().enumerate();
                columns.extend(items.map(|(index, item)| (format!("{name}_{index}"), plain(item))));
            }
            value => columns.push((name.clone(), plain(value))),
        }
    }
    columns
}

/// Whether a spreadsheet would run a text instead of showing it.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r'])
}

fn parquet(arguments: &Export, reference: &str) -> Result<()> {
    let Some(output) = &arguments.output else {
        return Err(
            Complaint::usage("Parquet cannot be written to standard output")
                .hint("add --output FILE"),
        );
    };
    let mut command = Command::new(build::stage("data", arguments.no_build)?);
    command
        .args(["export", reference, "--format", "parquet", "--output"])
        .arg(output)
        .arg("--store")
        .arg(&arguments.store)
        .stdout(Stdio::null());
    let status = Watched::start(&mut command)
        .and_then(Watched::wait)
        .or_complain(|| "cannot start w2s-data".to_owned())?;
    if status.success() {
        return Ok(());
    }
    Err(Complaint::failed(format!(
        "w2s-data could not write {}: {}",
        shown(output),
        process::describe(status)
    )))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use serde_json::json;

    use super::*;

    fn written(format: Format, rows: Vec<Value>) -> String {
        let mut out = Vec::new();
        write(rows.into_iter(), format, false, &mut out).expect("memory takes everything");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn json_lines_are_the_records() {
        let rows = vec![
            json!({"id": 1, "text": "a \"b\""}),
            json!({"id": 2, "text": ""}),
        ];
        assert_eq!(
            written(Format::Jsonl, rows),
            "{\"id\":1,\"text\":\"a \\\"b\\\"\"}\n{\"id\":2,\"text\":\"\"}\n"
        );
    }

    /// A pipe whose reader went away.
    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_known_as_one_in_every_format() {
        for format in [Format::Csv, Format::Jsonl] {
            // More than csv's own buffer holds, so that writing fails and not only the last flush.
            let rows = (0..4).map(|id| json!({"id": id, "text": "x".repeat(10_000)}));
            let error = write(rows, format, false, Closed).expect_err("nobody reads");
            assert_eq!(error.kind(), ErrorKind::BrokenPipe, "{format:?}: {error}");
            assert!(quiet_pipe(Err(error)).is_ok());
        }
    }

    #[test]
    fn csv_spreads_lists_and_quotes_text() {
        let rows = vec![
            json!({"id": 1, "probabilities": [0.25, 0.75], "text": "a, b"}),
            json!({"id": 2, "probabilities": [1.0, 0.0], "text": null, "late": true}),
        ];
        assert_eq!(
            written(Format::Csv, rows),
            "id,probabilities_0,probabilities_1,text,late\n1,0.25,0.75,\"a, b\",\n2,1.0,0.0,,true\n"
        );
    }

    #[test]
    fn a_spreadsheet_shows_formulas_where_that_is_asked_for() {
        let rows =
            || vec![json!({"id": -1, "text": "=1+1", "list": ["@a", "b", "-2"]})].into_iter();
        let written = |safe| {
            let mut out = Vec::new();
            write(rows(), Format::Csv, safe, &mut out).expect("memory takes everything");
            String::from_utf8(out).expect("text")
        };
        let head = "id,text,list_0,list_1,list_2\n";
        assert_eq!(written(false), format!("{head}-1,=1+1,@a,b,-2\n"));
        assert_eq!(written(true), format!("{head}-1,'=1+1,'@a,b,'-2\n"));
    }
}
