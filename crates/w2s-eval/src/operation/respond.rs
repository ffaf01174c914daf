//! The operation `respond`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use serde_json::Value;
use w2s_artifact::{Kind, Prompt};
use w2s_lm::{Kl, ModelFolder, Responder, SamplingArgs, ShotArgs, Template};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};
use w2s_text::Tokenizer;

use super::scoring::{Answers, ScoringArgs};
use crate::scores::{ArmArgs, model_seed};

/// Lets a model answer prompts and scores the answers.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct RespondOperation {
    /// Language model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Prompts to answer, with the right answers where a scorer compares with them
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// What prompts are written in: model (the chat template of its folder), plain (their contents as they are)
    #[arg(long, default_value_t = Template::Model, value_name = "NAME")]
    pub template: Template,
    /// Answers that are shown in front of each prompt, with --shots
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub demonstrations: Option<ArtifactArg>,
    /// Prompts that the demonstrations answer [default: those of --prompts]
    #[arg(long, requires = "demonstrations", value_name = "ARTIFACT")]
    #[serde(skip)]
    pub demonstration_prompts: Option<ArtifactArg>,
    /// How demonstrations are chosen
    #[command(flatten)]
    #[serde(flatten)]
    pub shots: ShotArgs,
    /// How answers are generated
    #[command(flatten)]
    #[serde(flatten)]
    pub sampling: SamplingArgs,
    /// Language model from whose answers the KL divergence of this model's is measured, as `kl` and `kl_per_token`: on one
    /// more answer to each prompt, drawn at temperature 1
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub kl_reference: Option<ArtifactArg>,
    /// Where the scores belong in the report
    #[command(flatten)]
    #[serde(flatten)]
    pub arm: ArmArgs,
    /// How answers are scored
    #[command(flatten)]
    #[serde(flatten)]
    pub scoring: ScoringArgs,
}

impl RespondOperation {
    /// Divergences of the model's answers from the reference's, by prompt; none without a reference.
    fn kl(
        &self,
        step: &Step,
        responder: &Responder,
        prompts: &[Prompt],
        sampling: &SamplingArgs,
    ) -> Result<BTreeMap<u64, Kl>> {
        let Some(reference) = step.optional_artifact("kl-reference")? else {
            return Ok(BTreeMap::new());
        };
        let ours = responder.encoder.tokenizer().hash()?;
        let theirs = Tokenizer::load(&reference.path)?.hash()?;
        if ours != theirs {
            bail!(
                "{} has another tokenizer than {}, and a divergence compares the same tokens",
                reference.reference,
                responder.name
            );
        }
        let device = w2s_lm::device(step.device())?;
        let model = ModelFolder::open(&reference.path)?.language_model(&device)?;
        let mut watch = step.watch("divergence");
        let found = responder.kl(&model, prompts, &sampling.settings(), &mut |done, total| {
            watch(done as u64, total as u64, String::new())
        })?;
        Ok(found.ok_or(Interrupted)?)
    }
}

impl Operation for RespondOperation {
    const NAME: &'static str = "respond";
    const VERSION: u32 = 3;
    const KIND: Kind = Kind::Scores;
    const ABOUT: &'static str = "Lets a model answer prompts and scores the answers";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs
            .artifact("demonstrations", &self.demonstrations)
            .of(Kind::Responses);
        inputs
            .artifact("demonstration-prompts", &self.demonstration_prompts)
            .of(Kind::Prompts);
        inputs
            .artifact("kl-reference", &self.kl_reference)
            .of(Kind::Checkpoint);
        self.scoring.inputs(inputs);
    }

    fn check(&self) -> Result<()> {
        self.arm.check().map_err(anyhow::Error::msg)?;
        self.scoring.check()?;
        if self.kl_reference.is_some() {
            for metric in ["kl", "kl_per_token"] {
                self.scoring.check_free(metric, "--kl-reference")?;
            }
        }
        self.shots
            .check(self.demonstrations.is_some(), &self.template)
            .map_err(anyhow::Error::msg)?;
        self.sampling.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let model = step.artifact("model")?;
        let prompts: Vec<Prompt> = step.artifact("prompts")?.records()?;
        // What is scored is the question; examples in front of it only help to answer.
        let mut asked = prompts.clone();
        if let Some(demonstrations) = step.optional_artifact("demonstrations")? {
            let shown = match step.optional_artifact("demonstration-prompts")? {
                Some(shown) => shown.records()?,
                None => prompts.clone(),
            };
            let demonstrations = demonstrations.records()?;
            asked = self
                .shots
                .prompts(&prompts, &shown, &demonstrations)
                .map_err(anyhow::Error::msg)?;
        }
        let responder = Responder::open(
            &model.path,
            model.reference.to_string(),
            self.template,
            &w2s_lm::device(step.device())?,
        )?;
        let seed = model_seed(self.sampling.seed, &model.manifest);
        let sampling = SamplingArgs {
            seed: Some(seed),
            ..self.sampling.clone()
        };
        let mut watch = step.watch("answer");
        let done = responder
            .respond(
                &asked,
                sampling.samples,
                &self.shots.settings(sampling.settings()),
                &mut |done, total| watch(done as u64, total as u64, String::new()),
            )?
            .ok_or(Interrupted)?;
        let answers = Answers {
            prompts: &prompts,
            responses: &done.responses,
            missing: "no_room",
            template_hash: Some(&responder.encoder.template().hash()),
            kl: &self.kl(step, &responder, &asked, &sampling)?,
        };
        let summary = self.scoring.run(step, &self.arm, seed, &answers)?;
        Ok(serde_json::to_value(summary)?)
    }
}
