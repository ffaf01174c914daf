//! Training on labels in a store, and what it refuses.

use crate::models::WORDS;
use crate::support::{Bench, flag_names, flags, unparsed, weights};
use serde_json::json;
use w2s_artifact::summary::{LabelsSummary, SplitSummary, TrainingSummary};
use w2s_artifact::{Artifact, ArtifactRef, Example, Label, Split};
use w2s_losses::LabelSetting;
use w2s_stage::Operation;
use w2s_student::{Classify, Encode};

#[test]
fn flags_are_those_of_the_operation_and_values_out_of_range_are_refused() {
    let base = "--base checkpoint/0101 --data examples/0101 --lr 1e-3";
    for (more, message) in [
        (
            "",
            "--labels is not given, the labels to learn\nhint: or give --gold, for the ceiling",
        ),
        (
            "--gold --patience 2",
            "--patience is given, but --held-out is 0: nothing is evaluated",
        ),
        (
            "--gold --max-weight 0.5",
            "`max-weight` is 0.5 but the loss `cross-entropy` does not read it\n\
             hint: leave `max-weight` out, or choose a loss that reads it",
        ),
        (
            "--gold --loss confidence --alpha 1",
            "`alpha` is 1 but the loss `confidence` does not read it\n\
             hint: leave `alpha` out, or choose a loss that reads it",
        ),
        (
            "--gold --loss window --confidence paper",
            "--confidence is not read by --loss window; it belongs to confidence",
        ),
        (
            "--gold --loss window --radius 0.7",
            "`radius` is 0.7 but must be above 0 and at most 0.5",
        ),
        (
            "--gold --lora-alpha 2",
            "--lora-alpha is given, but --lora-rank is 0: no adapter is trained",
        ),
        (
            "--gold --tokens tokens/0101 --max-tokens 4",
            "--max-tokens is that of --tokens\nhint: give it to `w2s-student encode`",
        ),
    ] {
        let refused = flags::<Classify>(&format!("{base} {more}")).check();
        assert_eq!(refused.unwrap_err().to_string(), message, "{more}");
    }
    for fine in [
        "--labels labels/0101 --loss confidence --confidence openai --max-weight 0.75",
        "--gold --held-out 0.1 --patience 2 --balance",
        "--labels labels/0101 --loss entropy --weight-warmup 0 --lora-rank 4",
    ] {
        flags::<Classify>(&format!("{base} {fine}"))
            .check()
            .unwrap();
    }
    for (line, message) in [
        ("--pairs pairs/0101", "unexpected argument '--pairs'"),
        (
            "--label-smoothing 0.1",
            "unexpected argument '--label-smoothing'",
        ),
        ("--loss logconf", "it is called `confidence` here"),
    ] {
        let said = unparsed::<Classify>(&format!("{base} {line}"));
        assert!(said.contains(message), "{said}");
    }
    let names = flag_names::<Classify>();
    for setting in LabelSetting::ALL {
        assert!(names.iter().any(|name| name == setting.name()));
    }
}

fn example(id: u64) -> Example {
    Example {
        id,
        split: Split::Transfer,
        group: id,
        label: (id % 2) as u32,
        text: format!("film is {}", ["bad", "very good"][id as usize % 2]),
    }
}

fn summary(classes: [&str; 2]) -> serde_json::Value {
    json!(SplitSummary {
        classes: classes.map(String::from).into(),
        ..SplitSummary::default()
    })
}

fn examples(bench: &Bench, name: u8, count: u64) -> ArtifactRef {
    let rows: Vec<Example> = (0..count).map(example).collect();
    bench.told(name, &rows, summary(["no", "yes"]))
}

fn labels(bench: &Bench, name: u8, classes: [&str; 2]) -> ArtifactRef {
    let label = |id: u64| Label {
        id,
        probabilities: [[0.8, 0.2], [0.3, 0.7]][id as usize % 2].into(),
    };
    let rows: Vec<Label> = (0..12).map(label).collect();
    let summary = LabelsSummary {
        classes: classes.map(String::from).into(),
        ..LabelsSummary::default()
    };
    bench.told(name, &rows, json!(summary))
}

#[test]
fn labels_of_other_classes_are_refused() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let data = examples(&bench, 2, 12);
    let (same, swapped) = (
        labels(&bench, 3, ["no", "yes"]),
        labels(&bench, 4, ["yes", "no"]),
    );
    let train = |labels: ArtifactRef| {
        let line = format!("--base {base} --data {data} --labels {labels} --lr 1e-2");
        bench.run::<Classify>(&line)
    };
    let summary: TrainingSummary = train(same).unwrap().summary().unwrap();
    assert_eq!(
        (summary.rows, &summary.classes[..]),
        (12, &["no".into(), "yes".into()][..])
    );
    assert_eq!(
        train(swapped).unwrap_err().to_string(),
        format!(
            "{} was made with the classes yes, no, in this order, but those of {} are no, yes\n\
             hint: let the teacher learn and label the same task, or bring the classes of its description into the same \
             order",
            swapped.short(),
            data.short()
        )
    );
}

#[test]
fn tokens_are_made_once_for_all_students() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let (data, other) = (examples(&bench, 2, 12), examples(&bench, 3, 10));
    let limits = "--max-tokens 3 --too-long truncate";
    let tokens = bench
        .run::<Encode>(&format!("--base {base} --data {data} {limits}"))
        .unwrap();
    assert_eq!(tokens.manifest.summary["truncated"], 6);
    let student = |data: ArtifactRef, more: &str| {
        let line = format!("--base {base} --data {data} --gold --lr 1e-2 {more}");
        bench.run::<Classify>(&line)
    };
    let given = format!("--tokens {}", tokens.reference);
    let read = student(data, &given).unwrap();
    let plain = student(data, limits).unwrap();
    assert_ne!(read.reference, plain.reference);
    assert_eq!(weights(&read), weights(&plain));
    assert_eq!(read.manifest.summary["truncated"], 6);
    let message = |error: anyhow::Result<Artifact>| error.unwrap_err().to_string();
    assert_eq!(
        message(student(other, &given)),
        format!(
            "{} was made from {}, but --data is {}\n\
             hint: make it anew with `w2s-student encode` from the same base and data",
            tokens.reference.short(),
            data.short(),
            other.short()
        )
    );
}

#[test]
fn a_classifier_learns_by_an_adapter() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let data = examples(&bench, 2, 12);
    let train = |more: &str| {
        let line = format!("--base {base} --data {data} --gold --lr 1e-2 {more}");
        bench.run::<Classify>(&line).unwrap()
    };
    let (merged, alone) = (
        train("--lora-rank 2"),
        train("--lora-rank 2 --lora-save adapter"),
    );
    assert_ne!(weights(&merged), weights(&train("")));
    assert!(alone.file("adapter_model.safetensors").exists());
    assert!(!alone.file("model.safetensors").exists());
}
