//! Model folders and adapters as strangers publish them: read as transformers and PEFT read them, or refused by name.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use w2s_artifact::{ArtifactRef, Input, Key, Kind, Provenance, Store};
use w2s_lm::{
    Batch, DecoderConfig, Family, LanguageModel, LmError, LoraArgs, LoraSave, ModelFolder,
    Tokenizer, device, save_language_model,
};

fn stranger(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/strangers")
        .join(name)
}

/// A copy of a stranger's folder, to be changed.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_into(name, folder.path());
    folder
}

fn copy_into(name: &str, folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for entry in std::fs::read_dir(stranger(name)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
}

fn load(folder: &Path) -> Result<LanguageModel, LmError> {
    ModelFolder::open(folder)?.language_model(&device("flex")?)
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let batch = Batch::pack([&[1, 4, 5, 6][..], &[7, 8]]);
    let logits = model.logits(&batch, &[0, 3, 5]).into_data();
    logits.try_to_vec().unwrap()
}

/// What is said of a folder that cannot be read, its own path left out.
fn refusal(folder: &Path) -> String {
    let error = load(folder).expect_err("it is refused").to_string();
    error.replace(&folder.display().to_string(), "F")
}

fn read_json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn change_json(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut json = read_json(file);
    change(&mut json);
    std::fs::write(file, json.to_string()).unwrap();
}

/// Writes the weights of a folder again under other names, with more beside them.
fn rename(folder: &Path, name: impl Fn(&str) -> String, more: &[(&str, Vec<usize>, Vec<u8>)]) {
    let file = folder.join("model.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let renamed = tensors.tensors().into_iter();
    let renamed = renamed.map(|(old, view)| (name(&old), view));
    let more = more.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
        ((*name).to_owned(), view)
    });
    let all: Vec<_> = renamed.chain(more).collect();
    let new = folder.join("new");
    serialize_to_file(all, None, &new).unwrap();
    std::fs::rename(new, file).unwrap();
}

#[test]
fn a_weight_that_is_no_number_is_refused() {
    let text = refusal(&stranger("model-folders/nan"));
    assert!(
        text.contains("of tensor `model.") && text.contains("is NaN"),
        "{text}"
    );
    let folder = copy("model-folders/plain");
    let file = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&f32::INFINITY.to_le_bytes());
    std::fs::write(&file, bytes).unwrap();
    let text = refusal(folder.path());
    assert!(
        text.contains("value 15 of tensor `model.norm.weight` is inf"),
        "{text}"
    );
}

#[test]
fn a_head_that_differs_although_tied_is_refused_and_one_of_its_own_is_read() {
    let text = refusal(&stranger("model-folders/tied-with-head"));
    assert!(
        text.contains("`lm_head.weight`") && text.contains("hint: to read it"),
        "{text}"
    );
    let plain = logits(&load(&stranger("model-folders/plain")).unwrap());
    let untied = logits(&load(&stranger("model-folders/untied-with-head")).unwrap());
    assert_ne!(plain, untied);
    // The remedy that the hint names.
    let folder = copy("model-folders/tied-with-head");
    change_json(&folder.path().join("config.json"), |json| {
        json["tie_word_embeddings"] = json!(false);
    });
    assert_eq!(logits(&load(folder.path()).unwrap()), untied);
}

