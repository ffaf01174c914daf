//! The records of preference tuning: what a model is asked, what it answers, which of two answers is better, what the
//! reference model makes of both, and how answers score.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Record;
use crate::reference::Kind;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user` or `assistant`, or whatever else the model's chat template knows.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// What tells whether two prompts are the same: a hash of who says what, blind to white space around and between words.
pub fn prompt_fingerprint(messages: &[Message]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for Message { role, content } in messages {
        for part in [role, content] {
            for word in part.split_whitespace() {
                hasher.update(word.as_bytes());
                hasher.update(b" ");
            }
            hasher.update(b"\n");
        }
    }
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_le_bytes(first)
}

/// What a model is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// Number of the prompt, unique in its artifact.
    pub id: u64,
    /// Prompts that are variants of one question share this number: intervals draw them together.
    pub group: u64,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The right answer, where one is known.
    pub answer: Option<String>,
    /// Answers to choose from; empty where the question is open.
    pub choices: Vec<String>,
    /// Which of the choices is right.
    pub gold: Option<u32>,
    /// What else is known of the question, by name: `steps` of a generated problem, say. No model reads it; it is there to
    /// count answers apart.
    pub tags: BTreeMap<String, String>,
}

impl Record for Prompt {
    const KIND: Kind = Kind::Prompts;
    const FORMAT: u32 = 3;

    fn validate(&self) -> Result<(), String> {
        check_messages(&self.messages)?;
        if let Some(gold) = self.gold
            && gold as usize >= self.choices.len()
        {
            return Err(format!(
                "gold choice {gold} of {} choices",
                self.choices.len()
            ));
        }
        if let Some((_, value)) = self.tags.iter().find(|(name, _)| name.trim().is_empty()) {
            return Err(format!("the tag with the value `{value}` has no name"));
        }
        Ok(())
    }
}

/// One sampled answer to a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Response {
    /// The prompt it answers.
    pub prompt: u64,
    /// Number of the sample, from 0.
    pub sample: u32,
    /// The answer, without the token that ended it.
    pub text: String,
    /// Its tokens, without the one that ended it; empty where no model made it.
    pub ids: Vec<u32>,
    /// Natural log-probability of each of `ids` at temperature 1, and one more for the token that ended it.
    pub log_probs: Vec<f32>,
    /// Whether it came to its end; a cut answer must not be taught to stop.
    pub finished: bool,
    /// Key of the checkpoint that made it, or the world that did.
    pub model: String,
}

impl Record for Response {
    const KIND: Kind = Kind::Responses;
    const FORMAT: u32 = 1;

    fn validate(&self) -> Result<(), String> {
        if let Some(value) = self
            .log_probs
            .iter()
            .find(|p| !(p.is_finite() && **p <= 0.0))
        {
            return Err(format!("the log-probability of a token is {value}"));
        }
        let extra = self.log_probs.len().checked_sub(self.ids.len());
        if !self.log_probs.is_empty() && !matches!(extra, Some(0 | 1)) {
            return Err(format!(
                "{} log-probabilities for {} tokens",
                self.log_probs.len(),
                self.ids.len()
            ));
        }
        Ok(())
    }
}

/// One side of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The answer.
    pub text: String,
    /// Key of the checkpoint that made it, or the file or world it came from.
    pub source: String,
    /// Number of the sample it was, from 0.
    pub sample: u32,
    /// Its score, where the rule that made the pair looks at one.
    pub score: Option<f64>,
    /// Its length in tokens of the model that made it, where a model did.
    pub tokens: Option<u32>,
    /// Whether it came to its end: only then is the end of the sequence part of what is learnt.
    pub finished: bool,
}

/// Two answers to one prompt, of which the first should be preferred.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    /// Number of the pair, unique in its artifact.
    pub id: u64,
    /// The prompt both answer.
    pub prompt: u64,
    /// The group of that prompt.
    pub group: u64,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer to prefer.
    pub chosen: Answer,
    /// The other one.
    pub rejected: Answer,
    /// The rule that made it, such as `order`, `score` or `reversed`.
    pub rule: String,
    /// Probability that the chosen answer is the better one, at least one half, where a model ordered the pair.
    pub confidence: Option<f32>,
    /// Whether the truth orders it so too, where a model ordered it and the truth is known. Only what is flagged as an oracle,
    /// or a conflicting objective, may learn from it.
    pub gold: Option<bool>,
}

impl Pair {
    /// Which of two places the chosen answer takes, 0 or 1, where both are shown as answers of which either may be the better
    /// one: a fair coin, the same one wherever the pair appears.
    pub fn place(&self) -> usize {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.id.to_le_bytes());
        for message in &self.messages {
            hasher.update(message.content.as_bytes());
        }
        usize::from(hasher.finalize().as_bytes()[0] & 1)
    }
}

impl Record for Pair {
    const KIND: Kind = Kind::Pairs;
    const FORMAT: u32 = 3;

    fn validate(&self) -> Result<(), String> {
        check_messages(&self.messages)?;
        for (side, answer) in [("chosen", &self.chosen), ("rejected", &self.rejected)] {
            if answer.text.trim().is_empty() {
                return Err(format!("the {side} answer is empty"));
            }
            if answer.score.is_some_and(|score| !score.is_finite()) {
                return Err(format!("the score of the {side} answer is not finite"));
            }
        }
        match self.confidence {
            Some(p) if !(0.5..=1.0).contains(&p) => Err(format!(
                "the chosen answer is the better one with a probability of {p}, which is not between 0.5 and 1"
            )),
            _ => Ok(()),
        }
    }
}

/// Summed log-probability of some tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogProb {
    /// Sum of the natural log-probabilities.
    pub sum: f32,
    /// How many tokens.
    pub tokens: u32,
}

/// What the reference model makes of one pair. Every preference loss derives from these sums and counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReferenceLogProbs {
    /// The pair.
    pub id: u64,
    /// The chosen answer.
    pub chosen: LogProb,
    /// The rejected answer.
    pub rejected: LogProb,
    /// The chosen answer of the pair before it, as an answer to this pair's prompt: the baseline of KTO.
    pub mismatched: Option<LogProb>,
}

impl Record for ReferenceLogProbs {
    const KIND: Kind = Kind::References;
    const FORMAT: u32 = 1;

    fn validate(&self) -> Result<(), String> {
        let sides = [Some(self.chosen), Some(self.rejected), self.mismatched];
        for side in sides.into_iter().flatten() {
            if !(side.sum.is_finite() && side.sum <= 0.0) {
                return Err(format!("a sum of log-probabilities is {}", side.sum));
            }
            if side.tokens == 0 {
                return Err("an answer has no tokens".to_owned());
            }
        }
        Ok(())
    }
}

/// How one answer, or one item without an answer of its own, scores: metrics by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The prompt or pair it belongs to.
    pub id: u64,
    /// Number of the sample, from 0.
    pub sample: u32,
    /// Items of one group are drawn together by intervals.
    pub group: u64,
    /// Fingerprint of what was asked: two scores are about the same item where it is the same.
    pub content: u64,
    /// The metrics.
    pub values: BTreeMap<String, f64>,
}

impl Record for Score {
    const KIND: Kind = Kind::Scores;
    const FORMAT: u32 = 2;

    fn validate(&self) -> Result<(), String> {
        match self.values.iter().find(|(_, value)| !value.is_finite()) {
            Some((name, value)) => Err(format!("the metric `{name}` is {value}")),
            None => Ok(()),
        }
    }
}

/// The file beside scores of answers, with a [`ScoredAnswer`] a line.
pub const ANSWERS_FILE: &str = "answers.jsonl";

/// An answer as people read it, with what it was asked and how it scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoredAnswer {
    /// The prompt.
    pub id: u64,
    /// Number of the sample, from 0.
    pub sample: u32,
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer.
    pub text: String,
    /// Whether it came to its end.
    pub finished: bool,
    /// The right answer, where one is known.
    pub answer: Option<String>,
    /// The metrics.
    pub values: BTreeMap<String, f64>,
}

fn check_messages(messages: &[Message]) -> Result<(), String> {
    if messages
        .iter()
        .all(|message| message.content.trim().is_empty())
    {
        return Err("the prompt is empty".to_owned());
    }
    if let Some(turn) = messages.iter().position(|message| message.role.is_empty()) {
        return Err(format!("turn {turn} of the prompt has no role"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(chosen: &str, rejected: &str) -> Pair {
        let answer = |text: &str| Answer {
            text: text.into(),
            source: "file".into(),
            sample: 0,
            score: None,
            tokens: None,
            finished: true,
        };
        Pair {
            id: 0,
            prompt: 0,
            group: 0,
            messages: vec![Message {
                role: "user".into(),
                content: "why ?".into(),
            }],
            chosen: answer(chosen),
            rejected: answer(rejected),
            rule: "order".into(),
            confidence: None,
            gold: None,
        }
    }

    #[test]
    fn a_pair_has_two_answers_and_a_prompt() {
        assert_eq!(pair("yes", "no").validate(), Ok(()));
        assert_eq!(
            pair("yes", " \n").validate(),
            Err("the rejected answer is empty".into())
        );
        let mut ordered = pair("yes", "no");
        ordered.confidence = Some(0.5);
        assert_eq!(ordered.validate(), Ok(()));
        for wrong in [0.25, f32::NAN] {
            ordered.confidence = Some(wrong);
            assert_eq!(
                ordered.validate(),
                Err(format!(
                    "the chosen answer is the better one with a probability of {wrong}, which is not between 0.5 and 1"
                ))
            );
        }
        let first = (0..200).map(|id| {
            Pair {
                id,
                ..pair("yes", "no")
            }
            .place()
        });
        assert!((80..120).contains(&first.sum::<usize>()));
        let mut silent = pair("yes", "no");
        silent.messages.clear();
        assert_eq!(silent.validate(), Err("the prompt is empty".into()));
    }

    #[test]
    fn a_prompt_keeps_its_tags() {
        let tagged = |name: &str| Prompt {
            id: 3,
            group: 3,
            messages: pair("yes", "no").messages,
            answer: Some("17".into()),
            choices: Vec::new(),
            gold: None,
            tags: BTreeMap::from([(name.to_owned(), "2".to_owned())]),
        };
        let rows = [tagged("steps")];
        let bytes = crate::codec::encode(&rows).unwrap();
        assert_eq!(crate::codec::decode::<Prompt>(&bytes).unwrap(), rows);
        assert_eq!(
            tagged(" ").validate(),
            Err("the tag with the value `2` has no name".into())
        );
    }

    #[test]
    fn white_space_does_not_make_another_prompt() {
        let prompt = |turns: &[(&str, &str)]| {
            let turns = turns.iter().map(|(role, content)| Message {
                role: (*role).into(),
                content: (*content).into(),
            });
            prompt_fingerprint(&turns.collect::<Vec<_>>())
        };
        let asked = prompt(&[("user", "why so ?")]);
        assert_eq!(asked, prompt(&[("user", "  why\n\nso\t? ")]));
        for other in [
            &[("user", "why so")][..],
            &[("user", "whyso ?")],
            &[("system", "why so ?")],
            &[("user", "why"), ("user", "so ?")],
        ] {
            assert_ne!(asked, prompt(other));
        }
    }

    #[test]
    fn log_probabilities_belong_to_tokens() {
        let mut response = Response {
            prompt: 0,
            sample: 0,
            text: "a b".into(),
            ids: vec![4, 5],
            log_probs: vec![-0.5, -1.0, -0.1],
            finished: true,
            model: "checkpoint/00".into(),
        };
        assert_eq!(response.validate(), Ok(()));
        response.log_probs = vec![-0.5];
        assert_eq!(
            response.validate(),
            Err("1 log-probabilities for 2 tokens".into())
        );
        response.log_probs = vec![-0.5, 0.5];
        assert_eq!(
            response.validate(),
            Err("the log-probability of a token is 0.5".into())
        );
    }

    #[test]
    fn references_have_sums_of_tokens() {
        let side = |sum, tokens| LogProb { sum, tokens };
        let mut row = ReferenceLogProbs {
            id: 0,
            chosen: side(-3.0, 2),
            rejected: side(-1.0, 1),
            mismatched: None,
        };
        assert_eq!(row.validate(), Ok(()));
        row.mismatched = Some(side(-1.0, 0));
        assert_eq!(row.validate(), Err("an answer has no tokens".into()));
        row.chosen.sum = f32::NAN;
        assert_eq!(
            row.validate(),
            Err("a sum of log-probabilities is NaN".into())
        );
    }
}
