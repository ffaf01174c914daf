//! The methods on a decoder of a few thousand parameters: what must be equal is equal to the bit, what must differ differs.

use std::path::Path;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::{Example, Label, Split};
use w2s_lm::{
    Classifier, ClassifierArgs, DecoderConfig, Featured, Inputs, LabelledRows, LanguageModel,
    PromptArgs, TooLong, device, features, save_language_model,
};
use w2s_losses::{Confidence as Schedule, ConfidenceVariant};
use w2s_student::methods::{Confidence, Naive, Product};
use w2s_student::{Prepared, Supervision, Trained, train};
use w2s_train::{Decay, EarlyStoppingArgs, Objective, TrainArgs};

const WORDS: [&str; 9] = [
    "unk", "good", "fine", "bad", "poor", "film", "plot", "the", "a",
];

fn base(folder: &Path) {
    let vocabulary = WORDS
        .iter()
        .enumerate()
        .map(|(i, w)| ((*w).to_string(), i as u32))
        .collect();
    let model = WordLevel::builder()
        .vocab(vocabulary)
        .unk_token("unk".into())
        .build()
        .unwrap();
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    tokenizer
        .save(folder.join("tokenizer.json"), false)
        .unwrap();
    let config = DecoderConfig::scratch(WORDS.len(), 2, 16, 2, 24, 16);
    let model = LanguageModel::init(&config, 1, &device("flex").unwrap());
    save_language_model(&model, folder).unwrap();
}

/// Forty short reviews; the teacher is sure of most and wrong on every seventh.
fn rows() -> (Vec<Example>, Vec<Label>) {
    (0..40u64)
        .map(|id| {
            let label = (id % 2) as u32;
            let word = WORDS[if label == 1 { 1 } else { 3 } + (id / 2 % 2) as usize];
            let text = format!(
                "the {} a {word} {}",
                WORDS[5 + (id / 8 % 2) as usize],
                WORDS[7 + (id / 4 % 2) as usize]
            );
            let sure = 0.6 + (id % 5) as f32 * 0.08;
            let right = if id % 7 == 0 { 1.0 - sure } else { sure };
            let one = if label == 1 { right } else { 1.0 - right };
            let example = Example {
                id,
                split: Split::Transfer,
                group: id,
                label,
                text,
            };
            let label = Label {
                id,
                probabilities: vec![1.0 - one, one],
            };
            (example, label)
        })
        .unzip()
}

fn args(micro_batch: Option<usize>) -> TrainArgs {
    TrainArgs {
        epochs: 3,
        max_steps: None,
        lr: 3e-3,
        schedule: Decay::Cosine,
        warmup: 0.0,
        weight_decay: 0.0,
        beta2: 0.999,
        clip: None,
        micro_batch,
        seed: 4,
        save_seconds: 100.0,
    }
}

struct Run {
    folder: tempfile::TempDir,
    trained: Trained,
}

impl Run {
    fn weights(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("model.safetensors")).unwrap()
    }

    fn probabilities(&self) -> Vec<f32> {
        let opened = w2s_lm::ModelFolder::open(self.folder.path()).unwrap();
        let model = opened.classifier(&device("flex").unwrap()).unwrap();
        let rows: Vec<Vec<u32>> = (1..9).map(|w| vec![7, 5, 8, w]).collect();
        model
            .probabilities(&rows, 64, &mut |_| true)
            .unwrap()
            .concat()
    }
}

fn run<O: Objective<Classifier>>(
    args: &TrainArgs,
    supervision: &Supervision,
    method: impl FnOnce(LabelledRows, LabelledRows) -> O,
) -> Run {
    held_out_run(args, 0.0, supervision, method)
}

fn held_out_run<O: Objective<Classifier>>(
    args: &TrainArgs,
    held_out: f64,
    supervision: &Supervision,
    method: impl FnOnce(LabelledRows, LabelledRows) -> O,
) -> Run {
    probe_run(args, held_out, supervision, None, method)
}

fn prompt() -> PromptArgs {
    PromptArgs {
        template: "{text}".into(),
        max_tokens: None,
        too_long: TooLong::Drop,
    }
}

