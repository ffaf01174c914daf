//! How conversations become a model's tokens: the flags shared by everything that reads them.

use crate::{Decoder, LmError, TooLong};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;
use w2s_artifact::Message;
use w2s_text::{ChatTemplate, Encoder, Turn};

/// Longest prompt with its answer where nothing else is asked for, in tokens.
const MAX_TOKENS: usize = 512;

/// What a conversation is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Template {
    /// The chat template of the model folder; plain where it has none.
    #[default]
    Model,
    /// The contents of all turns, one after the other, as they are.
    Plain,
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Plain => "plain",
        })
    }
}

/// A conversation as an encoder or a template takes it.
pub fn turns(messages: &[Message]) -> Vec<Turn<'_>> {
    messages
        .iter()
        .map(|message| Turn {
            role: &message.role,
            content: &message.content,
        })
        .collect()
}

/// How conversations become tokens; flags and key of every operation that reads prompts with answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct EncodingArgs {
    /// What conversations are written in
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Template::Model, value_name = "NAME"))]
    pub template: Template,
    /// Longest prompt with its answer in tokens [default: 512, or the model's positions if they are fewer]
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_tokens: Option<usize>,
    /// What happens to longer ones, counted either way; an answer is cut at its end
    #[cfg_attr(feature = "cli", arg(long, default_value_t = TooLong::Drop, value_name = "CHOICE"))]
    pub too_long: TooLong,
    /// Tokenise prompt and answer apart, as TRL does, instead of once and whole
    #[cfg_attr(feature = "cli", arg(long))]
    pub separate: bool,
}

impl EncodingArgs {
    /// A template, and otherwise what holds where nothing is asked for.
    pub fn of(template: Template) -> Self {
        Self {
            template,
            max_tokens: None,
            too_long: TooLong::Drop,
            separate: false,
        }
    }

    /// Refuses values that nothing fits: the message names the flag.
    pub fn check(&self) -> Result<(), String> {
        if self.max_tokens == Some(0) {
            return Err("--max-tokens is 0; it must be above zero".into());
        }
        Ok(())
    }

    /// The longest prompt with its answer in tokens, for a model of so many positions.
    pub fn longest(&self, positions: usize) -> usize {
        self.max_tokens.unwrap_or(MAX_TOKENS).min(positions)
    }

    /// What turns conversations into tokens of the model that was read from `folder`. An answer ends with the `eos_token`
    /// that the folder names, or else with the model's own.
    ///
    /// # Errors
    ///
    /// What [`Encoder::load`] refuses, and a tokenizer with more tokens than the model.
    pub fn encoder(&self, folder: &Path, model: &Decoder) -> Result<Encoder, LmError> {
        let encoder = Encoder::load(folder, self.longest(model.max_tokens()))?;
        let config = model.config();
        encoder.tokenizer().fits(config.vocabulary)?;
        // An adapter's folder has no config.json that could name the end.
        let known = |id: &u32| encoder.tokenizer().token_text(*id).is_some();
        let eos = config.eos.filter(known);
        let encoder = encoder.or_eos(eos);
        let encoder = match self.template {
            Template::Model => encoder,
            Template::Plain => encoder.plain(),
        };
        Ok(encoder
            .separate(self.separate)
            .truncate(self.too_long == TooLong::Truncate))
    }

    /// The hash of the template that conversations with the model in `folder` are written in.
    pub fn template_hash(&self, folder: &Path) -> Result<String, LmError> {
        let template = match self.template {
            Template::Model => ChatTemplate::load(folder)?,
            Template::Plain => ChatTemplate::plain(),
        };
        Ok(template.hash())
    }
}
