//! Model folders: what is written reads back, and what is wrong with one is said.

use safetensors::tensor::{Dtype, TensorView};
use safetensors::{SafeTensors, serialize_to_file};
use std::path::Path;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_lm::{
    Batch, ClassModel, Classifier, ClassifierArgs, ClassifierSettings, DecoderConfig, Family,
    LanguageModel, LmError, LoraArgs, LoraSave, ModelFolder, PromptArgs, Tokenizer, TooLong,
    device, save_classifier, save_language_model,
};

fn llama() -> DecoderConfig {
    let mut config = DecoderConfig::scratch(11, 2, 16, 4, 24, 32);
    config.kv_heads = 2;
    config
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

fn batch() -> Batch {
    Batch::pack([&[1, 2, 3, 4][..], &[5], &[6, 7, 10]])
}

fn logits(model: &LanguageModel) -> Vec<f32> {
    model
        .logits(&batch(), &[0, 3, 4, 7])
        .into_data()
        .try_to_vec()
        .unwrap()
}

fn write_tokenizer(folder: &Path, words: &[&str]) {
    let vocabulary = words
        .iter()
        .enumerate()
        .map(|(i, w)| ((*w).to_string(), i as u32))
        .collect();
    let model = WordLevel::builder()
        .vocab(vocabulary)
        .unk_token(words[0].into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer
        .save(folder.join("tokenizer.json"), false)
        .unwrap();
}

const WORDS: [&str; 11] = ["unk", "a", "b", "c", "d", "e", "f", "good", "bad", "g", "h"];

fn folder(config: &DecoderConfig) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = LanguageModel::init(config, 3, &device("flex").unwrap());
    save_language_model(&model, folder.path()).unwrap();
    write_tokenizer(folder.path(), &WORDS);
    folder
}

fn load(folder: &Path) -> Result<LanguageModel, LmError> {
    ModelFolder::open(folder)?.language_model(&device("flex")?)
}

#[test]
fn both_families_read_back_what_they_wrote() {
    for config in [
        llama(),
        gpt2(),
        DecoderConfig {
            tied: false,
            ..llama()
        },
    ] {
        let model = LanguageModel::init(&config, 3, &device("flex").unwrap());
        let folder = folder(&config);
        let read = load(folder.path()).unwrap();
        assert_eq!(
            read.model.config(),
            &DecoderConfig {
                pad: read.model.config().pad,
                ..config
            }
        );
        assert_eq!(logits(&read), logits(&model));
    }
}

#[test]
fn gpt2_has_the_fused_and_transposed_layout() {
    let folder = folder(&gpt2());
    let bytes = std::fs::read(folder.path().join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let shape = |name: &str| file.tensor(name).unwrap().shape().to_vec();
    assert_eq!(shape("transformer.h.0.attn.c_attn.weight"), [16, 48]);
    assert_eq!(shape("transformer.h.1.attn.c_attn.bias"), [48]);
    assert_eq!(shape("transformer.h.0.mlp.c_fc.weight"), [16, 64]);
    assert_eq!(shape("transformer.wpe.weight"), [32, 16]);
    assert_eq!(shape("transformer.ln_f.bias"), [16]);
}

/// Type, shape and bytes of a tensor in a file.
type Stored = (Dtype, Vec<usize>, Vec<u8>);

/// Writes the tensors of a folder again, changed.
fn rewrite(folder: &Path, change: impl Fn(&str, Dtype, Vec<usize>, Vec<u8>) -> Option<Stored>) {
    rewrite_file(&folder.join("model.safetensors"), change);
}

fn rewrite_file(path: &Path, change: impl Fn(&str, Dtype, Vec<usize>, Vec<u8>) -> Option<Stored>) {
    let bytes = std::fs::read(path).unwrap();
    let tensors: Vec<(String, Stored)> = SafeTensors::deserialize(&bytes)
        .unwrap()
        .tensors()
        .into_iter()
        .filter_map(|(name, view)| {
            let changed = change(
                &name,
                view.dtype(),
                view.shape().to_vec(),
                view.data().to_vec(),
            )?;
            Some((name, changed))
        })
        .collect();
    let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
        (name, TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    serialize_to_file(views, None, path).unwrap();
}

#[test]
fn half_precision_reads_within_its_rounding() {
    let whole = logits(&load(folder(&llama()).path()).unwrap());
    for (dtype, tolerance) in [(Dtype::F16, 1e-3), (Dtype::BF16, 1e-2)] {
        let folder = folder(&llama());
        rewrite(folder.path(), |_, _, shape, bytes| {
            let values = bytes
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
            let half = values.flat_map(|v| match dtype {
                Dtype::F16 => half::f16::from_f32(v).to_le_bytes(),
                _ => half::bf16::from_f32(v).to_le_bytes(),
            });
            Some((dtype, shape, half.collect()))
        });
        for (got, expected) in logits(&load(folder.path()).unwrap()).iter().zip(&whole) {
            assert!(
                (got - expected).abs() < tolerance,
                "{dtype:?}: {got} instead of {expected}"
            );
        }
    }
}

#[test]
fn shards_are_found_through_their_index() {
    let folder = folder(&llama());
    let expected = logits(&load(folder.path()).unwrap());
    let path = folder.path();
    std::fs::copy(
        path.join("model.safetensors"),
        path.join("model-00002-of-00002.safetensors"),
    )
    .unwrap();
    let second = path.join("model-00002-of-00002.safetensors");
    rewrite(path, |name, d, s, b| {
        name.contains("layers.0").then_some((d, s, b))
    });
    rewrite_file(&second, |name, d, s, b| {
        (!name.contains("layers.0")).then_some((d, s, b))
    });
    std::fs::rename(
        path.join("model.safetensors"),
        path.join("model-00001-of-00002.safetensors"),
    )
    .unwrap();
    let index = r#"{"weight_map": {"model.layers.0.input_layernorm.weight": "model-00001-of-00002.safetensors",
        "model.norm.weight": "model-00002-of-00002.safetensors"}}"#;
    std::fs::write(path.join("model.safetensors.index.json"), index).unwrap();
    assert_eq!(logits(&load(path).unwrap()), expected);
}

fn message(folder: &Path) -> String {
    load(folder)
        .unwrap_err()
        .to_string()
        .replace(&folder.display().to_string(), "F")
}

#[test]
fn folders_without_weights_are_refused() {
    let folder = folder(&llama());
    std::fs::remove_file(folder.path().join("model.safetensors")).unwrap();
    assert_eq!(
        message(folder.path()),
        "model folder `F` has no `model.safetensors`\n\
         hint: name the folder that holds config.json, model.safetensors and tokenizer.json"
    );
    std::fs::write(folder.path().join("pytorch_model.bin"), b"").unwrap();
    assert_eq!(
        message(folder.path()),
        "model folder `F` has no `model.safetensors`, and pickle weights are not read: they can run code\n\
         hint: convert them in Python: `AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)`"
    );
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(message(empty.path()), "cannot read `F/config.json`");
}

#[test]
fn missing_and_misshapen_tensors_are_named() {
    let folder = folder(&llama());
    rewrite(folder.path(), |name, d, s, b| {
        (name != "model.layers.1.mlp.up_proj.weight").then_some((d, s, b))
    });
    assert_eq!(
        message(folder.path()),
        "`F` has no tensor `model.layers.1.mlp.up_proj.weight`, which its config.json calls for"
    );
    let folder = self::folder(&llama());
    rewrite(folder.path(), |name, d, s, b| {
        let s = if name == "model.norm.weight" {
            vec![4, 4]
        } else {
            s
        };
        Some((d, s, b))
    });
    assert_eq!(
        message(folder.path()),
        "tensor `model.norm.weight` of `F` is [4, 4], but its config.json says [16]"
    );
}

#[test]
fn a_vocabulary_larger_than_the_embedding_is_refused() {
    let folder = folder(&llama());
    let mut words = WORDS.to_vec();
    words.push("extra");
    write_tokenizer(folder.path(), &words);
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    let text = tokenizer.fits(11).unwrap_err().to_string();
    assert!(
        text.ends_with("has 12 tokens, but the embedding has 11 rows"),
        "{text}"
    );
    assert!(tokenizer.fits(12).is_ok());
}

fn settings() -> ClassifierSettings {
    ClassifierSettings {
        template: "a {text} b".into(),
        classes: vec!["no".into(), "yes".into()],
        max_tokens: 5,
        too_long: TooLong::Drop,
    }
}

#[test]
fn a_classifier_reads_back_with_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let device = device("flex").unwrap();
    let base = LanguageModel::init(&llama(), 3, &device);
    let model = Classifier::word_head(base, &[7, 8], &device);
    save_classifier(&model, &settings(), folder.path()).unwrap();
    let opened = ModelFolder::open(folder.path()).unwrap();
    assert!(opened.is_classifier());
    assert_eq!(opened.classifier_settings().unwrap(), settings());
    let read = opened.classifier(&device).unwrap();
    let values = |m: &Classifier| m.logits(&batch()).into_data().try_to_vec::<f32>().unwrap();
    assert_eq!(values(&read), values(&model));
    // The body of a classifier is a base model again.
    assert!(opened.language_model(&device).is_ok());
}

