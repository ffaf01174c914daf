//! Chat templates as people write them, rendered as Jinja2 3.1.6 renders them with the settings of transformers 5, and what
//! is an error instead. The templates in `templates/` were rebuilt from public bug reports.

use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;
use w2s_text::{ChatTemplate, Encoded, Encoder, Fit, TextError, Turn};

const TURNS: [Turn; 4] = [
    turn("system", "Be brief."),
    turn("user", "What is 2 and 3?"),
    turn("assistant", "Five."),
    turn("user", "And 4?"),
];

const fn turn(role: &'static str, content: &'static str) -> Turn<'static> {
    Turn { role, content }
}

/// What most of the templates make of these turns.
const CHATML: &str = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhat is 2 and 3?<|im_end|>\n\
                      <|im_start|>assistant\nFive.<|im_end|>\n<|im_start|>user\nAnd 4?<|im_end|>\n<|im_start|>assistant\n";

fn case(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/templates");
    std::fs::read_to_string(path.join(name)).unwrap()
}

/// A model folder with a byte-pair tokenizer of a few letters, in which `<end>` is an added token, special or not.
fn folder(template: &str, settings: Value, special: bool) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let token = |id: u32, content: &str, special: bool| {
        json!({"id": id, "content": content, "special": special, "single_word": false,
               "lstrip": false, "rstrip": false, "normalized": false})
    };
    let tokenizer = json!({
        "version": "1.0",
        "added_tokens": [token(0, "</s>", true), token(1, "<end>", special), token(2, "<stop>", special)],
        "model": {"type": "BPE", "merges": [],
            "vocab": {"</s>": 0, "<end>": 1, "<stop>": 2, "a": 3, "b": 4, ".": 5, " ": 6, "<": 7, ">": 8, "/": 9, "t": 10, "\n": 11}},
    });
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
    write("tokenizer.json", tokenizer.to_string());
    write("tokenizer_config.json", settings.to_string());
    write("chat_template.jinja", template.into());
    folder
}

fn render_with(template: &str, settings: Value) -> Result<String, TextError> {
    let folder = folder(template, settings, true);
    ChatTemplate::load(folder.path())?.render(&TURNS, true)
}

fn render(template: &str) -> Result<String, TextError> {
    render_with(template, json!({}))
}

fn complaint(template: &str) -> (usize, String) {
    match render(template).unwrap_err() {
        TextError::Template { line, message, .. } => (line, message),
        other => panic!("{template}: {other}"),
    }
}

#[test]
fn templates_of_the_field_render_as_jinja_renders_them() {
    let tokens = json!({"pad_token": "<pad>", "unk_token": {"content": "<unk>"}});
    let render = |name: &str| render_with(&case(name), tokens.clone()).unwrap();
    for name in [
        "plain.jinja",
        "macro.jinja",
        "percent_format.jinja",
        "slice_var.jinja",
        "think_strip.jinja",
    ] {
        assert_eq!(render(name), CHATML, "{name}");
    }
    assert_eq!(render("pad_token.jinja"), format!("<pad><unk>{CHATML}"));
    let dated = "<|im_start|>system\nToday is 26 Jul 2024.<|im_end|>\n";
    assert_eq!(render("strftime_guarded.jinja"), format!("{dated}{CHATML}"));
    let marked = CHATML.replace("Five.<|im_end|>\n", "Five.<|im_end|>");
    assert_eq!(render("gen_two_spaces.jinja"), marked);
    let tight = marked.replace("assistant\nFive", "assistantFive");
    assert_eq!(render("gen_tight.jinja"), tight);
}

#[test]
fn line_breaks_are_those_of_jinja() {
    let breaks = |with| case("plain.jinja").replace('\n', with);
    for with in ["\r\n", "\r"] {
        assert_eq!(render(&breaks(with)).unwrap(), CHATML, "{with:?}");
    }
}

