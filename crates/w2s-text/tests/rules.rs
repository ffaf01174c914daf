//! The rules of tokens by hand, on a vocabulary of a few letters: where the answer begins and ends, what begins a text, what
//! does not fit, and what cannot be.

use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use w2s_text::{ChatTemplate, Encoded, Encoder, Fit, TextError, Tokenizer, Turn};

/// Byte-pair tokens; `ab` and `b.` are one token each, unless a special token stands between.
const VOCABULARY: [&str; 9] = ["<s>", "</s>", "<end>", "a", "b", ".", "ab", "b.", " "];
const BOS: u32 = 0;
const EOS: u32 = 1;
const END: u32 = 2;
const A: u32 = 3;
const B: u32 = 4;
const DOT: u32 = 5;
const AB: u32 = 6;
const SPACE: u32 = 8;

fn write(folder: &Path, name: &str, content: &Value) {
    std::fs::write(folder.join(name), content.to_string()).unwrap();
}

/// A model folder with this vocabulary and these settings.
fn folder(settings: Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let vocabulary = VOCABULARY.iter().zip(0..);
    let vocabulary: serde_json::Map<_, _> = vocabulary
        .map(|(token, id): (_, u32)| ((*token).to_owned(), id.into()))
        .collect();
    let special = |id: usize| {
        json!({"id": id, "content": VOCABULARY[id], "special": true, "single_word": false,
               "lstrip": false, "rstrip": false, "normalized": false})
    };
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [special(0), special(1), special(2)],
        "model": {"type": "BPE", "vocab": vocabulary, "merges": [["a", "b"], ["b", "."]]},
    });
    write(folder.path(), "tokenizer.json", &tokenizer);
    write(folder.path(), "tokenizer_config.json", &settings);
    folder
}

/// A user's words, then the answer and `<end>` with a dot behind, as a template may have a line break there.
const MARKED: &str = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<end>.{% endif %}{% endfor %}";

fn encoder(settings: Value, max_tokens: usize) -> Encoder {
    Encoder::load(folder(settings).path(), max_tokens).unwrap()
}

fn plain() -> Encoder {
    encoder(json!({"eos_token": "</s>"}), 8)
}

fn marked() -> Encoder {
    encoder(json!({"eos_token": "</s>", "chat_template": MARKED}), 8)
}

fn user(content: &str) -> [Turn<'_>; 1] {
    [Turn {
        role: "user",
        content,
    }]
}

fn fits(ids: &[u32], start: usize) -> Fit {
    Fit::Fits(Encoded {
        ids: ids.to_vec(),
        answer: start..ids.len(),
        cut: 0,
        cut_bytes: 0,
    })
}

fn answer(encoder: &Encoder, prompt: &str, text: &str, finished: bool) -> Fit {
    encoder.answer(&user(prompt), text, finished).unwrap()
}

#[test]
fn a_plain_answer_ends_with_eos_if_it_is_finished() {
    assert_eq!(answer(&plain(), "a", ".", true), fits(&[A, DOT, EOS], 1));
    assert_eq!(answer(&plain(), "a", ".", false), fits(&[A, DOT], 1));
    assert_eq!(plain().stop_ids(), [EOS]);
    assert_eq!(plain().prompt(&user("a")).unwrap(), [A]);
}

#[test]
fn a_template_ends_its_answers_itself() {
    let encoder = marked();
    // The dot behind `<end>` is no part of the answer.
    assert_eq!(answer(&encoder, "a", ".", true), fits(&[A, DOT, END], 1));
    assert_eq!(answer(&encoder, "a", ".", false), fits(&[A, DOT], 1));
    assert_eq!(encoder.stop_ids(), [END, EOS]);
    assert_eq!(
        answer(&encoder.clone().plain(), "a", ".", true),
        fits(&[A, DOT, EOS], 1)
    );
    assert_eq!(encoder.plain().stop_ids(), [EOS]);
}

