//! `w2s-data export` as a process, called as `cargo xtask export --format parquet` calls it: every kind goes to Parquet and
//! comes back the same, with the types a reader in Python relies on.
#![cfg(feature = "cli")]

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::{Float32Type, Float64Type, UInt32Type, UInt64Type},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use tempfile::TempDir;
use w2s_artifact::{
    ArtifactRef, Document, Example, Kind, Label, Pending, Prediction, Provenance, Record, Split,
    Store,
};
use w2s_data::source::{self, ReadOptions};

/// A store, and a folder to write into.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn make(&self, kind: Kind, fill: impl FnOnce(&Pending)) -> ArtifactRef {
        let reference: ArtifactRef = format!("{kind}/{}", "5c".repeat(32)).parse().unwrap();
        let store = Store::open(self.path("store")).unwrap();
        let pending = store.begin(&reference).unwrap();
        fill(&pending);
        pending.commit(Provenance::default()).unwrap();
        reference
    }

    fn records<T: Record>(&self, rows: &[T]) -> ArtifactRef {
        self.make(T::KIND, |pending| pending.write_records(rows).unwrap())
    }

    fn export(&self, artifact: &str, output: &Path) -> Output {
        Command::new(env!("CARGO_BIN_EXE_w2s-data"))
            .args(["export", artifact, "--format", "parquet", "--output"])
            .arg(output)
            .arg("--store")
            .arg(self.path("store"))
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// All rows of the artifact, read back from Parquet.
    fn table(&self, artifact: &ArtifactRef) -> RecordBatch {
        let path = self.path("rows.parquet");
        let output = self.export(&artifact.to_string(), &path);
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
        let builder = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
        let origin = builder
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .unwrap()
            .iter()
            .find(|entry| entry.key == "w2s.artifact")
            .and_then(|entry| entry.value.clone());
        assert_eq!(origin, Some(artifact.to_string()));
        let schema = builder.schema().clone();
        let batches: Vec<_> = builder.build().unwrap().map(Result::unwrap).collect();
        let table = concat_batches(&schema, &batches).unwrap();
        let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(
            line,
            json!({"artifact": artifact.to_string(), "path": path, "rows": table.num_rows()})
        );
        table
    }

    /// Exit code and error text, without the folder.
    fn failure(&self, artifact: &str, output: &Path) -> (Option<i32>, String) {
        let output = self.export(artifact, output);
        assert!(output.stdout.is_empty());
        let text = String::from_utf8(output.stderr).unwrap();
        let folder = format!("{}/", self.0.path().display());
        (output.status.code(), text.replace(&folder, ""))
    }
}

/// `id: UInt64, text: Utf8?`: a question mark for columns that may be empty.
fn types(table: &RecordBatch) -> String {
    let fields = table.schema();
    let fields = fields.fields().iter().map(|field| {
        let mark = if field.is_nullable() { "?" } else { "" };
        format!("{}: {}{mark}", field.name(), field.data_type())
    });
    fields.collect::<Vec<_>>().join(", ")
}

fn u64s(table: &RecordBatch, name: &str) -> Vec<u64> {
    let column = table.column_by_name(name).unwrap();
    column.as_primitive::<UInt64Type>().values().to_vec()
}

fn u32s(table: &RecordBatch, name: &str) -> Vec<u32> {
    let column = table.column_by_name(name).unwrap();
    column.as_primitive::<UInt32Type>().values().to_vec()
}

fn f64s(table: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let column = table.column_by_name(name).unwrap();
    column.as_primitive::<Float64Type>().iter().collect()
}

fn texts(table: &RecordBatch, name: &str) -> Vec<String> {
    let column = table.column_by_name(name).unwrap().as_string::<i32>();
    column.iter().map(|text| text.unwrap().to_owned()).collect()
}

fn lists(table: &RecordBatch, name: &str) -> Vec<Vec<f32>> {
    let column = table.column_by_name(name).unwrap().as_list::<i32>();
    column
        .iter()
        .map(|list| {
            list.unwrap()
                .as_primitive::<Float32Type>()
                .values()
                .to_vec()
        })
        .collect()
}

#[test]
fn a_corpus_goes_to_parquet_and_back() {
    let place = Place::new();
    // More than are written at once.
    let documents: Vec<Document> = (0..2500)
        .map(|id| Document {
            id: u64::MAX - id,
            text: format!("“{id}”,\n\ttext"),
        })
        .collect();
    let table = place.table(&place.records(&documents));
    assert_eq!(types(&table), "id: UInt64, text: Utf8");
    let read: Vec<Document> = u64s(&table, "id")
        .into_iter()
        .zip(texts(&table, "text"))
        .map(|(id, text)| Document { id, text })
        .collect();
    assert_eq!(read, documents);
}

