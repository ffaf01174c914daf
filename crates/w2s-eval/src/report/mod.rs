//! The report of an experiment: what is in `report.json`, and the pages made from it.
//!
//! [`build_report`] reads prediction artifacts, finds the data and models behind them in the store, and computes every
//! number; [`Report::to_markdown`] and [`Report::to_html`] only print. A number that is not in the [`Report`] is on no page.

mod analysis;
mod build;
pub(crate) mod findings;
pub(crate) mod format;
pub(crate) mod provenance;
pub(crate) mod render;
pub(crate) mod svg;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::analysis::{Arm, Experiment, Run, Trial, analyse};
pub use self::build::{BuildError, Options, build_report};
pub use w2s_stats::bootstrap::Estimate;
use w2s_stats::metrics::{McNemar, ReliabilityBin};

/// Layout of `report.json`; raised when a field changes its meaning or goes away.
pub const FORMAT: u32 = 1;

/// Everything the pages of an experiment say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Layout of this file.
    pub format: u32,
    /// Name of the recipe.
    pub recipe: String,
    /// The result in a sentence or two, with its uncertainty.
    pub headline: String,
    /// Task the data came from.
    pub task: String,
    /// Class names, in the order of the label indices.
    pub classes: Vec<String>,
    /// Seeds, ascending; every `per_seed` list is in this order.
    pub seeds: Vec<u64>,
    /// How the intervals were computed.
    pub bootstrap: Bootstrap,
    /// Weak teacher, students in order of appearance, ceiling, trivial baselines.
    pub arms: Vec<ArmResult>,
    /// Accuracy of the ceiling minus accuracy of the teacher.
    pub gap: Option<Gap>,
    /// One entry a student arm.
    pub pgr: Vec<PgrResult>,
    /// What a reader must know before quoting a number.
    pub warnings: Vec<String>,
    /// How the data was cut, one entry for each different cut.
    pub splits: Vec<SplitPlan>,
    /// Training logs of the models behind the predictions.
    pub training: Vec<TrainingCurve>,
    /// Every step behind the predictions, inputs before what was made from them.
    pub steps: Vec<StepResult>,
}

/// How the intervals of a report were computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Number of draws.
    pub draws: usize,
    /// Seed of the random generator.
    pub seed: u64,
    /// Test items of each seed.
    pub test_items: Vec<usize>,
    /// Whether all seeds have the same test items, which are then drawn once for all of them.
    pub shared_items: bool,
}

/// What an arm is in the experiment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The weak teacher.
    Weak,
    /// A strong model trained on the teacher's labels.
    Student,
    /// The strong model trained on gold labels of the same rows.
    Ceiling,
    /// A trivial classifier to read the others against.
    Baseline,
}

impl Role {
    /// The word used in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Student => "student",
            Self::Ceiling => "ceiling",
            Self::Baseline => "baseline",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl std::str::FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Weak, Self::Student, Self::Ceiling, Self::Baseline]
            .into_iter()
            .find(|role| role.name() == text)
            .ok_or_else(|| format!("role `{text}` is none of weak, student, ceiling, baseline"))
    }
}

/// The scores of one arm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmResult {
    /// Name of the arm.
    pub arm: String,
    /// What it is in the experiment.
    pub role: Role,
    /// What a baseline does.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub about: Option<String>,
    /// Share of test items with the right class.
    pub accuracy: Estimate,
    /// Area under the ROC curve; two classes only.
    pub auroc: Option<Estimate>,
    /// Accuracy with as many items called positive as there are; two classes only.
    pub prior_matched_accuracy: Option<Estimate>,
    /// Agreement with the weak teacher; not for the teacher itself.
    pub agreement: Option<AgreementResult>,
    /// Predicted probabilities against what happened.
    pub calibration: CalibrationResult,
}

/// How an arm agrees with the weak teacher.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgreementResult {
    /// On all test items.
    pub overall: Estimate,
    /// Where the teacher is right.
    pub teacher_right: Estimate,
    /// Where the teacher is wrong.
    pub teacher_wrong: Estimate,
    /// Share of the teacher's errors on which this arm is wrong too.
    pub error_inheritance: Estimate,
    /// Share of the items on which the teacher is right that this arm gets wrong.
    pub new_error_rate: Estimate,
}

