//! The teacher in a store: it learns, it labels, and whose classes it labels is looked at.

use clap::Command;
use serde_json::{Value, json};
use std::path::Path;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::summary::{LabelsSummary, SplitSummary, TrainingSummary};
use w2s_artifact::{
    Answer, Artifact, ArtifactRef, Example, Key, Kind, Label as Labelled, Message, Pair,
    Provenance, Split, Store,
};
use w2s_lm::{DecoderConfig, LanguageModel, device, save_language_model};
use w2s_stage::{Operation, RunOptions};
use w2s_teacher::{Finetune, Judge, Label, Reward};

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
        split: if id < 12 {
            Split::Gold
        } else {
            Split::Transfer
        },
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
    let start = artifact(Kind::Checkpoint, 1, Value::Null, &|pending| {
        base(pending.path())
    });
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

fn answer(text: &str) -> Answer {
    Answer {
        text: text.into(),
        source: "file".into(),
        sample: 0,
        score: None,
        tokens: None,
        finished: false,
    }
}

/// Pairs of which the good film is the better one.
fn pairs(count: u64) -> Vec<Pair> {
    let pair = |id| Pair {
        id,
        prompt: id,
        group: id,
        messages: vec![Message {
            role: "user".into(),
            content: "film ".into(),
        }],
        chosen: answer("is good"),
        rejected: answer("is bad"),
        rule: "file".into(),
        confidence: None,
        gold: None,
    };
    (0..count).map(pair).collect()
}

#[test]
fn a_reward_model_judges_pairs_and_a_language_model_by_its_likelihoods() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let artifact = |kind, name: u8, write: &dyn Fn(&w2s_artifact::Pending)| {
        let reference = ArtifactRef::new(kind, Key::from_bytes([name; 32]));
        let pending = store.begin(&reference).unwrap();
        write(&pending);
        pending.commit(Provenance::default()).unwrap();
        reference
    };
    let start = artifact(Kind::Checkpoint, 1, &|pending| base(pending.path()));
    let rows = pairs(16);
    let gold = artifact(Kind::Pairs, 2, &|pending| {
        pending.write_records(&rows).unwrap();
    });
    let line =
        format!("--base {start} --pairs {gold} --lr 1e-2 --epochs 10 --batch 4 --template plain");
    let teacher = run::<Reward>(folder.path(), &line).unwrap();
    let judge = |more: &str| run::<Judge>(folder.path(), &format!("--pairs {gold} {more}"));
    let labels = judge(&format!("--model {}", teacher.reference)).unwrap();
    let summary: LabelsSummary = labels.summary().unwrap();
    assert_eq!((summary.rows, summary.accuracy), (16, 1.0));
    assert_eq!(summary.classes, ["chosen", "rejected"]);
    assert!(summary.mean_confidence > 0.9, "{}", summary.mean_confidence);
    let labels = labels.records::<Labelled>().unwrap();
    assert!(labels.iter().all(|label| label.probabilities[0] > 0.5));

    let mean = judge(&format!("--model {start} --rule mean --template plain")).unwrap();
    let mean = mean.records::<Labelled>().unwrap()[0].probabilities[0];
    let divided = judge(&format!(
        "--model {start} --rule mean --divisor 2 --template plain"
    ));
    let divided = divided.unwrap().records::<Labelled>().unwrap()[0].probabilities[0];
    let logit = |p: f32| (p / (1.0 - p)).ln();
    assert!((logit(mean) - 2.0 * logit(divided)).abs() < 1e-4);
    for (more, message) in [
        (
            format!("--model {start}"),
            "it is no reward model, which has a head of one row",
        ),
        (
            format!("--model {} --template plain", teacher.reference),
            "--template, --max-tokens, --too-long and --separate are those of the reward model",
        ),
        (
            format!("--model {start} --rule sum --divisor 0"),
            "--divisor is 0; it must be above zero",
        ),
    ] {
        let error = format!("{:#}", judge(&more).err().unwrap());
        assert!(error.contains(message), "{error}");
    }
}
