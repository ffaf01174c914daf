//! The operations that leave scores, on a model of a few thousand parameters: what they say agrees with what the model says
//! when it is asked directly, what is dropped is counted, and bad input is told.
#![cfg(feature = "cli")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::{Value, json};
use tokenizers::AddedToken;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::summary::PredictionsSummary;
use w2s_artifact::{
    Answer, Artifact, ArtifactRef, Key, Kind, LogProb, Message, Pair, Prediction, Prompt,
    Provenance, Record, ReferenceLogProbs, Response, Score, Store,
};
use w2s_eval::operation::{
    ChoicesOperation, LikelihoodOperation, MarginsOperation, RespondOperation, ScoreOperation,
};
use w2s_lm::{
    Batch, Classifier, ClassifierSettings, DecoderConfig, LanguageModel, Tokenizer, TooLong,
    device, save_classifier, save_language_model,
};
use w2s_stage::{Operation, RunOptions};

const WORDS: [&str; 11] = [
    "<eos>", "unk", "good", "fine", "bad", "poor", "film", "plot", "the", "a", "is",
];
const POSITIONS: usize = 16;

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    operation: T,
}

/// A store with a language model, which knows [`WORDS`].
struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    model: Artifact,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let model = language_model(&store, 1, |_| ());
        Self {
            folder,
            store,
            model,
        }
    }

    fn records<T: Record>(&self, records: &[T]) -> String {
        let reference = reference(T::KIND);
        let pending = self.store.begin(&reference).unwrap();
        pending.write_records(records).unwrap();
        let artifact = pending.commit(Provenance::default()).unwrap();
        artifact.reference.to_string()
    }

    fn judge(&self) -> String {
        let device = device("flex").unwrap();
        let decoder = LanguageModel::init(&config(), 2, &device);
        let judge = Classifier::word_head(decoder, &[4, 2], &device);
        let settings = ClassifierSettings {
            template: "{text}".into(),
            classes: vec!["weak".into(), "strong".into()],
            max_tokens: 3,
            too_long: TooLong::Drop,
        };
        let artifact = commit(&self.store, Kind::Checkpoint, |path| {
            write_tokenizer(path);
            save_classifier(&judge, &settings, path).unwrap();
        });
        artifact.reference.to_string()
    }

    fn run<T: Operation>(&self, flags: &[&str]) -> anyhow::Result<Artifact> {
        let arm = ["w2s-eval", "--arm", "base", "--role", "base"];
        let line = Line::<T>::try_parse_from([&arm[..], flags].concat())?;
        let options = RunOptions::new(self.folder.path());
        Ok(w2s_stage::run("eval", &line.operation, &options)?.artifact)
    }

    /// The causes of a failure, one a line, without the folder.
    fn failure<T: Operation>(&self, flags: &[&str]) -> String {
        let error = self.run::<T>(flags).unwrap_err();
        let text: Vec<_> = error.chain().map(ToString::to_string).collect();
        text.join("\n")
    }

    fn model(&self) -> String {
        self.model.reference.to_string()
    }

    /// Log-probability of the last `tail` tokens of a text, by the shortest way.
    fn log_likelihood(&self, ids: &[u32], tail: usize) -> f64 {
        let folder = w2s_lm::ModelFolder::open(&self.model.path).unwrap();
        let model = folder.language_model(&device("flex").unwrap()).unwrap();
        let log_probs = &model.log_probs(&Batch::pack([ids]))[0];
        let tail = &log_probs[log_probs.len() - tail..];
        tail.iter().map(|&p| f64::from(p)).sum()
    }

    fn ids(&self, text: &str) -> Vec<u32> {
        Tokenizer::load(&self.model.path)
            .unwrap()
            .encode(text)
            .unwrap()
    }
}

/// A language model with weights of this seed, whose folder is changed by the last argument.
fn language_model(store: &Store, seed: u64, change: impl Fn(&Path)) -> Artifact {
    let model = LanguageModel::init(&config(), seed, &device("flex").unwrap());
    commit(store, Kind::Checkpoint, |path| {
        write_tokenizer(path);
        save_language_model(&model, path).unwrap();
        change(path);
    })
}

