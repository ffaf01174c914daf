//! The operation `choices`.

use anyhow::{Result, bail};
use serde_json::Value;
use w2s_artifact::summary::ScoresSummary;
use w2s_artifact::{Kind, Prompt};
use w2s_lm::{ModelFolder, Template};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};
use w2s_text::{ChatTemplate, Tokenizer};

use super::scoring::{named, reasons};
use crate::choices::{self, choices};
use crate::scores::{ArmArgs, model_seed, summary, task_hash};

/// The file of likelihoods of choices beside the records.
const CHOICES_FILE: &str = "choices.jsonl";

/// Scores a model on multiple-choice questions.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct ChoicesOperation {
    /// Language model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Prompts with choices, of which one is right
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub prompts: ArtifactArg,
    /// What questions are written in: plain (their contents as they are), model (the chat template of its folder)
    #[arg(long, default_value_t = Template::Plain, value_name = "NAME")]
    pub template: Template,
    /// What stands between a question and a choice [default: a space, nothing behind a chat template]
    #[arg(long, value_name = "TEXT")]
    pub delimiter: Option<String>,
    /// Longest question with a choice in tokens [default: the model's positions]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// Seed by which arms are paired [default: that of the model's own training]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where the scores belong in the report
    #[command(flatten)]
    #[serde(flatten)]
    pub arm: ArmArgs,
}

impl Operation for ChoicesOperation {
    const NAME: &'static str = "choices";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Scores;
    const ABOUT: &'static str = "Scores a model on multiple-choice questions by likelihood";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
    }

    fn check(&self) -> Result<()> {
        if self.max_tokens == Some(0) {
            bail!("--max-tokens is 0; it must be above zero");
        }
        self.arm.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let model = step.artifact("model")?;
        let prompts: Vec<Prompt> = step.artifact("prompts")?.records()?;
        let language_model =
            ModelFolder::open(&model.path)?.language_model(&w2s_lm::device(step.device())?)?;
        let tokenizer = Tokenizer::load(&model.path)?;
        tokenizer.fits(language_model.model.config().vocabulary)?;
        let template = match self.template {
            Template::Model => ChatTemplate::load(&model.path)?,
            Template::Plain => ChatTemplate::plain(),
        };
        let positions = language_model.model.max_tokens();
        let delimiter = if template.is_plain() { " " } else { "" };
        let context = choices::Context {
            delimiter: self.delimiter.clone().unwrap_or(delimiter.to_owned()),
            max_tokens: self.max_tokens.unwrap_or(positions).min(positions),
            template,
        };
        let mut watch = step.watch("question");
        let mut count = 0;
        let done = choices(
            &language_model,
            &tokenizer,
            &context,
            &prompts,
            &mut |done, total| {
                count += done as u64;
                watch(count, total as u64, String::new())
            },
        )?
        .ok_or(Interrupted)?;
        if done.questions.is_empty() {
            bail!(
                "none of {} prompts is a question that can be scored: {}",
                prompts.len(),
                reasons(&done.dropped)
            );
        }
        let lines: Result<Vec<String>, _> =
            done.questions.iter().map(serde_json::to_string).collect();
        step.write_file(CHOICES_FILE, lines?.join("\n") + "\n")?;
        let scores: Vec<_> = done
            .questions
            .iter()
            .map(choices::Question::score)
            .collect();
        step.write_records(&scores)?;
        let seed = model_seed(self.seed, &model.manifest);
        let task = task_hash(&prompts);
        Ok(serde_json::to_value(ScoresSummary {
            delimiter: Some(context.delimiter),
            dropped: named(done.dropped),
            template_hash: Some(context.template.hash()),
            ..summary(&self.arm, seed, &scores, prompts.len(), task)
        })?)
    }
}

