//! What makes one answer the better one: what each rule needs, and the pairs it makes of answers.

use serde::Serialize;
use w2s_artifact::{Answer, Prompt};

use super::{Answers, Pairing, Reason};

/// What makes one answer the better one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum PairRule {
    /// Who made it: each answer of --chosen over the answer of --rejected to the same prompt with the same sample number
    Order,
    /// Its score: of all answers to a prompt the best over the worst
    Score,
    /// Nothing, a control: two answers of --chosen to one prompt, or one each of --chosen and --rejected; equal in score if
    /// scores are given, and otherwise both made alike but for their seed
    Tied,
    /// A coin, a control: the pairs of --chosen and --rejected, or of --source, each turned round with probability 1/2
    Shuffled,
    /// What the files of --source say
    File,
}

/// What a rule is given to make pairs of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Answers.
    pub chosen: bool,
    /// Other answers.
    pub rejected: bool,
    /// Scores of the answers.
    pub chosen_scores: bool,
    /// Scores of the other answers.
    pub rejected_scores: bool,
    /// Files with pairs.
    pub source: bool,
}

impl PairRule {
    /// The flags that say what the rule needs, where `given` is not that.
    pub fn lacks(self, given: Given) -> Option<&'static str> {
        let Given {
            chosen,
            rejected,
            chosen_scores,
            rejected_scores,
            source,
        } = given;
        let both = chosen && rejected;
        let (met, flags) = match self {
            Self::Order => (both, "--prompts, --chosen and --rejected"),
            Self::Score => (
                chosen_scores && rejected == rejected_scores,
                "--prompts, --chosen and --chosen-scores, and --rejected-scores with --rejected",
            ),
            Self::Tied => (
                chosen && (!rejected || chosen_scores == rejected_scores),
                "--prompts and --chosen, and with --rejected the scores of both or of neither",
            ),
            Self::Shuffled => (
                source || both,
                "--source, or --prompts, --chosen and --rejected",
            ),
            Self::File => (source, "--source"),
        };
        (!met).then_some(flags)
    }

    /// Whether it can be asked of the rows of files.
    pub fn reads_files(self) -> bool {
        matches!(self, Self::File | Self::Shuffled)
    }

    /// Whether one of its answers is meant to be better.
    pub fn prefers(self) -> bool {
        matches!(self, Self::Order | Self::Score | Self::File)
    }

    /// The pairs it makes of one or two artifacts of answers to `prompts`.
    pub fn pairs(
        self,
        prompts: &[Prompt],
        chosen: &Answers,
        rejected: Option<&Answers>,
    ) -> Pairing {
        let mut pairing = Pairing {
            score: chosen.score.clone(),
            ..Pairing::default()
        };
        for prompt in prompts {
            let others = rejected.map(|answers| answers.to(prompt));
            self.add(&mut pairing, prompt, chosen.to(prompt), others);
        }
        pairing
    }

    fn add(
        self,
        pairing: &mut Pairing,
        prompt: &Prompt,
        answers: &[Answer],
        others: Option<&[Answer]>,
    ) {
        match (self, others) {
            (Self::Score, others) => {
                let all = answers.iter().chain(others.unwrap_or_default());
                match best_and_worst(&all.collect::<Vec<_>>()) {
                    Ok((best, worst)) => pairing.push("score", prompt, best, worst),
                    Err(reason) => pairing.dropped.add(reason, 1),
                }
            }
            (_, None) => match tied(answers) {
                Some((one, other)) => pairing.push("tied", prompt, one, other),
                None => pairing.dropped.add(Reason::Missing, 1),
            },
            (rule, Some(others)) => {
                let name = if rule == Self::Tied { "tied" } else { "order" };
                let mut single = others.len();
                for answer in answers {
                    match others.iter().find(|other| other.sample == answer.sample) {
                        Some(other) => {
                            single -= 1;
                            pairing.push(name, prompt, answer, other);
                        }
                        None => single += 1,
                    }
                }
                let unanswered = usize::from(answers.is_empty() && others.is_empty());
                pairing.dropped.add(Reason::Missing, single + unanswered);
            }
        }
    }
}

/// The best and the worst of all scored answers, the first among equals.
fn best_and_worst<'a>(all: &[&'a Answer]) -> Result<(&'a Answer, &'a Answer), Reason> {
    let scored: Vec<(&Answer, f64)> = all
        .iter()
        .filter_map(|answer| Some((*answer, answer.score?)))
        .collect();
    let (Some(first), 2..) = (scored.first(), scored.len()) else {
        return Err(match all.len() {
            0 | 1 => Reason::Missing,
            _ => Reason::Unscored,
        });
    };
    let (mut best, mut worst) = (first, first);
    for answer in &scored {
        if answer.1 > best.1 {
            best = answer;
        }
        if answer.1 < worst.1 {
            worst = answer;
        }
    }
    if best.1 == worst.1 {
        return Err(Reason::Tied);
    }
    Ok((best.0, worst.0))
}

/// The first two answers that differ and are equal in score where they have scores; the first two where there are no such.
fn tied(answers: &[Answer]) -> Option<(&Answer, &Answer)> {
    let [first, second, ..] = answers else {
        return None;
    };
    let tied = answers.iter().enumerate().find_map(|(index, one)| {
        let other = answers[index + 1..]
            .iter()
            .find(|other| one.text.trim() != other.text.trim() && one.score == other.score)?;
        Some((one, other))
    });
    Some(tied.unwrap_or((first, second)))
}
