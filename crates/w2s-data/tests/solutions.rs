//! `w2s-data responses`, `select` and `contrast` as a stage runs them, and prompts in halves: from files to what a student
//! learns from, with every row accounted for, and messages for bad input.
#![cfg(feature = "cli")]

use std::{fs, path::PathBuf};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::{
    Artifact, Pair, Prompt, Response,
    summary::{PairsSummary, PromptsSummary, ResponsesSummary},
};
use w2s_data::{Contrast, Prompts, ResponsesOperation, Select};
use w2s_stage::{Operation, RunOptions};

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    operation: T,
}

/// A folder with a store in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn file(&self, name: &str, rows: &[Value]) -> String {
        let path = self.0.path().join(name);
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(&path, lines).unwrap();
        path.display().to_string()
    }

    fn run<T: Operation>(&self, flags: &[&str]) -> anyhow::Result<Artifact> {
        let line = Line::<T>::try_parse_from([&["w2s-data"], flags].concat())?;
        line.operation.check()?;
        let options = RunOptions::new(self.0.path().join("store"));
        Ok(w2s_stage::run("data", &line.operation, &options)?.artifact)
    }

    fn failure<T: Operation>(&self, flags: &[&str]) -> String {
        let error = self.run::<T>(flags).unwrap_err();
        let text: Vec<_> = error.chain().map(ToString::to_string).collect();
        text.join("\n")
    }

    fn prompts(&self, file: &str, flags: &[&str]) -> String {
        let artifact = self.run::<Prompts>(&[&["--source", file], flags].concat());
        artifact.unwrap().reference.to_string()
    }

    fn responses(&self, prompts: &str, file: &str, flags: &[&str]) -> String {
        let flags = [&["--prompts", prompts, "--source", file], flags].concat();
        let artifact = self.run::<ResponsesOperation>(&flags).unwrap();
        artifact.reference.to_string()
    }
}

/// Five questions: both sources right, both wrong alike, apart, one without an answer, one without a response.
fn sources(place: &Place) -> (String, String, String) {
    let gold = ["#### 1", "#### 2", "#### 3", "#### 4", "#### 5"];
    let question = |i: usize| format!("What is {i} ?");
    let asked: Vec<_> = (0..5)
        .map(|i| json!({"question": question(i), "answer": gold[i]}))
        .collect();
    let answers = |texts: &[&str]| -> Vec<Value> {
        let row = |(i, text): (usize, &&str)| json!({"question": question(i), "answer": text});
        texts.iter().enumerate().map(row).collect()
    };
    let weak = answers(&["w\n#### 1.0", "w\n#### 9", "w\n#### 3", "w dunno"]);
    let other = answers(&[
        "o\n#### $1",
        "o\n#### 9",
        "o\n#### 7",
        "o\n#### 4",
        "o\n#### 5",
    ]);
    let prompts = place.prompts(&place.file("asked.jsonl", &asked), &[]);
    let weak = place.responses(
        &prompts,
        &place.file("weak.jsonl", &weak),
        &["--model", "w"],
    );
    let other = place.responses(
        &prompts,
        &place.file("other.jsonl", &other),
        &["--model", "o"],
    );
    (prompts, weak, other)
}

fn texts(artifact: &Artifact) -> Vec<(u64, u32, String)> {
    let responses: Vec<Response> = artifact.records().unwrap();
    let row = |r: Response| (r.prompt, r.sample, r.text.replace('\n', " "));
    responses.into_iter().map(row).collect()
}

fn row(prompt: u64, sample: u32, text: &str) -> (u64, u32, String) {
    (prompt, sample, text.into())
}

