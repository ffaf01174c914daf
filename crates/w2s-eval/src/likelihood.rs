//! How likely a model finds answers that it did not make: a held-out set, or both sides of pairs.

use std::collections::BTreeMap;

use serde::Serialize;
use w2s_artifact::{Answer, Message, Pair, Prompt, Response, Score};
use w2s_lm::{LanguageModel, LmError, LogProbSum, answer_log_probs, turns};
use w2s_text::{Encoded, Encoder, Fit};

use crate::scores::content;

/// A prompt with the answers that are scored behind it.
#[derive(Clone, Debug, Serialize)]
pub struct Item<'a> {
    /// The prompt or the pair.
    pub id: u64,
    /// Number of the sample, from 0.
    pub sample: u32,
    /// Items of one group are drawn together by intervals.
    pub group: u64,
    /// The conversation up to the answers.
    pub messages: &'a [Message],
    /// One answer, or the two of a pair.
    pub answers: Vec<Side<'a>>,
}

/// One answer of an item.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Side<'a> {
    /// `answer`, or `chosen` and `rejected` of a pair.
    pub name: &'static str,
    /// The answer.
    pub text: &'a str,
    /// Whether its end is scored with it.
    pub finished: bool,
}

impl<'a> Item<'a> {
    /// Both answers of a pair.
    pub fn pair(pair: &'a Pair) -> Self {
        let side = |name, answer: &'a Answer| Side {
            name,
            text: &answer.text,
            finished: answer.finished,
        };
        Self {
            id: pair.id,
            sample: 0,
            group: pair.group,
            messages: &pair.messages,
            answers: vec![
                side("chosen", &pair.chosen),
                side("rejected", &pair.rejected),
            ],
        }
    }

    /// Fingerprint of what is asked. The answers of a pair are part of it; an answer to a prompt is what was scored.
    pub fn content(&self) -> u64 {
        let sides = self.answers.iter().filter(|_| self.answers.len() > 1);
        content(self.messages, sides.map(|side| (side.name, side.text)))
    }

    /// A response to a prompt.
    pub fn response(prompt: &'a Prompt, response: &'a Response) -> Self {
        Self::one(prompt, response.sample, &response.text, response.finished)
    }

    /// The right answer to a prompt, where it is known.
    pub fn right_answer(prompt: &'a Prompt) -> Option<Self> {
        Some(Self::one(prompt, 0, prompt.answer.as_deref()?, true))
    }

    fn one(prompt: &'a Prompt, sample: u32, text: &'a str, finished: bool) -> Self {
        Self {
            id: prompt.id,
            sample,
            group: prompt.group,
            messages: &prompt.messages,
            answers: vec![Side {
                name: "answer",
                text,
                finished,
            }],
        }
    }
}

/// Sums over all answers of one side. Rates of a corpus come from them: a mean of rates would weigh short answers more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Summed natural log-probability.
    pub log_likelihood: f64,
    /// Tokens, the ends of finished answers among them.
    pub tokens: usize,
    /// Bytes of UTF-8 that these tokens stand for: of an answer that was cut, what was kept.
    pub bytes: usize,
}

impl Totals {
    fn add(&mut self, bytes: usize, sum: LogProbSum) {
        self.log_likelihood += f64::from(sum.sum);
        self.tokens += sum.tokens;
        self.bytes += bytes;
    }

    /// What the model needs for a byte of text, in bits: `-ll / (bytes ln 2)`.
    pub fn bits_per_byte(&self) -> f64 {
        -self.log_likelihood / (self.bytes as f64 * std::f64::consts::LN_2)
    }

    /// `exp(-ll / bytes)`.
    pub fn byte_perplexity(&self) -> f64 {
        (-self.log_likelihood / self.bytes as f64).exp()
    }

    /// `exp(-ll / tokens)`, which says something only between models with the same tokenizer.
    pub fn token_perplexity(&self) -> f64 {
        (-self.log_likelihood / self.tokens as f64).exp()
    }
}

/// Scores of items, and what was left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Likelihoods {
    /// One score an item that fits, in their order. An answer has `log_likelihood`, summed, and `nll_per_token`; a pair has
    /// the same with `_chosen` and `_rejected` behind the name, and `preference_accuracy`, 1 if the chosen answer has the
    /// higher log-likelihood.
    pub scores: Vec<Score>,
    /// Totals by the name of the side.
    pub totals: BTreeMap<&'static str, Totals>,
    /// Items that were left out, by the reason, see [`Fit::reason`].
    pub dropped: BTreeMap<&'static str, usize>,
    /// Answers that were cut at their end, because the encoder was asked to.
    pub truncated: usize,
}

