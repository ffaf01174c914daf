//! Pairs in the order that a model gives them.

use std::collections::HashMap;

use w2s_artifact::{Label, summary::RelabelSummary};

use super::{Pairing, Reason, swap};
use crate::error::DataError;

/// Rules of controls, whose order is no truth.
const NO_TRUTH: [&str; 3] = ["reversed", "shuffled", "tied"];

/// Which pairs are left out once labels have ordered them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LabelFilters {
    /// Least probability of the side that the label prefers.
    pub min_confidence: Option<f64>,
    /// Whether pairs that the label orders wrongly are left out, which only an oracle can do.
    pub only_right: bool,
}

impl LabelFilters {
    /// Refuses a confidence that no side that is preferred can have.
    pub fn check(&self) -> Result<(), DataError> {
        match self.min_confidence {
            Some(least) if !(0.5..=1.0).contains(&least) => Err(DataError::Parameter(format!(
                "--min-confidence {least}: between 0.5 and 1 is possible, since the side that is preferred has one half or more"
            ))),
            _ => Ok(()),
        }
    }
}

impl Pairing {
    /// Puts every pair into the order of its label: the sides change places where the chosen answer has less than one half.
    /// What was the truth before stays known: the order the pairs came in, or what [`Pair::gold`](w2s_artifact::Pair::gold)
    /// says of it.
    ///
    /// # Errors
    ///
    /// If a pair has two labels, if labels are not two probabilities, if the pairs come in the order of a control, or if no
    /// pair is left.
    pub fn relabel(
        &mut self,
        labels: &[Label],
        filters: LabelFilters,
    ) -> Result<RelabelSummary, DataError> {
        filters.check()?;
        if let Some(control) = self
            .pairs
            .iter()
            .find(|pair| NO_TRUTH.contains(&&*pair.rule))
        {
            return Err(DataError::NoTruth {
                pair: control.id,
                rule: control.rule.clone(),
            });
        }
        let mut chosen_is_better = HashMap::with_capacity(labels.len());
        for label in labels {
            let [chosen, _] = label.probabilities[..] else {
                return Err(DataError::Parameter(format!(
                    "the label of pair {} has {} probabilities, one for each side is needed",
                    label.id,
                    label.probabilities.len()
                )));
            };
            if chosen_is_better.insert(label.id, chosen).is_some() {
                return Err(DataError::Parameter(format!(
                    "pair {} has two labels",
                    label.id
                )));
            }
        }
        let (mut labelled, mut right, mut kept_right, mut confidences) = (0, 0, 0, 0.0);
        let mut kept = Vec::with_capacity(self.pairs.len());
        for mut pair in std::mem::take(&mut self.pairs) {
            let Some(&probability) = chosen_is_better.get(&pair.id) else {
                self.dropped.add(Reason::Unlabelled, 1);
                continue;
            };
            let stays = probability >= 0.5;
            let is_right = stays == pair.gold.unwrap_or(true);
            let confidence = probability.max(1.0 - probability).min(1.0);
            labelled += 1;
            right += usize::from(is_right);
            // As near to the number that was typed as the confidence is.
            let too_low = |least| confidence < least as f32;
            if filters.min_confidence.is_some_and(too_low) {
                self.dropped.add(Reason::LowConfidence, 1);
                continue;
            }
            if filters.only_right && !is_right {
                self.dropped.add(Reason::Wrong, 1);
                continue;
            }
            if !stays {
                swap(&mut pair);
                self.turned += 1;
            }
            pair.rule = "weak".to_owned();
            pair.confidence = Some(confidence);
            pair.gold = Some(is_right);
            kept_right += usize::from(is_right);
            confidences += f64::from(confidence);
            kept.push(pair);
        }
        self.pairs = kept;
        if self.pairs.is_empty() {
            return Err(DataError::NoPairs {
                dropped: self.dropped.to_string(),
            });
        }
        let kept = self.pairs.len();
        let share = |part: usize, whole: usize| part as f64 / whole as f64;
        Ok(RelabelSummary {
            labelled,
            accuracy: share(right, labelled),
            accuracy_kept: share(kept_right, kept),
            accuracy_dropped: (labelled > kept).then(|| share(right - kept_right, labelled - kept)),
            mean_confidence: confidences / kept as f64,
            min_confidence: filters.min_confidence,
            oracle: filters.only_right,
        })
    }
}
