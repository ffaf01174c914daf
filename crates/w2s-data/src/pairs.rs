//! Preference pairs: which of two answers should be preferred and by what rule, which pairs are not worth learning from,
//! and the controls that show whether the preference matters at all.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use serde::Serialize;
use serde_json::{Value, json};
use w2s_artifact::{Answer, Message, Pair, Prompt, Response, Score};
use w2s_worlds::Stream;

use crate::{
    error::DataError,
    preference_file::{Compared, RowFormat},
    prompts::is_empty,
    source::Object,
};

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

/// Which pairs are left out, besides those with an empty side, with identical sides, and those that were there before.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct PairFilters {
    /// Leave out pairs whose answers differ in length by more: in tokens if all answers that are not empty were made by
    /// models, otherwise in characters
    #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
    pub max_length_difference: Option<usize>,
    /// Leave out pairs whose scores differ by less, before --reversed turns them round
    #[cfg_attr(feature = "cli", arg(long, value_name = "X"))]
    pub min_delta: Option<f64>,
    /// Leave out pairs whose better answer is worse by its score, or wrong where the other one is right by the prompt's
    /// answer
    #[cfg_attr(feature = "cli", arg(long))]
    pub drop_inverted: bool,
    /// Leave out pairs with an answer that was cut before its end
    #[cfg_attr(feature = "cli", arg(long))]
    pub drop_unfinished: bool,
}

/// Why there is no pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// No answer to the prompt, or only one.
    Missing,
    /// The two answers of a file follow different prompts.
    PromptsDiffer,
    /// The prompt or an answer is empty.
    Empty,
    /// Both answers are the same but for white space around them.
    Identical,
    /// Prompt and both answers were there before.
    Duplicate,
    /// An answer was cut before its end.
    Unfinished,
    /// A score is needed and an answer has none.
    Unscored,
    /// Neither answer is better.
    Tied,
    /// One answer is better, and the rule is that none is.
    Unequal,
    /// The scores are too close.
    SmallDelta,
    /// The better answer is verifiably worse.
    Inverted,
    /// The lengths are too far apart.
    LengthDifference,
    /// There are enough pairs.
    BeyondLimit,
}

impl Reason {
    /// Every reason, in the order in which pairs are left out.
    pub const ALL: [Self; 13] = [
        Self::Missing,
        Self::PromptsDiffer,
        Self::Empty,
        Self::Identical,
        Self::Duplicate,
        Self::Unfinished,
        Self::Unscored,
        Self::Tied,
        Self::Unequal,
        Self::SmallDelta,
        Self::Inverted,
        Self::LengthDifference,
        Self::BeyondLimit,
    ];

    /// The reason in words.
    fn words(self) -> &'static str {
        match self {
            Self::Missing => "with fewer than two answers",
            Self::PromptsDiffer => "with different prompts",
            Self::Empty => "with an empty side",
            Self::Identical => "with identical sides",
            Self::Duplicate => "seen before",
            Self::Unfinished => "unfinished",
            Self::Unscored => "without a score",
            Self::Tied => "tied",
            Self::Unequal => "of unequal score",
            Self::SmallDelta => "with too small a delta",
            Self::Inverted => "inverted",
            Self::LengthDifference => "too far apart in length",
            Self::BeyondLimit => "beyond the limit",
        }
    }
}

/// How many pairs were left out for which reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct PairsDropped(BTreeMap<Reason, usize>);

impl Default for PairsDropped {
    fn default() -> Self {
        Self(Reason::ALL.into_iter().map(|reason| (reason, 0)).collect())
    }
}

impl PairsDropped {
    /// Pairs left out for this reason.
    pub fn count(&self, reason: Reason) -> usize {
        self.0.get(&reason).copied().unwrap_or(0)
    }

    /// Pairs left out for any reason.
    pub fn total(&self) -> usize {
        self.0.values().sum()
    }

    fn add(&mut self, reason: Reason, pairs: usize) {
        *self.0.entry(reason).or_default() += pairs;
    }
}

impl fmt::Display for PairsDropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut counts = self.0.iter().filter(|(_, count)| **count > 0).peekable();
        if counts.peek().is_none() {
            return f.write_str("none was there");
        }
        while let Some((reason, count)) = counts.next() {
            let end = if counts.peek().is_some() { ", " } else { "" };
            write!(f, "{count} {}{end}", reason.words())?;
        }
        Ok(())
    }
}

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

    fn to(&self, prompt: &Prompt) -> &[Answer] {
        self.by_prompt.get(&prompt.id).map_or(&[], Vec::as_slice)
    }
}

/// How the lengths of answers are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LengthUnit {
    /// Tokens of the models that made the answers.
    Tokens,
    /// Characters of the text.
    Characters,
}

