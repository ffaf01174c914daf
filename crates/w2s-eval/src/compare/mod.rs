//! The report of preference runs: arms against the base model on the same items, training curves, the ladder, and the
//! linear theory.
//!
//! [`build_comparison`] reads scores and theory artifacts, follows them back to models and pairs, and computes every number
//! of a [`Comparison`]; [`Comparison::to_markdown`] and [`Comparison::to_html`] only print.

mod analysis;
mod build;
mod charts;
mod entry;
mod findings;
mod ladder;
#[cfg(feature = "cli")]
mod operation;
mod render;
mod training;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::build::{Options, build_comparison};
pub use self::entry::CompareError;
#[cfg(feature = "cli")]
pub use self::operation::CompareOperation;
use crate::report::{Bootstrap, StepResult};
use crate::theory::Study;
use w2s_stats::bootstrap::Estimate;
use w2s_stats::metrics::McNemar;

/// Layout of `report.json`; raised when a field changes its meaning or goes away.
pub const FORMAT: u32 = 2;

/// The role of the arm that the others are compared with.
pub const BASE: &str = "base";

/// The role of arms that others learn from; they may lack a divergence from the student.
pub const TEACHER: &str = "teacher";

/// Metrics that say how far an arm has moved, not how good it is: no headline unless asked for.
const DIVERGENCES: [&str; 2] = ["kl", "kl_per_token"];

/// Everything the pages of a preference experiment say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Layout of this file.
    pub format: u32,
    /// Name of the recipe.
    pub recipe: String,
    /// The result in a sentence or two, with its uncertainty.
    pub headline: String,
    /// The metric that the headline, the ladder and the curves are about; none without scores.
    pub metric: Option<String>,
    /// Every metric that all arms have on all items.
    pub metrics: Vec<String>,
    /// Seeds, ascending; every `per_seed` list is in this order.
    pub seeds: Vec<u64>,
    /// How the intervals were computed; none without scores.
    pub bootstrap: Option<Bootstrap>,
    /// The base first, then the others in order of appearance.
    pub arms: Vec<ArmScores>,
    /// What the numbers say, a sentence each.
    pub findings: Vec<String>,
    /// What a reader must know before quoting a number.
    pub warnings: Vec<String>,
    /// Gain against the pairs learnt from, where the pairs are scored or the arms have tags `chosen` and `rejected`.
    pub ladder: Option<Ladder>,
    /// The headline metric against training steps, for arms with tags `steps`.
    pub stopping: Vec<StoppingCurve>,
    /// Training logs of the scored models.
    pub training: Vec<TrainingLog>,
    /// The linear theory.
    pub theory: Vec<Study>,
    /// Every step behind the scores, inputs before what was made from them.
    pub steps: Vec<StepResult>,
}

/// One arm on all metrics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmScores {
    /// Name of the arm; with several numbers of steps, also the number of steps.
    pub arm: String,
    /// What it is in the experiment: `base`, `student`, `teacher`, `ceiling`.
    pub role: String,
    /// What it learnt from, as far as its model tells.
    pub lesson: Option<Lesson>,
    /// What else tells it from other arms.
    pub tags: BTreeMap<String, String>,
    /// Seeds it was trained with. A base or teacher scored once stands beside every seed.
    pub seeds: Vec<u64>,
    /// Items of the task, over all its seeds.
    pub items_original: usize,
    /// Items with a score; the others were dropped, for the reasons in the scores' manifests.
    pub items_effective: usize,
    /// Scored answers; more than the items where each has several samples, which are averaged first.
    pub answers: usize,
    /// Its scores, in the order of the report's `metrics`; blank where a teacher has no divergence.
    pub metrics: Vec<MetricScores>,
}

/// One arm on one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricScores {
    /// Name of the metric.
    pub metric: String,
    /// Mean with its 95 % interval over items and seeds.
    pub value: Estimate,
    /// Standard error over items alone, each averaged over seeds; none for a single item.
    pub stderr: Option<f64>,
    /// Sample standard deviation of the mean between seeds; none for a single seed.
    pub seed_deviation: Option<f64>,
    /// Against the base; none for the base itself.
    pub versus_base: Option<VersusBase>,
}

