//! From examples and labels to a trained student, whatever the method.

use anyhow::{Result, bail};
use burn::tensor::Device;
use std::collections::HashMap;
use std::path::Path;
use w2s_artifact::{Example, Label};
use w2s_lm::{Classifier, ClassifierArgs, LabelledRows, save_classifier};
use w2s_train::{EarlyStoppingArgs, FitSummary, Objective, Plan, TrainArgs, Watch, fit};

/// What the student learns from.
#[derive(Clone, Debug)]
pub enum Supervision {
    /// A teacher's soft labels.
    Weak(Vec<Label>),
    /// Ground truth: the strong ceiling.
    Gold,
}

/// What training did.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Trained {
    /// Rows it was trained on.
    pub rows: usize,
    /// Rows held out for early stopping.
    pub held_out_rows: usize,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
    /// Rows left out because the teacher has no label for them.
    pub dropped_unlabelled: usize,
    /// The run.
    #[serde(flatten)]
    pub fit: FitSummary,
}

/// Trains the model of `base` on `examples` under `supervision`, and writes a classifier into `dir`. `method` makes the
/// objective from rows to train on and rows held out.
///
/// # Errors
///
/// If labels are of other rows than the examples, if no row is left, or if the model cannot be read or trained.
pub fn train<O: Objective<Classifier>>(
    base: &Path,
    examples: &[Example],
    classes: &[String],
    supervision: &Supervision,
    batch: usize,
    classifier: &ClassifierArgs,
    train: &TrainArgs,
    stopping: &EarlyStoppingArgs,
    device: &Device,
    dir: &Path,
    state_dir: &Path,
    method: impl FnOnce(LabelledRows, LabelledRows) -> O,
    watch: Watch,
) -> Result<Trained> {
    let (model, tokenizer, settings) = classifier.start(base, classes, device)?;
    let mut encoded = settings.encode(&tokenizer, examples.iter().map(|e| e.text.as_str()))?;
    let targets = targets(examples, classes.len(), supervision)?;
    let mut rows = LabelledRows {
        sequences: Vec::new(),
        targets: Vec::new(),
    };
    let mut dropped_unlabelled = 0;
    for (&row, sequence) in encoded
        .rows
        .iter()
        .zip(std::mem::take(&mut encoded.sequences))
    {
        match &targets[row] {
            None => dropped_unlabelled += 1,
            Some(target) => {
                rows.sequences.push(sequence);
                rows.targets.push(target.clone());
            }
        }
    }
    if rows.sequences.is_empty() {
        bail!(
            "none of {} rows is left: {} too long for {} tokens, {dropped_unlabelled} without a label",
            examples.len(),
            encoded.dropped,
            settings.max_tokens
        );
    }
    let (rows, held_out) = rows.split_off(stopping.held_out);
    let (count, held_out_rows) = (rows.sequences.len(), held_out.sequences.len());
    let plan = Plan::by_examples(count, batch, train.epochs, train.seed).at_most(train.max_steps);
    let config = train.config(dir, state_dir, Some(stopping));
    let fitted = fit(model, &mut method(rows, held_out), &plan, &config, watch)?;
    save_classifier(&fitted.model, &settings, dir)?;
    tokenizer.save(dir)?;
    Ok(Trained {
        rows: count,
        held_out_rows,
        dropped_too_long: encoded.dropped,
        truncated: encoded.truncated,
        dropped_unlabelled,
        fit: fitted.summary,
    })
}

/// The target of each example, `None` where the teacher has none.
fn targets(
    examples: &[Example],
    classes: usize,
    supervision: &Supervision,
) -> Result<Vec<Option<Vec<f32>>>> {
    let labels = match supervision {
        Supervision::Gold => {
            let one_hot = |label: u32| {
                (0..classes)
                    .map(|c| f32::from(c == label as usize))
                    .collect()
            };
            return Ok(examples.iter().map(|e| Some(one_hot(e.label))).collect());
        }
        Supervision::Weak(labels) => labels,
    };
    let mut by_id: HashMap<u64, &Label> = labels.iter().map(|l| (l.id, l)).collect();
    let targets = examples
        .iter()
        .map(|example| {
            let label = by_id.remove(&example.id)?;
            Some(label.probabilities.clone())
        })
        .collect();
    if let Some((id, _)) = by_id.iter().min_by_key(|(id, _)| **id) {
        bail!(
            "{} of {} labels are of rows that the transfer split of {} rows does not have, such as row {id}\n\
             hint: the labels were made from other examples; run the pipeline from the step that labels",
            by_id.len(),
            labels.len(),
            examples.len()
        );
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use w2s_artifact::Split;

    fn example(id: u64, label: u32) -> Example {
        Example {
            id,
            split: Split::Transfer,
            group: id,
            label,
            text: "x".into(),
        }
    }

    #[test]
    fn labels_find_their_rows_by_id() {
        let examples = [example(3, 1), example(9, 0)];
        let label = |id, p: f32| Label {
            id,
            probabilities: vec![1.0 - p, p],
        };
        let weak = Supervision::Weak(vec![label(9, 0.75)]);
        assert_eq!(
            targets(&examples, 2, &weak).unwrap(),
            [None, Some(vec![0.25, 0.75])]
        );
        let gold = targets(&examples, 2, &Supervision::Gold).unwrap();
        assert_eq!(gold, [Some(vec![0.0, 1.0]), Some(vec![1.0, 0.0])]);
        let foreign = Supervision::Weak(vec![label(9, 0.5), label(4, 0.5)]);
        let message = targets(&examples, 2, &foreign).unwrap_err().to_string();
        assert!(message.starts_with(
            "1 of 2 labels are of rows that the transfer split of 2 rows does not have, such as row 4"
        ));
    }
}