/// Scores every item; one with an answer that does not fit is left out as a whole. `each` hears how many items are done at
/// a time and of how many, and stops the work by returning `false`, upon which the result is `None`.
///
/// # Errors
///
/// A conversation that does not render, a text that does not tokenise, or a log-probability that is no number.
pub fn likelihoods(
    model: &LanguageModel,
    encoder: &Encoder,
    items: &[Item],
    each: &mut dyn FnMut(usize, usize) -> bool,
) -> Result<Option<Likelihoods>, LmError> {
    let (mut kept, mut groups) = (Vec::new(), Vec::new());
    let mut dropped = BTreeMap::new();
    for item in items {
        match encode(encoder, item)? {
            Ok(encoded) => {
                kept.push(item);
                groups.push(encoded);
            }
            Err(reason) => *dropped.entry(reason).or_default() += 1,
        }
    }
    let truncated = groups.iter().flatten().filter(|e| e.cut > 0).count();
    let total = groups.len();
    let Some(sums) = answer_log_probs(model, &groups, &mut |done| each(done, total))? else {
        return Ok(None);
    };
    let mut totals: BTreeMap<_, Totals> = BTreeMap::new();
    for ((item, encoded), sums) in kept.iter().zip(&groups).zip(&sums) {
        for ((side, encoded), &sum) in item.answers.iter().zip(encoded).zip(sums) {
            let bytes = side.text.len().saturating_sub(encoded.cut_bytes);
            totals.entry(side.name).or_default().add(bytes, sum);
        }
    }
    let scores = kept.iter().zip(&sums).map(|(item, sums)| score(item, sums));
    Ok(Some(Likelihoods {
        scores: scores.collect(),
        totals,
        dropped,
        truncated,
    }))
}

/// All answers of an item behind its prompt, or why it is left out.
fn encode(encoder: &Encoder, item: &Item) -> Result<Result<Vec<Encoded>, &'static str>, LmError> {
    let turns = turns(item.messages);
    let mut encoded = Vec::with_capacity(item.answers.len());
    for side in &item.answers {
        let fit = encoder.answer(&turns, side.text, side.finished)?;
        if let Some(reason) = fit.reason() {
            return Ok(Err(reason));
        }
        if let Fit::Fits(answer) = fit {
            encoded.push(answer);
        }
    }
    Ok(Ok(encoded))
}

fn score(item: &Item, sums: &[LogProbSum]) -> Score {
    let mut values = BTreeMap::new();
    for (side, sum) in item.answers.iter().zip(sums) {
        let suffix = match side.name {
            "answer" => String::new(),
            name => format!("_{name}"),
        };
        let log_likelihood = f64::from(sum.sum);
        let nll_per_token = -log_likelihood / sum.tokens as f64;
        values.insert(format!("log_likelihood{suffix}"), log_likelihood);
        values.insert(format!("nll_per_token{suffix}"), nll_per_token);
    }
    if let [chosen, rejected] = sums {
        let right = chosen.sum > rejected.sum;
        values.insert("preference_accuracy".to_owned(), f64::from(right));
    }
    Score {
        id: item.id,
        sample: item.sample,
        group: item.group,
        content: item.content(),
        values,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden;

    fn side(name: &'static str) -> Side<'static> {
        Side {
            name,
            text: "moru",
            finished: true,
        }
    }

    fn item(answers: Vec<Side>) -> Item {
        Item {
            id: 8,
            sample: 1,
            group: 8,
            messages: &[],
            answers,
        }
    }

    fn sum(sum: f32, tokens: usize) -> LogProbSum {
        LogProbSum { sum, tokens }
    }

    #[test]
    fn rates_come_from_totals() {
        let case = golden::case("eval.bits_per_byte");
        let mut totals = Totals::default();
        // Three answers of together seven bytes.
        let loglik = case["inputs"]["loglik"].as_array().unwrap();
        for (text, ll) in ["öä", "ni", "x"].iter().zip(loglik) {
            totals.add(text.len(), sum(ll.as_f64().unwrap() as f32, 2));
        }
        assert_eq!(totals.bytes, case["inputs"]["bytes"]);
        let expected = case["expected"].as_f64().unwrap();
        assert!((totals.bits_per_byte() - expected).abs() < 1e-9);
        assert!((totals.byte_perplexity() - 0.5f64.exp()).abs() < 1e-9);
        assert!((totals.token_perplexity() - (3.5f64 / 6.0).exp()).abs() < 1e-9);
    }

    #[test]
    fn pairs_are_ordered_by_their_sums() {
        let pair = item(vec![side("chosen"), side("rejected")]);
        let higher = score(&pair, &[sum(-3.0, 2), sum(-4.0, 8)]);
        assert_eq!((higher.id, higher.sample), (8, 1));
        let expected = [
            ("log_likelihood_chosen", -3.0),
            ("log_likelihood_rejected", -4.0),
            ("nll_per_token_chosen", 1.5),
            ("nll_per_token_rejected", 0.5),
            ("preference_accuracy", 1.0),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(higher.values, BTreeMap::from(expected));
        let tied = score(&pair, &[sum(-3.0, 2), sum(-3.0, 2)]);
        assert_eq!(tied.values["preference_accuracy"], 0.0);
    }

    #[test]
    fn an_answer_alone_has_no_side() {
        let values = score(&item(vec![side("answer")]), &[sum(-3.0, 2)]).values;
        let expected = [("log_likelihood", -3.0), ("nll_per_token", 1.5)];
        let expected = expected.map(|(name, value)| (name.to_owned(), value));
        assert_eq!(values, BTreeMap::from(expected));
    }
}
