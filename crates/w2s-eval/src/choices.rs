//! Multiple choice by likelihood, as lm-evaluation-harness scores it.
//!
//! Each choice is put behind the question, and the model's log-probability of the choice's tokens is its score. How text is
//! cut into tokens decides here: spaces at the end of the context belong to the continuation, both are tokenised as one
//! text, and what is left after as many tokens as the context alone has is the continuation. A model whose tokenizer begins
//! texts with a `bos_token` gets one, and one only, as it does everywhere else here; lm-evaluation-harness does so since
//! `add_bos_token` is left to the tokenizer (up to 0.4.9 it added none unless told to).

use std::collections::BTreeMap;

use serde::Serialize;
use w2s_artifact::{Prompt, Score};
use w2s_lm::{LanguageModel, LmError, answer_log_probs, turns};
use w2s_text::{ChatTemplate, Encoded, TextError, Tokenizer};

use crate::scores::prompt_content;
use w2s_stats::metrics;

/// How a question becomes a context.
#[derive(Clone)]
pub struct Context {
    /// What renders the conversation; its generation prompt is the end of the context.
    pub template: ChatTemplate,
    /// What stands between the context and a choice. lm-evaluation-harness puts a space, and nothing behind a rendered
    /// chat template.
    pub delimiter: String,
    /// Longest context with a choice, in tokens.
    pub max_tokens: usize,
}

/// The likelihoods of the choices of one question.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Question {
    /// The prompt.
    pub id: u64,
    /// Questions of one group are variants of one.
    pub group: u64,
    /// Fingerprint of the question with its choices.
    pub content: u64,
    /// The right choice.
    pub gold: usize,
    /// Natural log-probability of each choice.
    pub log_likelihoods: Vec<f64>,
    /// The choice with the highest log-probability.
    pub chosen: usize,
    /// The choice with the highest log-probability a character.
    pub chosen_norm: usize,
    /// The choice with the highest log-probability a byte.
    pub chosen_bytes: usize,
}

/// Scored questions, and what was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Questions {
    /// One a question that could be scored, in their order.
    pub questions: Vec<Question>,
    /// Questions that were left out, by the reason: `no_gold`, `empty_choice`, `no_context`, `too_long`.
    pub dropped: BTreeMap<&'static str, usize>,
}

/// The tokens of each continuation behind a context, as lm-evaluation-harness cuts them; none where the context or the
/// continuation has no token of its own.
///
/// # Errors
///
/// A text that does not tokenise.
pub fn encode(
    tokenizer: &Tokenizer,
    context: &str,
    continuations: impl IntoIterator<Item = String>,
) -> Result<Vec<Option<Encoded>>, TextError> {
    let encode = |text: &str| -> Result<Vec<u32>, TextError> {
        let mut ids = tokenizer.encode(text)?;
        if let Some(bos) = tokenizer.bos().filter(|bos| ids.first() != Some(bos)) {
            ids.insert(0, bos);
        }
        Ok(ids)
    };
    let start = encode(context.trim_end())?.len();
    let behind = |continuation: String| {
        let ids = encode(&format!("{context}{continuation}"))?;
        let answer = start..ids.len();
        Ok((start > 0 && !answer.is_empty()).then_some(Encoded {
            ids,
            answer,
            cut: 0,
            cut_bytes: 0,
        }))
    };
    continuations.into_iter().map(behind).collect()
}

impl Question {
    /// Chooses by the three measures; the first of equal ones wins. Lengths are those of the raw choices, without the
    /// delimiter.
    ///
    /// # Panics
    ///
    /// If there are not as many log-likelihoods as choices.
    pub fn new(prompt: &Prompt, gold: usize, log_likelihoods: Vec<f64>) -> Self {
        let choices = &prompt.choices;
        assert_eq!(choices.len(), log_likelihoods.len(), "one a choice");
        let best = |length: fn(&String) -> usize| {
            let values = log_likelihoods.iter().zip(choices);
            let values: Vec<f64> = values.map(|(ll, c)| ll / length(c) as f64).collect();
            metrics::predicted(&values) as usize
        };
        Self {
            id: prompt.id,
            group: prompt.group,
            content: prompt_content(prompt),
            gold,
            chosen: best(|_| 1),
            chosen_norm: best(|choice| choice.chars().count()),
            chosen_bytes: best(String::len),
            log_likelihoods,
        }
    }