#[test]
fn a_template_without_an_end_gets_eos() {
    let template = "{% for m in messages %}{{ m.content }}.{% endfor %}";
    let settings = json!({"eos_token": {"content": "</s>"}, "chat_template": template});
    let encoder = encoder(settings, 8);
    // The dot would be one token with the answer's last letter, and it is none of its.
    assert_eq!(
        answer(&encoder, "a", "ab", true),
        fits(&[A, DOT, AB, EOS], 2)
    );
    assert_eq!(answer(&encoder, "a", "ab", false), fits(&[A, DOT, AB], 2));
}

#[test]
fn a_token_across_the_boundary_is_the_answers() {
    assert_eq!(
        answer(&plain(), ".a", "b.", false),
        fits(&[DOT, AB, DOT], 1)
    );
    assert_eq!(plain().prompt(&user(".a")).unwrap(), [DOT, A]);
    let apart = plain().separate(true);
    assert_eq!(answer(&apart, ".a", "b.", false), fits(&[DOT, A, 7], 2));
    // The prompt's only token is the answer's then, and nothing is left to predict it from.
    assert_eq!(answer(&plain(), "a", "b", false), Fit::Empty);
}

#[test]
fn what_a_template_strips_is_not_missed() {
    let template = "{% for m in messages %}{{ m.content.strip() }}{% if m.role == 'assistant' %} </s>{% endif %}{% endfor %}";
    let encoder = encoder(json!({"eos_token": "</s>", "chat_template": template}), 8);
    // A space of the template's own stands before the end, as Llama 2 has it.
    assert_eq!(
        answer(&encoder, "a. ", "  b ", true),
        fits(&[A, DOT, B, SPACE, EOS], 2)
    );
    assert_eq!(
        answer(&encoder, "a. ", "  b ", false),
        fits(&[A, DOT, B], 2)
    );
}

#[test]
fn a_generation_prompt_the_whole_text_lacks_is_no_part_of_it() {
    let template = "{% for m in messages %}{{ m.content }}.{% endfor %}{% if add_generation_prompt %}ab{% endif %}";
    let encoder = encoder(json!({"eos_token": "</s>", "chat_template": template}), 8);
    assert_eq!(encoder.prompt(&user("a")).unwrap(), [A, DOT, AB]);
    assert_eq!(answer(&encoder, "a", "b", true), fits(&[A, DOT, B, EOS], 2));
}