/// What the base makes of the rows.
fn probe() -> Prepared {
    let (start, examples) = (tempfile::tempdir().unwrap(), rows().0);
    base(start.path());
    let texts = examples.iter().map(|e| e.text.as_str());
    let device = device("flex").unwrap();
    let Featured { encoded, features } =
        features(start.path(), &prompt(), texts, &device, &mut |_| true)
            .unwrap()
            .unwrap();
    Prepared {
        ids: encoded.rows.iter().map(|&row| examples[row].id).collect(),
        inputs: Inputs::Features(features),
        truncated: encoded.truncated,
    }
}

fn probe_run<O: Objective<Classifier>>(
    args: &TrainArgs,
    held_out: f64,
    supervision: &Supervision,
    prepared: Option<Prepared>,
    method: impl FnOnce(LabelledRows, LabelledRows) -> O,
) -> Run {
    let stopping = EarlyStoppingArgs {
        held_out,
        evaluations: 2,
        patience: 3,
    };
    let folder = tempfile::tempdir().unwrap();
    let (state, start) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    base(start.path());
    let classifier = ClassifierArgs {
        prompt: prompt(),
        label_words: Vec::new(),
    };
    let trained = train(
        start.path(),
        &rows().0,
        &["negative".into(), "positive".into()],
        supervision,
        prepared,
        20,
        &classifier,
        args,
        &stopping,
        &device("flex").unwrap(),
        folder.path(),
        state.path(),
        method,
        &mut |_, _| true,
    )
    .unwrap();
    Run { folder, trained }
}

fn weak() -> Supervision {
    Supervision::Weak(rows().1)
}

fn naive(rows: LabelledRows, held_out: LabelledRows) -> Naive {
    Naive { rows, held_out }
}

fn confidence(max_weight: f64) -> impl Fn(LabelledRows, LabelledRows) -> Confidence {
    move |rows, held_out| {
        let mut schedule = Schedule::new(ConfidenceVariant::Paper);
        schedule.max_weight = max_weight;
        Confidence::new(rows, held_out, schedule)
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let first = run(&args(None), &weak(), naive);
    assert_eq!(first.weights(), run(&args(None), &weak(), naive).weights());
    let other = TrainArgs {
        seed: 5,
        ..args(None)
    };
    assert_ne!(first.weights(), run(&other, &weak(), naive).weights());
    assert_eq!(first.trained.rows, 40);
    assert_eq!(first.trained.fit.steps, 6);
}

#[test]
fn confidence_of_weight_zero_is_naive_to_the_bit() {
    let plain = run(&args(None), &weak(), naive).weights();
    assert_eq!(run(&args(None), &weak(), confidence(0.0)).weights(), plain);
    assert_ne!(run(&args(None), &weak(), confidence(0.5)).weights(), plain);
}

fn close(a: &[f32], b: &[f32]) {
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 2e-4, "{a} and {b}");
    }
}

#[test]
fn small_passes_give_the_large_batch_for_every_method() {
    let product = |rows, held_out| Product {
        rows,
        held_out,
        alpha: 1.0,
        beta: 1.0,
    };
    let (whole, parts) = (args(None), args(Some(6)));
    close(
        &run(&whole, &weak(), naive).probabilities(),
        &run(&parts, &weak(), naive).probabilities(),
    );
    close(
        &run(&whole, &weak(), product).probabilities(),
        &run(&parts, &weak(), product).probabilities(),
    );
    // The threshold of the confidence loss is taken over the whole batch either way.
    close(
        &run(&whole, &weak(), confidence(0.5)).probabilities(),
        &run(&parts, &weak(), confidence(0.5)).probabilities(),
    );
}

#[test]
fn the_ceiling_learns_what_the_teacher_gets_wrong() {
    let long = TrainArgs {
        epochs: 40,
        ..args(None)
    };
    let gold = run(&long, &Supervision::Gold, naive).probabilities();
    // Words 1 and 2 are positive, 3 and 4 negative.
    for (word, positive) in [(1, true), (2, true), (3, false), (4, false)] {
        assert_eq!(
            gold[2 * (word - 1) + 1] > 0.5,
            positive,
            "word {}",
            WORDS[word]
        );
    }
}

