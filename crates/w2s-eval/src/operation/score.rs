//! The operations that leave scores: of generated answers, of choices, of likelihoods.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, anyhow, bail};
use serde_json::{Map, Value, json};
use w2s_artifact::{Kind, Pair, Prompt, Record, Response};
use w2s_lm::{EncodingArgs, Kl, ModelFolder, Responder, SamplingArgs, Template};
use w2s_stage::{ArtifactArg, HintExt, Inputs, Interrupted, Operation, Step};
use w2s_text::{ChatTemplate, Tokenizer};

use crate::answers::{check_scorers, join, score_answers};
use crate::choices::{self, choices};
use crate::likelihood::{Item, likelihoods};
use crate::scorers::{Normalization, Scorer};
use crate::scores::{ArmArgs, summary, task_hash};

/// The file of scored answers beside the records.
const ANSWERS_FILE: &str = "answers.jsonl";
/// The file of likelihoods of choices beside the records.
const CHOICES_FILE: &str = "choices.jsonl";

/// How answers are scored; flags and key of the operations that do.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
#[command(next_help_heading = "Scoring")]
pub struct ScoringArgs {
    /// What an answer is scored by: exact, words, number, regex=PATTERN, count=PATTERN, count=bold-sections,
    /// count=list-items, length, finished, log-likelihood; repeat the flag for more
    #[arg(long, value_name = "NAME")]
    pub scorer: Vec<Scorer>,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub normalization: Normalization,
    /// Keep the zeros of a scorer that finds in no answer what it looks for, instead of failing
    #[arg(long)]
    pub allow_no_match: bool,
    /// Classifier whose probability of a class is a score too, named `judge`
    #[arg(long, value_name = "ARTIFACT", requires = "judge_class")]
    #[serde(skip)]
    pub judge: Option<ArtifactArg>,
    /// That class
    #[arg(long, value_name = "NAME", requires = "judge")]
    pub judge_class: Option<String>,
    /// What the judge reads; `{prompt}` and `{answer}` stand for them, `\n` is a line break
    #[arg(long, value_name = "TEXT", default_value = "{answer}")]
    pub judge_text: String,
}

/// What is scored, and what is known of it beside.
struct Answers<'a> {
    prompts: &'a [Prompt],
    responses: &'a [Response],
    /// The reason for which prompts without an answer are dropped.
    missing: &'static str,
    template_hash: Option<&'a str>,
    /// Divergences by prompt, the same for all of its answers.
    kl: &'a BTreeMap<u64, Kl>,
}