#[test]
fn what_two_sources_agree_on_is_kept() {
    let place = Place::new();
    let (prompts, weak, other) = sources(&place);
    let flags = [
        "--prompts",
        &prompts,
        "--weak",
        &weak,
        "--other",
        &other,
        "--rule",
        "agree",
    ];
    let select = |more: &[&str]| place.run::<Select>(&[&flags, more].concat()).unwrap();
    let both = select(&["--take", "both"]);
    let hybrid = [
        row(0, 0, "w #### 1.0"),
        row(0, 1, "o #### $1"),
        row(1, 0, "w #### 9"),
        row(1, 1, "o #### 9"),
    ];
    assert_eq!(texts(&both), hybrid);
    let summary: ResponsesSummary = both.summary().unwrap();
    assert_eq!(summary.model, "o, w");
    let selection = summary.selection.unwrap();
    assert_eq!(
        (selection.kept, selection.prompts, selection.oracle),
        (2, 5, false)
    );
    assert_eq!(
        json!(selection.dropped),
        json!({"disagree": 1, "no_answer": 1, "unanswered": 1})
    );
    assert_eq!(selection.without_answer, 1);
    let weak_side = selection.weak.unwrap();
    // Of five prompts the weak source is right on two, and one of the two that are kept.
    assert_eq!(weak_side.accuracy, Some(0.4));
    assert_eq!(weak_side.accuracy_kept, Some(0.5));
    assert_eq!(weak_side.accuracy_dropped, Some(1.0 / 3.0));
    assert_eq!(weak_side.recall, Some(0.5));
    assert_eq!(selection.other.unwrap().accuracy_dropped, Some(2.0 / 3.0));
    assert_eq!(
        both.manifest.summary["line"],
        "2 of 5 prompts kept, 50.00 % right, recall 50.00 %"
    );
    assert_eq!(texts(&select(&[])), [hybrid[0].clone(), hybrid[2].clone()]);
    let one = select(&["--take", "other"]);
    assert_eq!(texts(&one), [row(0, 0, "o #### $1"), row(1, 0, "o #### 9")]);
}

#[test]
fn an_oracle_says_so() {
    let place = Place::new();
    let (prompts, weak, other) = sources(&place);
    let flags = [
        "--prompts",
        &prompts,
        "--weak",
        &weak,
        "--other",
        &other,
        "--rule",
        "gold",
    ];
    let gold = place
        .run::<Select>(&[&flags[..], &["--take", "both"]].concat())
        .unwrap();
    let right = [
        row(0, 0, "w #### 1.0"),
        row(0, 1, "o #### $1"),
        row(2, 0, "w #### 3"),
        row(3, 0, "o #### 4"),
        row(4, 0, "o #### 5"),
    ];
    assert_eq!(texts(&gold), right);
    let selection = gold
        .summary::<ResponsesSummary>()
        .unwrap()
        .selection
        .unwrap();
    assert!(selection.oracle);
    assert_eq!(json!(selection.dropped), json!({"wrong": 1}));
    let line = gold.manifest.summary["line"].as_str().unwrap().to_owned();
    assert!(
        line.starts_with("4 of 5 prompts kept by an oracle"),
        "{line}"
    );
}

/// Four prompts with ten samples of the student each, and a weak answer.
fn votes(place: &Place) -> (String, String, String) {
    let asked: Vec<_> = (0..4)
        .map(|i| json!({"question": format!("q{i}"), "answer": "#### 5"}))
        .collect();
    let weak = ["#### 5", "#### 9", "#### 9", "#### 5"];
    let weak: Vec<_> = (0..4)
        .map(|i| json!({"id": i, "answer": format!("weak {}", weak[i])}))
        .collect();
    // How many of ten samples say 5; the others say 7.
    let fives = [6, 8, 7, 5];
    let samples: Vec<_> = (0..40)
        .map(|n| {
            let (prompt, sample) = (n / 10, n % 10);
            let said = if sample < fives[prompt] { 5 } else { 7 };
            json!({"id": prompt, "n": sample, "answer": format!("s{sample}\n#### {said}")})
        })
        .collect();
    let prompts = place.prompts(&place.file("asked.jsonl", &asked), &[]);
    let id = ["--id-column", "id"];
    let weak = place.responses(&prompts, &place.file("weak.jsonl", &weak), &id);
    let numbered = ["--id-column", "id", "--sample-column", "n"];
    let samples = place.responses(&prompts, &place.file("samples.jsonl", &samples), &numbered);
    (prompts, weak, samples)
}

