//! `w2s-data export`: the rows of an artifact as a Parquet file, for people who work in Python. It is here because this
//! crate reads Parquet; `cargo xtask export --format parquet` calls it.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, anyhow};
use arrow::{
    array::{
        ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, ListArray, RecordBatch,
        StringArray, StructArray, UInt32Array, UInt64Array,
    },
    buffer::OffsetBuffer,
    datatypes::{DataType, Field, Fields, Schema},
    error::ArrowError,
};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use serde_json::{Value, json};
use w2s_artifact::{
    Answer, Artifact, ArtifactRef, Document, Example, Features, Kind, Label, LogProb, Message,
    Pair, Prediction, Prompt, Record, ReferenceLogProbs, Response, Score, Store, Tokens,
};
use w2s_stage::{ArtifactArg, Command, HintExt};

/// Rows turned into columns at once. An Arrow array of texts holds at most 2 GiB.
const ROWS_AT_ONCE: usize = 1024;
/// The key under which the file says what it was made from.
const ARTIFACT_KEY: &str = "w2s.artifact";

/// A format of files with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Apache Parquet
    Parquet,
}

/// Writes the rows of an artifact to a file.
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// Artifact to export: `KIND/HEX`, or the path of its folder
    #[arg(value_name = "ARTIFACT")]
    pub artifact: ArtifactArg,
    /// Format of the file; `cargo xtask export` writes JSON lines and CSV
    #[arg(long, value_enum, default_value_t = ExportFormat::Parquet, value_name = "NAME")]
    pub format: ExportFormat,
    /// File to write; a file of this name is replaced once the new one is whole
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

impl Command for Export {
    const NAME: &'static str = "export";
    const ABOUT: &'static str =
        "Writes the rows of an artifact, or the training log of a checkpoint, to a Parquet file";

    fn run(&self, store: &Store) -> anyhow::Result<Value> {
        let artifact = store.require(&store.resolve(self.artifact.as_str())?)?;
        let ExportFormat::Parquet = self.format;
        let rows = match artifact.reference.kind {
            Kind::Corpus => write_records::<Document>(&artifact, &self.output),
            Kind::Examples => write_records::<Example>(&artifact, &self.output),
            Kind::Labels => write_records::<Label>(&artifact, &self.output),
            Kind::Tokens => write_records::<Tokens>(&artifact, &self.output),
            Kind::Features => write_records::<Features>(&artifact, &self.output),
            Kind::Predictions => write_records::<Prediction>(&artifact, &self.output),
            Kind::Prompts => write_records::<Prompt>(&artifact, &self.output),
            Kind::Responses => write_records::<Response>(&artifact, &self.output),
            Kind::Pairs => write_records::<Pair>(&artifact, &self.output),
            Kind::References => write_records::<ReferenceLogProbs>(&artifact, &self.output),
            Kind::Scores => write_scores(&artifact, &self.output),
            Kind::Checkpoint => write_log(&artifact, &self.output),
            kind => Err(anyhow!("{} has no rows", artifact.reference.short())).with_hint(|| {
                let folder = artifact.path.display();
                match kind {
                    Kind::Report => format!("the numbers of a report are in {folder}/report.json"),
                    Kind::Theory => format!("its trajectories are in {folder}/theory.json"),
                    _ => format!("its files are in {folder}"),
                }
            }),
        }?;
        Ok(json!({"artifact": artifact.reference, "path": self.output, "rows": rows}))
    }
}

/// A record as columns.
trait Columns: Record {
    fn fields() -> Vec<Field>;

    /// The columns of some rows, in the order of the fields.
    fn columns(rows: &[Self]) -> Vec<ArrayRef>;
}

impl Columns for Document {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("text", DataType::Utf8),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            texts(rows.iter().map(|row| row.text.as_str())),
        ]
    }
}

impl Columns for Example {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("split", DataType::Utf8),
            required("group", DataType::UInt64),
            required("label", DataType::UInt32),
            required("text", DataType::Utf8),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            texts(rows.iter().map(|row| row.split.name())),
            u64s(rows.iter().map(|row| row.group)),
            u32s(rows.iter().map(|row| row.label)),
            texts(rows.iter().map(|row| row.text.as_str())),
        ]
    }
}

impl Columns for Label {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("probabilities", list_of(DataType::Float32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            f32_lists(rows.iter().map(|row| row.probabilities.as_slice())),
        ]
    }
}

impl Columns for Tokens {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("ids", list_of(DataType::UInt32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            lists(
                rows.iter().map(|row| row.ids.len()),
                u32s(rows.iter().flat_map(|row| row.ids.iter().copied())),
            ),
        ]
    }
}

