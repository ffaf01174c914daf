//! The operations in a store, and what they refuse.

mod support;

use burn::tensor::{Device, Tensor};
use clap::Command;
use serde_json::json;
use std::path::Path;
use support::{WORDS, base, chat_base, pairs};
use w2s_artifact::{
    Artifact, ArtifactRef, Example, Key, Kind, LogProb, Pair, Prompt, Provenance, Record,
    ReferenceLogProbs, Response, Split, Store,
};
use w2s_lm::{Batch, EncodingArgs, ModelFolder, Template, TooLong};
use w2s_losses::{
    PairLogProbs, PreferenceLoss, PreferenceSettings, ResponseLogProbs, aot_partners, kto_kl,
    log_odds_ratio, preference,
};
use w2s_stage::{Operation, RunOptions};
use w2s_student::{ComputeFeatures, Encode, Reference, Train};
use w2s_text::ChatTemplate;

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
        // Flags at their defaults are flags as well.
        (
            format!("{dpo} --gamma 0.5"),
            "`gamma` is 0.5 but the loss `sigmoid` does not read it\n\
             hint: leave `gamma` out, or choose a loss that reads it",
        ),
        (
            format!("{dpo} --desirable-weight 1"),
            "`desirable_weight` is 1 but the loss `sigmoid` does not read it\n\
             hint: leave `desirable_weight` out, or choose a loss that reads it",
        ),
        (
            format!("{dpo} --loss hinge --label-smoothing 0"),
            "`label_smoothing` is 0 but the loss `hinge` does not read it\n\
             hint: leave `label_smoothing` out, or choose a loss that reads it",
        ),
        (
            format!("{dpo} --evaluations 4"),
            "--evaluations is not read by --method preference; it belongs to labels",
        ),
        (
            "--method sft --pairs pairs/0101 --patience 2".into(),
            "--patience is not read by --method sft; it belongs to labels",
        ),
        (
            "--data examples/0101 --gold --patience 2".into(),
            "--patience is given, but --held-out is 0: nothing is evaluated",
        ),
        (
            "--data examples/0101 --gold --max-weight 0.5".into(),
            "--max-weight is not read by --loss cross-entropy; it belongs to confidence",
        ),
        (
            "--data examples/0101 --gold --loss confidence --alpha 1".into(),
            "--alpha is not read by --loss confidence; it belongs to product",
        ),
        (
            format!("{dpo} --loss robust"),
            "the loss `robust` without label smoothing is that of `sigmoid`\n\
             hint: give --label-smoothing, the part of the pairs taken to be the wrong way round",
        ),
        (
            format!("{dpo} --loss cdpo"),
            "unknown preference loss `cdpo`\n\
             hint: it is called `sigmoid` with `--label-smoothing` above 0 here",
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
    let robust = format!("--base checkpoint/0101 --lr 1 {dpo} --loss robust --label-smoothing 0.1");
    flags::<Train>(&robust).check().unwrap();
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
        self.checkpoint(name, |folder| base(folder, words, seed))
    }

    fn checkpoint(&self, name: u8, write: impl FnOnce(&Path)) -> ArtifactRef {
        let reference = ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        write(pending.path());
        pending.commit(Provenance::default()).unwrap();
        reference
    }

    fn path(&self, reference: ArtifactRef) -> std::path::PathBuf {
        self.store.artifact_dir(&reference)
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
    assert_eq!(summary["formula"], "-log sigmoid(beta (h_c - h_r))");
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
fn tokens_and_features_are_made_once_for_all_students() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let examples = |name: u8, count: u64| {
        let example = |id| Example {
            id,
            split: Split::Transfer,
            group: id,
            label: (id % 2) as u32,
            text: format!("film is {}", ["bad", "very good"][id as usize % 2]),
        };
        let reference = ArtifactRef::new(Kind::Examples, Key::from_bytes([name; 32]));
        let pending = bench.store.begin(&reference).unwrap();
        pending
            .write_records(&(0..count).map(example).collect::<Vec<_>>())
            .unwrap();
        let provenance = Provenance {
            summary: json!({"classes": ["no", "yes"]}),
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap();
        reference
    };
    let (data, other) = (examples(2, 12), examples(3, 10));
    let features = bench
        .run::<ComputeFeatures>(&format!(
            "--base {base} --data {data} --max-tokens 3 --too-long truncate"
        ))
        .unwrap();
    assert_eq!(features.manifest.summary["rows"], 12);
    assert_eq!(features.manifest.summary["truncated"], 6);

    let probe = |data: ArtifactRef, more: &str| {
        let line = format!(
            "--base {base} --data {data} --features {} --gold --lr 1e-2 {more}",
            features.reference
        );
        bench.run::<Train>(&line)
    };
    let trained = probe(data, "--epochs 3").unwrap();
    let summary = &trained.manifest.summary;
    assert_eq!(
        (&summary["rows"], &summary["truncated"]),
        (&12.into(), &6.into())
    );
    // Nothing but the head ran.
    assert_eq!(summary["tokens"], 0);
    let settings = ModelFolder::open(&trained.path).unwrap();
    let settings = settings.classifier_settings().unwrap();
    assert_eq!(
        (settings.max_tokens, settings.too_long),
        (3, TooLong::Truncate)
    );
    probe(data, "--loss confidence --seed 2").unwrap();

    // Tokens that were made before train to the same bytes as texts.
    let tokens = bench
        .run::<Encode>(&format!(
            "--base {base} --data {data} --max-tokens 3 --too-long truncate"
        ))
        .unwrap();
    let student = |more: &str| {
        let line = format!("--base {base} --data {data} --gold --lr 1e-2 {more}");
        bench.run::<Train>(&line).unwrap()
    };
    let read = student(&format!("--tokens {}", tokens.reference));
    let plain = student("--max-tokens 3 --too-long truncate");
    assert_ne!(read.reference, plain.reference);
    assert_eq!(weights(&read), weights(&plain));
    assert_eq!(read.manifest.summary["truncated"], 6);

    let message = |error: anyhow::Result<Artifact>| error.unwrap_err().to_string();
    assert_eq!(
        message(probe(other, "")),
        format!(
            "{} was made from {}, but --data is {}\n\
             hint: make it anew with `w2s-student features` from the same base and data",
            features.reference.short(),
            data.short(),
            other.short()
        )
    );
    assert_eq!(
        message(probe(data, "--max-tokens 4")),
        "--max-tokens is that of --features\nhint: give it to `w2s-student features`"
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
    // What fits must be the same: another length, another cut, another boundary.
    for (made, used, message) in [
        (
            "--max-tokens 16",
            "",
            "was made with --max-tokens 16, but here it is 32",
        ),
        (
            "",
            "--max-tokens 16",
            "was made with --max-tokens 32, but here it is 16",
        ),
        (
            "",
            "--too-long truncate",
            "was made with --too-long drop, but here it is truncate",
        ),
        (
            "--separate",
            "",
            "was made with --separate true, but here it is false",
        ),
    ] {
        let line = format!("--model {base} --pairs {one} {made}");
        let known = bench.run::<Reference>(&line).unwrap().reference;
        let line = format!(
            "--base {base} --pairs {one} --lr 1e-3 --method preference --reference {known} {used}"
        );
        assert_eq!(
            bench.run::<Train>(&line).unwrap_err().to_string(),
            format!(
                "{} {message}\nhint: give both steps the same --max-tokens, --too-long and --separate",
                known.short()
            )
        );
    }
    // The model has 32 positions: to name them is to leave the default.
    let known = reference(base, one);
    let line = format!(
        "--base {base} --pairs {one} --lr 1e-3 --max-steps 1 --method preference --reference {known} --max-tokens 32"
    );
    bench.run::<Train>(&line).unwrap();
}

#[test]
fn the_template_is_part_of_a_reference() {
    let bench = Bench::new();
    let base = bench.checkpoint(1, |folder| chat_base(folder, 1));
    let pairs = bench.records::<Pair>(2, &pairs(6));
    let hash = ChatTemplate::load(&bench.path(base)).unwrap().hash();
    let known = |flags: &str| {
        let line = format!("--model {base} --pairs {pairs} {flags}");
        bench.run::<Reference>(&line).unwrap()
    };
    let (chat, plain) = (known(""), known("--template plain"));
    assert_eq!(chat.manifest.summary["template"], hash.as_str());
    assert_eq!(plain.manifest.summary["template"], "plain");
    let train = |flags: &str, known: &Artifact| {
        bench.run::<Train>(&format!(
            "--base {base} --pairs {pairs} --lr 1e-3 --max-steps 1 --method preference --reference {} {flags}",
            known.reference
        ))
    };
    for (flags, known, theirs, ours) in [
        ("", &plain, "plain", &hash[..8]),
        ("--template plain", &chat, &hash[..8], "plain"),
    ] {
        assert_eq!(
            train(flags, known).unwrap_err().to_string(),
            format!(
                "{} was made by another template: {theirs}, not the base's {ours}\n\
                 hint: make it anew with `w2s-student reference`, whose --model is this --base and with this --template",
                known.reference.short()
            )
        );
    }
    train("", &chat).unwrap();
    train("--template plain", &plain).unwrap();
}

/// What a model makes of pairs, and of their prompts with answers to others.
fn scored(folder: &Path, pairs: &[Pair], encoding: &EncodingArgs) -> Vec<ReferenceLogProbs> {
    let device = w2s_lm::device("flex").unwrap();
    w2s_student::reference(folder, pairs, encoding, true, &device, &mut |_, _| true)
        .unwrap()
        .unwrap()
        .rows
}

fn encoding() -> EncodingArgs {
    EncodingArgs {
        template: Template::Model,
        max_tokens: None,
        too_long: TooLong::Drop,
        separate: false,
    }
}

fn bundle(rows: &[ReferenceLogProbs]) -> PairLogProbs {
    let side = |of: fn(&ReferenceLogProbs) -> LogProb| {
        let sums: Vec<f32> = rows.iter().map(|row| of(row).sum).collect();
        ResponseLogProbs {
            sum: Tensor::from_floats(&sums[..], &Device::flex()),
            tokens: rows.iter().map(|row| of(row).tokens as usize).collect(),
        }
    };
    PairLogProbs::new(side(|row| row.chosen), side(|row| row.rejected))
}

fn scalar(values: Tensor<1>) -> f64 {
    values.mean().into_scalar::<f32>().into()
}

/// Settings that a loss can be told from the others by. `robust` has no smoothing of its own; sorting keeps the mean, so
/// that it shows only where the loss is curved.
fn usual(loss: PreferenceLoss) -> PreferenceSettings {
    let mut settings = loss.settings();
    if loss == PreferenceLoss::Robust {
        settings.label_smoothing = 0.1;
    }
    if loss.needs_partners() {
        settings.beta = 5.0;
    }
    settings
}

/// The first step cannot tell losses apart: policy and reference are the same. The second can.
#[test]
fn every_loss_by_its_name_is_that_of_the_losses_crate() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let records = pairs(40);
    let pairs = bench.records::<Pair>(2, &records);
    let known = bench
        .run::<Reference>(&format!("--model {base} --pairs {pairs} --mismatched"))
        .unwrap();
    for loss in PreferenceLoss::ALL {
        let mut settings = usual(loss);
        let flags = match loss {
            PreferenceLoss::Robust => "--label-smoothing 0.1",
            _ if loss.needs_partners() => "--beta 5",
            _ => "",
        };
        let run = |steps: usize| {
            bench
                .run::<Train>(&format!(
                    "--base {base} --pairs {pairs} --reference {} --method preference --loss {loss} {flags} --lr 1e-2 \
                     --schedule constant --batch 20 --in-order --max-steps {steps}",
                    known.reference
                ))
                .unwrap()
        };
        // One step on the first half of the pairs gives the model that the second step, on the others, starts from.
        let policy = &scored(&run(1).path, &records, &encoding())[20..];
        let reference = &known.records::<ReferenceLogProbs>().unwrap()[20..];
        let step = run(2).rows_json(9).unwrap().swap_remove(1);
        let near = |name: &str, expected: f64| {
            let logged = step[name].as_f64().unwrap();
            let off = (logged - expected).abs();
            assert!(
                off < 2e-5 * expected.abs().max(1.0),
                "{loss}, {name}: {logged} and {expected}"
            );
        };
        if loss.needs_kl() {
            let sums = |rows: &[ReferenceLogProbs]| -> Vec<f32> {
                rows.iter().map(|row| row.mismatched.unwrap().sum).collect()
            };
            let kl = kto_kl(&sums(policy), &sums(reference)).unwrap();
            assert!(kl > 0.01, "{kl}");
            near("kto_kl", kl);
            settings.kto_kl = Some(kl);
        }
        let (mut policy, reference) = (bundle(policy), bundle(reference));
        if loss.needs_partners() {
            policy.partners = Some(aot_partners(loss, &policy, &reference).unwrap());
        }
        let mean = |loss: PreferenceLoss, settings| {
            let output = preference(loss, &settings, &policy, Some(&reference)).unwrap();
            scalar(output.loss)
        };
        let expected = mean(loss, settings);
        near("loss", expected);
        // No other loss would have passed for it.
        for other in PreferenceLoss::ALL {
            if other == loss || other.needs_kl() || other.needs_partners() {
                continue;
            }
            let beta = settings.beta;
            let value = mean(
                other,
                PreferenceSettings {
                    beta,
                    ..usual(other)
                },
            );
            assert!(
                (value - expected).abs() > 1e-4 * expected.abs().max(1.0),
                "{loss} and {other}: {value}"
            );
        }
        if loss == PreferenceLoss::Orpo {
            let (chosen, rejected) = (policy.chosen.mean(), policy.rejected.mean());
            near("nll", -scalar(chosen.clone()));
            near("log_odds", scalar(log_odds_ratio(chosen, rejected)));
        }
    }
}

/// A prompt and an answer for each pair: what sft takes instead of pairs.
fn answers(pairs: &[Pair]) -> (Vec<Prompt>, Vec<Response>) {
    let prompt = |pair: &Pair| Prompt {
        id: pair.prompt,
        group: pair.group,
        messages: pair.messages.clone(),
        answer: None,
        choices: Vec::new(),
        gold: None,
    };
    let response = |pair: &Pair| Response {
        prompt: pair.prompt,
        sample: 0,
        text: pair.chosen.text.clone(),
        ids: Vec::new(),
        log_probs: Vec::new(),
        finished: pair.chosen.finished,
        model: "world".into(),
    };
    (
        pairs.iter().map(prompt).collect(),
        pairs.iter().map(response).collect(),
    )
}

fn weights(artifact: &Artifact) -> Vec<u8> {
    std::fs::read(artifact.file("model.safetensors")).unwrap()
}

#[test]
fn answers_of_responses_are_imitated_as_those_of_pairs() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let records = pairs(12);
    let (mut prompts, mut responses) = answers(&records);
    let pairs = bench.records::<Pair>(2, &records);
    // The order of the prompts says nothing.
    prompts.reverse();
    let asked = bench.records::<Prompt>(3, &prompts);
    let given = bench.records::<Response>(4, &responses);
    let train = |flags: String| {
        bench.run::<Train>(&format!(
            "--base {base} --method sft --lr 1e-2 --batch 4 {flags}"
        ))
    };
    let of_pairs = train(format!("--pairs {pairs}")).unwrap();
    let of_responses = train(format!("--responses {given} --prompts {asked}")).unwrap();
    assert_eq!(of_responses.manifest.summary["rows"], 12);
    assert_eq!(weights(&of_pairs), weights(&of_responses));

    let few = bench.records::<Prompt>(5, &prompts[1..]);
    assert_eq!(
        train(format!("--responses {given} --prompts {few}"))
            .unwrap_err()
            .to_string(),
        "an answer is to prompt 11, which the 11 prompts do not have\n\
         hint: name the prompts that the answers were made from"
    );

    // Answers that cannot be learnt from are counted by their reason.
    responses[0].text = String::new();
    responses[1].text = "film </s> is".into();
    responses[2].text = "film ".repeat(40);
    let spoilt = bench.records::<Response>(6, &responses);
    let summary = |flags: &str| {
        let done = train(format!("--responses {spoilt} --prompts {asked} {flags}")).unwrap();
        let of = |name: &str| done.manifest.summary[name].clone();
        json!([of("rows"), of("truncated"), of("dropped")])
    };
    let dropped =
        |too_long: usize| json!({"too_long": too_long, "no_room": 0, "empty": 1, "ends_inside": 1});
    assert_eq!(summary(""), json!([9, 0, dropped(1)]));
    assert_eq!(summary("--too-long truncate"), json!([10, 1, dropped(0)]));
}