/// Pairs on their way from answers to an artifact. The number of a pair is given when it is made and stays with it, so that
/// the arms of an experiment agree on what a number means.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pairing {
    /// The pairs that are left.
    pub pairs: Vec<Pair>,
    /// Those that are not.
    pub dropped: PairsDropped,
    /// The metric of the scores, if it has a name.
    pub score: Option<String>,
}

impl Pairing {
    /// Each answer of `chosen` over the answer of `rejected` to the same prompt with the same sample number, by whatever
    /// `rule` makes the first the better one.
    pub fn by_order(rule: &str, prompts: &[Prompt], chosen: &Answers, rejected: &Answers) -> Self {
        let mut pairing = Self::default();
        for prompt in prompts {
            let (answers, others) = (chosen.to(prompt), rejected.to(prompt));
            let mut single = others.len();
            for answer in answers {
                match others.iter().find(|other| other.sample == answer.sample) {
                    Some(other) => {
                        single -= 1;
                        pairing.push(rule, prompt, answer, other);
                    }
                    None => single += 1,
                }
            }
            let unanswered = usize::from(answers.is_empty() && others.is_empty());
            pairing.dropped.add(Reason::Missing, single + unanswered);
        }
        pairing
    }

    /// The best over the worst of all scored answers to a prompt, the first of them among equals. Answers of one score
    /// only make no pair.
    pub fn by_score(prompts: &[Prompt], sides: &[Answers]) -> Self {
        let mut pairing = Self::default();
        for prompt in prompts {
            let all: Vec<&Answer> = sides.iter().flat_map(|side| side.to(prompt)).collect();
            let scored: Vec<(&Answer, f64)> = all
                .iter()
                .filter_map(|answer| Some((*answer, answer.score?)))
                .collect();
            let (Some(first), 2..) = (scored.first(), scored.len()) else {
                let reason = match all.len() {
                    0 | 1 => Reason::Missing,
                    _ => Reason::Unscored,
                };
                pairing.dropped.add(reason, 1);
                continue;
            };
            let best = scored
                .iter()
                .fold(first, |a, b| if b.1 > a.1 { b } else { a });
            let worst = scored
                .iter()
                .fold(first, |a, b| if b.1 < a.1 { b } else { a });
            if best.1 == worst.1 {
                pairing.dropped.add(Reason::Tied, 1);
            } else {
                pairing.push("score", prompt, best.0, worst.0);
            }
        }
        pairing
    }

    /// Two answers of one artifact to each prompt: the first two that differ, and that are equal in score where answers have
    /// scores; the first two where there are no such.
    pub fn tied_samples(prompts: &[Prompt], answers: &Answers) -> Self {
        let mut pairing = Self::default();
        for prompt in prompts {
            let samples = answers.to(prompt);
            let [first, second, ..] = samples else {
                pairing.dropped.add(Reason::Missing, 1);
                continue;
            };
            let tied = samples.iter().enumerate().find_map(|(index, one)| {
                let other = samples[index + 1..].iter().find(|other| {
                    one.text.trim() != other.text.trim() && one.score == other.score
                })?;
                Some((one, other))
            });
            let (one, other) = tied.unwrap_or((first, second));
            pairing.push("tied", prompt, one, other);
        }
        pairing
    }

    /// What the rows of preference files say. Rows with the same conversation share the number of their prompt, which is
    /// that of the first such row, as [`prompts`](crate::prompts()) numbers them.
    pub fn from_rows(rows: &[Object], format: &RowFormat) -> Result<Self, DataError> {
        let mut pairing = Self::default();
        let mut known: HashMap<Vec<Message>, u64> = HashMap::new();
        for (id, row) in (0..).zip(rows) {
            let comparison = match format.comparison(row)? {
                Compared::Pair(comparison) => comparison,
                Compared::PromptsDiffer => {
                    pairing.dropped.add(Reason::PromptsDiffer, 1);
                    continue;
                }
                Compared::Tied => {
                    pairing.dropped.add(Reason::Tied, 1);
                    continue;
                }
            };
            let file = row.place.file.file_name().unwrap_or_default();
            let answer = |text: String, score| Answer {
                text,
                source: file.to_string_lossy().into_owned(),
                sample: 0,
                score,
                tokens: None,
                finished: true,
            };
            let [chosen_score, rejected_score] = comparison.scores;
            let prompt = *known.entry(comparison.messages.clone()).or_insert(id);
            pairing.pairs.push(Pair {
                id,
                prompt,
                messages: comparison.messages,
                chosen: answer(comparison.chosen, chosen_score),
                rejected: answer(comparison.rejected, rejected_score),
                rule: "file".to_owned(),
            });
        }
        Ok(pairing)
    }

