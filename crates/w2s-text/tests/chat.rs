//! Conversations become the text and the tokens that transformers makes of them, under seven chat templates of the Llama,
//! Qwen and GPT-2 styles. The expected values are in `data/golden/chat.json` with their origin.

use serde_json::Value;
use std::path::Path;
use tempfile::TempDir;
use w2s_text::{ChatTemplate, Encoded, Encoder, Fit, Turn};

fn golden() -> Value {
    serde_json::from_str(include_str!("../../../data/golden/chat.json")).unwrap()
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap() as u32).collect()
}

fn write(folder: &Path, name: &str, content: &Value) {
    std::fs::write(folder.join(name), content.to_string()).unwrap();
}

/// A family's model folder, and whether its template ends answers itself.
struct Family {
    name: String,
    folder: TempDir,
    encoder: Encoder,
}

fn families(golden: &Value) -> Vec<Family> {
    let families = golden["families"].as_array().unwrap().iter();
    let family = |family: &Value| {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = &golden["tokenizers"][family["tokenizer"].as_str().unwrap()];
        write(folder.path(), "tokenizer.json", tokenizer);
        let config = &family["tokenizer_config.json"];
        write(folder.path(), "tokenizer_config.json", config);
        Family {
            name: family["name"].as_str().unwrap().into(),
            encoder: Encoder::load(folder.path(), 4096).unwrap(),
            folder,
        }
    };
    families.map(family).collect()
}

/// One conversation under one template, and what transformers makes of it.
struct Case<'a> {
    family: &'a Family,
    number: u64,
    turns: Vec<Turn<'a>>,
    answer: &'a str,
    expected: &'a Value,
}

fn cases<'a>(golden: &'a Value, families: &'a [Family]) -> Vec<Case<'a>> {
    let cases = golden["cases"].as_array().unwrap().iter();
    let case = |case: &'a Value| {
        let number = case["conversation"].as_u64().unwrap();
        let conversation = &golden["conversations"][number as usize];
        let turn = |message: &'a Value| Turn {
            role: message["role"].as_str().unwrap(),
            content: message["content"].as_str().unwrap(),
        };
        let messages = conversation["messages"].as_array().unwrap().iter();
        Case {
            family: families.iter().find(|f| case["family"] == *f.name).unwrap(),
            number,
            turns: messages.map(turn).collect(),
            answer: conversation["answer"].as_str().unwrap(),
            expected: case,
        }
    };
    cases.map(case).collect()
}

impl Case<'_> {
    fn encode(&self, finished: bool) -> Encoded {
        let encoder = &self.family.encoder;
        match encoder.answer(&self.turns, self.answer, finished).unwrap() {
            Fit::Fits(encoded) => encoded,
            other => panic!("{self}: {other:?}"),
        }
    }
}

impl std::fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on conversation {}", self.family.name, self.number)
    }
}

#[test]
fn templates_render_what_transformers_renders() {
    let golden = golden();
    let families = families(&golden);
    let cases = cases(&golden, &families);
    assert_eq!(cases.len(), 70);
    for case in cases {
        let template = ChatTemplate::load(case.family.folder.path()).unwrap();
        assert_eq!(template.is_plain(), case.family.name == "gpt-2");
        let prompt = template.render(&case.turns, true).unwrap();
        assert_eq!(prompt, case.expected["prompt"], "{case}");
        let answer = Turn {
            role: "assistant",
            content: case.answer,
        };
        let whole = [&case.turns[..], &[answer]].concat();
        let text = template.render(&whole, false).unwrap();
        assert_eq!(text, case.expected["text"], "{case}");
    }
}

#[test]
fn prompts_are_tokenised_as_by_transformers() {
    let golden = golden();
    let families = families(&golden);
    for case in cases(&golden, &families) {
        let prompt = case.family.encoder.prompt(&case.turns).unwrap();
        assert_eq!(prompt, ids(&case.expected["prompt_ids"]), "{case}");
    }
}

/// Where a token has the end of the prompt and the beginning of the answer: line breaks after line breaks, or backticks
/// after backticks. It is the answer's, so what stands before the answer is not all that generation starts from.
const STRADDLING: [(&str, u64); 4] = [("qwen-2", 7), ("qwen-2", 8), ("smollm2", 8), ("gpt-2", 5)];

