//! What steps say about their results in the `summary` of a manifest, for people and for later steps.
//!
//! A stage writes the type of its artifact, and whatever reads it later gets the same type from
//! [`Artifact::summary`](crate::Artifact::summary) or [`Manifest::summary`](crate::Manifest::summary): a number that is renamed here is
//! renamed for both. Numbers that only some of a kind's operations know are options and left out where they are not known.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::reference::Kind;
use crate::role::Role;

/// Rows left out, by reason.
pub type Dropped = BTreeMap<String, usize>;

/// The summary of one kind of artifact.
pub trait Summary: Serialize + DeserializeOwned {
    /// The kind of artifact whose manifest holds it.
    const KIND: Kind;
}

/// Implements [`Summary`] for the summary of a kind.
macro_rules! summaries {
    ($($kind:ident $summary:ident),* $(,)?) => {
        $(impl Summary for $summary {
            const KIND: Kind = Kind::$kind;
        })*
    };
}

summaries! {
    Corpus CorpusSummary,
    Examples SplitSummary,
    Labels LabelsSummary,
    Tokens PreparedSummary,
    Features FeaturesSummary,
    Checkpoint TrainingSummary,
    Predictions PredictionsSummary,
    Prompts PromptsSummary,
    Responses ResponsesSummary,
    Pairs PairsSummary,
    References ReferencesSummary,
    Scores ScoresSummary,
}

/// What `data corpus` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CorpusSummary {
    /// Documents written.
    pub documents: usize,
    /// Words in them.
    pub words: usize,
    /// Size of the tokenizer's vocabulary.
    pub vocabulary: usize,
    /// Kind of tokenizer.
    pub tokenizer: String,
    /// Documents left out, by reason.
    pub dropped: Dropped,
}

/// What `data task` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SplitSummary {
    /// Name of the task.
    pub task: String,
    /// Names of the classes, in the order of their numbers.
    pub classes: Vec<String>,
    /// Rows written, of all splits.
    pub rows: usize,
    /// What became of every row that was read.
    pub plan: SplitPlan,
    /// Whether nobody should meet the texts unasked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sensitive: bool,
    /// What readers with parts of a generated language reach on its test rows.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readers: BTreeMap<String, f64>,
}

/// What became of every row: `source_rows` is the sum of all rows dropped and all rows in the splits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitPlan {
    /// Rows read, of all sources.
    pub source_rows: usize,
    /// Rows left out, by reason.
    pub dropped: Dropped,
    /// Groups among the usable rows of the pool.
    pub groups: usize,
    /// Rows in the largest of them.
    pub largest_group: usize,
    /// Rows that were divided elsewhere and whose text occurs in an earlier split too: a leak that is left as it is.
    pub repeated_across_splits: usize,
    /// Gold rows whose label was turned over on purpose.
    pub noisy_labels: usize,
    /// The classes, in the order of `per_class`.
    pub classes: Vec<String>,
    /// What is left.
    pub splits: SplitCounts,
}

/// The three splits in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitCounts {
    /// For the weak teacher.
    pub gold: SplitCount,
    /// For the student.
    pub transfer: SplitCount,
    /// For nobody.
    pub test: SplitCount,
}

/// One split in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitCount {
    /// How many rows.
    pub rows: usize,
    /// How many of each class.
    pub per_class: Vec<usize>,
    /// How many groups they come from.
    pub groups: usize,
}

/// What `teacher label` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelsSummary {
    /// Rows with a label.
    pub rows: usize,
    /// Names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// Mean probability of the most probable class.
    pub mean_confidence: f64,
    /// Share of rows whose most probable class is the gold one; told, never used.
    pub accuracy: f64,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
    /// Tokens that were read.
    pub tokens: usize,
    /// Tokens a second.
    pub tokens_per_second: f64,
}

/// The classes of labels of pairs: how probable it is that each side is the better one.
pub const PAIR_CLASSES: [&str; 2] = ["chosen", "rejected"];

/// What `student encode` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PreparedSummary {
    /// Rows prepared.
    pub rows: usize,
    /// Tokens in them.
    pub tokens: usize,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
}