#[test]
fn what_becomes_of_each_side_is_counted() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let mut records = pairs(8);
    let long = || "film ".repeat(40);
    records[0].chosen.text = long();
    (records[1].chosen.text, records[1].rejected.text) = (long(), format!("plot {}", long()));
    records[2].rejected.text = "film </s> is".into();
    records[3].rejected = records[3].chosen.clone();
    records[4].messages[0].content = long();
    let pairs = bench.records::<Pair>(2, &records);
    let counts = |flags: &str| {
        let line = format!("--model {base} --pairs {pairs} --mismatched {flags}");
        let known = bench.run::<Reference>(&line).unwrap();
        let line = format!(
            "--base {base} --pairs {pairs} --reference {} --method preference --loss kto --lr 1e-3 --max-steps 1 {flags}",
            known.reference
        );
        let done = bench.run::<Train>(&line).unwrap();
        let names = [
            "pairs",
            "pairs_dropped",
            "pairs_identical",
            "chosen",
            "rejected",
            "mismatched",
        ];
        let of = |artifact: &Artifact| names.map(|name| artifact.manifest.summary[name].clone());
        assert_eq!(of(&known), of(&done));
        of(&done)
    };
    let side = |kept: usize,
                truncated: usize,
                too_long: usize,
                no_room: usize,
                ends_inside: usize| {
        json!({
            "kept": kept, "truncated": truncated, "too_long": too_long, "no_room": no_room, "empty": 0,
            "ends_inside": ends_inside
        })
    };
    assert_eq!(
        counts(""),
        [
            json!(3),
            json!(4),
            json!(1),
            side(3, 0, 2, 1, 0),
            side(3, 0, 1, 1, 1),
            side(3, 0, 0, 0, 0),
        ]
    );
    assert_eq!(
        counts("--too-long truncate"),
        [
            json!(5),
            json!(2),
            json!(1),
            side(5, 2, 0, 1, 0),
            side(5, 1, 0, 1, 1),
            // The answer of pair 0 goes to pair 1, and none of the others is cut.
            side(5, 1, 0, 0, 0),
        ]
    );
}