#[test]
fn what_is_unread_is_named_and_refused_where_it_would_count() {
    let text = refusal(&stranger("model-folders/llama-biases"));
    for part in ["q_proj", "k_proj", "v_proj"] {
        let name = format!("`model.layers.*.self_attn.{part}.bias` (2 of them)");
        assert!(text.contains(&name), "{text}");
    }
    // A head that is the embedding, and tables that are computed anew, change nothing.
    let folder = copy("model-folders/plain");
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let embedding = tensors.tensor("model.embed_tokens.weight").unwrap();
    let (shape, values) = (embedding.shape().to_vec(), embedding.data().to_vec());
    let table = "model.layers.0.self_attn.rotary_emb.inv_freq";
    let more = [
        ("lm_head.weight", shape, values),
        (table, vec![2], vec![0; 8]),
    ];
    rename(folder.path(), str::to_owned, &more);
    let opened = ModelFolder::open(folder.path()).unwrap();
    let device = device("flex").unwrap();
    assert_eq!(opened.unread(&device).unwrap(), ["lm_head.weight", table]);
    let plain = load(&stranger("model-folders/plain")).unwrap();
    assert_eq!(logits(&load(folder.path()).unwrap()), logits(&plain));
    // A scale that the family does not have would.
    rename(
        folder.path(),
        str::to_owned,
        &[(
            "model.layers.0.self_attn.q_norm.weight",
            vec![4],
            vec![0; 16],
        )],
    );
    let text = refusal(folder.path());
    assert!(
        text.contains("`model.layers.0.self_attn.q_norm.weight`"),
        "{text}"
    );
}

#[test]
fn quantised_weights_are_refused_by_what_the_folder_says() {
    for (name, method) in [("bnb4", "bitsandbytes"), ("gptq", "gptq")] {
        let text = refusal(&stranger(&format!("model-folders/{name}")));
        let says = format!("`quantization_config` says that the weights are quantised ({method})");
        assert!(text.contains(&says) && text.contains("hint: "), "{text}");
    }
}

#[test]
fn tensors_are_read_under_other_prefixes() {
    let plain = logits(&load(&stranger("model-folders/plain")).unwrap());
    let bare = load(&stranger("model-folders/no-prefix")).unwrap();
    assert_eq!(logits(&bare), plain);
    let folder = copy("model-folders/untied-with-head");
    let untied = logits(&load(folder.path()).unwrap());
    rename(folder.path(), |name| format!("module.{name}"), &[]);
    assert_eq!(logits(&load(folder.path()).unwrap()), untied);
}

#[test]
fn an_index_names_files_of_its_folder_with_the_tensors_it_says() {
    let folder = copy("model-folders/plain");
    let path = folder.path();
    std::fs::rename(
        path.join("model.safetensors"),
        path.join("ft-1.safetensors"),
    )
    .unwrap();
    let index = |map: Value| {
        let text = json!({"weight_map": map}).to_string();
        std::fs::write(path.join("model.safetensors.index.json"), text).unwrap();
    };
    let norm = "model.norm.weight";
    index(json!({norm: "ft-1.safetensors"}));
    assert!(load(path).is_ok());
    for name in [
        "../F/x.safetensors",
        "/x.safetensors",
        ".x.safetensors",
        "..",
        "a\\b",
        "",
    ] {
        index(json!({norm: name}));
        let text = refusal(path);
        assert!(text.ends_with(&format!("`{name}` is not the name of a file in its folder")));
    }
    index(json!({norm: 7}));
    assert!(refusal(path).contains("`weight_map` has 7 for `model.norm.weight`"));
    index(json!({"model.other": "ft-1.safetensors"}));
    assert!(
        refusal(path).ends_with("`model.other` into `ft-1.safetensors`, which does not have it")
    );
    index(json!({norm: "ft-2.safetensors"}));
    assert_eq!(refusal(path), "cannot read `F/ft-2.safetensors`");
    // Where two files have the tensor, the index says which one counts; nothing else does.
    std::fs::copy(path.join("ft-1.safetensors"), path.join("ft-2.safetensors")).unwrap();
    index(
        json!({norm: "ft-2.safetensors", "model.layers.0.mlp.up_proj.weight": "ft-1.safetensors"}),
    );
    assert!(refusal(path).contains("the index does not say which one counts"));
}