    fn push(&mut self, rule: &str, prompt: &Prompt, chosen: &Answer, rejected: &Answer) {
        self.pairs.push(Pair {
            id: self.pairs.len() as u64,
            prompt: prompt.id,
            messages: prompt.messages.clone(),
            chosen: chosen.clone(),
            rejected: rejected.clone(),
            rule: rule.to_owned(),
        });
    }

    /// Leaves out what the filters and the rule do not want, and says how lengths were counted. A pair is counted for the
    /// first reason against it, in the order of [`Reason`]. `prompts` are asked for right answers.
    pub fn filter(
        &mut self,
        rule: PairRule,
        filters: &PairFilters,
        prompts: &[Prompt],
    ) -> Result<LengthUnit, DataError> {
        let right: HashMap<u64, &str> = prompts
            .iter()
            .filter_map(|prompt| Some((prompt.id, prompt.answer.as_deref()?)))
            .collect();
        let verifiable = |pair: &Pair| delta(pair).is_some() || right.contains_key(&pair.prompt);
        if filters.drop_inverted && !self.pairs.is_empty() && !self.pairs.iter().any(verifiable) {
            return Err(DataError::Parameter(
                "--drop-inverted can tell nothing: no pair has scores, or a prompt with a known answer".into(),
            ));
        }
        let unit = self.length_unit();
        let mut known = HashSet::new();
        let mut reason_against = |pair: &Pair| {
            let (chosen, rejected) = (&pair.chosen, &pair.rejected);
            let delta = delta(pair);
            let scores_matter = filters.min_delta.is_some()
                || (rule == PairRule::Tied && (chosen.score.is_some() || rejected.score.is_some()));
            if has_empty_side(pair) {
                Some(Reason::Empty)
            } else if chosen.text.trim() == rejected.text.trim() {
                Some(Reason::Identical)
            } else if !known.insert((
                pair.messages.clone(),
                chosen.text.clone(),
                rejected.text.clone(),
            )) {
                Some(Reason::Duplicate)
            } else if filters.drop_unfinished && !(chosen.finished && rejected.finished) {
                Some(Reason::Unfinished)
            } else if scores_matter && delta.is_none() {
                Some(Reason::Unscored)
            } else if rule == PairRule::Tied && delta.is_some_and(|delta| delta != 0.0) {
                Some(Reason::Unequal)
            } else if filters.min_delta.is_some_and(|least| delta < Some(least)) {
                Some(Reason::SmallDelta)
            } else if filters.drop_inverted && inverted(pair, right.get(&pair.prompt).copied()) {
                Some(Reason::Inverted)
            } else if filters
                .max_length_difference
                .is_some_and(|most| length(chosen, unit).abs_diff(length(rejected, unit)) > most)
            {
                Some(Reason::LengthDifference)
            } else {
                None
            }
        };
        let dropped = &mut self.dropped;
        self.pairs.retain(|pair| match reason_against(pair) {
            Some(reason) => {
                dropped.add(reason, 1);
                false
            }
            None => true,
        });
        if self.pairs.is_empty() {
            return Err(DataError::NoPairs {
                dropped: self.dropped.to_string(),
            });
        }
        Ok(unit)
    }

    /// Turns every pair round: the worse answer is to be preferred. Says how many were turned.
    pub fn reverse(&mut self) -> usize {
        for pair in &mut self.pairs {
            swap(pair);
            pair.rule = "reversed".to_owned();
        }
        self.pairs.len()
    }

    /// Turns each pair round with probability 1/2. The coin belongs to the number of the pair, so that a filter does not
    /// change how the others fall. Says how many were turned.
    pub fn toss(&mut self, seed: u64) -> usize {
        let mut turned = 0;
        for pair in &mut self.pairs {
            pair.rule = "shuffled".to_owned();
            if Stream::new("pair coin", seed, pair.id).chance(0.5) {
                swap(pair);
                turned += 1;
            }
        }
        turned
    }

    /// Keeps the first `limit` pairs.
    pub fn limit(&mut self, limit: usize) {
        let beyond = self.pairs.len().saturating_sub(limit);
        self.pairs.truncate(limit);
        self.dropped.add(Reason::BeyondLimit, beyond);
    }

    /// Tokens if every answer was made by a model, so that one artifact never mixes units. A model that ended its answer at
    /// once has no token to show for it, so pairs with an empty side have no say.
    fn length_unit(&self) -> LengthUnit {
        let pairs = self.pairs.iter().filter(|pair| !has_empty_side(pair));
        let mut sides = pairs.flat_map(|pair| [&pair.chosen, &pair.rejected]);
        if sides.all(|answer| answer.tokens.is_some()) {
            LengthUnit::Tokens
        } else {
            LengthUnit::Characters
        }
    }

