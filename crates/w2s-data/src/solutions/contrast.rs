//! Pairs of a weak answer and a sample of the student, by what the vote of the student's samples says.

use std::collections::HashSet;

use w2s_answers::{Answer, Decision, NoPair, Rules, Thresholds, decide};
use w2s_artifact::{self as artifact, Pair, Prompt, summary::ContrastSummary};
use w2s_worlds::Stream;

use super::{Solution, Solutions, gold};
use crate::pairs::{Pairing, Reason};

/// How pairs are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContrastRule {
    /// How sure the vote must be.
    pub thresholds: Thresholds,
    /// Pairs of one prompt, at most.
    pub pairs_per_prompt: usize,
    /// Decides which samples are drawn.
    pub seed: u64,
    /// How final answers are found.
    pub rules: Rules,
}

/// How many are right, of those that can be told.
#[derive(Default)]
struct Right {
    known: usize,
    right: usize,
}

impl Right {
    fn add(&mut self, answer: &Answer, gold: Option<&Answer>) {
        if let Some(gold) = gold {
            self.known += 1;
            self.right += usize::from(answer == gold);
        }
    }

    fn share(&self) -> Option<f64> {
        (self.known > 0).then(|| self.right as f64 / self.known as f64)
    }
}

/// Makes pairs. One side of each is the weak response: the chosen one where the vote agrees with it, the rejected one where a
/// sure vote does not. The other side is a sample drawn at random; more pairs of a prompt have samples with other texts.
pub fn contrast(
    prompts: &[Prompt],
    weak: &Solutions,
    student: &Solutions,
    rule: &ContrastRule,
) -> (Pairing, ContrastSummary) {
    let mut pairing = Pairing::default();
    let mut summary = ContrastSummary {
        answer_rules: rule.rules.to_string(),
        tau_agree: rule.thresholds.agree,
        tau_disagree: rule.thresholds.disagree,
        pairs_per_prompt: rule.pairs_per_prompt,
        samples: student.samples(),
        weak_without_answer: weak.without_answer,
        samples_without_answer: student.without_answer,
        ..ContrastSummary::default()
    };
    let [
        mut chosen_right,
        mut rejected_right,
        mut weak_right,
        mut vote_right,
    ] = [(); 4].map(|()| Right::default());
    for prompt in prompts {
        let right = gold(prompt, rule.rules);
        let (Some(weak), Some(top)) = (weak.top(prompt), student.top(prompt)) else {
            pairing.dropped.add(Reason::Missing, 1);
            continue;
        };
        let (weak, samples) = (weak.solution, student.to(prompt));
        weak_right.add(&weak.answer, right.as_ref());
        vote_right.add(&top.solution.answer, right.as_ref());
        let answers: Vec<&Answer> = samples.iter().map(|sample| &sample.answer).collect();
        let empty = |answer: &&Answer| !answer.is_some();
        let (candidates, weak_is_chosen) =
            match decide(&&weak.answer, &answers, empty, rule.thresholds) {
                Decision::WeakChosen(against) => (against, true),
                Decision::WeakRejected(for_top) => (for_top, false),
                Decision::NoPair(reason) => {
                    pairing.dropped.add(reason.into(), 1);
                    continue;
                }
            };
        let drawn = draw(weak, samples, candidates, prompt, rule);
        if drawn.is_empty() {
            pairing.dropped.add(Reason::Empty, 1);
        }
        for sample in drawn {
            let (chosen, rejected) = match weak_is_chosen {
                true => (weak, sample),
                false => (sample, weak),
            };
            chosen_right.add(&chosen.answer, right.as_ref());
            rejected_right.add(&rejected.answer, right.as_ref());
            summary.weak_chosen += usize::from(weak_is_chosen);
            summary.weak_rejected += usize::from(!weak_is_chosen);
            pairing.pairs.push(Pair {
                id: pairing.pairs.len() as u64,
                prompt: prompt.id,
                group: prompt.group,
                messages: prompt.messages.clone(),
                chosen: side(chosen),
                rejected: side(rejected),
                rule: "contrast".to_owned(),
                confidence: None,
                gold: None,
            });
        }
    }
    summary.accuracy_chosen = chosen_right.share();
    summary.accuracy_rejected = rejected_right.share();
    summary.accuracy_weak = weak_right.share();
    summary.accuracy_vote = vote_right.share();
    (pairing, summary)
}

/// The samples that are paired with the weak response. Empty texts make no pair.
fn draw<'a>(
    weak: &Solution,
    samples: &'a [Solution],
    mut candidates: Vec<usize>,
    prompt: &Prompt,
    rule: &ContrastRule,
) -> Vec<&'a Solution> {
    let text = |solution: &Solution| solution.response.text.trim().to_owned();
    let mut texts = HashSet::from([String::new()]);
    if text(weak).is_empty() {
        return Vec::new();
    }
    Stream::new("contrast", rule.seed, prompt.id).shuffle(&mut candidates);
    let drawn = candidates.into_iter().map(|place| &samples[place]);
    let new = drawn.filter(|sample| texts.insert(text(sample)));
    new.take(rule.pairs_per_prompt).collect()
}

impl From<NoPair> for Reason {
    fn from(reason: NoPair) -> Self {
        match reason {
            NoPair::LowConfidence => Self::LowConfidence,
            NoPair::EmptyTop => Self::NoTopAnswer,
            NoPair::TooEasy => Self::TooEasy,
            NoPair::Disagree => Self::Disagreement,
        }
    }
}

/// A solution as a side of a pair.
fn side(solution: &Solution) -> artifact::Answer {
    let response = &solution.response;
    artifact::Answer {
        text: response.text.clone(),
        source: response.model.clone(),
        sample: response.sample,
        score: None,
        tokens: (!response.ids.is_empty()).then_some(response.ids.len() as u32),
        finished: response.finished,
    }
}