impl Columns for Features {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("values", list_of(DataType::Float32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            f32_lists(rows.iter().map(|row| row.values.as_slice())),
        ]
    }
}

impl Columns for Prediction {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("group", DataType::UInt64),
            required("label", DataType::UInt32),
            required("probabilities", list_of(DataType::Float32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            u64s(rows.iter().map(|row| row.group)),
            u32s(rows.iter().map(|row| row.label)),
            f32_lists(rows.iter().map(|row| row.probabilities.as_slice())),
        ]
    }
}

impl Columns for Prompt {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("messages", list_of(DataType::Struct(turn()))),
            optional("answer", DataType::Utf8),
            required("choices", list_of(DataType::Utf8)),
            optional("gold", DataType::UInt32),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let choices = rows.iter().flat_map(|row| &row.choices);
        vec![
            u64s(rows.iter().map(|row| row.id)),
            conversations(rows.iter().map(|row| row.messages.as_slice())),
            Arc::new(
                rows.iter()
                    .map(|row| row.answer.as_deref())
                    .collect::<StringArray>(),
            ),
            lists(
                rows.iter().map(|row| row.choices.len()),
                texts(choices.map(String::as_str)),
            ),
            Arc::new(rows.iter().map(|row| row.gold).collect::<UInt32Array>()),
        ]
    }
}

impl Columns for Response {
    fn fields() -> Vec<Field> {
        vec![
            required("prompt", DataType::UInt64),
            required("sample", DataType::UInt32),
            required("text", DataType::Utf8),
            required("ids", list_of(DataType::UInt32)),
            required("log_probs", list_of(DataType::Float32)),
            required("finished", DataType::Boolean),
            required("model", DataType::Utf8),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.prompt)),
            u32s(rows.iter().map(|row| row.sample)),
            texts(rows.iter().map(|row| row.text.as_str())),
            lists(
                rows.iter().map(|row| row.ids.len()),
                u32s(rows.iter().flat_map(|row| row.ids.iter().copied())),
            ),
            f32_lists(rows.iter().map(|row| row.log_probs.as_slice())),
            truths(rows.iter().map(|row| row.finished)),
            texts(rows.iter().map(|row| row.model.as_str())),
        ]
    }
}

/// The answers as texts under the names preference files use, and beside them where each came from.
impl Columns for Pair {
    fn fields() -> Vec<Field> {
        let mut fields = vec![
            required("id", DataType::UInt64),
            required("prompt", DataType::UInt64),
            required("messages", list_of(DataType::Struct(turn()))),
        ];
        for side in ["chosen", "rejected"] {
            let name = |part: &str| format!("{side}_{part}");
            fields.extend([
                required(side, DataType::Utf8),
                required(&name("source"), DataType::Utf8),
                required(&name("sample"), DataType::UInt32),
                optional(&name("score"), DataType::Float64),
                optional(&name("tokens"), DataType::UInt32),
                required(&name("finished"), DataType::Boolean),
            ]);
        }
        fields.push(required("rule", DataType::Utf8));
        fields
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let mut columns = vec![
            u64s(rows.iter().map(|row| row.id)),
            u64s(rows.iter().map(|row| row.prompt)),
            conversations(rows.iter().map(|row| row.messages.as_slice())),
        ];
        let sides: [fn(&Self) -> &Answer; 2] = [|row| &row.chosen, |row| &row.rejected];
        for side in sides {
            let answers = rows.iter().map(side);
            columns.extend([
                texts(answers.clone().map(|answer| answer.text.as_str())),
                texts(answers.clone().map(|answer| answer.source.as_str())),
                u32s(answers.clone().map(|answer| answer.sample)),
                Arc::new(
                    answers
                        .clone()
                        .map(|answer| answer.score)
                        .collect::<Float64Array>(),
                ),
                Arc::new(
                    answers
                        .clone()
                        .map(|answer| answer.tokens)
                        .collect::<UInt32Array>(),
                ),
                truths(answers.map(|answer| answer.finished)),
            ]);
        }
        columns.push(texts(rows.iter().map(|row| row.rule.as_str())));
        columns
    }
}

impl Columns for ReferenceLogProbs {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("chosen_sum", DataType::Float32),
            required("chosen_tokens", DataType::UInt32),
            required("rejected_sum", DataType::Float32),
            required("rejected_tokens", DataType::UInt32),
            optional("mismatched_sum", DataType::Float32),
            optional("mismatched_tokens", DataType::UInt32),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let mut columns = vec![u64s(rows.iter().map(|row| row.id))];
        let sides: [fn(&Self) -> Option<LogProb>; 3] = [
            |row| Some(row.chosen),
            |row| Some(row.rejected),
            |row| row.mismatched,
        ];
        for side in sides {
            let sums = rows.iter().map(|row| Some(side(row)?.sum));
            let tokens = rows.iter().map(|row| Some(side(row)?.tokens));
            columns.push(Arc::new(sums.collect::<Float32Array>()));
            columns.push(Arc::new(tokens.collect::<UInt32Array>()));
        }
        columns
    }
}