#[test]
fn flags_of_the_encoding_reach_the_loss() {
    let bench = Bench::new();
    let base = bench.checkpoint(1, |folder| chat_base(folder, 1));
    let mut records = pairs(8);
    // Behind `assistant:` a mark joins the colon to one token, unless both are tokenised apart.
    for pair in &mut records {
        pair.chosen.text.insert_str(0, "! ");
    }
    let pairs = bench.records::<Pair>(2, &records);
    let mut seen: Vec<f64> = Vec::new();
    for (flags, encoding) in [
        ("", encoding()),
        (
            "--template plain",
            EncodingArgs {
                template: Template::Plain,
                ..encoding()
            },
        ),
        (
            "--separate",
            EncodingArgs {
                separate: true,
                ..encoding()
            },
        ),
        (
            "--max-tokens 12",
            EncodingArgs {
                max_tokens: Some(12),
                ..encoding()
            },
        ),
        (
            "--max-tokens 12 --too-long truncate",
            EncodingArgs {
                max_tokens: Some(12),
                too_long: TooLong::Truncate,
                ..encoding()
            },
        ),
    ] {
        let done = bench
            .run::<Train>(&format!(
                "--base {base} --pairs {pairs} --method sft --lr 1e-3 --batch 8 --max-steps 1 {flags}"
            ))
            .unwrap();
        let loss = done.manifest.summary["final_loss"].as_f64().unwrap();
        // Pairs that fit on the chosen side alone are not in the reference: their rejected answers are made to fit.
        let mut short = records.clone();
        for pair in &mut short {
            pair.rejected.text = "bad".into();
        }
        let rows = scored(&bench.path(base), &short, &encoding);
        assert_eq!(done.manifest.summary["rows"], rows.len(), "{flags}");
        let expected = by_hand(&rows);
        assert!(
            (loss - expected).abs() < 1e-5,
            "{flags}: {loss} and {expected}"
        );
        for other in &seen {
            assert!((loss - other).abs() > 5e-5, "{flags}: {loss} and {other}");
        }
        seen.push(loss);
    }
}

