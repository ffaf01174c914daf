//! The operations of the `w2s-eval` binary.

use std::time::Instant;

use w2s_artifact::{Artifact, Kind, Split};
use w2s_stage::{ArtifactArg, HintExt, Inputs, Interrupted, Operation, Step};

use crate::report::{BuildError, Options, Report, Role, build_report};
use w2s_stats::bootstrap::Settings;

mod score;
pub use score::{
    ChoicesOperation, LikelihoodOperation, RespondOperation, ScoreOperation, ScoringArgs,
};

/// Predicts the test split with one model of an experiment.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct PredictOperation {
    /// Classifier
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Examples, of which the test split is predicted
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// Name of the arm in the report
    #[arg(long, value_name = "NAME")]
    pub arm: String,
    /// Part that the arm plays: weak, student, ceiling
    #[arg(long, value_name = "NAME")]
    pub role: Role,
    /// Seed of the experiment, by which arms are paired
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
}

impl Operation for PredictOperation {
    const NAME: &'static str = "predict";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Predictions;
    const ABOUT: &'static str = "Writes a classifier's probabilities on the test split";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
    }

    fn run(&self, step: &Step) -> anyhow::Result<serde_json::Value> {
        let examples = step.artifact("data")?.examples(Split::Test)?;
        let mut watch = step.watch("row");
        let (total, mut count) = (examples.len() as u64, 0);
        let started = Instant::now();
        let done = crate::predict(
            &step.artifact("model")?.path,
            &examples,
            &w2s_lm::device(step.device())?,
            &mut |rows| {
                count += rows as u64;
                watch(count, total, String::new())
            },
        )?
        .ok_or(Interrupted)?;
        step.write_records(&done.predictions)?;
        let right = done
            .predictions
            .iter()
            .filter(|p| w2s_lm::argmax(&p.probabilities) == p.label as usize)
            .count();
        Ok(serde_json::json!({
            "arm": self.arm,
            "role": self.role,
            "seed": self.seed,
            "rows": done.predictions.len(),
            "accuracy": right as f64 / done.predictions.len().max(1) as f64,
            "dropped_too_long": done.dropped_too_long,
            "truncated": done.truncated,
            "tokens": done.tokens,
            "tokens_per_second": done.tokens as f64 / started.elapsed().as_secs_f64(),
        }))
    }
}

/// Scores predictions and writes `report.json`, `report.md` and `report.html`.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct ReportOperation {
    /// Name of the recipe, for the title
    #[arg(long, value_name = "NAME")]
    pub recipe: String,
    /// Predictions to report on; repeat the flag for each arm and seed
    #[arg(long, required = true, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub predictions: Vec<ArtifactArg>,
    /// Bootstrap draws behind every interval
    #[arg(long, value_name = "N", default_value_t = Settings::default().draws)]
    pub draws: usize,
    /// Seed of the bootstrap
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    pub seed: u64,
}

impl Operation for ReportOperation {
    const NAME: &'static str = "report";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Report;
    const ABOUT: &'static str = "Scores predictions and writes the report of an experiment";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs
            .artifact("predictions", &self.predictions)
            .of(Kind::Predictions);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.draws == 0 {
            let error: Result<(), BuildError> = Err(BuildError::NoDraws);
            return hinted(error);
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<serde_json::Value> {
        let predictions: Vec<Artifact> = step.artifacts("predictions")?;
        let options = Options {
            recipe: self.recipe.clone(),
            bootstrap: Settings {
                draws: self.draws,
                seed: self.seed,
            },
        };
        let report = hinted(build_report(step.store(), &predictions, &options))?;
        step.write_file("report.json", report.to_json()?)?;
        step.write_file("report.md", report.to_markdown()?)?;
        step.write_file("report.html", report.to_html()?)?;
        Ok(summary(&report))
    }
}

/// Keeps the error's own advice on what to type next.
fn hinted<T>(result: Result<T, BuildError>) -> anyhow::Result<T> {
    match result.as_ref().err().and_then(BuildError::hint) {
        Some(hint) => result.hint(hint),
        None => Ok(result?),
    }
}

fn summary(report: &Report) -> serde_json::Value {
    let arms: Vec<_> = report
        .arms
        .iter()
        .map(|arm| serde_json::json!({"arm": arm.arm, "role": arm.role, "accuracy": arm.accuracy.mean, "ci95": arm.accuracy.ci95}))
        .collect();
    let pgr: Vec<_> = report
        .pgr
        .iter()
        .map(|pgr| {
            let recovered = &pgr.recovered;
            serde_json::json!({"arm": pgr.arm, "value": recovered.value, "ci95": recovered.ci95, "gap_significant": recovered.gap_significant})
        })
        .collect();
    serde_json::json!({
        "recipe": report.recipe,
        "headline": report.headline,
        "seeds": report.seeds,
        "arms": arms,
        "pgr": pgr,
        "warnings": report.warnings.len(),
    })
}