/// Calibration of one arm, all seeds together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CalibrationResult {
    /// Which probability is compared with which event.
    pub event: String,
    /// Half the squared distance between probabilities and the gold label; (p - y)^2 with two classes.
    pub brier: Estimate,
    /// Expected calibration error over `bins`.
    pub ece: f64,
    /// Equal-width bins, closed on the right.
    pub bins: Vec<ReliabilityBin>,
}

/// The distance that a student could cover.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Ceiling accuracy minus teacher accuracy.
    pub mean: f64,
    /// Paired 95 % interval.
    pub ci95: Option<[f64; 2]>,
    /// Seed by seed.
    pub per_seed: Vec<Option<f64>>,
    /// Whether the interval lies above zero.
    pub significant: bool,
}

/// Performance gap recovered by one student.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PgrResult {
    /// Name of the student arm.
    pub arm: String,
    /// The metric of the values beside it: `accuracy`.
    pub metric: String,
    /// The value and its uncertainty; without a ceiling arm there is none.
    #[serde(flatten)]
    pub recovered: w2s_stats::pgr::Recovered,
    /// The same for other metrics, keyed by their names.
    pub other_metrics: Vec<OtherMetric>,
    /// The student against its teacher, item by item.
    pub versus_weak: Comparison,
}

/// PGR on another metric than accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OtherMetric {
    /// `auroc` or `prior_matched_accuracy`.
    pub metric: String,
    /// The value and its uncertainty.
    #[serde(flatten)]
    pub recovered: w2s_stats::pgr::Recovered,
}

/// Two arms on the same items.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Accuracy of the student minus accuracy of the teacher, with a paired interval.
    pub difference: Estimate,
    /// McNemar's exact test for each seed; `first` is the student.
    pub mcnemar: Vec<McNemar>,
    /// The test on the counts of all seeds together. Seeds that share test items are not independent, which makes this p
    /// too small then; the interval of the difference takes it into account.
    pub mcnemar_pooled: McNemar,
}

/// How one examples artifact was cut.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SplitPlan {
    /// The artifact.
    pub artifact: String,
    /// Seeds whose predictions were made on it.
    pub seeds: Vec<u64>,
    /// The plan as the data step wrote it down.
    pub plan: Value,
}

/// The training log of one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingCurve {
    /// Name of the step, with its matrix point.
    pub step: String,
    /// The checkpoint.
    pub artifact: String,
    /// Steps that the log holds.
    pub logged_steps: usize,
    /// [step, loss], averaged over neighbouring steps to at most a few hundred points.
    pub loss: Vec<[f64; 2]>,
    /// [step, accuracy on held-out rows], where it was measured.
    pub held_out_accuracy: Vec<[f64; 2]>,
}

/// One step behind the predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepResult {
    /// Name of the step, with its matrix point.
    pub step: String,
    /// Stage and operation, such as `student train`.
    pub operation: String,
    /// What it left behind.
    pub artifact: String,
    /// Seconds that it took when it ran.
    pub seconds: f64,
    /// Whether the run that made this report found it done already. Whoever runs the steps fills it in.
    pub cached: bool,
    /// Training or prediction speed, where the step measures it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tokens_per_second: Option<f64>,
    /// Device it ran on.
    pub device: String,
    /// Threads it was given.
    pub threads: usize,
    /// Version of w2s that ran it.
    pub tool_version: String,
    /// When it began.
    pub started: String,
    /// Artifacts that it read, as [flag, artifact].
    pub inputs: Vec<[String; 2]>,
    /// Resolved parameters.
    pub parameters: Value,
    /// What the step says about its result.
    pub summary: Value,
}

impl Report {
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

    /// The arm named `name`.
    pub fn arm(&self, name: &str) -> Option<&ArmResult> {
        self.arms.iter().find(|arm| arm.arm == name)
    }

    fn only(&self, role: Role) -> Option<&ArmResult> {
        self.arms.iter().find(|arm| arm.role == role)
    }
}
