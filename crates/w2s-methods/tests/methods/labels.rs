//! The methods on a decoder of a few thousand parameters: what must be equal is equal to the bit, what must differ differs.

use std::path::Path;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::pre_tokenizers::whitespace::Whitespace;
use w2s_artifact::summary::TrainingSummary;
use w2s_artifact::{Example, Label, Split};
use w2s_lm::{
    ClassModel, ClassifierArgs, DecoderConfig, LabelledRows, LanguageModel, LoraArgs, LoraSave,
    Probe, PromptArgs, TooLong, device, save_language_model,
};
use w2s_losses::{LabelLoss, LabelSetting};
use w2s_methods::{Learning, Supervision, Tokenised, classify, targets};
use w2s_train::{Decay, EarlyStoppingArgs, LearnArgs, TrainArgs};

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
    trained: TrainingSummary,
}

impl Run {
    fn weights(&self) -> Vec<u8> {
        std::fs::read(self.folder.path().join("model.safetensors")).unwrap()
    }

    fn probabilities(&self) -> Vec<f32> {
        let opened = w2s_lm::ModelFolder::open(self.folder.path()).unwrap();
        let model = opened.classifier(&device("flex").unwrap()).unwrap();
        let rows: Vec<Vec<u32>> = (1..9).map(|w| vec![7, 5, 8, w]).collect();
        model.probabilities(&rows, &mut |_| true).unwrap().concat()
    }
}

fn classes() -> [String; 2] {
    ["negative".into(), "positive".into()]
}

/// What there is to change in a run.
struct Case {
    train: TrainArgs,
    loss: LabelLoss,
    balance: bool,
    held_out: f64,
    lora_rank: usize,
    supervision: Supervision,
    tokens: Option<Tokenised>,
}

/// A loss on the teacher's labels.
fn case(train: TrainArgs, loss: LabelLoss) -> Case {
    Case {
        train,
        loss,
        balance: false,
        held_out: 0.0,
        lora_rank: 0,
        supervision: Supervision::Weak(rows().1),
        tokens: None,
    }
}

impl Case {
    fn run(self) -> Run {
        let learn = learn(self.train, self.held_out);
        let folder = tempfile::tempdir().unwrap();
        let (state, start) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        base(start.path());
        let classifier = ClassifierArgs {
            prompt: PromptArgs {
                template: "{text}".into(),
                max_tokens: None,
                too_long: TooLong::Drop,
            },
            label_words: Vec::new(),
            lora: LoraArgs {
                lora_rank: self.lora_rank,
                lora_alpha: None,
                lora_targets: vec!["all".into()],
                lora_save: LoraSave::Merged,
            },
        };
        let trained = classify(
            start.path(),
            &rows().0,
            &classes(),
            &self.supervision,
            self.tokens,
            &classifier,
            &Learning {
                loss: self.loss,
                balance: self.balance,
                args: &learn,
                dir: folder.path(),
                state_dir: state.path(),
            },
            &device("flex").unwrap(),
            &mut |_, _| true,
        )
        .unwrap();
        Run { folder, trained }
    }
}

fn learn(train: TrainArgs, held_out: f64) -> LearnArgs {
    LearnArgs {
        batch: 20,
        train,
        stopping: EarlyStoppingArgs {
            held_out,
            evaluations: (held_out > 0.0).then_some(2),
            patience: (held_out > 0.0).then_some(3),
        },
    }
}

fn named(name: &str) -> LabelLoss {
    name.parse().unwrap()
}

fn naive() -> LabelLoss {
    LabelLoss::CrossEntropy
}

fn confidence(max_weight: f64) -> LabelLoss {
    let mut loss = named("confidence");
    loss.set(LabelSetting::MaxWeight, max_weight).unwrap();
    loss
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let first = case(args(None), naive()).run();
    let again = case(args(None), naive()).run();
    assert_eq!(first.weights(), again.weights());
    let other = TrainArgs {
        seed: 5,
        ..args(None)
    };
    assert_ne!(first.weights(), case(other, naive()).run().weights());
    assert_eq!(first.trained.rows, 40);
    assert_eq!(first.trained.fit.steps, 6);
    assert_eq!(first.trained.classes, classes());
    assert_eq!(first.trained.loss.as_deref(), Some("cross-entropy"));
}

#[test]
fn confidence_of_weight_zero_is_naive_to_the_bit() {
    let weights = |loss| case(args(None), loss).run().weights();
    let plain = weights(naive());
    assert_eq!(weights(confidence(0.0)), plain);
    assert_ne!(weights(confidence(0.5)), plain);
}

fn close(a: &[f32], b: &[f32]) {
    for (a, b) in a.iter().zip(b) {
        assert!((a - b).abs() < 2e-4, "{a} and {b}");
    }
}

