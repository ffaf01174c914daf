//! The operations of the binary.

use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::time::Instant;
use w2s_artifact::{Kind, Prompt, Split};
use w2s_lm::{ClassifierArgs, Responder, SamplingArgs, Template};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};
use w2s_train::{EarlyStoppingArgs, TrainArgs};

/// Finetunes a classifier on gold labels.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Finetune {
    /// Base model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Examples with gold labels
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// Split to train on: gold, transfer
    #[arg(long, default_value_t = Split::Gold, value_name = "NAME")]
    pub split: Split,
    /// Rows in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub batch: usize,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub classifier: ClassifierArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub train: TrainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub stopping: EarlyStoppingArgs,
}

/// Gold and transfer rows may be trained on or labelled; the test split is for `w2s-eval predict`.
fn check_split(split: Split) -> Result<()> {
    if split == Split::Test {
        bail!("--split is `test`, which nobody trains on; there are gold, transfer");
    }
    Ok(())
}

impl Operation for Finetune {
    const NAME: &'static str = "finetune";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Finetunes a classifier on gold labels";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
    }

    fn check(&self) -> Result<()> {
        check_split(self.split)?;
        if self.batch == 0 {
            bail!("--batch is 0; it must be above zero");
        }
        self.classifier.prompt.check().map_err(anyhow::Error::msg)?;
        self.train.check().map_err(anyhow::Error::msg)?;
        self.stopping.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let data = step.artifact("data")?;
        let mut watch = step.watch("step");
        let done = crate::finetune(
            &step.artifact("base")?.path,
            &data.examples(self.split)?,
            &data.classes()?,
            self.batch,
            &self.classifier,
            &self.train,
            &self.stopping,
            &w2s_lm::device(step.device())?,
            step.dir(),
            &step.scratch()?,
            &mut |metrics, steps| watch(metrics.step as u64, steps as u64, metrics.line()),
        )?;
        Ok(json!(done))
    }
}

/// Labels rows that the teacher was not trained on.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Label {
    /// Classifier that labels
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Examples to label
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
    /// Split to label: gold, transfer
    #[arg(long, default_value_t = Split::Transfer, value_name = "NAME")]
    pub split: Split,
}

impl Operation for Label {
    const NAME: &'static str = "label";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Labels;
    const ABOUT: &'static str = "Writes a classifier's soft labels of rows it was not trained on";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
    }

    fn check(&self) -> Result<()> {
        check_split(self.split)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let examples = step.artifact("data")?.examples(self.split)?;
        let mut watch = step.watch("row");
        let (total, mut count) = (examples.len() as u64, 0);
        let started = Instant::now();
        let done = crate::label(
            &step.artifact("model")?.path,
            &examples,
            &w2s_lm::device(step.device())?,
            &mut |rows| {
                count += rows as u64;
                watch(count, total, String::new())
            },
        )?
        .ok_or(Interrupted)?;
        step.write_records(&done.labels)?;
        Ok(json!({
            "rows": done.labels.len(),
            "mean_confidence": done.mean_confidence,
            "accuracy": done.accuracy,
            "dropped_too_long": done.dropped_too_long,
            "truncated": done.truncated,
            "tokens": done.tokens,
            "tokens_per_second": done.tokens as f64 / started.elapsed().as_secs_f64(),
        }))
    }
}

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
    /// What prompts are written in: model (the chat template of its folder), plain (their contents as they are)
    #[arg(long, default_value_t = Template::Model, value_name = "NAME")]
    pub template: Template,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub sampling: SamplingArgs,
}

impl Operation for Respond {
    const NAME: &'static str = "respond";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Responses;
    const ABOUT: &'static str = "Lets a checkpoint answer prompts, greedily or by sampling";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
    }

    fn check(&self) -> Result<()> {
        if self.limit == Some(0) {
            bail!("--limit is 0; it must be above zero");
        }
        self.sampling.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let model = step.artifact("model")?;
        let mut prompts = step.artifact("prompts")?.records::<Prompt>()?;
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
                &self.sampling.settings(),
                &mut |done, total| watch(done as u64, total as u64, String::new()),
            )?
            .ok_or(Interrupted)?;
        step.write_records(&done.responses)?;
        let responses = &done.responses;
        let tokens: usize = responses.iter().map(|r| r.ids.len()).sum();
        let finished = responses.iter().filter(|r| r.finished).count();
        let count = responses.len() as f64;
        Ok(json!({
            "model": model.reference.to_string(),
            "prompts": prompts.len(),
            "responses": responses.len(),
            "finished": finished as f64 / count,
            "mean_tokens": tokens as f64 / count,
            "dropped_no_room": done.no_room,
            "tokens_per_second": tokens as f64 / started.elapsed().as_secs_f64(),
        }))
    }
}
