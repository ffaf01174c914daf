//! From examples and labels to a trained student, whatever the method.

use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use std::collections::HashMap;
use std::path::Path;
use w2s_artifact::{Example, Label};
use w2s_lm::{Classifier, ClassifierArgs, Inputs, LabelledRows, save_classifier};
use w2s_train::{EarlyStoppingArgs, FitSummary, Objective, Plan, TrainArgs, Watch, fit};

/// What the student learns from.
#[derive(Clone, Debug)]
pub enum Supervision {
    /// A teacher's soft labels.
    Weak(Vec<Label>),
    /// Ground truth: the strong ceiling.
    Gold,
}

/// What was computed of the rows beforehand, once for all who train on them: their tokens, or for a linear probe what the
/// frozen base makes of them (arXiv 2312.09390, appendix D.2).
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The examples they belong to.
    pub ids: Vec<u64>,
    /// One row each.
    pub inputs: Inputs,
    /// How many of the texts behind them were cut.
    pub truncated: usize,
}

impl Prepared {
    /// The places of the rows among `examples`.
    fn places(&self, examples: &[Example]) -> Result<Vec<usize>> {
        let places: HashMap<u64, usize> = (0..).zip(examples).map(|(i, e)| (e.id, i)).collect();
        let place = |id: &u64| {
            places.get(id).copied().with_context(|| {
                format!(
                    "row {id} was prepared, but the transfer split of {} rows does not have it\n\
                     hint: prepare these examples, with `w2s-student encode` or `w2s-student features`",
                    examples.len()
                )
            })
        };
        self.ids.iter().map(place).collect()
    }
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

/// Trains the model of `base` on `examples` under `supervision`, and writes a classifier into `dir`; of `prepared` features the
/// head alone is trained. `method` makes the objective from rows to train on and rows held out.
///
/// # Errors
///
/// If labels are of other rows than the examples, if no row is left, or if the model cannot be read or trained.
pub fn train<O: Objective<Classifier>>(
    base: &Path,
    examples: &[Example],
    classes: &[String],
    supervision: &Supervision,
    prepared: Option<Prepared>,
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
    let (mut model, tokenizer, settings) = classifier.start(base, classes, device)?;
    let mut targets = targets(examples, classes.len(), supervision)?;
    let (read, inputs, truncated) = match prepared {
        None => {
            let texts = examples.iter().map(|e| e.text.as_str());
            let encoded = settings.encode(&tokenizer, texts)?;
            let inputs = Inputs::Tokens(encoded.sequences);
            (encoded.rows, inputs, encoded.truncated)
        }
        Some(prepared) => (
            prepared.places(examples)?,
            prepared.inputs,
            prepared.truncated,
        ),
    };
    if matches!(inputs, Inputs::Features(_)) {
        model.model = model.model.no_grad();
    }
    let dropped_too_long = examples.len() - read.len();
    let targets: Vec<_> = read.iter().map(|&row| targets[row].take()).collect();
    let dropped_unlabelled = targets.iter().filter(|target| target.is_none()).count();
    let rows = LabelledRows::new(inputs, targets);
    if rows.is_empty() {
        bail!(
            "none of {} rows is left: {dropped_too_long} too long for {} tokens, {dropped_unlabelled} without a label",
            examples.len(),
            settings.max_tokens
        );
    }
    let (rows, held_out) = rows.split_off(stopping.held_out);
    let (count, held_out_rows) = (rows.len(), held_out.len());
    let plan = Plan::by_examples(count, batch, train.epochs, train.seed).at_most(train.max_steps);
    let config = train.config(dir, state_dir, Some(stopping));
    let fitted = fit(model, &mut method(rows, held_out), &plan, &config, watch)?;
    save_classifier(&fitted.model, &settings, dir)?;
    tokenizer.save(dir)?;
    Ok(Trained {
        rows: count,
        held_out_rows,
        dropped_too_long,
        truncated,
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