#[test]
fn a_vote_and_a_weak_answer_make_pairs() {
    let place = Place::new();
    let (prompts, weak, student) = votes(&place);
    let flags = [
        "--prompts",
        &prompts,
        "--weak",
        &weak,
        "--student",
        &student,
    ];
    let contrast = |more: &[&str]| place.run::<Contrast>(&[&flags, more].concat()).unwrap();
    let one = contrast(&[]);
    let pairs: Vec<Pair> = one.records().unwrap();
    let ends = |text: &str| text.rsplit(' ').next().unwrap().to_owned();
    let sides: Vec<_> = pairs
        .iter()
        .map(|pair| {
            (
                pair.prompt,
                ends(&pair.chosen.text),
                ends(&pair.rejected.text),
            )
        })
        .collect();
    let side =
        |prompt, chosen: &str, rejected: &str| (prompt, chosen.to_owned(), rejected.to_owned());
    assert_eq!(sides, [side(0, "5", "7"), side(1, "5", "9")]);
    assert!(pairs[0].chosen.text.starts_with("weak"));
    assert!(pairs[1].rejected.text.starts_with("weak"));
    let summary: PairsSummary = one.summary().unwrap();
    assert_eq!(
        json!(summary.dropped),
        json!({"disagreement": 1, "low_confidence": 1})
    );
    let contrast_summary = summary.contrast.unwrap();
    assert_eq!(
        (contrast_summary.weak_chosen, contrast_summary.weak_rejected),
        (1, 1)
    );
    assert_eq!(contrast_summary.accuracy_chosen, Some(1.0));
    assert_eq!(contrast_summary.accuracy_rejected, Some(0.0));
    assert_eq!(contrast_summary.accuracy_weak, Some(0.5));
    assert_eq!(contrast_summary.accuracy_vote, Some(1.0));
    assert_eq!(
        one.manifest.summary["line"],
        "2 pairs, chosen 100.00 % right, rejected 0.00 % right"
    );
    // Three pairs of a prompt have three different samples; a lower threshold lets the third prompt in.
    let three = contrast(&["--pairs-per-prompt", "3", "--tau-disagree", "0.7"]);
    let pairs: Vec<Pair> = three.records().unwrap();
    let of = |prompt| pairs.iter().filter(|pair| pair.prompt == prompt).count();
    assert_eq!([0, 1, 2, 3].map(of), [3, 3, 3, 0]);
    let mut rejected: Vec<_> = pairs[..3].iter().map(|pair| pair.rejected.sample).collect();
    rejected.sort_unstable();
    rejected.dedup();
    assert_eq!(rejected.len(), 3);
    // Another seed draws other samples.
    let drawn = |seed: &str| -> Vec<u32> {
        let pairs: Vec<Pair> = contrast(&["--seed", seed]).records().unwrap();
        pairs
            .iter()
            .flat_map(|pair| [pair.chosen.sample, pair.rejected.sample])
            .collect()
    };
    assert!((1..9).any(|seed| drawn(&seed.to_string()) != drawn("0")));
}

#[test]
fn confident_votes_are_kept_and_others_counted() {
    let place = Place::new();
    let (prompts, _, student) = votes(&place);
    let flags = [
        "--prompts",
        &prompts,
        "--weak",
        &student,
        "--rule",
        "confident",
    ];
    let select = |more: &[&str]| place.run::<Select>(&[&flags, more].concat());
    let kept = select(&["--threshold", "0.7"]).unwrap();
    assert_eq!(
        texts(&kept),
        [row(1, 0, "s0 #### 5"), row(2, 0, "s0 #### 5")]
    );
    let selection = kept
        .summary::<ResponsesSummary>()
        .unwrap()
        .selection
        .unwrap();
    assert_eq!(
        json!(selection.dropped),
        json!({"low_confidence": 1, "no_majority": 1})
    );
    assert_eq!(selection.threshold, Some(0.7));
    let none = place.failure::<Select>(&[&flags[..], &["--threshold", "0.9"]].concat());
    assert_eq!(
        none.lines().next().unwrap(),
        "none of the 4 prompts is kept: 3 with too small a majority, 1 without a majority"
    );
}

