//! `w2s-student train`: one operation, whose flags say which method it is.

use super::prepare;
use super::reference::check_origin;
use crate::methods::{Confidence, Naive, Product, preference, sft};
use crate::{Conversation, Setup, Supervision, Trained};
use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use w2s_artifact::{Kind, Label, Message, Pair, Prompt, ReferenceLogProbs, Response, Split};
use w2s_lm::{
    Classifier, ClassifierArgs, EncodingArgs, LabelledRows, LoraArgs, PromptArgs, TooLong,
};
use w2s_losses::{ConfidenceVariant, LossError, PreferenceLoss, PreferenceSettings};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};
use w2s_train::{EarlyStoppingArgs, Metrics, Objective, TrainArgs};

/// What the student learns from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Labels of examples: a classifier.
    Labels,
    /// Answers: a language model that imitates them.
    Sft,
    /// Pairs of answers: a language model that prefers one to the other.
    Preference,
}

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::Labels => "labels",
            Self::Sft => "sft",
            Self::Preference => "preference",
        }
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Labels, Self::Sft, Self::Preference]
            .into_iter()
            .find(|method| method.name() == text)
            .ok_or_else(|| format!("unknown method `{text}`; there are labels, sft, preference"))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The answer of a pair that is imitated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// The better one.
    Chosen,
    /// The worse one.
    Rejected,
}

impl FromStr for Side {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "chosen" => Ok(Self::Chosen),
            "rejected" => Ok(Self::Rejected),
            other => Err(format!(
                "unknown side `{other}`; there are chosen, rejected"
            )),
        }
    }
}

/// Trains a student on weak labels, on answers or on pairs of answers, or the ceiling on gold labels.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct Train {
    /// Base model
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub base: ArtifactArg,
    /// What it learns from: labels, sft (answers), preference (pairs of answers)
    #[arg(long, default_value_t = Method::Labels, value_name = "NAME")]
    pub method: Method,
    /// labels: examples, of which the transfer split is trained on
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: Option<ArtifactArg>,
    /// labels: the teacher's labels of the transfer split
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub labels: Option<ArtifactArg>,
    /// labels: the examples' tokens, from `w2s-student encode`, shared by all students of this base; template and limits
    /// are those of the tokens
    #[arg(long, value_name = "ARTIFACT", conflicts_with = "features")]
    #[serde(skip)]
    pub tokens: Option<ArtifactArg>,
    /// labels: what the base makes of the examples, from `w2s-student features`: only the head is trained on it, a linear
    /// probe; template and limits are those of the features
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub features: Option<ArtifactArg>,
    /// labels: train on gold labels instead: the strong ceiling
    #[arg(long, conflicts_with = "labels")]
    pub gold: bool,
    /// preference, sft: pairs of answers
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub pairs: Option<ArtifactArg>,
    /// sft: the side of the pairs that is imitated: chosen, rejected [default: chosen]
    #[arg(long, value_name = "NAME")]
    pub side: Option<Side>,
    /// sft: answers to imitate, instead of a side of pairs
    #[arg(
        long,
        value_name = "ARTIFACT",
        requires = "prompts",
        conflicts_with = "pairs"
    )]
    #[serde(skip)]
    pub responses: Option<ArtifactArg>,
    /// sft: the prompts of those answers
    #[arg(long, value_name = "ARTIFACT", requires = "responses")]
    #[serde(skip)]
    pub prompts: Option<ArtifactArg>,
    /// preference: what the base makes of the pairs, from `w2s-student reference`; simpo and orpo need none
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub reference: Option<ArtifactArg>,
    /// Loss. labels: cross-entropy, confidence, product [default: cross-entropy]; preference: sigmoid (DPO),
    /// delta-preference, simpo, orpo, kto, ipo and others [default: sigmoid]
    #[arg(long, value_name = "NAME")]
    pub loss: Option<String>,
    /// labels: variant of the confidence loss: paper, openai, openai-fixed [default: paper]
    #[arg(long, value_name = "NAME")]
    pub confidence: Option<String>,
    /// labels: weight of the student's own prediction after warm-up, in the confidence loss [default: 0.5]
    #[arg(long, value_name = "WEIGHT")]
    pub max_weight: Option<f64>,
    /// labels: part of the training over which that weight rises [default: 0.2 for paper, 0.1 for the others]
    #[arg(long, value_name = "PART")]
    pub weight_warmup: Option<f64>,
    /// labels: exponent of the label in the product loss [default: 1]
    #[arg(long, value_name = "POWER")]
    pub alpha: Option<f64>,
    /// preference: scale of the reward [default: the loss's own]; labels: exponent of the student's own prediction in
    /// the product loss [default: 1]
    #[arg(long, allow_negative_numbers = true, value_name = "VALUE")]
    pub beta: Option<f64>,
    /// preference: part of the pairs taken to be the wrong way round, 0 to 0.5 [default: the loss's own]
    #[arg(long, value_name = "PART")]
    pub label_smoothing: Option<f64>,
    /// preference: weight of the chosen answer's negative log-likelihood per token, added to the loss [default: 0]
    #[arg(long, value_name = "WEIGHT")]
    pub nll_weight: Option<f64>,
    /// preference: target margin of the rewards in simpo [default: 0.5]
    #[arg(long, value_name = "MARGIN")]
    pub gamma: Option<f64>,
    /// preference: weight of chosen answers in kto [default: 1]
    #[arg(long, value_name = "WEIGHT")]
    pub desirable_weight: Option<f64>,
    /// preference: weight of rejected answers in kto [default: 1]
    #[arg(long, value_name = "WEIGHT")]
    pub undesirable_weight: Option<f64>,
    /// Rows or pairs in a batch
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub batch: usize,
    /// sft, preference: take the rows in their order instead of shuffling them
    #[arg(long)]
    pub in_order: bool,
    /// labels: prompt around a text, which `{text}` stands for; `\n` is a line break [default: {text}];
    /// sft, preference: model (the chat template of the base) or plain [default: model]
    #[arg(long, value_name = "TEXT")]
    pub template: Option<String>,
    /// labels: start the head from the unembedding rows of these words, one a class in their order [default: zeros]
    #[arg(long, value_name = "WORD")]
    pub label_words: Vec<String>,
    /// Longest row in tokens, prompt and answer together [default: the model's positions; 512 at most for sft and
    /// preference]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// What happens to longer ones: drop, truncate; counted either way
    #[arg(long, default_value_t = TooLong::Drop, value_name = "CHOICE")]
    pub too_long: TooLong,
    /// sft, preference: tokenise prompt and answer apart, as TRL does
    #[arg(long)]
    pub separate: bool,
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
    pub lora: LoraArgs,
    /// labels: part of the rows held out for early stopping on their labels, 0 to 0.5; 0 trains to the end [default: 0]
    #[arg(long, value_name = "PART")]
    pub held_out: Option<f64>,
    /// labels: held-out evaluations per epoch [default: 4]
    #[arg(long, value_name = "N")]
    pub evaluations: Option<usize>,
    /// labels: evaluations without a better score after which training stops [default: 4]
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
}