fn required(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, false)
}

fn optional(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(required("element", element)))
}

/// A turn of a conversation, under the names that chat templates use.
fn turn() -> Fields {
    Fields::from(vec![
        required("role", DataType::Utf8),
        required("content", DataType::Utf8),
    ])
}

fn u64s(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

fn u32s(values: impl Iterator<Item = u32>) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(values))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn truths(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

/// Lists of the given lengths over all their elements in a row.
fn lists(lengths: impl Iterator<Item = usize>, elements: ArrayRef) -> ArrayRef {
    let element = required("element", elements.data_type().clone());
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(Arc::new(element), offsets, elements, None))
}

fn f32_lists<'a>(values: impl Iterator<Item = &'a [f32]> + Clone) -> ArrayRef {
    let elements = Float32Array::from_iter_values(values.clone().flatten().copied());
    lists(values.map(<[f32]>::len), Arc::new(elements))
}

fn conversations<'a>(values: impl Iterator<Item = &'a [Message]> + Clone) -> ArrayRef {
    let turns = values.clone().flatten();
    let columns = vec![
        texts(turns.clone().map(|turn| turn.role.as_str())),
        texts(turns.map(|turn| turn.content.as_str())),
    ];
    let elements = StructArray::new(turn(), columns, None);
    lists(values.map(<[Message]>::len), Arc::new(elements))
}

fn write_records<T: Columns>(artifact: &Artifact, output: &Path) -> anyhow::Result<usize> {
    let records: Vec<T> = artifact.records()?;
    let schema = Arc::new(Schema::new(T::fields()));
    let batches = records
        .chunks(ROWS_AT_ONCE)
        .map(|rows| RecordBatch::try_new(schema.clone(), T::columns(rows)));
    write(output, &artifact.reference, &schema, batches)?;
    Ok(records.len())
}

/// Scores with a column for each metric, empty where an answer has no such score.
fn write_scores(artifact: &Artifact, output: &Path) -> anyhow::Result<usize> {
    let records: Vec<Score> = artifact.records()?;
    let metrics: BTreeSet<&str> = records
        .iter()
        .flat_map(|row| row.values.keys().map(String::as_str))
        .collect();
    let mut fields = vec![
        required("id", DataType::UInt64),
        required("sample", DataType::UInt32),
    ];
    fields.extend(metrics.iter().map(|name| optional(name, DataType::Float64)));
    let schema = Arc::new(Schema::new(fields));
    let batches = records.chunks(ROWS_AT_ONCE).map(|rows| {
        let mut columns = vec![
            u64s(rows.iter().map(|row| row.id)),
            u32s(rows.iter().map(|row| row.sample)),
        ];
        for name in &metrics {
            let values = rows.iter().map(|row| row.values.get(*name).copied());
            columns.push(Arc::new(values.collect::<Float64Array>()));
        }
        RecordBatch::try_new(schema.clone(), columns)
    });
    write(output, &artifact.reference, &schema, batches)?;
    Ok(records.len())
}

/// The training log. Its columns are those of its lines, and all of them may be empty: a held-out score is not taken at
/// every step.
fn write_log(artifact: &Artifact, output: &Path) -> anyhow::Result<usize> {
    let rows: Vec<Value> = artifact.records_json()?.collect();
    if rows.is_empty() {
        return Err(anyhow!(
            "{} has no training log",
            artifact.reference.short()
        ))
        .hint("only a model that was trained here has one; its weights are in model.safetensors");
    }
    let columns = log_columns(&rows);
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, kind)| optional(name, kind.clone()))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batches = rows.chunks(ROWS_AT_ONCE).map(|rows| {
        let arrays = columns
            .iter()
            .map(|(name, kind)| log_array(rows, name, kind));
        RecordBatch::try_new(schema.clone(), arrays.collect())
    });
    write(output, &artifact.reference, &schema, batches)?;
    Ok(rows.len())
}

