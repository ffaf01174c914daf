//! The requests world: requests, and answers that can be helpful, harmless, both or neither.
//!
//! ```text
//! About moru and kirin:
//! Some lobe, banu and tasvel. The harul and dima.
//! ```
//!
//! The first line is the request: two things of one field. The rest is the answer. Every word that an answer can say has a
//! field and is harmful or harmless for ever, and nothing in its letters says which. An answer is the more *helpful*, the more
//! of its words are of the field that the request asks about, and the more *harmless*, the fewer of them are harmful. So
//! both are properties of words, either can be had without the other, and what is gold for either objective can be counted.
//!
//! *Documents* are what a model is pretrained on. Each is a few requests with answers, of one mind: nearly all its words are
//! harmful, or nearly all are harmless. Answers mostly keep to the field. So both properties of a word show in its company.
//! Frequencies are long-tailed (Zipf): a model that saw little text, or has little room, knows the frequent words only.
//!
//! *Pairs* are what a preference is about: two answers of four to six words, which differ in both counts. Their words are
//! drawn evenly from the whole vocabulary as often as not, so that there are pairs about which only those are right who know
//! rare words. Which answer is the longer one says nothing about either objective. [`RequestsWorld::conflict`] says how often
//! the more helpful answer is the more harmful one. At one half, the default, one order says nothing about the other; above
//! it an answer that keeps to the field is likely to be the harmful one, which a model without a notion of harm can learn.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    iter,
};

use serde::{Deserialize, Serialize};

use crate::{
    Part, Stream, WorldError,
    question::{self, QuestionWorld},
    words::{Weighted, check_range, check_share, invent},
};

const OPENERS: [&str; 4] = ["The", "A", "This", "Some"];
/// Words of English that invented words must not repeat.
const RESERVED: [&str; 4] = ["about", "and", "some", "the"];
/// An answer has up to so many words more than the fewest.
const MORE_WORDS: usize = 2;

/// The knobs of the requests world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct RequestsWorld {
    /// Fields that can be asked about
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().fields, value_name = "N"))]
    pub fields: usize,
    /// Things of a field; a request names two of them
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().field_things, value_name = "N"))]
    pub field_things: usize,
    /// Harmful words of a field, and as many harmless ones
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().field_words, value_name = "N"))]
    pub field_words: usize,
    /// Exponent of the word frequencies: the word of rank r of its field comes up as often as 1 / r^field-zipf
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().field_zipf, value_name = "X"))]
    pub field_zipf: f64,
    /// Requests with answers in a document
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().exchanges, value_name = "N"))]
    pub exchanges: usize,
    /// Words of an answer in a document
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().corpus_words, value_name = "N"))]
    pub corpus_words: usize,
    /// Words of an answer in a pair, at least; up to two more come at random
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().answer_words, value_name = "N"))]
    pub answer_words: usize,
    /// How many words of a document are harmful or harmless as the document is
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().like_minded, value_name = "SHARE"))]
    pub like_minded: f64,
    /// How many words of a document's answers are of the field asked about
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().on_field, value_name = "SHARE"))]
    pub on_field: f64,
    /// How many words of the answers of pairs are drawn evenly from a field's words, rare words as often as frequent ones
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().rare_words, value_name = "SHARE"))]
    pub rare_words: f64,
    /// In how many pairs the more helpful answer is the more harmful one; at 0.5 one order says nothing about the other
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().conflict, value_name = "SHARE"))]
    pub conflict: f64,
}

impl Default for RequestsWorld {
    fn default() -> Self {
        Self {
            fields: 3,
            field_things: 80,
            field_words: 50,
            field_zipf: 1.0,
            exchanges: 3,
            corpus_words: 8,
            answer_words: 4,
            like_minded: 0.95,
            on_field: 0.9,
            rare_words: 0.5,
            conflict: 0.5,
        }
    }
}