/// The mean loss of all tokens of the chosen answers.
fn by_hand(rows: &[ReferenceLogProbs]) -> f64 {
    let sum: f64 = rows.iter().map(|row| f64::from(row.chosen.sum)).sum();
    let tokens: f64 = rows.iter().map(|row| f64::from(row.chosen.tokens)).sum();
    -sum / tokens
}

#[test]
fn rows_in_order_are_not_shuffled() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let records = pairs(12);
    let pairs = bench.records::<Pair>(2, &records);
    let rows = scored(&bench.path(base), &records, &encoding());
    let loss = |flags: &str| {
        let line = format!(
            "--base {base} --pairs {pairs} --method sft --lr 1e-3 --batch 4 --max-steps 1 {flags}"
        );
        let done = bench.run::<Train>(&line).unwrap();
        done.manifest.summary["final_loss"].as_f64().unwrap()
    };
    let first = by_hand(&rows[..4]);
    assert!((loss("--in-order") - first).abs() < 1e-5);
    assert!((loss("") - first).abs() > 1e-4);
}

#[test]
fn an_adapter_saved_alone_is_the_merged_model() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let pairs = bench.records::<Pair>(2, &pairs(8));
    let known = bench
        .run::<Reference>(&format!("--model {base} --pairs {pairs}"))
        .unwrap();
    let train = |flags: &str| {
        bench
            .run::<Train>(&format!(
                "--base {base} --pairs {pairs} --reference {} --method preference --lr 3e-2 --batch 4 --epochs 3 \
                 --lora-rank 2 {flags}",
                known.reference
            ))
            .unwrap()
    };
    let (alone, merged) = (train("--lora-save adapter"), train("--lora-save merged"));
    assert!(alone.file("adapter_model.safetensors").exists());
    assert!(!alone.file("model.safetensors").exists());
    let logits = |folder: &Path| -> Vec<f32> {
        let folder = ModelFolder::open(folder).unwrap();
        let model = folder
            .language_model(&w2s_lm::device("flex").unwrap())
            .unwrap();
        let batch = Batch::pack([&[1, 2, 6, 11, 7][..], &[1, 4, 6, 9]]);
        let logits = model.logits(&batch, &[0, 3, 4, 8]);
        logits.into_data().try_to_vec().unwrap()
    };
    let apart = |a: &[f32], b: &[f32]| {
        let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        off.fold(0.0f32, f32::max)
    };
    let (alone, merged, before) = (
        logits(&alone.path),
        logits(&merged.path),
        logits(&bench.path(base)),
    );
    assert!(apart(&alone, &merged) < 1e-5, "{}", apart(&alone, &merged));
    assert!(apart(&alone, &before) > 1e-2, "{}", apart(&alone, &before));
}