#[test]
fn files_that_are_not_what_their_names_say_are_told() {
    const POINTER: &str =
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a21\nsize 4312345\n";
    let tokens = |folder: &Path| Tokenizer::load(folder).err().expect("an error").to_string();
    for name in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        let folder = copy("model-folders/plain");
        std::fs::write(folder.path().join(name), POINTER).unwrap();
        let text = match name.starts_with("tokenizer") {
            true => tokens(folder.path()),
            false => load(folder.path()).unwrap_err().to_string(),
        };
        assert!(
            text.contains(name) && text.contains("git lfs pull"),
            "{text}"
        );
    }
    let folder = copy("model-folders/plain");
    let path = folder.path();
    std::fs::rename(path.join("tokenizer.json"), path.join("tokenizer.model")).unwrap();
    let text = tokens(path);
    assert!(
        text.contains("it is a sentencepiece model, which is not read"),
        "{text}"
    );
    std::fs::write(
        path.join("model.safetensors"),
        b"PK\x03\x04 archive/data.pkl",
    )
    .unwrap();
    assert!(refusal(path).contains("a PyTorch pickle whatever its name says"));
    std::fs::rename(
        path.join("model.safetensors"),
        path.join("pytorch_model.bin"),
    )
    .unwrap();
    assert!(refusal(path).contains("pickle weights are not read"));
}

/// A copy of the plain adapter beside a copy of its base, changed.
fn adapter(change: impl FnOnce(&mut Value)) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let adapter = folder.path().join("adapters/one");
    copy_into("adapters/no-tokenizer", &adapter);
    copy_into(
        "model-folders/plain",
        &folder.path().join("model-folders/plain"),
    );
    change_json(&adapter.join("adapter_config.json"), change);
    (folder, adapter)
}

#[test]
fn adapters_for_other_weights_than_their_bases_are_refused_by_name() {
    for (name, key) in [
        ("pissa", "`init_lora_weights: \"pissa\"`"),
        ("kasa", "`kasa_config: {\"x\":1}`"),
    ] {
        let text = refusal(&stranger(&format!("adapters/{name}")));
        assert!(
            text.contains(key) && text.contains("does not implement"),
            "{text}"
        );
    }
    for name in [
        "pissa_niter_16",
        "olora",
        "corda",
        "loftq",
        "lora_ga",
        "new",
    ] {
        let (_folder, path) = adapter(|json| json["init_lora_weights"] = json!(name));
        assert!(refusal(&path).contains(name));
    }
    for key in [
        "monteclora_config",
        "corda_config",
        "loftq_config",
        "use_dora",
        "a_new_key",
    ] {
        let (_folder, path) = adapter(|json| json[key] = json!({"rank": 3}));
        assert!(refusal(&path).contains(&format!("`{key}: {{\"rank\":3}}`")));
    }
    let plain = logits(&load(&stranger("model-folders/plain")).unwrap());
    for init in [json!(true), json!(false), json!(null), json!("gaussian")] {
        let (_folder, path) = adapter(|json| json["init_lora_weights"] = init);
        assert_ne!(logits(&load(&path).unwrap()), plain);
    }
}

#[test]
fn an_adapter_without_a_tokenizer_has_its_bases() {
    let (folder, path) = adapter(|_| {});
    let base = folder
        .path()
        .join("model-folders/plain")
        .canonicalize()
        .unwrap();
    let opened = ModelFolder::open(&path).unwrap();
    assert_eq!(opened.tokenizer_folder().canonicalize().unwrap(), base);
    std::fs::copy(base.join("tokenizer.json"), path.join("tokenizer.json")).unwrap();
    assert_eq!(ModelFolder::open(&path).unwrap().tokenizer_folder(), path);
}

#[test]
fn an_adapter_has_one_base_with_weights() {
    for base in [".", "../one", ""] {
        let (_folder, path) = adapter(|json| json["base_model_name_or_path"] = json!(base));
        std::fs::copy(
            stranger("model-folders/plain/config.json"),
            path.join("config.json"),
        )
        .unwrap();
        let text = refusal(&path);
        assert!(
            text.contains("is an adapter's folder itself"),
            "{base}: {text}"
        );
    }
    let (folder, path) = adapter(|json| json["base_model_name_or_path"] = json!("../two"));
    copy_into("adapters/no-tokenizer", &folder.path().join("adapters/two"));
    assert!(refusal(&path).contains("its base `../two` is not a model folder"));
    std::fs::rename(
        path.join("adapter_model.safetensors"),
        path.join("adapter_model.bin"),
    )
    .unwrap();
    change_json(&path.join("adapter_config.json"), |json| {
        json["base_model_name_or_path"] = json!("../../model-folders/plain");
    });
    assert!(refusal(&path).contains("adapter_model.bin` is not usable: it is a pickle"));
}