/// How well the pairs are told apart, for a progress bar.
fn preference_line(metrics: &Metrics) -> String {
    let value = |name: &str| metrics.more.get(name).copied().unwrap_or(f64::NAN);
    format!(
        "{}, margin {:.3}, accuracy {:.2}",
        metrics.line(),
        value("rewards_margin"),
        value("rewards_accuracy")
    )
}

fn told(error: LossError) -> anyhow::Error {
    match error.hint() {
        None => anyhow!("{error}"),
        Some(hint) => anyhow!("{error}\nhint: {hint}"),
    }
}

impl Train {
    /// The methods, for each flag that not all of them read, and whether it was given.
    fn flags(&self) -> [(&'static str, &'static [Method], bool); 28] {
        use Method::{Labels, Preference, Sft};
        [
            ("data", &[Labels], self.data.is_some()),
            ("labels", &[Labels], self.labels.is_some()),
            ("tokens", &[Labels], self.tokens.is_some()),
            ("features", &[Labels], self.features.is_some()),
            ("gold", &[Labels], self.gold),
            ("confidence", &[Labels], self.confidence.is_some()),
            ("max-weight", &[Labels], self.max_weight.is_some()),
            ("weight-warmup", &[Labels], self.weight_warmup.is_some()),
            ("alpha", &[Labels], self.alpha.is_some()),
            ("label-words", &[Labels], !self.label_words.is_empty()),
            ("held-out", &[Labels], self.held_out.is_some()),
            ("evaluations", &[Labels], self.evaluations.is_some()),
            ("patience", &[Labels], self.patience.is_some()),
            ("side", &[Sft], self.side.is_some()),
            ("responses", &[Sft], self.responses.is_some()),
            ("prompts", &[Sft], self.prompts.is_some()),
            ("reference", &[Preference], self.reference.is_some()),
            (
                "label-smoothing",
                &[Preference],
                self.label_smoothing.is_some(),
            ),
            ("nll-weight", &[Preference], self.nll_weight.is_some()),
            ("gamma", &[Preference], self.gamma.is_some()),
            (
                "desirable-weight",
                &[Preference],
                self.desirable_weight.is_some(),
            ),
            (
                "undesirable-weight",
                &[Preference],
                self.undesirable_weight.is_some(),
            ),
            ("pairs", &[Sft, Preference], self.pairs.is_some()),
            ("in-order", &[Sft, Preference], self.in_order),
            ("separate", &[Sft, Preference], self.separate),
            ("lora-rank", &[Sft, Preference], self.lora.lora_rank > 0),
            ("loss", &[Labels, Preference], self.loss.is_some()),
            ("beta", &[Labels, Preference], self.beta.is_some()),
        ]
    }

