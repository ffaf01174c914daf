//! The answers that pairs are made of, sorted by prompt and sample, with their scores.

use std::collections::{HashMap, HashSet};

use w2s_artifact::{Answer, Prompt, Response, Score};

use crate::error::DataError;

/// One metric of an artifact of scores, by prompt and sample.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreColumn {
    /// What the scores are called in messages.
    pub artifact: String,
    /// The metric.
    pub name: String,
    values: HashMap<(u64, u32), f64>,
}

impl ScoreColumn {
    /// The metric `name` of the scores, or the only one they have. `artifact` is what they are called in messages.
    pub fn new(artifact: &str, scores: &[Score], name: Option<&str>) -> Result<Self, DataError> {
        let mut present: Vec<String> = scores
            .iter()
            .flat_map(|score| score.values.keys().cloned())
            .collect();
        present.sort_unstable();
        present.dedup();
        let name = match (name, &present[..]) {
            (Some(name), _) if present.iter().any(|known| known == name) => name.to_owned(),
            (None, [only]) => only.clone(),
            (name, _) => {
                return Err(DataError::UnknownScore {
                    scores: artifact.to_owned(),
                    name: name.map(str::to_owned),
                    present,
                });
            }
        };
        let values = scores
            .iter()
            .filter_map(|score| Some(((score.id, score.sample), *score.values.get(&name)?)))
            .collect();
        Ok(Self {
            artifact: artifact.to_owned(),
            name,
            values,
        })
    }
}

/// The answers of one artifact of responses, by prompt.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers {
    /// The metric they are scored by, if they are.
    pub score: Option<String>,
    by_prompt: HashMap<u64, Vec<Answer>>,
}

impl Answers {
    /// Sorts responses by prompt and sample and looks up their scores. `artifact` is what they are called in messages.
    pub fn new(
        artifact: &str,
        responses: Vec<Response>,
        scores: Option<&ScoreColumn>,
    ) -> Result<Self, DataError> {
        let total = responses.len();
        let mut by_prompt: HashMap<u64, Vec<Answer>> = HashMap::new();
        for response in responses {
            let score = scores.and_then(|scores| {
                let score = scores.values.get(&(response.prompt, response.sample));
                score.copied()
            });
            by_prompt.entry(response.prompt).or_default().push(Answer {
                tokens: (!response.ids.is_empty()).then_some(response.ids.len() as u32),
                text: response.text,
                source: response.model,
                sample: response.sample,
                score,
                finished: response.finished,
            });
        }
        for (&prompt, answers) in &mut by_prompt {
            answers.sort_by_key(|answer| answer.sample);
            if let Some(twice) = answers
                .windows(2)
                .find(|two| two[0].sample == two[1].sample)
            {
                return Err(DataError::AnsweredTwice {
                    responses: artifact.to_owned(),
                    prompt,
                    sample: twice[0].sample,
                });
            }
        }
        if let Some(scores) = scores
            && by_prompt
                .values()
                .flatten()
                .all(|answer| answer.score.is_none())
        {
            return Err(DataError::Unscored {
                responses: artifact.to_owned(),
                answers: total,
                name: scores.name.clone(),
                scores: scores.artifact.clone(),
            });
        }
        Ok(Self {
            score: scores.map(|scores| scores.name.clone()),
            by_prompt,
        })
    }

    /// Refuses answers to prompts that are not in `prompts`; the names are what both are called in messages.
    pub fn check_prompts(
        &self,
        artifact: &str,
        prompts: &[Prompt],
        prompts_artifact: &str,
    ) -> Result<(), DataError> {
        let known: HashSet<u64> = prompts.iter().map(|prompt| prompt.id).collect();
        match self.by_prompt.keys().filter(|id| !known.contains(id)).min() {
            Some(&prompt) => Err(DataError::UnknownPrompt {
                responses: artifact.to_owned(),
                prompt,
                prompts: prompts_artifact.to_owned(),
            }),
            None => Ok(()),
        }
    }

    pub(super) fn to(&self, prompt: &Prompt) -> &[Answer] {
        self.by_prompt.get(&prompt.id).map_or(&[], Vec::as_slice)
    }
}
