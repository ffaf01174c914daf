//! `w2s-student sft`: a language model that imitates answers.

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use w2s_artifact::{Kind, Message, Pair, Prompt, Response};
use w2s_lm::{EncodingArgs, LoraArgs};
use w2s_methods::{Conversation, Setup, sft};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{TrainArgs, progress_line};

/// The answer of a pair that is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The better one
    Chosen,
    /// The worse one
    Rejected,
    /// Both, one after the other: a language model of the answers, whichever is better
    Both,
}

/// Trains a language model to imitate answers.
#[derive(Clone, Debug, clap::Args, Serialize)]
pub struct Sft {
    /// Base model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// Pairs of answers, of which one side is imitated, or both
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: Option<ArtifactArg>,
    /// The side of the pairs that is imitated [default: chosen]
    #[arg(long, value_enum, value_name = "NAME")]
    pub side: Option<Side>,
    /// Answers to imitate, instead of a side of pairs
    #[arg(
        long,
        value_name = "ARTIFACT",
        requires = "prompts",
        conflicts_with = "pairs"
    )]
    #[serde(skip)]
    pub responses: Option<ArtifactArg>,
    /// The prompts of those answers
    #[arg(long, value_name = "ARTIFACT", requires = "responses")]
    #[serde(skip)]
    pub prompts: Option<ArtifactArg>,
    /// Answers in a batch
    #[arg(long, value_parser = w2s_stage::count(1..=1_000_000), default_value_t = 32, value_name = "N")]
    pub batch: usize,
    /// Take the answers in their order instead of shuffling them
    #[arg(long)]
    pub in_order: bool,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) encoding: EncodingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) train: TrainArgs,
    #[command(flatten)]
    #[serde(flatten)]
    pub(crate) lora: LoraArgs,
}

impl Operation for Sft {
    const NAME: &'static str = "sft";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Trains a language model to imitate answers";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs
            .artifact("responses", &self.responses)
            .of(Kind::Responses);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
    }

    fn check(&self) -> Result<()> {
        if self.pairs.is_none() && self.responses.is_none() {
            bail!(
                "there is nothing to imitate\nhint: give --pairs, or --responses with their --prompts"
            );
        }
        if self.side.is_some() && self.pairs.is_none() {
            bail!("--side is a side of --pairs, which are not given");
        }
        if self.batch == 0 {
            bail!("--batch is 0; it must be above zero");
        }
        self.encoding.check().map_err(anyhow::Error::msg)?;
        self.train.check().map_err(anyhow::Error::msg)?;
        self.lora.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let rows = match step.optional_artifact("pairs")? {
            Some(pairs) => side(pairs.records()?, self.side.unwrap_or(Side::Chosen)),
            None => answers(
                step.artifact("prompts")?.records()?,
                step.artifact("responses")?.records()?,
            )?,
        };
        let mut watch = step.watch("step");
        let setup = Setup {
            base: &step.artifact("base")?.path,
            encoding: &self.encoding,
            batch: self.batch,
            in_order: self.in_order,
            train: &self.train,
            lora: &self.lora,
            device: &w2s_lm::device(step.device())?,
            dir: step.dir(),
            state_dir: &step.scratch()?,
        };
        let summary = sft(&setup, &rows, &mut |line, steps| {
            watch(line.step as u64, steps as u64, progress_line(line))
        })?;
        Ok(json!(summary))
    }
}

/// One side of pairs or both, to be imitated.
fn side(pairs: Vec<Pair>, side: Side) -> Vec<Conversation> {
    let conversations = |pair: Pair| {
        let answers = match side {
            Side::Chosen => vec![pair.chosen],
            Side::Rejected => vec![pair.rejected],
            Side::Both => vec![pair.chosen, pair.rejected],
        };
        answers.into_iter().map(move |answer| Conversation {
            prompt: pair.prompt,
            messages: pair.messages.clone(),
            answer: answer.text,
            finished: answer.finished,
        })
    };
    pairs.into_iter().flat_map(conversations).collect()
}

/// Answers with their prompts, to be imitated.
fn answers(prompts: Vec<Prompt>, responses: Vec<Response>) -> Result<Vec<Conversation>> {
    let count = prompts.len();
    let prompts: HashMap<u64, Vec<Message>> =
        prompts.into_iter().map(|p| (p.id, p.messages)).collect();
    let conversation = |response: Response| {
        let messages = prompts.get(&response.prompt).with_context(|| {
            format!(
                "an answer is to prompt {}, which the {count} prompts do not have\n\
                 hint: name the prompts that the answers were made from",
                response.prompt
            )
        })?;
        Ok(Conversation {
            prompt: response.prompt,
            messages: messages.clone(),
            answer: response.text,
            finished: response.finished,
        })
    };
    responses.into_iter().map(conversation).collect()
}
