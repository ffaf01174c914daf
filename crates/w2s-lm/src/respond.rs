//! From prompts to answers: encoding, generation, text.

use crate::generate::{Finish, Request, Sampling, Settings};
use crate::{LanguageModel, LmError};
use serde::Serialize;
use w2s_text::{Encoder, Turn};

/// One generated answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// Its text, without special tokens and up to the first stop string.
    pub text: String,
    /// Its tokens, without the one that ended it.
    pub ids: Vec<u32>,
    /// Natural log-probability of each of `ids` at temperature 1, and one more for the token that ended it.
    pub log_probs: Vec<f32>,
    /// Whether it came to its end: a stop token or a stop string, not the limit of tokens.
    pub finished: bool,
}

/// Answers of a model to prompts, `samples` to each; a prompt that leaves the model no room for an answer gets none.
///
/// The stop tokens of `encoder` end an answer beside those of `settings`. `watch` hears how many answers are done, and of
/// how many; it stops the work by returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// A prompt that does not encode, and what [`LanguageModel::generate`] refuses.
pub fn respond(
    model: &LanguageModel,
    encoder: &Encoder,
    prompts: &[Vec<Turn>],
    samples: usize,
    settings: &Settings,
    watch: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Vec<Vec<Answered>>>, LmError> {
    let mut settings = settings.clone();
    settings.stop_ids.extend(encoder.stop_ids());
    let (mut requests, mut rows) = (Vec::new(), Vec::new());
    for (row, turns) in prompts.iter().enumerate() {
        let prompt = encoder.prompt(turns)?;
        if prompt.len() < model.model.max_tokens() {
            requests.push(Request { prompt, samples });
            rows.push(row);
        }
    }
    let tokenizer = encoder.tokenizer();
    let generated = match model.generate(&requests, &settings, Some(tokenizer), watch) {
        Ok(generated) => generated,
        Err(LmError::Interrupted) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut answers = vec![Vec::new(); prompts.len()];
    for (row, generated) in rows.into_iter().zip(generated) {
        for one in generated {
            answers[row].push(Answered {
                text: one.text(tokenizer, &settings)?,
                // A certain token may come out above zero by rounding.
                log_probs: one.log_probs.iter().map(|p| p.min(0.0)).collect(),
                finished: one.finish == Finish::Stop,
                ids: one.ids,
            });
        }
    }
    Ok(Some(answers))
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
