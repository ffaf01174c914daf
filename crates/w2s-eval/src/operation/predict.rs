//! `w2s-eval predict`: what a classifier or a probe makes of the test.

use std::time::Instant;

use anyhow::bail;
use serde_json::{Value, json};
use w2s_artifact::summary::PredictionsSummary;
use w2s_artifact::{Kind, Split};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, KnownInputs, Operation, Step, choices};

use crate::scores::{ArmArgs, model_seed};

/// Predicts the test split with one model of an experiment.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct PredictOperation {
    /// Classifier, of texts or a probe
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Examples to predict
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// What a probe reads of the examples
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub features: Option<ArtifactArg>,
    /// Split to predict; another than the test is for looking at what a model was trained on
    #[arg(long, value_parser = choices(Split::ALL), default_value_t = Split::Test, value_name = "NAME")]
    pub split: Split,
    /// Where the predictions belong in the report
    #[command(flatten)]
    #[serde(flatten)]
    pub arm: ArmArgs,
    /// Seed of the experiment, by which arms are paired [default: that of the model's own training]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

impl Operation for PredictOperation {
    const NAME: &'static str = "predict";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Predictions;
    const ABOUT: &'static str = "Writes a classifier's probabilities on the test split";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
        inputs
            .artifact("features", &self.features)
            .of(Kind::Features);
    }

    fn check(&self) -> anyhow::Result<()> {
        self.arm.check().map_err(anyhow::Error::msg)
    }

    /// A probe without features is told before it is trained.
    fn check_inputs(&self, known: &KnownInputs) -> anyhow::Result<()> {
        for model in known.artifacts("model") {
            let Some(origin) = model.origin() else {
                continue;
            };
            let probe = origin.operation == "probe";
            match &self.features {
                None if probe => bail!(
                    "{} is a linear probe, which reads features, and --features is not given",
                    model.title()
                ),
                Some(_) if !probe => bail!(
                    "{} reads texts, and --features is given\nhint: leave --features out; only a probe reads features",
                    model.title()
                ),
                _ => {}
            }
        }
        Ok(())
    }

    fn run(&self, step: &Step) -> anyhow::Result<Value> {
        let (model, data) = (step.artifact("model")?, step.artifact("data")?);
        let features = step.optional_artifact("features")?;
        let total = data.examples(self.split)?.len() as u64;
        let (mut watch, mut count) = (step.watch("row"), 0);
        let started = Instant::now();
        let done = crate::predict(
            &model,
            features.as_ref(),
            &data,
            self.split,
            &w2s_lm::device(step.device())?,
            &mut |rows| {
                count += rows as u64;
                watch(count, total, String::new())
            },
        )?
        .ok_or(Interrupted)?;
        step.write_records(&done.predictions)?;
        let right = done.predictions.iter();
        let right = right.filter(|p| w2s_lm::argmax(&p.probabilities) == p.label as usize);
        let (right, rows) = (right.count(), done.predictions.len());
        Ok(json!(PredictionsSummary {
            arm: self.arm.arm.clone(),
            role: self.arm.role,
            tags: self.arm.tags(),
            seed: model_seed(self.seed, &model.manifest),
            classes: done.classes,
            rows,
            accuracy: right as f64 / rows.max(1) as f64,
            dropped_too_long: done.dropped_too_long,
            truncated: done.truncated,
            tokens: (done.tokens > 0).then_some(done.tokens),
            tokens_per_second: (done.tokens > 0)
                .then(|| done.tokens as f64 / started.elapsed().as_secs_f64()),
        }))
    }
}
