//! Training on answers and on pairs of answers, in a store, and what it refuses.

use crate::models::{WORDS, chat_base, pairs};
use crate::support::{Bench, flag_names, flags, unparsed, weights};
use burn::tensor::{Device, Tensor};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use w2s_artifact::{Artifact, ArtifactRef, LogProb, Pair, Prompt, ReferenceLogProbs, Response};
use w2s_lm::{Batch, EncodingArgs, ModelFolder, Template, TooLong};
use w2s_losses::{
    PairLogProbs, Preference, PreferenceLoss, ResponseLogProbs, Setting, aot_partners, kto_kl,
    log_odds_ratio, preference,
};
use w2s_stage::Operation;
use w2s_student::{Prefer, Reference, Sft};
use w2s_text::ChatTemplate;

#[test]
fn flags_are_those_of_the_operation_and_values_out_of_range_are_refused() {
    let dpo = "--base checkpoint/0101 --pairs pairs/0101 --reference references/0101 --lr 1e-3";
    let refused = |more: &str| {
        let prefer = flags::<Prefer>(&format!("{dpo} {more}"));
        prefer.check().unwrap_err().to_string()
    };
    for (more, message) in [
        ("--beta 0", "`beta` is 0 but must be above 0"),
        ("--beta -1", "`beta` is -1 but must be above 0"),
        ("--max-steps 0", "--max-steps is 0; it must be above zero"),
        // Flags at their defaults are flags as well.
        (
            "--gamma 0.5",
            "`gamma` is 0.5 but the loss `sigmoid` does not read it\n\
             hint: leave `gamma` out, or choose a loss that reads it",
        ),
        (
            "--desirable-weight 1",
            "`desirable-weight` is 1 but the loss `sigmoid` does not read it\n\
             hint: leave `desirable-weight` out, or choose a loss that reads it",
        ),
        (
            "--loss hinge --label-smoothing 0",
            "`label-smoothing` is 0 but the loss `hinge` does not read it\n\
             hint: leave `label-smoothing` out, or choose a loss that reads it",
        ),
        (
            "--loss robust",
            "`label-smoothing` is 0 but must be above 0 for the loss `robust`, which is `sigmoid` without it",
        ),
        (
            "--loss discopop --tau 2",
            "`tau` is 2 but must be above 0 and at most 1",
        ),
    ] {
        assert_eq!(refused(more), message, "{more}");
    }
    for (lr, value) in [("0", "0"), ("-0.5", "-0.5")] {
        let line = format!("--base checkpoint/0101 --pairs pairs/0101 --loss orpo --lr {lr}");
        assert_eq!(
            flags::<Prefer>(&line).check().unwrap_err().to_string(),
            format!("--lr is {value}; it must be above zero")
        );
    }
    for fine in [
        "--loss simpo --beta 3",
        "--loss robust --label-smoothing 0.1",
        "--loss discopop --tau 0.5",
    ] {
        flags::<Prefer>(&format!("{dpo} {fine}")).check().unwrap();
    }
    let alone = "--base checkpoint/0101 --pairs pairs/0101 --lr 1e-3";
    assert_eq!(
        flags::<Prefer>(alone).check().unwrap_err().to_string(),
        "the loss `sigmoid` compares with a reference, and --reference is not given\n\
         hint: make one with `w2s-student reference`, or use `simpo` or `orpo`, which need none"
    );
    let sft = |line: &str| {
        let sft = flags::<Sft>(&format!("--base checkpoint/0101 --lr 1e-3 {line}"));
        sft.check().unwrap_err().to_string()
    };
    assert_eq!(
        sft(""),
        "there is nothing to imitate\nhint: give --pairs, or --responses with their --prompts"
    );
    assert_eq!(
        sft("--responses responses/0101 --prompts prompts/0101 --side chosen"),
        "--side is a side of --pairs, which are not given"
    );
    // A flag of another method is unknown, and a loss of another tool is told its name here.
    let unknown = unparsed::<Prefer>(&format!("{dpo} --held-out 0.1"));
    assert!(
        unknown.contains("unexpected argument '--held-out'"),
        "{unknown}"
    );
    let unknown = unparsed::<Sft>("--base checkpoint/0101 --lr 1 --loss sigmoid");
    assert!(
        unknown.contains("unexpected argument '--loss'"),
        "{unknown}"
    );
    let unknown = unparsed::<Prefer>(&format!("{dpo} --loss dpo_norm"));
    assert!(
        unknown.contains(
            "unknown preference loss `dpo_norm`\nhint: it is called `delta-preference` here"
        ),
        "{unknown}"
    );
    let names = flag_names::<Prefer>();
    for setting in Setting::ALL {
        assert!(names.iter().any(|name| name == setting.name()));
    }
    for other in [
        "labels",
        "gold",
        "alpha",
        "max-weight",
        "side",
        "patience",
        "label-words",
    ] {
        assert!(!names.iter().any(|name| name == other), "{other}");
    }
}

