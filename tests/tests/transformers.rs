//! A checkpoint that the pipeline wrote opens in Python's transformers and gives the same probabilities. Opt-in:
//! `W2S_PYTHON` names a Python that has torch and transformers.

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use w2s_artifact::{Artifact, Example, Kind, Pair, Prediction, Split, Store};

const SCRIPT: &str = r#"
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, rows = sys.argv[1], json.load(open(sys.argv[2]))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
out = []
for text in rows:
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        out.append(model(input_ids=ids).logits.softmax(-1)[0].tolist())
print(json.dumps(out))
"#;

#[test]
#[ignore = "needs W2S_PYTHON"]
fn transformers_gives_the_same_probabilities() {
    let python = std::env::var_os("W2S_PYTHON").expect("W2S_PYTHON names a Python with torch");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(env!("CARGO"))
        .current_dir(root)
        .args([
            "xtask",
            "pipeline",
            "tests/recipes/tiny.toml",
            "--set",
            "matrix.seed=[0]",
            "--store",
        ])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(done.success());
    let store = Store::open(folder.path()).unwrap();
    let mut compared = 0;
    for reference in store.list().unwrap() {
        if reference.kind != Kind::Predictions {
            continue;
        }
        let predictions = store.require(&reference).unwrap();
        // A probe reads features, and transformers has none.
        if predictions.manifest.input("features").is_some() {
            continue;
        }
        let input = |name: &str| {
            let input = predictions
                .manifest
                .inputs
                .iter()
                .find_map(|input| match input {
                    w2s_artifact::Input::Artifact { name: n, artifact } if n == name => {
                        Some(artifact)
                    }
                    _ => None,
                });
            store.require(input.unwrap()).unwrap()
        };
        let texts: Vec<Example> = input("data").examples(Split::Test).unwrap();
        let rows = folder.path().join("rows.json");
        let list: Vec<&str> = texts.iter().map(|e| e.text.as_str()).collect();
        std::fs::write(&rows, serde_json::to_string(&list).unwrap()).unwrap();
        let output = Command::new(&python)
            .args(["-c", SCRIPT])
            .arg(input("model").path)
            .arg(&rows)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
        for (row, prediction) in predictions
            .records::<Prediction>()
            .unwrap()
            .iter()
            .enumerate()
        {
            for (class, ours) in prediction.probabilities.iter().enumerate() {
                let theirs = theirs[row][class].as_f64().unwrap();
                assert!(
                    (f64::from(*ours) - theirs).abs() < 1e-4,
                    "row {row}: {ours} and {theirs}"
                );
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 300, "three arms of a hundred rows");
}

const REWARDS: &str = r#"
import json, sys, torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer
folder, rows = sys.argv[1], json.load(open(sys.argv[2]))
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
assert model.config.num_labels == 1
out = []
for text in rows:
    ids = tokenizer(text)["input_ids"] + [tokenizer.eos_token_id]
    with torch.no_grad():
        out.append(model(input_ids=torch.tensor([ids])).logits[0, 0].item())
print(json.dumps(out))
"#;

/// What an artifact was made from, by the name of the input.
fn input(store: &Store, artifact: &Artifact, name: &str) -> Artifact {
    let reference = artifact.manifest.input(name).expect("the input");
    store.require(&reference).unwrap()
}

#[test]
#[ignore = "needs W2S_PYTHON"]
fn transformers_gives_the_same_rewards() {
    let python = std::env::var_os("W2S_PYTHON").expect("W2S_PYTHON names a Python with torch");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let recipe = "tests/recipes/tiny-deception.toml";
    let done = Command::new(env!("CARGO"))
        .current_dir(root)
        .args(["xtask", "pipeline", recipe, "--var", "seeds=[0]", "--store"])
        .arg(folder.path())
        .status()
        .unwrap();
    assert!(done.success());
    let store = Store::open(folder.path()).unwrap();
    let predictions = store.list().unwrap().into_iter();
    let predictions = predictions.filter(|reference| reference.kind == Kind::Predictions);
    let mut compared = 0;
    for predictions in predictions.map(|reference| store.require(&reference).unwrap()) {
        if predictions.manifest.parameters["rule"] != "reward" {
            continue;
        }
        let pairs: Vec<Pair> = input(&store, &predictions, "pairs").records().unwrap();
        // The world's prompts are one turn, and its answers came to their end.
        let sides = pairs.iter().flat_map(|pair| {
            [&pair.chosen, &pair.rejected]
                .map(|answer| pair.messages[0].content.clone() + &answer.text)
        });
        let rows = folder.path().join("rows.json");
        let texts: Vec<String> = sides.collect();
        std::fs::write(&rows, serde_json::to_string(&texts).unwrap()).unwrap();
        let output = Command::new(&python)
            .args(["-c", REWARDS])
            .arg(input(&store, &predictions, "model").path)
            .arg(&rows)
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{told}");
        let theirs: Vec<f64> = serde_json::from_slice(&output.stdout).unwrap();
        let ours = std::fs::read_to_string(predictions.file("margins.jsonl")).unwrap();
        for (line, theirs) in ours.lines().zip(theirs.chunks(2)) {
            let line: Value = serde_json::from_str(line).unwrap();
            let (ours, theirs) = (line["margin"].as_f64().unwrap(), theirs[0] - theirs[1]);
            assert!((ours - theirs).abs() < 1e-4, "{line}: {theirs}");
            compared += 1;
        }
    }
    assert_eq!(compared, 5 * 60, "five arms of sixty pairs");
}
