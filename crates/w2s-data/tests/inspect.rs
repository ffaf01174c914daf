//! `w2s-data inspect` as a process: each token, which of them are in the loss, and what is dropped and why.
#![cfg(feature = "cli")]

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::{Answer, ArtifactRef, Message, Pair, Prompt, Provenance, Record, Store};

/// A folder with a store and a model folder of the golden conversations.
fn place(family: &str) -> TempDir {
    let place = tempfile::tempdir().unwrap();
    Store::open(place.path().join("store")).unwrap();
    let golden: Value =
        serde_json::from_str(include_str!("../../../data/golden/chat.json")).unwrap();
    let families = golden["families"].as_array().unwrap();
    let family = families.iter().find(|f| f["name"] == family).unwrap();
    let tokenizer = &golden["tokenizers"][family["tokenizer"].as_str().unwrap()];
    let model = place.path().join("model");
    std::fs::create_dir(&model).unwrap();
    let write = |name: &str, content: &Value| {
        std::fs::write(model.join(name), content.to_string()).unwrap();
    };
    write("tokenizer.json", tokenizer);
    write("tokenizer_config.json", &family["tokenizer_config.json"]);
    place
}

fn records<T: Record>(place: &Path, rows: &[T]) -> String {
    records_with(place, rows, Value::Null)
}

fn records_with<T: Record>(place: &Path, rows: &[T], summary: Value) -> String {
    let reference: ArtifactRef = format!("{}/{}", T::KIND, "5c".repeat(32)).parse().unwrap();
    let store = Store::open(place.join("store")).unwrap();
    let pending = store.begin(&reference).unwrap();
    pending.write_records(rows).unwrap();
    let provenance = Provenance {
        summary,
        ..Provenance::default()
    };
    pending.commit(provenance).unwrap();
    reference.to_string()
}

fn command(place: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_w2s-data"));
    command
        .args(["inspect", "--model", "model", "--store", "store"])
        .args(flags)
        .current_dir(place)
        .env_remove("RUST_LOG")
        .env_remove("NO_COLOR")
        .env_remove("CLICOLOR_FORCE")
        .stdin(Stdio::null());
    command
}

fn inspect(place: &Path, flags: &[&str]) -> Output {
    let mut command = command(place, flags);
    command.env("NO_COLOR", "1").output().unwrap()
}

fn file(place: &Path, rows: &[Value]) {
    let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
    std::fs::write(place.join("rows.jsonl"), lines.join("\n")).unwrap();
}

