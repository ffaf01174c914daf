//! From prompts to answers: encoding, generation, text.

use crate::generate::{Finish, Generated, Request, Sampling, Settings};
use crate::{
    EncodingArgs, Kl, LanguageModel, LmError, ModelFolder, Template, kl_divergence, turns,
};
use burn::tensor::Device;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use w2s_artifact::{Prompt, Response};
use w2s_text::Encoder;

/// What the seed is mixed with for answers that only measure a divergence.
const KL_STREAM: u64 = 0x6b6c_5f64_7261_7773;

/// A model that answers prompts.
pub struct Responder {
    /// The model.
    pub model: LanguageModel,
    /// What writes the prompts and reads the answers.
    pub encoder: Encoder,
    /// What its answers say made them.
    pub name: String,
}

/// Answers, and how many prompts have none.
#[derive(Clone, Debug)]
pub struct Responded {
    /// All samples of a prompt together, in the order of the prompts.
    pub responses: Vec<Response>,
    /// Prompts that leave the model no room for an answer.
    pub no_room: usize,
}

impl Responder {
    /// The model in `folder`, prompts written in `template`.
    ///
    /// # Errors
    ///
    /// A folder that cannot be read, and what [`EncodingArgs::encoder`] refuses.
    pub fn open(
        folder: &Path,
        name: String,
        template: Template,
        device: &Device,
    ) -> Result<Self, LmError> {
        let model = ModelFolder::open(folder)?.language_model(device)?;
        let encoder = EncodingArgs::of(template).encoder(folder, &model.model)?;
        Ok(Self {
            model,
            encoder,
            name,
        })
    }