/// What `student features` and `data features` say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FeaturesSummary {
    /// Rows with features.
    pub rows: usize,
    /// Features of a row.
    pub width: usize,
    /// Rows left out for their length, where a model read their texts.
    #[serde(default)]
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt, where a model read their texts.
    #[serde(default)]
    pub truncated: usize,
    /// Tokens that were read, each once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Tokens a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
}

/// What every training says about its result, whatever the method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// Documents, rows, answers or pairs that were trained on.
    pub rows: usize,
    /// Rows held out for early stopping.
    #[serde(default)]
    pub held_out_rows: usize,
    /// Rows left out, by reason.
    #[serde(default)]
    pub dropped: Dropped,
    /// Rows cut to the longest that is read.
    #[serde(default)]
    pub truncated: usize,
    /// Names of a classifier's classes, in the order of its outputs; none for a language model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// Parameters of the whole model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters: Option<usize>,
    /// What was minimised, where the method leaves a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss: Option<String>,
    /// The same as a formula, with its numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formula: Option<String>,
    /// Strength of the tie to the reference, of a loss that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub beta: Option<f64>,
    /// Mean tokens of the chosen answers, of a training on pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_chosen: Option<f64>,
    /// Mean tokens of the rejected answers, of a training on pairs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_rejected: Option<f64>,
    /// The run.
    #[serde(flatten)]
    pub fit: FitSummary,
}

/// What a run of the training loop did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FitSummary {
    /// Steps taken.
    pub steps: usize,
    /// Tokens computed, held-out evaluations apart.
    pub tokens: u64,
    /// Seconds of training.
    pub train_seconds: f64,
    /// Tokens a second.
    pub tokens_per_second: f64,
    /// Mean loss over the last tenth of the steps.
    pub final_loss: f64,
    /// The step whose parameters are the result, where early stopping chose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_step: Option<usize>,
    /// Its held-out score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_held_out: Option<f64>,
}

/// One line of the training log in a checkpoint, [`TRAINING_LOG`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrainingLogLine {
    /// Steps done.
    pub step: usize,
    /// Epochs done.
    pub epoch: f64,
    /// Loss of this step's batch.
    pub loss: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Length of the gradient before clipping.
    pub grad_norm: f64,
    /// Tokens computed since the start.
    pub tokens: u64,
    /// Seconds of training since the start, over all resumptions.
    pub seconds: f64,
    /// Held-out score, where one was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// What the objective says beside its loss, each under its own name.
    #[serde(flatten)]
    pub more: BTreeMap<String, f64>,
}

/// The file of a checkpoint that holds a [`TrainingLogLine`] for each step.
pub const TRAINING_LOG: &str = "metrics.jsonl";

/// What `eval predict` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionsSummary {
    /// Name of the arm.
    pub arm: String,
    /// What it is in the experiment.
    pub role: Role,
    /// What else tells it from others, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Seed of the model's training.
    pub seed: u64,
    /// Names of the classes, in the order of the probabilities.
    pub classes: Vec<String>,
    /// Rows predicted.
    pub rows: usize,
    /// Share of them whose most probable class is the gold one.
    pub accuracy: f64,
    /// Rows left out for their length.
    pub dropped_too_long: usize,
    /// Rows cut to the longest prompt.
    pub truncated: usize,
    /// Tokens that were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<usize>,
    /// Tokens a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
}

/// What `data prompts` and `data questions` say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PromptsSummary {
    /// Prompts written.
    pub rows: usize,
    /// Groups that they form.
    pub groups: usize,
    /// Prompts with a right answer.
    pub with_answer: usize,
    /// Prompts with answers to choose from.
    pub with_choices: usize,
    /// Rows read, where they come from files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<usize>,
    /// Rows left out, by reason, where they come from files.
    #[serde(default, skip_serializing_if = "Dropped::is_empty")]
    pub dropped: Dropped,
    /// Rows whose marked transcript was read as turns.
    #[serde(default)]
    pub transcripts: usize,
    /// Name of the generated world that they are about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<String>,
    /// The part of its questions that was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

