//! Which prompts have an answer worth learning from.

use serde::Serialize;
use w2s_answers::{Answer, Rules};
use w2s_artifact::{
    Prompt, Response,
    summary::{Dropped, SelectionAccuracy, SelectionSummary},
};

use super::{Solutions, Top, gold};
use crate::error::DataError;

/// What makes an answer worth learning from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum SelectRule {
    /// The weak answer and the other one are the same
    Agree,
    /// Enough samples of the side that is taken give the same answer
    Confident,
    /// It is right, an oracle: what a perfect selection would keep
    Gold,
}

/// Whose answers are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Take {
    /// Those of --weak
    #[default]
    Weak,
    /// Those of --other
    Other,
    /// Both, the weak one first: two rows a prompt
    Both,
}

/// How to select.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Selection {
    /// What makes an answer worth learning from.
    pub rule: SelectRule,
    /// Whose answers are taken.
    pub take: Take,
    /// Least confidence of a vote, for [`SelectRule::Confident`].
    pub threshold: f64,
    /// How final answers are found.
    pub rules: Rules,
}

/// What was selected.
#[derive(Clone, Debug, PartialEq)]
pub struct Selected {
    /// The responses, in the order of the prompts. The samples of a prompt are numbered from 0.
    pub responses: Vec<Response>,
    /// The numbers.
    pub summary: SelectionSummary,
}

/// Counts towards a [`SelectionAccuracy`].
#[derive(Default)]
struct Count {
    prompts: usize,
    right: usize,
    kept: usize,
    kept_right: usize,
}

impl Count {
    fn add(&mut self, right: bool, kept: bool) {
        self.prompts += 1;
        self.right += usize::from(right);
        self.kept += usize::from(kept);
        self.kept_right += usize::from(right && kept);
    }

    fn accuracy(&self) -> Option<SelectionAccuracy> {
        (self.prompts > 0)
            .then(|| SelectionAccuracy::new(self.prompts, self.right, self.kept, self.kept_right))
    }
}

impl Selection {
    /// Selects among the answers of one or two sources. A source with several samples of a prompt is represented by the first
    /// sample that gives the most frequent answer.
    ///
    /// # Errors
    ///
    /// Nothing is left.
    pub fn select(
        &self,
        prompts: &[Prompt],
        weak: &Solutions,
        other: Option<&Solutions>,
    ) -> Result<Selected, DataError> {
        let (mut responses, mut dropped) = (Vec::new(), Dropped::new());
        let mut kept = 0;
        let mut counts = [Count::default(), Count::default()];
        for prompt in prompts {
            let right = gold(prompt, self.rules);
            let sides = [weak.top(prompt), other.and_then(|other| other.top(prompt))];
            let chosen = self.choose(sides, right.as_ref());
            if let Some(right) = right {
                for (count, side) in counts.iter_mut().zip(sides) {
                    let is_right = side.is_some_and(|top| top.is(&right));
                    count.add(is_right, chosen.is_ok());
                }
            }
            match chosen {
                Err(reason) => *dropped.entry(reason.to_owned()).or_default() += 1,
                Ok(tops) => {
                    kept += 1;
                    responses.extend((0..).zip(tops).map(|(sample, top)| Response {
                        sample,
                        ..top.solution.response.clone()
                    }));
                }
            }
        }
        if responses.is_empty() {
            return Err(DataError::NothingSelected {
                prompts: prompts.len(),
                dropped: in_words(&dropped),
            });
        }
        let [weak_count, other_count] = counts;
        let summary = SelectionSummary {
            rule: name(&self.rule),
            answer_rules: self.rules.to_string(),
            take: name(&self.take),
            threshold: (self.rule == SelectRule::Confident).then_some(self.threshold),
            oracle: self.rule == SelectRule::Gold,
            prompts: prompts.len(),
            kept,
            dropped,
            without_answer: weak.without_answer + other.map_or(0, |other| other.without_answer),
            weak: weak_count.accuracy(),
            other: other.and_then(|_| other_count.accuracy()),
        };
        Ok(Selected { responses, summary })
    }

    /// The answers to take of a prompt, or why none is.
    fn choose<'a>(
        &self,
        sides: [Option<Top<'a>>; 2],
        right: Option<&Answer>,
    ) -> Result<Vec<Top<'a>>, &'static str> {
        let [weak, other] = sides;
        let taken = || -> Option<Vec<Top>> {
            match self.take {
                Take::Weak => Some(vec![weak?]),
                Take::Other => Some(vec![other?]),
                Take::Both => Some(vec![weak?, other?]),
            }
        };
        match self.rule {
            SelectRule::Agree => {
                let (Some(one), Some(two)) = (weak, other) else {
                    return Err("unanswered");
                };
                let (one, two) = (&one.solution.answer, &two.solution.answer);
                if !(one.is_some() && two.is_some()) {
                    Err("no_answer")
                } else if one != two {
                    Err("disagree")
                } else {
                    taken().ok_or("unanswered")
                }
            }
            SelectRule::Confident => {
                let taken = taken().ok_or("unanswered")?;
                for top in &taken {
                    let sure = top.vote.confidence() >= self.threshold;
                    match (top.solution.answer.is_some(), sure, top.vote.is_majority()) {
                        (false, ..) => return Err("no_answer"),
                        (_, false, false) => return Err("no_majority"),
                        (_, false, true) => return Err("low_confidence"),
                        _ => {}
                    }
                }
                Ok(taken)
            }
            SelectRule::Gold => {
                let right = right.ok_or("no_gold")?;
                let taken = match self.take {
                    Take::Weak => [weak, None],
                    Take::Other => [None, other],
                    Take::Both => sides,
                };
                let answered = taken.iter().any(Option::is_some);
                let right = taken.into_iter().flatten().filter(|top| top.is(right));
                match right.collect::<Vec<_>>() {
                    _ if !answered => Err("unanswered"),
                    none if none.is_empty() => Err("wrong"),
                    right => Ok(right),
                }
            }
        }
    }
}

/// The word for a value as it is typed and stored.
fn name(value: &impl Serialize) -> String {
    let word = serde_json::to_value(value).ok();
    word.and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
}

fn in_words(dropped: &Dropped) -> String {
    let words = dropped.iter().map(|(reason, count)| {
        let reason = match &reason[..] {
            "unanswered" => "without a response",
            "no_answer" => "without a final answer",
            "disagree" => "on which both disagree",
            "no_majority" => "without a majority",
            "low_confidence" => "with too small a majority",
            "no_gold" => "whose right answer is not known",
            _ => "answered wrongly",
        };
        format!("{count} {reason}")
    });
    words.collect::<Vec<_>>().join(", ")
}