    /// Answers to prompts, `samples` to each.
    ///
    /// The stop tokens of the encoder end an answer beside those of `settings`. `watch` hears how many answers are done, and
    /// of how many; it stops the work by returning `false`, upon which the result is `None`.
    ///
    /// # Errors
    ///
    /// A prompt that does not encode, prompts of which none leaves room for an answer, and what
    /// [`LanguageModel::generate`] refuses.
    pub fn respond(
        &self,
        prompts: &[Prompt],
        samples: usize,
        settings: &Settings,
        watch: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Responded>, LmError> {
        let (asked, requests) = self.requests(prompts, samples)?;
        let Some(generated) = self.generate(&requests, settings, watch)? else {
            return Ok(None);
        };
        let tokenizer = self.encoder.tokenizer();
        let mut responses = Vec::new();
        for ((prompt, request), generated) in asked.iter().zip(&requests).zip(generated) {
            for (sample, one) in (0..).zip(generated) {
                responses.push(Response {
                    prompt: prompt.id,
                    sample,
                    text: one.text(&request.prompt, tokenizer, settings)?,
                    // A certain token may come out above zero by rounding.
                    log_probs: one.log_probs.iter().map(|p| p.min(0.0)).collect(),
                    finished: one.finish == Finish::Stop,
                    ids: one.ids,
                    model: self.name.clone(),
                });
            }
        }
        Ok(Some(Responded {
            responses,
            no_room: prompts.len() - asked.len(),
        }))
    }

    /// KL divergence of this model's answers from those of `reference`, by the number of the prompt, estimated from one
    /// answer to each that leaves room for one: see [`kl_divergence`]. It is drawn at temperature 1 from the whole
    /// distribution, ends as `settings` say, and comes from a stream of its own: it is none of the answers that
    /// [`respond`](Self::respond) gives for the same seed. `watch` hears how many prompts are done, each of them drawn and
    /// then compared, and may stop the work as there.
    ///
    /// # Errors
    ///
    /// Those of [`respond`](Self::respond) and of [`kl_divergence`].
    pub fn kl(
        &self,
        reference: &LanguageModel,
        prompts: &[Prompt],
        settings: &Settings,
        watch: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<BTreeMap<u64, Kl>>, LmError> {
        let (asked, requests) = self.requests(prompts, 1)?;
        let settings = Settings {
            sampling: Some(Sampling {
                temperature: 1.0,
                top_k: None,
                top_p: None,
            }),
            seed: settings.seed ^ KL_STREAM,
            ..settings.clone()
        };
        let total = 2 * requests.len();
        let Some(drawn) = self.generate(&requests, &settings, &mut |done, _| watch(done, total))?
        else {
            return Ok(None);
        };
        let mut done = requests.len();
        let found = kl_divergence(&self.model, reference, &requests, &drawn, &mut |count| {
            done += count;
            watch(done, total)
        })?;
        let ids = asked.iter().map(|prompt| prompt.id);
        Ok(found.map(|found| ids.zip(found).collect()))
    }

    /// Continuations that also end at this model's own ends of an answer.
    fn generate(
        &self,
        requests: &[Request],
        settings: &Settings,
        watch: &mut dyn FnMut(usize, usize) -> bool,
    ) -> Result<Option<Vec<Vec<Generated>>>, LmError> {
        let mut settings = settings.clone();
        settings.stop_ids.extend(self.encoder.stop_ids());
        let tokenizer = Some(self.encoder.tokenizer());
        match self.model.generate(requests, &settings, tokenizer, watch) {
            Err(LmError::Interrupted) => Ok(None),
            generated => generated.map(Some),
        }
    }

    /// The prompts that leave room for an answer, and what is asked of the model for each of them.
    fn requests<'a>(
        &self,
        prompts: &'a [Prompt],
        samples: usize,
    ) -> Result<(Vec<&'a Prompt>, Vec<Request>), LmError> {
        let positions = self.model.model.max_tokens();
        let (mut asked, mut requests) = (Vec::new(), Vec::new());
        for row in prompts {
            let prompt = self.encoder.prompt(&turns(&row.messages))?;
            if prompt.len() < positions {
                asked.push(row);
                requests.push(Request { prompt, samples });
            }
        }
        if asked.is_empty() {
            return Err(LmError::Generation(format!(
                "none of {} prompts leaves room for an answer in the model's {positions} positions",
                prompts.len()
            )));
        }
        Ok((asked, requests))
    }
}

/// How answers are generated; flags and key of every operation that lets a model answer.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct SamplingArgs {
    /// Answers to each prompt
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000), default_value_t = 1, value_name = "N"))]
    pub samples: usize,
    /// Longest answer in tokens
    #[cfg_attr(feature = "cli", arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_048_576), default_value_t = 256, value_name = "N"))]
    pub max_new_tokens: usize,
    /// Draw tokens at this temperature [default: take the most probable one]
    #[cfg_attr(feature = "cli", arg(long, value_name = "VALUE"))]
    pub temperature: Option<f32>,
    /// Draw from the N most probable tokens
    #[cfg_attr(feature = "cli", arg(long, requires = "temperature", value_name = "N"))]
    pub top_k: Option<usize>,
    /// Draw from the fewest most probable tokens that hold this much of the probability
    #[cfg_attr(
        feature = "cli",
        arg(long, requires = "temperature", value_name = "PART")
    )]
    pub top_p: Option<f32>,
    /// Seed of the draws [default: 0, or that of the model's own training where answers are scored]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub seed: Option<u64>,
    /// End an answer at this text, which is left out; `\n` is a line break
    #[cfg_attr(feature = "cli", arg(long, value_name = "TEXT"))]
    pub stop: Vec<String>,
}

impl SamplingArgs {
    /// Refuses values that nothing could be drawn with: the message names the flag.
    pub fn check(&self) -> Result<(), String> {
        for (name, value) in [
            ("samples", self.samples),
            ("max-new-tokens", self.max_new_tokens),
        ] {
            if value == 0 {
                return Err(format!("--{name} is 0; it must be above zero"));
            }
        }
        if self.samples > 1 && self.temperature.is_none() {
            return Err(format!(
                "--samples is {}, but without --temperature all samples are the same",
                self.samples
            ));
        }
        self.settings().check()
    }

    /// The settings of a generation; the stop tokens are the encoder's.
    pub fn settings(&self) -> Settings {
        Settings {
            max_new_tokens: self.max_new_tokens,
            sampling: self.temperature.map(|temperature| Sampling {
                temperature,
                top_k: self.top_k,
                top_p: self.top_p,
            }),
            seed: self.seed.unwrap_or_default(),
            stop_ids: Vec::new(),
            stop_strings: self.stop.iter().map(|s| s.replace("\\n", "\n")).collect(),
        }
    }
}