    /// The numbers of the manifest: counts, means of scores and lengths, and how often the longer answer is the chosen one,
    /// which is what a student could learn instead of quality. Lengths are counted as [`filter`](Self::filter) did. Means of
    /// scores are over the pairs with two scores, and null where there is none.
    pub fn summary(&self, unit: LengthUnit) -> Value {
        let rows = self.pairs.len();
        let scored: Vec<&Pair> = self
            .pairs
            .iter()
            .filter(|pair| delta(pair).is_some())
            .collect();
        let lengths = |side: fn(&Pair) -> &Answer| {
            mean(
                self.pairs
                    .iter()
                    .map(|pair| length(side(pair), unit) as f64),
            )
        };
        let longer = |pair: &&Pair| length(&pair.chosen, unit) > length(&pair.rejected, unit);
        let prompts: HashSet<u64> = self.pairs.iter().map(|pair| pair.prompt).collect();
        json!({
            "rows": rows,
            "rule": self.pairs.first().map(|pair| &pair.rule),
            "prompts": prompts.len(),
            "dropped": self.dropped,
            "score": self.score,
            "scored": scored.len(),
            "mean_delta": mean(scored.iter().filter_map(|pair| delta(pair))),
            "mean_chosen_score": mean(scored.iter().filter_map(|pair| pair.chosen.score)),
            "mean_rejected_score": mean(scored.iter().filter_map(|pair| pair.rejected.score)),
            "length_unit": unit,
            "mean_chosen_length": lengths(|pair| &pair.chosen),
            "mean_rejected_length": lengths(|pair| &pair.rejected),
            "longer_is_chosen": self.pairs.iter().filter(longer).count() as f64 / rows as f64,
        })
    }
}

/// Whether the prompt or an answer says nothing.
fn has_empty_side(pair: &Pair) -> bool {
    let answers = [&pair.chosen, &pair.rejected];
    is_empty(&pair.messages) || answers.iter().any(|answer| answer.text.trim().is_empty())
}

/// By how much the chosen answer scores above the other one, where both have scores.
fn delta(pair: &Pair) -> Option<f64> {
    Some(pair.chosen.score? - pair.rejected.score?)
}

/// Whether the rejected answer is verifiably better: by the scores, or else by the right answer, which an answer meets if
/// it is the same but for case and white space around it.
fn inverted(pair: &Pair, right: Option<&str>) -> bool {
    match (delta(pair), right) {
        (Some(delta), _) => delta < 0.0,
        (None, Some(right)) => {
            let is_right =
                |answer: &Answer| answer.text.trim().to_lowercase() == right.trim().to_lowercase();
            is_right(&pair.rejected) && !is_right(&pair.chosen)
        }
        (None, None) => false,
    }
}

fn length(answer: &Answer, unit: LengthUnit) -> usize {
    match (unit, answer.tokens) {
        (LengthUnit::Tokens, Some(tokens)) => tokens as usize,
        _ => answer.text.chars().count(),
    }
}