#[test]
fn bad_input_is_told() {
    let place = Place::new();
    let (prompts, weak, student) = votes(&place);
    let select = ["--prompts", &prompts, "--weak", &weak];
    let fails = |more: &[&str]| place.failure::<Select>(&[&select, more].concat());
    assert!(fails(&["--rule", "agree"]).starts_with("--rule agree compares the answers of --weak"));
    assert_eq!(
        fails(&["--rule", "confident", "--threshold", "1.5"]),
        "--threshold 1.5: a share between 0 and 1 is needed"
    );
    assert!(
        fails(&["--rule", "confident"])
            .contains("--weak has one answer a prompt, and --rule confident needs several")
    );
    let contrast = ["--prompts", &prompts, "--weak", &weak, "--student"];
    let fails = |more: &[&str]| place.failure::<Contrast>(&[&contrast, more].concat());
    assert_eq!(
        fails(&[&student, "--tau-disagree", "80"]),
        "--tau-disagree 80: a share between 0 and 1 is needed"
    );
    assert!(
        fails(&[&weak]).contains("--student has one answer a prompt, and a vote needs several")
    );
    // Answers to other prompts, although their numbers are the same.
    let others: Vec<_> = (0..4)
        .map(|i| json!({"question": format!("other {i}")}))
        .collect();
    let others = place.prompts(&place.file("others.jsonl", &others), &[]);
    let error = place.failure::<Select>(&[
        "--prompts",
        &others,
        "--weak",
        &weak,
        "--other",
        &student,
        "--rule",
        "agree",
    ]);
    let short = |name: &str| name[..name.find('/').unwrap() + 9].to_owned();
    let expected = format!(
        "--weak {} answers {}, and not --prompts {}",
        short(&weak),
        short(&prompts),
        short(&others)
    );
    assert!(error.starts_with(&expected), "{error}\n{expected}");
}

#[test]
fn rows_without_a_prompt_or_an_answer_are_counted() {
    let place = Place::new();
    let asked = [
        json!({"question": "a ?", "answer": "#### 1"}),
        json!({"question": "b ?"}),
    ];
    let prompts = place.prompts(&place.file("asked.jsonl", &asked), &[]);
    let answers = [
        json!({"question": "a  ?", "by": {"weak": "#### 1"}, "right": "1"}),
        json!({"question": "a ?", "by": {"weak": "#### 2"}, "right": null}),
        json!({"question": "c ?", "by": {"weak": "#### 2"}, "right": "7"}),
        json!({"question": "b ?", "by": {"weak": null}, "right": "7"}),
    ];
    let file = place.file("answers.jsonl", &answers);
    let flags = ["--prompts", &prompts, "--source", &file];
    let run = |more: &[&str]| place.run::<ResponsesOperation>(&[&flags, more].concat());
    let artifact = run(&["--answer-column", "by.weak", "--gold-column", "right"]).unwrap();
    assert_eq!(texts(&artifact), [row(0, 0, "#### 1"), row(0, 1, "#### 2")]);
    let summary: ResponsesSummary = artifact.summary().unwrap();
    assert_eq!(json!(summary.dropped), json!({"unmatched": 1, "empty": 1}));
    assert_eq!(
        artifact.manifest.summary["line"],
        "2 responses, 2 rows left out"
    );
    let missing = run(&["--answer-column", "by.strong"])
        .unwrap_err()
        .to_string();
    assert!(missing.contains("no column `by.strong`"), "{missing}");
    let contradicting = place.file(
        "wrong.jsonl",
        &[json!({"question": "a ?", "answer": "x", "right": "7"})],
    );
    let flags = [
        "--prompts",
        &prompts,
        "--source",
        &contradicting,
        "--gold-column",
        "right",
    ];
    let error = place.failure::<ResponsesOperation>(&flags);
    assert!(
        error.contains("column `right` says that `7` is right, and the answer of prompt 0 is `1`"),
        "{error}"
    );
    let strange = place.file("strange.jsonl", &[json!({"question": "z", "answer": "x"})]);
    let error = place.failure::<ResponsesOperation>(&["--prompts", &prompts, "--source", &strange]);
    assert!(
        error.starts_with(
            "none of the 1 rows answers a prompt: 1 belong to no prompt, 0 hold no answer"
        ),
        "{error}"
    );
}

