//! Answers of a decoder of a few thousand parameters.

use std::collections::BTreeMap;
use std::path::Path;
use tokenizers::AddedToken;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::{Message, Prompt, Record};
use w2s_lm::{
    Batch, DecoderConfig, LanguageModel, LmError, Responded, Responder, SamplingArgs, Template,
    device, save_language_model,
};

fn base(folder: &Path) {
    let words = ["unk", "which", "film", "is", "good"];
    let model = WordLevel::builder()
        .vocab((0..).zip(words).map(|(i, w)| (w.into(), i)).collect())
        .unk_token("unk".into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer
        .add_special_tokens([AddedToken::from("</s>", true)])
        .unwrap();
    tokenizer
        .save(folder.join("tokenizer.json"), false)
        .unwrap();
    let settings = r#"{"eos_token": "</s>"}"#;
    std::fs::write(folder.join("tokenizer_config.json"), settings).unwrap();
    let config = DecoderConfig::scratch(words.len() + 1, 2, 16, 2, 24, 16);
    let model = LanguageModel::init(&config, 3, &device("flex").unwrap());
    save_language_model(&model, folder).unwrap();
}

fn prompt(id: u64, text: &str) -> Prompt {
    Prompt {
        id,
        group: id,
        messages: vec![Message {
            role: "user".into(),
            content: text.into(),
        }],
        answer: None,
        choices: Vec::new(),
        gold: None,
        tags: BTreeMap::new(),
    }
}

fn sampling(samples: usize, temperature: Option<f32>) -> SamplingArgs {
    SamplingArgs {
        samples,
        max_new_tokens: 6,
        temperature,
        top_k: None,
        top_p: None,
        seed: Some(1),
        stop: Vec::new(),
    }
}

fn responder(folder: &Path) -> Responder {
    base(folder);
    let device = device("flex").unwrap();
    Responder::open(folder, "me".into(), Template::Model, &device).unwrap()
}

fn answers(
    responder: &Responder,
    prompts: &[Prompt],
    sampling: &SamplingArgs,
) -> Result<Responded, LmError> {
    let settings = sampling.settings();
    let done = responder.respond(prompts, sampling.samples, &settings, &mut |_, _| true)?;
    Ok(done.unwrap())
}

#[test]
fn samples_come_with_their_log_probabilities_and_prompts_without_room_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let responder = responder(folder.path());
    let prompts = [
        prompt(7, "which film"),
        prompt(8, &"film ".repeat(16)),
        prompt(9, "which film is good"),
    ];
    let done = answers(&responder, &prompts, &sampling(3, Some(1.5))).unwrap();
    assert_eq!(done.no_room, 1);
    let whose: Vec<_> = done
        .responses
        .iter()
        .map(|r| (r.prompt, r.sample))
        .collect();
    assert_eq!(whose, [(7, 0), (7, 1), (7, 2), (9, 0), (9, 1), (9, 2)]);

    let tokenizer = responder.encoder.tokenizer();
    let eos = tokenizer.token("</s>").unwrap();
    for response in &done.responses {
        assert_eq!(response.validate(), Ok(()));
        assert_eq!(response.model, "me");
        assert!(!response.ids.contains(&eos));
        // Only an answer that ended has the log-probability of its end.
        let ending = usize::from(response.finished);
        assert_eq!(response.log_probs.len(), response.ids.len() + ending);
        assert!(response.finished || response.ids.len() == 6);
        let text = if response.prompt == 7 {
            "which film"
        } else {
            "which film is good"
        };
        let mut ids = tokenizer.encode(text).unwrap();
        let prompt = ids.len();
        ids.extend(&response.ids);
        // Words stand apart, the first one from the prompt.
        let whole = tokenizer.decode(&ids).unwrap();
        assert_eq!(format!("{text}{}", response.text), whole);
        ids.extend(response.finished.then_some(eos));
        let expected = responder
            .model
            .log_probs(&Batch::pack([&ids[..]]))
            .remove(0);
        for (got, expected) in response.log_probs.iter().zip(&expected[prompt - 1..]) {
            assert!((got - expected).abs() < 1e-4, "{got} and {expected}");
        }
    }
    let ended = done.responses.iter().filter(|r| r.finished).count();
    assert!(0 < ended && ended < 6, "the seed shows both ways to end");
}

#[test]
fn a_divergence_has_answers_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let responder = responder(folder.path());
    let mut prompts: Vec<Prompt> = (0..20).map(|id| prompt(id, "which film")).collect();
    prompts.push(prompt(20, &"film ".repeat(16)));
    // With other sampling and more samples it is the same: one answer to a prompt, at temperature 1.
    let measure = |reference: &LanguageModel, sampling: &SamplingArgs| {
        let settings = sampling.settings();
        let mut last = 0;
        let found = responder.kl(reference, &prompts, &settings, &mut |done, total| {
            assert!(done >= last && done <= total && total == 40);
            last = done;
            true
        });
        assert_eq!(last, 40);
        found.unwrap().unwrap()
    };
    let other = LanguageModel::init(responder.model.model.config(), 4, &device("flex").unwrap());
    let found = measure(&other, &sampling(1, None));
    assert_eq!(found.len(), 20);
    assert!(found.values().all(|kl| kl.nats > 0.0));
    assert_eq!(found, measure(&other, &sampling(3, Some(0.2))));
    let zero = measure(&responder.model, &sampling(1, None));
    assert!(zero.values().all(|kl| kl.nats == 0.0));
    let same = answers(&responder, &prompts, &sampling(1, Some(1.0))).unwrap();
    let drawn = |kl: &w2s_lm::Kl| kl.tokens;
    let said = same.responses.iter().map(|r| r.log_probs.len());
    assert_ne!(
        found.values().map(drawn).collect::<Vec<_>>(),
        said.collect::<Vec<_>>()
    );
    let stopped = responder.kl(
        &other,
        &prompts,
        &sampling(1, None).settings(),
        &mut |_, _| false,
    );
    assert!(stopped.unwrap().is_none());
}

#[test]
fn greedy_answers_are_the_same_again() {
    let folder = tempfile::tempdir().unwrap();
    let responder = responder(folder.path());
    let run = || answers(&responder, &[prompt(1, "which film")], &sampling(1, None)).unwrap();
    assert_eq!(run().responses, run().responses);
}

#[test]
fn prompts_without_room_and_equal_samples_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let responder = responder(folder.path());
    let long = prompt(1, &"film ".repeat(16));
    assert_eq!(
        answers(&responder, &[long], &sampling(1, None))
            .unwrap_err()
            .to_string(),
        "none of 1 prompts leaves room for an answer in the model's 16 positions"
    );
    assert_eq!(
        sampling(2, None).check().unwrap_err(),
        "--samples is 2, but without --temperature all samples are the same"
    );
}
