//! `w2s-data export` as a process, called as `cargo xtask export --format parquet` calls it: every kind goes to Parquet and
//! comes back the same, with the types a reader in Python relies on.
#![cfg(feature = "cli")]

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type, UInt32Type, UInt64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use tempfile::TempDir;
use w2s_artifact::{
    Answer, ArtifactRef, Document, Example, Kind, Label, LogProb, Message, Pair, Pending,
    Prediction, Prompt, Provenance, Record, ReferenceLogProbs, Response, Score, Split, Store,
};
use w2s_data::{
    Pairing, RowFormat, prompts,
    source::{self, ReadOptions},
};

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
        let mut batches = builder.with_batch_size(1 << 20).build().unwrap();
        let table = batches
            .next()
            .map_or(RecordBatch::new_empty(schema), Result::unwrap);
        assert!(batches.next().is_none());
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
            group: 3,
            label: 1,
            probabilities: row.probabilities,
        })
        .collect();
    let table = place.table(&place.records(&predictions));
    assert_eq!(
        types(&table),
        format!("id: UInt64, group: UInt64, label: UInt32, probabilities: {list}")
    );
    assert_eq!(u32s(&table, "label"), [1, 1]);
    assert_eq!(lists(&table, "probabilities"), rows);
}

fn turn(role: &str, content: &str) -> Message {
    Message {
        role: role.to_owned(),
        content: content.to_owned(),
    }
}

#[test]
fn prompts_go_to_parquet_and_are_a_source_again() {
    let place = Place::new();
    let prompt = |id, messages, answer: Option<&str>, choices: &[&str], gold| Prompt {
        id,
        group: id / 2 * 2,
        messages,
        answer: answer.map(str::to_owned),
        choices: choices.iter().map(ToString::to_string).collect(),
        gold,
        tags: BTreeMap::new(),
    };
    let dialogue = vec![turn("system", "be brief"), turn("user", "“why”\n?")];
    let mut rows = [
        prompt(0, dialogue, Some("so"), &[], None),
        prompt(
            1,
            vec![turn("user", "a or b ?")],
            Some("b"),
            &["a", "b"],
            Some(1),
        ),
        prompt(2, vec![turn("user", "open")], None, &[], None),
    ];
    rows[1].tags = BTreeMap::from([("level".to_owned(), "2".to_owned())]);
    let table = place.table(&place.records(&rows));
    assert_eq!(u64s(&table, "id"), [0, 1, 2]);
    let nullable: Vec<_> = table
        .schema()
        .fields()
        .iter()
        .map(|f| f.is_nullable())
        .collect();
    assert_eq!(nullable, [false, false, false, true, false, true, false]);

    let objects = source::read_objects(&[place.path("rows.parquet")]).unwrap();
    assert_eq!(objects[1].values["gold"], 1);
    assert_eq!(objects[2].values["answer"], serde_json::Value::Null);
    let tags = |row: usize| objects[row].values["tags"].clone();
    assert_eq!(tags(1), json!([{"name": "level", "value": "2"}]));
    assert_eq!(tags(2), json!([]));
    // Tags are for whoever counts; rows of a source have none.
    rows[1].tags.clear();
    let format = RowFormat {
        group: Some("group".to_owned()),
        ..RowFormat::default()
    };
    assert_eq!(prompts(&objects, &format).unwrap().prompts, rows);
}

#[test]
fn responses_keep_their_tokens_and_log_probabilities() {
    let place = Place::new();
    let response = |sample, ids: &[u32], log_probs: &[f32]| Response {
        prompt: 9,
        sample,
        text: format!("answer {sample}"),
        ids: ids.to_vec(),
        log_probs: log_probs.to_vec(),
        finished: sample == 0,
        model: "checkpoint/ab".to_owned(),
    };
    let rows = [
        response(0, &[4, 5], &[-0.1, -1.0 / 3.0, -2.5]),
        response(1, &[], &[]),
    ];
    let table = place.table(&place.records(&rows));
    assert_eq!(u64s(&table, "prompt"), [9, 9]);
    assert_eq!(u32s(&table, "sample"), [0, 1]);
    assert_eq!(texts(&table, "text"), ["answer 0", "answer 1"]);
    assert_eq!(texts(&table, "model"), ["checkpoint/ab"; 2]);
    assert_eq!(
        lists(&table, "log_probs"),
        [vec![-0.1, -1.0 / 3.0, -2.5], vec![]]
    );
    let ids = table.column_by_name("ids").unwrap().as_list::<i32>();
    let ids = |row: usize| {
        ids.value(row)
            .as_primitive::<UInt32Type>()
            .values()
            .to_vec()
    };
    assert_eq!((ids(0), ids(1)), (vec![4, 5], vec![]));
    let finished = table.column_by_name("finished").unwrap().as_boolean();
    assert_eq!((finished.value(0), finished.value(1)), (true, false));
}