fn lines(output: Output) -> Vec<String> {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{error}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn user(content: &str) -> Vec<Message> {
    vec![Message {
        role: "user".into(),
        content: content.into(),
    }]
}

fn answer(text: &str, finished: bool) -> Answer {
    Answer {
        text: text.into(),
        source: "test".into(),
        sample: 0,
        score: None,
        tokens: None,
        finished,
    }
}

#[test]
fn a_pair_shows_what_is_in_the_loss() {
    let place = place("llama-3");
    let pair = Pair {
        id: 7,
        prompt: 3,
        group: 3,
        messages: user("1+1?"),
        chosen: answer("2", true),
        rejected: answer("4", false),
        rule: "order".into(),
        confidence: None,
        gold: None,
    };
    let pairs = records(place.path(), &[pair]);
    let shown = lines(inspect(place.path(), &["--pairs", &pairs]));
    let prompt = "<|begin_of_text|>|<|start_header_id|>|u|s|er|<|end_header_id|>|\\n\\n|1|+|1|?|<|eot_id|>|\
                  <|start_header_id|>|a|ssistant|<|end_header_id|>|\\n\\n|";
    assert_eq!(
        shown,
        [
            "pair 7, chosen: 19 tokens, 2 in the loss",
            &format!("{prompt}[2][<|eot_id|>]"),
            "",
            "pair 7, rejected: 18 tokens, 1 in the loss, unfinished",
            &format!("{prompt}[4]"),
            "",
            r#"{"rows":1,"tokens":37,"tokens_in_loss":3,"truncated":0,"dropped":{}}"#,
        ]
    );
}

#[test]
fn a_prompt_shows_what_generation_starts_from() {
    let place = place("gpt-2");
    let prompt = |id, text| Prompt {
        id,
        group: id,
        messages: user(text),
        answer: None,
        choices: Vec::new(),
        gold: None,
        tags: BTreeMap::new(),
    };
    let prompts = records(place.path(), &[prompt(1, "Übe\t1"), prompt(2, "1")]);
    let shown = lines(inspect(
        place.path(),
        &["--prompts", &prompts, "--rows", "1"],
    ));
    assert_eq!(shown[0], "prompt 1: 6 tokens");
    assert_eq!(shown[1], r"Ã|ľ|b|e|\t|1|");
    assert_eq!(
        shown.last().unwrap(),
        r#"{"rows":1,"tokens":6,"tokens_in_loss":0,"truncated":0,"dropped":{}}"#
    );
}

#[test]
fn lines_of_a_file_are_shown_and_dropped_ones_counted() {
    let place = place("gpt-2");
    let rows = [
        json!({"prompt": "1+1=", "chosen": "2", "rejected": "  "}),
        json!({"messages": user("1"), "answer": "<|endoftext|>2", "id": 5}),
        json!({"prompt": "1+1=", "answer": "22222222"}),
        json!({"prompt": "123456", "answer": "7"}),
    ];
    file(place.path(), &rows);
    let flags = ["--file", "rows.jsonl", "--max-tokens", "6", "--separate"];
    let shown = lines(inspect(place.path(), &flags));
    let shown: Vec<&str> = shown.iter().map(String::as_str).collect();
    assert_eq!(
        shown,
        [
            "rows.jsonl:1, chosen: 6 tokens, 2 in the loss",
            "1|+|1|=|[2][<|endoftext|>]",
            "",
            "rows.jsonl:1, rejected: dropped, the prompt or the answer has no token",
            "",
            "rows.jsonl:2, answer: dropped, `<|endoftext|>` inside of it would end it",
            "",
            "rows.jsonl:3, answer: dropped, 13 tokens are more than 6",
            "",
            "rows.jsonl:4, answer: dropped, the 6 tokens of its prompt leave no room in 6",
            "",
            r#"{"rows":4,"tokens":6,"tokens_in_loss":2,"truncated":0,"dropped":{"empty":1,"ends_inside":1,"no_room":1,"too_long":1}}"#,
        ]
    );
}

#[test]
fn a_long_answer_is_cut_on_demand() {
    let place = place("gpt-2");
    file(place.path(), &[json!({"prompt": "1+1=", "answer": "2222"})]);
    let flags = ["--file", "rows.jsonl", "--max-tokens", "6", "--too-long"];
    let shown = |choice| lines(inspect(place.path(), &[&flags[..], &[choice]].concat()));
    assert_eq!(
        shown("truncate"),
        [
            "rows.jsonl:1, answer: 6 tokens, 2 in the loss, 3 cut off its end",
            "1|+|1|=|[2][2]",
            "",
            r#"{"rows":1,"tokens":6,"tokens_in_loss":2,"truncated":1,"dropped":{}}"#,
        ]
    );
    assert_eq!(
        shown("drop")[0],
        "rows.jsonl:1, answer: dropped, 9 tokens are more than 6"
    );
}

#[test]
fn the_longest_row_is_that_of_training() {
    let place = place("gpt-2");
    let rows = [6, 520, 2000, 9000].map(|n| json!({"prompt": "1", "answer": "2".repeat(n)}));
    file(place.path(), &rows);
    let write = |name: &str, content: Value| {
        std::fs::write(place.path().join(name), content.to_string()).unwrap();
    };
    // Which limit the first row that is dropped is beyond.
    let limit = |max_tokens: &[&str]| -> String {
        let flags = [&["--file", "rows.jsonl"], max_tokens].concat();
        let shown = lines(inspect(place.path(), &flags));
        let dropped = shown
            .iter()
            .find_map(|line| line.split_once("are more than "));
        dropped.unwrap().1.to_owned()
    };
    // A folder without a model, then models with few and with many positions.
    assert_eq!(limit(&[]), "512");
    assert_eq!(limit(&["--max-tokens", "600"]), "600");
    write(
        "model/config.json",
        json!({"model_type": "gpt2", "n_positions": 100}),
    );
    assert_eq!(limit(&[]), "100");
    assert_eq!(limit(&["--max-tokens", "600"]), "100");
    write(
        "model/config.json",
        json!({"model_type": "llama", "max_position_embeddings": 100_000}),
    );
    assert_eq!(limit(&[]), "512");
    assert_eq!(limit(&["--max-tokens", "9000"]), "8192");
    // An adapter is as long as its base.
    std::fs::create_dir(place.path().join("base")).unwrap();
    std::fs::remove_file(place.path().join("model/config.json")).unwrap();
    write(
        "base/config.json",
        json!({"model_type": "gpt2", "n_positions": 50}),
    );
    write(
        "model/adapter_config.json",
        json!({"base_model_name_or_path": "../base"}),
    );
    assert_eq!(limit(&[]), "50");

    let none = inspect(place.path(), &["--file", "rows.jsonl", "--max-tokens", "0"]);
    let error = String::from_utf8(none.stderr).unwrap();
    assert!(
        error.contains("--max-tokens is 0; it must be above zero"),
        "{error}"
    );
}

#[test]
fn what_is_in_the_loss_has_its_colour() {
    let place = place("gpt-2");
    file(place.path(), &[json!({"prompt": "1+", "answer": "2"})]);
    let mut command = command(place.path(), &["--file", "rows.jsonl"]);
    // A pipe is no place for colours, unless they are asked for.
    let plain = lines(command.output().unwrap());
    assert_eq!(plain[1], "1|+|[2][<|endoftext|>]");
    assert!(plain.iter().all(|line| !line.contains('\x1b')));
    let coloured = lines(command.env("CLICOLOR_FORCE", "1").output().unwrap());
    assert_eq!(
        coloured[1],
        "\x1b[2m1\x1b[0m|\x1b[2m+\x1b[0m|\x1b[32m[2]\x1b[0m\x1b[32m\x1b[1m[<|endoftext|>]\x1b[0m"
    );
    let refused = lines(command.env("NO_COLOR", "1").output().unwrap());
    assert_eq!(refused, plain);
}

#[test]
fn bad_input_is_named() {
    let place = place("llama-2");
    let twice = [user("1"), user("2")].concat();
    let rows = [
        json!({"chosen": "2"}),
        json!({"messages": twice, "answer": "3"}),
    ];
    let text: Vec<String> = rows.iter().map(Value::to_string).collect();
    let complaint = |text: &str| {
        std::fs::write(place.path().join("rows.jsonl"), text).unwrap();
        let output = inspect(place.path(), &["--file", "rows.jsonl"]);
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(complaint(&text[0]).contains("rows.jsonl:1: neither `messages` nor `prompt`"));
    let refused = complaint(&text[1]);
    assert!(refused.contains("cannot show rows.jsonl:1"), "{refused}");
    assert!(
        refused.contains("fails at line 1: Conversation roles must alternate"),
        "{refused}"
    );
    std::fs::write(place.path().join("rows.jsonl"), &text[1]).unwrap();
    let plain = lines(inspect(
        place.path(),
        &["--file", "rows.jsonl", "--template", "plain"],
    ));
    assert_eq!(plain[1], "<s>| |1|2|[3][</s>]");
    let both = inspect(
        place.path(),
        &["--file", "rows.jsonl", "--pairs", "pairs/5c5c"],
    );
    assert_eq!(both.status.code(), Some(2));
}

#[test]
fn texts_of_sensitive_sets_are_shown_when_asked_for() {
    let place = place("llama-3");
    let pair = Pair {
        id: 7,
        prompt: 3,
        group: 3,
        messages: user("1+1?"),
        chosen: answer("2", true),
        rejected: answer("4", false),
        rule: "order".into(),
        confidence: None,
        gold: None,
    };
    let pairs = records_with(place.path(), &[pair], json!({"sensitive": true}));
    let hidden = lines(inspect(place.path(), &["--pairs", &pairs]));
    assert_eq!(hidden[0], "pair 7, chosen: 19 tokens, 2 in the loss");
    assert!(
        hidden[1].starts_with('[') && hidden[1].contains(" characters, blake3 "),
        "{hidden:?}"
    );
    assert!(!hidden[..6].iter().any(|line| line.contains("1|+|1")));
    assert_ne!(hidden[1], hidden[4]);
    let shown = lines(inspect(place.path(), &["--pairs", &pairs, "--show-texts"]));
    assert!(shown[1].contains("|1|+|1|?|"), "{shown:?}");
}