fn swap(pair: &mut Pair) {
    std::mem::swap(&mut pair.chosen, &mut pair.rejected);
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0.0);
    for value in values {
        sum += value;
        count += 1.0;
    }
    (count > 0.0).then(|| sum / count)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;
    use crate::error::Place;

    fn prompt(id: u64, answer: Option<&str>) -> Prompt {
        Prompt {
            id,
            messages: vec![Message {
                role: "user".into(),
                content: format!("question {id}"),
            }],
            answer: answer.map(Into::into),
            choices: Vec::new(),
            gold: None,
        }
    }

    /// Answers as (prompt, sample, text, tokens); none for an answer that was cut.
    fn responses(rows: &[(u64, u32, &str, usize)]) -> Vec<Response> {
        rows.iter()
            .map(|&(prompt, sample, text, tokens)| Response {
                prompt,
                sample,
                text: text.into(),
                ids: vec![5; tokens],
                log_probs: Vec::new(),
                finished: !text.ends_with('-'),
                model: "checkpoint/aa".into(),
            })
            .collect()
    }

    fn scores(rows: &[(u64, u32, f64)]) -> ScoreColumn {
        let scores: Vec<_> = rows
            .iter()
            .map(|&(id, sample, value)| Score {
                id,
                sample,
                values: BTreeMap::from([("exact".to_owned(), value)]),
            })
            .collect();
        ScoreColumn::new("scores/cc", &scores, None).unwrap()
    }

    fn answers(rows: &[(u64, u32, &str, usize)], scores: Option<&ScoreColumn>) -> Answers {
        Answers::new("responses/aa", responses(rows), scores).unwrap()
    }

    /// Number, chosen and rejected answer of each pair.
    fn sides(pairing: &Pairing) -> Vec<(u64, &str, &str)> {
        let side = |pair| {
            let Pair {
                id,
                chosen,
                rejected,
                ..
            }: &Pair = pair;
            (*id, chosen.text.as_str(), rejected.text.as_str())
        };
        pairing.pairs.iter().map(side).collect()
    }

    fn dropped(pairing: &Pairing) -> Vec<(Reason, usize)> {
        let counts = pairing.dropped.0.iter();
        counts
            .filter(|(_, count)| **count > 0)
            .map(|(reason, count)| (*reason, *count))
            .collect()
    }

    #[test]
    fn order_pairs_samples_of_one_number() {
        let prompts = [prompt(7, None), prompt(3, None), prompt(4, None)];
        let chosen = answers(&[(3, 1, "b1", 2), (3, 0, "b0", 2), (7, 0, "a0", 1)], None);
        let rejected = answers(&[(3, 0, "y0", 1), (3, 2, "y2", 1), (7, 0, "x0", 1)], None);
        let pairing = Pairing::by_order("order", &prompts, &chosen, &rejected);
        assert_eq!(sides(&pairing), [(0, "a0", "x0"), (1, "b0", "y0")]);
        // Sample 1 of the one side and sample 2 of the other are alone, and nobody answered prompt 4.
        assert_eq!(dropped(&pairing), [(Reason::Missing, 3)]);
        let pair = &pairing.pairs[1];
        assert_eq!((pair.prompt, pair.rule.as_str()), (3, "order"));
        assert_eq!(pair.messages[0].content, "question 3");
        assert_eq!((pair.chosen.tokens, pair.chosen.score), (Some(2), None));
        assert_eq!(pair.chosen.source, "checkpoint/aa");
    }

    #[test]
    fn score_pairs_the_best_with_the_worst() {
        let prompts = [
            prompt(0, None),
            prompt(1, None),
            prompt(2, None),
            prompt(3, None),
        ];
        let one = answers(
            &[
                (0, 0, "a", 1),
                (0, 1, "b", 1),
                (0, 2, "c", 1),
                (1, 0, "d", 1),
                (2, 0, "e", 1),
            ],
            Some(&scores(&[
                (0, 0, 0.5),
                (0, 1, 0.2),
                (0, 2, 0.2),
                (1, 0, 1.0),
                (2, 0, 1.0),
            ])),
        );
        let alone = Pairing::by_score(&prompts, std::slice::from_ref(&one));
        assert_eq!(sides(&alone), [(0, "a", "b")]);
        // One answer to the prompts 1 and 2, none to prompt 3.
        assert_eq!(dropped(&alone), [(Reason::Missing, 3)]);
        let other = answers(
            &[(0, 0, "x", 1), (1, 0, "y", 1), (2, 0, "z", 1)],
            Some(&scores(&[(0, 0, 0.9), (1, 0, 1.0)])),
        );
        let both = Pairing::by_score(&prompts, &[one, other]);
        assert_eq!(sides(&both), [(0, "x", "b")]);
        assert_eq!(
            dropped(&both),
            [
                (Reason::Missing, 1),
                (Reason::Unscored, 1),
                (Reason::Tied, 1)
            ]
        );
        let pair = &both.pairs[0];
        assert_eq!(
            (pair.chosen.score, pair.rejected.score),
            (Some(0.9), Some(0.2))
        );
        assert_eq!(pair.rule, "score");
    }

    #[test]
    fn tied_pairs_differ_in_text_and_not_in_score() {
        let prompts: Vec<_> = (0..4).map(|id| prompt(id, None)).collect();
        let rows = [
            (0, 0, "a", 1),
            (0, 1, "a ", 1),
            (0, 2, "b", 1),
            (0, 3, "c", 1),
            (1, 0, "d", 1),
            (2, 0, "e", 1),
            (2, 1, "f", 1),
        ];
        let unscored = Pairing::tied_samples(&prompts, &answers(&rows, None));
        assert_eq!(sides(&unscored), [(0, "a", "b"), (1, "e", "f")]);
        // One answer to prompt 1, none to prompt 3.
        assert_eq!(dropped(&unscored), [(Reason::Missing, 2)]);
        let values = [
            (0, 0, 1.0),
            (0, 1, 1.0),
            (0, 2, 0.0),
            (0, 3, 1.0),
            (2, 0, 1.0),
            (2, 1, 0.0),
        ];
        let mut scored = Pairing::tied_samples(&prompts, &answers(&rows, Some(&scores(&values))));
        assert_eq!(sides(&scored), [(0, "a", "c"), (1, "e", "f")]);
        scored
            .filter(PairRule::Tied, &PairFilters::default(), &prompts)
            .unwrap();
        assert_eq!(sides(&scored), [(0, "a", "c")]);
        assert_eq!(
            dropped(&scored),
            [(Reason::Missing, 2), (Reason::Unequal, 1)]
        );
    }

    #[test]
    fn rows_of_files_share_the_number_of_their_prompt() {
        let row = |(number, values): (u64, Value)| Object {
            place: Place {
                file: Path::new("a/rows.jsonl").into(),
                number,
                is_row: false,
            },
            values: values.as_object().unwrap().clone(),
        };
        let values = [
            json!({"prompt": "p", "chosen": "a", "rejected": "b", "score_chosen": 2, "score_rejected": 1.5}),
            json!({"prompt": "p", "response1": "a", "response2": "b", "label": 0}),
            json!({"chosen": "\n\nHuman: x\n\nAssistant: a", "rejected": "\n\nHuman: y\n\nAssistant: b"}),
            json!({"prompt": "q", "chosen": "c", "rejected": "d"}),
            json!({"prompt": "p", "chosen": "e", "rejected": "f"}),
        ];
        let rows: Vec<_> = (1..).zip(values).map(row).collect();
        let pairing = Pairing::from_rows(&rows, &RowFormat::default()).unwrap();
        let numbers: Vec<_> = pairing
            .pairs
            .iter()
            .map(|pair| (pair.id, pair.prompt))
            .collect();
        assert_eq!(numbers, [(0, 0), (3, 3), (4, 0)]);
        assert_eq!(
            dropped(&pairing),
            [(Reason::PromptsDiffer, 1), (Reason::Tied, 1)]
        );
        let first = &pairing.pairs[0];
        assert_eq!((delta(first), first.rule.as_str()), (Some(0.5), "file"));
        assert_eq!(
            (first.chosen.source.as_str(), first.chosen.finished),
            ("rows.jsonl", true)
        );
    }

    /// Pairs of two texts with their scores, prompt by prompt.
    fn made(rows: &[(&str, &str, Option<[f64; 2]>)]) -> Pairing {
        let mut pairing = Pairing::default();
        for (id, (chosen, rejected, scores)) in (0..).zip(rows) {
            let answer = |text: &str, side: usize| Answer {
                text: text.into(),
                source: "world".into(),
                sample: 0,
                score: scores.map(|scores| scores[side]),
                tokens: None,
                finished: !text.ends_with('-'),
            };
            pairing.push(
                "order",
                &prompt(id, None),
                &answer(chosen, 0),
                &answer(rejected, 1),
            );
        }
        pairing
    }

    fn filtered(
        rows: &[(&str, &str, Option<[f64; 2]>)],
        filters: PairFilters,
        prompts: &[Prompt],
    ) -> (Vec<u64>, Vec<(Reason, usize)>) {
        let mut pairing = made(rows);
        pairing.filter(PairRule::Order, &filters, prompts).unwrap();
        let kept = pairing.pairs.iter().map(|pair| pair.id).collect();
        (kept, dropped(&pairing))
    }

    #[test]
    fn what_teaches_nothing_is_always_left_out() {
        let mut pairing = made(&[
            ("a", "b", None),
            (" \n", "b", None),
            ("a", "", None),
            ("a", " a\n", None),
            ("a", "b-", None),
        ]);
        pairing.pairs.push(Pair {
            id: 9,
            ..pairing.pairs[0].clone()
        });
        let mut silent = pairing.pairs[0].clone();
        silent.messages[0].content = " ".into();
        pairing.pairs.push(silent);
        pairing
            .filter(PairRule::Order, &PairFilters::default(), &[])
            .unwrap();
        assert_eq!(sides(&pairing), [(0, "a", "b"), (4, "a", "b-")]);
        assert_eq!(
            dropped(&pairing),
            [
                (Reason::Empty, 3),
                (Reason::Identical, 1),
                (Reason::Duplicate, 1)
            ]
        );
    }

    #[test]
    fn each_filter_leaves_out_what_it_says() {
        let off = PairFilters::default;
        assert_eq!(
            filtered(
                &[("a", "b", None), ("a-", "b", None), ("a", "b-", None)],
                PairFilters {
                    drop_unfinished: true,
                    ..off()
                },
                &[]
            ),
            (vec![0], vec![(Reason::Unfinished, 2)])
        );
        // Four bytes, two characters.
        assert_eq!(
            filtered(
                &[("éé", "b", None), ("abc", "b", None), ("a", "bcd", None)],
                PairFilters {
                    max_length_difference: Some(1),
                    ..off()
                },
                &[]
            ),
            (vec![0], vec![(Reason::LengthDifference, 2)])
        );
        assert_eq!(
            filtered(
                &[
                    ("a", "b", Some([1.0, 0.5])),
                    ("a", "b", Some([1.0, 0.75])),
                    ("a", "b", Some([0.0, 1.0])),
                    ("a", "b", None),
                ],
                PairFilters {
                    min_delta: Some(0.5),
                    ..off()
                },
                &[]
            ),
            (
                vec![0],
                vec![(Reason::Unscored, 1), (Reason::SmallDelta, 2)]
            )
        );
    }

    #[test]
    fn inverted_is_told_by_the_scores_or_else_by_the_right_answer() {
        let filters = PairFilters {
            drop_inverted: true,
            ..PairFilters::default()
        };
        let prompts: Vec<_> = (0..5).map(|id| prompt(id, Some("Yes"))).collect();
        let rows = [
            ("no", "yes ", None),
            ("yes", "no", None),
            ("no", "never", None),
            // The scores know better.
            ("no", "yes", Some([0.5, 0.5])),
            ("yes", "no", Some([0.0, 0.5])),
        ];
        assert_eq!(
            filtered(&rows, filters.clone(), &prompts),
            (vec![1, 2, 3], vec![(Reason::Inverted, 2)])
        );
        let error = made(&rows[..1])
            .filter(PairRule::Order, &filters, &[])
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "--drop-inverted can tell nothing: no pair has scores, or a prompt with a known answer"
        );
    }

    #[test]
    fn lengths_are_tokens_only_if_all_are_known() {
        let prompts = [prompt(0, None), prompt(1, None)];
        let chosen = answers(&[(0, 0, "abcdef", 2), (1, 0, "a", 3)], None);
        let rejected = |tokens| answers(&[(0, 0, "b", 1), (1, 0, "bc", tokens)], None);
        let summary = |tokens| {
            let pairing = Pairing::by_order("order", &prompts, &chosen, &rejected(tokens));
            pairing.summary(pairing.length_unit())
        };
        let tokens = summary(1);
        assert_eq!(tokens["length_unit"], "tokens");
        assert_eq!(
            (
                &tokens["mean_chosen_length"],
                &tokens["mean_rejected_length"]
            ),
            (&2.5.into(), &1.0.into())
        );
        assert_eq!(tokens["longer_is_chosen"], 1.0);
        let characters = summary(0);
        assert_eq!(characters["length_unit"], "characters");
        assert_eq!(
            (
                &characters["mean_chosen_length"],
                &characters["mean_rejected_length"]
            ),
            (&3.5.into(), &1.5.into())
        );
        assert_eq!(characters["longer_is_chosen"], 0.5);
    }

    #[test]
    fn an_empty_answer_does_not_change_the_unit() {
        let prompts = [prompt(0, None), prompt(1, None), prompt(2, None)];
        let filters = PairFilters {
            max_length_difference: Some(2),
            ..PairFilters::default()
        };
        // Six characters apart and one token; the model said nothing to prompt 1.
        let chosen = [(0, 0, "abcdefg", 2), (1, 0, "", 0), (2, 0, "h", 4)];
        let rejected = [(0, 0, "b", 1), (1, 0, "bc", 2), (2, 0, "i", 1)];
        let mut pairing = Pairing::by_order(
            "order",
            &prompts,
            &answers(&chosen, None),
            &answers(&rejected, None),
        );
        let unit = pairing.filter(PairRule::Order, &filters, &prompts).unwrap();
        assert_eq!(sides(&pairing), [(0, "abcdefg", "b")]);
        assert_eq!(
            dropped(&pairing),
            [(Reason::Empty, 1), (Reason::LengthDifference, 1)]
        );
        assert_eq!(unit, LengthUnit::Tokens);
    }

    #[test]
    fn a_summary_has_the_unit_of_the_filter() {
        let prompts = [prompt(0, None), prompt(1, None)];
        let filters = PairFilters {
            max_length_difference: Some(2),
            ..PairFilters::default()
        };
        // No model wrote `bcde`. Its pair is left out, and what is left was counted in characters all the same.
        let chosen = answers(&[(0, 0, "abc", 9), (1, 0, "a", 1)], None);
        let rejected = answers(&[(0, 0, "d", 1), (1, 0, "bcde", 0)], None);
        let mut pairing = Pairing::by_order("order", &prompts, &chosen, &rejected);
        let unit = pairing.filter(PairRule::Order, &filters, &prompts).unwrap();
        assert_eq!(sides(&pairing), [(0, "abc", "d")]);
        let summary = pairing.summary(unit);
        assert_eq!(
            (&summary["length_unit"], &summary["mean_chosen_length"]),
            (&"characters".into(), &3.0.into())
        );
    }

    #[test]
    fn a_summary_has_means_of_what_is_scored() {
        let pairing = made(&[
            ("a", "b", Some([1.0, 0.5])),
            ("c", "d", Some([0.0, 0.25])),
            ("e", "f", None),
        ]);
        let summary = pairing.summary(LengthUnit::Characters);
        assert_eq!(summary["scored"], 2);
        assert_eq!(summary["mean_delta"], 0.125);
        assert_eq!(
            (
                &summary["mean_chosen_score"],
                &summary["mean_rejected_score"]
            ),
            (&0.5.into(), &0.375.into())
        );
        assert_eq!(
            (&summary["rows"], &summary["prompts"]),
            (&3.into(), &3.into())
        );
        assert_eq!(summary["dropped"]["identical"], 0);
        assert_eq!(
            summary["dropped"].as_object().unwrap().len(),
            Reason::ALL.len()
        );
        assert_eq!(
            made(&[("a", "b", None)]).summary(LengthUnit::Characters)["mean_delta"],
            Value::Null
        );
    }

    #[test]
    fn reversed_turns_all_and_a_coin_turns_half() {
        let rows = [("good", "bad", Some([1.0, 0.0])); 400];
        let mut pairing = made(&rows);
        assert_eq!(pairing.reverse(), 400);
        assert!(pairing.pairs.iter().all(|pair| {
            pair.chosen.text == "bad" && delta(pair) == Some(-1.0) && pair.rule == "reversed"
        }));
        let tossed = |seed, pairs: std::ops::Range<usize>| {
            let mut pairing = made(&rows);
            pairing.pairs = pairing.pairs[pairs].to_vec();
            let turned = pairing.toss(seed);
            let fell: Vec<_> = pairing
                .pairs
                .iter()
                .map(|pair| pair.chosen.text == "bad")
                .collect();
            assert_eq!(fell.iter().filter(|turned| **turned).count(), turned);
            assert!(pairing.pairs.iter().all(|pair| pair.rule == "shuffled"));
            fell
        };
        let all = tossed(0, 0..400);
        // Four standard deviations of 400 fair coins are 40.
        let turned = all.iter().filter(|turned| **turned).count();
        assert!((160..=240).contains(&turned), "{turned}");
        assert_ne!(all, tossed(1, 0..400));
        assert_eq!(all[100..], tossed(0, 100..400));
    }

    #[test]
    fn a_limit_keeps_the_first_and_counts_the_rest() {
        let mut pairing = made(&[("a", "b", None), ("c", "d", None), ("e", "f", None)]);
        pairing.limit(1);
        assert_eq!(sides(&pairing), [(0, "a", "b")]);
        pairing.limit(1);
        assert_eq!(dropped(&pairing), [(Reason::BeyondLimit, 2)]);
    }

    #[test]
    fn no_pair_left_says_why() {
        let mut pairing = made(&[("a", "", None), ("a", "a", None), (" ", "b", None)]);
        let error = pairing.filter(PairRule::Order, &PairFilters::default(), &[]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "no pair is left: 2 with an empty side, 1 with identical sides"
        );
        let error = Pairing::default().filter(PairRule::Order, &PairFilters::default(), &[]);
        assert_eq!(
            error.unwrap_err().to_string(),
            "no pair is left: none was there"
        );
    }

    #[test]
    fn scores_and_answers_must_fit() {
        let both = Score {
            id: 0,
            sample: 0,
            values: BTreeMap::from([("b".to_owned(), 1.0), ("a".to_owned(), 0.0)]),
        };
        let refused = |name| {
            let error =
                ScoreColumn::new("scores/cc", std::slice::from_ref(&both), name).unwrap_err();
            assert_eq!(
                error.hint().unwrap(),
                "name one of them with `--score NAME`"
            );
            error.to_string()
        };
        assert_eq!(
            refused(Some("x")),
            "scores/cc: no score is called `x`; there are `a`, `b`"
        );
        assert_eq!(
            refused(None),
            "scores/cc: one score must be chosen; there are `a`, `b`"
        );
        let column = ScoreColumn::new("scores/cc", &[both], Some("b")).unwrap();
        let error =
            |rows, scores| Answers::new("responses/aa", responses(rows), scores).unwrap_err();
        assert_eq!(
            error(&[(1, 0, "a", 1), (0, 1, "a", 1)], Some(&column)).to_string(),
            "none of the 2 answers of responses/aa has the score `b` in scores/cc"
        );
        assert_eq!(
            error(&[(1, 3, "a", 1), (1, 3, "b", 1)], None).to_string(),
            "responses/aa answers the prompt 1 twice as sample 3"
        );
        let unknown = answers(&[(5, 0, "a", 1), (4, 0, "a", 1), (0, 0, "a", 1)], None);
        let error = unknown.check_prompts("responses/aa", &[prompt(0, None)], "prompts/bb");
        assert_eq!(
            error.unwrap_err().to_string(),
            "responses/aa answers the prompt 4, which prompts/bb does not have"
        );
    }
}
