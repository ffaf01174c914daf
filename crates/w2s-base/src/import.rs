//! Taking over a published model folder.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::Path;
use w2s_lm::{LmError, ModelFolder, Tokenizer, save_language_model};

/// Copies a model folder into `dir` after reading all of it: configuration, every tensor, tokenizer. Of an adapter's
/// folder the merged model is written.
///
/// # Errors
///
/// [`LmError`] if the folder holds something that cannot be read or is not implemented.
pub fn import(folder: &Path, dir: &Path) -> Result<Value> {
    let opened = ModelFolder::open(folder)?;
    let tokenizer = Tokenizer::load(folder)?;
    tokenizer.fits(opened.config().vocabulary)?;
    let model = opened.language_model(&w2s_lm::device("flex")?)?;
    let parameters = burn::module::Module::num_params(&model);
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .map_err(|source| LmError::File {
            action: "read",
            path: folder.into(),
            source,
        })?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| wanted(name))
        .collect();
    names.sort_unstable();
    for name in &names {
        std::fs::copy(folder.join(name), dir.join(name))
            .with_context(|| format!("cannot copy `{}`", folder.join(name).display()))?;
    }
    if opened.is_adapter() {
        save_language_model(&model, dir)?;
    }
    Ok(json!({
        "parameters": parameters,
        "vocabulary": opened.config().vocabulary,
        "layers": opened.config().layers,
        "files": names,
    }))
}

/// Configuration, weights and tokenizer; nothing that another tool left beside them.
fn wanted(name: &str) -> bool {
    const NAMES: [&str; 10] = [
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
        "vocab.json",
        "merges.txt",
        "chat_template.jinja",
    ];
    NAMES.contains(&name) || (name.starts_with("model") && name.ends_with(".safetensors"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_adapters_folder_becomes_a_model_folder() {
        let golden =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/golden/qwen2-tiny/adapter");
        let folder = tempfile::tempdir().unwrap();
        let adapter = folder.path().join("adapter");
        std::fs::create_dir(&adapter).unwrap();
        for name in ["config.json", "model.safetensors"] {
            std::fs::copy(golden.join("..").join(name), folder.path().join(name)).unwrap();
        }
        for name in ["adapter_config.json", "adapter_model.safetensors"] {
            std::fs::copy(golden.join(name), adapter.join(name)).unwrap();
        }
        let tokenizer = r#"{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}"#;
        std::fs::write(adapter.join("tokenizer.json"), tokenizer).unwrap();

        let out = tempfile::tempdir().unwrap();
        import(&adapter, out.path()).unwrap();
        assert!(out.path().join("tokenizer.json").exists());
        let log_probs = |folder: &Path| {
            let opened = ModelFolder::open(folder).unwrap();
            let model = opened.language_model(&w2s_lm::device("flex").unwrap());
            let batch = w2s_lm::Batch::pack([&[1, 2, 3][..]]);
            (opened.is_adapter(), model.unwrap().log_probs(&batch))
        };
        let (imported, of_adapter) = (log_probs(out.path()), log_probs(&adapter));
        assert!(!imported.0 && of_adapter.0);
        assert_eq!(imported.1, of_adapter.1);
    }

    #[test]
    fn pickle_and_clutter_stay_behind() {
        assert!(wanted("model-00001-of-00002.safetensors"));
        assert!(wanted("tokenizer.json"));
        assert!(!wanted("pytorch_model.bin"));
        assert!(!wanted("optimizer.safetensors"));
    }
}
