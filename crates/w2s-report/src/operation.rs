//! The operation `build`.

use std::collections::BTreeMap;

use serde_json::Value;
use w2s_artifact::Kind;
use w2s_stage::{ArtifactArg, Known, KnownInputs, Operation, Step};

use crate::experiment::{Entry, Run, check_arms};
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
        inputs
            .artifact("predictions", &self.predictions)
            .of(Kind::Predictions);
        inputs.artifact("scores", &self.scores).of(Kind::Scores);
        inputs.artifact("theory", &self.theory).of(Kind::Theory);
    }

    fn check(&self) -> anyhow::Result<()> {
        if self.predictions.is_empty() && self.scores.is_empty() && self.theory.is_empty() {
            return Err(ReportError::nothing().into());
        }
        Ok(())
    }

    fn check_inputs(&self, known: &KnownInputs) -> anyhow::Result<()> {
        for flag in ["predictions", "scores"] {
            let entries = known.artifacts(flag);
            let entries: Option<Vec<Entry>> = entries.iter().map(planned).collect();
            // What is not known cannot be missed.
            check_arms(&entries.unwrap_or_default())?;
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
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
        step.headline(format!(
            "{} arms, {} warnings",
            report.arms.len(),
            report.warnings.len()
        ));
        Ok(serde_json::json!({
            "recipe": report.recipe,
            "headline": report.headline,
            "arms": report.arms.len(),
            "warnings": report.warnings.len(),
        }))
    }
}

/// What is known of predictions or scores before they are made: everything but the items. None where it is not known.
fn planned(known: &Known) -> Option<Entry> {
    let text = |name: &str| known.parameter(name)?.as_str().map(str::to_owned);
    let classifies = known.reference().kind == Kind::Predictions;
    let given = known
        .parameter("tag")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let given = given.filter_map(|tag| tag.as_str()?.split_once('='));
    let mut tags: BTreeMap<String, String> = given
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let test = match classifies {
        // Data of two seeds is one test; data that was made in another way is another one.
        true => {
            let data = known.artifacts("data");
            let mut parameters = data.first()?.origin()?.parameters.clone();
            parameters.as_object_mut()?.remove("seed");
            parameters.to_string()
        }
        false => tags.remove("test").unwrap_or_default(),
    };
    let model = || {
        let through = known.artifacts("responses");
        let through = through
            .first()
            .map(|responses| responses.artifacts("model"));
        known
            .artifacts("model")
            .into_iter()
            .chain(through.into_iter().flatten())
            .next()
    };
    let seed = known.parameter("seed").and_then(Value::as_u64);
    let seed = seed.or_else(|| model()?.parameter("seed")?.as_u64());
    Some(Entry {
        test,
        arm: text("arm")?,
        role: text("role")?.parse().ok()?,
        tags,
        classes: vec![String::new(); usize::from(classifies)],
        items: Vec::new(),
        run: Run {
            seed: seed.unwrap_or_default(),
            artifact: Some(*known.reference()),
            ..Run::default()
        },
    })
}
