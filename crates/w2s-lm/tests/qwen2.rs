//! Qwen2 and a LoRA adapter on it compute what transformers and PEFT compute; folders and origin of the expected values
//! are in `data/golden/qwen2-tiny`.

use safetensors::SafeTensors;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use w2s_lm::{
    Batch, Family, LanguageModel, ModelFolder, device, save_adapter, save_language_model,
};

#[derive(Deserialize)]
struct Expected {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    ids: Vec<u32>,
    last_logits: Vec<f32>,
    log_probs: Vec<f32>,
    last_logits_adapted: Vec<f32>,
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/golden/qwen2-tiny")
}

fn cases() -> Vec<Case> {
    let text = std::fs::read_to_string(golden().join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    expected.cases
}

fn load(folder: &Path) -> LanguageModel {
    let folder = ModelFolder::open(folder).unwrap();
    folder.language_model(&device("flex").unwrap()).unwrap()
}

/// Logits at the last token of every case, all cases in one batch.
fn last_logits(model: &LanguageModel, cases: &[Case]) -> Vec<f32> {
    let batch = Batch::pack(cases.iter().map(|c| &c.ids[..]));
    let logits = model.logits(&batch, &batch.last_rows()).into_data();
    logits.try_to_vec().unwrap()
}

fn close(got: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() < tolerance, "{g} instead of {e}");
    }
}

/// Shapes and bytes by name.
fn tensors(file: &Path) -> BTreeMap<String, (Vec<usize>, Vec<u8>)> {
    let bytes = std::fs::read(file).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors().into_iter();
    tensors
        .map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec())))
        .collect()
}

#[test]
fn a_folder_of_transformers_gives_its_logits_and_log_probabilities() {
    let model = load(&golden());
    assert_eq!(model.model.config().family, Family::Qwen2);
    let cases = cases();
    let expected: Vec<f32> = cases.iter().flat_map(|c| c.last_logits.clone()).collect();
    close(&last_logits(&model, &cases), &expected, 1e-4);
    let batch = Batch::pack(cases.iter().map(|c| &c.ids[..]));
    for (got, case) in model.log_probs(&batch).iter().zip(&cases) {
        close(got, &case.log_probs, 1e-4);
    }
}

#[test]
fn what_is_written_has_the_tensors_that_transformers_wrote() {
    let folder = tempfile::tempdir().unwrap();
    save_language_model(&load(&golden()), folder.path()).unwrap();
    let name = "model.safetensors";
    assert_eq!(
        tensors(&folder.path().join(name)),
        tensors(&golden().join(name))
    );
    let model = load(folder.path());
    assert_eq!(model.model.config(), load(&golden()).model.config());
}

#[test]
fn an_adapter_of_peft_gives_its_logits() {
    let cases = cases();
    let expected: Vec<f32> = cases
        .iter()
        .flat_map(|c| c.last_logits_adapted.clone())
        .collect();
    let adapter = golden().join("adapter");
    let adapted = load(&golden()).with_adapter(&adapter).unwrap();
    close(&last_logits(&adapted, &cases), &expected, 1e-4);
    // The adapter's folder names its base, so that it opens like any model folder.
    close(&last_logits(&load(&adapter), &cases), &expected, 1e-4);
}

#[test]
fn an_adapter_is_written_with_the_tensors_that_peft_wrote() {
    let adapted = load(&golden())
        .with_adapter(&golden().join("adapter"))
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    save_adapter(&adapted, &golden(), folder.path()).unwrap();
    let name = "adapter_model.safetensors";
    assert_eq!(
        tensors(&folder.path().join(name)),
        tensors(&golden().join("adapter").join(name))
    );
    let again = load(&golden()).with_adapter(folder.path()).unwrap();
    assert_eq!(again.model.lora(), adapted.model.lora());
    let cases = cases();
    assert_eq!(last_logits(&again, &cases), last_logits(&adapted, &cases));
}