    fn check_flags(&self) -> Result<()> {
        let method = self.method;
        for (flag, methods, given) in self.flags() {
            if given && !methods.contains(&method) {
                let names: Vec<&str> = methods.iter().map(|m| m.name()).collect();
                bail!(
                    "--{flag} is not read by --method {method}; it belongs to {}",
                    names.join(" and ")
                );
            }
        }
        let prepared = [
            ("tokens", "encode", &self.tokens),
            ("features", "features", &self.features),
        ];
        if let Some((name, operation, _)) = prepared.iter().find(|(.., given)| given.is_some()) {
            for (flag, given) in [
                ("template", self.template.is_some()),
                ("max-tokens", self.max_tokens.is_some()),
                ("too-long", self.too_long != TooLong::Drop),
            ] {
                if given {
                    bail!(
                        "--{flag} is that of --{name}\nhint: give it to `w2s-student {operation}`"
                    );
                }
            }
        }
        match method {
            Method::Labels if self.data.is_none() => {
                bail!("--method labels needs --data, the examples")
            }
            Method::Labels if self.labels.is_none() && !self.gold => {
                bail!("--method labels needs --labels, or --gold for the ceiling")
            }
            Method::Sft if self.pairs.is_none() && self.responses.is_none() => {
                bail!("--method sft needs --pairs, or --responses with their --prompts")
            }
            Method::Sft if self.side.is_some() && self.pairs.is_none() => {
                bail!("--side is a side of --pairs, which are not given")
            }
            Method::Preference if self.pairs.is_none() => {
                bail!("--method preference needs --pairs")
            }
            _ => Ok(()),
        }
    }

    fn label_loss(&self) -> &str {
        self.loss.as_deref().unwrap_or("cross-entropy")
    }

    /// Refuses an unknown loss of labels, and flags that it does not read.
    fn check_label_loss(&self) -> Result<()> {
        let loss = self.label_loss();
        if !["cross-entropy", "confidence", "product"].contains(&loss) {
            bail!("unknown loss `{loss}`; there are cross-entropy, confidence, product");
        }
        for (flag, reader, given) in [
            ("confidence", "confidence", self.confidence.is_some()),
            ("max-weight", "confidence", self.max_weight.is_some()),
            ("weight-warmup", "confidence", self.weight_warmup.is_some()),
            ("alpha", "product", self.alpha.is_some()),
            ("beta", "product", self.beta.is_some()),
        ] {
            if given && loss != reader {
                bail!("--{flag} is not read by --loss {loss}; it belongs to {reader}");
            }
        }
        self.confidence().map(|_| ())
    }

    fn stopping(&self) -> EarlyStoppingArgs {
        EarlyStoppingArgs {
            held_out: self.held_out.unwrap_or(0.0),
            evaluations: self.evaluations.unwrap_or(4),
            patience: self.patience.unwrap_or(4),
        }
    }

    /// Refuses values of early stopping that make no sense, and those without any effect.
    fn check_stopping(&self) -> Result<()> {
        let stopping = self.stopping();
        stopping.check().map_err(anyhow::Error::msg)?;
        for (flag, given) in [
            ("evaluations", self.evaluations.is_some()),
            ("patience", self.patience.is_some()),
        ] {
            if given && stopping.held_out == 0.0 {
                bail!("--{flag} is given, but --held-out is 0: nothing is evaluated");
            }
        }
        Ok(())
    }