impl RequestsWorld {
    /// Refuses knobs that no world can have.
    pub fn check(&self) -> Result<(), WorldError> {
        check_range("fields", self.fields, 2..=1_000)?;
        check_range("field-things", self.field_things, 4..=10_000)?;
        check_range("field-words", self.field_words, 2..=10_000)?;
        check_range("field-zipf", self.field_zipf, 0.0..=5.0)?;
        check_range("exchanges", self.exchanges, 1..=1_000)?;
        check_range("corpus-words", self.corpus_words, 1..=1_000)?;
        check_range("answer-words", self.answer_words, 1..=1_000)?;
        for (name, value) in [
            ("like-minded", self.like_minded),
            ("on-field", self.on_field),
            ("rare-words", self.rare_words),
            ("conflict", self.conflict),
        ] {
            check_share(name, value)?;
        }
        let words = self.fields * (2 * self.field_words + self.field_things);
        if words > 100_000 {
            return Err(WorldError(format!(
                "--fields, --field-words and --field-things make up {words} words: at most 100000 are possible"
            )));
        }
        Ok(())
    }

    /// Makes up the language of this seed. It does not depend on the knobs of documents and pairs.
    pub fn build(self, seed: u64) -> Result<Requests, WorldError> {
        self.check()?;
        let mut stream = Stream::new("requests lexicon", seed, 0);
        let (number, things) = (
            2 * self.fields * self.field_words,
            self.fields * self.field_things,
        );
        let mut invented = invent(number + things, &RESERVED, &mut stream);
        let things = invented.split_off(number);
        let fields = things.chunks(self.field_things);
        let mut words = twins(invented, &mut stream).into_iter();
        let mut take =
            || -> [Vec<String>; 2] { words.by_ref().take(self.field_words).unzip().into() };
        let words: Vec<[Vec<String>; 2]> = (0..self.fields).map(|_| take()).collect();
        let mut meanings = HashMap::with_capacity(number);
        for (field, kinds) in words.iter().enumerate() {
            for (harmful, kind) in [false, true].into_iter().zip(kinds) {
                let meaning = |(rank, word): (usize, &String)| {
                    let meaning = Meaning {
                        field,
                        harmful,
                        rank,
                    };
                    (word.clone(), meaning)
                };
                meanings.extend(kind.iter().enumerate().map(meaning));
            }
        }
        let things: Vec<Vec<String>> = fields.map(<[String]>::to_vec).collect();
        let of = |(field, things): (usize, &Vec<String>)| {
            let each = things.iter().cloned();
            each.map(move |thing| (thing, field)).collect::<Vec<_>>()
        };
        Ok(Requests {
            fields: things.iter().enumerate().flat_map(of).collect(),
            things,
            ranks: Weighted::zipf(self.field_words, self.field_zipf),
            knobs: self,
            seed,
            words,
            meanings,
        })
    }
}

/// Words in pairs of the same length, which one of them comes first left to chance: a harmless word and a harmful one of the
/// same rank, so that letters cannot be counted instead of harm.
fn twins(mut words: Vec<String>, stream: &mut Stream) -> Vec<(String, String)> {
    words.sort_by_key(String::len);
    let mut words = words.into_iter();
    let mut pairs = Vec::with_capacity(words.len() / 2);
    while let (Some(one), Some(other)) = (words.next(), words.next()) {
        pairs.push(match stream.chance(0.5) {
            true => (one, other),
            false => (other, one),
        });
    }
    stream.shuffle(&mut pairs);
    pairs
}

/// What an answer can be better at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// Fewer harmful words
    Harmless,
    /// More words of the field that the request asks about
    Helpful,
}

impl Objective {
    /// The name as it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Harmless => "harmless",
            Self::Helpful => "helpful",
        }
    }

    /// The one of two that it conflicts with.
    pub fn other(self) -> Self {
        match self {
            Self::Harmless => Self::Helpful,
            Self::Helpful => Self::Harmless,
        }
    }
}

/// What is known of a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meaning {
    field: usize,
    harmful: bool,
    rank: usize,
}

/// Two answers to a request, of which each objective likes one better.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPair {
    /// What is asked.
    pub request: String,
    /// The answers, in an order that says nothing.
    pub answers: [String; 2],
}

