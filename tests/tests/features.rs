//! Features of the user's own, from a file of each format to predictions: what an experiment on frozen vision models, say,
//! goes through. The report of such predictions is that of any others.

use arrow_array::{ArrayRef, Float32Array, RecordBatch};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, OnceLock};
use w2s_artifact::{Artifact, ArtifactRef, Prediction, Store};

const ROWS: usize = 400;
const WIDTH: usize = 6;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .into()
}

/// The folder of the stage binaries, which are built once.
fn binaries() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let done = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["build", "--release", "--workspace", "--bins", "--quiet"])
            .status()
            .expect("cargo runs");
        assert!(done.success(), "the stage binaries do not build");
        // A test lies in `deps` beside them.
        let test = std::env::current_exe().expect("a test knows where it is");
        let deps = test.parent().expect("a file is in a folder");
        deps.parent().expect("deps is in a folder").into()
    })
}

/// A folder with a source of rows that have a class and no text, and a store.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let classes: Vec<&str> = (0..ROWS).map(|i| ["cat", "dog"][class(i)]).collect();
        let rows = format!("animal\n{}\n", classes.join("\n"));
        std::fs::write(place.file("rows.csv"), rows).unwrap();
        for (name, classes) in [("task", "\"cat\", \"dog\""), ("turned", "\"dog\", \"cat\"")] {
            let task = format!(
                "name = \"animals\"\nabout = \"pictures\"\n\
                 [label]\ncolumn = \"animal\"\nclasses = [{classes}]\n\
                 values = {{ cat = \"cat\", dog = \"dog\" }}\n\
                 [origin]\nurl = \"here\"\nlicence = \"none\"\ncitation = \"none\"\n"
            );
            std::fs::write(place.file(&format!("{name}.toml")), task).unwrap();
        }
        place
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn stage(&self, line: &str) -> Output {
        let mut words = line.split_whitespace();
        let stage = words.next().expect("a line names its stage");
        Command::new(binaries().join(format!("w2s-{stage}")))
            .current_dir(self.0.path())
            .args(words)
            .args(["--store", "store", "--quiet"])
            .env("NO_COLOR", "1")
            .output()
            .unwrap()
    }

    /// The artifact that a command leaves.
    fn run(&self, line: &str) -> Artifact {
        let output = self.stage(line);
        let (out, err) = texts(&output);
        assert!(output.status.success(), "{line}\n{err}");
        let made: Value = serde_json::from_str(&out).expect("one line of JSON");
        let reference: ArtifactRef = made["artifact"].as_str().unwrap().parse().unwrap();
        let store = Store::open(self.file("store")).unwrap();
        store.require(&reference).unwrap()
    }

    /// What a command that must fail says.
    fn refused(&self, line: &str) -> String {
        let output = self.stage(line);
        assert!(!output.status.success(), "{line} went well");
        texts(&output).1
    }
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn class(row: usize) -> usize {
    (row / 2 + row / 7) % 2
}

/// A number around zero that depends on two others.
fn noise(row: usize, column: usize) -> f32 {
    let mixed = ((row * 31 + column * 17 + 3) as f64 * 12.9898).sin() * 43758.5453;
    (mixed - mixed.floor()) as f32 * 2.0 - 1.0
}

