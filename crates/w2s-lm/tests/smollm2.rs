//! A real pretrained model computes what transformers computes. Opt-in: `W2S_MODELS` names the folder that holds
//! `smollm2-135m-instruct`; the expected values are in `data/golden/smollm2.json` with their origin.

use serde_json::Value;
use std::path::PathBuf;
use w2s_lm::{Batch, LanguageModel, ModelFolder, Tokenizer, device};

fn folder() -> PathBuf {
    let models = std::env::var_os("W2S_MODELS").expect("W2S_MODELS names a folder of models");
    let folder = PathBuf::from(models).join("smollm2-135m-instruct");
    assert!(
        folder.exists(),
        "W2S_MODELS is set, but `{}` is not there",
        folder.display()
    );
    folder
}

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../data/golden/smollm2.json")).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_u64().unwrap() as u32)
        .collect()
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn close(what: &str, got: impl IntoIterator<Item = f32>, expected: &[f64]) {
    let got: Vec<f32> = got.into_iter().collect();
    assert_eq!(got.len(), expected.len(), "{what}");
    for (g, e) in got.iter().zip(expected) {
        assert!(
            (f64::from(*g) - e).abs() < 1e-3,
            "{what}: {g} instead of {e}"
        );
    }
}

#[test]
#[ignore = "needs W2S_MODELS"]
fn token_ids() {
    let folder = folder();
    let tokenizer = Tokenizer::load(&folder).unwrap();
    for case in golden()["tokenizer"].as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        assert_eq!(
            tokenizer.encode(text).unwrap(),
            ids(&case["ids"]),
            "{text:?}"
        );
    }
}

#[test]
#[ignore = "needs W2S_MODELS"]
fn logits_hidden_states_and_log_probabilities() {
    let folder = folder();
    let device = device("flex").unwrap();
    let model: LanguageModel = ModelFolder::open(&folder)
        .unwrap()
        .language_model(&device)
        .unwrap();
    let golden = golden();
    let cases = golden["prompts"].as_array().unwrap();
    // All prompts in one batch: neighbours must not be seen.
    let whole: Vec<Vec<u32>> = cases
        .iter()
        .map(|c| [ids(&c["prompt_ids"]), ids(&c["continuation_ids"])].concat())
        .collect();
    let batch = Batch::pack(whole.iter().map(Vec::as_slice));
    let log_probs = model.log_probs(&batch);
    for (i, case) in cases.iter().enumerate() {
        let prompt = ids(&case["prompt_ids"]);
        let last = batch.boundaries[i] + prompt.len() - 1;
        let logits: Vec<f32> = model
            .logits(&batch, &[last])
            .into_data()
            .try_to_vec()
            .unwrap();
        let expected = &case["last_position"];
        let top = ids(&expected["top5_ids"]);
        close(
            "logits",
            top.iter().map(|&id| logits[id as usize]),
            &floats(&expected["top5_logits"]),
        );
        let best = logits.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(logits[top[0] as usize], best, "the most probable token");
        let hidden: Vec<f32> = model
            .model
            .hidden(&batch, &[last])
            .into_data()
            .try_to_vec()
            .unwrap();
        close(
            "hidden",
            hidden[..8].iter().copied(),
            &floats(&expected["hidden_first8"]),
        );
        close(
            "log-probabilities",
            log_probs[i][prompt.len() - 1..].iter().copied(),
            &floats(&case["continuation_logprobs"]),
        );
    }
}