#[test]
fn halves_share_no_question() {
    let place = Place::new();
    let rows: Vec<_> = ["a", "b", "c", "a", "d", "b ", "e"]
        .iter()
        .map(|text| json!({"problem": text, "solution": format!("so \\boxed{{{text}}}"), "answer": "x"}))
        .collect();
    let file = place.file("rows.jsonl", &rows);
    let run = |flags: &[&str]| {
        let flags = [&["--source", &file, "--prompt-column", "problem"], flags].concat();
        let artifact = place.run::<Prompts>(&flags).unwrap();
        let prompts: Vec<Prompt> = artifact.records().unwrap();
        let ids: Vec<u64> = prompts.iter().map(|prompt| prompt.id).collect();
        (ids, artifact)
    };
    let (first, artifact) = run(&["--part", "first"]);
    let (second, _) = run(&["--part", "second"]);
    assert_eq!((first, second), (vec![0, 1, 2], vec![4, 6]));
    let summary: PromptsSummary = artifact.summary().unwrap();
    assert_eq!(
        json!(summary.dropped),
        json!({"duplicate": 2, "other_half": 2})
    );
    // Another file's questions, too.
    let others = place.file(
        "others.jsonl",
        &[json!({"question": "c"}), json!({"question": "x"})],
    );
    let others = place.prompts(&others, &[]);
    let (apart, artifact) = run(&["--apart-from", &others]);
    assert_eq!(apart, [0, 1, 4, 6]);
    assert_eq!(
        artifact.summary::<PromptsSummary>().unwrap().dropped["in_other_prompts"],
        1
    );
    let (_, solved) = run(&["--answer-column", "solution"]);
    let prompts: Vec<Prompt> = solved.records().unwrap();
    assert_eq!(prompts[1].answer.as_deref(), Some("so \\boxed{b}"));
}

#[test]
#[ignore = "needs W2S_DATA"]
fn model_solutions_of_grade_school_math_are_selected() {
    let data = std::env::var_os("W2S_DATA").expect("W2S_DATA names a folder with data sets");
    let file = PathBuf::from(data).join("gsm8k/example_model_solutions.jsonl");
    let file = file.display().to_string();
    let place = Place::new();
    let prompts = place.prompts(&file, &["--answer-column", "ground_truth"]);
    let made = |model: &str| {
        let column = format!("{model}.solution");
        place.responses(
            &prompts,
            &file,
            &["--answer-column", &column, "--model", model],
        )
    };
    let ladder = [
        ("6b_finetuning", "175b_finetuning", 257, 198, 286, 458),
        ("6b_verification", "175b_finetuning", 381, 306, 515, 458),
        ("6b_finetuning", "175b_verification", 286, 243, 286, 742),
    ];
    for (weak, other, kept, right, weak_right, other_right) in ladder {
        let (weak, other) = (made(weak), made(other));
        let flags = [
            "--prompts",
            &prompts,
            "--weak",
            &weak,
            "--other",
            &other,
            "--rule",
            "agree",
        ];
        let select = |rules: &str| {
            let flags = [&flags[..], &["--answer-rules", rules]].concat();
            let artifact = place.run::<Select>(&flags).unwrap();
            artifact
                .summary::<ResponsesSummary>()
                .unwrap()
                .selection
                .unwrap()
        };
        let plain = select("gsm8k");
        let (one, two) = (plain.weak.unwrap(), plain.other.unwrap());
        assert_eq!(
            (plain.kept, one.kept_right, two.kept_right),
            (kept, right, right)
        );
        assert_eq!(
            (one.right, two.right, one.prompts),
            (weak_right, other_right, 1319)
        );
        // As numbers, 20.5 and 20.50 agree; both are wrong.
        let exact = select("corrected");
        let more = usize::from(kept == 257);
        assert_eq!(
            (exact.kept, exact.weak.unwrap().kept_right),
            (kept + more, right)
        );
    }
}
