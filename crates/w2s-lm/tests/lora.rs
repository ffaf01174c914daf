//! Adapters: what they compute, what of the model they train, and what is wrong with an adapter's folder.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Gradients, Tensor, TensorData};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use w2s_lm::{
    Batch, Classifier, ClassifierSettings, DecoderConfig, EncodingArgs, Family, LanguageModel,
    LmError, Lora, LoraArgs, LoraSave, LoraSettings, ModelFolder, Template, TooLong, device,
    save_adapter, save_classifier, save_language_model,
};
use w2s_train::{
    Batches, Decay, Loss, Objective, Schedule, StepInfo, TrainConfig, TrainError, Watch, fit,
};

fn llama() -> DecoderConfig {
    DecoderConfig {
        kv_heads: 2,
        tied: false,
        ..DecoderConfig::scratch(11, 2, 16, 4, 24, 32)
    }
}

fn qwen2() -> DecoderConfig {
    DecoderConfig {
        family: Family::Qwen2,
        attention_bias: true,
        ..DecoderConfig::scratch(11, 2, 16, 4, 24, 32)
    }
}

fn gpt2() -> DecoderConfig {
    DecoderConfig {
        family: Family::Gpt2,
        rope: None,
        attention_bias: true,
        output_bias: true,
        mlp_bias: true,
        ..DecoderConfig::scratch(11, 2, 16, 4, 64, 32)
    }
}

fn settings() -> LoraSettings {
    LoraSettings {
        rank: 3,
        alpha: 6.0,
        targets: vec!["all".into()],
    }
}

fn base(config: &DecoderConfig) -> LanguageModel {
    LanguageModel::init(config, 3, &device("flex").unwrap())
}

fn batch() -> Batch {
    Batch::pack([&[1, 2, 3, 4][..], &[5], &[6, 7, 10]])
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    let logits = model.logits(&batch(), &[0, 3, 4, 7]).into_data();
    logits.try_to_vec().unwrap()
}

/// The places for adapters of all linear layers.
fn loras(model: &mut LanguageModel) -> Vec<&mut Option<Lora>> {
    let blocks = model.model.layers.iter_mut();
    blocks
        .flat_map(|block| {
            let (attn, mlp) = (&mut block.self_attn, &mut block.mlp);
            [
                Some(&mut attn.q_proj),
                Some(&mut attn.k_proj),
                Some(&mut attn.v_proj),
                Some(&mut attn.o_proj),
                mlp.gate_proj.as_mut(),
                Some(&mut mlp.up_proj),
                Some(&mut mlp.down_proj),
            ]
        })
        .flatten()
        .map(|linear| &mut linear.lora)
        .collect()
}

/// An adapted model with another B than zero in every layer.
fn adapted(config: &DecoderConfig, targets: &[&str]) -> LanguageModel {
    let settings = LoraSettings {
        targets: targets.iter().map(|t| (*t).to_string()).collect(),
        ..settings()
    };
    let mut model = base(config).with_lora(&settings, 1).unwrap();
    for lora in loras(&mut model).into_iter().flatten() {
        let [rows, rank] = lora.b.dims();
        let values: Vec<f32> = (0..rows * rank)
            .map(|i| ((i * 7 % 11) as f32 - 5.0) / 10.0)
            .collect();
        let values = TensorData::new(values, [rows, rank]);
        lora.b = Param::from_data(values, &device("flex").unwrap());
    }
    model
}

#[test]
fn a_new_adapter_changes_nothing() {
    for config in [llama(), qwen2(), gpt2()] {
        let model = base(&config).with_lora(&settings(), 1).unwrap();
        assert_eq!(logits(&model), logits(&base(&config)));
    }
}

#[test]
fn the_seed_draws_a_within_one_over_the_root_of_its_inputs() {
    let a = |seed| -> Vec<f32> {
        let model = base(&llama()).with_lora(&settings(), seed).unwrap();
        let lora = model.model.layers[1].mlp.down_proj.lora.as_ref().unwrap();
        assert_eq!(lora.a.dims(), [3, 24]);
        assert_eq!(lora.b.dims(), [16, 3]);
        lora.a.val().into_data().try_to_vec().unwrap()
    };
    assert_eq!(a(1), a(1));
    assert_ne!(a(1), a(2));
    let largest = a(1).iter().fold(0f32, |m, x| m.max(x.abs()));
    let bound = 24f32.powf(-0.5);
    assert!(0.8 * bound < largest && largest <= bound, "{largest}");
}

