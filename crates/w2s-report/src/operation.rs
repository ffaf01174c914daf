//! The operation `build`.

use serde_json::{Value, json};
use w2s_artifact::Kind;
use w2s_stage::{ArtifactArg, Known, KnownInputs, Operation, Step};
use w2s_stats::audit::{Denominator, Threshold};

use crate::experiment::{Entry, Run, check_arms};
use crate::format::plural;
use crate::lineage::Parameters;
use crate::{AuditOptions, Comparator, Inputs, Options, ReportError, build};

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
    /// Probability of the right answer from which a model knows an item, in the audit; above 0.5 and below 1
    #[arg(long, value_name = "T", default_value_t = 0.75)]
    pub threshold: f64,
    /// What the audit holds students with a conflict against
    #[arg(long, value_parser = w2s_stage::choices(Comparator::ALL), default_value_t = Comparator::Student)]
    pub comparator: Comparator,
    /// What the audit's score is a share of: all taxed items, or those that the ceiling knows
    #[arg(long, value_parser = w2s_stage::choices(Denominator::ALL), default_value_t = Denominator::Taxed)]
    pub denominator: Denominator,
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
        self.audit().map(|_| ())
    }

    fn check_inputs(&self, known: &KnownInputs) -> anyhow::Result<()> {
        for flag in ["predictions", "scores"] {
            let entries: Option<Vec<Entry>> = known.artifacts(flag).iter().map(planned).collect();
            // What is not known cannot be missed.
            check_arms(entries.unwrap_or_default())?;
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let options = Options {
            recipe: self.recipe.clone(),
            overrides: self.overrides.clone(),
            metric: self.metric.clone(),
            audit: self.audit()?,
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
        let (arms, warnings) = (report.arms.len(), report.warnings.len());
        step.headline(format!(
            "{}, {}",
            plural(arms, "arm"),
            plural(warnings, "warning")
        ));
        let (recipe, headline) = (report.recipe, report.headline);
        Ok(json!({"recipe": recipe, "headline": headline, "arms": arms, "warnings": warnings}))
    }
}

impl Build {
    fn audit(&self) -> anyhow::Result<AuditOptions> {
        let threshold = Threshold::new(self.threshold).map_err(|error| {
            let hint = "the published code takes 0.75, which is a margin of ln 3 nats";
            ReportError::hinted(error, hint)
        })?;
        Ok(AuditOptions {
            threshold,
            comparator: self.comparator,
            denominator: self.denominator,
        })
    }
}

/// What is known of predictions or scores before they are made: everything but the items. None where it is not known.
fn planned(known: &Known) -> Option<Entry> {
    let parameters = |known: &Known| Some(Parameters::of(&known.origin()?.parameters));
    let first = |known: &Known, name| known.artifacts(name).into_iter().next();
    let own = parameters(known)?;
    let tags = own
        .tag
        .iter()
        .flatten()
        .filter_map(|tag| tag.split_once('='));
    let mut entry = Entry {
        test: String::new(),
        arm: own.arm?,
        role: own.role?,
        tags: tags
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        classes: Vec::new(),
        items: Vec::new(),
        run: Run {
            artifact: Some(*known.reference()),
            ..Run::default()
        },
    };
    let classifies = known.reference().kind == Kind::Predictions;
    if classifies {
        entry.classes.push(String::new());
    }
    entry.test = match first(known, "data").filter(|_| classifies) {
        Some(data) => {
            // Data of two seeds is one test; data that was made in another way is another one.
            let mut made = data.origin()?.parameters.clone();
            made.as_object_mut()?.remove("seed");
            made.to_string()
        }
        None => entry.tags.remove("test").unwrap_or_default(),
    };
    let model = || first(known, "model").or_else(|| first(&first(known, "responses")?, "model"));
    let seed = own.seed.or_else(|| parameters(&model()?)?.seed);
    entry.run.seed = seed.unwrap_or_default();
    Some(entry)
}