/// What `teacher respond`, `data answers`, `data responses` and `data select` say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResponsesSummary {
    /// The checkpoint that answered, or the world that did.
    pub model: String,
    /// Prompts that were asked.
    pub prompts: usize,
    /// Answers written.
    pub responses: usize,
    /// Share of answers that came to their end.
    pub finished: f64,
    /// Mean tokens of an answer, where a model made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_tokens: Option<f64>,
    /// Prompts that leave no room for an answer.
    #[serde(default)]
    pub dropped_no_room: usize,
    /// Tokens a second, where a model made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_per_second: Option<f64>,
    /// Share of right answers, where a world made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<f64>,
    /// Rows left out, by reason, where they come from files.
    #[serde(default, skip_serializing_if = "Dropped::is_empty")]
    pub dropped: Dropped,
    /// How the answers were selected, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<SelectionSummary>,
}

/// How answers were selected, and how good the selection is where right answers are known. These are told, never used, unless
/// the rule is an oracle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelectionSummary {
    /// The rule: `agree`, `confident` or `gold`.
    pub rule: String,
    /// The rules by which final answers were found: `corrected`, `published` or `gsm8k`.
    pub answer_rules: String,
    /// The side whose answers were taken: `weak`, `other` or `both`.
    pub take: String,
    /// Least share of samples that give the most frequent answer, where the rule has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Whether right answers decided.
    pub oracle: bool,
    /// Prompts to select from.
    pub prompts: usize,
    /// Prompts kept.
    pub kept: usize,
    /// Prompts left out, by reason.
    pub dropped: Dropped,
    /// Answers in which no final answer was found, of both sides.
    pub without_answer: usize,
    /// The weak answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weak: Option<SelectionAccuracy>,
    /// The other answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<SelectionAccuracy>,
}

/// What a selection does to the accuracy of one side, over the prompts whose right answer is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SelectionAccuracy {
    /// Prompts with a known answer.
    pub prompts: usize,
    /// Of these, answered rightly.
    pub right: usize,
    /// Of these, kept.
    pub kept: usize,
    /// Of the kept, answered rightly.
    pub kept_right: usize,
    /// Accuracy before the selection.
    pub accuracy: Option<f64>,
    /// Accuracy of what was kept.
    pub accuracy_kept: Option<f64>,
    /// Accuracy of what was left out.
    pub accuracy_dropped: Option<f64>,
    /// Share of the right answers that was kept.
    pub recall: Option<f64>,
}

impl SelectionAccuracy {
    /// The shares from the counts.
    pub fn new(prompts: usize, right: usize, kept: usize, kept_right: usize) -> Self {
        let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
        Self {
            prompts,
            right,
            kept,
            kept_right,
            accuracy: share(right, prompts),
            accuracy_kept: share(kept_right, kept),
            accuracy_dropped: share(right - kept_right, prompts - kept),
            recall: share(kept_right, right),
        }
    }
}

/// What every operation that makes pairs says, such as `data pairs`, `data contrast` and `data relabel`. Means of scores are over the pairs with two scores, and null where there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PairsSummary {
    /// Pairs written.
    pub rows: usize,
    /// The rule that made them.
    pub rule: Option<String>,
    /// Different prompts among them.
    pub prompts: usize,
    /// Pairs that the rule made, before any was left out.
    pub candidates: usize,
    /// Pairs left out, by reason.
    pub dropped: Dropped,
    /// Pairs whose answers changed places.
    pub turned: usize,
    /// The metric, where a score decides.
    pub score: Option<String>,
    /// Pairs with two scores.
    pub scored: usize,
    /// By how much the chosen answer scores above the other one.
    pub mean_delta: Option<f64>,
    /// Mean score of the chosen answers.
    pub mean_chosen_score: Option<f64>,
    /// Mean score of the rejected answers.
    pub mean_rejected_score: Option<f64>,
    /// What lengths are counted in: `tokens` or `characters`.
    pub length_unit: String,
    /// Mean length of the chosen answers.
    pub mean_chosen_length: Option<f64>,
    /// Mean length of the rejected answers.
    pub mean_rejected_length: Option<f64>,
    /// Share of pairs whose chosen answer is the longer one, which is what a student could learn instead of quality.
    pub longer_is_chosen: f64,
    /// Rows whose marked transcript was read as turns.
    #[serde(default)]
    pub transcripts: usize,
    /// How the pairs were made of votes, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contrast: Option<ContrastSummary>,
    /// What a generated world knows of them, where one made them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub world: Option<WorldPairsSummary>,
    /// How they were dealt out to parts, where they were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deal: Option<DealSummary>,
    /// How a model ordered them, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relabel: Option<RelabelSummary>,
    /// The pairs that were mixed, where they were, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<MixedSummary>,
}