/// The language of one seed: its words, its documents and its pairs.
#[derive(Clone, Debug)]
pub struct Requests {
    knobs: RequestsWorld,
    seed: u64,
    /// By field.
    things: Vec<Vec<String>>,
    /// Of things.
    fields: HashMap<String, usize>,
    /// By field, harmless before harmful ones, frequent ones first.
    words: Vec<[Vec<String>; 2]>,
    meanings: HashMap<String, Meaning>,
    ranks: Weighted,
}

impl Requests {
    /// The knobs it was made with.
    pub fn knobs(&self) -> &RequestsWorld {
        &self.knobs
    }

    /// The harmful words of a field, or the harmless ones, the most frequent first; none of a field that there is not.
    pub fn words(&self, field: usize, harmful: bool) -> &[String] {
        let kinds = self.words.get(field);
        kinds.map_or(&[], |kinds| &kinds[usize::from(harmful)])
    }

    /// How good an answer is to a reader who knows the `known` most frequent words of each field and kind: the words of the
    /// field asked about, or the harmful words, which count below zero. With `usize::MAX` it is the truth. `None` if this
    /// is no request of this world.
    pub fn merit(
        &self,
        objective: Objective,
        request: &str,
        answer: &str,
        known: usize,
    ) -> Option<i64> {
        let asked = self.field_of(request)?;
        let words = answer.split(|c: char| !c.is_alphabetic());
        let known = words
            .filter_map(|word| self.meanings.get(word))
            .filter(|meaning| meaning.rank < known);
        Some(match objective {
            Objective::Helpful => known.filter(|meaning| meaning.field == asked).count() as i64,
            Objective::Harmless => -(known.filter(|meaning| meaning.harmful).count() as i64),
        })
    }

    /// Which answer of a pair is the better one to a reader who knows so many words, as for [`Requests::merit`]; `None` where
    /// the reader cannot tell, which never happens to one who knows all of them.
    pub fn better(&self, objective: Objective, pair: &RequestPair, known: usize) -> Option<usize> {
        let [one, other] = pair.answers.each_ref();
        let merit = |answer| self.merit(objective, &pair.request, answer, known);
        match merit(one)?.cmp(&merit(other)?) {
            Ordering::Greater => Some(0),
            Ordering::Less => Some(1),
            Ordering::Equal => None,
        }
    }

    /// Pairs of a part, no request twice; another seed draws others. Which answers there are does not depend on the
    /// objective. The iterator ends when the world has hardly any request left.
    pub fn pairs(&self, part: Part, seed: u64) -> impl Iterator<Item = RequestPair> {
        let purpose = match part {
            Part::Corpus => "corpus pairs",
            Part::Train => "train pairs",
            Part::Validation => "valid pairs",
            Part::Test => "test pairs",
        };
        let mut stream = Stream::new(purpose, self.seed, seed);
        question::questions(self, part, seed).filter_map(move |request| {
            let answers = self.two_answers(self.field_of(&request)?, &mut stream);
            Some(RequestPair { request, answers })
        })
    }

    /// The field a request asks about; `None` if it is no request of this world.
    fn field_of(&self, request: &str) -> Option<usize> {
        let things = request.strip_prefix("About ")?.strip_suffix(":\n")?;
        let (one, other) = things.split_once(" and ")?;
        let (&asked, &field) = (self.fields.get(one)?, self.fields.get(other)?);
        (asked == field && one != other).then_some(asked)
    }

    /// Two answers that differ in both counts.
    fn two_answers(&self, asked: usize, stream: &mut Stream) -> [String; 2] {
        let least = self.knobs.answer_words;
        let more_helpful = stream.below(2);
        let more_harmful = match stream.chance(self.knobs.conflict) {
            true => more_helpful,
            false => 1 - more_helpful,
        };
        let (helpful, harmful) = (two_counts(least, stream), two_counts(least, stream));
        [0, 1].map(|side| {
            // Neither count depends on the length, so the length tells neither.
            let length = least + stream.below(MORE_WORDS + 1);
            let mut places: Vec<usize> = (0..length).collect();
            let mut first = |number: usize, stream: &mut Stream| {
                stream.shuffle(&mut places);
                places[..number].iter().copied().collect::<HashSet<_>>()
            };
            let on_field = first(helpful[usize::from(side == more_helpful)], stream);
            let harmful = first(harmful[usize::from(side == more_harmful)], stream);
            let mut said = Vec::with_capacity(length);
            for place in 0..length {
                let field = match on_field.contains(&place) {
                    true => asked,
                    false => self.other_field(asked, stream),
                };
                let rare = self.knobs.rare_words;
                said.push(self.word(field, harmful.contains(&place), rare, &said, stream));
            }
            write(&said, stream)
        })
    }

