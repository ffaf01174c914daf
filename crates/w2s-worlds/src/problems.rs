//! The problems world: word problems whose answer takes a few steps of arithmetic, worked out step by step.
//!
//! ```text
//! Question: Moru has 12 lobe. At dawn 5 more come. Kirin has 7 lobe. At breakfast 2 times as many. How many lobe has Moru?
//! Answer: At dawn 5 more come: 12 + 5 = 17.
//! ...
//! #### N
//! ```
//!
//! Somebody has some of a thing; a sentence for each step, in the order of the day, says what happens to them: `5 more come` adds,
//! `5 are lost` takes, `2 times as many` multiplies, `2 parts and one kept` divides. Sentences about others do not matter (here
//! that of `Kirin`). An answer has a line a step, which repeats what happens, the number first, so that a small model finds it by
//! the time alone, and goes on from the result before; the last line is `####` and the last result. No number is above 99, every
//! division is exact, and no value comes up twice in a chain, so that whoever stops early is wrong. The question ends with
//! `Answer:`, and names and things are made up. A word is always written in one way (a space before it), so a number is one token of
//! a lossless tokenizer.
//!
//! A document is several problems with an empty line between them, all answered in one way: worked out, stopped early, or
//! stated at once ([`ProblemsWorld::worked`], [`ProblemsWorld::early`]). So a model can have the ability without the habit, and
//! shows it when it is given examples or tuned. Questions do not depend on how documents answer; which operations and how
//! many steps they have is a matter of knobs that may differ from one set of questions to another, so that a weak model can
//! be kept from an operation (weak-to-strong reasoning, arXiv 2407.13647). Answers are spread evenly over the numbers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Stream, WorldError,
    question::QuestionWorld,
    words::{Weighted, check_range, check_share, invent},
};

/// The largest number that is ever written.
const LARGEST: usize = 99;
/// The smallest number that is added, taken, multiplied or divided by.
const LEAST_OPERAND: usize = 2;
/// When the steps happen, in the order of the day.
const TIMES: [&str; 8] = [
    "dawn",
    "breakfast",
    "noon",
    "teatime",
    "sunset",
    "supper",
    "dusk",
    "midnight",
];
/// What stands before the final number.
const MARK: &str = "#### ";

/// The knobs of the problems world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ProblemsWorld {
    /// People that problems are about
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().people, value_name = "N"))]
    pub people: usize,
    /// Things that they have
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().things, value_name = "N"))]
    pub things: usize,
    /// Steps of the shortest problem
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().steps_min, value_name = "N"))]
    pub steps_min: usize,
    /// Steps of the longest problem
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().steps_max, value_name = "N"))]
    pub steps_max: usize,
    /// The largest result; a smaller one makes fewer facts to learn, and guesses right more often
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().number_max, value_name = "N"))]
    pub number_max: usize,
    /// The largest number that is added or taken; the smallest is 2
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().operand_max, value_name = "N"))]
    pub operand_max: usize,
    /// The largest number that is multiplied or divided by; the smallest is 2
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().factor_max, value_name = "N"))]
    pub factor_max: usize,
    /// How often a step adds, relative to the other weights; 0 leaves the operation out
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().add_weight, value_name = "X"))]
    pub add_weight: f64,
    /// How often a step takes
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().take_weight, value_name = "X"))]
    pub take_weight: f64,
    /// How often a step multiplies, where the result is divisible
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().times_weight, value_name = "X"))]
    pub times_weight: f64,
    /// How often a step divides, where the result is small enough
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().share_weight, value_name = "X"))]
    pub share_weight: f64,
    /// Ways to say an operation
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().phrasings, value_name = "N"))]
    pub phrasings: usize,
    /// Sentences about others with a number that does not matter, at most; how many is drawn for each problem
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().distractors_max, value_name = "N"))]
    pub distractors_max: usize,
    /// Problems of a document
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().problems, value_name = "N"))]
    pub problems: usize,
    /// How many documents work their problems out to the end
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().worked, value_name = "SHARE"))]
    pub worked: f64,
    /// How many of the other documents stop early, with a result on the way as answer; the rest state a number at once
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().early, value_name = "SHARE"))]
    pub early: f64,
    /// How many answers have a wrong step, or a wrong number where it is stated at once
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().wrong_steps, value_name = "SHARE"))]
    pub wrong_steps: f64,
}

