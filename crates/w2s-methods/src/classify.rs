//! From examples and labels to a trained classifier, whatever the method.

use crate::{Labels, Logits, learner};
use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use std::collections::HashMap;
use std::path::Path;
use w2s_artifact::summary::TrainingSummary;
use w2s_artifact::{Example, Label};
use w2s_lm::{ClassModel, ClassifierArgs, LabelledRows};
use w2s_losses::LabelLoss;
use w2s_train::{Batches, LearnArgs, Objective, Watch, fit};

/// Where labels come from.
#[derive(Clone, Debug)]
pub enum Supervision {
    /// A teacher's soft labels.
    Weak(Vec<Label>),
    /// Ground truth: the weak teacher, or the strong ceiling.
    Gold,
}

/// How a model of classes learns from labels.
#[derive(Clone, Debug)]
pub struct Learning<'a> {
    /// The method.
    pub loss: LabelLoss,
    /// Whether the labels of each batch are moved so that it holds both classes equally.
    pub balance: bool,
    /// Batches, training and when to stop.
    pub args: &'a LearnArgs,
    /// Where the training log goes.
    pub dir: &'a Path,
    /// Where the state for resuming is kept.
    pub state_dir: &'a Path,
}

impl Learning<'_> {
    /// Trains `model` on rows with labels, of which some are held out where that is asked for. The summary has the rows, the loss
    /// and the run.
    ///
    /// # Errors
    ///
    /// What the loss or the loop refuses.
    pub fn fit<M: ClassModel + 'static>(
        &self,
        model: M,
        rows: LabelledRows<M>,
        watch: Watch,
    ) -> Result<(M, TrainingSummary)> {
        self.fit_by(model, rows, |labels| learner(self.loss, labels), watch)
    }

    /// The same by an objective on the rows, such as one that adds something to the loss.
    pub(crate) fn fit_by<M: ClassModel + 'static>(
        &self,
        model: M,
        rows: LabelledRows<M>,
        objective: impl FnOnce(Labels<M>) -> Box<dyn Objective<M, Pass = Logits>>,
        watch: Watch,
    ) -> Result<(M, TrainingSummary)> {
        let LearnArgs {
            batch,
            train,
            stopping,
        } = self.args;
        let (rows, held_out) = rows.split_off(stopping.held_out);
        let (count, held_out_rows) = (rows.len(), held_out.len());
        let batches =
            Batches::by_examples(count, *batch, train.epochs, train.seed).at_most(train.max_steps);
        let labels = Labels {
            rows,
            held_out,
            balance: self.balance,
        };
        let config = train.config(self.dir, self.state_dir, Some(stopping));
        let mut method = objective(labels);
        let fitted = fit(model, &mut *method, &batches, &config, watch)?;
        let summary = TrainingSummary {
            rows: count,
            held_out_rows,
            loss: Some(self.loss.name().into()),
            fit: fitted.summary,
            ..TrainingSummary::default()
        };
        Ok((fitted.model, summary))
    }
}

/// The tokens of examples, made beforehand for all students of one base.
#[derive(Clone, Debug)]
pub struct Tokenised {
    /// The examples they belong to.
    pub ids: Vec<u64>,
    /// One row each.
    pub sequences: Vec<Vec<u32>>,
    /// How many of them were cut.
    pub truncated: usize,
}

impl Tokenised {
    /// The places of the rows among `examples`.
    fn places(&self, examples: &[Example]) -> Result<Vec<usize>> {
        let places: HashMap<u64, usize> = (0..).zip(examples).map(|(i, e)| (e.id, i)).collect();
        let place = |id: &u64| {
            places.get(id).copied().with_context(|| {
                format!(
                    "row {id} has tokens, but the split of {} rows does not have it\n\
                     hint: make the tokens of these examples, with `w2s-student encode`",
                    examples.len()
                )
            })
        };
        self.ids.iter().map(place).collect()
    }
}

