//! Finetuning on gold labels.

use anyhow::{Result, bail};
use burn::tensor::Device;
use std::path::Path;
use w2s_artifact::Example;
use w2s_lm::{Classifier, ClassifierArgs, Inputs, LabelledRows, save_classifier};
use w2s_losses::cross_entropy_rows;
use w2s_train::{
    EarlyStoppingArgs, FitSummary, Loss, Objective, Plan, StepInfo, TrainArgs, TrainError, Watch,
    fit,
};

/// Cross entropy against gold labels.
struct Gold {
    rows: LabelledRows,
    held_out: LabelledRows,
}

impl Objective<Classifier> for Gold {
    fn loss(
        &mut self,
        model: &Classifier,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let (logits, tokens) = self.rows.logits(model, rows); // [rows, classes]
        let targets = self.rows.targets(rows, &logits.device());
        Ok(Loss {
            value: cross_entropy_rows(logits, targets).sum() / info.batch.len() as f64,
            tokens,
            metrics: Vec::new(),
        })
    }

    fn held_out(&mut self, model: &Classifier) -> Option<f64> {
        Some(self.held_out.agreement(model))
    }
}

/// What finetuning did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Finetuned {
    /// Rows it was trained on.
    pub rows: usize,
    /// Rows held out for early stopping.
    pub held_out_rows: usize,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
    /// The run.
    #[serde(flatten)]
    pub fit: FitSummary,
}

/// Finetunes the model of `base` on the gold labels of `examples`, and writes a classifier into `dir`.
///
/// # Errors
///
/// If no row is left, if only one class is, or if the model cannot be read or trained.
pub fn finetune(
    base: &Path,
    examples: &[Example],
    classes: &[String],
    batch: usize,
    classifier: &ClassifierArgs,
    train: &TrainArgs,
    stopping: &EarlyStoppingArgs,
    device: &Device,
    dir: &Path,
    state_dir: &Path,
    watch: Watch,
) -> Result<Finetuned> {
    let (model, tokenizer, settings) = classifier.start(base, classes, device)?;
    let encoded = settings.encode(&tokenizer, examples.iter().map(|e| e.text.as_str()))?;
    let labels: Vec<u32> = encoded.rows.iter().map(|&r| examples[r].label).collect();
    let Some(&first) = labels.first() else {
        bail!(
            "none of {} rows is at most {} tokens long",
            examples.len(),
            settings.max_tokens
        );
    };
    if labels.iter().all(|&l| l == first) {
        bail!(
            "all {} rows are of class `{}`; there is nothing to learn",
            labels.len(),
            classes[first as usize]
        );
    }
    let one_hot = |label: u32| {
        (0..classes.len())
            .map(|c| f32::from(c == label as usize))
            .collect()
    };
    let targets = labels.into_iter().map(|label| Some(one_hot(label)));
    let rows = LabelledRows::new(Inputs::Tokens(encoded.sequences), targets.collect());
    let (rows, held_out) = rows.split_off(stopping.held_out);
    let plan =
        Plan::by_examples(rows.len(), batch, train.epochs, train.seed).at_most(train.max_steps);
    let (count, held_out_rows) = (rows.len(), held_out.len());
    let fitted = fit(
        model,
        &mut Gold { rows, held_out },
        &plan,
        &train.config(dir, state_dir, Some(stopping)),
        watch,
    )?;
    save_classifier(&fitted.model, &settings, dir)?;
    tokenizer.save(dir)?;
    Ok(Finetuned {
        rows: count,
        held_out_rows,
        dropped_too_long: encoded.dropped,
        truncated: encoded.truncated,
        fit: fitted.summary,
    })
}
