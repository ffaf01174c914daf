//! Reward models and conflicts on decoders of a few thousand parameters.

use crate::models::{WORDS, base, pairs};
use std::path::Path;
use w2s_artifact::Pair;
use w2s_artifact::summary::{FitSummary, TrainingSummary};
use w2s_lm::{EncodingArgs, LoraArgs, LoraSave, ModelFolder, Template, device, encode_pairs};
use w2s_losses::{Confidence, ConfidenceVariant, LabelLoss, Preference, PreferenceLoss};
use w2s_methods::{Learning, RewardTraining, Setup, prefer, reward};
use w2s_train::{Decay, EarlyStoppingArgs, LearnArgs, TrainArgs};

fn train() -> TrainArgs {
    TrainArgs {
        epochs: 6,
        max_steps: None,
        lr: 1e-2,
        schedule: Decay::Constant,
        warmup: 0.0,
        weight_decay: 0.0,
        beta2: 0.999,
        clip: None,
        micro_batch: None,
        seed: 0,
        save_seconds: 1e9,
    }
}

fn encoding() -> EncodingArgs {
    EncodingArgs::of(Template::Plain)
}

fn lora(rank: usize, lora_save: LoraSave) -> LoraArgs {
    LoraArgs {
        lora_rank: rank,
        lora_alpha: None,
        lora_targets: vec!["all".into()],
        lora_save,
    }
}

struct Run {
    folder: tempfile::TempDir,
    summary: TrainingSummary,
}

impl Run {
    /// Rewards of the chosen less the rejected answers, as the folder gives them when it is opened again.
    fn margins(&self, pairs: &[Pair]) -> Vec<f32> {
        let folder = ModelFolder::open(self.folder.path()).unwrap();
        let model = folder.reward_model(&device("flex").unwrap()).unwrap();
        let encoding = folder.reward_settings().unwrap().encoding;
        let encoder = encoding
            .encoder(self.folder.path(), model.decoder())
            .unwrap();
        let encoded = encode_pairs(&encoder, pairs, false).unwrap().pairs;
        let sides = encoded.iter().flat_map(|pair| &pair.sides);
        let sequences: Vec<_> = sides.map(|side| side.ids.clone()).collect();
        let scores = model.score(&sequences, &mut |_| true).unwrap();
        scores.chunks(2).map(|both| both[0] - both[1]).collect()
    }

    fn right(&self, pairs: &[Pair]) -> usize {
        let margins = self.margins(pairs);
        margins.iter().filter(|margin| **margin > 0.0).count()
    }
}

/// What is asked of a training beside its pairs.
struct Asked {
    loss: LabelLoss,
    conflict: Option<f64>,
    frozen: bool,
    lora: LoraArgs,
    held_out: f64,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            loss: LabelLoss::CrossEntropy,
            conflict: None,
            frozen: false,
            lora: lora(0, LoraSave::Merged),
            held_out: 0.0,
        }
    }
}

fn run(base: &Path, pairs: &[Pair], asked: &Asked) -> anyhow::Result<Run> {
    let (folder, state) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let args = LearnArgs {
        batch: 8,
        train: train(),
        stopping: EarlyStoppingArgs {
            held_out: asked.held_out,
            evaluations: None,
            patience: None,
        },
    };
    let what = RewardTraining {
        base,
        encoding: &encoding(),
        lora: &asked.lora,
        frozen: asked.frozen,
        conflict: asked.conflict,
        how: &Learning {
            loss: asked.loss,
            balance: false,
            args: &args,
            dir: folder.path(),
            state_dir: state.path(),
        },
        device: &device("flex")?,
    };
    let summary = reward(pairs, &what, &mut |_, _| true)?;
    Ok(Run { folder, summary })
}

fn start() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    base(folder.path(), &WORDS, 1);
    folder
}

/// Pairs as a weak model orders them that is wrong on every third, with what it is sure of and whether it is right.
fn ordered(pairs: &[Pair], confidence: f32) -> Vec<Pair> {
    let order = |(at, pair): (usize, &Pair)| {
        let mut pair = pair.clone();
        let right = at % 3 != 0;
        if !right {
            std::mem::swap(&mut pair.chosen, &mut pair.rejected);
        }
        (pair.confidence, pair.gold) = (Some(confidence), Some(right));
        pair
    };
    pairs.iter().enumerate().map(order).collect()
}