/// A checkpoint of a store, and an adapter on it that is one too.
fn stored(store: &Store) -> (PathBuf, PathBuf) {
    let reference = |byte| ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([byte; 32]));
    let (base, adapter) = (reference(1), reference(2));
    let pending = store.begin(&base).unwrap();
    copy_into("model-folders/plain", pending.path());
    let base_path = pending.commit(Provenance::default()).unwrap().path;
    let pending = store.begin(&adapter).unwrap();
    copy_into("adapters/no-tokenizer", pending.path());
    change_json(&pending.path().join("adapter_config.json"), |json| {
        json["base_model_name_or_path"] = json!("/no/such/folder");
    });
    let provenance = Provenance {
        inputs: vec![Input::Artifact {
            name: "base".into(),
            artifact: base,
        }],
        ..Provenance::default()
    };
    (base_path, pending.commit(provenance).unwrap().path)
}

#[test]
fn the_base_of_a_stored_adapter_is_hashed_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let (base, adapter) = stored(&store);
    assert!(load(&adapter).is_ok());
    let weights = base.join("model.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    let end = bytes.len();
    bytes[end - 4..].copy_from_slice(&0.25f32.to_le_bytes());
    std::fs::write(&weights, bytes).unwrap();
    let text = refusal(&adapter);
    assert!(text.contains("model.safetensors hashes to"), "{text}");
    std::fs::remove_dir_all(&base).unwrap();
    assert!(load(&adapter).is_err());
}

#[test]
fn a_training_passes_the_generation_config_on() {
    let base = copy("model-folders/plain");
    let generation = json!({"eos_token_id": [2, 7], "temperature": 0.6});
    let name = "generation_config.json";
    std::fs::write(base.path().join(name), generation.to_string()).unwrap();
    for (rank, save) in [
        (0, LoraSave::Merged),
        (2, LoraSave::Merged),
        (2, LoraSave::Adapter),
    ] {
        let args = LoraArgs {
            lora_rank: rank,
            lora_alpha: None,
            lora_targets: vec!["all".into()],
            lora_save: save,
        };
        let opened = ModelFolder::open(base.path()).unwrap();
        let model = args.start(&opened, 0, &device("flex").unwrap()).unwrap();
        let out = tempfile::tempdir().unwrap();
        args.save(&model, base.path(), out.path()).unwrap();
        assert_eq!(read_json(&out.path().join(name)), generation);
    }
}

#[test]
fn ids_are_rows_of_the_embedding() {
    let config = read_json(&stranger("model-folders/plain/config.json"));
    let read = |key: &str, id: Value| {
        let mut config = config.clone();
        config[key] = id;
        DecoderConfig::from_json(&config, Path::new("config.json"))
    };
    assert_eq!(read("eos_token_id", json!([63, 2])).unwrap().eos, Some(63));
    assert_eq!(read("pad_token_id", json!(-1)).unwrap().pad, None);
    assert_eq!(read("eos_token_id", json!([])).unwrap().eos, None);
    for id in [
        json!(4294967297u64),
        json!(64),
        json!(-2),
        json!(1.5),
        json!("2"),
        json!([2, 64]),
    ] {
        let text = read("eos_token_id", id.clone()).unwrap_err().to_string();
        assert!(text.contains(&format!("`eos_token_id` is {id}")), "{text}");
    }
}

