//! The operations in a store, and what they refuse.

mod support;

use clap::Command;
use support::{WORDS, base, pairs};
use w2s_artifact::{Artifact, ArtifactRef, Key, Kind, Pair, Provenance, Record, Store};
use w2s_stage::{Operation, RunOptions};
use w2s_student::{Reference, Train};

/// An operation with the flags of a command line.
fn flags<T: Operation>(line: &str) -> T {
    let command = T::augment_args(Command::new("test").no_binary_name(true));
    let matches = command
        .try_get_matches_from(line.split_whitespace())
        .unwrap();
    T::from_arg_matches(&matches).unwrap()
}

fn refused(line: &str) -> String {
    let line = format!("--base checkpoint/0101 --lr 1e-3 {line}");
    flags::<Train>(&line).check().unwrap_err().to_string()
}

#[test]
fn flags_of_another_method_and_values_out_of_range_are_refused() {
    let dpo = "--method preference --pairs pairs/0101 --reference references/0101";
    for (line, message) in [
        (format!("{dpo} --beta 0"), "`beta` is 0 but must be above 0"),
        (
            format!("{dpo} --beta -1"),
            "`beta` is -1 but must be above 0",
        ),
        (
            format!("{dpo} --max-steps 0"),
            "--max-steps is 0; it must be above zero",
        ),
        (
            format!("{dpo} --loss dpo_norm"),
            "unknown preference loss `dpo_norm`\nhint: it is called `delta-preference` here",
        ),
        (
            format!("{dpo} --held-out 0.1"),
            "--held-out is not read by --method preference; it belongs to labels",
        ),
        (
            format!("{dpo} --template {{text}}"),
            "unknown template `{text}`; there are model, plain",
        ),
        (
            "--method preference --pairs pairs/0101".into(),
            "the loss `sigmoid` compares with a reference, and --reference is not given\n\
             hint: make one with `w2s-student reference`, or use `simpo` or `orpo`, which need none",
        ),
        (
            "--method preference".into(),
            "--method preference needs --pairs",
        ),
        (
            "--method sft".into(),
            "--method sft needs --pairs, or --responses with their --prompts",
        ),
        (
            "--method sft --pairs pairs/0101 --loss sigmoid".into(),
            "--loss is not read by --method sft; it belongs to labels and preference",
        ),
        (
            "--data examples/0101 --labels labels/0101 --pairs pairs/0101".into(),
            "--pairs is not read by --method labels; it belongs to sft and preference",
        ),
        (
            "--labels labels/0101".into(),
            "--method labels needs --data, the examples",
        ),
        (
            "--data examples/0101".into(),
            "--method labels needs --labels, or --gold for the ceiling",
        ),
    ] {
        assert_eq!(refused(&line), message, "{line}");
    }
    for (lr, value) in [("0", "0"), ("-0.5", "-0.5")] {
        let line = format!("--base checkpoint/0101 --lr {lr} {dpo}");
        assert_eq!(
            flags::<Train>(&line).check().unwrap_err().to_string(),
            format!("--lr is {value}; it must be above zero")
        );
    }
    let fine = "--base checkpoint/0101 --lr 1e-3 --method preference --loss simpo --pairs pairs/0101 --beta 3";
    flags::<Train>(fine).check().unwrap();
}

/// A store with base models and pairs.
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

    fn base(&self, name: u8, words: &[&str], seed: u64) -> ArtifactRef {
        let reference = ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        base(pending.path(), words, seed);
        pending.commit(Provenance::default()).unwrap();
        reference
    }

    fn records<T: Record>(&self, name: u8, records: &[T]) -> ArtifactRef {
        let reference = ArtifactRef::new(T::KIND, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        pending.write_records(records).unwrap();
        pending.commit(Provenance::default()).unwrap();
        reference
    }

    fn run<T: Operation>(&self, line: &str) -> anyhow::Result<Artifact> {
        let options = RunOptions::new(self.folder.path());
        Ok(w2s_stage::run("student", &flags::<T>(line), &options)?.artifact)
    }
}

#[test]
fn a_reference_and_a_run_of_every_method_in_a_store() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let pairs = bench.records::<Pair>(2, &pairs(12));
    let known = bench
        .run::<Reference>(&format!("--model {base} --pairs {pairs}"))
        .unwrap();
    assert_eq!(known.manifest.summary["pairs"], 12);
    assert_eq!(known.manifest.summary["chosen"]["too_long"], 0);

    let train = format!("--base {base} --pairs {pairs} --lr 1e-3 --batch 4 --max-steps 2");
    let tuned = bench
        .run::<Train>(&format!(
            "{train} --method preference --reference {}",
            known.reference
        ))
        .unwrap();
    let summary = &tuned.manifest.summary;
    assert_eq!(
        (&summary["loss"], &summary["steps"]),
        (&"sigmoid".into(), &2.into())
    );
    assert_eq!(tuned.rows_json(9).unwrap().len(), 2);
    for name in ["config.json", "tokenizer.json", "tokenizer_config.json"] {
        assert!(tuned.file(name).exists(), "{name}");
    }
    let chosen = bench
        .run::<Train>(&format!("{train} --method sft"))
        .unwrap();
    let rejected = bench
        .run::<Train>(&format!("{train} --method sft --side rejected"))
        .unwrap();
    assert_ne!(chosen.reference, rejected.reference);
    assert_ne!(
        chosen.manifest.summary["final_loss"],
        rejected.manifest.summary["final_loss"]
    );
}

#[test]
fn a_reference_of_another_origin_is_refused() {
    let bench = Bench::new();
    let mut words = WORDS;
    words.swap(2, 3);
    let (base, twin) = (bench.base(1, &WORDS, 1), bench.base(3, &WORDS, 2));
    let stranger = bench.base(4, &words, 1);
    let one = bench.records::<Pair>(2, &pairs(12));
    let other = bench.records::<Pair>(5, &pairs(13));
    let reference = |model: ArtifactRef, pairs: ArtifactRef| {
        let line = format!("--model {model} --pairs {pairs}");
        bench.run::<Reference>(&line).unwrap().reference
    };
    let refused = |reference: ArtifactRef| {
        let line = format!(
            "--base {base} --pairs {one} --lr 1e-3 --method preference --reference {reference}"
        );
        bench.run::<Train>(&line).unwrap_err().to_string()
    };
    let of_stranger = reference(stranger, one);
    assert!(
        refused(of_stranger).starts_with(&format!(
            "{} was made by another tokenizer: ",
            of_stranger.short()
        )),
        "{}",
        refused(of_stranger)
    );
    let of_twin = reference(twin, one);
    assert!(refused(of_twin).starts_with(&format!(
        "{} was made from {}, but --base is {}\n",
        of_twin.short(),
        twin.short(),
        base.short()
    )));
    let of_other = reference(base, other);
    assert!(refused(of_other).starts_with(&format!(
        "{} was made from {}, but --pairs is {}\n",
        of_other.short(),
        other.short(),
        one.short()
    )));
}