#[test]
fn scores_tell_good_answers_from_bad_ones_and_open_again() {
    let (start, pairs) = (start(), pairs(40));
    let run = run(start.path(), &pairs, &Asked::default()).unwrap();
    assert_eq!((run.summary.rows, run.summary.fit.steps), (40, 30));
    assert_eq!(run.right(&pairs), 40);
    // Which of both answers stands first is a coin: a model that prefers places does not get far.
    let places: usize = pairs.iter().map(Pair::place).sum();
    assert!((10..=30).contains(&places), "{places}");
    let config = std::fs::read_to_string(run.folder.path().join("config.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["num_labels"], 1);
    assert_eq!(config["id2label"]["0"], "reward");
    // It is no classifier of texts, and says what it is.
    let folder = ModelFolder::open(run.folder.path()).unwrap();
    let error = folder.classifier_settings().unwrap_err().to_string();
    assert!(
        error.contains("it is a reward model, which scores answers"),
        "{error}"
    );
    let error = ModelFolder::open(start.path()).unwrap().reward_settings();
    assert!(
        error
            .unwrap_err()
            .to_string()
            .contains("it is no reward model")
    );
}

#[test]
fn heads_alone_and_adapters_learn_too() {
    let (start, pairs) = (start(), pairs(40));
    let frozen = Asked {
        frozen: true,
        ..Asked::default()
    };
    let before = ModelFolder::open(start.path()).unwrap();
    let before = before.language_model(&device("flex").unwrap()).unwrap();
    let run_frozen = run(start.path(), &pairs, &frozen).unwrap();
    assert!(
        run_frozen.right(&pairs) > 30,
        "{}",
        run_frozen.right(&pairs)
    );
    let after = ModelFolder::open(run_frozen.folder.path()).unwrap();
    let after = after.reward_model(&device("flex").unwrap()).unwrap();
    let table = |weight: &burn::tensor::Tensor<2>| weight.to_data();
    assert_eq!(
        table(&before.model.embed_tokens.weight.val()),
        table(&after.decoder().embed_tokens.weight.val())
    );
    let [merged, adapter] = [LoraSave::Merged, LoraSave::Adapter].map(|save| {
        let asked = Asked {
            lora: lora(4, save),
            ..Asked::default()
        };
        run(start.path(), &pairs, &asked).unwrap()
    });
    assert_eq!(merged.right(&pairs), 40);
    let both = merged
        .margins(&pairs)
        .into_iter()
        .zip(adapter.margins(&pairs));
    for (merged, adapter) in both {
        assert!((merged - adapter).abs() < 1e-3, "{merged} and {adapter}");
    }
    assert!(!adapter.folder.path().join("model.safetensors").exists());
}

#[test]
fn soft_orders_are_learnt_softly() {
    let (start, pairs) = (start(), pairs(40));
    let sure = |confidence: f32| {
        let order = |mut pair: Pair| {
            (pair.confidence, pair.gold) = (Some(confidence), Some(true));
            pair
        };
        let ordered: Vec<Pair> = pairs.iter().cloned().map(order).collect();
        let margins = run(start.path(), &ordered, &Asked::default())
            .unwrap()
            .margins(&pairs);
        margins.iter().sum::<f32>() / margins.len() as f32
    };
    let [half, soft, certain] = [0.5, 0.75, 1.0].map(sure);
    // One half says nothing; three quarters ask for a margin of ln 3.
    assert!(half.abs() < 0.2, "{half}");
    assert!((soft - 3f32.ln()).abs() < 0.4, "{soft}");
    assert!(certain > soft + 1.0, "{certain}");
}

#[test]
fn a_conflict_makes_more_answers_wrong_by_the_truth() {
    let (start, pairs) = (start(), pairs(40));
    let weak = ordered(&pairs, 0.9);
    let conflict = |weight: Option<f64>| {
        let asked = Asked {
            conflict: weight,
            ..Asked::default()
        };
        run(start.path(), &weak, &asked).unwrap()
    };
    let [none, strong] = [None, Some(5.0)].map(conflict);
    assert!(none.right(&pairs) > strong.right(&pairs) + 5);
    let log = std::fs::read_to_string(strong.folder.path().join("metrics.jsonl")).unwrap();
    assert!(log.lines().next().unwrap().contains("\"conflict\":"));
    // Without the truth there is nothing to be in conflict with.
    let mut unknown = weak.clone();
    unknown[3].gold = None;
    let asked = Asked {
        conflict: Some(0.5),
        ..Asked::default()
    };
    let error = run(start.path(), &unknown, &asked)
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.contains("the truth of some pairs is not known"),
        "{error}"
    );
    let asked = Asked {
        conflict: Some(0.5),
        held_out: 0.2,
        ..Asked::default()
    };
    let error = run(start.path(), &weak, &asked).err().unwrap().to_string();
    assert!(
        error.starts_with("--held-out stops where weak labels"),
        "{error}"
    );
}

#[test]
fn other_losses_of_labels_learn_from_pairs() {
    let (start, pairs) = (start(), pairs(40));
    let weak = ordered(&pairs, 0.8);
    let variant = ConfidenceVariant::Deception;
    for loss in [
        LabelLoss::Confidence(Confidence::new(variant)),
        "product".parse().unwrap(),
    ] {
        let asked = Asked {
            loss,
            held_out: 0.2,
            ..Asked::default()
        };
        let run = run(start.path(), &weak, &asked).unwrap();
        let FitSummary { best_held_out, .. } = run.summary.fit;
        assert_eq!(run.summary.rows + run.summary.held_out_rows, 40);
        assert!(best_held_out.unwrap() >= 0.5, "{loss}");
    }
}

#[test]
fn a_policy_in_conflict_loses_what_the_truth_prefers() {
    let (start, pairs) = (start(), pairs(24));
    let weak = ordered(&pairs, 0.9);
    let simpo = Preference::from("simpo".parse::<PreferenceLoss>().unwrap());
    let tuned = |conflict: Option<f64>| {
        let (folder, state) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let setup = Setup {
            base: start.path(),
            encoding: &encoding(),
            batch: 8,
            in_order: false,
            train: &train(),
            lora: &lora(0, LoraSave::Merged),
            device: &device("flex").unwrap(),
            dir: folder.path(),
            state_dir: state.path(),
        };
        prefer(&setup, &weak, None, simpo, conflict, &mut |_, _| true).unwrap();
        let log = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        (
            last["rewards_accuracy"].as_f64().unwrap(),
            last["conflict"].as_f64(),
        )
    };
    let ((without, none), (with, extra)) = (tuned(None), tuned(Some(5.0)));
    assert_eq!(none, None);
    assert!(extra.unwrap() > 0.0);
    assert!(without > with, "{without} and {with}");
}