#[test]
fn merged_and_separate_compute_the_same() {
    for config in [llama(), qwen2(), gpt2()] {
        let model = adapted(&config, &["all"]);
        let separate = logits(&model);
        assert_ne!(separate, logits(&base(&config)));
        let merged = model.merge_lora();
        assert_eq!(merged.model.lora(), None);
        for (m, s) in logits(&merged).iter().zip(&separate) {
            assert!((m - s).abs() < 1e-5, "{:?}: {m} and {s}", config.family);
        }
    }
}

/// Which parameters have a gradient, by name.
fn with_gradients(model: &LanguageModel, grads: &Gradients) -> Vec<String> {
    struct Names<'a>(&'a Gradients, Vec<String>, Vec<String>);
    impl ModuleVisitor for Names<'_> {
        fn enter_module(&mut self, name: &str, _: &str) {
            self.1.push(name.into());
        }
        fn exit_module(&mut self, _: &str, _: &str) {
            self.1.pop();
        }
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.val().grad(self.0).is_some() {
                self.2.push(self.1.join("."));
            }
        }
    }
    let mut names = Names(grads, Vec::new(), Vec::new());
    model.visit(&mut names);
    names.2
}

#[test]
fn only_the_targets_adapters_have_gradients() {
    let model = adapted(&llama(), &["v_proj", "q_proj"]).train();
    let grads = model.next_token_loss(&batch(), 1.0).backward();
    let expected: Vec<String> = (0..2)
        .flat_map(|i| {
            [
                "q_proj.lora.a",
                "q_proj.lora.b",
                "v_proj.lora.a",
                "v_proj.lora.b",
            ]
            .map(|name| format!("model.layers.{i}.self_attn.{name}"))
        })
        .collect();
    assert_eq!(with_gradients(&model, &grads), expected);
    // A merged model is an ordinary one again.
    let merged = model.merge_lora().train();
    let grads = merged.next_token_loss(&batch(), 1.0).backward();
    assert_eq!(
        with_gradients(&merged, &grads).len(),
        3 + 2 * 9,
        "two tables, the last norm, nine parameters a block"
    );
}

/// Next tokens of made-up sequences.
struct NextToken;

impl Objective<LanguageModel> for NextToken {
    type Pass = Loss;

    fn forward(
        &mut self,
        model: &LanguageModel,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let sequences: Vec<Vec<u32>> = rows
            .iter()
            .map(|&r| (0..5).map(|i| ((r * 3 + i) % 11) as u32).collect())
            .collect();
        let batch = Batch::pack(sequences.iter().map(Vec::as_slice));
        let scale = rows.len() as f32 / info.batch.len() as f32;
        Ok(Loss {
            value: model.next_token_loss(&batch, scale),
            tokens: batch.ids.len(),
            metrics: Vec::new(),
        })
    }

    fn loss(&mut self, pass: Loss, _: &[usize], _: StepInfo) -> Result<Loss, TrainError> {
        Ok(pass)
    }
}

fn train(model: LanguageModel, folder: &Path, watch: Watch) -> Result<LanguageModel, TrainError> {
    let config = TrainConfig {
        schedule: Schedule {
            peak: 0.01,
            warmup_fraction: 0.0,
            decay: Decay::Constant,
        },
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.01,
        clip: Some(1.0),
        micro_batch: None,
        early_stopping: None,
        state_dir: folder.into(),
        metrics_file: folder.join("metrics.jsonl"),
        save_every: Duration::ZERO,
    };
    let plan = Batches::by_examples(24, 8, 10, 0);
    fit(model, &mut NextToken, &plan, &config, watch).map(|fitted| fitted.model)
}

