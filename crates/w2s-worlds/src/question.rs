//! Worlds that ask: a document is a question and an answer, and a model that learned to continue documents answers
//! questions.
//!
//! Every question a world can ask belongs to one [`Part`], whatever the seed it was drawn with: half of them are asked in
//! documents, a quarter is there to train on, an eighth to choose settings with, an eighth to test. So no question of one
//! part is ever met in another.

use std::{
    collections::{BTreeMap, HashSet},
    iter,
};

use serde::{Deserialize, Serialize};

use crate::{Stream, fnv1a};

/// Who may meet a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Documents, to pretrain on
    #[cfg_attr(feature = "cli", value(skip))]
    Corpus,
    /// Whoever is tuned
    Train,
    /// Whoever chooses settings, such as a learning rate
    Validation,
    /// Whoever is measured
    Test,
}

/// A half of a part's questions: for a teacher that learns from one half what a student needs on the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// Questions with right answers, for a weak teacher
    First,
    /// Questions without, for a strong student
    Second,
}

/// A language whose documents are questions with answers.
pub trait QuestionWorld {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// The seed that its words come from.
    fn seed(&self) -> u64;

    /// What stands between a question and its answer.
    fn gap(&self) -> &'static str;

    /// Any question, of whichever part.
    fn draw(&self, stream: &mut Stream) -> String;

    /// An answer as documents give it; `None` if this is not a question of this world.
    fn answer(&self, question: &str, stream: &mut Stream) -> Option<String>;

    /// A document: a question and its answer, unless the world says otherwise. `ask` draws a question that documents may ask.
    fn document(
        &self,
        ask: &mut dyn FnMut(&mut Stream) -> String,
        stream: &mut Stream,
    ) -> Option<String> {
        let question = ask(stream);
        let answer = self.answer(&question, stream)?;
        Some(question + self.gap() + &answer)
    }

    /// What of an answer is compared with the right one: all of it, unless the world writes down how it got there.
    fn final_answer<'a>(&self, answer: &'a str) -> &'a str {
        answer
    }

    /// What else is known of a question, by name, so that answers can be counted apart.
    fn tags(&self, _question: &str) -> BTreeMap<String, String> {
        BTreeMap::new()
    }

    /// The right answer; `None` where no single one is right, or if this is not a question of this world.
    fn right_answer(&self, question: &str) -> Option<String>;

    /// An answer with a small mistake, of which every question has at least seven different ones; `None` as for
    /// [`QuestionWorld::right_answer`].
    fn wrong_answer(&self, question: &str, stream: &mut Stream) -> Option<String>;
}

/// The part that a question belongs to.
pub fn part_of(world: &dyn QuestionWorld, question: &str) -> Part {
    let hash = fnv1a(0, question);
    match Stream::new("question part", world.seed(), hash).below(8) {
        0..4 => Part::Corpus,
        4 | 5 => Part::Train,
        6 => Part::Validation,
        _ => Part::Test,
    }
}

/// The half of its part that a question belongs to, whatever the seed it was drawn with.
pub fn half_of(world: &dyn QuestionWorld, question: &str) -> Half {
    let hash = fnv1a(0, question);
    match Stream::new("question half", world.seed(), hash).below(2) {
        0 => Half::First,
        _ => Half::Second,
    }
}

/// Documents without end, always the same ones in the same order.
pub fn documents(world: &dyn QuestionWorld) -> impl Iterator<Item = String> {
    let mut stream = Stream::new("question corpus", world.seed(), 0);
    let mut ask = |stream: &mut Stream| {
        loop {
            let question = world.draw(stream);
            if part_of(world, &question) == Part::Corpus {
                return question;
            }
        }
    };
    iter::from_fn(move || world.document(&mut ask, &mut stream))
}

/// Questions of a part, none twice; another seed draws others. The iterator ends when the world has hardly any left.
pub fn questions(world: &dyn QuestionWorld, part: Part, seed: u64) -> impl Iterator<Item = String> {
    /// Draws without a new question after which a world counts as asked out.
    const PATIENCE: usize = 10_000;
    let purpose = match part {
        Part::Corpus => "corpus questions",
        Part::Train => "train questions",
        Part::Validation => "valid questions",
        Part::Test => "test questions",
    };
    let mut stream = Stream::new(purpose, world.seed(), seed);
    let mut known = HashSet::new();
    iter::from_fn(move || {
        (0..PATIENCE)
            .map(|_| world.draw(&mut stream))
            .find(|question| part_of(world, question) == part && known.insert(question.clone()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GlossaryWorld, SectionsWorld};

    /// The questions of before the crate was split off; a change would be another world under the same seed.
    #[test]
    fn questions_are_fixed_for_ever() {
        let hash = |world: &dyn QuestionWorld| {
            let questions: Vec<_> = questions(world, Part::Train, 0).take(100).collect();
            blake3::hash(questions.join("\n").as_bytes()).to_hex()[..16].to_string()
        };
        let sections = SectionsWorld::default().build(0).unwrap();
        let glossary = GlossaryWorld::default().build(0).unwrap();
        assert_eq!(
            [hash(&sections), hash(&glossary)],
            ["909a9aa1f9150c32", "8c4242e283aafd69"]
        );
    }
}
