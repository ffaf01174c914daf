//! The operation `likelihood`.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use serde_json::Value;
use w2s_artifact::summary::{LikelihoodTotals, ScoresSummary};
use w2s_artifact::{Kind, Pair, Prompt, Response};
use w2s_lm::{EncodingArgs, ModelFolder};
use w2s_stage::{ArtifactArg, Inputs, Interrupted, Operation, Step};

use super::scoring::{in_words, named, optional, reasons};
use crate::answers::join;
use crate::likelihood::{Item, likelihoods};
use crate::scores::{ArmArgs, model_seed, summary, task_hash};

/// Scores how likely a model finds answers that it did not make.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct LikelihoodOperation {
    /// Language model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub model: ArtifactArg,
    /// Held-out pairs, both sides of which are scored
    #[arg(
        long,
        value_name = "ARTIFACT",
        conflicts_with = "prompts",
        required_unless_present = "prompts"
    )]
    #[serde(skip)]
    pub pairs: Option<ArtifactArg>,
    /// Prompts, whose right answers are scored unless --responses gives others
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub prompts: Option<ArtifactArg>,
    /// Answers to the prompts
    #[arg(long, value_name = "ARTIFACT", requires = "prompts")]
    #[serde(skip)]
    pub responses: Option<ArtifactArg>,
    /// Seed by which arms are paired [default: that of the model's own training]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// How text becomes tokens
    #[command(flatten)]
    #[serde(flatten)]
    pub encoding: EncodingArgs,
    /// Where the scores belong in the report
    #[command(flatten)]
    #[serde(flatten)]
    pub arm: ArmArgs,
}

impl Operation for LikelihoodOperation {
    const NAME: &'static str = "likelihood";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Scores;
    const ABOUT: &'static str = "Scores how likely a model finds held-out answers or pairs";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs
            .artifact("responses", &self.responses)
            .of(Kind::Responses);
    }

    fn check(&self) -> Result<()> {
        self.arm.check().map_err(anyhow::Error::msg)?;
        self.encoding.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let pairs: Vec<Pair> = optional(step, "pairs")?.unwrap_or_default();
        let prompts: Vec<Prompt> = optional(step, "prompts")?.unwrap_or_default();
        let responses: Option<Vec<Response>> = optional(step, "responses")?;
        let mut items: Vec<Item> = pairs.iter().map(Item::pair).collect();
        let missing = match &responses {
            Some(responses) => {
                let joined = join(&prompts, responses)?;
                items.extend(joined.iter().map(|(p, r)| Item::response(p, r)));
                "no_response"
            }
            None => {
                items.extend(prompts.iter().filter_map(Item::right_answer));
                "no_answer"
            }
        };
        if items.is_empty() {
            bail!(
                "none of {} prompts has an answer to score\nhint: give answers to them with --responses",
                prompts.len()
            );
        }
        let model = step.artifact("model")?;
        let language_model =
            ModelFolder::open(&model.path)?.language_model(&w2s_lm::device(step.device())?)?;
        let encoder = self.encoding.encoder(&model.path, &language_model.model)?;
        let mut watch = step.watch("item");
        let mut count = 0;
        let done = likelihoods(&language_model, &encoder, &items, &mut |done, total| {
            count += done as u64;
            watch(count, total as u64, String::new())
        })?
        .ok_or(Interrupted)?;
        if done.scores.is_empty() {
            bail!(
                "none of {} items fits: {}",
                items.len(),
                reasons(&done.dropped)
            );
        }
        step.write_records(&done.scores)?;
        let answered: BTreeSet<u64> = items.iter().map(|item| item.id).collect();
        let mut dropped = done.dropped;
        let unanswered = prompts.iter().filter(|p| !answered.contains(&p.id)).count();
        if unanswered > 0 {
            dropped.insert(missing, unanswered);
        }
        let totals = done.totals.iter().map(|(side, totals)| {
            let rates = LikelihoodTotals {
                log_likelihood: totals.log_likelihood,
                tokens: totals.tokens as u64,
                bytes: totals.bytes as u64,
                bits_per_byte: Some(totals.bits_per_byte()),
                byte_perplexity: Some(totals.byte_perplexity()),
                token_perplexity: Some(totals.token_perplexity()),
            };
            ((*side).to_owned(), rates)
        });
        let seed = model_seed(self.seed, &model.manifest);
        let rows = pairs.len() + prompts.len();
        let summary = ScoresSummary {
            dropped: named(dropped),
            template_hash: Some(encoder.template().hash()),
            totals: totals.collect(),
            truncated: done.truncated,
            ..summary(&self.arm, seed, &done.scores, rows, task_hash(&items))
        };
        step.headline(in_words(&summary));
        Ok(serde_json::to_value(summary)?)
    }
}