#[test]
fn examples_go_to_parquet_and_are_a_source_again() {
    let place = Place::new();
    let examples: Vec<Example> = Split::ALL
        .into_iter()
        .zip(0..)
        .map(|(split, id)| Example {
            id,
            split,
            group: 10 + id,
            label: id as u32 % 2,
            text: format!("text {id}"),
        })
        .collect();
    let table = place.table(&place.records(&examples));
    assert_eq!(
        types(&table),
        "id: UInt64, split: Utf8, group: UInt64, label: UInt32, text: Utf8"
    );
    assert_eq!(texts(&table, "split"), ["gold", "transfer", "test"]);
    assert_eq!(u64s(&table, "group"), [10, 11, 12]);
    assert_eq!(u32s(&table, "label"), [0, 1, 0]);

    let path = place.path("rows.parquet");
    let rows = source::read(&[path], &["text", "label", "id"], ReadOptions::default()).unwrap();
    let values: Vec<_> = rows.into_iter().map(|row| row.values).collect();
    assert_eq!(
        values,
        [
            ["text 0", "0", "0"],
            ["text 1", "1", "1"],
            ["text 2", "0", "2"]
        ]
    );
}

#[test]
fn labels_and_predictions_keep_their_probabilities_exactly() {
    let place = Place::new();
    let third = 1.0_f32 / 3.0;
    let rows = [vec![third, third, third], vec![0.1, 0.9, 0.0]];
    let labels: Vec<Label> = rows
        .iter()
        .zip(7..)
        .map(|(probabilities, id)| Label {
            id,
            probabilities: probabilities.clone(),
        })
        .collect();
    let table = place.table(&place.records(&labels));
    let list = table.schema().field(1).data_type().to_string();
    assert_eq!(types(&table), format!("id: UInt64, probabilities: {list}"));
    assert!(list.contains("non-null Float32"), "{list}");
    assert_eq!(u64s(&table, "id"), [7, 8]);
    assert_eq!(lists(&table, "probabilities"), rows);

    let predictions: Vec<Prediction> = labels
        .into_iter()
        .map(|row| Prediction {
            id: row.id,
            label: 1,
            probabilities: row.probabilities,
        })
        .collect();
    let table = place.table(&place.records(&predictions));
    assert_eq!(
        types(&table),
        format!("id: UInt64, label: UInt32, probabilities: {list}")
    );
    assert_eq!(u32s(&table, "label"), [1, 1]);
    assert_eq!(lists(&table, "probabilities"), rows);
}

#[test]
fn the_training_log_of_a_checkpoint_goes_to_parquet() {
    let place = Place::new();
    let log = "{\"step\":1,\"epoch\":0.5,\"loss\":0.7,\"tokens\":640}\n\
               {\"step\":2,\"epoch\":1.0,\"loss\":null,\"tokens\":1280,\"held_out\":0.75}\n";
    let reference = place.make(Kind::Checkpoint, |pending| {
        pending.write_file("metrics.jsonl", log.as_bytes()).unwrap();
    });
    let table = place.table(&reference);
    assert_eq!(
        types(&table),
        "step: UInt64?, epoch: Float64?, loss: Float64?, tokens: UInt64?, held_out: Float64?"
    );
    assert_eq!(u64s(&table, "tokens"), [640, 1280]);
    assert_eq!(f64s(&table, "epoch"), [Some(0.5), Some(1.0)]);
    assert_eq!(f64s(&table, "loss"), [Some(0.7), None]);
    assert_eq!(f64s(&table, "held_out"), [None, Some(0.75)]);
}

#[test]
fn what_cannot_be_exported_is_named_and_nothing_is_written() {
    let place = Place::new();
    let path = place.path("rows.parquet");
    let (code, text) = place.failure("labels/1234", &path);
    assert_eq!(code, Some(2));
    assert!(text.starts_with("error: there is no store at "), "{text}");

    let report = place.make(Kind::Report, |pending| {
        pending.write_file("report.json", b"{}").unwrap();
    });
    let (code, text) = place.failure(&report.to_string(), &path);
    assert_eq!(
        (code, text),
        (
            Some(1),
            format!(
                "error: report/5c5c5c5c has no rows\nhint: the numbers of a report are in store/artifacts/{report}/report.json\n"
            )
        )
    );
    let imported = place.make(Kind::Checkpoint, |pending| {
        pending.write_file("config.json", b"{}").unwrap();
    });
    assert_eq!(
        place.failure(&imported.to_string(), &path),
        (
            Some(1),
            "error: checkpoint/5c5c5c5c has no training log\nhint: only a model that was trained here has one; its weights are in model.safetensors\n".to_owned()
        )
    );
    let (code, text) = place.failure("labels/1234", &path);
    assert_eq!(code, Some(1));
    assert!(
        text.starts_with("error: labels/1234 is not in the store ") && text.contains("\nhint: "),
        "{text}"
    );
    assert!(!path.exists());

    let corpus = place.records(&[Document {
        id: 0,
        text: "a".to_owned(),
    }]);
    let corpus = corpus.to_string();
    assert_eq!(
        place.failure(&corpus, &place.path("none/rows.parquet")),
        (
            Some(1),
            "error: cannot write none/rows.parquet\n  caused by: No such file or directory (os error 2)\nhint: the folder must be there already\n".to_owned()
        )
    );
    assert_eq!(
        place.failure(&corpus, &place.path("store")),
        (
            Some(1),
            "error: cannot write store\n  caused by: it is a folder\nhint: name a file\n"
                .to_owned()
        )
    );
    // A file that was there before is replaced, and nothing else is left in the folder.
    fs::write(&path, "old").unwrap();
    assert_eq!(place.export(&corpus, &path).status.code(), Some(0));
    assert_eq!(&fs::read(&path).unwrap()[..4], b"PAR1");
    assert_eq!(fs::read_dir(place.0.path()).unwrap().count(), 2);
}