#[test]
fn finished_answers_are_tokenised_as_by_transformers_up_to_their_end() {
    let golden = golden();
    let families = families(&golden);
    let mut straddling = Vec::new();
    for case in cases(&golden, &families) {
        let encoder = &case.family.encoder;
        let (encoded, expected) = (case.encode(true), ids(&case.expected["ids"]));
        assert!(expected.starts_with(&encoded.ids), "{case}");
        // What follows the end of the turn is a line break at most.
        let rest = &expected[encoded.ids.len()..];
        assert_eq!(
            encoder.tokenizer().decode(rest).unwrap().trim(),
            "",
            "{case}"
        );
        assert!(rest.len() <= 1, "{case}");

        // The span is the answer with the token that ends it.
        assert_eq!(encoded.answer.end, encoded.ids.len(), "{case}");
        let (last, said) = encoded.ids[encoded.answer.clone()].split_last().unwrap();
        let stops = encoder.stop_ids();
        assert!(stops.contains(last), "{case}: {last} ends no answer");
        assert!(!said.iter().any(|id| stops.contains(id)), "{case}");
        let text = encoder.tokenizer().decode(said).unwrap();
        let text = text.trim_start_matches("<think>\n\n</think>\n\n").trim();

        // Generation starts from the very tokens that stand before the answer.
        if encoded.ids[..encoded.answer.start] == encoder.prompt(&case.turns).unwrap() {
            assert_eq!(text, case.answer.trim(), "{case}");
        } else {
            assert!(text.ends_with(case.answer.trim()), "{case}");
            straddling.push((case.family.name.as_str(), case.number));
        }
    }
    assert_eq!(straddling, STRADDLING);
}

#[test]
fn unfinished_answers_end_with_their_last_word() {
    let golden = golden();
    let families = families(&golden);
    for case in cases(&golden, &families) {
        let encoder = &case.family.encoder;
        let (open, whole) = (case.encode(false), case.encode(true));
        assert_eq!(open.answer, open.answer.start..open.ids.len(), "{case}");
        let stops = encoder.stop_ids();
        let answer = &open.ids[open.answer.clone()];
        assert!(!answer.iter().any(|id| stops.contains(id)), "{case}");
        assert!(whole.ids.len() > open.ids.len(), "{case}");
        assert!(whole.ids.starts_with(&open.ids), "{case}");
    }
}

#[test]
fn texts_begin_with_one_bos_where_the_model_knows_one() {
    let golden = golden();
    let families = families(&golden);
    for case in cases(&golden, &families) {
        let encoder = &case.family.encoder;
        // The template of Llama 2 writes one before each question, so only the start is a matter of the tokenizer.
        let bos = encoder.tokenizer().bos();
        let known = ["llama-2", "llama-3"].contains(&case.family.name.as_str());
        assert_eq!(bos.is_some(), known, "{case}");
        for ids in [
            encoder.prompt(&case.turns).unwrap(),
            case.encode(true).ids,
            case.encode(false).ids,
        ] {
            let written = ids.iter().take_while(|id| Some(**id) == bos).count();
            assert_eq!(written, usize::from(known), "{case}");
        }
    }
}

#[test]
fn answers_tokenised_apart_share_the_tokens_of_their_prompt() {
    let golden = golden();
    let families = families(&golden);
    for case in cases(&golden, &families) {
        let encoder = case.family.encoder.clone().separate(true);
        let Fit::Fits(encoded) = encoder.answer(&case.turns, case.answer, true).unwrap() else {
            panic!("{case}");
        };
        let prompt = encoder.prompt(&case.turns).unwrap();
        assert_eq!(encoded.ids[..encoded.answer.start], prompt, "{case}");
    }
}

#[test]
fn a_template_that_refuses_a_conversation_says_why() {
    let golden = golden();
    let families = families(&golden);
    let llama = families.iter().find(|f| f.name == "llama-2").unwrap();
    let question = Turn {
        role: "user",
        content: "1+1?",
    };
    let error = llama.encoder.prompt(&[question, question]).unwrap_err();
    let path = llama.folder.path().join("tokenizer_config.json");
    assert_eq!(
        error.to_string(),
        format!(
            "the chat template of `{}` fails at line 1: Conversation roles must alternate user/assistant/user/assistant/...",
            path.display()
        )
    );
}

/// A published tokenizer does the same. Opt-in: `W2S_MODELS` names the folder that holds `smollm2-135m-instruct`.
#[test]
fn a_published_tokenizer_gives_the_tokens_of_transformers() {
    let Some(models) = std::env::var_os("W2S_MODELS") else {
        return;
    };
    let folder = Path::new(&models).join("smollm2-135m-instruct");
    let golden = golden();
    let encoder = Encoder::load(&folder, 4096).unwrap();
    let token = |text| encoder.tokenizer().token(text).unwrap();
    assert_eq!(encoder.stop_ids(), [token("<|im_end|>")]);
    let families = families(&golden);
    let cases = cases(&golden, &families);
    let smollm2 = cases.iter().filter(|case| case.family.name == "smollm2");
    let expected = golden["smollm2-135m-instruct"].as_array().unwrap();
    assert_eq!(smollm2.clone().count(), expected.len());
    for (case, expected) in smollm2.zip(expected) {
        let prompt = encoder.prompt(&case.turns).unwrap();
        assert_eq!(prompt, ids(&expected["prompt_ids"]), "{case}");
        let Fit::Fits(encoded) = encoder.answer(&case.turns, case.answer, true).unwrap() else {
            panic!("{case}");
        };
        let (whole, line_break) = (ids(&expected["ids"]), encoder.tokenizer().encode("\n"));
        assert_eq!(
            [&encoded.ids[..], &line_break.unwrap()].concat(),
            whole,
            "{case}"
        );
    }
}