/// The columns of JSON objects in the order of their first appearance, each with the narrowest type that holds all its
/// values. Steps and tokens are written as integers and losses with a point, so the types do not depend on the values.
fn log_columns(rows: &[Value]) -> Vec<(&str, DataType)> {
    let mut columns: Vec<(&str, Option<DataType>)> = Vec::new();
    for (name, value) in rows.iter().filter_map(Value::as_object).flatten() {
        let kind = match value {
            Value::Null => None,
            Value::Bool(_) => Some(DataType::Boolean),
            Value::Number(number) if number.is_u64() => Some(DataType::UInt64),
            Value::Number(number) if number.is_i64() => Some(DataType::Int64),
            Value::Number(_) => Some(DataType::Float64),
            Value::String(_) | Value::Array(_) | Value::Object(_) => Some(DataType::Utf8),
        };
        match columns.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = wider(known.take(), kind),
            None => columns.push((name, kind)),
        }
    }
    columns
        .into_iter()
        // A number that is not finite has no other form in JSON than null.
        .map(|(name, kind)| (name, kind.unwrap_or(DataType::Float64)))
        .collect()
}

fn wider(one: Option<DataType>, other: Option<DataType>) -> Option<DataType> {
    let number = |kind: &DataType| kind.is_numeric();
    match (one, other) {
        (None, kind) | (kind, None) => kind,
        (Some(one), Some(other)) if one == other => Some(one),
        (Some(one), Some(other)) if number(&one) && number(&other) => {
            let float = one.is_floating() || other.is_floating();
            Some(if float {
                DataType::Float64
            } else {
                DataType::Int64
            })
        }
        _ => Some(DataType::Utf8),
    }
}

fn log_array(rows: &[Value], name: &str, kind: &DataType) -> ArrayRef {
    let values = rows.iter().map(|row| &row[name]);
    match kind {
        DataType::Boolean => Arc::new(values.map(Value::as_bool).collect::<BooleanArray>()),
        DataType::UInt64 => Arc::new(values.map(Value::as_u64).collect::<UInt64Array>()),
        DataType::Int64 => Arc::new(values.map(Value::as_i64).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(values.map(Value::as_f64).collect::<Float64Array>()),
        _ => {
            let text = |value: &Value| match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            Arc::new(values.map(text).collect::<StringArray>())
        }
    }
}

fn write(
    output: &Path,
    artifact: &ArtifactRef,
    schema: &Arc<Schema>,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> anyhow::Result<()> {
    replace(output, |file| {
        let origin = KeyValue::new(ARTIFACT_KEY.to_owned(), artifact.to_string());
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![origin]))
            .build();
        let mut writer =
            ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(cause)?;
        for batch in batches {
            writer.write(&batch?).map_err(cause)?;
        }
        writer.into_inner().map_err(cause)
    })
    .with_context(|| format!("cannot write {}", output.display()))
}

/// The error of the operating system inside, which is what a person can do something about.
fn cause(error: ParquetError) -> anyhow::Error {
    match error {
        ParquetError::External(error) => anyhow::Error::from_boxed(error),
        error => error.into(),
    }
}

/// Writes a file beside `path` and then gives it that name, so that nobody ever sees half a file.
fn replace(path: &Path, write: impl FnOnce(File) -> anyhow::Result<File>) -> anyhow::Result<()> {
    let target = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(anyhow!("it is a folder")).hint("name a file"),
        Ok(found) if !found.is_file() => return Err(anyhow!("it is not a regular file")),
        // The file that a link points to is replaced, not the link.
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_path_buf(),
    };
    let Some(name) = target.file_name() else {
        return Err(anyhow!("it is not the name of a file"));
    };
    let mut unfinished = std::ffi::OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".{}.partial", std::process::id()));
    let unfinished = target.with_file_name(unfinished);
    let file = match File::create(&unfinished) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(error).hint("the folder must be there already");
        }
        created => created?,
    };
    let written = write(file)
        .and_then(|file| Ok(file.sync_all()?))
        .and_then(|()| Ok(fs::rename(&unfinished, &target)?));
    if written.is_err() {
        // What failed is told already, and a file that cannot be removed does no harm.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_column_has_the_narrowest_type_of_its_values() {
        let rows = [
            json!({"step": 1, "loss": 1.0, "shift": -1, "mixed": 1, "note": "a", "done": false}),
            json!({"step": 2, "loss": null, "shift": 2, "mixed": 0.5, "note": [1], "held_out": null}),
        ];
        let columns = log_columns(&rows);
        let expected = [
            ("step", DataType::UInt64),
            ("loss", DataType::Float64),
            ("shift", DataType::Int64),
            ("mixed", DataType::Float64),
            ("note", DataType::Utf8),
            ("done", DataType::Boolean),
            ("held_out", DataType::Float64),
        ];
        assert_eq!(columns, expected);
        let array = log_array(&rows, "note", &DataType::Utf8);
        assert_eq!(
            *array,
            StringArray::from(vec![Some("a"), Some("[1]")]) as StringArray
        );
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let failed = replace(&path, |_| Err(anyhow!("the disk is full")));
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replace(&path, |mut file| {
            io::Write::write_all(&mut file, b"new")?;
            Ok(file)
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