#[test]
fn what_is_set_in_a_generation_block_stays_there() {
    let template =
        "{% set a = 1 %}{% generation %}{% set a = 2 %}{{ a }}{% endgeneration %}{{ a }}";
    assert_eq!(render(template).unwrap(), "21");
}

#[test]
fn special_tokens_are_given_by_all_their_names() {
    let settings = json!({"cls_token": "<c>", "additional_special_tokens": ["<x>", {"content": "<y>"}],
                          "extra_special_tokens": {"image_token": "<i>"}});
    let template = "{{ cls_token }}{{ additional_special_tokens | join(' ') }}{{ image_token }}";
    let text = render_with(template, settings.clone()).unwrap();
    assert_eq!(text, "<c><x> <y><i>");
    // The hash covers those that the template can ask for.
    let hash = |template: &str, settings: Value| {
        ChatTemplate::load(folder(template, settings, true).path())
            .unwrap()
            .hash()
    };
    let other = json!({"cls_token": "<d>"});
    assert_ne!(
        hash(template, settings.clone()),
        hash(template, other.clone())
    );
    assert_eq!(hash("a", settings), hash("a", other));
}

#[test]
fn undefined_is_false_and_never_empty() {
    let hint = "\nhint: name the token in tokenizer_config.json";
    assert_eq!(
        complaint(&case("pad_token.jinja")),
        (1, format!("`pad_token` is undefined{hint}"))
    );
    for used in [
        "\n{{ messages[0].name }}",
        "\n{{ 'a' ~ messages[0].name }}",
        "\n{{ 'a' + messages[0].name }}",
        "\n{% for x in messages[0].name %}{% endfor %}",
        "\n{{ messages[0].name | trim }}",
    ] {
        let (line, message) = complaint(used);
        assert_eq!(line, 2, "{used}");
        assert!(message.contains("messages[0].name"), "{used}: {message}");
    }
    assert!(complaint("{{ name | tojson }}").1.contains("undefined"));
    for (asked, expected) in [
        ("{% if name %}a{% else %}b{% endif %}", "b"),
        (
            "{% if tools %}a{% endif %}{% if not tools %}b{% endif %}",
            "b",
        ),
        (
            "{{ name is defined }}{{ messages[0].tool_calls is defined }}",
            "FalseFalse",
        ),
        ("{{ name | default('a') }}{{ name or 'b' }}", "ab"),
        ("{{ 'a' if name }}{{ 'a' if name else 'b' }}", "b"),
        ("{% if name == 'a' or not name %}b{% endif %}", "b"),
    ] {
        assert_eq!(render(asked).unwrap(), expected, "{asked}");
    }
}

#[test]
fn todays_date_is_left_out_on_purpose() {
    let (line, message) = complaint("\n{{ strftime_now('%Y') }}");
    assert_eq!(line, 2);
    assert!(
        message.starts_with("`strftime_now` is left out on purpose"),
        "{message}"
    );
    assert!(message.contains("strftime_now is defined"), "{message}");
}

#[test]
fn methods_do_what_python_does() {
    for (template, expected) in [
        ("{{ ', '.join(['a', 'b']) }}{{ ''.join([]) }}", "a, b"),
        ("{{ '{} {b:>3}'.format('a', b=1) }}", "a   1"),
        (
            "{{ 'a b  c'.split() | length }}{{ 'a,b'.split(',')[1] }}",
            "3b",
        ),
        (
            "{{ 'abc'.startswith(('x', 'a')) }}{{ [1, 2, 1].count(1) }}",
            "True2",
        ),
        (
            "{{ {'a': 1}.get('b', 2) }}{{ 'aXa'.replace('a', 'bb') }}",
            "2bbXbb",
        ),
        ("{{ ['ü'] | tojson(ensure_ascii=false) }}", "[\"ü\"]"),
    ] {
        assert_eq!(render(template).unwrap(), expected, "{template}");
    }
    assert!(
        complaint("{{ ','.join([1]) }}")
            .1
            .contains("join expects texts")
    );
}

