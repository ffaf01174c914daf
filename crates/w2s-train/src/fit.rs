//! The loop.

use crate::state::{Best, Cursor, Moments, Saved, Values, add_gradients, norm, take_gradients};
use crate::{Batches, Schedule, TrainError};
use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use w2s_artifact::summary::{FitSummary, TrainingLogLine};
use w2s_ops::AdamW;

/// Settings of a run that do not depend on what is learned.
#[derive(Clone, Debug)]
pub struct TrainConfig {
    /// Learning rates.
    pub schedule: Schedule,
    /// Decay rate of the first moment.
    pub beta1: f64,
    /// Decay rate of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay (AdamW); 0 is Adam.
    pub weight_decay: f64,
    /// Gradients longer than this are scaled down to it; `None` leaves them.
    pub clip: Option<f64>,
    /// Rows that are computed at once; a larger batch is accumulated from several passes.
    pub micro_batch: Option<usize>,
    /// Held-out evaluations per epoch, and how many may pass without a better one; `None` trains to the end.
    pub early_stopping: Option<EarlyStopping>,
    /// Where the state for resuming is kept.
    pub state_dir: PathBuf,
    /// Where metrics are written, one JSON line a step.
    pub metrics_file: PathBuf,
    /// Seconds between two saves of the state.
    pub save_every: Duration,
}

/// When to stop before the end. The best parameters seen are the result.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EarlyStopping {
    /// Evaluations per epoch.
    pub evaluations_per_epoch: usize,
    /// Evaluations without a better score after which training stops.
    pub patience: usize,
}

/// Where a step stands in its run.
#[derive(Clone, Copy, Debug)]
pub struct StepInfo<'a> {
    /// From 0.
    pub step: usize,
    /// Of how many.
    pub steps: usize,
    /// All rows of this step, of which a micro-batch is a part.
    pub batch: &'a [usize],
}

impl StepInfo<'_> {
    /// `step / steps`, the fraction that loss schedules are written in.
    pub fn fraction(&self) -> f64 {
        self.step as f64 / self.steps as f64
    }
}

/// A part of a step's loss.
pub struct Loss {
    /// The share of these rows in the mean over the batch, `[1]`: the parts of a step add up to its loss.
    pub value: Tensor<1>,
    /// Tokens that were computed.
    pub tokens: usize,
    /// What else the objective wants in `metrics.jsonl`, by name: shares that add up over the parts of a step, as the
    /// loss does.
    pub metrics: Vec<(&'static str, f64)>,
}

/// What is learned: a loss over rows that only the objective knows.
pub trait Objective<M> {
    /// What a forward pass over some rows gives, and what their loss is computed from: logits, say, or log-probabilities. It is
    /// the loss itself where the two are one operation.
    type Pass;

