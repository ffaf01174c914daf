//! Taking over a published model folder.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use w2s_lm::{LmError, ModelFolder, Tokenizer, save_language_model};

/// Copies a model folder into `dir` after reading all of it: configuration, every tensor, tokenizer. An adapter is merged
/// first; then layers are dropped, counted from 0. What is changed so is written in f32.
///
/// # Errors
///
/// [`LmError`] if the folder holds something that cannot be read or is not implemented, or if a layer to drop is not there;
/// another error if layers are to be dropped from a classifier.
pub fn import(folder: &Path, drop_layers: &[usize], dir: &Path) -> Result<Value> {
    let opened = ModelFolder::open(folder)?;
    let tokenizer = Tokenizer::load(folder)?;
    tokenizer.fits(opened.config().vocabulary)?;
    ensure!(
        drop_layers.is_empty() || !opened.is_classifier(),
        "layers are dropped from language models, and `{}` holds a classifier",
        folder.display()
    );
    let mut model = opened.language_model(&w2s_lm::device("flex")?)?;
    model.model = model.model.without_layers(drop_layers)?;
    let rewritten = opened.is_adapter() || !drop_layers.is_empty();
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .map_err(|source| LmError::File {
            action: "read",
            path: folder.into(),
            source,
        })?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| wanted(name) && !(rewritten && of_weights(name)))
        .collect();
    names.sort_unstable();
    for name in &names {
        std::fs::copy(folder.join(name), dir.join(name))
            .with_context(|| format!("cannot copy `{}`", folder.join(name).display()))?;
    }
    if rewritten {
        save_language_model(&model, dir)?;
    }
    Ok(json!({
        "parameters": burn::module::Module::num_params(&model),
        "vocabulary": opened.config().vocabulary,
        "layers": model.model.config().layers,
        "files": names,
    }))
}

/// Configuration, weights and tokenizer; nothing that another tool left beside them.
fn wanted(name: &str) -> bool {
    const NAMES: [&str; 8] = [
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
    ];
    NAMES.contains(&name) || of_weights(name)
}

/// The weights and what says how to read them.
fn of_weights(name: &str) -> bool {
    ["config.json", "model.safetensors.index.json"].contains(&name)
        || (name.starts_with("model") && name.ends_with(".safetensors"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn golden() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/golden/qwen2-tiny")
    }

    fn copy(from: &Path, names: &[&str], to: &Path) {
        for name in names {
            std::fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }

    fn write_tokenizer(folder: &Path) {
        let tokenizer = r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;
        std::fs::write(folder.join("tokenizer.json"), tokenizer).unwrap();
    }

    /// Log-probabilities of some tokens, and whether the folder is an adapter's.
    fn log_probs(folder: &Path) -> (Vec<Vec<f32>>, bool) {
        let opened = ModelFolder::open(folder).unwrap();
        let model = opened.language_model(&w2s_lm::device("flex").unwrap());
        let batch = w2s_lm::Batch::pack([&[1, 2, 3][..]]);
        (model.unwrap().log_probs(&batch), opened.is_adapter())
    }

    #[test]
    fn an_adapters_folder_becomes_a_model_folder() {
        let folder = tempfile::tempdir().unwrap();
        let adapter = folder.path().join("adapter");
        std::fs::create_dir(&adapter).unwrap();
        copy(
            &golden(),
            &["config.json", "model.safetensors"],
            folder.path(),
        );
        copy(
            &golden().join("adapter"),
            &["adapter_config.json", "adapter_model.safetensors"],
            &adapter,
        );
        write_tokenizer(&adapter);

        let out = tempfile::tempdir().unwrap();
        import(&adapter, &[], out.path()).unwrap();
        assert!(out.path().join("tokenizer.json").exists());
        let (imported, of_adapter) = (log_probs(out.path()), log_probs(&adapter));
        assert!(!imported.1 && of_adapter.1);
        assert_eq!(imported.0, of_adapter.0);
        let shorter = tempfile::tempdir().unwrap();
        assert_eq!(import(&adapter, &[1], shorter.path()).unwrap()["layers"], 1);
    }

    #[test]
    fn dropped_layers_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        copy(
            &golden(),
            &["config.json", "model.safetensors"],
            folder.path(),
        );
        write_tokenizer(folder.path());
        std::fs::write(folder.path().join("model-old.safetensors"), "stays behind").unwrap();
        let whole = log_probs(folder.path()).0;
        let import = |dropped: &[usize]| {
            let out = tempfile::tempdir().unwrap();
            let summary = import(folder.path(), dropped, out.path())?;
            if !dropped.is_empty() {
                let mut files: Vec<_> = std::fs::read_dir(out.path())
                    .unwrap()
                    .map(|entry| entry.unwrap().file_name())
                    .collect();
                files.sort();
                assert_eq!(
                    files,
                    ["config.json", "model.safetensors", "tokenizer.json"]
                );
            }
            anyhow::Ok((summary["layers"].clone(), log_probs(out.path()).0))
        };
        let (first, last) = (import(&[0]).unwrap(), import(&[1]).unwrap());
        assert_eq!([&first.0, &last.0], [1, 1]);
        assert!(first.1 != last.1 && first.1 != whole && last.1 != whole);
        assert_eq!(import(&[]).unwrap(), (json!(2), whole));

        let refused = |dropped| import(dropped).unwrap_err().to_string();
        assert_eq!(
            refused(&[0, 2]),
            "there is no layer 2 to drop: the model has 2, counted from 0"
        );
        assert_eq!(refused(&[1, 0]), "no layer is left of 2: keep at least one");

        // The first layer alone, by its configuration.
        let config = folder.path().join("config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
        std::fs::write(&config, text).unwrap();
        assert_eq!(last.1, log_probs(folder.path()).0);

        let classifier = std::fs::read_to_string(&config)
            .unwrap()
            .replace("Qwen2ForCausalLM", "Qwen2ForSequenceClassification");
        std::fs::write(&config, classifier).unwrap();
        let refused = import(&[0]).unwrap_err().to_string();
        assert!(refused.ends_with("holds a classifier"), "{refused}");
    }

    #[test]
    fn pickle_and_clutter_stay_behind() {
        assert!(wanted("model-00001-of-00002.safetensors"));
        assert!(wanted("tokenizer.json"));
        assert!(!wanted("pytorch_model.bin"));
        assert!(!wanted("optimizer.safetensors"));
    }
}