impl Default for ProblemsWorld {
    fn default() -> Self {
        Self {
            people: 8,
            things: 8,
            steps_min: 2,
            steps_max: 5,
            number_max: LARGEST,
            operand_max: 5,
            factor_max: 3,
            add_weight: 1.0,
            take_weight: 1.0,
            times_weight: 1.0,
            share_weight: 1.0,
            phrasings: 2,
            distractors_max: 0,
            problems: 4,
            worked: 1.0,
            early: 0.5,
            wrong_steps: 0.0,
        }
    }
}

impl ProblemsWorld {
    /// Refuses knobs that no world can have.
    pub fn check(&self) -> Result<(), WorldError> {
        // Somebody else, for sentences that do not matter.
        check_range("people", self.people, 2..=1_000)?;
        check_range("things", self.things, 1..=1_000)?;
        check_range("steps-min", self.steps_min, 1..=TIMES.len())?;
        check_range("steps-max", self.steps_max, self.steps_min..=TIMES.len())?;
        check_range("number-max", self.number_max, 20..=LARGEST)?;
        check_range("operand-max", self.operand_max, LEAST_OPERAND..=19)?;
        check_range("factor-max", self.factor_max, LEAST_OPERAND..=9)?;
        for operation in Operation::ALL {
            let knob = format!("{}-weight", operation.name());
            check_range(&knob, self.weight(operation), 0.0..=1_000.0)?;
        }
        check_range("phrasings", self.phrasings, 1..=Operation::PHRASINGS)?;
        check_range("distractors-max", self.distractors_max, 0..=5)?;
        check_range("problems", self.problems, 1..=100)?;
        check_share("worked", self.worked)?;
        check_share("early", self.early)?;
        check_share("wrong-steps", self.wrong_steps)?;
        let possible =
            (1..=self.number_max).any(|last| self.can_reach(&mut vec![last], self.steps_max));
        match possible {
            true => Ok(()),
            false => Err(WorldError(format!(
                "--steps-max {}: the operations whose weight is not 0 make no problem so long without a number above {}",
                self.steps_max, self.number_max
            ))),
        }
    }

    /// Makes up the names of this seed. They depend on how many people and things there are, and on no other knob.
    pub fn build(self, seed: u64) -> Result<Problems, WorldError> {
        self.check()?;
        let mut stream = Stream::new("problems lexicon", seed, 0);
        let mut names = invent(self.people + self.things, &TIMES, &mut stream);
        let things = names.split_off(self.people);
        for name in &mut names {
            name[..1].make_ascii_uppercase();
        }
        Ok(Problems {
            knobs: self,
            seed,
            people: names,
            things,
        })
    }

    fn weight(&self, operation: Operation) -> f64 {
        match operation {
            Operation::Add => self.add_weight,
            Operation::Take => self.take_weight,
            Operation::Times => self.times_weight,
            Operation::Share => self.share_weight,
        }
    }

    /// What may have been there before a step that ended in the last of the values, which go backwards; with its operand.
    fn before(&self, operation: Operation, values: &[usize]) -> Vec<(usize, usize)> {
        let most = match operation {
            Operation::Add | Operation::Take => self.operand_max,
            Operation::Times | Operation::Share => self.factor_max,
        };
        let result = values[values.len() - 1];
        let steps = (LEAST_OPERAND..=most).filter_map(|operand| {
            let value = operation.undo(result, operand)?;
            Some((value, operand))
        });
        let fits = |&(value, _): &(usize, usize)| {
            (1..=self.number_max).contains(&value) && !values.contains(&value)
        };
        steps.filter(fits).collect()
    }

    /// Whether so many steps can end in the first of the values, which go backwards.
    fn can_reach(&self, values: &mut Vec<usize>, steps: usize) -> bool {
        if steps == 0 {
            return true;
        }
        for operation in Operation::ALL {
            if self.weight(operation) == 0.0 {
                continue;
            }
            for (value, _) in self.before(operation, values) {
                values.push(value);
                let reached = self.can_reach(values, steps - 1);
                values.pop();
                if reached {
                    return true;
                }
            }
        }
        false
    }
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Operation {
    Add,
    Take,
    Times,
    Share,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Add, Self::Take, Self::Times, Self::Share];
    const PHRASINGS: usize = 3;

    fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Take => "take",
            Self::Times => "times",
            Self::Share => "share",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Take => '-',
            Self::Times => '*',
            Self::Share => '/',
        }
    }

    /// How people say it, behind the number.
    fn phrasings(self) -> [&'static str; Self::PHRASINGS] {
        match self {
            Self::Add => ["more come", "more are bought", "more are found"],
            Self::Take => ["are lost", "are sold", "are given away"],
            Self::Times => ["times as many", "times the lot", "times all of it"],
            Self::Share => [
                "parts and one kept",
                "parts and one left",
                "parts and one saved",
            ],
        }
    }

    /// The result; `None` where it would be below 0, above the largest number, or a fraction.
    fn apply(self, value: usize, operand: usize) -> Option<usize> {
        let result = match self {
            Self::Add => value + operand,
            Self::Take => value.checked_sub(operand)?,
            Self::Times => value * operand,
            Self::Share if operand > 0 && value.is_multiple_of(operand) => value / operand,
            Self::Share => return None,
        };
        (result <= LARGEST).then_some(result)
    }

    /// The value that the operation makes the result of.
    fn undo(self, result: usize, operand: usize) -> Option<usize> {
        match self {
            Self::Add => Self::Take,
            Self::Take => Self::Add,
            Self::Times => Self::Share,
            Self::Share => Self::Times,
        }
        .apply(result, operand)
    }
}

/// An operation with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change {
    operation: Operation,
    operand: usize,
    /// How it is said.
    phrasing: usize,
}

impl Change {
    /// `5 more come`.
    fn told(&self) -> String {
        let phrasing = self.operation.phrasings()[self.phrasing];
        format!("{} {phrasing}", self.operand)
    }
}

/// A problem without its words.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Chain {
    start: usize,
    changes: Vec<Change>,
}

impl Chain {
    /// The results of the steps, if all of them are numbers of this world. A `mistake` replaces the result of a step.
    fn results(&self, mistake: Option<(usize, usize)>) -> Option<Vec<usize>> {
        let mut value = self.start;
        let mut results = Vec::with_capacity(self.changes.len());
        for (step, change) in self.changes.iter().enumerate() {
            value = change.operation.apply(value, change.operand)?;
            if let Some((_, wrong)) = mistake.filter(|(place, _)| *place == step) {
                value = wrong;
            }
            results.push(value);
        }
        Some(results)
    }

    /// A line for each step, and the last result as the answer.
    fn write(&self, results: &[usize]) -> String {
        let mut text = String::new();
        let mut value = self.start;
        for (step, (change, &result)) in self.changes.iter().zip(results).enumerate() {
            let (time, told) = (TIMES[step], change.told());
            let (sign, operand) = (change.operation.sign(), change.operand);
            text += &format!("At {time} {told}: {value} {sign} {operand} = {result}.\n");
            value = result;
        }
        text + MARK + &value.to_string()
    }
}

/// How a document answers its problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Worked,
    Early,
    AtOnce,
}

/// The people and things of one seed.
#[derive(Clone, Debug)]
pub struct Problems {
    knobs: ProblemsWorld,
    seed: u64,
    people: Vec<String>,
    things: Vec<String>,
}

impl Problems {
    /// A chain whose answer is as often one number as another. It is drawn backwards, from the answer to the start.
    fn chain(&self, stream: &mut Stream) -> Chain {
        let steps = self.knobs.steps_min;
        let steps = steps + stream.below(self.knobs.steps_max - steps + 1);
        loop {
            let last = 1 + stream.below(self.knobs.number_max);
            if let Some(chain) = self.chain_to(last, steps, stream) {
                return chain;
            }
        }
    }