#[test]
fn rows_without_a_label_and_held_out_rows_are_counted() {
    let mut labels = rows().1;
    labels.truncate(30);
    let trained = held_out_run(&args(None), 0.2, &Supervision::Weak(labels), naive).trained;
    assert_eq!(
        (
            trained.rows,
            trained.held_out_rows,
            trained.dropped_unlabelled
        ),
        (24, 6, 10)
    );
    assert!(trained.fit.best_held_out.is_some());
}

/// The tensors of a run's folder but the head, in bytes, and the head.
fn decoder_and_head(folder: &Path) -> (Vec<(String, Vec<u8>)>, Vec<f32>) {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut decoder: Vec<_> = file
        .tensors()
        .into_iter()
        .filter(|(name, _)| name != "score.weight" && name != "lm_head.weight")
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect();
    decoder.sort();
    let floats = file.tensor("score.weight").map(|tensor| {
        let floats = tensor.data().chunks_exact(4);
        floats
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect()
    });
    (decoder, floats.unwrap_or_default())
}

#[test]
fn a_probe_moves_the_head_alone_as_gradient_descent_on_its_features_does() {
    let one = TrainArgs {
        epochs: 1,
        max_steps: Some(1),
        schedule: Decay::Constant,
        lr: 1e-2,
        ..args(None)
    };
    let start = tempfile::tempdir().unwrap();
    base(start.path());
    // As many rows as the batch has.
    let mut probe = probe();
    let Inputs::Features(features) = &mut probe.inputs else {
        panic!("a probe reads features")
    };
    features.truncate(20);
    probe.ids.truncate(20);
    let features = features.clone();
    let trained = probe_run(&one, 0.0, &weak(), Some(probe), naive);
    assert_eq!(trained.trained.rows, 20);
    let (decoder, head) = decoder_and_head(trained.folder.path());
    let before = decoder_and_head(start.path()).0;
    assert!(before.iter().all(|tensor| decoder.contains(tensor)));
    // Adam's first step moves each weight by the learning rate against the sign of its gradient, which at a head of
    // zeros is the mean of (1/2 - target) times the feature.
    let labels = rows().1;
    let gradient = |class: usize, column: usize| -> f32 {
        let rows = features.iter().zip(&labels);
        rows.map(|(f, l)| (0.5 - l.probabilities[class]) * f[column])
            .sum()
    };
    for (class, weights) in head.chunks(16).enumerate() {
        for (column, weight) in weights.iter().enumerate() {
            assert!((weight.abs() - 1e-2).abs() < 1e-4, "{weight}");
            assert_eq!(*weight < 0.0, gradient(class, column) > 0.0);
        }
    }
}

#[test]
fn every_method_trains_a_probe_and_parts_add_up() {
    let product = |rows, held_out| Product {
        rows,
        held_out,
        alpha: 1.0,
        beta: 1.0,
    };
    let (whole, parts) = (args(None), args(Some(6)));
    let run = |args, supervision| probe_run(args, 0.2, &supervision, Some(probe()), naive);
    let plain = run(&whole, weak());
    assert_eq!((plain.trained.rows, plain.trained.held_out_rows), (32, 8));
    assert!(plain.trained.fit.best_held_out.is_some());
    close(&plain.probabilities(), &run(&parts, weak()).probabilities());
    let confident = |args| probe_run(args, 0.0, &weak(), Some(probe()), confidence(0.5));
    close(
        &confident(&whole).probabilities(),
        &confident(&parts).probabilities(),
    );
    let multiplied = |args| probe_run(args, 0.0, &weak(), Some(probe()), product);
    close(
        &multiplied(&whole).probabilities(),
        &multiplied(&parts).probabilities(),
    );
    let long = TrainArgs {
        epochs: 200,
        lr: 3e-2,
        ..args(None)
    };
    let gold = run(&long, Supervision::Gold).probabilities();
    // Positive probabilities of "good" and "bad".
    assert!(gold[1] > gold[5], "good is not above bad");
}