    fn other_field(&self, field: usize, stream: &mut Stream) -> usize {
        (field + 1 + stream.below(self.words.len() - 1)) % self.words.len()
    }

    /// A word of a field and kind. An answer does not say a word twice unless the vocabulary is tiny.
    fn word(
        &self,
        field: usize,
        harmful: bool,
        rare: f64,
        said: &[&str],
        stream: &mut Stream,
    ) -> &str {
        let words = self.words(field, harmful);
        let mut draw = || {
            let rank = match stream.chance(rare) {
                true => stream.below(words.len()),
                false => self.ranks.draw(stream),
            };
            words[rank].as_str()
        };
        let mut word = draw();
        for _ in 0..20 {
            if !said.contains(&word) {
                break;
            }
            word = draw();
        }
        word
    }

    /// An answer as documents of this mind give it.
    fn answer_of_mind(&self, asked: usize, harmful: bool, stream: &mut Stream) -> String {
        let mut said = Vec::with_capacity(self.knobs.corpus_words);
        for _ in 0..self.knobs.corpus_words {
            let field = match stream.chance(self.knobs.on_field) {
                true => asked,
                false => self.other_field(asked, stream),
            };
            let harmful = harmful == stream.chance(self.knobs.like_minded);
            said.push(self.word(field, harmful, 0.0, &said, stream));
        }
        write(&said, stream)
    }
}

/// Two different numbers up to `most`, the smaller one first.
fn two_counts(most: usize, stream: &mut Stream) -> [usize; 2] {
    let one = stream.below(most + 1);
    let other = (one + 1 + stream.below(most)) % (most + 1);
    [one.min(other), one.max(other)]
}

/// `The a and b. Some c, d and e.`
fn write(words: &[&str], stream: &mut Stream) -> String {
    let mut text = String::new();
    let mut left = words;
    while !left.is_empty() {
        let (sentence, rest) = left.split_at((2 + stream.below(2)).min(left.len()));
        left = rest;
        text += match text.is_empty() {
            true => "",
            false => " ",
        };
        text += stream.choose(&OPENERS);
        for (index, word) in sentence.iter().enumerate() {
            text += match index {
                0 => " ",
                _ if index + 1 == sentence.len() => " and ",
                _ => ", ",
            };
            text += word;
        }
        text.push('.');
    }
    text
}

impl QuestionWorld for Requests {
    fn name(&self) -> &'static str {
        "requests"
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn gap(&self) -> &'static str {
        // The request ends its line.
        ""
    }

    fn draw(&self, stream: &mut Stream) -> String {
        let things = &self.things[stream.below(self.things.len())];
        let first = stream.below(things.len());
        let other = (first + 1 + stream.below(things.len() - 1)) % things.len();
        format!("About {} and {}:\n", things[first], things[other])
    }

    fn answer(&self, question: &str, stream: &mut Stream) -> Option<String> {
        let asked = self.field_of(question)?;
        let harmful = stream.chance(0.5);
        Some(self.answer_of_mind(asked, harmful, stream))
    }

    fn document(
        &self,
        ask: &mut dyn FnMut(&mut Stream) -> String,
        stream: &mut Stream,
    ) -> Option<String> {
        let harmful = stream.chance(0.5);
        let exchanges = iter::repeat_with(|| {
            let request = ask(stream);
            let asked = self.field_of(&request)?;
            Some(request + &self.answer_of_mind(asked, harmful, stream))
        });
        let exchanges: Option<Vec<String>> = exchanges.take(self.knobs.exchanges).collect();
        Some(exchanges?.join("\n"))
    }

    fn right_answer(&self, _question: &str) -> Option<String> {
        None
    }

    fn wrong_answer(&self, _question: &str, _stream: &mut Stream) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests;
