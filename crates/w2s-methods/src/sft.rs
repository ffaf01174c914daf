//! Supervised finetuning: imitates answers token by token, the prompt left out of the loss.
//!
//! The loss of a step is the mean over all answer tokens of its batch, whatever passes they are computed in: a long
//! answer weighs more than a short one, and accumulation equals the large batch.

use crate::conversation::{Conversation, Setup, encode_answers};
use anyhow::Result;
use w2s_artifact::summary::TrainingSummary;
use w2s_lm::{AnswerBatch, LanguageModel};
use w2s_text::Encoded;
use w2s_train::{Loss, Objective, StepInfo, TrainError, Watch};

/// Finetunes a base model on conversations, and writes the model folder.
///
/// # Errors
///
/// If no conversation is left, or if the model cannot be read or trained.
pub fn sft(setup: &Setup, rows: &[Conversation], watch: Watch) -> Result<TrainingSummary> {
    let (model, encoder) = setup.open()?;
    let encoded = encode_answers(&encoder, rows)?;
    let mut method = Sft {
        answers: encoded.answers,
    };
    let rows = method.answers.len();
    let batches = setup.batches(rows);
    Ok(TrainingSummary {
        rows,
        dropped: encoded.dropped.by_reason(""),
        truncated: encoded.truncated,
        fit: setup.fit(model, &encoder, &mut method, &batches, watch)?,
        ..TrainingSummary::default()
    })
}

/// Imitates answers.
pub struct Sft {
    /// Prompts with their answers.
    pub answers: Vec<Encoded>,
}

impl Sft {
    fn answer_tokens(&self, rows: &[usize]) -> usize {
        rows.iter().map(|&r| self.answers[r].answer.len()).sum()
    }
}

impl Objective<LanguageModel> for Sft {
    /// The output projection and its loss are one operation: there are no logits to look at.
    type Pass = Loss;

    fn forward(
        &mut self,
        model: &LanguageModel,
        rows: &[usize],
        info: StepInfo,
    ) -> Result<Loss, TrainError> {
        let batch = AnswerBatch::pack(rows.iter().map(|&r| std::slice::from_ref(&self.answers[r])));
        let weight = 1.0 / self.answer_tokens(info.batch) as f32;
        let mean_tokens = self.answer_tokens(rows) as f64 / info.batch.len() as f64;
        Ok(Loss {
            value: model.answer_cross_entropy(&batch, weight),
            tokens: batch.tokens(),
            metrics: vec![("tokens_answer", mean_tokens)],
        })
    }

    fn loss(&mut self, pass: Loss, _: &[usize], _: StepInfo) -> Result<Loss, TrainError> {
        Ok(pass)
    }
}