    /// `acc`, `acc_norm` and `acc_bytes`, 1 for the right choice, and `brier`, half the squared distance of the choices'
    /// softmax from the right one (lm-evaluation-harness reports twice that).
    pub fn score(&self) -> Score {
        let highest = self.log_likelihoods[self.chosen];
        let odds: Vec<f64> = self
            .log_likelihoods
            .iter()
            .map(|ll| (ll - highest).exp())
            .collect();
        let sum: f64 = odds.iter().sum();
        let probabilities: Vec<f64> = odds.iter().map(|odds| odds / sum).collect();
        let right = |chosen: usize| f64::from(chosen == self.gold);
        let values = [
            ("acc", right(self.chosen)),
            ("acc_norm", right(self.chosen_norm)),
            ("acc_bytes", right(self.chosen_bytes)),
            ("brier", metrics::brier(&probabilities, self.gold as u32)),
        ];
        Score {
            id: self.id,
            sample: 0,
            group: self.group,
            content: self.content,
            values: values.map(|(name, value)| (name.to_owned(), value)).into(),
        }
    }
}

/// A question that can be scored.
struct Asked<'a> {
    prompt: &'a Prompt,
    gold: usize,
    encoded: Vec<Encoded>,
}

/// Scores every question by the likelihoods of its choices; a question is left out as a whole. `each` hears how many
/// questions are done at a time and of how many, and stops the work by returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// A conversation that does not render, a text that does not tokenise, or a log-probability that is no number.
pub fn choices(
    model: &LanguageModel,
    tokenizer: &Tokenizer,
    context: &Context,
    prompts: &[Prompt],
    each: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Questions>, LmError> {
    let (mut asked, mut dropped) = (Vec::new(), BTreeMap::new());
    for prompt in prompts {
        match ask(tokenizer, context, prompt)? {
            Ok(question) => asked.push(question),
            Err(reason) => *dropped.entry(reason).or_default() += 1,
        }
    }
    let groups: Vec<&[Encoded]> = asked.iter().map(|a| &a.encoded[..]).collect();
    let total = groups.len();
    let Some(sums) = answer_log_probs(model, &groups, &mut |done| each(done, total))? else {
        return Ok(None);
    };
    let questions = asked.iter().zip(sums).map(|(asked, sums)| {
        let log_likelihoods = sums.iter().map(|sum| f64::from(sum.sum)).collect();
        Question::new(asked.prompt, asked.gold, log_likelihoods)
    });
    Ok(Some(Questions {
        questions: questions.collect(),
        dropped,
    }))
}

/// A prompt as a question, or why it is none.
fn ask<'a>(
    tokenizer: &Tokenizer,
    context: &Context,
    prompt: &'a Prompt,
) -> Result<Result<Asked<'a>, &'static str>, TextError> {
    let Some(gold) = prompt.gold else {
        return Ok(Err("no_gold"));
    };
    if prompt.choices.iter().any(String::is_empty) {
        return Ok(Err("empty_choice"));
    }
    let rendered = context.template.render(&turns(&prompt.messages), true)?;
    let continuations = prompt
        .choices
        .iter()
        .map(|choice| format!("{}{choice}", context.delimiter));
    let encoded = encode(tokenizer, &rendered, continuations)?;
    let Some(encoded) = encoded.into_iter().collect::<Option<Vec<_>>>() else {
        return Ok(Err("no_context"));
    };
    if encoded.iter().any(|e| e.ids.len() > context.max_tokens) {
        return Ok(Err("too_long"));
    }
    Ok(Ok(Asked {
        prompt,
        gold: gold as usize,
        encoded,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;
    use tokenizers::models::wordlevel::WordLevel;
    use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};

    /// Words with the space before them, as most language models have them; `▁` alone is the id 1. With `bos` texts begin
    /// with `tell`, the id 2.
    fn tokenizer(bos: bool) -> Tokenizer {
        let words = ["unk", "▁", "tell", "▁what", "▁moru", "▁tal"];
        let words = (0..).zip(words).map(|(id, word)| (word.to_owned(), id));
        let model = WordLevel::builder()
            .vocab(words.collect())
            .unk_token("unk".into())
            .build()
            .unwrap();
        let mut tokenizer = tokenizers::Tokenizer::new(model);
        tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::Never, true)));
        let folder = tempfile::tempdir().unwrap();
        tokenizer
            .save(folder.path().join("tokenizer.json"), false)
            .unwrap();
        let settings = format!(r#"{{"bos_token": "tell", "add_bos_token": {bos}}}"#);
        std::fs::write(folder.path().join("tokenizer_config.json"), settings).unwrap();
        Tokenizer::load(folder.path()).unwrap()
    }

    /// The ids of the context and of the continuation.
    fn cut(context: &str, continuation: &str) -> Option<(Vec<u32>, Vec<u32>)> {
        cut_by(&tokenizer(false), context, continuation)
    }

    fn cut_by(
        tokenizer: &Tokenizer,
        context: &str,
        continuation: &str,
    ) -> Option<(Vec<u32>, Vec<u32>)> {
        let encoded = encode(tokenizer, context, [continuation.to_owned()]).unwrap();
        let encoded = encoded.into_iter().next().unwrap()?;
        let (context, continuation) = encoded.ids.split_at(encoded.answer.start);
        assert_eq!(encoded.answer.end, encoded.ids.len());
        Some((context.to_vec(), continuation.to_vec()))
    }

    #[test]
    fn text_is_cut_as_the_harness_cuts_it() {
        assert_eq!(
            cut("tell what", " moru tal"),
            Some((vec![2, 3], vec![4, 5]))
        );
        // The space at the end of the context belongs to the continuation, and there is no token for it alone.
        assert_eq!(
            cut("tell what ", "moru tal"),
            Some((vec![2, 3], vec![4, 5]))
        );
        assert_eq!(cut("tell what ", " moru"), Some((vec![2, 3], vec![1, 4])));
        // The whole is tokenised at once: a word that goes on is another word, and none is left for the continuation.
        assert_eq!(cut("tell wh", "at"), None);
        assert_eq!(cut(" ", "moru"), None);
        assert_eq!(cut("tell", ""), None);
    }

    #[test]
    fn a_model_that_wants_a_beginning_gets_one() {
        let tokenizer = tokenizer(true);
        let cut = |context, continuation| cut_by(&tokenizer, context, continuation);
        assert_eq!(cut(" what", " moru"), Some((vec![2, 3], vec![4])));
        // One that is written already is not added again, and behind it alone a choice can be scored.
        assert_eq!(cut("tell what", " moru"), Some((vec![2, 3], vec![4])));
        assert_eq!(cut("", " moru"), Some((vec![2], vec![4])));
    }

    fn question(gold: usize, choices: &[&str], log_likelihoods: &[f64]) -> Question {
        let prompt = Prompt {
            id: 3,
            group: 3,
            messages: vec![],
            answer: None,
            choices: choices.iter().map(|&c| c.to_owned()).collect(),
            gold: None,
            tags: BTreeMap::new(),
        };
        Question::new(&prompt, gold, log_likelihoods.to_vec())
    }

    #[test]
    fn the_norm_is_characters_of_the_choice() {
        let case = golden::case("eval.acc_vs_acc_norm");
        let list = |name: &str| case["inputs"][name].as_array().unwrap();
        let choices = list("choices")
            .iter()
            .map(|choice| choice.as_str().unwrap());
        let choices: Vec<&str> = choices.collect();
        let loglik = list("loglik").iter().map(|ll| ll.as_f64().unwrap());
        let question = question(2, &choices, &loglik.collect::<Vec<_>>());
        assert_eq!(question.chosen, case["expected"]["acc_pred"]);
        assert_eq!(question.chosen_norm, case["expected"]["acc_norm_pred"]);
        let values = question.score().values;
        assert_eq!((values["acc"], values["acc_norm"]), (0.0, 1.0));
    }

    #[test]
    fn bytes_are_not_characters_and_the_first_wins_ties() {
        // 4 characters each, but the second has 8 bytes.
        let bytes = question(0, &["moru", "öäüß"], &[-4.0, -6.0]);
        assert_eq!((bytes.chosen_norm, bytes.chosen_bytes), (0, 1));
        let tied = question(1, &["a", "b"], &[-1.0, -1.0]);
        assert_eq!(
            (tied.chosen, tied.chosen_norm, tied.chosen_bytes),
            (0, 0, 0)
        );
    }

    #[test]
    fn brier_reads_the_softmax() {
        // The odds are 3 to 1, and the right choice has the 1: (3/4)^2.
        let question = question(1, &["a", "b"], &[-900.0, -900.0 - 3f64.ln()]);
        assert!((question.score().values["brier"] - 0.5625).abs() < 1e-12);
    }
}