/// An arm against the base on the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersusBase {
    /// Arm minus base, with a paired interval.
    pub difference: Estimate,
    /// Whether the interval leaves out zero. Without that, the difference is not shown.
    pub shown: bool,
    /// McNemar's exact test for each seed, for metrics that are 0 or 1 on every item; `first` is the arm.
    pub mcnemar: Option<Vec<McNemar>>,
}

/// What an arm was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lesson {
    /// `preference`, `sft`, or what else the training step was told.
    pub method: String,
    /// How the pairs were made: `order`, `score`, `reversed`, `tied`, ...
    pub rule: Option<String>,
    /// Name of the score behind the next two.
    pub score: Option<String>,
    /// Mean score of the chosen minus that of the rejected answers, over all seeds.
    pub mean_delta: Option<f64>,
    /// Mean score of the chosen answers, or of the rejected ones where those are imitated, over all seeds.
    pub mean_chosen_score: Option<f64>,
}

/// Gain over the base against the quality of the pairs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ladder {
    /// Values of the tags `chosen` and `rejected`, the worst answers first.
    pub rungs: Vec<Rung>,
    /// One entry for each arm on the ladder.
    pub steps: Vec<LadderStep>,
    /// Rank correlation (Spearman) of gain and mean delta over the preference arms; needs three of them.
    pub gain_with_delta: Option<Estimate>,
    /// Rank correlation of gain and mean chosen score over the preference arms.
    pub gain_with_chosen: Option<Estimate>,
}

/// One maker of answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rung {
    /// The value of a tag.
    pub name: String,
    /// Mean score of its answers in the pairs of the preference arms; none where no pairs have scores.
    pub score: Option<f64>,
}

/// One arm on the ladder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LadderStep {
    /// The arm.
    pub arm: String,
    /// Whether it learnt from pairs; otherwise it imitates answers, those of `chosen` if it has that tag.
    pub preference: bool,
    /// Tag `chosen`.
    pub chosen: Option<String>,
    /// Tag `rejected`.
    pub rejected: Option<String>,
    /// Mean score of the chosen minus that of the rejected answers.
    pub delta: Option<f64>,
    /// Mean score of the chosen or imitated answers: of those it was trained on, or else of the rung `chosen`.
    pub chosen_score: Option<f64>,
    /// Headline metric minus that of the base.
    pub gain: Estimate,
}

/// The headline metric against the number of training steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoppingCurve {
    /// The arm.
    pub arm: String,
    /// Steps and score, ascending; the base is step 0.
    pub points: Vec<StoppingPoint>,
}

/// One number of steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StoppingPoint {
    /// Training steps that were taken, the mean over seeds where they differ.
    pub steps: u64,
    /// The headline metric.
    pub value: Estimate,
}

/// The training log of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingLog {
    /// The arm.
    pub arm: String,
    /// The seed.
    pub seed: u64,
    /// The checkpoint.
    pub artifact: String,
    /// Steps that the log holds.
    pub logged_steps: usize,
    /// [step, value] by name, averaged over neighbouring steps to at most a few hundred points.
    pub curves: BTreeMap<String, Vec<[f64; 2]>>,
    /// Mean log-probability that chosen and rejected answers have gained since the reference at the end of training, nats a
    /// token.
    pub displacement: Option<[f64; 2]>,
}

impl Comparison {
    /// The report as `report.json`.
    pub fn to_json(&self) -> serde_json::Result<String> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        Ok(text)
    }

    /// The compact page for a terminal or a pull request.
    pub fn to_markdown(&self) -> Result<String, minijinja::Error> {
        render::markdown(self)
    }

    /// The page with charts: one file, nothing loaded from elsewhere.
    pub fn to_html(&self) -> Result<String, minijinja::Error> {
        render::html(self)
    }

    /// The arm that the others are compared with.
    pub fn base(&self) -> Option<&ArmScores> {
        self.arms.iter().find(|arm| arm.role == BASE)
    }
}

impl ArmScores {
    /// Whether it is a point of an early-stopping curve, which repeats the lesson of another arm.
    pub fn on_curve(&self) -> bool {
        self.tags.contains_key("steps")
    }

    /// The scores of one metric.
    pub fn metric(&self, name: &str) -> Option<&MetricScores> {
        self.metrics.iter().find(|scores| scores.metric == name)
    }
}