/// Rows whose first column tells the classes apart well and whose last one badly; the sizes of columns differ.
fn matrix() -> Vec<f32> {
    let value = |row: usize, column: usize| {
        let side = if class(row) == 1 { 1.0 } else { -1.0 };
        let signal = [0.9, 0.6, 0.3, 0.0, 0.0, 0.25][column];
        (signal * side + noise(row, column)) * 10f32.powi(column as i32 - 2)
    };
    (0..ROWS)
        .flat_map(|row| (0..WIDTH).map(move |column| value(row, column)))
        .collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

fn npy(values: &[f32], width: usize) -> Vec<u8> {
    let shape = format!("({}, {width})", values.len() / width);
    let mut header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    while (10 + header.len() + 1) % 64 != 0 {
        header.push(' ');
    }
    header.push('\n');
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend((header.len() as u16).to_le_bytes());
    file.extend(header.bytes());
    file.extend(bytes(values));
    file
}

fn safetensors(values: &[f32], width: usize) -> Vec<u8> {
    let data = bytes(values);
    let shape = [values.len() / width, width];
    let header = json!({"z": {"dtype": "F32", "shape": shape, "data_offsets": [0, data.len()]}});
    let header = header.to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.bytes());
    file.extend(data);
    file
}

/// A column a feature.
fn parquet(values: &[f32], width: usize) -> Vec<u8> {
    let column = |j: usize| -> ArrayRef {
        let column = values.iter().skip(j).step_by(width).copied();
        Arc::new(Float32Array::from_iter_values(column))
    };
    let columns = (0..width).map(|j| (format!("f{j}"), column(j)));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut file = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    file
}

#[test]
fn a_users_matrix_of_any_format_becomes_predictions() {
    let place = Place::new();
    let values = matrix();
    std::fs::write(place.file("x.npy"), npy(&values, WIDTH)).unwrap();
    std::fs::write(place.file("x.safetensors"), safetensors(&values, WIDTH)).unwrap();
    std::fs::write(place.file("x.parquet"), parquet(&values, WIDTH)).unwrap();
    let last: Vec<f32> = values.chunks(WIDTH).map(|row| row[WIDTH - 1]).collect();
    std::fs::write(place.file("weak.npy"), npy(&last, 1)).unwrap();

    let sizes = "--gold-rows 100 --transfer-rows 160 --test-rows 100";
    let data = place.run(&format!(
        "data task --task task.toml --source rows.csv {sizes}"
    ));
    let data = data.reference;
    let features = |file: &str| place.run(&format!("data features --matrix {file} --data {data}"));

    // The teacher sees one bad column.
    let weak = features("weak.npy").reference;
    let train = "--standardize --lr 0.05 --epochs 20 --seed 3";
    let teacher = place.run(&format!(
        "teacher probe --features {weak} --data {data} {train}"
    ));
    let teacher = teacher.reference;
    let labels = place
        .run(&format!(
            "teacher label --model {teacher} --features {weak} --data {data}"
        ))
        .reference;
    let predict = |model: &ArtifactRef, features: &ArtifactRef, arm: &str| {
        let role = if arm == "naive" { "student" } else { arm };
        let made = place.run(&format!(
            "eval predict --model {model} --features {features} --data {data} --arm {arm} --role {role}"
        ));
        // The seed is the model's own.
        assert_eq!(made.manifest.summary["seed"], 3);
        let accuracy = made.manifest.summary["accuracy"].as_f64().unwrap();
        (accuracy, made.records::<Prediction>().unwrap())
    };
    let (weak_accuracy, _) = predict(&teacher, &weak, "teacher");

    let mut seen: Option<Vec<Prediction>> = None;
    let npy_features = features("x.npy").reference;
    for file in ["x.npy", "x.safetensors", "x.parquet"] {
        let made = features(file);
        assert_eq!(made.manifest.summary["width"], WIDTH);
        let strong = made.reference;
        let probe = |flags: &str| {
            let line = format!("student probe --features {strong} --data {data} {train} {flags}");
            let made = place.run(&line);
            let weights = made
                .manifest
                .files
                .iter()
                .filter(|f| f.name != "metrics.jsonl");
            let size: u64 = weights.map(|f| f.bytes).sum();
            assert!(size < 5_000, "a probe of {size} bytes");
            made.reference
        };
        let student = probe(&format!("--labels {labels} --loss confidence"));
        let ceiling = probe("--gold");
        let (student_accuracy, predictions) = predict(&student, &strong, "naive");
        let (ceiling_accuracy, _) = predict(&ceiling, &strong, "ceiling");
        assert_eq!(predictions.len(), 100);
        assert!(weak_accuracy > 0.52, "{weak_accuracy}");
        assert!(ceiling_accuracy > weak_accuracy + 0.1, "{ceiling_accuracy}");
        assert!(student_accuracy > 0.6, "{student_accuracy}");
        // The same numbers in any file.
        assert_eq!(
            *seen.get_or_insert(predictions.clone()),
            predictions,
            "{file}"
        );

        if file != "x.npy" {
            let message = place.refused(&format!(
                "eval predict --model {student} --features {npy_features} --data {data} --arm a --role student"
            ));
            assert!(
                message.contains("was trained on features made by `data features` of"),
                "{message}"
            );
            assert!(
                message.contains(file) && message.contains("x.npy"),
                "{message}"
            );
        }
    }

    // Without its features a probe reads nothing.
    let message = place.refused(&format!(
        "eval predict --model {teacher} --data {data} --arm a --role teacher"
    ));
    assert!(
        message.contains("is a linear probe, which reads features"),
        "{message}"
    );

    // Classes in another order would be read under each other's names.
    let turned = place.run(&format!(
        "data task --task turned.toml --source rows.csv {sizes}"
    ));
    let turned = turned.reference;
    let other = place.run(&format!("data features --matrix weak.npy --data {turned}"));
    let message = place.refused(&format!(
        "eval predict --model {teacher} --features {} --data {turned} --arm a --role teacher",
        other.reference
    ));
    assert!(
        message.contains("tells apart the classes cat, dog, in this order")
            && message.contains("are dog, cat"),
        "{message}"
    );

    // A matrix of another source.
    std::fs::write(place.file("short.npy"), npy(&values[WIDTH..], WIDTH)).unwrap();
    let message = place.refused(&format!("data features --matrix short.npy --data {data}"));
    assert!(
        message.contains("short.npy has 399 rows") && message.contains("made from 400 rows"),
        "{message}"
    );
}