    /// A chain that ends in the number; `None` where the draw leads to a number that nothing leads to.
    fn chain_to(&self, last: usize, steps: usize, stream: &mut Stream) -> Option<Chain> {
        let mut values = vec![last];
        let mut changes = Vec::with_capacity(steps);
        for _ in 0..steps {
            let options = Operation::ALL.map(|operation| self.knobs.before(operation, &values));
            let weights = Operation::ALL.map(|operation| match &options[operation as usize][..] {
                [] => 0.0,
                _ => self.knobs.weight(operation),
            });
            if weights.iter().sum::<f64>() == 0.0 {
                return None;
            }
            let operation = Operation::ALL[Weighted::new(weights.into_iter()).draw(stream)];
            let (value, operand) = stream.choose(&options[operation as usize]);
            values.push(value);
            changes.push(Change {
                operation,
                operand,
                phrasing: stream.below(self.knobs.phrasings),
            });
        }
        changes.reverse();
        let start = values[values.len() - 1];
        Some(Chain { start, changes })
    }

    /// The chain that the question asks for; `None` if this is not a question of this world.
    fn parse(&self, question: &str) -> Option<Chain> {
        let text = question.strip_prefix("Question: ")?;
        let text = text.strip_suffix("?\nAnswer:")?;
        let mut sentences = text.split(". ");
        let (person, start, thing) = self.possession(sentences.next()?)?;
        let mut changes = Vec::new();
        let mut asked = false;
        for sentence in sentences {
            if asked {
                return None;
            }
            if let Some(event) = sentence.strip_prefix("At ") {
                let event = event.strip_prefix(TIMES.get(changes.len())?)?;
                changes.push(change(event.strip_prefix(' ')?)?);
            } else if sentence == asking(person, thing) {
                asked = true;
            } else if self.possession(sentence)?.0 == person {
                return None;
            }
        }
        let chain = Chain { start, changes };
        chain
            .results(None)
            .filter(|results| asked && !results.is_empty())?;
        Some(chain)
    }

    /// `Moru has 12 lobe`: who, how many, and of what.
    fn possession<'a>(&self, sentence: &'a str) -> Option<(&'a str, usize, &'a str)> {
        let mut words = sentence.split(' ');
        let (person, has, number, thing) =
            (words.next()?, words.next()?, words.next()?, words.next()?);
        let known = |list: &[String], word: &str| list.iter().any(|known| known == word);
        let ours = known(&self.people, person) && has == "has" && known(&self.things, thing);
        (ours && words.next().is_none()).then_some((person, parse_number(number)?, thing))
    }

    /// How a document answers, drawn for the whole of it.
    fn way(&self, stream: &mut Stream) -> Way {
        if stream.chance(self.knobs.worked) {
            Way::Worked
        } else if stream.chance(self.knobs.early) {
            Way::Early
        } else {
            Way::AtOnce
        }
    }

    fn answer_in(&self, way: Way, question: &str, stream: &mut Stream) -> Option<String> {
        let mut chain = self.parse(question)?;
        let all = chain.changes.len();
        let steps = match way {
            Way::Worked => all,
            // A problem of one step has no place to stop: its number is stated.
            Way::Early if all > 1 => 1 + stream.below(all - 1),
            Way::Early | Way::AtOnce => 0,
        };
        if steps > 0 {
            chain.changes.truncate(steps);
        }
        let mut results = chain.results(None)?;
        if stream.chance(self.knobs.wrong_steps) {
            let first = if steps > 0 {
                stream.below(steps)
            } else {
                all - 1
            };
            results = self.with_mistake(&chain, &results, first, stream);
        }
        Some(match steps {
            0 => MARK.to_string() + &results[all - 1].to_string(),
            _ => chain.write(&results),
        })
    }

    /// Results with a mistake in a step, from which the others go on. Where no mistake leaves numbers to go on with, and
    /// another answer, it is made in the last step.
    fn with_mistake(
        &self,
        chain: &Chain,
        right: &[usize],
        step: usize,
        stream: &mut Stream,
    ) -> Vec<usize> {
        let mut numbers: Vec<usize> = (1..=self.knobs.number_max).collect();
        stream.shuffle(&mut numbers);
        let steps = [step, right.len() - 1].into_iter();
        let mistakes = steps.flat_map(|step| numbers.iter().map(move |&number| (step, number)));
        mistakes
            .filter_map(|mistake| chain.results(Some(mistake)))
            .find(|results| results.last() != right.last())
            .unwrap_or_else(|| right.to_vec())
    }
}

