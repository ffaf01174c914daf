//! The loop on a small regression: resume, accumulation, early stopping, and what stops it.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use safetensors::SafeTensors;
use std::path::Path;
use std::time::Duration;
use w2s_artifact::summary::TrainingLogLine;
use w2s_train::{
    Batches, Decay, EarlyStopping, Loss, Objective, Schedule, StepInfo, TrainConfig, TrainError,
    fit,
};

#[derive(Module, Debug)]
struct Line {
    weight: Param<Tensor<2>>,
    bias: Param<Tensor<1>>,
}

impl Line {
    fn new() -> Self {
        let device = Device::flex();
        Self {
            weight: Param::from_data(TensorData::new(vec![0.3f32, -0.2, 0.1], [3, 1]), &device),
            bias: Param::from_data(TensorData::new(vec![0.0f32], [1]), &device),
        }
    }

    fn values(&self) -> Vec<f32> {
        let mut values: Vec<f32> = self.weight.val().into_data().try_to_vec().unwrap();
        values.extend(self.bias.val().into_data().try_to_vec::<f32>().unwrap());
        values
    }
}

/// Least squares on made-up rows; the scores of held-out evaluations are given.
#[derive(Default)]
struct Squares {
    scores: Vec<f64>,
    evaluations: usize,
    poison: Option<usize>,
    whole: bool,
    /// What the loop asked for, in order.
    seen: Vec<String>,
}

fn input(row: usize) -> [f32; 3] {
    [0, 1, 2].map(|i| ((row * 37 + i * 11) % 17) as f32 / 8.0 - 1.0)
}

impl Objective<Line> for Squares {
    /// What is missed, `[rows, 1]`.
    type Pass = Tensor<2>;

    fn forward(
        &mut self,
        model: &Line,
        rows: &[usize],
        _: StepInfo,
    ) -> Result<Tensor<2>, TrainError> {
        let device = model.weight.val().device();
        let x: Vec<f32> = rows.iter().flat_map(|&r| input(r)).collect();
        let y: Vec<f32> = rows
            .iter()
            .map(|&r| input(r)[0] * 2.0 - input(r)[2] + 0.5)
            .collect();
        let x = Tensor::<2>::from_data(TensorData::new(x, [rows.len(), 3]), &device);
        let y = Tensor::<2>::from_data(TensorData::new(y, [rows.len(), 1]), &device);
        Ok(x.matmul(model.weight.val()) + model.bias.val().unsqueeze() - y)
    }

    fn begin(&mut self, _: &Line, _: StepInfo) -> Result<(), TrainError> {
        self.seen.push("begin".into());
        Ok(())
    }

    fn reads_whole_batch(&self) -> bool {
        self.whole
    }

    fn whole(&mut self, passes: &[Tensor<2>], _: StepInfo) -> Result<(), TrainError> {
        let rows = passes.iter().map(|pass| pass.dims()[0]);
        let learns = passes.iter().any(|pass| pass.device().is_autodiff());
        let rows: Vec<usize> = rows.collect();
        self.seen
            .push(format!("whole {rows:?}, gradients {learns}"));
        Ok(())
    }

    fn loss(
        &mut self,
        error: Tensor<2>,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        self.seen.push(format!("loss {}", rows.len()));
        let mut value = (error.clone() * error).sum() / info.batch.len() as f64;
        if self.poison == Some(info.step) {
            value = value * f32::NAN;
        }
        Ok(Loss {
            value,
            tokens: rows.len(),
            metrics: vec![
                ("rows", rows.len() as f64),
                ("share", rows.len() as f64 / info.batch.len() as f64),
            ],
        })
    }

    fn held_out(&mut self, _: &Line) -> Option<f64> {
        self.evaluations += 1;
        self.scores.get(self.evaluations - 1).copied()
    }
}

fn config(folder: &Path) -> TrainConfig {
    TrainConfig {
        schedule: Schedule {
            peak: 0.05,
            warmup_fraction: 0.1,
            decay: Decay::Cosine,
        },
        beta1: 0.9,
        beta2: 0.999,
        eps: 1e-8,
        weight_decay: 0.0,
        clip: Some(1.0),
        micro_batch: None,
        early_stopping: None,
        state_dir: folder.into(),
        metrics_file: folder.join("metrics.jsonl"),
        save_every: Duration::ZERO,
    }
}