    fn confidence(&self) -> Result<w2s_losses::Confidence> {
        let variant: ConfidenceVariant = self
            .confidence
            .as_deref()
            .unwrap_or("paper")
            .parse()
            .map_err(told)?;
        let mut confidence = w2s_losses::Confidence::new(variant);
        confidence.max_weight = self.max_weight.unwrap_or(0.5);
        if let Some(warmup) = self.weight_warmup {
            confidence.warmup_fraction = warmup;
        }
        confidence.check().map_err(told)?;
        Ok(confidence)
    }

    fn prompt(&self) -> PromptArgs {
        PromptArgs {
            template: self.template.clone().unwrap_or("{text}".into()),
            max_tokens: self.max_tokens,
            too_long: self.too_long,
        }
    }

    fn encoding(&self) -> Result<EncodingArgs> {
        let template = match &self.template {
            None => w2s_lm::Template::default(),
            Some(name) => name.parse().map_err(anyhow::Error::msg)?,
        };
        Ok(EncodingArgs {
            template,
            max_tokens: self.max_tokens,
            too_long: self.too_long,
            separate: self.separate,
        })
    }

    fn preference_loss(&self) -> Result<(PreferenceLoss, PreferenceSettings)> {
        let name = self.loss.as_deref().unwrap_or("sigmoid");
        let loss: PreferenceLoss = name.parse().map_err(told)?;
        let mut settings = loss.settings();
        for (name, setting, given) in [
            ("beta", &mut settings.beta, self.beta),
            (
                "label_smoothing",
                &mut settings.label_smoothing,
                self.label_smoothing,
            ),
            ("nll_weight", &mut settings.nll_weight, self.nll_weight),
            ("gamma", &mut settings.gamma, self.gamma),
            (
                "desirable_weight",
                &mut settings.desirable_weight,
                self.desirable_weight,
            ),
            (
                "undesirable_weight",
                &mut settings.undesirable_weight,
                self.undesirable_weight,
            ),
        ] {
            if let Some(given) = given {
                loss.check_reads(name, given).map_err(told)?;
                *setting = given;
            }
        }
        settings.check(loss).map_err(told)?;
        if loss == PreferenceLoss::Robust && settings.label_smoothing == 0.0 {
            bail!(
                "the loss `robust` without label smoothing is that of `sigmoid`\n\
                 hint: give --label-smoothing, the part of the pairs taken to be the wrong way round"
            );
        }
        if loss.needs_reference() && self.reference.is_none() {
            bail!(
                "the loss `{loss}` compares with a reference, and --reference is not given\n\
                 hint: make one with `w2s-student reference`, or use `simpo` or `orpo`, which need none"
            );
        }
        Ok((loss, settings))
    }

    /// Trains on labels by the method that `make` builds.
    fn labels<O: Objective<Classifier>>(
        &self,
        step: &Step,
        make: impl FnOnce(LabelledRows, LabelledRows) -> O,
    ) -> Result<Trained> {
        let data = step.artifact("data")?;
        let supervision = match step.optional_artifact("labels")? {
            Some(labels) => Supervision::Weak(labels.records::<Label>()?),
            None => Supervision::Gold,
        };
        let base = step.artifact("base")?;
        let prepared = match step.optional_artifact("tokens")? {
            None => step.optional_artifact("features")?,
            tokens => tokens,
        };
        let (prompt, prepared) = match prepared {
            None => (self.prompt(), None),
            Some(prepared) => {
                let (prompt, rows) = prepare::read(&prepared, &base, &data)?;
                (prompt, Some(rows))
            }
        };
        let mut watch = step.watch("step");
        crate::train(
            &base.path,
            &data.examples(Split::Transfer)?,
            &data.classes()?,
            &supervision,
            prepared,
            self.batch,
            &ClassifierArgs {
                prompt,
                label_words: self.label_words.clone(),
            },
            &self.train,
            &self.stopping(),
            &w2s_lm::device(step.device())?,
            step.dir(),
            &step.scratch()?,
            make,
            &mut |metrics, steps| watch(metrics.step as u64, steps as u64, metrics.line()),
        )
    }

    /// Trains on conversations by `method`, which gets the set-up.
    fn conversations<T>(&self, step: &Step, method: impl FnOnce(&Setup) -> Result<T>) -> Result<T> {
        method(&Setup {
            base: &step.artifact("base")?.path,
            encoding: &self.encoding()?,
            batch: self.batch,
            in_order: self.in_order,
            train: &self.train,
            lora: &self.lora,
            device: &w2s_lm::device(step.device())?,
            dir: step.dir(),
            state_dir: &step.scratch()?,
        })
    }

