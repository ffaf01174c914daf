//! A checkpoint that the pipeline wrote opens in Python's transformers and gives the same probabilities. Opt-in:
//! `W2S_PYTHON` names a Python that has torch and transformers.

use serde_json::Value;
use std::path::Path;
use std::process::Command;
use w2s_artifact::{Example, Kind, Prediction, Split, Store};

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