#[test]
fn a_template_that_cuts_an_answer_is_refused() {
    let folder = folder(
        &case("think_strip.jinja"),
        json!({"eos_token": "</s>"}),
        true,
    );
    let encoder = Encoder::load(folder.path(), 4096).unwrap();
    let prompt = [turn("user", "What is 2 and 3?")];
    let error = encoder
        .answer(&prompt, "<think>\nTwo.\n</think>\n\nFive.", true)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the chat template of `{}` changes an answer:\n\
             said: \"<think>\\nTwo.\\n</think>\\n\\nFive.\"\n\
             rendered: \"Five.\"\n\
             hint: leave out the rows that it changes, or write the template without the cut (`chat_template.jinja` comes first)",
            folder.path().join("chat_template.jinja").display()
        )
    );
    // It cuts nothing off an answer without reasoning.
    assert!(encoder.answer(&prompt, "Five.", true).is_ok());
}

#[test]
fn a_template_that_writes_the_reasoning_down_keeps_it() {
    // As Qwen 3 does: an empty place for the reasoning where an answer has none.
    let template = "{% for m in messages %}{% if m.role == 'assistant' %}b{% if '<t>' in m.content %}{{ m.content }}\
                    {% else %}<t></t>{{ m.content }}{% endif %}<end>{% else %}{{ m.content }}{% endif %}{% endfor %}\
                    {% if add_generation_prompt %}b{% endif %}";
    let folder = folder(template, json!({"eos_token": "</s>"}), true);
    let encoder = Encoder::load(folder.path(), 64).unwrap();
    let answer = |text: &str| match encoder.answer(&[turn("user", "a")], text, true).unwrap() {
        Fit::Fits(Encoded { ids, answer, .. }) => ids[answer].to_vec(),
        other => panic!("{other:?}"),
    };
    assert_eq!(answer("<t>a</t>."), [7, 10, 8, 3, 7, 9, 10, 8, 5, 1]);
    assert_eq!(answer("."), [7, 10, 8, 7, 9, 10, 8, 5, 1]);
}

#[test]
fn the_token_that_the_template_writes_ends_an_answer_special_or_not() {
    let template = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<end>\n{% endif %}{% endfor %}";
    for special in [true, false] {
        let folder = folder(template, json!({"eos_token": "</s>"}), special);
        let encoder = Encoder::load(folder.path(), 8).unwrap();
        assert_eq!(encoder.stop_ids(), [1, 0], "special {special}");
        let Fit::Fits(encoded) = encoder.answer(&[turn("user", "a")], ".", true).unwrap() else {
            panic!("it fits");
        };
        assert_eq!((encoded.ids, encoded.answer), (vec![3, 5, 1], 1..3));
        let inside = encoder
            .answer(&[turn("user", "a")], ".<end>.", true)
            .unwrap();
        assert_eq!(inside, Fit::EndsInside { token: 1 });
    }
}

#[test]
fn answers_that_end_in_different_ways_are_refused() {
    let template = "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}\
                    {% if 'b' in messages[0].content %}<stop>{% else %}<end>{% endif %}{% endif %}{% endfor %}";
    let folder = folder(template, json!({"eos_token": "</s>"}), true);
    let encoder = Encoder::load(folder.path(), 8).unwrap();
    assert_eq!(encoder.stop_ids(), [1, 0]);
    let error = encoder
        .answer(&[turn("user", "b")], ".", true)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("ends an answer with `<stop>` and others with `<end>`"),
        "{error}"
    );
}

#[test]
fn numbers_of_tokens_are_not_wrapped() {
    let folder = folder("a", json!({}), true);
    for id in ["4294967297", "-1", "1.5", "\"1\""] {
        let config = format!(r#"{{"eos_token_id": {id}}}"#);
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let error = Encoder::load(folder.path(), 8).err().unwrap().to_string();
        assert!(
            error.ends_with(&format!(
                "`eos_token_id` is {id}, which is no number of a token"
            )),
            "{error}"
        );
    }
}