impl ScoringArgs {
    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("judge", &self.judge).of(Kind::Checkpoint);
    }

    fn check(&self) -> Result<()> {
        if self.scorer.is_empty() && self.judge.is_none() {
            bail!("nothing says how answers are scored\nhint: give --scorer, or --judge");
        }
        if !self.judge_text.contains("{answer}") {
            bail!("--judge-text `{}` has no `{{answer}}`", self.judge_text);
        }
        if self.judge.is_some() {
            self.check_free("judge", "--judge")?;
        }
        Ok(check_scorers(&self.scorer)?)
    }

    /// Refuses a scorer with a metric that a flag gives already.
    fn check_free(&self, metric: &str, flag: &str) -> Result<()> {
        let mut scorers = self.scorer.iter();
        if let Some(scorer) = scorers.find(|s| s.metrics().contains(&metric)) {
            bail!("the metric `{metric}` is given by both `{scorer}` and {flag}");
        }
        Ok(())
    }

    /// Scores answers, writes them with their scores, and returns the summary.
    fn run(
        &self,
        step: &Step,
        arm: &ArmArgs,
        seed: u64,
        answers: &Answers,
    ) -> Result<Map<String, Value>> {
        let &Answers {
            prompts,
            responses,
            missing,
            template_hash,
            kl,
        } = answers;
        let mut scored = score_answers(prompts, responses, &self.scorer, &self.normalization)?;
        for score in &mut scored.scores {
            if let Some(kl) = kl.get(&score.id) {
                score.values.insert("kl".to_owned(), kl.nats);
                let per_token = kl.per_token();
                score.values.insert("kl_per_token".to_owned(), per_token);
            }
        }
        let mut dropped = BTreeMap::from([(missing, scored.unanswered)]);
        let joined = join(prompts, responses)?;
        if let Some(class) = &self.judge_class {
            let judged = self.judge(step, class, &joined)?;
            for (score, judged) in scored.scores.iter_mut().zip(judged) {
                match judged {
                    Some(probability) => _ = score.values.insert("judge".to_owned(), probability),
                    None => *dropped.entry("too_long_for_judge").or_default() += 1,
                }
            }
        }
        let mut lines = String::new();
        for ((prompt, response), score) in joined.iter().zip(&scored.scores) {
            let line = json!({
                "id": prompt.id,
                "sample": response.sample,
                "messages": prompt.messages,
                "text": response.text,
                "finished": response.finished,
                "answer": prompt.answer,
                "values": score.values,
            });
            lines += &format!("{line}\n");
        }
        step.write_file(ANSWERS_FILE, lines)?;
        if let [scorer, ..] = scored.matched_nothing()[..]
            && !self.allow_no_match
        {
            let error: Result<()> = Err(anyhow!(
                "the scorer `{scorer}` matched none of {} answers",
                responses.len()
            ));
            let file = step.dir().join(ANSWERS_FILE);
            error.hint(format!(
                "look at the answers in `{}`; if zero is a result, add --allow-no-match",
                file.display()
            ))?;
        }
        // The judge alone may have had nothing to say.
        scored.scores.retain(|score| !score.values.is_empty());
        step.write_records(&scored.scores)?;
        dropped.retain(|_, count| *count > 0);
        let hash = task_hash(prompts);
        let items = prompts.len();
        let mut summary = summary(
            arm,
            seed,
            &scored.scores,
            items,
            &dropped,
            &hash,
            template_hash,
        );
        summary.insert("answers".to_owned(), json!(responses.len()));
        summary.insert("unmatched".to_owned(), json!(scored.unmatched));
        Ok(summary)
    }

    /// The judge's probability of `class` for each answer that it can read.
    fn judge(
        &self,
        step: &Step,
        class: &str,
        answers: &[(&Prompt, &Response)],
    ) -> Result<Vec<Option<f64>>> {
        let judge = step.artifact("judge")?;
        let template = self.judge_text.replace("\\n", "\n");
        // A placeholder that an answer spells is its own, so the template is cut before anything is put in.
        let parts: Vec<&str> = template.split("{answer}").collect();
        let text = |(prompt, response): &(&Prompt, &Response)| {
            let prompt: String = prompt.messages.iter().map(|m| &m.content[..]).collect();
            let parts: Vec<String> = parts
                .iter()
                .map(|p| p.replace("{prompt}", &prompt))
                .collect();
            parts.join(&response.text)
        };
        let texts: Vec<String> = answers.iter().map(text).collect();
        let mut watch = step.watch("answer");
        let (total, mut count) = (texts.len() as u64, 0);
        let judged = crate::judge(
            &judge.path,
            class,
            &texts,
            &w2s_lm::device(step.device())?,
            &mut |rows| {
                count += rows as u64;
                watch(count, total, String::new())
            },
        )?;
        Ok(judged.ok_or(Interrupted)?)
    }
}

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
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub sampling: SamplingArgs,
    /// Language model from whose answers the KL divergence of this model's is measured, as `kl` and `kl_per_token`: on one
    /// more answer to each prompt, drawn at temperature 1
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub kl_reference: Option<ArtifactArg>,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub arm: ArmArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub scoring: ScoringArgs,
}

impl RespondOperation {
    /// Divergences of the model's answers from the reference's, by prompt; none without a reference.
    fn kl(
        &self,
        step: &Step,
        responder: &Responder,
        prompts: &[Prompt],
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
        let found = responder.kl(
            &model,
            prompts,
            &self.sampling.settings(),
            &mut |done, total| watch(done as u64, total as u64, String::new()),
        )?;
        Ok(found.ok_or(Interrupted)?)
    }
}

