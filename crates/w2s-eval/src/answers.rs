//! Scores of many answers: each joined with its prompt, looked at by every scorer.

use std::collections::{BTreeMap, BTreeSet};

use w2s_answers::pass_at_k;
use w2s_artifact::{Prompt, Response, Score};

use crate::scorers::{Normalization, Scorer, ScorerError};
use crate::scores::prompt_content;

/// Scores of answers, and what was not found in them.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredAnswers {
    /// One score an answer, in the order of the answers.
    pub scores: Vec<Score>,
    /// In how many answers a scorer did not find what it looks for, by its spelling; zero is left out.
    pub unmatched: BTreeMap<String, usize>,
    /// Prompts without an answer.
    pub unanswered: usize,
}

/// Why answers cannot be scored. A text may end in a line `hint: …`, the next thing to try.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswersError {
    /// There is nothing to score.
    #[error("there are no answers to score: {prompts} prompts and 0 responses")]
    NoAnswers {
        /// How many prompts there are.
        prompts: usize,
    },
    /// An answer to a prompt that is not there.
    #[error(
        "a response answers prompt {prompt}, which is none of the {prompts} prompts\nhint: give the prompts that the responses were made from"
    )]
    UnknownPrompt {
        /// The prompt it answers.
        prompt: u64,
        /// How many prompts there are.
        prompts: usize,
    },
    /// Two answers with the same numbers.
    #[error("prompt {prompt} has two responses that are both sample {sample}")]
    TwoSamples {
        /// The prompt.
        prompt: u64,
        /// The number of both.
        sample: u32,
    },
    /// Two scorers that give a metric of the same name.
    #[error(
        "the metric `{metric}` is given by both `{first}` and `{second}`\nhint: name one of them, as in `NAME:regex=PATTERN` or `NAME:count=PATTERN`"
    )]
    TwoScorers {
        /// The metric.
        metric: String,
        /// The spelling of one scorer.
        first: String,
        /// The spelling of the other.
        second: String,
    },
    /// More samples would have to be drawn than there are.
    #[error(
        "pass@{k} needs {k} answers to a prompt, and prompt {prompt} has {samples}\nhint: draw as many samples of each prompt, or lower --pass-at"
    )]
    TooFewSamples {
        /// The prompt.
        prompt: u64,
        /// How many answers it has.
        samples: usize,
        /// How many are to be drawn.
        k: usize,
    },
    /// One answer cannot be scored.
    #[error(transparent)]
    Scorer(#[from] ScorerError),
}

/// Refuses scorers that give a metric of the same name.
pub fn check_scorers(scorers: &[Scorer]) -> Result<(), AnswersError> {
    let mut given = BTreeMap::new();
    for scorer in scorers {
        for metric in scorer.metrics() {
            if let Some(first) = given.insert(metric, scorer) {
                return Err(AnswersError::TwoScorers {
                    metric: metric.to_owned(),
                    first: first.to_string(),
                    second: scorer.to_string(),
                });
            }
        }
    }
    Ok(())
}

/// Each response with the prompt it answers, in the order of the responses.
///
/// # Errors
///
/// No response at all, one to a prompt that is not there, or two with the same numbers.
pub fn join<'a>(
    prompts: &'a [Prompt],
    responses: &'a [Response],
) -> Result<Vec<(&'a Prompt, &'a Response)>, AnswersError> {
    if responses.is_empty() {
        return Err(AnswersError::NoAnswers {
            prompts: prompts.len(),
        });
    }
    let asked: BTreeMap<u64, &Prompt> = prompts.iter().map(|p| (p.id, p)).collect();
    let mut answered = BTreeSet::new();
    let pair = |response: &'a Response| {
        let (id, sample) = (response.prompt, response.sample);
        let prompt = asked.get(&id).ok_or(AnswersError::UnknownPrompt {
            prompt: id,
            prompts: prompts.len(),
        })?;
        if !answered.insert((id, sample)) {
            return Err(AnswersError::TwoSamples { prompt: id, sample });
        }
        Ok((*prompt, response))
    };
    responses.iter().map(pair).collect()
}

/// Scores every answer with every scorer.
///
/// # Errors
///
/// See [`AnswersError`]; a scorer that finds nothing at all is no error here, see [`ScoredAnswers::unmatched`].
pub fn score_answers(
    prompts: &[Prompt],
    responses: &[Response],
    scorers: &[Scorer],
    normalization: &Normalization,
) -> Result<ScoredAnswers, AnswersError> {
    check_scorers(scorers)?;
    let mut scored = ScoredAnswers {
        scores: Vec::with_capacity(responses.len()),
        unmatched: BTreeMap::new(),
        unanswered: 0,
    };
    for (prompt, response) in join(prompts, responses)? {
        let mut values = BTreeMap::new();
        for scorer in scorers {
            let verdict = scorer.score(response, prompt.answer.as_deref(), normalization)?;
            values.extend(verdict.values);
            if !verdict.matched {
                *scored.unmatched.entry(scorer.to_string()).or_default() += 1;
            }
        }
        scored.scores.push(Score {
            id: response.prompt,
            sample: response.sample,
            group: prompt.group,
            content: prompt_content(prompt),
            values,
        });
    }
    let answered: BTreeSet<u64> = responses.iter().map(|r| r.prompt).collect();
    scored.unanswered = prompts.iter().filter(|p| !answered.contains(&p.id)).count();
    Ok(scored)
}

