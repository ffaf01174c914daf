//! Taking over a published model folder.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::path::Path;
use w2s_lm::{ModelFolder, Tokenizer, save_language_model};

/// The files of a tokenizer, and what belongs to it; nothing that another tool left beside them.
const TOKENIZER: [&str; 7] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
];

/// Copies a model folder into `dir` after reading all of it: configuration, every tensor, tokenizer. An adapter is merged
/// first, and what its folder lacks of tokenizer and `generation_config.json` is its base's; then layers are dropped, counted
/// from 0. What is changed so is written in f32. The summary names the files that were copied, and the tensors that were
/// not read because they change nothing.
///
/// # Errors
///
/// [`LmError`](w2s_lm::LmError) if the folder holds something that cannot be read or is not implemented, or if a layer to drop
/// is not there; another error if layers are to be dropped from a classifier.
pub fn import(folder: &Path, drop_layers: &[usize], dir: &Path) -> Result<Value> {
    let opened = ModelFolder::open(folder)?;
    let tokenizer = Tokenizer::load(opened.tokenizer_folder())?;
    tokenizer.fits(opened.config().vocabulary)?;
    ensure!(
        drop_layers.is_empty() || !opened.is_classifier(),
        "layers are dropped from language models, and `{}` holds a classifier",
        folder.display()
    );
    let device = w2s_lm::device("flex")?;
    let unread = opened.unread(&device)?;
    let mut model = opened.language_model(&device)?;
    model.model = model.model.without_layers(drop_layers)?;
    let mut names = copy_present(&TOKENIZER, opened.tokenizer_folder(), dir)?;
    if opened.copy_generation_config(dir)? {
        names.push("generation_config.json".into());
    }
    if opened.is_adapter() || !drop_layers.is_empty() {
        save_language_model(&model, dir)?;
    } else {
        let weights = opened.weight_files()?;
        names.extend(copy_present(&weights, opened.weights_folder(), dir)?);
    }
    names.sort_unstable();
    Ok(json!({
        "parameters": burn::module::Module::num_params(&model),
        "vocabulary": opened.config().vocabulary,
        "layers": model.model.config().layers,
        "files": names,
        "unread": unread,
    }))
}

/// Copies those of the files that are there, and says which those are.
fn copy_present(names: &[impl AsRef<str>], from: &Path, to: &Path) -> Result<Vec<String>> {
    let names = names.iter().map(AsRef::as_ref);
    let present = names.filter(|name| from.join(name).exists());
    present
        .map(|name| {
            std::fs::copy(from.join(name), to.join(name))
                .with_context(|| format!("cannot copy `{}`", from.join(name).display()))?;
            Ok(name.to_owned())
        })
        .collect()
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

        // A configuration that is silent on a layer is not the way to drop it.
        let config = folder.path().join("config.json");
        let text = std::fs::read_to_string(&config).unwrap();
        let shorter = text.replace("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1");
        assert_ne!(text, shorter);
        std::fs::write(&config, shorter).unwrap();
        let refused = import(&[]).unwrap_err().to_string();
        assert!(
            refused.contains("`model.layers.1.mlp.up_proj.weight`"),
            "{refused}"
        );
        std::fs::write(&config, text).unwrap();

        let classifier = std::fs::read_to_string(&config)
            .unwrap()
            .replace("Qwen2ForCausalLM", "Qwen2ForSequenceClassification");
        std::fs::write(&config, classifier).unwrap();
        let refused = import(&[0]).unwrap_err().to_string();
        assert!(refused.ends_with("holds a classifier"), "{refused}");
    }

    fn stranger(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../w2s-lm/tests/strangers")
            .join(name)
    }

    /// A copy of a model folder whose two shards are named as nobody else names them.
    fn sharded(folder: &Path) {
        let plain = stranger("model-folders/plain");
        copy(&plain, &["config.json", "tokenizer.json"], folder);
        let bytes = std::fs::read(plain.join("model.safetensors")).unwrap();
        let all = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let shard = |name: &str| match name.contains("layers.1.") {
            true => "ft-model-00002-of-00002.safetensors",
            false => "ft-model-00001-of-00002.safetensors",
        };
        let mut map = serde_json::Map::new();
        for (name, _) in all.tensors() {
            let file = shard(&name);
            map.insert(name, json!(file));
        }
        for number in [1, 2] {
            let file = format!("ft-model-0000{number}-of-00002.safetensors");
            let tensors = all.tensors().into_iter();
            let tensors = tensors.filter(|(name, _)| shard(name) == file);
            safetensors::serialize_to_file(tensors, None, &folder.join(&file)).unwrap();
        }
        let index = json!({"metadata": {}, "weight_map": map}).to_string();
        std::fs::write(folder.join("model.safetensors.index.json"), index).unwrap();
    }

    #[test]
    fn every_shard_that_the_index_names_is_copied() {
        let (folder, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        sharded(folder.path());
        std::fs::write(folder.path().join("pytorch_model.bin"), "stays behind").unwrap();
        std::fs::write(
            folder.path().join("generation_config.json"),
            "{\"top_k\": 7}",
        )
        .unwrap();
        let summary = import(folder.path(), &[], out.path()).unwrap();
        assert_eq!(
            summary["files"],
            json!([
                "config.json",
                "ft-model-00001-of-00002.safetensors",
                "ft-model-00002-of-00002.safetensors",
                "generation_config.json",
                "model.safetensors.index.json",
                "tokenizer.json",
            ])
        );
        assert!(!out.path().join("pytorch_model.bin").exists());
        let plain = stranger("model-folders/plain");
        assert_eq!(log_probs(out.path()).0, log_probs(&plain).0);
    }

    #[test]
    fn an_adapter_without_a_tokenizer_takes_its_bases() {
        let out = tempfile::tempdir().unwrap();
        let summary = import(&stranger("adapters/no-tokenizer"), &[], out.path()).unwrap();
        assert_eq!(
            summary["files"],
            json!(["tokenizer.json", "tokenizer_config.json"])
        );
        assert!(Tokenizer::load(out.path()).is_ok());
    }

    #[test]
    fn what_is_no_model_is_refused() {
        let refused = |name: &str| {
            let out = tempfile::tempdir().unwrap();
            let error = import(&stranger(name), &[], out.path()).unwrap_err();
            assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
            error.to_string()
        };
        for (name, part) in [
            ("model-folders/nan", "is NaN"),
            ("model-folders/gptq", "quantised (gptq)"),
            ("model-folders/llama-biases", "k_proj.bias` (2 of them)"),
            ("adapters/pissa", "`init_lora_weights: \"pissa\"`"),
        ] {
            let text = refused(name);
            assert!(text.contains(part), "{name}: {text}");
        }
    }
}