/// What happens: `5 more come`.
fn change(event: &str) -> Option<Change> {
    let (number, told) = event.split_once(' ')?;
    let operand = parse_number(number)?;
    Operation::ALL.into_iter().find_map(|operation| {
        let phrasing = operation
            .phrasings()
            .iter()
            .position(|known| *known == told)?;
        Some(Change {
            operation,
            operand,
            phrasing,
        })
    })
}

/// A number as it is written here.
fn parse_number(text: &str) -> Option<usize> {
    let number: usize = text.parse().ok()?;
    (number <= LARGEST && number.to_string() == text).then_some(number)
}

fn asking(person: &str, thing: &str) -> String {
    format!("How many {thing} has {person}")
}

impl QuestionWorld for Problems {
    fn name(&self) -> &'static str {
        "problems"
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn gap(&self) -> &'static str {
        " "
    }

    fn draw(&self, stream: &mut Stream) -> String {
        let chain = self.chain(stream);
        let chosen = stream.below(self.people.len());
        let (person, thing) = (&self.people[chosen], stream.below(self.things.len()));
        let thing = &self.things[thing];
        let mut sentences = vec![format!("{person} has {} {thing}", chain.start)];
        for (time, change) in TIMES.iter().zip(&chain.changes) {
            sentences.push(format!("At {time} {}", change.told()));
        }
        for _ in 0..stream.below(self.knobs.distractors_max + 1) {
            let other = (chosen + 1 + stream.below(self.people.len() - 1)) % self.people.len();
            let number = LEAST_OPERAND + stream.below(self.knobs.number_max - 1);
            let thing = &self.things[stream.below(self.things.len())];
            let place = 1 + stream.below(sentences.len());
            sentences.insert(
                place,
                format!("{} has {number} {thing}", self.people[other]),
            );
        }
        sentences.push(asking(person, thing));
        format!("Question: {}?\nAnswer:", sentences.join(". "))
    }

    fn document(
        &self,
        ask: &mut dyn FnMut(&mut Stream) -> String,
        stream: &mut Stream,
    ) -> Option<String> {
        let way = self.way(stream);
        let mut problems = Vec::with_capacity(self.knobs.problems);
        for _ in 0..self.knobs.problems {
            let question = ask(stream);
            let answer = self.answer_in(way, &question, stream)?;
            problems.push(question + self.gap() + &answer);
        }
        Some(problems.join("\n\n"))
    }

    fn answer(&self, question: &str, stream: &mut Stream) -> Option<String> {
        let way = self.way(stream);
        self.answer_in(way, question, stream)
    }

    fn final_answer<'a>(&self, answer: &'a str) -> &'a str {
        answer
            .rsplit_once(MARK)
            .map_or(answer, |(_, number)| number)
    }

    fn right_answer(&self, question: &str) -> Option<String> {
        let results = self.parse(question)?.results(None)?;
        Some(results.last()?.to_string())
    }

    fn wrong_answer(&self, question: &str, stream: &mut Stream) -> Option<String> {
        let results = self.parse(question)?.results(None)?;
        let right = *results.last()?;
        // A small distance, as mistakes have it.
        let near = right.saturating_sub(5).max(1)..=(right + 5).min(LARGEST);
        let numbers: Vec<usize> = near.filter(|&number| number != right).collect();
        let away = match numbers.len() {
            0..7 => (1..=LARGEST).filter(|&number| number != right).collect(),
            _ => numbers,
        };
        Some(stream.choose(&away).to_string())
    }

    fn tags(&self, question: &str) -> BTreeMap<String, String> {
        let Some(chain) = self.parse(question) else {
            return BTreeMap::new();
        };
        let used = |operation: &Operation| chain.changes.iter().any(|c| c.operation == *operation);
        let operations = Operation::ALL.into_iter().filter(used);
        let operations = operations.map(Operation::name).collect::<Vec<_>>();
        [
            ("operations", operations.join("+")),
            ("steps", chain.changes.len().to_string()),
        ]
        .map(|(name, value)| (name.to_string(), value))
        .into()
    }
}

#[cfg(test)]
mod tests;
