//! Looking at what the store holds: list, show, export, and the recipes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

use w2s_artifact::{ArtifactRef, Example, Kind, Provenance, Split, Store};

use crate::place::Place;

#[test]
fn recipes_are_a_line_each_and_one_is_told_in_full() {
    let place = Place::new();
    let all = place.xtask(&["recipes"]);
    assert_eq!(all.code, Some(0), "{}", all.stderr);
    let recipes = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let count = fs::read_dir(recipes).expect("the recipes").count();
    assert_eq!(all.stdout.lines().count(), count + 2, "{}", all.stdout);
    assert!(all.stdout.contains("\nweak-to-strong"), "{}", all.stdout);
    assert!(!all.stdout.contains("--var"), "{}", all.stdout);

    let one = place.xtask(&["recipes", "small.toml"]);
    assert!(
        one.stdout.starts_with("small: a recipe for tests\n"),
        "{}",
        one.stdout
    );
    assert!(
        one.stdout.contains("--var rows=10  how many rows"),
        "{}",
        one.stdout
    );
}

#[test]
fn list_and_show_find_artifacts_by_the_step_that_made_them() {
    let place = Place::new();
    assert_eq!(place.xtask(&["list"]).code, Some(2));
    place.pipeline(&[]);
    let listed = place.xtask(&["list", "checkpoint"]);
    assert_eq!(listed.code, Some(0), "{}", listed.stderr);
    insta::assert_snapshot!(listed.stdout, @r"
    artifact             step           made                 size  what
    checkpoint/1df5be72  weak[seed=1]   2026-01-01 00:00:00   0 B  1,200 rows
    checkpoint/222720ec  naive[seed=0]  2026-01-01 00:00:00   0 B  1,200 rows
    checkpoint/89f7e011  naive[seed=1]  2026-01-01 00:00:00   0 B  1,200 rows
    checkpoint/cf80c944  weak[seed=0]   2026-01-01 00:00:00   0 B  1,200 rows
    ");
    assert_eq!(place.xtask(&["list"]).stdout.lines().count(), 10);
    let wrong = place.xtask(&["list", "checkpoints"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.stderr.contains("'checkpoint'"), "{}", wrong.stderr);

    let one = place.xtask(&["show", "naive[seed=1]"]);
    assert!(
        one.stdout.contains("as step `naive[seed=1]`"),
        "{}{}",
        one.stdout,
        one.stderr
    );
    let points = place.xtask(&["show", "naive"]);
    assert_eq!(points.stdout.lines().count(), 3, "{}", points.stdout);
    assert!(points.stdout.contains("naive[seed=0]") && points.stdout.contains("naive[seed=1]"));
    let unknown = place.xtask(&["show", "niave"]);
    assert_eq!(
        (unknown.code, unknown.stderr.as_str()),
        (
            Some(1),
            "error: no artifact was made by a step `niave`\nhint: did you mean `naive`?"
        )
    );
    let several = place.xtask(&["export", "naive"]);
    assert_eq!(several.code, Some(2));
    assert!(
        several
            .stderr
            .starts_with("error: `naive` names several artifacts\n")
    );
}

#[test]
fn what_a_store_holds_does_not_steer_the_terminal() {
    let place = Place::new();
    let examples = [example(1, "\u{1b}[2J and \u{9b}2J")];
    stored_examples(&place, &examples);
    let shown = place.xtask(&["show", "data"]);
    assert!(
        !shown.stdout.contains(['\u{1b}', '\u{9b}']),
        "{}",
        shown.stdout
    );
    assert!(shown.stdout.contains("\\u009b2J"), "{}", shown.stdout);
}

fn example(id: u64, text: &str) -> Example {
    Example {
        id,
        split: Split::Gold,
        group: id,
        label: 1,
        text: text.to_owned(),
    }
}

/// A store with one artifact of three examples; its reference.
fn stored(place: &Place) -> ArtifactRef {
    stored_examples(
        place,
        &[
            example(1, "good, really"),
            example(2, "bad"),
            example(3, "so so"),
        ],
    )
}

fn stored_examples(place: &Place, examples: &[Example]) -> ArtifactRef {
    let summary = serde_json::json!({"rows": examples.len()});
    stored_with(place, examples, summary)
}

fn stored_with(place: &Place, examples: &[Example], summary: serde_json::Value) -> ArtifactRef {
    let store = Store::open(place.path(".w2s")).expect("a store");
    let reference: ArtifactRef = format!("{}/{}", Kind::Examples, "3f".repeat(32))
        .parse()
        .expect("a reference");
    let pending = store.begin(&reference).expect("a partial folder");
    pending.write_records(examples).expect("the records");
    let provenance = Provenance {
        stage: "data".to_owned(),
        operation: "task".to_owned(),
        operation_version: 1,
        step: Some("data[seed=0]".to_owned()),
        parameters: serde_json::json!({"seed": 0}),
        summary,
        ..Provenance::default()
    };
    pending.commit(provenance).expect("the artifact");
    reference
}

#[test]
fn show_hides_sensitive_texts_unless_asked() {
    let place = Place::new();
    let summary = serde_json::json!({"rows": 1, "sensitive": true});
    stored_with(&place, &[example(1, "how to")], summary);
    let shown = place.xtask(&["show", "examples/3f3f"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    let row = r#"{"id":1,"split":"gold","group":1,"label":1,"text":"[6 characters, blake3 "#;
    assert!(shown.stdout.contains(row), "{}", shown.stdout);
    assert!(!shown.stdout.contains("how to"), "{}", shown.stdout);
    let shown = place.xtask(&["show", "examples/3f3f", "--show-texts"]);
    assert!(shown.stdout.contains("\"how to\""), "{}", shown.stdout);
}

#[test]
fn show_prints_the_manifest_and_the_first_rows() {
    let place = Place::new();
    stored(&place);
    let shown = place.xtask(&["show", "examples/3f3f", "--rows", "2"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    insta::assert_snapshot!(shown.stdout, @r#"
    artifact          examples/3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f
    path              .w2s/artifacts/examples/3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f
    made by           data task (version 1), as step `data[seed=0]`
    made on           1970-01-01T00:00:00Z, 0.0 s, device flex, 1 threads, w2s 0.1.0
    parameter seed    0
    summary rows      3
    file records.bin  148 bytes

    {"id":1,"split":"gold","group":1,"label":1,"text":"good, really"}
    {"id":2,"split":"gold","group":2,"label":1,"text":"bad"}
    "#);
    let missing = place.xtask(&["show", "labels/3f3f"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.starts_with("error: "), "{}", missing.stderr);
    assert_eq!(
        place
            .xtask(&["show", "labels/3f3f", "--store", "elsewhere"])
            .stderr,
        "error: there is no store at elsewhere\nhint: name it with --store, or run a recipe first: cargo xtask pipeline"
    );
}

#[test]
fn a_reader_that_has_seen_enough_ends_an_export_quietly() {
    let place = Place::new();
    // More than any pipe holds.
    let examples: Vec<Example> = (0..40)
        .map(|id| example(id, &"word ".repeat(20_000)))
        .collect();
    stored_examples(&place, &examples);
    for format in ["csv", "jsonl"] {
        let mut child = place
            .command(&["export", "examples/3f3f", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("xtask starts");
        let mut line = String::new();
        // The pipe closes when the reader is dropped.
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        assert!(line.contains("id"), "{line}");
        let output = child.wait_with_output().expect("xtask ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{format}");
    }
}

#[test]
fn export_writes_json_lines_csv_and_hands_parquet_on() {
    let place = Place::new();
    let reference = stored(&place);
    let lines = place.xtask(&["export", "examples/3f3f"]);
    assert_eq!(lines.code, Some(0), "{}", lines.stderr);
    insta::assert_snapshot!(lines.stdout, @r#"
    {"id":1,"split":"gold","group":1,"label":1,"text":"good, really"}
    {"id":2,"split":"gold","group":2,"label":1,"text":"bad"}
    {"id":3,"split":"gold","group":3,"label":1,"text":"so so"}
    "#);
    let csv = place.xtask(&[
        "export",
        "examples/3f3f",
        "--format",
        "csv",
        "--output",
        "x.csv",
    ]);
    assert_eq!(csv.code, Some(0), "{}", csv.stderr);
    insta::assert_snapshot!(fs::read_to_string(place.path("x.csv")).expect("the file"), @r#"
    id,split,group,label,text
    1,gold,1,1,"good, really"
    2,gold,2,1,bad
    3,gold,3,1,so so
    "#);
    let parquet = place.xtask(&[
        "export",
        "examples/3f3f",
        "--format",
        "parquet",
        "--output",
        "x.parquet",
    ]);
    assert_eq!(parquet.code, Some(0), "{}", parquet.stderr);
    assert_eq!(
        fs::read_to_string(place.path("x.parquet")).expect("the file"),
        format!("{reference} --format parquet --output x.parquet --store .w2s\n")
    );
    assert_eq!(
        place
            .xtask(&["export", "examples/3f3f", "--format", "parquet"])
            .code,
        Some(2)
    );
}
