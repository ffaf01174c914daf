//! The operation `build`.

use w2s_artifact::Kind;
use w2s_stage::{ArtifactArg, Operation, Step};

use crate::{Inputs, Options, ReportError, build};

/// Writes `report.json`, `report.md` and `report.html` about predictions, scores and theory.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Build {
    /// Name of the recipe, for the title
    #[arg(long, value_name = "NAME")]
    pub recipe: String,
    /// Predictions to report on; repeat the flag for each arm and seed
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub predictions: Vec<ArtifactArg>,
    /// Scores to report on; repeat the flag for each arm and seed
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub scores: Vec<ArtifactArg>,
    /// Linear theory to show beside them; repeat the flag for more
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub theory: Vec<ArtifactArg>,
    /// Metric of the headline, the ladder and the curves, of scores [default: reward_accuracy where pairs were scored, or
    /// else the first by name but for `kl`]
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// What the run changed in the recipe, to stand under the title; repeat the flag for each change
    #[arg(long = "override", value_name = "TEXT")]
    #[serde(rename = "override")]
    pub overrides: Vec<String>,
}

impl Operation for Build {
    const NAME: &'static str = "build";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Report;
    const ABOUT: &'static str = "Writes the report on predictions, scores and theory";

    fn inputs(&self, inputs: &mut w2s_stage::Inputs) {
        inputs.artifact("predictions", &self.predictions).of(Kind::Predictions);
        inputs.artifact("scores", &self.scores).of(Kind::Scores);
        inputs.artifact("theory", &self.theory).of(Kind::Theory);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.predictions.is_empty() && self.scores.is_empty() && self.theory.is_empty() {
            return Err(ReportError::Nothing.into());
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<serde_json::Value> {
        let options = Options {
            recipe: self.recipe.clone(),
            overrides: self.overrides.clone(),
            metric: self.metric.clone(),
        };
        let inputs = Inputs {
            predictions: step.artifacts("predictions")?,
            scores: step.artifacts("scores")?,
            theory: step.artifacts("theory")?,
        };
        let report = build(step.store(), &inputs, &options)?;
        step.write_file("report.json", report.to_json()?)?;
        step.write_file("report.md", report.to_markdown()?)?;
        step.write_file("report.html", report.to_html()?)?;
        Ok(serde_json::json!({
            "recipe": report.recipe,
            "headline": report.headline,
            "arms": report.arms.len(),
            "warnings": report.warnings.len(),
        }))
    }
}
