//! From prompts to answers: encoding, generation, text.

use crate::generate::{Finish, Request, Sampling, Settings};
use crate::{EncodingArgs, LanguageModel, LmError, ModelFolder, Template, turns};
use burn::tensor::Device;
use serde::Serialize;
use std::path::Path;
use w2s_artifact::{Prompt, Response};
use w2s_text::Encoder;

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
        let encoder = EncodingArgs::of(template).encoder(folder, &model)?;
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
        let settings = self.settings(settings);
        let (asked, requests) = self.requests(prompts, samples)?;
        let tokenizer = self.encoder.tokenizer();
        let generated = match self
            .model
            .generate(&requests, &settings, Some(tokenizer), watch)
        {
            Ok(generated) => generated,
            Err(LmError::Interrupted) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut responses = Vec::new();
        for ((prompt, request), generated) in asked.iter().zip(&requests).zip(generated) {
            for (sample, one) in (0..).zip(generated) {
                responses.push(Response {
                    prompt: prompt.id,
                    sample,
                    text: one.text(&request.prompt, tokenizer, &settings)?,
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

    /// The settings with this model's own ends of an answer.
    fn settings(&self, settings: &Settings) -> Settings {
        let mut settings = settings.clone();
        settings.stop_ids.extend(self.encoder.stop_ids());
        settings
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
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 1, value_name = "N"))]
    pub samples: usize,
    /// Longest answer in tokens
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 256, value_name = "N"))]
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
    /// Seed of the draws
    #[cfg_attr(feature = "cli", arg(long, default_value_t = 0, value_name = "N"))]
    pub seed: u64,
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
            seed: self.seed,
            stop_ids: Vec::new(),
            stop_strings: self.stop.iter().map(|s| s.replace("\\n", "\n")).collect(),
        }
    }
}