fn log(folder: &Path) -> Vec<TrainingLogLine> {
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn it_learns() {
    let folder = tempfile::tempdir().unwrap();
    let plan = Batches::by_examples(64, 8, 60, 0);
    let fitted = fit(
        Line::new(),
        &mut Squares::default(),
        &plan,
        &config(folder.path()),
        &mut |_, _| true,
    )
    .unwrap();
    let expected = [2.0, 0.0, -1.0, 0.5];
    for (got, expected) in fitted.model.values().iter().zip(expected) {
        assert!((got - expected).abs() < 0.05, "{got} instead of {expected}");
    }
    assert_eq!(fitted.summary.steps, 480);
    assert_eq!(fitted.summary.tokens, 64 * 60);
    assert_eq!(log(folder.path()).len(), 480);
    assert!(fitted.summary.final_loss < 1e-2);
}

#[test]
fn stopped_at_every_step_it_ends_in_the_same_bits() {
    let plan = Batches::by_examples(20, 6, 3, 5);
    let calm = tempfile::tempdir().unwrap();
    let whole = fit(
        Line::new(),
        &mut Squares::default(),
        &plan,
        &config(calm.path()),
        &mut |_, _| true,
    )
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut runs = 0;
    let resumed = loop {
        runs += 1;
        match fit(
            Line::new(),
            &mut Squares::default(),
            &plan,
            &config(folder.path()),
            &mut |_, _| false,
        ) {
            Ok(fitted) => break fitted,
            Err(TrainError::Stopped { step, .. }) => assert_eq!(step, runs),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(runs, plan.steps());
    assert_eq!(resumed.model.values(), whole.model.values());
    let losses = |folder: &Path| {
        log(folder)
            .iter()
            .map(|m| (m.step, m.loss, m.grad_norm, m.more.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(losses(folder.path()), losses(calm.path()));
}

#[test]
fn frozen_parameters_stay_and_are_not_saved() {
    let frozen = || {
        let line = Line::new();
        Line {
            weight: line.weight.set_require_grad(false),
            ..line
        }
    };
    let plan = Batches::by_examples(20, 6, 3, 5);
    let run = |folder: &Path, go_on: bool| {
        fit(
            frozen(),
            &mut Squares::default(),
            &plan,
            &config(folder),
            &mut |_, _| go_on,
        )
    };
    let calm = tempfile::tempdir().unwrap();
    let whole = run(calm.path(), true).unwrap().model.values();
    assert_eq!(whole[..3], [0.3, -0.2, 0.1]);
    assert_ne!(whole[3], 0.0);

    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), false).is_err(), "stopped after a step");
    let bytes = std::fs::read(folder.path().join("state.safetensors")).unwrap();
    // A hash of 32 bytes stands behind the tensors.
    let file = SafeTensors::deserialize(&bytes[..bytes.len() - 32]).unwrap();
    assert_eq!(file.len(), 3, "the bias and its two moments");
    assert!(file.tensors().iter().all(|(_, view)| view.shape() == [1]));
    let resumed = run(folder.path(), true).unwrap().model.values();
    assert_eq!(resumed, whole);
}

#[test]
fn a_state_or_a_log_that_is_not_what_was_written_starts_over() {
    let batches = Batches::by_examples(20, 6, 3, 5);
    let run = |folder: &Path, stop: usize| {
        fit(
            Line::new(),
            &mut Squares::default(),
            &batches,
            &config(folder),
            &mut |line, _| line.step != stop,
        )
    };
    let calm = tempfile::tempdir().unwrap();
    let whole = run(calm.path(), 0).unwrap().model.values();
    let (state, metrics) = ("state.safetensors", "metrics.jsonl");
    let flip = |at: usize| {
        move |bytes: &mut Vec<u8>| {
            let at = at % bytes.len();
            bytes[at] ^= 4;
        }
    };
    type Damage = Box<dyn Fn(&mut Vec<u8>)>;
    let damages: [(&str, Damage); 7] = [
        (state, Box::new(|bytes| bytes.truncate(100))),
        (state, Box::new(|bytes| *bytes = b"not a state".to_vec())),
        // In the header, in the values, in the hash.
        (state, Box::new(flip(40))),
        (
            state,
            Box::new(|bytes| {
                bytes
                    .iter_mut()
                    .rev()
                    .skip(40)
                    .take(1)
                    .for_each(|b| *b ^= 4)
            }),
        ),
        (
            state,
            Box::new(|bytes| bytes.iter_mut().rev().take(1).for_each(|b| *b ^= 4)),
        ),
        (metrics, Box::new(|bytes| bytes.truncate(30))),
        (metrics, Box::new(flip(30))),
    ];
    for (file, damage) in damages {
        let folder = tempfile::tempdir().unwrap();
        assert!(run(folder.path(), 5).is_err(), "stopped after five steps");
        let path = folder.path().join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        damage(&mut bytes);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(run(folder.path(), 0).unwrap().model.values(), whole);
        let steps: Vec<usize> = log(folder.path()).iter().map(|line| line.step).collect();
        assert_eq!(steps, (1..=batches.steps()).collect::<Vec<_>>(), "{file}");
    }
    let folder = tempfile::tempdir().unwrap();
    assert!(run(folder.path(), 5).is_err());
    std::fs::remove_file(folder.path().join(metrics)).unwrap();
    assert_eq!(run(folder.path(), 0).unwrap().model.values(), whole);
    assert_eq!(log(folder.path()).len(), batches.steps());
}

#[test]
fn a_state_of_another_model_starts_over() {
    let batches = Batches::by_examples(20, 6, 1, 5);
    let folder = tempfile::tempdir().unwrap();
    let frozen = Line {
        bias: Line::new().bias.set_require_grad(false),
        ..Line::new()
    };
    let run = |model: Line, go_on: bool| {
        fit(
            model,
            &mut Squares::default(),
            &batches,
            &config(folder.path()),
            &mut |_, _| go_on,
        )
    };
    assert!(run(frozen, false).is_err(), "stopped after a step");
    let fitted = run(Line::new(), true).unwrap();
    assert_eq!(fitted.summary.steps, batches.steps());
    assert_eq!(log(folder.path()).len(), batches.steps());
}

#[test]
fn accumulation_equals_the_large_batch() {
    let plan = Batches::by_examples(40, 16, 2, 1);
    let run = |micro_batch| {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainConfig {
            micro_batch,
            ..config(folder.path())
        };
        fit(
            Line::new(),
            &mut Squares::default(),
            &plan,
            &config,
            &mut |_, _| true,
        )
        .unwrap()
        .model
        .values()
    };
    let whole = run(None);
    for size in [1, 5, 16] {
        for (a, b) in whole.iter().zip(run(Some(size))) {
            assert!(
                (a - b).abs() < 1e-5,
                "micro-batches of {size}: {b} instead of {a}"
            );
        }
    }
}

#[test]
fn the_whole_batch_is_shown_before_its_losses_and_computed_once_if_it_fits() {
    let seen = |micro_batch, whole| {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainConfig {
            micro_batch,
            ..config(folder.path())
        };
        let mut objective = Squares {
            whole,
            ..Squares::default()
        };
        let batches = Batches::by_examples(8, 8, 1, 0);
        fit(
            Line::new(),
            &mut objective,
            &batches,
            &config,
            &mut |_, _| true,
        )
        .unwrap();
        objective.seen
    };
    assert_eq!(seen(None, false), ["begin", "loss 8"]);
    // The pass that is shown is the one that is learnt from.
    assert_eq!(
        seen(None, true),
        ["begin", "whole [8], gradients true", "loss 8"]
    );
    assert_eq!(
        seen(Some(5), true),
        ["begin", "whole [5, 3], gradients false", "loss 5", "loss 3"]
    );
}

#[test]
fn metrics_of_the_parts_add_up_and_stand_flat_in_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let config = TrainConfig {
        micro_batch: Some(3),
        ..config(folder.path())
    };
    let plan = Batches::by_examples(8, 8, 1, 0);
    fit(
        Line::new(),
        &mut Squares::default(),
        &plan,
        &config,
        &mut |metrics, _| {
            assert_eq!(metrics.more["rows"], 8.0);
            true
        },
    )
    .unwrap();
    let line = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    assert!(line.contains("\"rows\":8.0,\"share\":1.0"), "{line}");
    assert_eq!(log(folder.path())[0].more["rows"], 8.0);
}

#[test]
fn early_stopping_gives_the_best_parameters_back() {
    let plan = Batches::by_examples(16, 8, 10, 0);
    let best_of = |scores: Vec<f64>| {
        let folder = tempfile::tempdir().unwrap();
        let config = TrainConfig {
            early_stopping: Some(EarlyStopping {
                evaluations_per_epoch: 1,
                patience: 2,
            }),
            ..config(folder.path())
        };
        let mut objective = Squares {
            scores,
            ..Squares::default()
        };
        fit(Line::new(), &mut objective, &plan, &config, &mut |_, _| {
            true
        })
        .unwrap()
    };
    let stopped = best_of(vec![0.5, 0.9, 0.6, 0.7, 1.0]);
    assert_eq!(stopped.summary.best_step, Some(4));
    assert_eq!(
        stopped.summary.steps, 8,
        "two evaluations without a better one"
    );
    let first = best_of(vec![0.9, 0.9, 0.9]);
    assert_eq!(first.summary.best_step, Some(2), "a tie is not better");
    assert_ne!(first.model.values(), stopped.model.values());
}

#[test]
fn a_loss_that_is_no_number_stops_and_keeps_the_last_state() {
    let plan = Batches::by_examples(16, 8, 4, 0);
    let folder = tempfile::tempdir().unwrap();
    let mut objective = Squares {
        poison: Some(5),
        ..Squares::default()
    };
    let error = fit(
        Line::new(),
        &mut objective,
        &plan,
        &config(folder.path()),
        &mut |_, _| true,
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "step 6 has loss NaN and gradient length NaN; nothing of it is kept"
    );
    assert_eq!(log(folder.path()).len(), 5);
    let fitted = fit(
        Line::new(),
        &mut Squares::default(),
        &plan,
        &config(folder.path()),
        &mut |_, _| true,
    )
    .unwrap();
    assert_eq!(fitted.summary.steps, 8);
}
