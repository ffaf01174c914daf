//! Multiple choice gives what lm-evaluation-harness gives. Opt-in: `W2S_PYTHON` names a Python that has lm_eval, and
//! `W2S_MODELS` the folder that holds `smollm2-135m-instruct`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use w2s_artifact::{Message, Prompt};
use w2s_eval::choices::{Context, choices};
use w2s_lm::{ModelFolder, Tokenizer, device};
use w2s_text::ChatTemplate;

const TASK: &str = r#"
task: w2s_choices
dataset_path: json
dataset_kwargs:
  data_files:
    test: ROWS
output_type: multiple_choice
test_split: test
doc_to_text: question
doc_to_choice: choices
doc_to_target: gold
metric_list:
  - metric: acc
  - metric: acc_norm
"#;

/// Prints the log-likelihoods, acc and acc_norm of each question.
const SCRIPT: &str = r#"
import json, sys
import lm_eval
from lm_eval.tasks import TaskManager
model, tasks, chat = sys.argv[1], sys.argv[2], sys.argv[3] == "chat"
done = lm_eval.simple_evaluate(
    model="hf", model_args=f"pretrained={model},dtype=float32", tasks=["w2s_choices"], batch_size=1, device="cpu",
    task_manager=TaskManager(include_path=tasks, include_defaults=False), apply_chat_template=chat, bootstrap_iters=0)
rows = sorted(done["samples"]["w2s_choices"], key=lambda row: row["doc_id"])
rows = [([r[0] for r in row["filtered_resps"]], row["acc"], row["acc_norm"]) for row in rows]
print(json.dumps(rows))
"#;

/// Questions with what is easily got wrong: spaces at the end, choices that the question's last word swallows, line breaks,
/// other scripts, and choices of very different length.
fn questions() -> Vec<(String, Vec<&'static str>, u32)> {
    let mut questions = vec![
        (
            "The capital of France is".to_owned(),
            vec!["Paris", "Rome", "a small town in the south of Spain"],
            0,
        ),
        (
            "The capital of France is ".into(),
            vec!["Paris", "Rome", "Berlin"],
            0,
        ),
        (
            "Water freezes at 0\n".into(),
            vec!["degrees", "°C", "o'clock"],
            1,
        ),
        (
            "Ein Tag hat".into(),
            vec!["24 Stunden", "24 Füße", "größere Mühe"],
            0,
        ),
        ("日本の首都は".into(), vec!["東京", "大阪", "パリ"], 0),
        (
            "def add(a, b):\n    ".into(),
            vec!["return a + b", "pass", " return"],
            0,
        ),
    ];
    let words = [
        "wonderful",
        "dull",
        "moving",
        "lifeless",
        "charming",
        "a mess",
    ];
    for (number, word) in (0u32..).zip(words) {
        questions.push((
            format!("Review: this film is {word}.\nSentiment:"),
            vec!["negative", "very positive indeed"],
            1 - number % 2,
        ));
    }
    questions
}

#[test]
fn lm_evaluation_harness_gives_the_same() {
    let (Some(python), Some(models)) = (
        std::env::var_os("W2S_PYTHON"),
        std::env::var_os("W2S_MODELS"),
    ) else {
        return;
    };
    let model = PathBuf::from(models).join("smollm2-135m-instruct");
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    let lines: Vec<String> = questions()
        .iter()
        .map(|(question, choices, gold)| {
            json!({"question": question, "choices": choices, "gold": gold}).to_string()
        })
        .collect();
    std::fs::write(&rows, lines.join("\n")).unwrap();
    std::fs::write(
        folder.path().join("task.yaml"),
        TASK.replace("ROWS", &rows.display().to_string()),
    )
    .unwrap();

    for (template, delimiter) in [("plain", " "), ("chat", "")] {
        let theirs = harness(&python, &model, folder.path(), template);
        let context = Context {
            template: match template {
                "plain" => ChatTemplate::plain(),
                _ => ChatTemplate::load(&model).unwrap(),
            },
            delimiter: delimiter.to_owned(),
            max_tokens: 512,
        };
        let prompts: Vec<Prompt> = (0..)
            .zip(questions())
            .map(|(id, (question, choices, gold))| Prompt {
                id,
                group: id,
                messages: vec![Message {
                    role: "user".to_owned(),
                    content: question,
                }],
                answer: None,
                choices: choices.into_iter().map(str::to_owned).collect(),
                gold: Some(gold),
                tags: BTreeMap::new(),
            })
            .collect();
        let opened = ModelFolder::open(&model).unwrap();
        let scored = choices(
            &opened.language_model(&device("flex").unwrap()).unwrap(),
            &Tokenizer::load(&model).unwrap(),
            &context,
            &prompts,
            &mut |_, _| true,
        )
        .unwrap()
        .unwrap();
        assert!(scored.dropped.is_empty());
        assert_eq!(scored.questions.len(), theirs.len());
        for (question, theirs) in scored.questions.iter().zip(&theirs) {
            let id = question.id;
            let of_choices = theirs[0].as_array().unwrap();
            assert_eq!(question.log_likelihoods.len(), of_choices.len());
            for (ours, theirs) in question.log_likelihoods.iter().zip(of_choices) {
                let theirs = theirs.as_f64().unwrap();
                assert!(
                    (ours - theirs).abs() < 1e-3,
                    "{template}, question {id}: {ours} and {theirs}"
                );
            }
            let ours = question.score().values;
            assert_eq!(
                (ours["acc"], ours["acc_norm"]),
                (theirs[1].as_f64().unwrap(), theirs[2].as_f64().unwrap()),
                "{template}, question {id}"
            );
        }
    }
}

fn harness(python: &std::ffi::OsStr, model: &Path, tasks: &Path, template: &str) -> Vec<Value> {
    let output = Command::new(python)
        .args(["-c", SCRIPT])
        .args([model, tasks])
        .arg(template)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}