#[test]
fn label_words_start_the_head_from_the_unembedding() {
    let folder = folder(&llama());
    let args = |words: &[&str]| ClassifierArgs {
        prompt: PromptArgs {
            template: "{text}".into(),
            max_tokens: None,
            too_long: TooLong::Drop,
        },
        label_words: words.iter().map(|w| (*w).to_string()).collect(),
        lora: LoraArgs {
            lora_rank: 0,
            lora_alpha: None,
            lora_targets: vec!["all".into()],
            lora_save: LoraSave::Merged,
        },
    };
    let classes = ["no".to_string(), "yes".to_string()];
    let device = device("flex").unwrap();
    let start = |words: &[&str]| args(words).start(folder.path(), &classes, 0, &device);
    let (model, _, _) = start(&["bad", "good"]).unwrap();
    let unembedding: Vec<f32> = load(folder.path())
        .unwrap()
        .unembedding()
        .into_data()
        .try_to_vec()
        .unwrap();
    let head: Vec<f32> = model.score.weight.val().into_data().try_to_vec().unwrap();
    assert_eq!(head[..16], unembedding[8 * 16..9 * 16]);
    assert_eq!(head[16..], unembedding[7 * 16..8 * 16]);
    let (zero, _, _) = start(&[]).unwrap();
    assert_eq!(
        zero.score
            .weight
            .val()
            .into_data()
            .try_to_vec::<f32>()
            .unwrap(),
        [0.0; 32]
    );
    let text = |words: &[&str]| start(words).err().unwrap().to_string();
    assert_eq!(text(&["good"]), "1 label words for 2 classes (no, yes)");
    assert_eq!(
        text(&["good bad", "a"]),
        "label word `good bad` is 2 tokens, not one"
    );
}

