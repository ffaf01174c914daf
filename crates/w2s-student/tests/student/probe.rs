//! Probes on what a base makes of texts: the base is read once, the head alone is saved, and what does not fit is told.

use crate::models::{WORDS, base};

use clap::Command;
use serde_json::json;
use std::path::Path;
use w2s_artifact::summary::SplitSummary;
use w2s_artifact::{
    Artifact, ArtifactRef, Example, Features, Key, Kind, Label, Provenance, Split, Store,
};
use w2s_lm::{ProbeSettings, classify_examples, device};
use w2s_stage::{Operation, RunOptions};
use w2s_student::{ComputeFeatures, TrainProbe};

const CLASSES: [&str; 2] = ["no", "yes"];

/// An operation with the flags of a command line.
fn flags<T: Operation>(line: &str) -> T {
    let command = T::augment_args(Command::new("test").no_binary_name(true));
    let matches = command
        .try_get_matches_from(line.split_whitespace())
        .unwrap();
    T::from_arg_matches(&matches).unwrap()
}

struct Bench {
    folder: tempfile::TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self { folder, store }
    }

    fn commit(
        &self,
        kind: Kind,
        name: u8,
        summary: serde_json::Value,
        write: impl FnOnce(&w2s_artifact::Pending),
    ) -> ArtifactRef {
        let reference = ArtifactRef::new(kind, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        write(&pending);
        let provenance = Provenance {
            summary,
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap();
        reference
    }

    fn base(&self, name: u8, seed: u64) -> ArtifactRef {
        self.commit(Kind::Checkpoint, name, json!({}), |pending| {
            base(pending.path(), &WORDS, seed);
        })
    }

    /// Rows of all splits; what is good is of class `yes`.
    fn examples(&self, name: u8, classes: [&str; 2]) -> ArtifactRef {
        let splits = [Split::Gold, Split::Transfer, Split::Test];
        let example = |id: u64| {
            let good = id % 2 == 1;
            let word = if good {
                ["good", "fine"]
            } else {
                ["bad", "poor"]
            };
            Example {
                id,
                split: splits[id as usize % 3],
                group: id / 2,
                label: u32::from(good),
                text: format!(
                    "{} is very {}",
                    WORDS[2 + id as usize % 3],
                    word[id as usize / 6 % 2]
                ),
            }
        };
        let mut rows: Vec<Example> = (0..60).map(example).collect();
        rows.sort_by_key(|row| row.split);
        let summary = SplitSummary {
            classes: classes.map(String::from).into(),
            ..SplitSummary::default()
        };
        self.commit(Kind::Examples, name, json!(summary), |pending| {
            pending.write_records(&rows).unwrap();
        })
    }

    fn run<T: Operation>(&self, line: &str) -> anyhow::Result<Artifact> {
        let options = RunOptions::new(self.folder.path());
        Ok(w2s_stage::run("student", &flags::<T>(line), &options)?.artifact)
    }

    fn features(&self, base: ArtifactRef, data: ArtifactRef, more: &str) -> Artifact {
        let line = format!("--base {base} --data {data} {more}");
        self.run::<ComputeFeatures>(&line).unwrap()
    }

    fn open(&self, reference: ArtifactRef) -> Artifact {
        self.store.require(&reference).unwrap()
    }

    /// Share of the test rows whose most probable class is the right one.
    fn accuracy(
        &self,
        probe: &Artifact,
        features: &Artifact,
        data: ArtifactRef,
    ) -> Result<f64, String> {
        let device = device("flex").unwrap();
        let data = self.open(data);
        let done = classify_examples(
            probe,
            Some(features),
            &data,
            Split::Test,
            &device,
            &mut |_| true,
        );
        let done = done.map_err(|e| e.to_string())?.unwrap();
        assert_eq!((done.tokens, done.dropped_too_long), (0, 0));
        let rows = done.examples.iter().zip(&done.probabilities);
        let right = rows
            .filter(|(e, p)| w2s_lm::argmax(p) == e.label as usize)
            .count();
        Ok(right as f64 / done.examples.len() as f64)
    }
}

fn head(probe: &Artifact) -> Vec<u8> {
    std::fs::read(probe.file("head.safetensors")).unwrap()
}

#[test]
fn a_base_reads_all_splits_once_and_each_arm_saves_its_head_alone() {
    let bench = Bench::new();
    let (base, data) = (bench.base(1, 1), bench.examples(2, CLASSES));
    let features = bench.features(base, data, "");
    let summary = &features.manifest.summary;
    assert_eq!(
        (&summary["rows"], &summary["width"]),
        (&60.into(), &16.into())
    );
    assert_eq!(summary["tokens"], 60 * 4);
    let rows: Vec<Features> = features.records().unwrap();
    assert_eq!(rows.len(), 60);
    let some = bench.features(base, data, "--split test --split transfer");
    assert_eq!(some.manifest.summary["tokens"], 40 * 4);
    let some: Vec<Features> = some.records().unwrap();
    let wanted = rows.iter().filter(|row| row.id % 3 != 0);
    assert!(some.iter().eq(wanted));

    let label = |row: &Features| {
        let yes = if row.id % 2 == 1 { 0.8 } else { 0.3 };
        Label {
            id: row.id,
            probabilities: vec![1.0 - yes, yes],
        }
    };
    let transfer: Vec<Label> = rows.iter().filter(|r| r.id % 3 == 1).map(label).collect();
    let labelled = json!({
        "rows": 20, "classes": CLASSES, "mean_confidence": 0.75, "accuracy": 1.0,
        "dropped_too_long": 0, "truncated": 0, "tokens": 0, "tokens_per_second": 0.0,
    });
    let labels = bench.commit(Kind::Labels, 3, labelled, |pending| {
        pending.write_records(&transfer).unwrap();
    });
    let common = format!(
        "--features {} --data {data} --lr 0.02 --epochs 60",
        features.reference
    );
    let mut heads = Vec::new();
    for arm in [
        format!("--labels {labels}"),
        format!("--labels {labels} --loss confidence"),
        format!("--labels {labels} --loss product --standardize"),
        "--gold".to_owned(),
    ] {
        let probe = bench.run::<TrainProbe>(&format!("{common} {arm}")).unwrap();
        assert_eq!(probe.manifest.summary["rows"], 20, "{arm}");
        assert_eq!(probe.manifest.summary["tokens"], 0, "{arm}");
        assert_eq!(bench.accuracy(&probe, &features, data), Ok(1.0), "{arm}");
        let files = probe
            .manifest
            .files
            .iter()
            .filter(|f| f.name != "metrics.jsonl");
        let bytes: u64 = files.map(|f| f.bytes).sum();
        assert!(bytes < 3_000, "{arm}: {bytes} bytes");
        assert!(!heads.contains(&head(&probe)), "{arm}");
        heads.push(head(&probe));
    }
}

#[test]
fn scaled_features_train_the_same_head_as_features_that_were_scaled_before() {
    let bench = Bench::new();
    let (base, data) = (bench.base(1, 1), bench.examples(2, CLASSES));
    let made = bench.features(base, data, "");
    // The same features, each of another size: alike once they are standardized.
    let mut rows: Vec<Features> = made.records().unwrap();
    for row in &mut rows {
        for (j, value) in row.values.iter_mut().enumerate() {
            *value = *value * [0.5, 4.0, 64.0][j % 3] + j as f32;
        }
    }
    let reference = ArtifactRef::new(Kind::Features, Key::from_bytes([9; 32]));
    let pending = bench.store.begin(&reference).unwrap();
    pending.write_records(&rows).unwrap();
    let provenance = Provenance {
        inputs: made.manifest.inputs.clone(),
        ..Provenance::default()
    };
    let sized = pending.commit(provenance).unwrap();
    let probabilities = |features: &Artifact| {
        let line = format!(
            "--features {} --data {data} --gold --standardize --lr 0.02",
            features.reference
        );
        let probe = bench.run::<TrainProbe>(&line).unwrap();
        let device = device("flex").unwrap();
        let data = bench.open(data);
        classify_examples(
            &probe,
            Some(features),
            &data,
            Split::Test,
            &device,
            &mut |_| true,
        )
        .unwrap()
        .unwrap()
        .probabilities
        .concat()
    };
    for (a, b) in probabilities(&made).iter().zip(probabilities(&sized)) {
        assert!((a - b).abs() < 1e-4, "{a} and {b}");
    }
}

#[test]
fn features_of_another_origin_are_refused() {
    let bench = Bench::new();
    let (base, twin) = (bench.base(1, 1), bench.base(3, 2));
    let (data, other) = (bench.examples(2, CLASSES), bench.examples(5, CLASSES));
    let swapped = bench.examples(6, ["yes", "no"]);
    let features = bench.features(base, data, "");
    let train = |features: &Artifact, data: ArtifactRef| {
        let line = format!(
            "--features {} --data {data} --gold --lr 0.02",
            features.reference
        );
        bench.run::<TrainProbe>(&line)
    };
    let probe = train(&features, data).unwrap();
    let (settings, _) = ProbeSettings::load(&probe.path, &device("flex").unwrap()).unwrap();
    assert_eq!(settings.features.operation, "student features");
    let refused = |features: &Artifact, data| bench.accuracy(&probe, features, data).unwrap_err();
    let (name, short) = (probe.reference.short(), |a: &Artifact| a.reference.short());

    // Features of the same base on other examples are fine; those of other examples than named are not.
    let elsewhere = bench.features(base, other, "");
    bench.accuracy(&probe, &elsewhere, other).unwrap();
    assert_eq!(
        refused(&elsewhere, data),
        format!(
            "{} was made from {}, but --data is {}\n\
             hint: make it anew with `w2s-student features` from these examples",
            short(&elsewhere),
            other.short(),
            data.short()
        )
    );
    let of_twin = bench.features(twin, data, "");
    assert_eq!(
        refused(&of_twin, data),
        format!(
            "{name} was trained on features made by `student features` of {}, but {} was made by `student features` of {}\n\
             hint: a probe reads features of one origin; name those, or train a probe on these",
            base.short(),
            short(&of_twin),
            twin.short()
        )
    );
    let cut = bench.features(base, data, "--max-tokens 3 --too-long truncate");
    let message = refused(&cut, data);
    assert!(
        message.starts_with(&format!(
            "{name} was trained on features made by `max_tokens` null"
        )),
        "{message}"
    );
    // Classes in another order.
    let of_swapped = bench.features(base, swapped, "");
    assert_eq!(
        refused(&of_swapped, swapped),
        format!(
            "{name} tells apart the classes no, yes, in this order, but those of {} are yes, no\n\
             hint: train and predict with the same task, or bring the classes of its description into the same order",
            swapped.short()
        )
    );
    let message = train(&of_twin, other).unwrap_err().to_string();
    assert!(message.contains("but --data is"), "{message}");
    assert_eq!(
        flags::<TrainProbe>("--features features/0101 --data examples/0101 --lr 1")
            .check()
            .unwrap_err()
            .to_string(),
        "--labels is not given, the labels to learn\nhint: or give --gold, for the ceiling"
    );
}

#[test]
fn a_probe_is_no_base() {
    let bench = Bench::new();
    let (base, data) = (bench.base(1, 1), bench.examples(2, CLASSES));
    let features = bench.features(base, data, "");
    let line = format!(
        "--features {} --data {data} --gold --lr 0.02",
        features.reference
    );
    let probe = bench.run::<TrainProbe>(&line).unwrap();
    let line = format!("--base {} --data {data}", probe.reference);
    let error = bench.run::<ComputeFeatures>(&line).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it is a linear probe, which has no decoder"),
        "{error}"
    );
    let path: &Path = &probe.path;
    assert!(ProbeSettings::are_in(path));
}
