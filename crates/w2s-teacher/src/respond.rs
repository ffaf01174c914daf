//! Answers to prompts.

use anyhow::{Result, bail};
use burn::tensor::Device;
use std::path::Path;
use w2s_artifact::{Prompt, Response};
use w2s_lm::{EncodingArgs, ModelFolder, SamplingArgs, Template, TooLong};
use w2s_text::Turn;

/// Answers with their counts.
#[derive(Clone, Debug)]
pub struct Responded {
    /// All samples of a prompt together, in the order of the prompts.
    pub responses: Vec<Response>,
    /// How many of them came to their end.
    pub finished: usize,
    /// Tokens of all of them.
    pub tokens: usize,
    /// Prompts that leave the model no room for an answer.
    pub no_room: usize,
}

/// Answers of the model in `folder` to each prompt, as many as `sampling` says; `name` is what they say made them. `each`
/// hears how many answers are done and of how many, and stops the work by returning `false`, upon which the result is
/// `None`.
///
/// # Errors
///
/// If the model cannot be read, if a prompt does not encode, or if no prompt leaves room for an answer.
pub fn respond(
    folder: &Path,
    name: &str,
    prompts: &[Prompt],
    template: Template,
    sampling: &SamplingArgs,
    device: &Device,
    each: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Responded>> {
    let model = ModelFolder::open(folder)?.language_model(device)?;
    let encoding = EncodingArgs {
        template,
        max_tokens: None,
        too_long: TooLong::Drop,
        separate: false,
    };
    let encoder = encoding.encoder(folder, &model)?;
    let turns: Vec<Vec<Turn>> = prompts
        .iter()
        .map(|prompt| {
            let messages = prompt.messages.iter();
            let turn = messages.map(|message| Turn {
                role: &message.role,
                content: &message.content,
            });
            turn.collect()
        })
        .collect();
    let settings = sampling.settings();
    let Some(answers) =
        w2s_lm::respond(&model, &encoder, &turns, sampling.samples, &settings, each)?
    else {
        return Ok(None);
    };
    let no_room = answers.iter().filter(|samples| samples.is_empty()).count();
    if no_room == prompts.len() {
        bail!(
            "none of {no_room} prompts leaves room for an answer in the model's {} positions",
            model.model.max_tokens()
        );
    }
    let responses: Vec<Response> = prompts
        .iter()
        .zip(answers)
        .flat_map(|(prompt, samples)| {
            (0..).zip(samples).map(|(sample, answer)| Response {
                prompt: prompt.id,
                sample,
                text: answer.text,
                ids: answer.ids,
                log_probs: answer.log_probs,
                finished: answer.finished,
                model: name.into(),
            })
        })
        .collect();
    Ok(Some(Responded {
        finished: responses.iter().filter(|r| r.finished).count(),
        tokens: responses.iter().map(|r| r.ids.len()).sum(),
        responses,
        no_room,
    }))
}