#[test]
fn long_texts_are_dropped_or_cut_and_counted() {
    let folder = folder(&llama());
    let tokenizer = Tokenizer::load(folder.path()).unwrap();
    let texts = ["c d", "c d e f", "g"];
    let dropped = settings().encode(&tokenizer, texts).unwrap();
    assert_eq!(
        (dropped.rows, dropped.dropped, dropped.truncated),
        (vec![0, 2], 1, 0)
    );
    assert_eq!(dropped.sequences[0], [1, 3, 4, 2]);
    let cut = ClassifierSettings {
        too_long: TooLong::Truncate,
        ..settings()
    };
    let cut = cut.encode(&tokenizer, texts).unwrap();
    assert_eq!(
        (cut.rows, cut.dropped, cut.truncated),
        (vec![0, 1, 2], 0, 1)
    );
    assert_eq!(cut.sequences[1], [1, 3, 4, 5, 6]);
}

#[test]
fn batched_probabilities_are_those_of_each_alone() {
    let device = device("flex").unwrap();
    let base = LanguageModel::init(&llama(), 3, &device);
    let model = Classifier::word_head(base, &[7, 8], &device);
    let sequences: Vec<Vec<u32>> = (1..9)
        .map(|n| (0..n).map(|i| (i * 3 + n) % 11).collect())
        .collect();
    let together = model.probabilities(&sequences, &mut |_| true).unwrap();
    for (sequence, row) in sequences.iter().zip(&together) {
        let alone = model
            .probabilities(std::slice::from_ref(sequence), &mut |_| true)
            .unwrap();
        for (a, b) in row.iter().zip(&alone[0]) {
            assert!((a - b).abs() < 1e-6);
        }
    }
    assert_eq!(model.probabilities(&sequences, &mut |_| false), None);
}
