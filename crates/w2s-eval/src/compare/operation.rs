//! The operation `compare`.

use w2s_artifact::Kind;
use w2s_stage::{ArtifactArg, HintExt, Inputs, Operation, Step};

use super::{CompareError, Comparison, Options, build_comparison};
use w2s_stats::bootstrap::Settings;

/// Compares scores with those of the base and writes `report.json`, `report.md` and `report.html`.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct CompareOperation {
    /// Name of the recipe, for the title
    #[arg(long, value_name = "NAME")]
    pub recipe: String,
    /// Scores to report on; repeat the flag for each arm and seed
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub scores: Vec<ArtifactArg>,
    /// Theory to show beside them; repeat the flag for more
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub theory: Vec<ArtifactArg>,
    /// Metric of the headline, the ladder and the curves [default: the first by name but for `kl`]
    #[arg(long, value_name = "NAME")]
    pub metric: Option<String>,
    /// Bootstrap draws behind every interval
    #[arg(long, value_name = "N", default_value_t = Settings::default().draws)]
    pub draws: usize,
    /// Seed of the bootstrap
    #[arg(long, value_name = "N", default_value_t = Settings::default().seed)]
    pub seed: u64,
}

impl Operation for CompareOperation {
    const NAME: &'static str = "compare";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Report;
    const ABOUT: &'static str = "Compares scores with those of the base and writes the report";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("scores", &self.scores).of(Kind::Scores);
        inputs.artifact("theory", &self.theory).of(Kind::Theory);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.draws == 0 {
            return hinted(Err(CompareError::NoDraws));
        }
        if self.scores.is_empty() && self.theory.is_empty() {
            return hinted(Err(CompareError::Nothing));
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<serde_json::Value> {
        let options = Options {
            recipe: self.recipe.clone(),
            metric: self.metric.clone(),
            bootstrap: Settings {
                draws: self.draws,
                seed: self.seed,
            },
        };
        let (scores, theory) = (step.artifacts("scores")?, step.artifacts("theory")?);
        let report = hinted(build_comparison(step.store(), &scores, &theory, &options))?;
        step.write_file("report.json", report.to_json()?)?;
        step.write_file("report.md", report.to_markdown()?)?;
        step.write_file("report.html", report.to_html()?)?;
        Ok(summary(&report))
    }
}

/// Keeps the error's own advice on what to type next.
fn hinted<T>(result: Result<T, CompareError>) -> anyhow::Result<T> {
    match result.as_ref().err().and_then(CompareError::hint) {
        Some(hint) => result.hint(hint),
        None => Ok(result?),
    }
}

fn summary(report: &Comparison) -> serde_json::Value {
    let arms = report.arms.iter().filter_map(|arm| {
        let scores = arm.metric(report.metric.as_deref()?)?;
        let gain = scores.versus_base.as_ref();
        Some(serde_json::json!({
            "arm": arm.arm,
            "role": arm.role,
            "value": scores.value.mean,
            "ci95": scores.value.ci95,
            "difference": gain.map(|gain| gain.difference.mean),
            "difference_ci95": gain.map(|gain| gain.difference.ci95),
        }))
    });
    serde_json::json!({
        "recipe": report.recipe,
        "headline": report.headline,
        "metric": report.metric,
        "seeds": report.seeds,
        "arms": arms.collect::<Vec<_>>(),
        "warnings": report.warnings.len(),
    })
}