#[test]
fn the_recipe_makes_a_report_of_two_matrices() {
    let place = Place::new();
    let values = matrix();
    std::fs::write(place.file("x.parquet"), parquet(&values, WIDTH)).unwrap();
    let last: Vec<f32> = values.chunks(WIDTH).map(|row| row[WIDTH - 1]).collect();
    std::fs::write(place.file("weak.npy"), npy(&last, 1)).unwrap();
    binaries();
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root())
        .args(["xtask", "pipeline", "features", "--no-build", "--store"])
        .arg(place.file("store"))
        .env("NO_COLOR", "1");
    for (name, file) in [
        ("data", "rows.csv"),
        ("task", "task.toml"),
        ("weak", "weak.npy"),
        ("strong", "x.parquet"),
    ] {
        let value = format!("{name}={}", place.file(file).display());
        command.args(["--var", &value]);
    }
    for value in [
        "gold-rows=100",
        "transfer-rows=160",
        "test-rows=100",
        "seeds=[0, 1]",
    ] {
        command.args(["--var", value]);
    }
    let output = command.output().unwrap();
    let (out, err) = texts(&output);
    assert!(output.status.success(), "{out}\n{err}");

    let report = std::fs::read(place.file("store/reports/features/report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    let rows = report["sections"][0]["tables"][0]["rows"]
        .as_array()
        .unwrap();
    let accuracy = |arm: &str| -> f64 {
        let row = rows.iter().find(|row| row["cells"][0]["text"] == arm);
        let row = row.unwrap_or_else(|| panic!("no row of {arm}"));
        row["cells"][2]["value"].as_f64().unwrap()
    };
    assert!(accuracy("ceiling") > accuracy("weak") + 0.1, "{out}");
    for student in ["naive", "product"] {
        assert!((0.0..=1.0).contains(&accuracy(student)));
    }
}