/// What a generated world knows of its pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorldPairsSummary {
    /// Name of the world.
    pub name: String,
    /// The part of its requests that was taken.
    pub part: String,
    /// What the chosen answer is better at.
    pub objective: String,
    /// The other objective that the world knows.
    pub other: String,
    /// Share of pairs whose chosen answer is the worse one by the other objective.
    pub conflict: f64,
    /// Share of pairs that readers with parts of the language order rightly, guesses counted half.
    pub readers: BTreeMap<String, f64>,
}

/// How pairs were dealt out to three parts, so that no prompt is in two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DealSummary {
    /// The part that was taken: `gold`, `transfer` or `test`.
    pub part: String,
    /// Groups of pairs that stay together.
    pub groups: usize,
    /// Pairs in the largest of them.
    pub largest_group: usize,
    /// Pairs of the part for the weak model.
    pub gold: usize,
    /// Pairs of the part for the strong one.
    pub transfer: usize,
    /// Pairs of the part for nobody.
    pub test: usize,
}

/// How labels of a model ordered pairs. Accuracies are over labelled pairs and told, never used, unless the filter is an oracle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RelabelSummary {
    /// Pairs with a label.
    pub labelled: usize,
    /// Share of them that the labels order as the truth does.
    pub accuracy: f64,
    /// The same among the pairs that were kept.
    pub accuracy_kept: f64,
    /// The same among those that a filter left out; unknown where there are none.
    pub accuracy_dropped: Option<f64>,
    /// Mean probability of the side that was chosen, of the pairs that were kept.
    pub mean_confidence: f64,
    /// Least probability of that side, where there was a filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_confidence: Option<f64>,
    /// Whether the truth decided which pairs were kept.
    pub oracle: bool,
}

/// What one artifact gave to a mix of pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MixedSummary {
    /// The artifact.
    pub pairs: String,
    /// The rule that made its pairs.
    pub rule: Option<String>,
    /// Its pairs.
    pub of: usize,
    /// Those of them in the mix.
    pub rows: usize,
}

/// How pairs were made of weak answers and of the votes of a student's samples. Accuracies are over the pairs or prompts
/// whose right answer is known; they are told, never used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ContrastSummary {
    /// The rules by which final answers were found: `corrected`, `published` or `gsm8k`.
    pub answer_rules: String,
    /// Least confidence of a vote that the weak answer agrees with.
    pub tau_agree: f64,
    /// Least confidence of a vote that it disagrees with.
    pub tau_disagree: f64,
    /// Pairs of one prompt, at most.
    pub pairs_per_prompt: usize,
    /// Samples of a prompt, at most.
    pub samples: usize,
    /// Pairs whose chosen answer is the weak one.
    pub weak_chosen: usize,
    /// Pairs whose rejected answer is the weak one.
    pub weak_rejected: usize,
    /// Weak answers in which no final answer was found.
    pub weak_without_answer: usize,
    /// Samples in which no final answer was found.
    pub samples_without_answer: usize,
    /// Share of right answers among the chosen.
    pub accuracy_chosen: Option<f64>,
    /// Share of right answers among the rejected.
    pub accuracy_rejected: Option<f64>,
    /// Share of prompts whose weak answer is right.
    pub accuracy_weak: Option<f64>,
    /// Share of prompts whose vote is right.
    pub accuracy_vote: Option<f64>,
}

/// What `student reference` says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ReferencesSummary {
    /// The checkpoint that is the reference.
    pub model: String,
    /// Hash of its tokenizer.
    pub tokenizer: String,
    /// Hash of the chat template.
    pub template: String,
    /// Pairs with both sums.
    pub pairs: usize,
    /// Pairs left out, by reason.
    #[serde(default)]
    pub dropped: Dropped,
    /// Answers cut to what the model can read.
    #[serde(default)]
    pub truncated: usize,
    /// Pairs a second.
    pub pairs_per_second: f64,
}