impl Operation for RespondOperation {
    const NAME: &'static str = "respond";
    const VERSION: u32 = 2;
    const KIND: Kind = Kind::Scores;
    const ABOUT: &'static str = "Lets a model answer prompts and scores the answers";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("model", &self.model).of(Kind::Checkpoint);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
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
        self.sampling.check().map_err(anyhow::Error::msg)
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let model = step.artifact("model")?;
        let prompts: Vec<Prompt> = step.artifact("prompts")?.records()?;
        let responder = Responder::open(
            &model.path,
            model.reference.to_string(),
            self.template,
            &w2s_lm::device(step.device())?,
        )?;
        let mut watch = step.watch("answer");
        let done = responder
            .respond(
                &prompts,
                self.sampling.samples,
                &self.sampling.settings(),
                &mut |done, total| watch(done as u64, total as u64, String::new()),
            )?
            .ok_or(Interrupted)?;
        let answers = Answers {
            prompts: &prompts,
            responses: &done.responses,
            missing: "no_room",
            template_hash: Some(&responder.encoder.template().hash()),
            kl: &self.kl(step, &responder, &prompts)?,
        };
        let seed = self.sampling.seed;
        let summary = self.scoring.run(step, &self.arm, seed, &answers)?;
        Ok(Value::Object(summary))
    }
}

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
    /// Seed of the experiment, by which arms are paired
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub arm: ArmArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
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
        let responses: Vec<Response> = step.artifact("responses")?.records()?;
        let answers = Answers {
            prompts: &prompts,
            responses: &responses,
            missing: "no_response",
            template_hash: None,
            kl: &BTreeMap::new(),
        };
        let summary = self.scoring.run(step, &self.arm, self.seed, &answers)?;
        Ok(Value::Object(summary))
    }
}

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
    /// Seed of the experiment, by which arms are paired
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
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
        let mut summary = summary(
            &self.arm,
            self.seed,
            &scores,
            prompts.len(),
            &done.dropped,
            &task_hash(&prompts),
            Some(&context.template.hash()),
        );
        summary.insert("delimiter".to_owned(), json!(context.delimiter));
        Ok(Value::Object(summary))
    }
}

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
    /// Seed of the experiment, by which arms are paired
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
    pub encoding: EncodingArgs,
    #[command(flatten)]
    #[serde(flatten)]
    #[expect(
        missing_docs,
        reason = "a doc comment on a flattened field replaces the command's about"
    )]
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
        let encoder = self.encoding.encoder(&model.path, &language_model)?;
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
        let mut summary = summary(
            &self.arm,
            self.seed,
            &done.scores,
            pairs.len() + prompts.len(),
            &dropped,
            &task_hash(&items),
            Some(&encoder.template().hash()),
        );
        let totals = done.totals.iter().map(|(side, totals)| {
            let rates = json!({
                "log_likelihood": totals.log_likelihood,
                "tokens": totals.tokens,
                "bytes": totals.bytes,
                "bits_per_byte": totals.bits_per_byte(),
                "byte_perplexity": totals.byte_perplexity(),
                "token_perplexity": totals.token_perplexity(),
            });
            ((*side).to_owned(), rates)
        });
        summary.insert("totals".to_owned(), Value::Object(totals.collect()));
        summary.insert("truncated".to_owned(), json!(done.truncated));
        Ok(Value::Object(summary))
    }
}

/// The records of an input that may be left out.
fn optional<T: Record>(step: &Step, name: &str) -> Result<Option<Vec<T>>> {
    let artifact = step.optional_artifact(name)?;
    Ok(artifact.map(|artifact| artifact.records()).transpose()?)
}

/// Why rows were dropped, in words.
fn reasons(dropped: &BTreeMap<&'static str, usize>) -> String {
    let reasons: Vec<String> = dropped
        .iter()
        .map(|(reason, count)| format!("{count} {}", reason.replace('_', " ")))
        .collect();
    reasons.join(", ")
}
