//! A base model of a few thousand parameters, its tokenizer, and pairs of answers it can tell apart.

use std::path::Path;
use tokenizers::AddedToken;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::{Answer, Message, Pair};
use w2s_lm::{DecoderConfig, LanguageModel, device, save_language_model};

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
                confidence: None,
                gold: None,
            }
        })
        .collect()
}
