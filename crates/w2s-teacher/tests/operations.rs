//! The teacher in a store: it learns, it labels, and whose classes it labels is looked at.

use clap::Command;
use serde_json::{Value, json};
use std::path::Path;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::summary::{LabelsSummary, SplitSummary, TrainingSummary};
use w2s_artifact::{
    Artifact, ArtifactRef, Example, Key, Kind, Label as Labelled, Provenance, Split, Store,
};
use w2s_lm::{DecoderConfig, LanguageModel, device, save_language_model};
use w2s_stage::{Operation, RunOptions};
use w2s_teacher::{Finetune, Label};

const WORDS: [&str; 5] = ["unk", "film", "is", "good", "bad"];

/// Writes a model folder with random weights.
fn base(folder: &Path) {
    let vocabulary = (0..).zip(WORDS).map(|(i, w)| (w.to_string(), i));
    let model = WordLevel::builder()
        .vocab(vocabulary.collect())
        .unk_token("unk".into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer
        .save(folder.join("tokenizer.json"), false)
        .unwrap();
    let config = DecoderConfig::scratch(WORDS.len(), 1, 16, 2, 24, 16);
    let model = LanguageModel::init(&config, 1, &device("flex").unwrap());
    save_language_model(&model, folder).unwrap();
}

fn examples(classes: [&str; 2]) -> (Vec<Example>, Value) {
    let row = |id: u64| Example {
        id,
        split: if id < 12 { Split::Gold } else { Split::Transfer },
        group: id,
        label: (id % 2) as u32,
        text: format!("film is {}", ["bad", "good"][id as usize % 2]),
    };
    let summary = SplitSummary {
        classes: classes.map(String::from).into(),
        ..SplitSummary::default()
    };
    ((0..24).map(row).collect(), json!(summary))
}

fn run<T: Operation>(store: &Path, line: &str) -> anyhow::Result<Artifact> {
    let command = T::augment_args(Command::new("test").no_binary_name(true));
    let matches = command.try_get_matches_from(line.split_whitespace())?;
    let operation = T::from_arg_matches(&matches)?;
    operation.check()?;
    Ok(w2s_stage::run("teacher", &operation, &RunOptions::new(store))?.artifact)
}

#[test]
fn it_labels_what_it_learnt_and_refuses_classes_in_another_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let artifact = |kind, name: u8, summary: Value, write: &dyn Fn(&w2s_artifact::Pending)| {
        let reference = ArtifactRef::new(kind, Key::from_bytes([name; 32]));
        let pending = store.begin(&reference).unwrap();
        write(&pending);
        let provenance = Provenance {
            summary,
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap();
        reference
    };
    let start = artifact(Kind::Checkpoint, 1, Value::Null, &|pending| base(pending.path()));
    let data = |name, classes| {
        let (rows, summary) = examples(classes);
        artifact(Kind::Examples, name, summary, &|pending| {
            pending.write_records(&rows).unwrap();
        })
    };
    let (own, swapped) = (data(2, ["no", "yes"]), data(3, ["yes", "no"]));
    let teacher = run::<Finetune>(
        folder.path(),
        &format!("--base {start} --data {own} --lr 1e-2 --epochs 20 --batch 4"),
    )
    .unwrap();
    let summary: TrainingSummary = teacher.summary().unwrap();
    assert_eq!((summary.rows, summary.fit.steps), (12, 60));
    assert_eq!(summary.classes, ["no", "yes"]);

    let label = |data: ArtifactRef| {
        let line = format!("--model {} --data {data}", teacher.reference);
        run::<Label>(folder.path(), &line)
    };
    let labels = label(own).unwrap();
    let summary: LabelsSummary = labels.summary().unwrap();
    assert_eq!((summary.rows, summary.accuracy), (12, 1.0));
    assert_eq!(summary.classes, ["no", "yes"]);
    let rows = labels.records::<Labelled>().unwrap();
    assert!(rows.iter().all(|row| row.id >= 12));
    // The same texts under swapped names: labels would be reversed in silence.
    let refused = label(swapped).unwrap_err().to_string();
    assert!(
        refused.starts_with(&format!(
            "{} tells apart the classes no, yes, in this order, but those of {} are yes, no\nhint: ",
            teacher.reference.short(),
            swapped.short()
        )),
        "{refused}"
    );
}
