//! Worked solutions of two sources, by their final answers: which of them to learn from (stage I of weak-to-strong reasoning,
//! arXiv 2407.13647), and which pairs they make (stage II).

mod select;

mod contrast;

mod import;

#[cfg(feature = "cli")]
mod operations;

use std::collections::{HashMap, HashSet};

use w2s_answers::{Answer, Rules, Vote, vote};
use w2s_artifact::{Prompt, Response};

pub(crate) use self::import::value;
#[cfg(feature = "cli")]
pub use self::operations::{Contrast, ResponsesOperation, Select};
pub use self::{
    contrast::{ContrastRule, contrast},
    import::{Imported, ResponseColumns, responses},
    select::{SelectRule, Selected, Selection, Take},
};
use crate::error::DataError;

/// A response with its final answer.
#[derive(Clone, Debug)]
pub struct Solution {
    /// The response.
    pub response: Response,
    /// Where it comes to; empty where it comes to nothing.
    pub answer: Answer,
}

/// The responses of one artifact, by prompt and sample, with their final answers.
#[derive(Clone, Debug, Default)]
pub struct Solutions {
    by_prompt: HashMap<u64, Vec<Solution>>,
    /// Responses in which no final answer was found.
    pub without_answer: usize,
}

/// The most frequent answer to a prompt, by the first sample that gives it.
#[derive(Clone, Copy, Debug)]
pub struct Top<'a> {
    /// That sample.
    pub solution: &'a Solution,
    /// How many agree with it.
    pub vote: Vote,
}

impl Top<'_> {
    /// Whether it is the right answer.
    fn is(&self, gold: &Answer) -> bool {
        self.solution.answer == *gold
    }
}

impl Solutions {
    /// Sorts responses by prompt and sample. `name` is what they are called in messages.
    ///
    /// # Errors
    ///
    /// Two responses have the same numbers, or answer a prompt that is not among `prompts`, which are called `asked`.
    pub fn new(
        name: &str,
        responses: Vec<Response>,
        prompts: &[Prompt],
        asked: &str,
        rules: Rules,
    ) -> Result<Self, DataError> {
        let known: HashSet<u64> = prompts.iter().map(|prompt| prompt.id).collect();
        let mut solutions = Self::default();
        for response in responses {
            if !known.contains(&response.prompt) {
                return Err(DataError::UnknownPrompt {
                    responses: name.to_owned(),
                    prompt: response.prompt,
                    prompts: asked.to_owned(),
                });
            }
            let answer = rules.find(&response.text);
            solutions.without_answer += usize::from(!answer.is_some());
            let samples = solutions.by_prompt.entry(response.prompt).or_default();
            samples.push(Solution { response, answer });
        }
        for (&prompt, samples) in &mut solutions.by_prompt {
            samples.sort_by_key(|solution| solution.response.sample);
            let same = |two: &&[Solution]| two[0].response.sample == two[1].response.sample;
            if let Some(two) = samples.windows(2).find(same) {
                return Err(DataError::AnsweredTwice {
                    responses: name.to_owned(),
                    prompt,
                    sample: two[0].response.sample,
                });
            }
        }
        Ok(solutions)
    }

    /// The samples of a prompt.
    pub fn to(&self, prompt: &Prompt) -> &[Solution] {
        self.by_prompt.get(&prompt.id).map_or(&[], Vec::as_slice)
    }

    /// The most samples that a prompt has.
    pub fn samples(&self) -> usize {
        self.by_prompt.values().map(Vec::len).max().unwrap_or(0)
    }

    /// The most frequent answer to a prompt; `None` where it has no response.
    pub fn top(&self, prompt: &Prompt) -> Option<Top<'_>> {
        let samples = self.to(prompt);
        let answers: Vec<&Answer> = samples.iter().map(|solution| &solution.answer).collect();
        vote(&answers).map(|vote| Top {
            solution: &samples[vote.first],
            vote,
        })
    }
}

/// The right answer to a prompt, where one is known.
fn gold(prompt: &Prompt, rules: Rules) -> Option<Answer> {
    let answer = rules.gold(prompt.answer.as_deref()?);
    answer.is_some().then_some(answer)
}
