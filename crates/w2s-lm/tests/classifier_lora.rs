//! Adapters of classifiers: what they compute, what of the model they train, and their folders.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Gradients, Tensor};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;
use w2s_lm::{
    Batch, Classifier, ClassifierSettings, DecoderConfig, LabelledRows, LanguageModel, LmError,
    LoraSettings, ModelFolder, TooLong, device, save_classifier, save_classifier_adapter,
    save_language_model,
};
use w2s_train::{
    Batches, Decay, Loss, Objective, Schedule, StepInfo, TrainConfig, TrainError, Watch, fit,
};

fn config() -> DecoderConfig {
    DecoderConfig {
        kv_heads: 2,
        tied: false,
        ..DecoderConfig::scratch(11, 2, 16, 4, 24, 32)
    }
}

fn lora() -> LoraSettings {
    LoraSettings {
        rank: 3,
        alpha: 6.0,
        targets: vec!["all".into()],
    }
}

fn base() -> LanguageModel {
    LanguageModel::init(&config(), 3, &device("flex").unwrap())
}

fn classifier() -> Classifier {
    Classifier::word_head(base(), &[7, 8], &device("flex").unwrap())
}

fn settings() -> ClassifierSettings {
    ClassifierSettings {
        template: "{text}".into(),
        classes: vec!["no".into(), "yes".into()],
        max_tokens: 32,
        too_long: TooLong::Drop,
    }
}

fn logits(model: &Classifier) -> Vec<f32> {
    let batch = Batch::pack([&[1, 2, 3, 4][..], &[5], &[6, 7, 10]]);
    model.logits(&batch).into_data().try_to_vec().unwrap()
}

fn close(got: &Classifier, expected: &Classifier) {
    for (got, expected) in logits(got).iter().zip(logits(expected)) {
        assert!((got - expected).abs() < 1e-5, "{got} instead of {expected}");
    }
}