/// What a hostile configuration may hold under any key.
fn hostile(rng: &mut ChaCha8Rng) -> Value {
    let values = [
        json!(null),
        json!(true),
        json!("text"),
        json!([]),
        json!([1, 2]),
        json!({}),
        json!({"rope_type": "llama3", "factor": 0.0}),
        json!({"rope_theta": -1.0}),
        json!(0),
        json!(-1),
        json!(1),
        json!(3),
        json!(7.5),
        json!(1e-300),
        json!(1e300),
        json!(1_000_000),
        json!(1_000_000_000_000u64),
        json!(4_294_967_297u64),
        json!(1u64 << 30),
        json!(1u64 << 31),
        json!(1u64 << 63),
        json!(u64::MAX),
        json!(i64::MIN),
    ];
    values[(rng.next_u64() % values.len() as u64) as usize].clone()
}

/// Removes a key of an object or puts something hostile there.
fn mutate(json: &mut Value, rng: &mut ChaCha8Rng) {
    let keys: Vec<String> = json.as_object().unwrap().keys().cloned().collect();
    let key = &keys[(rng.next_u64() % keys.len() as u64) as usize];
    if rng.next_u64().is_multiple_of(8) {
        json.as_object_mut().unwrap().remove(key);
    } else {
        json[key] = hostile(rng);
    }
}

/// Reads a folder and lets its model answer as many tokens as it takes; what it says does not matter, but that it says it
/// soon.
fn survives(folder: &Path, told: &Value) {
    let answer = || {
        let model = load(folder)?;
        let tokens = model.model.max_tokens().min(4);
        let batch = Batch::pack([&[1, 4, 5, 6][..tokens]]);
        Ok::<_, LmError>(model.logits(&batch, &[0]).into_data())
    };
    let clock = Instant::now();
    assert!(
        std::panic::catch_unwind(answer).is_ok(),
        "it panicked at {told}"
    );
    assert!(
        clock.elapsed() < Duration::from_secs(5),
        "it was slow at {told}"
    );
}

#[test]
fn hostile_configurations_are_answered_soon() {
    let gpt2 = tempfile::tempdir().unwrap();
    let config = DecoderConfig {
        family: Family::Gpt2,
        rope: None,
        attention_bias: true,
        output_bias: true,
        mlp_bias: true,
        ..DecoderConfig::scratch(64, 2, 16, 4, 24, 32)
    };
    let model = LanguageModel::init(&config, 0, &device("flex").unwrap());
    save_language_model(&model, gpt2.path()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let qwen2 = copy("model-folders/plain");
    for folder in [qwen2.path(), gpt2.path()] {
        let file = folder.join("config.json");
        let whole = read_json(&file);
        assert!(load(folder).is_ok());
        // Each key alone with the sizes that abort, then several keys at once.
        let keys: Vec<&String> = whole.as_object().unwrap().keys().collect();
        let sizes = [
            json!(0),
            json!(1_000_000),
            json!(1_000_000_000_000u64),
            json!(1u64 << 63),
        ];
        let alone = keys.iter().flat_map(|key| {
            let with = |size: &Value| {
                let mut json = whole.clone();
                json[key.as_str()] = size.clone();
                json
            };
            sizes.iter().map(with).collect::<Vec<_>>()
        });
        let mut configs: Vec<Value> = alone.collect();
        for _ in 0..400 {
            let mut json = whole.clone();
            for _ in 0..1 + rng.next_u64() % 3 {
                mutate(&mut json, &mut rng);
            }
            configs.push(json);
        }
        let mut head = whole.clone();
        head["head_dim"] = json!(1_000_000_000_000u64);
        configs.push(head);
        for json in configs {
            std::fs::write(&file, json.to_string()).unwrap();
            survives(folder, &json);
        }
    }
}

#[test]
fn hostile_adapters_are_answered_soon() {
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let (_folder, path) = adapter(|_| {});
    let file = path.join("adapter_config.json");
    let whole = read_json(&file);
    for _ in 0..300 {
        let mut json = whole.clone();
        for _ in 0..1 + rng.next_u64() % 3 {
            mutate(&mut json, &mut rng);
        }
        std::fs::write(&file, json.to_string()).unwrap();
        survives(&path, &json);
    }
    for json in [json!([]), json!(7), json!(null), Value::Object(Map::new())] {
        std::fs::write(&file, json.to_string()).unwrap();
        survives(&path, &json);
    }
}