/// What every operation of `eval` that scores says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoresSummary {
    /// Name of the arm.
    pub arm: String,
    /// What it is in the experiment.
    pub role: Role,
    /// Seed of the model's training.
    pub seed: u64,
    /// What else tells the arm from others.
    pub tags: BTreeMap<String, String>,
    /// The mean of each metric over items.
    pub metrics: BTreeMap<String, f64>,
    /// Its standard error; unknown for one item.
    pub stderr: BTreeMap<String, Option<f64>>,
    /// Items with a score.
    pub n: usize,
    /// Items of the task, those without a score too.
    pub items: usize,
    /// Items and answers left out, by reason.
    pub dropped: Dropped,
    /// What identifies the task.
    pub task_hash: String,
    /// Hash of the chat template, where one was used.
    pub template_hash: Option<String>,
    /// Answers that were scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<usize>,
    /// Answers in which a scorer found nothing, by scorer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unmatched: BTreeMap<String, usize>,
    /// What stands between a prompt and a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Sums over all answers of a side.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub totals: BTreeMap<String, LikelihoodTotals>,
    /// Answers cut to what the model can read.
    #[serde(default)]
    pub truncated: usize,
}

/// How likely a model finds all answers of one side together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodTotals {
    /// Sum of the natural log-probabilities.
    pub log_likelihood: f64,
    /// Tokens of the answers.
    pub tokens: u64,
    /// Bytes of the answers.
    pub bytes: u64,
    /// Bits a byte.
    pub bits_per_byte: Option<f64>,
    /// Perplexity of a byte.
    pub byte_perplexity: Option<f64>,
    /// Perplexity of a token.
    pub token_perplexity: Option<f64>,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::manifest::{Manifest, Provenance};
    use crate::reference::{ArtifactRef, Key};

    fn manifest(kind: Kind, summary: Value) -> Manifest {
        let provenance = Provenance {
            summary,
            ..Provenance::default()
        };
        Manifest::new(
            ArtifactRef::new(kind, Key::from_bytes([7; 32])),
            provenance,
            Vec::new(),
        )
    }

    #[test]
    fn what_one_stage_writes_another_reads() {
        let written = PairsSummary {
            rows: 3,
            rule: Some("score".into()),
            mean_delta: Some(0.125),
            dropped: Dropped::from([("tied".into(), 2)]),
            length_unit: "tokens".into(),
            ..PairsSummary::default()
        };
        let manifest = manifest(Kind::Pairs, json!(written));
        assert_eq!(manifest.summary["mean_delta"], 0.125);
        assert_eq!(manifest.summary::<PairsSummary>().unwrap(), written);
    }

    #[test]
    fn a_run_stands_beside_what_it_was_given() {
        let summary = TrainingSummary {
            rows: 3,
            fit: FitSummary {
                steps: 7,
                final_loss: 0.25,
                ..FitSummary::default()
            },
            ..TrainingSummary::default()
        };
        let manifest = manifest(Kind::Checkpoint, json!(summary));
        assert_eq!(manifest.summary["final_loss"], 0.25);
        assert_eq!(manifest.summary::<TrainingSummary>().unwrap(), summary);
    }

    #[test]
    fn a_number_that_is_not_there_is_told() {
        let short = manifest(Kind::Examples, json!({"task": "reviews"}));
        let error = short.summary::<SplitSummary>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "the summary of examples/07070707 does not say what is needed: missing field `classes`"
        );
        let error = short.summary::<PairsSummary>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "examples/07070707 holds examples, not pairs"
        );
    }

    #[test]
    fn a_line_of_the_log_has_one_key_for_the_held_out_score() {
        let line = json!({
            "step": 4, "epoch": 0.5, "loss": 0.7, "lr": 1e-3, "grad_norm": 1.5, "tokens": 128,
            "seconds": 2.0, "held_out": 0.75, "reward_margin": 0.1,
        });
        let read: TrainingLogLine = serde_json::from_value(line.clone()).unwrap();
        assert_eq!(
            (read.held_out, read.more["reward_margin"]),
            (Some(0.75), 0.1)
        );
        assert_eq!(json!(read), line);
    }
}