impl ScoredAnswers {
    /// Adds the metric `pass_at_K` for each of `ks`: the probability that one of `k` answers to a prompt is right by the metric
    /// `answer`, the same for all answers to a prompt.
    ///
    /// # Errors
    ///
    /// A prompt has fewer answers.
    pub fn add_passes(&mut self, ks: &[usize]) -> Result<(), AnswersError> {
        let mut counts: BTreeMap<u64, (usize, usize)> = BTreeMap::new();
        for score in &self.scores {
            let (samples, right) = counts.entry(score.id).or_default();
            *samples += 1;
            *right += usize::from(score.values.get("answer") == Some(&1.0));
        }
        for score in &mut self.scores {
            let (samples, right) = counts[&score.id];
            for &k in ks {
                let pass = pass_at_k(samples, right, k).ok_or(AnswersError::TooFewSamples {
                    prompt: score.id,
                    samples,
                    k,
                })?;
                score.values.insert(format!("pass_at_{k}"), pass);
            }
        }
        Ok(())
    }

    /// The spellings of scorers that found in no answer what they look for: most likely a pattern that is wrong.
    pub fn matched_nothing(&self) -> Vec<&str> {
        let all = self.scores.len();
        self.unmatched
            .iter()
            .filter(|&(_, &count)| count == all)
            .map(|(scorer, _)| scorer.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use w2s_artifact::Message;

    fn prompt(id: u64, answer: Option<&str>) -> Prompt {
        Prompt {
            id,
            group: id,
            messages: vec![Message {
                role: "user".into(),
                content: "what is it ?".into(),
            }],
            answer: answer.map(Into::into),
            choices: Vec::new(),
            gold: None,
            tags: BTreeMap::new(),
        }
    }

    fn response(prompt: u64, sample: u32, text: &str) -> Response {
        Response {
            prompt,
            sample,
            text: text.into(),
            ids: Vec::new(),
            log_probs: Vec::new(),
            finished: true,
            model: "checkpoint/00".into(),
        }
    }

    fn scored(
        prompts: &[Prompt],
        responses: &[Response],
        scorers: &[&str],
    ) -> Result<ScoredAnswers, AnswersError> {
        let scorers: Vec<Scorer> = scorers.iter().map(|s| s.parse().unwrap()).collect();
        score_answers(prompts, responses, &scorers, &Normalization::default())
    }

    #[test]
    fn answers_meet_their_prompts() {
        let prompts = [
            prompt(9, Some("tal")),
            prompt(4, Some("ni")),
            prompt(5, None),
        ];
        let responses = [
            response(4, 0, "tal"),
            response(9, 0, "tal"),
            response(9, 1, "ni"),
        ];
        let scored = scored(&prompts, &responses, &["exact", "regex=t.l", "count=n"]).unwrap();
        let exact: Vec<_> = scored
            .scores
            .iter()
            .map(|score| (score.id, score.sample, score.values["exact"]))
            .collect();
        assert_eq!(exact, [(4, 0, 0.0), (9, 0, 1.0), (9, 1, 0.0)]);
        assert_eq!(scored.scores[0].values.len(), 3);
        assert_eq!(scored.unanswered, 1);
        let unmatched = [("count=n".to_owned(), 2), ("regex=t.l".to_owned(), 1)];
        assert_eq!(scored.unmatched, BTreeMap::from(unmatched));
        assert!(scored.matched_nothing().is_empty());
    }

    #[test]
    fn one_of_several_answers_may_be_right() {
        let texts = ["#### 5", "#### 6", "#### 5", "none"];
        let mut responses: Vec<Response> = (0..4)
            .map(|sample| response(9, sample, texts[sample as usize]))
            .collect();
        responses.extend((0..4).map(|sample| response(4, sample, "#### 1")));
        let prompts = [prompt(9, Some("#### 5")), prompt(4, Some("#### 2"))];
        let mut scored = scored(&prompts, &responses, &["answer"]).unwrap();
        scored.add_passes(&[1, 2, 4]).unwrap();
        let of = |at: usize| [1, 2, 4].map(|k| scored.scores[at].values[&format!("pass_at_{k}")]);
        // Of six pairs of samples one holds no right answer.
        let [one, two, four] = of(1);
        assert_eq!((one, four), (0.5, 1.0));
        assert!((two - 5.0 / 6.0).abs() < 1e-12);
        assert_eq!(of(4), [0.0; 3]);
        assert_eq!(
            scored
                .add_passes(&[5])
                .unwrap_err()
                .to_string()
                .lines()
                .next(),
            Some("pass@5 needs 5 answers to a prompt, and prompt 9 has 4")
        );
    }

    #[test]
    fn a_scorer_that_matches_nothing_is_told() {
        let responses = [response(9, 0, "tal"), response(9, 1, "ni")];
        let scored = scored(
            &[prompt(9, None)],
            &responses,
            &["regex=#### (.*)", "length"],
        );
        assert_eq!(scored.unwrap().matched_nothing(), ["regex=#### (.*)"]);
    }

    #[test]
    fn answers_that_do_not_belong_are_refused() {
        let text = |result: Result<ScoredAnswers, AnswersError>| {
            let text = result.unwrap_err().to_string();
            text.lines().next().unwrap().to_owned()
        };
        let prompts = [prompt(9, None)];
        assert_eq!(
            text(scored(&prompts, &[response(3, 0, "tal")], &["length"])),
            "a response answers prompt 3, which is none of the 1 prompts"
        );
        let twice = [response(9, 0, "tal"), response(9, 0, "ni")];
        assert_eq!(
            text(scored(&prompts, &twice, &["length"])),
            "prompt 9 has two responses that are both sample 0"
        );
        assert_eq!(
            text(scored(&prompts, &[], &["length"])),
            "there are no answers to score: 1 prompts and 0 responses"
        );
        assert_eq!(
            text(scored(&prompts, &twice[..1], &["count=a", "count=b"])),
            "the metric `count` is given by both `count=a` and `count=b`"
        );
    }
}
