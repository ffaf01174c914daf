//! What is written opens in Python's transformers and PEFT and computes the same. Opt-in: `W2S_PYTHON` names a Python
//! that has torch, transformers and peft.

use burn::tensor::Tensor;
use std::path::{Path, PathBuf};
use std::process::Command;
use w2s_lm::{
    Batch, Classifier, ClassifierSettings, DecoderConfig, LanguageModel, LoraSettings, ModelFolder,
    TooLong, device, save_adapter, save_classifier_adapter, save_language_model,
};

const IDS: [u32; 7] = [3, 1, 4, 1, 5, 9, 2];

/// Prints the logits at the last token of a model folder, with the adapter of another if there is one.
const SCRIPT: &str = r#"
import json, sys, torch
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[2], dtype=torch.float32)
if len(sys.argv) > 3:
    from peft import PeftModel
    model = PeftModel.from_pretrained(model, sys.argv[3])
with torch.no_grad():
    logits = model.eval()(torch.tensor([json.loads(sys.argv[1])])).logits[0, -1]
print(json.dumps(logits.tolist()))
"#;

fn agree(model: &LanguageModel, folders: &[&Path]) {
    let logits = model.logits(&Batch::pack([&IDS[..]]), &[IDS.len() - 1]);
    same(logits, SCRIPT, folders);
}

fn same(logits: Tensor<2>, script: &str, folders: &[&Path]) {
    let python = std::env::var_os("W2S_PYTHON").expect("W2S_PYTHON names a Python");
    let output = Command::new(python)
        .args(["-c", script, &format!("{IDS:?}")])
        .args(folders)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let theirs: Vec<f32> = serde_json::from_slice(&output.stdout).unwrap();
    let ours: Vec<f32> = logits.into_data().try_to_vec().unwrap();
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(theirs) {
        assert!((ours - theirs).abs() < 1e-4, "{ours} and {theirs}");
    }
}

/// Prints the logits of a classifier that is an adapter on a base: arguments as above.
const CLASSIFIER: &str = r#"
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForSequenceClassification
model = AutoModelForSequenceClassification.from_pretrained(sys.argv[2], num_labels=3, dtype=torch.float32)
model.config.pad_token_id = 0
model = PeftModel.from_pretrained(model, sys.argv[3])
with torch.no_grad():
    logits = model.eval()(torch.tensor([json.loads(sys.argv[1])])).logits[0]
print(json.dumps(logits.tolist()))
"#;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/golden/qwen2-tiny")
}

fn golden_model() -> LanguageModel {
    let folder = ModelFolder::open(&golden()).unwrap();
    folder.language_model(&device("flex").unwrap()).unwrap()
}

#[test]
#[ignore = "needs W2S_PYTHON"]
fn qwen2_opens_in_transformers() {
    let tied = golden_model();
    let untied = DecoderConfig {
        tied: false,
        ..tied.model.config().clone()
    };
    let untied = LanguageModel::init(&untied, 3, &device("flex").unwrap());
    for model in [tied, untied] {
        let folder = tempfile::tempdir().unwrap();
        save_language_model(&model, folder.path()).unwrap();
        agree(&model, &[folder.path()]);
    }
}

#[test]
#[ignore = "needs W2S_PYTHON"]
fn an_adapter_opens_in_peft() {
    let (golden, base) = (golden(), golden_model());
    let adapter = tempfile::tempdir().unwrap();
    let adapted = base.clone().with_adapter(&golden.join("adapter")).unwrap();
    save_adapter(&adapted, &golden, adapter.path()).unwrap();
    agree(&adapted, &[&golden, adapter.path()]);

    let settings = LoraSettings {
        rank: 4,
        alpha: 8.0,
        targets: vec!["all".into()],
    };
    let fresh = base.with_lora(&settings, 0).unwrap();
    let folder = tempfile::tempdir().unwrap();
    save_adapter(&fresh, &golden, folder.path()).unwrap();
    agree(&fresh, &[&golden, folder.path()]);
}

#[test]
#[ignore = "needs W2S_PYTHON"]
fn a_classifiers_adapter_opens_in_peft() {
    let (golden, base) = (golden(), golden_model());
    // An adapter that was trained elsewhere, below a head of our own.
    let adapted = base.with_adapter(&golden.join("adapter")).unwrap();
    let model = Classifier::word_head(adapted, &[7, 8, 9], &device("flex").unwrap());
    let settings = ClassifierSettings {
        template: "{text}".into(),
        classes: ["a", "b", "c"].map(String::from).into(),
        max_tokens: 32,
        too_long: TooLong::Drop,
    };
    let folder = tempfile::tempdir().unwrap();
    save_classifier_adapter(&model, &settings, &golden, folder.path()).unwrap();
    let logits = model.logits(&Batch::pack([&IDS[..]]));
    same(logits, CLASSIFIER, &[&golden, folder.path()]);
}
