//! `w2s-teacher respond`: a checkpoint answers prompts.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::summary::ResponsesSummary;
use w2s_artifact::{Kind, Prompt};
use w2s_lm::{Responder, SamplingArgs, ShotArgs, Template};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};

/// Lets a checkpoint answer prompts.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Respond {
    /// Checkpoint that answers
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Prompts to answer
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// Prompts to answer, from the first [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// What prompts are written in
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
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) shots: ShotArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) sampling: SamplingArgs,
}

impl Operation for Respond {
    const NAME: &'static str = "respond";
    const VERSION: u32 = 3;
    const KIND: Kind = Kind::Responses;
    const ABOUT: &'static str = "Lets a checkpoint answer prompts, greedily or by sampling";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs
            .artifact("demonstrations", &self.demonstrations)
            .of(Kind::Responses);
        inputs
            .artifact("demonstration-prompts", &self.demonstration_prompts)
            .of(Kind::Prompts);
    }

    fn check(&self) -> Result<()> {
        if self.limit == Some(0) {
            bail!("--limit is 0; it must be above zero");
        }
        self.shots
            .check(self.demonstrations.is_some(), &self.template)
            .map_err(anyhow::Error::msg)?;
        self.sampling.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let model = step.artifact("model")?;
        let mut prompts = step.artifact("prompts")?.records::<Prompt>()?;
        if let Some(demonstrations) = step.optional_artifact("demonstrations")? {
            let asked = match step.optional_artifact("demonstration-prompts")? {
                Some(asked) => asked.records()?,
                None => prompts.clone(),
            };
            let shown = self
                .shots
                .prompts(&prompts, &asked, &demonstrations.records()?);
            prompts = shown.map_err(anyhow::Error::msg)?;
        }
        prompts.truncate(self.limit.unwrap_or(prompts.len()));
        let mut watch = step.watch("answer");
        let started = Instant::now();
        let responder = Responder::open(
            &model.path,
            model.reference.to_string(),
            self.template,
            &w2s_lm::device(step.device())?,
        )?;
        let done = responder
            .respond(
                &prompts,
                self.sampling.samples,
                &self.shots.settings(self.sampling.settings()),
                &mut |done, total| watch(done as u64, total as u64, String::new()),
            )?
            .ok_or(Interrupted)?;
        step.write_records(&done.responses)?;
        let responses = &done.responses;
        let tokens: usize = responses.iter().map(|r| r.ids.len()).sum();
        let finished = responses.iter().filter(|r| r.finished).count();
        let count = responses.len() as f64;
        Ok(json!(ResponsesSummary {
            model: model.reference.to_string(),
            prompts: prompts.len(),
            responses: responses.len(),
            finished: finished as f64 / count,
            mean_tokens: Some(tokens as f64 / count),
            dropped_no_room: done.no_room,
            tokens_per_second: Some(tokens as f64 / started.elapsed().as_secs_f64()),
            ..ResponsesSummary::default()
        }))
    }
}
