//! A base model of a few thousand parameters, its tokenizer, pairs of answers it can tell apart, and a store to run in.

use clap::Command;
use serde_json::Value;
use std::path::Path;
use tokenizers::AddedToken;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::{
    Answer, Artifact, ArtifactRef, Key, Kind, Message, Pair, Provenance, Record, Store,
};
use w2s_lm::{DecoderConfig, LanguageModel, device, save_language_model};
use w2s_stage::{Operation, RunOptions};

pub const WORDS: [&str; 14] = [
    "unk", "which", "film", "plot", "cast", "one", "is", "good", "fine", "bad", "poor", "very",
    "and", "long",
];

/// A chat template that ends turns with `<end>`, refuses the content `never`, and puts no white space before an answer.
pub const CHAT: &str = "{% for m in messages %}{% if m.content == 'never' %}{{ raise_exception('never is refused') }}\
     {% endif %}{{ m.role }}:{{ m.content }}<end>{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

/// Writes a model folder with random weights; `words` are its vocabulary, `</s>` follows them.
pub fn base(folder: &Path, words: &[&str], seed: u64) {
    write(folder, words, seed, &["</s>"], "{\"eos_token\": \"</s>\"}");
}

/// The same with the template [`CHAT`]; `</s>` and `<end>` follow its words.
pub fn chat_base(folder: &Path, seed: u64) {
    let settings = serde_json::json!({"eos_token": "</s>", "chat_template": CHAT});
    write(
        folder,
        &WORDS,
        seed,
        &["</s>", "<end>"],
        &settings.to_string(),
    );
}

fn write(folder: &Path, words: &[&str], seed: u64, special: &[&str], settings: &str) {
    let vocabulary = (0..).zip(words).map(|(i, w)| ((*w).to_string(), i));
    let model = WordLevel::builder()
        .vocab(vocabulary.collect())
        .unk_token("unk".into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    let tokens = special.iter().map(|token| AddedToken::from(*token, true));
    tokenizer.add_special_tokens(tokens).unwrap();
    tokenizer
        .save(folder.join("tokenizer.json"), false)
        .unwrap();
    std::fs::write(folder.join("tokenizer_config.json"), settings).unwrap();
    let config = DecoderConfig::scratch(words.len() + special.len(), 2, 16, 2, 24, 32);
    let model = LanguageModel::init(&config, seed, &device("flex").unwrap());
    save_language_model(&model, folder).unwrap();
}

/// Pairs with answers of several lengths; good ones are chosen. Every fifth rejected answer did not come to its end.
pub fn pairs(count: u64) -> Vec<Pair> {
    let answer = |text: String, finished| Answer {
        text,
        source: "world".into(),
        sample: 0,
        score: None,
        tokens: None,
        finished,
    };
    (0..count)
        .map(|id| {
            let what = WORDS[2 + (id % 3) as usize];
            let (good, bad) = (
                WORDS[7 + (id % 2) as usize],
                WORDS[9 + (id / 2 % 2) as usize],
            );
            let longer = if id % 3 == 0 { "and long" } else { "" };
            Pair {
                id: 100 + id,
                prompt: id,
                group: id,
                messages: vec![Message {
                    role: "user".into(),
                    content: format!("which {what} {} ", if id % 4 == 0 { "one" } else { "" }),
                }],
                chosen: answer(format!("{what} is very {good} {longer}"), true),
                rejected: answer(format!("{what} is {bad}"), id % 5 != 4),
                rule: "score".into(),
            }
        })
        .collect()
}

/// An operation with the flags of a command line.
pub fn flags<T: Operation>(line: &str) -> T {
    let command = T::augment_args(Command::new("test").no_binary_name(true));
    let matches = command
        .try_get_matches_from(line.split_whitespace())
        .unwrap();
    T::from_arg_matches(&matches).unwrap()
}

/// A store with base models and pairs.
pub struct Bench {
    folder: tempfile::TempDir,
    pub store: Store,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self { folder, store }
    }

    pub fn base(&self, name: u8, words: &[&str], seed: u64) -> ArtifactRef {
        self.checkpoint(name, |folder| base(folder, words, seed))
    }

    pub fn checkpoint(&self, name: u8, write: impl FnOnce(&Path)) -> ArtifactRef {
        let reference = ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        write(pending.path());
        pending.commit(Provenance::default()).unwrap();
        reference
    }

    pub fn path(&self, reference: ArtifactRef) -> std::path::PathBuf {
        self.store.artifact_dir(&reference)
    }

    /// Records with what a later step reads of their summary.
    pub fn told<T: Record>(&self, name: u8, records: &[T], summary: Value) -> ArtifactRef {
        let reference = ArtifactRef::new(T::KIND, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        pending.write_records(records).unwrap();
        let provenance = Provenance {
            summary,
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap();
        reference
    }

    pub fn records<T: Record>(&self, name: u8, records: &[T]) -> ArtifactRef {
        self.told(name, records, Value::Null)
    }

    pub fn run<T: Operation>(&self, line: &str) -> anyhow::Result<Artifact> {
        let options = RunOptions::new(self.folder.path());
        let operation = flags::<T>(line);
        operation.check()?;
        Ok(w2s_stage::run("student", &operation, &options)?.artifact)
    }
}

/// The trained weights of a checkpoint.
pub fn weights(artifact: &Artifact) -> Vec<u8> {
    std::fs::read(artifact.file("model.safetensors")).unwrap()
}

/// The flags of an operation.
pub fn flag_names<T: Operation>() -> Vec<String> {
    let command = T::augment_args(Command::new("test"));
    let flags = command.get_arguments();
    flags.filter_map(|flag| flag.get_long().map(str::to_owned)).collect()
}

/// What clap says to a command line of an operation.
pub fn unparsed<T: Operation>(line: &str) -> String {
    let command = T::augment_args(Command::new("test").no_binary_name(true));
    let refused = command.try_get_matches_from(line.split_whitespace());
    refused.unwrap_err().to_string()
}