    fn sft(&self, step: &Step) -> Result<Value> {
        let rows = match step.optional_artifact("pairs")? {
            Some(pairs) => side(pairs.records()?, self.side.unwrap_or(Side::Chosen)),
            None => answers(
                step.artifact("prompts")?.records()?,
                step.artifact("responses")?.records()?,
            )?,
        };
        let mut watch = step.watch("step");
        let done = self.conversations(step, |setup| {
            sft(setup, &rows, &mut |metrics, steps| {
                watch(metrics.step as u64, steps as u64, metrics.line())
            })
        })?;
        Ok(json!(done))
    }

    fn preference(&self, step: &Step) -> Result<Value> {
        let (loss, settings) = self.preference_loss()?;
        let pairs = step.artifact("pairs")?;
        let reference = step.optional_artifact("reference")?;
        if let Some(reference) = &reference {
            check_origin(
                reference,
                &step.artifact("base")?,
                &pairs,
                &self.encoding()?,
            )?;
        }
        let rows = reference.map(|r| r.records::<ReferenceLogProbs>());
        let rows = rows.transpose()?;
        let pairs = pairs.records::<Pair>()?;
        let mut watch = step.watch("step");
        let done = self.conversations(step, |setup| {
            let watch: w2s_train::Watch = &mut |metrics, steps| {
                watch(metrics.step as u64, steps as u64, preference_line(metrics))
            };
            preference(setup, &pairs, rows.as_deref(), loss, settings, watch)
        })?;
        let mut summary = json!(done);
        summary["loss"] = json!(loss.name());
        summary["formula"] = json!(loss.formula(&settings));
        summary["beta"] = json!(settings.beta);
        Ok(summary)
    }
}

/// One side of pairs, to be imitated.
fn side(pairs: Vec<Pair>, side: Side) -> Vec<Conversation> {
    let conversation = |pair: Pair| {
        let answer = match side {
            Side::Chosen => pair.chosen,
            Side::Rejected => pair.rejected,
        };
        Conversation {
            prompt: pair.prompt,
            messages: pair.messages,
            answer: answer.text,
            finished: answer.finished,
        }
    };
    pairs.into_iter().map(conversation).collect()
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

impl Operation for Train {
    const NAME: &'static str = "train";
    const VERSION: u32 = 3;
    const KIND: Kind = Kind::Checkpoint;
    const ABOUT: &'static str = "Trains a student on weak labels, answers or pairs of answers, or the ceiling on gold labels";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.artifact("base", &self.base).of(Kind::Checkpoint);
        inputs.artifact("data", &self.data).of(Kind::Examples);
        inputs.artifact("labels", &self.labels).of(Kind::Labels);
        inputs.artifact("tokens", &self.tokens).of(Kind::Tokens);
        inputs
            .artifact("features", &self.features)
            .of(Kind::Features);
        inputs.artifact("pairs", &self.pairs).of(Kind::Pairs);
        inputs
            .artifact("responses", &self.responses)
            .of(Kind::Responses);
        inputs.artifact("prompts", &self.prompts).of(Kind::Prompts);
        inputs
            .artifact("reference", &self.reference)
            .of(Kind::References);
    }

    fn check(&self) -> Result<()> {
        self.check_flags()?;
        if self.batch == 0 {
            bail!("--batch is 0; it must be above zero");
        }
        self.train.check().map_err(anyhow::Error::msg)?;
        self.lora.check().map_err(anyhow::Error::msg)?;
        match self.method {
            Method::Labels => {
                self.check_label_loss()?;
                self.prompt().check().map_err(anyhow::Error::msg)?;
                self.check_stopping()
            }
            Method::Sft => self.encoding()?.check().map_err(anyhow::Error::msg),
            Method::Preference => {
                self.preference_loss()?;
                self.encoding()?.check().map_err(anyhow::Error::msg)
            }
        }
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let trained = match (self.method, self.label_loss()) {
            (Method::Sft, _) => return self.sft(step),
            (Method::Preference, _) => return self.preference(step),
            (Method::Labels, "confidence") => {
                let confidence = self.confidence()?;
                self.labels(step, |rows, held_out| {
                    Confidence::new(rows, held_out, confidence)
                })?
            }
            (Method::Labels, "product") => self.labels(step, |rows, held_out| Product {
                rows,
                held_out,
                alpha: self.alpha.unwrap_or(1.0),
                beta: self.beta.unwrap_or(1.0),
            })?,
            (Method::Labels, _) => self.labels(step, |rows, held_out| Naive { rows, held_out })?,
        };
        Ok(json!(trained))
    }
}