#[test]
fn every_loss_learns_in_small_passes_what_it_learns_in_one() {
    // Thresholds and balance are taken over the whole batch either way.
    let mut seen: Vec<Vec<f32>> = Vec::new();
    for balance in [false, true] {
        for mut loss in LabelLoss::ALL {
            // So narrow that a student of six steps leaves it.
            if let LabelLoss::Window(window) = &mut loss {
                window.radius = 0.01;
            }
            let run = |micro_batch| {
                let case = Case {
                    balance,
                    ..case(args(micro_batch), loss)
                };
                case.run().probabilities()
            };
            let whole = run(None);
            close(&whole, &run(Some(6)));
            // The divergence has the gradient of cross entropy; no other two are the same.
            if loss != LabelLoss::Kl {
                assert!(!seen.contains(&whole), "{loss}, {balance}");
                seen.push(whole);
            }
        }
    }
}

#[test]
fn the_divergence_from_the_labels_learns_what_cross_entropy_does() {
    let run = |loss| case(args(None), loss).run();
    let (kl, naive) = (run(LabelLoss::Kl), run(naive()));
    close(&kl.probabilities(), &naive.probabilities());
    let entropy = naive.trained.fit.final_loss - kl.trained.fit.final_loss;
    assert!(entropy > 0.1, "the labels' own entropy: {entropy}");
}

#[test]
fn the_ceiling_learns_what_the_teacher_gets_wrong() {
    let long = TrainArgs {
        epochs: 40,
        ..args(None)
    };
    let gold = Case {
        supervision: Supervision::Gold,
        ..case(long, naive())
    };
    let gold = gold.run().probabilities();
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
fn an_adapter_learns_too() {
    let adapted = Case {
        lora_rank: 2,
        ..case(args(None), naive())
    };
    let adapted = adapted.run();
    let plain = case(args(None), naive()).run();
    // Merged into an ordinary classifier, that is not the one of a full training.
    assert_ne!(adapted.weights(), plain.weights());
    assert!(adapted.trained.fit.final_loss.is_finite());
    let undecided = vec![0.5; 16];
    assert_ne!(adapted.probabilities(), undecided);
}

#[test]
fn rows_without_a_label_and_held_out_rows_are_counted() {
    let mut labels = rows().1;
    labels.truncate(30);
    let trained = Case {
        supervision: Supervision::Weak(labels),
        held_out: 0.2,
        ..case(args(None), naive())
    };
    let trained = trained.run().trained;
    assert_eq!(
        (
            trained.rows,
            trained.held_out_rows,
            trained.dropped["unlabelled"]
        ),
        (24, 6, 10)
    );
    assert!(trained.fit.best_held_out.is_some());
}

#[test]
fn tokens_that_were_made_before_train_to_the_same_bytes() {
    let tokens = |ids: Vec<u64>| Tokenised {
        sequences: ids
            .iter()
            .map(|&id| {
                let text = rows().0[id as usize].text.clone();
                let id = |word| WORDS.iter().position(|w| *w == word).unwrap() as u32;
                text.split_whitespace().map(id).collect()
            })
            .collect(),
        ids,
        truncated: 0,
    };
    let made = Case {
        tokens: Some(tokens((0..40).collect())),
        ..case(args(None), naive())
    };
    let plain = case(args(None), naive());
    assert_eq!(made.run().weights(), plain.run().weights());
}

#[test]
fn a_probe_learns_by_every_loss_and_parts_add_up() {
    let (examples, labels) = rows();
    let features = || -> Vec<Vec<f32>> {
        let row = |e: &Example| {
            let of = |i: u64| ((e.id * 7 + i * 3) % 11) as f32 / 11.0;
            vec![of(0), of(1), e.label as f32, of(2)]
        };
        examples.iter().map(row).collect()
    };
    let device = device("flex").unwrap();
    let run = |loss, micro_batch, held_out| {
        let folder = tempfile::tempdir().unwrap();
        let train = TrainArgs {
            lr: 3e-2,
            ..args(micro_batch)
        };
        let learn = learn(train, held_out);
        let how = Learning {
            loss,
            balance: false,
            args: &learn,
            dir: folder.path(),
            state_dir: folder.path(),
        };
        let supervision = Supervision::Weak(labels.clone());
        let targets = targets(&examples, &classes(), &supervision).unwrap();
        let groups = examples.iter().map(|e| e.group).collect();
        let rows: LabelledRows<Probe> = LabelledRows::new(features(), targets, groups);
        let probe = Probe::zeros(2, 4, &device);
        let (probe, summary) = how.fit(probe, rows, &mut |_, _| true).unwrap();
        let probabilities = probe.probabilities(&features(), &mut |_| true).unwrap();
        (probabilities.concat(), summary)
    };
    for loss in LabelLoss::ALL {
        let (whole, summary) = run(loss, None, 0.2);
        assert_eq!((summary.rows, summary.held_out_rows), (32, 8), "{loss}");
        assert_eq!(summary.fit.tokens, 0);
        close(&whole, &run(loss, Some(6), 0.2).0);
    }
    let (learnt, _) = run(naive(), None, 0.0);
    // Rows 0 and 1 are of classes 0 and 1.
    assert!(learnt[3] > learnt[1]);
}
