//! The operations of the `w2s-eval` binary.

use std::time::Instant;

use w2s_artifact::{Kind, Role, Split};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};

mod scoring;
pub use scoring::ScoringArgs;

mod respond;
pub use respond::RespondOperation;

mod score;
pub use score::ScoreOperation;

mod choices;
pub use choices::ChoicesOperation;

mod likelihood;
pub use likelihood::LikelihoodOperation;

mod theory;
pub use theory::TheoryOperation;

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
    /// Part that the arm plays
    #[arg(long, value_name = "NAME", value_parser = w2s_stage::choices(Role::ALL))]
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