#[test]
fn one_bos_whoever_writes_it() {
    let settings = |template: Option<&str>| json!({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": true, "chat_template": template});
    for template in [None, Some(MARKED)] {
        let encoder = encoder(settings(template), 8);
        for prompt in ["a", "<s>a", "<s><s>a"] {
            let prompt = user(prompt);
            assert_eq!(encoder.prompt(&prompt).unwrap(), [BOS, A]);
            let fit = encoder.answer(&prompt, ".", false).unwrap();
            assert_eq!(fit, fits(&[BOS, A, DOT], 2));
        }
    }
    // A token before the answer is enough to predict it from.
    let encoder = encoder(settings(None), 8);
    assert_eq!(answer(&encoder, "", "a", false), fits(&[BOS, A], 1));
    let without = json!({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": false});
    let encoder = self::encoder(without, 8);
    assert_eq!(encoder.prompt(&user("a")).unwrap(), [A]);
}

#[test]
fn what_does_not_fit_is_reported_and_not_cut() {
    let encoder = plain();
    let eight = "a.a.a.";
    assert_eq!(
        answer(&encoder, "a", eight, true),
        fits(&[A, A, DOT, A, DOT, A, DOT, EOS], 1)
    );
    let nine = answer(&encoder, "..", "a.a.a.", true);
    assert_eq!(nine, Fit::TooLong { tokens: 9 });
    assert_eq!(nine.reason(), Some("too_long"));
    let full = answer(&encoder, "........", ".", true);
    assert_eq!(full, Fit::NoRoom { prompt_tokens: 8 });
    assert_eq!(full.reason(), Some("no_room"));
    for blank in ["", " ", "\n"] {
        assert_eq!(answer(&encoder, "a", blank, true), Fit::Empty);
    }
    assert_eq!(answer(&encoder, "", "a", true), Fit::Empty);
    let token = Fit::EndsInside { token: EOS };
    assert_eq!(answer(&encoder, "a", ".</s>.", false), token);
}

#[test]
fn a_cut_answer_is_unfinished() {
    let encoder = plain().truncate(true);
    let cut = |ids: &[u32], start, cut, cut_bytes| {
        Fit::Fits(Encoded {
            ids: ids.to_vec(),
            answer: start..ids.len(),
            cut,
            cut_bytes,
        })
    };
    assert_eq!(
        answer(&encoder, "..", "a.a.a.", true),
        cut(&[DOT, DOT, A, DOT, A, DOT, A, DOT], 2, 1, 0)
    );
    assert_eq!(
        answer(&encoder, ".......", "a.a", false),
        cut(&[DOT, DOT, DOT, DOT, DOT, DOT, DOT, A], 7, 2, 2)
    );
    let room = answer(&encoder, "........", ".", true);
    assert_eq!(room, Fit::NoRoom { prompt_tokens: 8 });
}

#[test]
fn templates_see_what_python_shows() {
    let render = |template: &str| {
        let folder = folder(
            json!({"chat_template": [{"name": "other", "template": "no"},
                                                     {"name": "default", "template": template}]}),
        );
        let turns = user("<a> ü");
        ChatTemplate::load(folder.path()).and_then(|t| t.render(&turns, true))
    };
    let cases = [
        (
            "{{ messages | tojson }}",
            r#"[{"role": "user", "content": "<a> ü"}]"#,
        ),
        (
            "{{ ['a', 1, none] | tojson(indent=2) }}",
            "[\n  \"a\",\n  1,\n  null\n]",
        ),
        ("a\n{% generation %}\nb\n{%- endgeneration -%}\n c", "a\nbc"),
        ("{{ true }} {{ none }} {{ tools }}", "True None None"),
        (
            "{{ bos_token is defined }} {{ strftime_now is defined }}",
            "False False",
        ),
        (
            "{% for i in [1, 2, 3] %}{% if i == 2 %}{% continue %}{% endif %}{{ i }}{% endfor %}",
            "13",
        ),
        (
            "{% for k, v in messages[0].items() %}{{ k }}={{ v.upper() }};{% endfor %}",
            "role=USER;content=<A> Ü;",
        ),
    ];
    for (template, expected) in cases {
        assert_eq!(render(template).unwrap(), expected, "{template}");
    }
    let line = |template| match render(template).unwrap_err() {
        TextError::Template { line, message, .. } => (line, message),
        other => panic!("{other}"),
    };
    let raised = "\n\n{{ raise_exception('no ' + messages[0].role) }}";
    assert_eq!(line(raised), (3, "no user".into()));
    assert_eq!(line("\n{% if %}").0, 2);
    assert_eq!(
        line("{{ messages[0].name.first }}"),
        (1, "`messages[0].name` is undefined".into())
    );
}

#[test]
fn the_file_beside_the_settings_comes_first() {
    let folder = folder(json!({"eos_token": "</s>", "chat_template": MARKED}));
    let settings = ChatTemplate::load(folder.path()).unwrap();
    std::fs::write(
        folder.path().join("chat_template.jinja"),
        "b{{ eos_token }}",
    )
    .unwrap();
    let file = ChatTemplate::load(folder.path()).unwrap();
    assert_eq!(file.render(&user("a"), true).unwrap(), "b</s>");
    assert_ne!(file.hash(), settings.hash());
    assert_eq!(ChatTemplate::plain().hash(), "plain");

    let copy = tempfile::tempdir().unwrap();
    Tokenizer::load(folder.path())
        .unwrap()
        .save(copy.path())
        .unwrap();
    assert_eq!(ChatTemplate::load(copy.path()).unwrap().hash(), file.hash());
    let hash = |folder: &Path| Tokenizer::load(folder).unwrap().hash().unwrap();
    assert_eq!(hash(copy.path()), hash(folder.path()));
}

fn refused(settings: Value) -> String {
    let folder = folder(settings);
    let error = Encoder::load(folder.path(), 8).err().expect("an error");
    error
        .to_string()
        .replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn unknown_special_tokens_are_named() {
    assert_eq!(
        refused(json!({"eos_token": {"content": "<eos>"}})),
        "the eos_token `<eos>` of `tokenizer_config.json` is not in the vocabulary of its tokenizer.json"
    );
    assert_eq!(
        refused(json!({"bos_token": "<bos>", "add_bos_token": true})),
        "the bos_token `<bos>` of `tokenizer_config.json` is not in the vocabulary of its tokenizer.json"
    );
    let folder = folder(json!({}));
    write(
        folder.path(),
        "config.json",
        &json!({"eos_token_id": [1, 2]}),
    );
    assert_eq!(Encoder::load(folder.path(), 8).unwrap().stop_ids(), [EOS]);
    write(folder.path(), "config.json", &json!({"eos_token_id": 99}));
    let error = Encoder::load(folder.path(), 8).err().unwrap().to_string();
    assert!(error.starts_with("the eos_token_id `99` of"), "{error}");
}

#[test]
fn templates_that_cannot_work_are_refused_at_once() {
    assert_eq!(
        refused(json!({"chat_template": "{{ raise_exception('never') }}"})),
        "the chat template of `tokenizer_config.json` fails at line 1: never"
    );
    assert_eq!(
        refused(
            json!({"chat_template": "{% for m in messages %}{{ m.content | length }}{% endfor %}"})
        ),
        "the chat template of `tokenizer_config.json` changes what stands around an answer with the answer, so its tokens \
         cannot be told apart:\nexpected: \"13\"\nrendered: \"11\""
    );
    assert_eq!(
        refused(json!({"chat_template": 3})),
        "`tokenizer_config.json` is not usable: `chat_template` is neither a text nor a list of named texts"
    );
}

#[test]
fn a_finished_answer_needs_a_token_to_end_it() {
    let encoder = encoder(json!({}), 8);
    assert_eq!(answer(&encoder, "a", ".", false), fits(&[A, DOT], 1));
    let error = encoder.answer(&user("a"), ".", true).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the model folder names no token that ends an answer\n\
         hint: name its `eos_token` in tokenizer_config.json"
    );
}

proptest! {
    #[test]
    fn whatever_is_said_ends_once_and_begins_once(prompt in "[ab. ]{1,6}", text in "[ab. ]{1,6}", bos: bool) {
        let settings = json!({"bos_token": "<s>", "eos_token": "</s>", "add_bos_token": bos, "chat_template": MARKED});
        let marked = encoder(settings, 64);
        for encoder in [marked.clone(), marked.clone().plain(), marked.separate(true)] {
            let (Fit::Fits(whole), Fit::Fits(open)) = (
                answer(&encoder, &prompt, &text, true),
                answer(&encoder, &prompt, &text, false),
            ) else {
                return Ok(());
            };
            let stops = encoder.stop_ids();
            let ends = |ids: &[u32]| ids.iter().filter(|id| stops.contains(id)).count();
            prop_assert_eq!(ends(&whole.ids), 1);
            prop_assert_eq!(ends(&whole.ids[whole.ids.len() - 1..]), 1);
            prop_assert_eq!(ends(&open.ids), 0);
            prop_assert_eq!(&whole.ids[..open.ids.len()], &open.ids[..]);
            prop_assert_eq!(whole.answer.len(), open.answer.len() + 1);
            let begins = whole.ids.iter().filter(|id| **id == BOS).count();
            prop_assert_eq!(begins, usize::from(bos));
            // All that was said is in the loss, and nothing else but what shares a token with it.
            let said: String = open.ids[open.answer].iter().map(|id| VOCABULARY[*id as usize]).collect();
            prop_assert!(said.ends_with(&text) && said.len() <= text.len() + 1, "{said} for {text}");
        }
    }
}