    /// A forward pass over `rows`.
    fn forward(
        &mut self,
        model: &M,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Self::Pass, TrainError>;

    /// Called at the beginning of every step.
    fn begin(&mut self, _model: &M, _info: StepInfo) -> Result<(), TrainError> {
        Ok(())
    }

    /// Whether the loss depends on the model's outputs on the whole batch, which [`whole`](Self::whole) then sees.
    fn reads_whole_batch(&self) -> bool {
        false
    }

    /// Sees the forward passes of a whole batch before the first loss of its step. A batch that is computed in one pass has that
    /// very pass here; one that is computed in several has passes without gradients, made for this alone.
    fn whole(&mut self, _passes: &[Self::Pass], _info: StepInfo) -> Result<(), TrainError> {
        Ok(())
    }

    /// The share of `rows` in the loss of the step.
    fn loss(
        &mut self,
        pass: Self::Pass,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError>;

    /// A held-out score, higher is better, for early stopping. It must come from what the learner may see: weak labels,
    /// never gold ones.
    fn held_out(&mut self, _model: &M) -> Option<f64> {
        None
    }
}

/// Loss and speed of a step, for a progress bar.
pub fn progress_line(line: &TrainingLogLine) -> String {
    format!(
        "loss {:.4}, {:.0} tokens/s",
        line.loss,
        line.tokens as f64 / line.seconds
    )
}

/// Sees the metrics of each step and the number of steps; `false` saves the state and stops.
pub type Watch<'a> = &'a mut dyn FnMut(&TrainingLogLine, usize) -> bool;

/// A trained model.
#[derive(Debug)]
pub struct Fitted<M> {
    /// The model, without autodiff; the best by held-out score where one was taken.
    pub model: M,
    /// What happened.
    pub summary: FitSummary,
}

struct MetricsLog {
    file: File,
    path: PathBuf,
    bytes: u64,
    /// Of all lines so far.
    hash: blake3::Hasher,
}

impl MetricsLog {
    fn create(path: PathBuf) -> Result<Self, TrainError> {
        let file = File::create(&path).map_err(|e| TrainError::state(&path, e))?;
        Ok(Self {
            file,
            path,
            bytes: 0,
            hash: blake3::Hasher::new(),
        })
    }

    /// The log of a saved state, without lines after it; `None` if it is not there, or not the one that was written.
    fn resume(path: PathBuf, cursor: &Cursor) -> Result<Option<Self>, TrainError> {
        let open = || -> std::io::Result<Option<Self>> {
            let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
            let mut hash = blake3::Hasher::new();
            let kept = std::io::copy(&mut (&mut file).take(cursor.metrics_bytes), &mut hash)?;
            if kept < cursor.metrics_bytes || hash.finalize().to_string() != cursor.metrics_hash {
                return Ok(None);
            }
            file.set_len(kept)?;
            file.seek(SeekFrom::Start(kept))?;
            Ok(Some(Self {
                file,
                path: path.clone(),
                bytes: kept,
                hash,
            }))
        };
        match open() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => opened.map_err(|e| TrainError::state(&path, e)),
        }
    }

    fn write(&mut self, metrics: &TrainingLogLine) -> Result<(), TrainError> {
        let mut line = serde_json::to_string(metrics).expect("metrics serialize");
        line.push('\n');
        self.bytes += line.len() as u64;
        self.hash.update(line.as_bytes());
        self.file
            .write_all(line.as_bytes())
            .map_err(|e| TrainError::state(&self.path, e))
    }

    /// Brings what was written to the disk, and says what it is.
    fn sync(&self, cursor: &mut Cursor) -> Result<(), TrainError> {
        let synced = self.file.sync_data();
        synced.map_err(|e| TrainError::state(&self.path, e))?;
        cursor.metrics_bytes = self.bytes;
        cursor.metrics_hash = self.hash.finalize().to_string();
        Ok(())
    }

    fn final_loss(&self, steps: usize) -> Result<f64, TrainError> {
        let text =
            std::fs::read_to_string(&self.path).map_err(|e| TrainError::state(&self.path, e))?;
        let losses: Vec<f64> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<TrainingLogLine>(line).ok())
            .map(|m| m.loss)
            .collect();
        let tail = &losses[losses.len().saturating_sub(steps.div_ceil(10))..];
        Ok(tail.iter().sum::<f64>() / tail.len().max(1) as f64)
    }
}

/// A saved state that fits the model, with its log; or none, and an empty log. What is damaged is told.
fn resume<M: Module>(
    config: &TrainConfig,
    state_file: &Path,
    model: &M,
    device: &Device,
) -> Result<(Option<Saved>, MetricsLog), TrainError> {
    let log = &config.metrics_file;
    if let Some(saved) = Saved::read(state_file, device) {
        if !saved.fits(model) {
            let file = state_file.display();
            tracing::warn!("`{file}` is the state of another model; training starts over");
        } else if let Some(log) = MetricsLog::resume(log.clone(), &saved.cursor)? {
            return Ok((Some(saved), log));
        } else {
            let log = log.display();
            tracing::warn!("`{log}` is not the log of the saved state; training starts over");
        }
    }
    Ok((None, MetricsLog::create(log.clone())?))
}

/// What a state is taken to need for its way into a file, until one was written.
const SAVED_BYTES_PER_SECOND: f64 = 512e6;

/// Trains `model` over `plan`, going on from a saved state where there is one. Frozen parameters stay as they are and
/// are no part of that state.
///
/// The same seed, plan and machine give the same bytes, interrupted or not: a saved state holds parameters, moments and
/// the position in the plan, and nothing else varies. `watch` sees the metrics of each step and may stop the run.
///
/// # Errors
///
/// [`TrainError::NonFinite`] if a loss or a gradient is not finite: nothing of that step is kept.
/// [`TrainError::Stopped`] if `watch` stopped it: the state is saved.
pub fn fit<M: Module>(
    model: M,
    objective: &mut (impl Objective<M> + ?Sized),
    plan: &Batches,
    config: &TrainConfig,
    watch: Watch,
) -> Result<Fitted<M>, TrainError> {
    let steps = plan.steps();
    let mut model = model.train();
    let device = model.devices().first().cloned().unwrap_or_default();
    let state_file = config.state_dir.join("state.safetensors");
    let mut best_values = None;
    let still = device.clone().without_autodiff();
    let (saved, mut log) = resume(config, &state_file, &model, &still)?;
    let (mut cursor, mut moments) = match saved {
        Some(saved) => {
            tracing::info!("going on from step {} of {steps}", saved.cursor.step);
            model = saved.parameters.restore(model);
            best_values = saved.best;
            (saved.cursor, saved.moments)
        }
        None => (Cursor::default(), Moments::zeros(&model)),
    };
    let started = Instant::now();
    let before = cursor.seconds;
    let mut saved_at = Instant::now();
    // Before the first save its cost is a guess, so that a large model is not written for the sake of a few seconds.
    let mut save_cost =
        Duration::from_secs_f64(moments.saved_bytes() as f64 / SAVED_BYTES_PER_SECOND);
    let evaluations = evaluation_steps(plan, config.early_stopping);

    while cursor.step < steps {
        if let Some(rule) = config.early_stopping
            && cursor.stale >= rule.patience
        {
            break;
        }
        let info = StepInfo {
            step: cursor.step,
            steps,
            batch: plan.batch(cursor.step),
        };
        let passes: Vec<&[usize]> = match config.micro_batch {
            Some(size) => info.batch.chunks(size).collect(),
            None => vec![info.batch],
        };
        objective.begin(&model, info)?;
        let mut only = None;
        if objective.reads_whole_batch() {
            if let [rows] = passes[..] {
                only = Some(objective.forward(&model, rows, info)?);
                objective.whole(only.as_slice(), info)?;
            } else {
                let still = model.valid();
                let all = passes
                    .iter()
                    .map(|rows| objective.forward(&still, rows, info));
                let all: Vec<_> = all.collect::<Result<_, _>>()?;
                objective.whole(&all, info)?;
            }
        }
        let (mut loss, mut gradients) = (0.0, None);
        let mut more = BTreeMap::new();
        for rows in passes {
            let pass = match only.take() {
                Some(pass) => pass,
                None => objective.forward(&model, rows, info)?,
            };
            let part = objective.loss(pass, rows, info)?;
            cursor.tokens += part.tokens as u64;
            let value: f32 = part.value.clone().into_scalar();
            loss += f64::from(value);
            for (name, share) in part.metrics {
                *more.entry(name.to_owned()).or_insert(0.0) += share;
            }
            let mut grads = part.value.backward();
            let taken = take_gradients(&model, &mut grads);
            match &mut gradients {
                None => gradients = Some(taken),
                Some(sum) => add_gradients(sum, taken),
            }
        }
        let gradients = gradients.expect("a batch has at least one row");
        let grad_norm = norm(&gradients);
        if !loss.is_finite() || !grad_norm.is_finite() {
            return Err(TrainError::NonFinite {
                step: cursor.step + 1,
                loss,
                grad_norm,
            });
        }
        let gradient_scale = match config.clip {
            Some(clip) if grad_norm > clip => clip / grad_norm,
            _ => 1.0,
        };
        let learning_rate = config.schedule.learning_rate(cursor.step, steps);
        let settings = AdamW {
            learning_rate: learning_rate as f32,
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            weight_decay: config.weight_decay as f32,
            step: cursor.step as u32 + 1,
            gradient_scale: gradient_scale as f32,
        };
        model = moments.update(model, gradients, settings);
        cursor.step += 1;

        let held_out = if evaluations.contains(&cursor.step) {
            objective.held_out(&model.valid())
        } else {
            None
        };
        if let Some(score) = held_out {
            if cursor.best.as_ref().is_none_or(|best| score > best.score) {
                cursor.best = Some(Best {
                    step: cursor.step,
                    score,
                });
                cursor.stale = 0;
                best_values = Some(Values::of(&model));
            } else {
                cursor.stale += 1;
            }
        }
        cursor.seconds = before + started.elapsed().as_secs_f64();
        let metrics = TrainingLogLine {
            step: cursor.step,
            epoch: plan.epoch(cursor.step),
            loss,
            lr: learning_rate,
            grad_norm,
            tokens: cursor.tokens,
            seconds: cursor.seconds,
            held_out,
            more,
        };
        log.write(&metrics)?;
        let stop = !watch(&metrics, steps);
        // Saving a large model takes seconds: it may cost a twentieth of the time at most.
        let due = saved_at.elapsed() >= config.save_every.max(save_cost * 20);
        if cursor.step < steps && (stop || due) {
            let start = Instant::now();
            log.sync(&mut cursor)?;
            Saved::write(&state_file, &cursor, &model, &moments, best_values.as_ref())?;
            saved_at = Instant::now();
            save_cost = saved_at - start;
        }
        if stop && cursor.step < steps {
            return Err(TrainError::Stopped {
                step: cursor.step,
                steps,
            });
        }
    }
    if let Some(values) = best_values {
        model = values.restore(model);
    }
    Ok(Fitted {
        model: model.valid(),
        summary: FitSummary {
            steps: cursor.step,
            tokens: cursor.tokens,
            train_seconds: cursor.seconds,
            tokens_per_second: cursor.tokens as f64 / cursor.seconds.max(1e-9),
            final_loss: log.final_loss(cursor.step)?,
            best_step: cursor.best.as_ref().map(|b| b.step),
            best_held_out: cursor.best.as_ref().map(|b| b.score),
        },
    })
}

/// The steps after which the held-out score is taken.
fn evaluation_steps(plan: &Batches, early_stopping: Option<EarlyStopping>) -> Vec<usize> {
    let Some(stop) = early_stopping else {
        return Vec::new();
    };
    let total = (plan.epoch(plan.steps()).round() as usize * stop.evaluations_per_epoch).max(1);
    (1..=total)
        .map(|i| (i * plan.steps()).div_ceil(total))
        .collect()
}