#[test]
fn a_reference_and_a_run_of_every_operation_in_a_store() {
    let bench = Bench::new();
    let base = bench.base(1, &WORDS, 1);
    let pairs = bench.records::<Pair>(2, &pairs(12));
    let known = bench
        .run::<Reference>(&format!("--model {base} --pairs {pairs}"))
        .unwrap();
    assert_eq!(known.manifest.summary["pairs"], 12);
    assert_eq!(known.manifest.summary["dropped"], json!({}));

    let train = format!("--base {base} --pairs {pairs} --lr 1e-3 --batch 4 --max-steps 2");
    let tuned = bench
        .run::<Prefer>(&format!("{train} --reference {}", known.reference))
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
    let chosen = bench.run::<Sft>(&train).unwrap();
    let rejected = bench
        .run::<Sft>(&format!("{train} --side rejected"))
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
        let line = format!("--base {base} --pairs {one} --lr 1e-3 --reference {reference}");
        bench.run::<Prefer>(&line).unwrap_err().to_string()
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
        let line = format!("--base {base} --pairs {one} --lr 1e-3 --reference {known} {used}");
        assert_eq!(
            bench.run::<Prefer>(&line).unwrap_err().to_string(),
            format!(
                "{} {message}\nhint: give both steps the same --max-tokens, --too-long and --separate",
                known.short()
            )
        );
    }
    // The model has 32 positions: to name them is to leave the default.
    let known = reference(base, one);
    let line = format!(
        "--base {base} --pairs {one} --lr 1e-3 --max-steps 1 --reference {known} --max-tokens 32"
    );
    bench.run::<Prefer>(&line).unwrap();
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
        bench.run::<Prefer>(&format!(
            "--base {base} --pairs {pairs} --lr 1e-3 --max-steps 1 --reference {} {flags}",
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
    w2s_methods::reference(folder, pairs, encoding, true, &device, &mut |_, _| true)
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

/// Settings that a loss can be told from the others by, as flags too. `robust` has no smoothing of its own; sorting keeps the
/// mean, so that it shows only where the loss is curved.
fn usual(loss: PreferenceLoss) -> (Preference, String) {
    let given = match loss {
        PreferenceLoss::Robust { .. } => Some((Setting::LabelSmoothing, 0.1)),
        PreferenceLoss::Discopop { .. } => Some((Setting::Tau, 0.5)),
        _ if loss.needs_partners() => Some((Setting::Beta, 5.0)),
        _ => None,
    };
    let mut what = Preference::from(loss);
    let mut flags = String::new();
    if let Some((setting, value)) = given {
        what.set(setting, value).unwrap();
        flags = format!("--{} {value}", setting.name());
    }
    (what, flags)
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
        let (what, flags) = usual(loss);
        let run = |steps: usize| {
            bench
                .run::<Prefer>(&format!(
                    "--base {base} --pairs {pairs} --reference {} --loss {loss} {flags} --lr 1e-2 \
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
        let (mut told, known_rows) = (bundle(policy), bundle(reference));
        if loss.needs_kl() {
            let sums = |rows: &[ReferenceLogProbs]| -> Vec<f32> {
                rows.iter().map(|row| row.mismatched.unwrap().sum).collect()
            };
            let kl = kto_kl(&sums(policy), &sums(reference)).unwrap();
            assert!(kl > 0.01, "{kl}");
            near("kto_kl", kl);
            told.kl = Some(kl);
        }
        let (mut policy, reference) = (told, known_rows);
        if loss.needs_partners() {
            policy.partners = Some(aot_partners(loss, &policy, &reference).unwrap());
        }
        let mean = |what: &Preference| {
            let output = preference(what, &policy, Some(&reference)).unwrap();
            scalar(output.loss)
        };
        let expected = mean(&what);
        near("loss", expected);
        // No other loss would have passed for it.
        for other in PreferenceLoss::ALL {
            if other == loss || other.needs_kl() || other.needs_partners() {
                continue;
            }
            let value = mean(&Preference {
                beta: what.beta,
                ..usual(other).0
            });
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
        tags: BTreeMap::new(),
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
    let train =
        |flags: String| bench.run::<Sft>(&format!("--base {base} --lr 1e-2 --batch 4 {flags}"));
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
    assert_eq!(
        summary(""),
        json!([9, 0, {"empty": 1, "ends_inside": 1, "too_long": 1}])
    );
    assert_eq!(
        summary("--too-long truncate"),
        json!([10, 1, {"empty": 1, "ends_inside": 1}])
    );
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
            "--base {base} --pairs {pairs} --reference {} --loss kto --lr 1e-3 --max-steps 1 {flags}",
            known.reference
        );
        let done = bench.run::<Prefer>(&line).unwrap().manifest.summary;
        let known = known.manifest.summary;
        assert_eq!(known["pairs"], done["rows"]);
        assert_eq!(known["dropped"], done["dropped"]);
        assert_eq!(known["truncated"], done["truncated"]);
        json!([done["rows"], done["truncated"], done["dropped"]])
    };
    assert_eq!(
        counts(""),
        json!([3, 0, {
            "chosen_no_room": 1, "chosen_too_long": 2, "pairs_dropped": 4, "pairs_identical": 1,
            "rejected_ends_inside": 1, "rejected_no_room": 1, "rejected_too_long": 1
        }])
    );
    // Two chosen answers, a rejected one, and the answer of pair 0, which goes to pair 1.
    assert_eq!(
        counts("--too-long truncate"),
        json!([5, 4, {
            "chosen_no_room": 1, "pairs_dropped": 2, "pairs_identical": 1, "rejected_ends_inside": 1,
            "rejected_no_room": 1
        }])
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
            .run::<Sft>(&format!(
                "--base {base} --pairs {pairs} --lr 1e-3 --batch 8 --max-steps 1 {flags}"
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
        let line =
            format!("--base {base} --pairs {pairs} --lr 1e-3 --batch 4 --max-steps 1 {flags}");
        let done = bench.run::<Sft>(&line).unwrap();
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
            .run::<Prefer>(&format!(
                "--base {base} --pairs {pairs} --reference {} --lr 3e-2 --batch 4 --epochs 3 \
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