fn config() -> DecoderConfig {
    DecoderConfig::scratch(WORDS.len(), 2, 16, 2, 24, POSITIONS)
}

fn reference(kind: Kind) -> ArtifactRef {
    use std::sync::atomic::{AtomicU8, Ordering};
    static NEXT: AtomicU8 = AtomicU8::new(1);
    ArtifactRef::new(
        kind,
        Key::from_bytes([NEXT.fetch_add(1, Ordering::Relaxed); 32]),
    )
}

fn commit(store: &Store, kind: Kind, write: impl FnOnce(&Path)) -> Artifact {
    let pending = store.begin(&reference(kind)).unwrap();
    write(pending.path());
    pending.commit(Provenance::default()).unwrap()
}

fn write_tokenizer(folder: &Path) {
    let words = (0..).zip(WORDS).map(|(id, word)| (word.to_owned(), id));
    let model = WordLevel::builder()
        .vocab(words.collect())
        .unk_token("unk".into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer
        .add_special_tokens([AddedToken::from("<eos>", true)])
        .unwrap();
    tokenizer
        .save(folder.join("tokenizer.json"), false)
        .unwrap();
    let settings = json!({"eos_token": "<eos>"}).to_string();
    std::fs::write(folder.join("tokenizer_config.json"), settings).unwrap();
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

fn response(prompt: u64, text: &str, finished: bool) -> Response {
    Response {
        prompt,
        sample: 0,
        text: text.into(),
        ids: Vec::new(),
        log_probs: Vec::new(),
        finished,
        model: "file".into(),
    }
}

/// Two answers to one question, neither of which came to its end.
fn pair(id: u64, chosen: &str, rejected: &str) -> Pair {
    let answer = |text: &str| Answer {
        text: text.into(),
        source: "file".into(),
        sample: 0,
        score: None,
        tokens: None,
        finished: false,
    };
    Pair {
        id,
        prompt: 0,
        group: 7,
        messages: prompt(0, "the film is ").messages,
        chosen: answer(chosen),
        rejected: answer(rejected),
        rule: "order".into(),
        confidence: None,
        gold: None,
    }
}

fn scores(artifact: &Artifact) -> Vec<Score> {
    artifact.records().unwrap()
}

fn lines(path: PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn close(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-4, "{a} and {b}");
}

#[test]
fn a_model_answers_and_is_scored() {
    let fixture = Fixture::new();
    let long = "the film is good ".repeat(4);
    let mut prompts = vec![
        prompt(3, "the film is "),
        prompt(5, "the plot is a "),
        prompt(9, &long),
    ];
    prompts[0].answer = Some("good".into());
    let prompts = fixture.records(&prompts);
    let model = fixture.model();
    let flags = [
        ["--model", &model],
        ["--prompts", &prompts],
        ["--scorer", "log-likelihood"],
        ["--scorer", "length"],
        ["--scorer", "finished"],
        ["--max-new-tokens", "4"],
        ["--tag", "steps=20"],
    ]
    .concat();
    let artifact = fixture.run::<RespondOperation>(&flags).unwrap();
    let scores = scores(&artifact);
    let answers = lines(artifact.file("answers.jsonl"));
    assert_eq!((scores.len(), answers.len()), (2, 2));
    for (score, (id, question)) in scores
        .iter()
        .zip([(3, "the film is"), (5, "the plot is a")])
    {
        let answer = answers.iter().find(|answer| answer["id"] == id).unwrap();
        let mut ids = fixture.ids(question);
        let said = fixture.ids(answer["text"].as_str().unwrap());
        let tail = said.len() + usize::from(answer["finished"] == true);
        ids.extend(&said);
        ids.extend((answer["finished"] == true).then_some(0));
        assert_eq!(score.id, id);
        assert_eq!(score.values["length_tokens"], said.len() as f64);
        assert_eq!(answer["values"], json!(score.values));
        let expected = fixture.log_likelihood(&ids, tail);
        close(score.values["log_likelihood"], expected);
        close(
            score.values["log_likelihood_per_token"],
            expected / tail as f64,
        );
    }
    let summary = &artifact.manifest.summary;
    assert_eq!(summary["arm"], "base");
    assert_eq!(summary["tags"], json!({"steps": "20"}));
    assert_eq!(
        (&summary["n"], &summary["items"], &summary["answers"]),
        (&json!(2), &json!(3), &json!(2))
    );
    assert_eq!(summary["dropped"], json!({"no_room": 1}));
    assert_eq!(summary["template_hash"], "plain");
    let mean = (scores[0].values["length_words"] + scores[1].values["length_words"]) / 2.0;
    assert_eq!(summary["metrics"]["length_words"], mean);
}

#[test]
fn a_divergence_is_a_score_of_each_prompt() {
    let fixture = Fixture::new();
    let long = "the film is good ".repeat(4);
    let texts = ["the film is ", "the plot is a ", "a good film ", &long];
    let prompts: Vec<Prompt> = (0..)
        .zip(texts)
        .map(|(id, text)| prompt(id, text))
        .collect();
    let prompts = fixture.records(&prompts);
    let model = fixture.model();
    let other = language_model(&fixture.store, 2, |_| ())
        .reference
        .to_string();
    let foreign = language_model(&fixture.store, 2, |path| {
        let file = path.join("tokenizer.json");
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("poor", "dull")).unwrap();
    });
    let foreign = foreign.reference.to_string();
    let flags = [
        ["--model", &model],
        ["--prompts", &prompts],
        ["--scorer", "length"],
        ["--temperature", "0.7"],
        ["--samples", "2"],
        ["--max-new-tokens", "4"],
    ]
    .concat();
    let against = |reference: &str| {
        let flags = [&flags[..], &["--kl-reference", reference]].concat();
        fixture.run::<RespondOperation>(&flags).unwrap()
    };
    let plain = scores(&fixture.run::<RespondOperation>(&flags).unwrap());
    let measured = against(&other);
    let found = scores(&measured);
    assert_eq!(found.len(), 6);
    for (score, plain) in found.iter().zip(&plain) {
        let (kl, per_token) = (score.values["kl"], score.values["kl_per_token"]);
        let tokens = kl / per_token;
        assert!(kl > 0.0 && (tokens - tokens.round()).abs() < 1e-6 && tokens < 4.5);
        let of_prompt = found.iter().find(|s| s.id == score.id).unwrap();
        assert_eq!(of_prompt.values["kl"], kl);
        // The answers are those that are given without it.
        let mut values = score.values.clone();
        values.retain(|name, _| !name.starts_with("kl"));
        assert_eq!(values, plain.values);
    }
    let mean = (found[0].values["kl"] + found[2].values["kl"] + found[4].values["kl"]) / 3.0;
    close(
        measured.manifest.summary["metrics"]["kl"].as_f64().unwrap(),
        mean,
    );
    let zero = against(&model);
    assert_eq!(zero.manifest.summary["metrics"]["kl"], 0.0);
    assert_eq!(zero.manifest.summary["metrics"]["kl_per_token"], 0.0);
    let refused = [&flags[..], &["--kl-reference", &foreign]].concat();
    assert_eq!(
        fixture.failure::<RespondOperation>(&refused),
        format!(
            "{foreign} has another tokenizer than {model}, and a divergence compares the same tokens"
        )
    );
    let twice = ["--scorer", "kl:count=a", "--kl-reference", &other];
    let twice = [&flags[..], &twice].concat();
    assert_eq!(
        fixture.failure::<RespondOperation>(&twice),
        "the metric `kl` is given by both `kl:count=a` and --kl-reference"
    );
}

#[test]
fn answers_from_elsewhere_are_scored() {
    let fixture = Fixture::new();
    let mut prompts: Vec<Prompt> = (0..3).map(|id| prompt(id, "the film is ")).collect();
    for prompt in &mut prompts {
        prompt.answer = Some("good".into());
    }
    let prompts = fixture.records(&prompts);
    let responses = fixture.records(&[
        response(0, "good", true),
        response(1, "the film is bad", false),
    ]);
    let inputs = [["--prompts", &prompts], ["--responses", &responses]].concat();
    let judge = fixture.judge();
    let flags = [
        &inputs[..],
        &["--scorer", "exact", "--scorer", "regex=is (.*)"],
        &["--judge", &judge, "--judge-class", "strong"],
    ]
    .concat();
    let artifact = fixture.run::<ScoreOperation>(&flags).unwrap();
    let scores = scores(&artifact);
    assert_eq!(
        (scores[0].values["exact"], scores[1].values["exact"]),
        (1.0, 0.0)
    );
    // The judge reads three tokens at most.
    let judged = scores[0].values["judge"];
    assert!(judged > 0.0 && judged < 1.0 && judged != 0.5);
    assert!(!scores[1].values.contains_key("judge"));
    let summary = &artifact.manifest.summary;
    assert_eq!(summary["metrics"]["judge"], judged);
    assert_eq!(
        summary["dropped"],
        json!({"no_response": 1, "too_long_for_judge": 1})
    );
    assert_eq!(summary["unmatched"], json!({"regex=is (.*)": 1}));
    let other = [&inputs[..], &["--judge", &judge, "--judge-class", "fair"]].concat();
    assert_eq!(
        fixture.failure::<ScoreOperation>(&other),
        "the judge has no class `fair`; it has weak, strong"
    );
    let twice = [&flags[..], &["--scorer", "judge:count=a"]].concat();
    assert_eq!(
        fixture.failure::<ScoreOperation>(&twice),
        "the metric `judge` is given by both `judge:count=a` and --judge"
    );
    // The two classes share what there is.
    let weak = [&inputs[..], &["--judge", &judge, "--judge-class", "weak"]].concat();
    let weak = fixture.run::<ScoreOperation>(&weak).unwrap();
    let weak: Vec<Score> = weak.records().unwrap();
    assert_eq!(weak.len(), 1);
    close(weak[0].values["judge"], 1.0 - judged);
}

#[test]
fn a_scorer_that_matches_nothing_is_an_error_unless_it_is_asked_for() {
    let fixture = Fixture::new();
    let prompts = fixture.records(&[prompt(0, "the film is ")]);
    let responses = fixture.records(&[response(0, "good", true)]);
    let flags = [
        "--prompts",
        &prompts,
        "--responses",
        &responses,
        "--scorer",
        "regex=#### (.*)",
    ];
    assert_eq!(
        fixture.failure::<ScoreOperation>(&flags),
        "the scorer `regex=#### (.*)` matched none of 1 answers"
    );
    let flags = [&flags[..], &["--allow-no-match"]].concat();
    let artifact = fixture.run::<ScoreOperation>(&flags).unwrap();
    assert_eq!(artifact.manifest.summary["metrics"], json!({"regex": 0.0}));
    assert_eq!(
        fixture.failure::<ScoreOperation>(&flags[..4]),
        "nothing says how answers are scored\nhint: give --scorer, or --judge"
    );
}

#[test]
fn choices_are_as_likely_as_the_model_says() {
    let fixture = Fixture::new();
    let question = |id, text: &str, choices: &[&str], gold| Prompt {
        choices: choices.iter().map(|&c| c.to_owned()).collect(),
        gold,
        ..prompt(id, text)
    };
    let long = "the film is good ".repeat(4);
    let prompts = fixture.records(&[
        question(4, "the film is ", &["good", "a bad film"], Some(1)),
        question(5, "the film is", &["good", "poor"], None),
        question(6, "the film is", &["good", ""], Some(0)),
        question(7, &long, &["good", "poor"], Some(0)),
    ]);
    let model = fixture.model();
    let inputs = ["--model", &model, "--prompts", &prompts];
    let artifact = fixture.run::<ChoicesOperation>(&inputs).unwrap();
    let asked = lines(artifact.file("choices.jsonl"));
    assert_eq!(asked.len(), 1);
    let said = |choice: usize| asked[0]["log_likelihoods"][choice].as_f64().unwrap();
    let direct = [
        fixture.log_likelihood(&fixture.ids("the film is good"), 1),
        fixture.log_likelihood(&fixture.ids("the film is a bad film"), 3),
    ];
    close(said(0), direct[0]);
    close(said(1), direct[1]);
    let values = &scores(&artifact)[0].values;
    assert_eq!(values["acc"], f64::from(direct[1] > direct[0]));
    assert_eq!(
        values["acc_norm"],
        f64::from(direct[1] / 10.0 > direct[0] / 4.0)
    );
    let summary = &artifact.manifest.summary;
    assert_eq!(summary["metrics"]["acc"], values["acc"]);
    assert_eq!(
        summary["dropped"],
        json!({"empty_choice": 1, "no_gold": 1, "too_long": 1})
    );
    let none = fixture.records(&[prompt(0, "the film is ")]);
    assert_eq!(
        fixture.failure::<ChoicesOperation>(&["--model", &model, "--prompts", &none]),
        "none of 1 prompts is a question that can be scored: 1 no gold"
    );
}

#[test]
fn a_space_stands_before_a_choice_but_behind_a_template_nothing() {
    let fixture = Fixture::new();
    let templated = language_model(&fixture.store, 1, |path| {
        let template = "{{ messages[0].content }}{% if add_generation_prompt %} is {% endif %}";
        let settings = json!({"eos_token": "<eos>", "chat_template": template});
        std::fs::write(path.join("tokenizer_config.json"), settings.to_string()).unwrap();
    });
    let templated = templated.reference.to_string();
    let prompts = fixture.records(&[Prompt {
        choices: vec!["good".into(), "bad".into()],
        gold: Some(0),
        ..prompt(4, "the film")
    }]);
    let run = |flags: &[&str]| {
        let flags = [&["--prompts", &prompts], flags].concat();
        fixture.run::<ChoicesOperation>(&flags)
    };
    let first = |artifact: &Artifact| {
        let asked = lines(artifact.file("choices.jsonl"));
        asked[0]["log_likelihoods"][0].as_f64().unwrap()
    };
    let model = fixture.model();
    let plain = run(&["--model", &model]).unwrap();
    assert_eq!(plain.manifest.summary["delimiter"], " ");
    let expected = fixture.log_likelihood(&fixture.ids("the film good"), 1);
    close(first(&plain), expected);
    // The template is not read unless it is asked for.
    let plain = run(&["--model", &templated]).unwrap();
    close(first(&plain), expected);
    let written = run(&["--model", &templated, "--template", "model"]).unwrap();
    assert_eq!(written.manifest.summary["delimiter"], "");
    close(
        first(&written),
        fixture.log_likelihood(&fixture.ids("the film is good"), 1),
    );
    // Without a space the choice goes on the last word, and nothing of its own is left.
    let joined = run(&["--model", &model, "--delimiter", ""]).unwrap_err();
    assert_eq!(
        joined.to_string(),
        "none of 1 prompts is a question that can be scored: 1 no context"
    );
    let other = run(&[
        "--model",
        &templated,
        "--template",
        "model",
        "--delimiter",
        " a ",
    ])
    .unwrap();
    close(
        first(&other),
        fixture.log_likelihood(&fixture.ids("the film is a good"), 2),
    );
}

#[test]
fn bytes_are_those_of_the_tokens_that_were_kept() {
    let fixture = Fixture::new();
    let mut prompts = vec![prompt(0, "the film is ")];
    prompts[0].answer = Some("good fine poor".into());
    let prompts = fixture.records(&prompts);
    let model = fixture.model();
    let limit = ["--max-tokens", "5", "--too-long", "truncate"];
    let flags = [&["--model", &model, "--prompts", &prompts], &limit[..]].concat();
    let artifact = fixture.run::<LikelihoodOperation>(&flags).unwrap();
    let expected = fixture.log_likelihood(&fixture.ids("the film is good fine"), 2);
    let summary = &artifact.manifest.summary;
    let totals = &summary["totals"]["answer"];
    assert_eq!(summary["truncated"], 1);
    // `good fine`
    assert_eq!(
        (&totals["bytes"], &totals["tokens"]),
        (&json!(9), &json!(2))
    );
    close(
        totals["bits_per_byte"].as_f64().unwrap(),
        -expected / 9.0 / 2f64.ln(),
    );
    close(
        totals["byte_perplexity"].as_f64().unwrap(),
        (-expected / 9.0).exp(),
    );
}

#[test]
fn held_out_answers_are_as_likely_as_the_model_says() {
    let fixture = Fixture::new();
    let mut prompts = vec![prompt(0, "the film is "), prompt(1, "the plot is ")];
    prompts[0].answer = Some("good".into());
    let prompts = fixture.records(&prompts);
    let model = fixture.model();
    let inputs = ["--model", &model, "--prompts", &prompts];
    let artifact = fixture.run::<LikelihoodOperation>(&inputs).unwrap();
    // The end of a right answer is scored with it.
    let expected = fixture.log_likelihood(&[fixture.ids("the film is good"), vec![0]].concat(), 2);
    let right = scores(&artifact);
    assert_eq!(right.len(), 1);
    close(right[0].values["log_likelihood"], expected);
    close(right[0].values["nll_per_token"], -expected / 2.0);
    let summary = &artifact.manifest.summary;
    assert_eq!(summary["dropped"], json!({"no_answer": 1}));
    let totals = &summary["totals"]["answer"];
    assert_eq!(
        (&totals["bytes"], &totals["tokens"]),
        (&json!(4), &json!(2))
    );
    close(
        totals["bits_per_byte"].as_f64().unwrap(),
        -expected / 4.0 / 2f64.ln(),
    );
    // An answer that was cut has no end to score.
    let responses = fixture.records(&[response(1, "bad", false), response(0, " ", true)]);
    let flags = [&inputs[..], &["--responses", &responses]].concat();
    let artifact = fixture.run::<LikelihoodOperation>(&flags).unwrap();
    let cut = fixture.log_likelihood(&fixture.ids("the plot is bad"), 1);
    close(scores(&artifact)[0].values["log_likelihood"], cut);
    assert_eq!(artifact.manifest.summary["dropped"], json!({"empty": 1}));
}

#[test]
fn pairs_are_ordered_as_the_model_orders_them() {
    let fixture = Fixture::new();
    let long = "good ".repeat(20);
    let pairs = fixture.records(&[
        pair(0, "good", "poor plot"),
        pair(1, "poor plot", "good"),
        pair(2, "good", &long),
    ]);
    let model = fixture.model();
    let flags = ["--model", &model, "--pairs", &pairs];
    let artifact = fixture.run::<LikelihoodOperation>(&flags).unwrap();
    let scores = scores(&artifact);
    let (good, poor) = (
        fixture.log_likelihood(&fixture.ids("the film is good"), 1),
        fixture.log_likelihood(&fixture.ids("the film is poor plot"), 2),
    );
    close(scores[0].values["log_likelihood_chosen"], good);
    close(scores[0].values["nll_per_token_rejected"], -poor / 2.0);
    assert_eq!(
        scores[0].values["preference_accuracy"],
        f64::from(good > poor)
    );
    assert_eq!(
        scores[1].values["preference_accuracy"],
        f64::from(poor > good)
    );
    let summary = &artifact.manifest.summary;
    assert_eq!(summary["metrics"]["preference_accuracy"], 0.5);
    assert_eq!(summary["dropped"], json!({"too_long": 1}));
    assert_eq!(summary["items"], 3);
    assert_eq!(summary["totals"]["chosen"]["tokens"], 3);
}

#[test]
fn margins_are_confidences_in_the_better_answer() {
    let fixture = Fixture::new();
    // The last two are one pair, in its true order and as a model ordered it wrongly.
    let wrong = Pair {
        confidence: Some(0.75),
        gold: Some(false),
        ..pair(2, "poor plot", "good")
    };
    let rows = [
        pair(0, "good", "poor plot"),
        pair(1, "good", "poor plot"),
        wrong,
    ];
    let pairs = fixture.records(&rows);
    let model = fixture.model();
    let flags = [
        "--model",
        &model,
        "--pairs",
        &pairs,
        "--rule",
        "sum",
        "--tag",
        "weak=nano",
        "--template",
        "plain",
    ];
    let run = |more: &[&str]| fixture.run::<MarginsOperation>(&[&flags[..], more].concat());
    let artifact = run(&[]).unwrap();
    let margin = fixture.log_likelihood(&fixture.ids("the film is good"), 1)
        - fixture.log_likelihood(&fixture.ids("the film is poor plot"), 2);
    let confidence = 1.0 / (1.0 + (-margin / 50.0).exp());
    let predictions = artifact.records::<Prediction>().unwrap();
    for (prediction, pair) in predictions.iter().zip(&rows) {
        let truth = pair.gold.unwrap_or(true);
        assert_eq!(
            prediction.label as usize,
            pair.place() ^ usize::from(!truth)
        );
        close(
            f64::from(prediction.probabilities[prediction.label as usize]),
            confidence,
        );
        assert_eq!((prediction.id, prediction.group), (pair.id, 7));
    }
    let summary: PredictionsSummary = artifact.summary().unwrap();
    assert_eq!(summary.classes, ["first", "second"]);
    assert_eq!(summary.tags["weak"], "nano");
    assert_eq!(summary.accuracy, f64::from(margin >= 0.0));
    let read_lines = lines;
    let lines = read_lines(artifact.file("margins.jsonl"));
    close(lines[2]["margin"].as_f64().unwrap(), margin);
    assert_eq!(lines[0]["right"], margin >= 0.0);

    // Against a reference it is what each answer has gained.
    let side = |sum, tokens| LogProb { sum, tokens };
    let known = |id, [chosen, rejected]: [u32; 2]| ReferenceLogProbs {
        id,
        chosen: side(-1.5, chosen),
        rejected: side(-4.0, rejected),
        mismatched: None,
    };
    let reference = fixture.records(&[known(0, [1, 2]), known(1, [1, 2]), known(2, [2, 1])]);
    let against = |reference: &str| run(&["--reference", reference]);
    let gained = read_lines(against(&reference).unwrap().file("margins.jsonl"));
    close(gained[0]["margin"].as_f64().unwrap(), margin - 2.5);
    for (rows, message) in [
        (
            vec![known(0, [1, 2]), known(1, [1, 2])],
            "the reference has no pair 2",
        ),
        (
            vec![known(0, [1, 3]), known(1, [1, 2]), known(2, [2, 1])],
            "an answer of pair 0 has 2 tokens, and 3 in the reference",
        ),
    ] {
        let error = against(&fixture.records(&rows)).unwrap_err().to_string();
        assert!(error.starts_with(message), "{error}");
    }

    let unknown = Pair {
        gold: None,
        ..rows[2].clone()
    };
    let unknown = fixture.records(&[unknown]);
    let mut flags = flags;
    flags[3] = &unknown;
    let error = fixture.run::<MarginsOperation>(&flags).err().unwrap();
    assert!(
        error
            .to_string()
            .starts_with("pair 2 was ordered by a model, and its true order is not known")
    );
}

#[test]
fn a_reward_model_scores_answers() {
    let fixture = Fixture::new();
    let model = Classifier::word_head(
        LanguageModel::init(&config(), 2, &device("flex").unwrap()),
        &[4],
        &device("flex").unwrap(),
    );
    let reward = commit(&fixture.store, Kind::Checkpoint, |path| {
        write_tokenizer(path);
        let settings = ClassifierSettings {
            template: "{text}".into(),
            classes: vec!["reward".into()],
            max_tokens: 5,
            too_long: TooLong::Drop,
        };
        save_classifier(&model, &settings, path).unwrap();
        // A folder from elsewhere: a head of one row, and no settings of ours.
        let file = path.join("config.json");
        let mut json: Value =
            serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
        json.as_object_mut().unwrap().remove("w2s");
        std::fs::write(&file, json.to_string()).unwrap();
    });
    let reward = reward.reference.to_string();
    let prompts: Vec<Prompt> = (0..2).map(|id| prompt(id, "the film is ")).collect();
    let prompts = fixture.records(&prompts);
    let long = "good ".repeat(20);
    let responses = fixture.records(&[response(0, "bad", false), response(1, &long, false)]);
    let flags = [
        "--prompts",
        &prompts,
        "--responses",
        &responses,
        "--judge",
        &reward,
    ];
    let artifact = fixture.run::<ScoreOperation>(&flags).unwrap();
    let batch = Batch::pack([&fixture.ids("the film is bad")[..]]);
    let expected = model.logits(&batch).into_scalar::<f32>();
    let scores = scores(&artifact);
    close(scores[0].values["reward"], f64::from(expected));
    assert_eq!(scores.len(), 1);
    assert_eq!(
        artifact.manifest.summary["dropped"],
        json!({"too_long_for_judge": 1})
    );
    let more = [&flags[..], &["--judge-text", "it: {answer}"]].concat();
    assert!(
        fixture
            .failure::<ScoreOperation>(&more)
            .contains("--judge-text is read by classifiers, and --judge-class is not given")
    );
}