#[test]
fn training_moves_the_adapter_alone_and_resumes_exactly() {
    let start = || base(&llama()).with_lora(&settings(), 1).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let whole = train(start(), folder.path(), &mut |_, _| true).unwrap();
    let nll = |model: &LanguageModel| {
        -model.log_probs(&Batch::pack([&[0, 1, 2, 3, 4][..]]))[0]
            .iter()
            .sum::<f32>()
    };
    // The frozen output projection of a random base leaves little to win.
    let (before, after) = (nll(&start()), nll(&whole));
    assert!(after < before - 0.5, "{before} to {after}");

    let folder = tempfile::tempdir().unwrap();
    let resumed = loop {
        match train(start(), folder.path(), &mut |_, _| false) {
            Ok(model) => break model,
            Err(TrainError::Stopped { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(logits(&resumed), logits(&whole));

    // Without its adapter the trained model is the base, bit for bit.
    let mut plain = whole;
    for lora in loras(&mut plain) {
        *lora = None;
    }
    assert_eq!(logits(&plain), logits(&base(&llama())));
}

fn saved_base(config: &DecoderConfig) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    save_language_model(&base(config), folder.path()).unwrap();
    folder
}

fn args(save: LoraSave) -> LoraArgs {
    LoraArgs {
        lora_rank: 3,
        lora_alpha: None,
        lora_targets: vec!["all".into()],
        lora_save: save,
    }
}

fn open(folder: &Path) -> Result<LanguageModel, LmError> {
    ModelFolder::open(folder)?.language_model(&device("flex")?)
}

#[test]
fn both_forms_open_as_model_folders() {
    let (base, model) = (saved_base(&llama()), adapted(&llama(), &["all"]));
    for save in [LoraSave::Merged, LoraSave::Adapter] {
        let folder = tempfile::tempdir().unwrap();
        args(save).save(&model, base.path(), folder.path()).unwrap();
        for (read, expected) in logits(&open(folder.path()).unwrap())
            .iter()
            .zip(logits(&model))
        {
            assert!(
                (read - expected).abs() < 1e-5,
                "{save}: {read} instead of {expected}"
            );
        }
    }
}

#[test]
fn a_classifier_is_saved_with_its_adapter_merged() {
    let device = device("flex").unwrap();
    let model = Classifier::word_head(adapted(&llama(), &["all"]), &[7, 8], &device);
    let settings = ClassifierSettings {
        template: "{text}".into(),
        classes: vec!["no".into(), "yes".into()],
        max_tokens: 32,
        too_long: TooLong::Drop,
    };
    let folder = tempfile::tempdir().unwrap();
    save_classifier(&model, &settings, folder.path()).unwrap();
    let read = ModelFolder::open(folder.path()).unwrap();
    let read = read.classifier(&device).unwrap();
    let logits = |m: &Classifier| m.logits(&batch()).into_data().try_to_vec::<f32>().unwrap();
    for (read, expected) in logits(&read).iter().zip(logits(&model)) {
        assert!(
            (read - expected).abs() < 1e-5,
            "{read} instead of {expected}"
        );
    }
}

#[test]
fn an_adapter_that_could_not_be_saved_is_not_started() {
    let device = device("flex").unwrap();
    let start = |folder: &Path, save| {
        let folder = ModelFolder::open(folder).unwrap();
        args(save).start(&folder, 0, &device).map(|_| ())
    };
    let gpt2 = saved_base(&gpt2());
    assert!(start(gpt2.path(), LoraSave::Merged).is_ok());
    assert_eq!(
        start(gpt2.path(), LoraSave::Adapter)
            .unwrap_err()
            .to_string(),
        "PEFT adapts GPT-2's fused query, key and value layer, w2s its three parts: the adapter of one has no place in \
         the other\nhint: save it merged"
    );
    let (base, adapter) = (saved_base(&llama()), tempfile::tempdir().unwrap());
    let model = adapted(&llama(), &["all"]);
    save_adapter(&model, base.path(), adapter.path()).unwrap();
    assert!(start(adapter.path(), LoraSave::Merged).is_ok());
    assert_eq!(
        start(adapter.path(), LoraSave::Adapter)
            .unwrap_err()
            .to_string(),
        "the base is an adapter's folder, and an adapter on an adapter cannot be saved alone\nhint: save it merged"
    );
    let again = model.with_lora(&settings(), 0).unwrap_err().to_string();
    assert_eq!(
        again,
        "the model has an adapter already\nhint: merge it first"
    );
    let none = save_adapter(&self::base(&llama()), base.path(), adapter.path());
    assert_eq!(
        none.unwrap_err().to_string(),
        "the model has no adapter to save"
    );
}

#[test]
fn a_store_that_was_copied_has_the_base_beside_the_adapter() {
    let model = adapted(&llama(), &["all"]);
    let store = tempfile::tempdir().unwrap();
    let [base, adapter] = ["7f", "3a"].map(|key| store.path().join("checkpoint").join(key));
    for folder in [&base, &adapter] {
        std::fs::create_dir_all(folder).unwrap();
    }
    save_language_model(&self::base(&llama()), &base).unwrap();
    save_adapter(&model, &base, &adapter).unwrap();
    let expected = logits(&open(&adapter).unwrap());
    let copy = tempfile::tempdir().unwrap();
    let moved = copy.path().join("elsewhere");
    std::fs::rename(store.path().join("checkpoint"), &moved).unwrap();
    assert_eq!(logits(&open(&moved.join("3a")).unwrap()), expected);
    // What is at the path that was written is the base, whatever lies beside.
    std::fs::create_dir_all(&base).unwrap();
    let other = LanguageModel::init(&llama(), 4, &device("flex").unwrap());
    save_language_model(&other, &base).unwrap();
    assert_ne!(logits(&open(&moved.join("3a")).unwrap()), expected);
    std::fs::remove_dir_all(&base).unwrap();
    std::fs::remove_dir_all(moved.join("7f")).unwrap();
    let error = open(&moved.join("3a")).unwrap_err().to_string();
    assert!(error.contains("is not a model folder"), "{error}");
}

#[test]
fn an_adapters_answers_end_as_the_base_says() {
    let config = DecoderConfig {
        eos: Some(2),
        ..llama()
    };
    let (base, adapter) = (saved_base(&config), tempfile::tempdir().unwrap());
    save_adapter(&adapted(&config, &["all"]), base.path(), adapter.path()).unwrap();
    // Neither names the end beside its tokenizer; the base does in config.json, which an adapter's folder does not have.
    let vocabulary = json!({"unk": 0, "a": 1, "stop": 2});
    let tokenizer = json!({
        "version": "1.0", "added_tokens": [], "pre_tokenizer": {"type": "Whitespace"},
        "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "unk"},
    });
    for folder in [base.path(), adapter.path()] {
        std::fs::write(folder.join("tokenizer.json"), tokenizer.to_string()).unwrap();
        let encoder = EncodingArgs::of(Template::Plain)
            .encoder(folder, &open(folder).unwrap().model)
            .unwrap();
        assert_eq!(encoder.stop_ids(), [2]);
    }
    // A folder that names another token means it.
    let settings = json!({"eos_token": "a"}).to_string();
    std::fs::write(adapter.path().join("tokenizer_config.json"), settings).unwrap();
    let encoder = EncodingArgs::of(Template::Plain)
        .encoder(adapter.path(), &open(adapter.path()).unwrap().model)
        .unwrap();
    assert_eq!(encoder.stop_ids(), [1]);
}

#[test]
fn what_is_wrong_with_an_adapters_folder_is_said() {
    let base = saved_base(&llama());
    let message = |change: &dyn Fn(&mut Value)| {
        let folder = tempfile::tempdir().unwrap();
        let model = adapted(&llama(), &["q_proj"]);
        save_adapter(&model, base.path(), folder.path()).unwrap();
        let file = folder.path().join("adapter_config.json");
        let mut config = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&file, config.to_string()).unwrap();
        let message = open(folder.path()).unwrap_err().to_string();
        message.replace(&folder.path().display().to_string(), "F")
    };
    assert_eq!(
        message(&|c| c["base_model_name_or_path"] = json!("someone/model")),
        "`F/adapter_config.json` is not usable: its base `someone/model` is not a model folder\n\
         hint: put the path of the base's folder under `base_model_name_or_path`"
    );
    assert_eq!(
        message(&|c| c["use_dora"] = json!(true)),
        "`F/adapter_config.json` asks for `use_dora: true`, which w2s does not implement"
    );
    assert_eq!(
        message(&|c| c["peft_type"] = json!("IA3")),
        "`F/adapter_config.json` asks for peft_type \"IA3\", which w2s does not implement"
    );
    assert_eq!(
        message(&|c| c["target_modules"] = json!(".*_proj")),
        "`F/adapter_config.json` is not usable: `target_modules` is \".*_proj\", not a list of layer names"
    );
    assert_eq!(
        message(&|c| c["target_modules"] = json!(["q_proj", "v_proj"])),
        "`F/adapter_model.safetensors` is not usable: it has no tensor \
         `base_model.model.model.layers.0.self_attn.v_proj.lora_A.weight`"
    );
    assert_eq!(
        message(&|c| c["target_modules"] = json!([])),
        "`F/adapter_config.json` is not usable: an adapter has no target; there are q_proj, k_proj, v_proj, o_proj, \
         gate_proj, up_proj, down_proj, all"
    );
    assert_eq!(
        message(&|c| c["r"] = json!(4)),
        "`F/adapter_model.safetensors` is not usable: tensor \
         `base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight` is [3, 16], but the base and rank 4 make it \
         [4, 16]"
    );
}