/// Trains the model of `base` on `examples` under `supervision`, and writes a classifier into the folder of `how`. `tokens` may
/// hold the rows as that base reads them.
///
/// # Errors
///
/// If labels are of other rows than the examples, if no row is left, if the gold labels are all of one class, or if the model
/// cannot be read or trained.
pub fn classify(
    base: &Path,
    examples: &[Example],
    classes: &[String],
    supervision: &Supervision,
    tokens: Option<Tokenised>,
    classifier: &ClassifierArgs,
    how: &Learning,
    device: &Device,
    watch: Watch,
) -> Result<TrainingSummary> {
    let (model, tokenizer, settings) =
        classifier.start(base, classes, how.args.train.seed, device)?;
    let mut targets = targets(examples, classes, supervision)?;
    let (read, sequences, truncated) = match tokens {
        None => {
            let texts = examples.iter().map(|e| e.text.as_str());
            let encoded = settings.encode(&tokenizer, texts)?;
            (encoded.rows, encoded.sequences, encoded.truncated)
        }
        Some(tokens) => {
            let places = tokens.places(examples)?;
            (places, tokens.sequences, tokens.truncated)
        }
    };
    let too_long = examples.len() - read.len();
    let targets: Vec<_> = read.iter().map(|&row| targets[row].take()).collect();
    let groups = read.iter().map(|&row| examples[row].group).collect();
    let unlabelled = targets.iter().filter(|target| target.is_none()).count();
    let rows = LabelledRows::new(sequences, targets, groups);
    if rows.is_empty() {
        bail!(
            "none of {} rows is left: {too_long} too long for {} tokens, {unlabelled} without a label",
            examples.len(),
            settings.max_tokens
        );
    }
    let (model, mut summary) = how.fit(model, rows, watch)?;
    summary.classes = classes.to_vec();
    summary.truncated = truncated;
    for (reason, count) in [("too_long", too_long), ("unlabelled", unlabelled)] {
        summary.dropped.insert(reason.into(), count);
    }
    classifier.save(&model, &settings, base, how.dir)?;
    tokenizer.save(how.dir)?;
    Ok(summary)
}

/// The target of each example, `None` where the teacher has none.
///
/// # Errors
///
/// If labels are of other rows than the examples, or if gold labels are all of one class.
pub fn targets(
    examples: &[Example],
    classes: &[String],
    supervision: &Supervision,
) -> Result<Vec<Option<Vec<f32>>>> {
    let labels = match supervision {
        Supervision::Gold => {
            if let [first, others @ ..] = examples
                && others.iter().all(|e| e.label == first.label)
            {
                bail!(
                    "all {} rows are of class `{}`; there is nothing to learn",
                    examples.len(),
                    classes[first.label as usize]
                );
            }
            let one_hot = |label: u32| {
                (0..classes.len())
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
        let classes = ["no".to_owned(), "yes".to_owned()];
        let targets = |examples, supervision| targets(examples, &classes, supervision);
        let label = |id, p: f32| Label {
            id,
            probabilities: vec![1.0 - p, p],
        };
        let weak = Supervision::Weak(vec![label(9, 0.75)]);
        assert_eq!(
            targets(&examples, &weak).unwrap(),
            [None, Some(vec![0.25, 0.75])]
        );
        let gold = targets(&examples, &Supervision::Gold).unwrap();
        assert_eq!(gold, [Some(vec![0.0, 1.0]), Some(vec![1.0, 0.0])]);
        let foreign = Supervision::Weak(vec![label(9, 0.5), label(4, 0.5)]);
        let message = targets(&examples, &foreign).unwrap_err().to_string();
        assert!(message.starts_with(
            "1 of 2 labels are of rows that the transfer split of 2 rows does not have, such as row 4"
        ));
        let one = targets(&examples[..1], &Supervision::Gold).unwrap_err();
        assert_eq!(
            one.to_string(),
            "all 1 rows are of class `yes`; there is nothing to learn"
        );
    }
}