/// Which parameters have a gradient, by name.
fn with_gradients(model: &Classifier, grads: &Gradients) -> Vec<String> {
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

/// Cross entropy on made-up rows.
struct Learn(LabelledRows);

impl Learn {
    fn new() -> Self {
        let rows: Vec<Vec<u32>> = (0..24)
            .map(|r| (0..5).map(|i| (r * 3 + i) % 11).collect())
            .collect();
        let target = |row: &Vec<u32>| {
            let yes = f32::from(u8::from(row.contains(&7)));
            Some(vec![1.0 - yes, yes])
        };
        let targets = rows.iter().map(target).collect();
        Self(LabelledRows::new(rows, targets, (0..24).collect()))
    }
}

impl Objective<Classifier> for Learn {
    type Pass = Loss;

    fn forward(
        &mut self,
        model: &Classifier,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let (logits, tokens) = self.0.logits(model, rows);
        let targets = self.0.targets(rows, &logits.device());
        let value = -(log_softmax(logits, 1) * targets).sum() / info.batch.len() as f64;
        Ok(Loss {
            value,
            tokens,
            metrics: Vec::new(),
        })
    }

    fn loss(&mut self, pass: Loss, _: &[usize], _: StepInfo) -> Result<Loss, TrainError> {
        Ok(pass)
    }
}

fn train(folder: &Path, watch: Watch) -> Result<Classifier, TrainError> {
    let config = TrainConfig {
        schedule: Schedule {
            peak: 0.02,
            warmup_fraction: 0.0,
            decay: Decay::Constant,
        },
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        clip: None,
        micro_batch: None,
        early_stopping: None,
        state_dir: folder.into(),
        metrics_file: folder.join("metrics.jsonl"),
        save_every: Duration::ZERO,
    };
    let start = classifier().with_lora(&lora(), 1).unwrap();
    let batches = Batches::by_examples(24, 8, 10, 0);
    fit(start, &mut Learn::new(), &batches, &config, watch).map(|fitted| fitted.model)
}

#[test]
fn a_new_adapter_changes_nothing_and_leaves_the_head_to_be_trained() {
    let model = classifier().with_lora(&lora(), 1).unwrap();
    assert_eq!(logits(&model), logits(&classifier()));
    let model = model.train();
    let grads = model
        .logits(&Batch::pack([&[1, 2, 3][..]]))
        .sum()
        .backward();
    let names = with_gradients(&model, &grads);
    assert_eq!(names.len(), 2 * 7 * 2 + 1, "{names:?}");
    for name in &names {
        let adapter = name.ends_with(".lora.a") || name.ends_with(".lora.b");
        assert!(adapter || name == "score.weight", "{name}");
    }
}

#[test]
fn training_moves_adapter_and_head_alone_and_resumes_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let whole = train(folder.path(), &mut |_, _| true).unwrap();
    let rows = Learn::new().0;
    let (before, after) = (rows.agreement(&classifier()), rows.agreement(&whole));
    assert!(after > before.max(0.9), "{before} to {after}");
    let head = |model: &Classifier| -> Vec<f32> {
        model.score.weight.val().into_data().try_to_vec().unwrap()
    };
    assert_ne!(head(&whole), head(&classifier()));

    let folder = tempfile::tempdir().unwrap();
    let resumed = loop {
        match train(folder.path(), &mut |_, _| false) {
            Ok(model) => break model,
            Err(TrainError::Stopped { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(logits(&resumed), logits(&whole));

    // Without its adapter and its head the trained model is the base, bit for bit.
    let mut plain = whole;
    plain.score = classifier().score;
    for block in &mut plain.model.layers {
        let (attn, mlp) = (&mut block.self_attn, &mut block.mlp);
        let linears = [
            &mut attn.q_proj,
            &mut attn.k_proj,
            &mut attn.v_proj,
            &mut attn.o_proj,
        ];
        let others = [
            mlp.gate_proj.as_mut().unwrap(),
            &mut mlp.up_proj,
            &mut mlp.down_proj,
        ];
        for linear in linears.into_iter().chain(others) {
            linear.lora = None;
        }
    }
    assert_eq!(logits(&plain), logits(&classifier()));
}

/// A trained classifier in a folder, merged or as adapter on the base in another one.
fn saved(adapter: bool) -> (Classifier, [tempfile::TempDir; 2]) {
    let [state, base_folder, folder] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    save_language_model(&base(), base_folder.path()).unwrap();
    let model = train(state.path(), &mut |_, _| true).unwrap();
    if adapter {
        save_classifier_adapter(&model, &settings(), base_folder.path(), folder.path()).unwrap();
    } else {
        save_classifier(&model, &settings(), folder.path()).unwrap();
    }
    (model, [folder, base_folder])
}

#[test]
fn both_forms_open_as_classifiers() {
    let device = device("flex").unwrap();
    for adapter in [false, true] {
        let (model, [folder, _base]) = saved(adapter);
        let opened = ModelFolder::open(folder.path()).unwrap();
        assert!(opened.is_classifier());
        assert_eq!(opened.is_adapter(), adapter);
        assert_eq!(opened.classifier_settings().unwrap(), settings());
        close(&opened.classifier(&device).unwrap(), &model);
        // The body is a base model again, with what the adapter learnt.
        let body = opened.language_model(&device).unwrap();
        close(
            &Classifier {
                model: body.model,
                score: model.score.clone(),
            },
            &model,
        );
    }
}

#[test]
fn an_adapter_has_the_keys_that_peft_writes() {
    let (_, [folder, base]) = saved(true);
    let text = std::fs::read_to_string(folder.path().join("adapter_config.json")).unwrap();
    let config: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["task_type"], "SEQ_CLS");
    assert_eq!(
        config["modules_to_save"],
        serde_json::json!(["classifier", "score"])
    );
    let base = base.path().canonicalize().unwrap();
    assert_eq!(config["base_model_name_or_path"], base.to_str().unwrap());
    let bytes = std::fs::read(folder.path().join("adapter_model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let head = file.tensor("base_model.model.score.weight").unwrap();
    assert_eq!(head.shape(), [2, 16]);
    assert_eq!(file.len(), 2 * 7 * 2 + 1);
}

#[test]
fn what_is_wrong_with_a_classifiers_adapter_is_said() {
    let device = device("flex").unwrap();
    let (_, [folder, _base]) = saved(true);
    let message = || -> String {
        let opened = ModelFolder::open(folder.path()).unwrap();
        let error: LmError = opened.classifier(&device).unwrap_err();
        error
            .to_string()
            .replace(&folder.path().display().to_string(), "F")
    };
    let file = folder.path().join("classifier.json");
    let three = ClassifierSettings {
        classes: ["a", "b", "c"].map(String::from).into(),
        ..settings()
    };
    std::fs::write(&file, serde_json::to_string(&three).unwrap()).unwrap();
    assert_eq!(
        message(),
        "`F/adapter_model.safetensors` is not usable: tensor `base_model.model.score.weight` is [2, 16], but \
         `classifier.json` names 3 classes"
    );
    std::fs::remove_file(&file).unwrap();
    assert_eq!(message(), "cannot read `F/classifier.json`");
    let file = folder.path().join("adapter_config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("\"classifier\"", "\"lm_head\"")).unwrap();
    std::fs::write(
        folder.path().join("classifier.json"),
        serde_json::to_string(&settings()).unwrap(),
    )
    .unwrap();
    assert_eq!(
        message(),
        "`F/adapter_config.json` asks for `modules_to_save: [\"lm_head\",\"score\"]`, which w2s does not implement"
    );
}