#[test]
fn pairs_go_to_parquet_and_are_a_source_again() {
    let place = Place::new();
    let answer = |text: &str, score, tokens| Answer {
        text: text.to_owned(),
        source: "checkpoint/ab".to_owned(),
        sample: 2,
        score,
        tokens,
        finished: true,
    };
    let row = Pair {
        id: 4,
        prompt: 3,
        group: 2,
        messages: vec![turn("user", "why ?")],
        chosen: answer("so", Some(0.75), Some(2)),
        rejected: answer(" no", None, None),
        rule: "order".to_owned(),
        confidence: None,
        gold: None,
    };
    let table = place.table(&place.records(std::slice::from_ref(&row)));
    let names = table.schema();
    let names: Vec<_> = names
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(
        names.join(" "),
        "id prompt group messages chosen chosen_source chosen_sample chosen_score chosen_tokens chosen_finished \
         rejected rejected_source rejected_sample rejected_score rejected_tokens rejected_finished rule confidence gold"
    );
    assert_eq!(
        (u64s(&table, "id"), u64s(&table, "prompt")),
        (vec![4], vec![3])
    );
    assert_eq!(f64s(&table, "chosen_score"), [Some(0.75)]);
    assert_eq!(f64s(&table, "rejected_score"), [None]);
    assert_eq!(u32s(&table, "chosen_tokens"), [2]);
    assert_eq!(u32s(&table, "rejected_sample"), [2]);
    assert_eq!(texts(&table, "rejected_source"), ["checkpoint/ab"]);
    assert_eq!(texts(&table, "rule"), ["order"]);

    let objects = source::read_objects(&[place.path("rows.parquet")]).unwrap();
    let read = Pairing::from_rows(&objects, &RowFormat::default()).unwrap();
    assert_eq!(read.pairs[0].messages, row.messages);
    assert_eq!(
        (&*read.pairs[0].chosen.text, &*read.pairs[0].rejected.text),
        ("so", " no")
    );
}

#[test]
fn references_and_scores_have_a_column_for_each_number() {
    let place = Place::new();
    let side = |sum, tokens| LogProb { sum, tokens };
    let references = [
        ReferenceLogProbs {
            id: 5,
            chosen: side(-1.5, 3),
            rejected: side(-2.5, 4),
            mismatched: Some(side(-9.0, 3)),
        },
        ReferenceLogProbs {
            id: 6,
            chosen: side(-0.5, 1),
            rejected: side(-0.25, 2),
            mismatched: None,
        },
    ];
    let table = place.table(&place.records(&references));
    assert_eq!(
        types(&table),
        "id: UInt64, chosen_sum: Float32, chosen_tokens: UInt32, rejected_sum: Float32, rejected_tokens: UInt32, mismatched_sum: Float32?, mismatched_tokens: UInt32?"
    );
    let sums = |name: &str| {
        let column = table.column_by_name(name).unwrap();
        column
            .as_primitive::<Float32Type>()
            .iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(sums("chosen_sum"), [Some(-1.5), Some(-0.5)]);
    assert_eq!(sums("rejected_sum"), [Some(-2.5), Some(-0.25)]);
    assert_eq!(sums("mismatched_sum"), [Some(-9.0), None]);
    assert_eq!(u32s(&table, "rejected_tokens"), [4, 2]);

    let score = |sample, values: &[(&str, f64)]| Score {
        id: 5,
        sample,
        group: 5,
        content: 0,
        values: values
            .iter()
            .map(|(name, value)| (name.to_string(), *value))
            .collect(),
    };
    let scores = [
        score(0, &[("length", 12.0), ("exact", 1.0)]),
        score(1, &[("length", 7.0)]),
    ];
    let table = place.table(&place.records(&scores));
    assert_eq!(
        types(&table),
        "id: UInt64, sample: UInt32, exact: Float64?, length: Float64?"
    );
    assert_eq!(u32s(&table, "sample"), [0, 1]);
    assert_eq!(f64s(&table, "exact"), [Some(1.0), None]);
    assert_eq!(f64s(&table, "length"), [Some(12.0), Some(7.0)]);
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
    let theory = place.make(Kind::Theory, |pending| {
        pending.write_file("theory.json", b"{}").unwrap();
    });
    let (_, text) = place.failure(&theory.to_string(), &path);
    assert!(
        text.ends_with(&format!(
            "hint: its trajectories are in store/artifacts/{theory}/theory.json\n"
        )),
        "{text}"
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
