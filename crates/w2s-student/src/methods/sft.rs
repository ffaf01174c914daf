//! Supervised finetuning: imitates answers token by token, the prompt left out of the loss.
//!
//! The loss of a step is the mean over all answer tokens of its batch, whatever passes they are computed in: a long
//! answer weighs more than a short one, and accumulation equals the large batch.

use crate::conversation::{Conversation, Dropped, Setup, encode_answers};
use anyhow::Result;
use serde::Serialize;
use w2s_lm::{AnswerBatch, LanguageModel};
use w2s_text::Encoded;
use w2s_train::{FitSummary, Loss, Objective, StepInfo, TrainError, Watch};

/// What finetuning did.
#[derive(Clone, Debug, Serialize)]
pub struct Finetuned {
    /// Answers it was trained on.
    pub rows: usize,
    /// Answers left out.
    pub dropped: Dropped,
    /// Answers cut to the longest row.
    pub truncated: usize,
    /// The run.
    #[serde(flatten)]
    pub fit: FitSummary,
}

/// Finetunes a base model on conversations, and writes the model folder.
///
/// # Errors
///
/// If no conversation is left, or if the model cannot be read or trained.
pub fn sft(setup: &Setup, rows: &[Conversation], watch: Watch) -> Result<Finetuned> {
    let (model, encoder) = setup.open()?;
    let encoded = encode_answers(&encoder, rows)?;
    let mut method = Sft {
        answers: encoded.answers,
    };
    let rows = method.answers.len();
    let plan = setup.plan(rows);
    Ok(Finetuned {
        rows,
        dropped: encoded.dropped,
        truncated: encoded.truncated,
        fit: setup.fit(model, &encoder, &mut method, &plan, watch)?,
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
    fn loss(
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
}
