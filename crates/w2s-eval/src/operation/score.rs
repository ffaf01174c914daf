//! The operation `score`.

use std::collections::BTreeMap;

use anyhow::Result;
use serde_json::Value;
use w2s_artifact::{Kind, Manifest, Prompt, Response};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};

use super::scoring::{Answers, ScoringArgs};
use crate::scores::{ArmArgs, model_seed};

/// Scores answers that were made before.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct ScoreOperation {
    /// Answers
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub responses: ArtifactArg,
    /// The prompts they answer
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// Seed by which arms are paired [default: that of the model's own training]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the scores belong in the report
    #[command(flatten)]
    #[serde(flatten)]
    pub arm: ArmArgs,
    /// How answers are scored
    #[command(flatten)]
    #[serde(flatten)]
    pub scoring: ScoringArgs,
}

impl Operation for ScoreOperation {
    const NAME: &'static str = "score";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Scores;
    const ABOUT: &'static str = "Scores answers that were made before";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs
            .artifact("responses", &self.responses)
            .of(Kind::Responses);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        self.scoring.inputs(inputs);
    }

    fn check(&self) -> Result<()> {
        self.arm.check().map_err(anyhow::Error::msg)?;
        self.scoring.check()
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let prompts: Vec<Prompt> = step.artifact("prompts")?.records()?;
        let artifact = step.artifact("responses")?;
        let responses: Vec<Response> = artifact.records()?;
        let answers = Answers {
            prompts: &prompts,
            responses: &responses,
            missing: "no_response",
            template_hash: None,
            kl: &BTreeMap::new(),
        };
        // The model is behind the answers; one that answered elsewhere has no seed here.
        let model = artifact.manifest.input("model");
        let model = model.and_then(|model| Manifest::read(&step.store().artifact_dir(&model)).ok());
        let seed = model.map_or(self.seed.unwrap_or_default(), |model| model_seed(self.seed, &model));
        let summary = self.scoring.run(step, &self.arm, seed, &answers)?;
        Ok(serde_json::to_value(summary)?)
    }
}

