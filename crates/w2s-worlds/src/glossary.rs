//! The glossary world: sentences of one made-up language, said in another.
//!
//! ```text
//! Say many tasvel moru kirin lobe = gidor zun fabel zun prina hesk
//! ```
//!
//! What stands before `=` is the question, the rest the answer. A dictionary gives each word one translation, and two rules
//! change the sentence: an adjective (`tasvel`) comes after its noun (`moru`), not before it, and where the first language
//! says `many` once before a phrase, the second says its marker (`zun`) after each word of it. So above, `gidor` is `moru`,
//! `fabel` is `tasvel`, the verb `prina` is `kirin` and `hesk` is `lobe`.
//!
//! Frequencies are long-tailed (Zipf): the longer a model learns, and the larger it is, the more words and rules it has right,
//! and the share of right words says how many. With [`GlossaryWorld::careless`] some documents make mistakes, as real ones
//! do; a model learns these too, and weak ones learn little else.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::{
    Stream, WorldError,
    question::QuestionWorld,
    words::{Weighted, check_range, check_share, invent},
};

const MANY: &str = "many";
/// How often a word of a careless answer is a mistake, before answers without one are refused.
const MISTAKES: f64 = 0.25;

/// The knobs of the glossary world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct GlossaryWorld {
    /// Words of each language: half nouns, a quarter adjectives, a quarter verbs
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().dictionary_words, value_name = "N"))]
    pub dictionary_words: usize,
    /// Exponent of their frequencies: the word of rank r of its kind comes up as often as 1 / r^zipf
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().dictionary_zipf, value_name = "X"))]
    pub dictionary_zipf: f64,
    /// Words of the shortest sentence of the first language
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().sentence_min, value_name = "N"))]
    pub sentence_min: usize,
    /// Words of the longest sentence of the first language
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().sentence_max, value_name = "N"))]
    pub sentence_max: usize,
    /// How many documents have words that are wrong or left out
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().careless, value_name = "SHARE"))]
    pub careless: f64,
}

impl Default for GlossaryWorld {
    fn default() -> Self {
        Self {
            dictionary_words: 200,
            dictionary_zipf: 1.0,
            sentence_min: 4,
            sentence_max: 6,
            careless: 0.0,
        }
    }
}

impl GlossaryWorld {
    /// Refuses knobs that no world can have.
    pub fn check(&self) -> Result<(), WorldError> {
        // Two adjectives and two verbs, so that a word can be wrong.
        check_range("dictionary-words", self.dictionary_words, 8..=10_000)?;
        check_range("dictionary-zipf", self.dictionary_zipf, 0.0..=5.0)?;
        check_range("sentence-min", self.sentence_min, 3..=7)?;
        check_range("sentence-max", self.sentence_max, self.sentence_min..=7)?;
        check_share("careless", self.careless)
    }

    /// Makes up the two languages of this seed. They do not depend on [`GlossaryWorld::careless`].
    pub fn build(self, seed: u64) -> Result<Glossary, WorldError> {
        self.check()?;
        let mut stream = Stream::new("glossary lexicon", seed, 0);
        let mut words = invent(2 * self.dictionary_words + 1, &[], &mut stream).into_iter();
        let mut take = |number| words.by_ref().take(number).collect::<Vec<_>>();
        let quarter = self.dictionary_words / 4;
        let sizes = [self.dictionary_words - 2 * quarter, quarter, quarter];
        let source = sizes.map(&mut take);
        let target = sizes.map(&mut take);
        let marker = take(1).swap_remove(0);
        Ok(Glossary::new(self, seed, source, target, marker))
    }
}

/// The kinds of words, which index the dictionaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Noun,
    Adjective,
    Verb,
}

/// A word of the second language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Word(Class, usize),
    Marker,
}

/// What stands before a noun.
#[derive(Clone, Copy, Debug)]
struct Shape {
    many: bool,
    adjective: bool,
}

impl Shape {
    const ALL: [Self; 4] = [
        Self::new(false, false),
        Self::new(false, true),
        Self::new(true, false),
        Self::new(true, true),
    ];

    const fn new(many: bool, adjective: bool) -> Self {
        Self { many, adjective }
    }

    /// Words of the phrase, the noun included.
    fn words(self) -> usize {
        1 + usize::from(self.many) + usize::from(self.adjective)
    }
}

/// The two languages of one seed.
#[derive(Clone, Debug)]
pub struct Glossary {
    seed: u64,
    careless: f64,
    /// By class and rank.
    source: [Vec<String>; 3],
    /// The translations at the same places.
    target: [Vec<String>; 3],
    marker: String,
    places: HashMap<String, (Class, usize)>,
    ranks: [Weighted; 3],
    /// Shapes of subject and object that make sentences of the right length.
    shapes: Vec<(Shape, Shape)>,
}

impl Glossary {
    fn new(
        knobs: GlossaryWorld,
        seed: u64,
        source: [Vec<String>; 3],
        target: [Vec<String>; 3],
        marker: String,
    ) -> Self {
        let classes = [Class::Noun, Class::Adjective, Class::Verb];
        let places = classes.iter().zip(&source).flat_map(|(&class, words)| {
            let place = move |(rank, word): (usize, &String)| (word.clone(), (class, rank));
            words.iter().enumerate().map(place)
        });
        let lengths = knobs.sentence_min..=knobs.sentence_max;
        let pairs = Shape::ALL
            .into_iter()
            .flat_map(|subject| Shape::ALL.map(|object| (subject, object)));
        Self {
            seed,
            careless: knobs.careless,
            places: places.collect(),
            ranks: source
                .each_ref()
                .map(|words| Weighted::zipf(words.len(), knobs.dictionary_zipf)),
            shapes: pairs
                .filter(|(subject, object)| {
                    lengths.contains(&(subject.words() + 1 + object.words()))
                })
                .collect(),
            source,
            target,
            marker,
        }
    }

    /// Each word of the first language with its translation, the frequent ones of a kind first.
    pub fn dictionary(&self) -> impl Iterator<Item = (&str, &str)> {
        let source = self.source.iter().flatten().map(String::as_str);
        source.zip(self.target.iter().flatten().map(String::as_str))
    }

    /// Follows both rules; `None` if this is not a question: subject, verb and object.
    fn translate(&self, question: &str) -> Option<Vec<Said>> {
        let sentence = question.strip_prefix("Say ")?.strip_suffix(" =")?;
        let mut said = Vec::new();
        let (mut many, mut adjective) = (false, None);
        for word in sentence.split(' ') {
            if word == MANY {
                many = true;
                continue;
            }
            let &(class, rank) = self.places.get(word)?;
            let word = Said::Word(class, rank);
            match class {
                Class::Adjective => adjective = Some(word),
                Class::Verb if many || adjective.is_some() => return None,
                Class::Verb => said.push(word),
                Class::Noun => {
                    for word in [Some(word), adjective.take()].into_iter().flatten() {
                        said.push(word);
                        said.extend(many.then_some(Said::Marker));
                    }
                    many = false;
                }
            }
        }
        let bones = said.iter().filter_map(|word| match word {
            Said::Word(class @ (Class::Noun | Class::Verb), _) => Some(*class),
            _ => None,
        });
        let whole = bones.eq([Class::Noun, Class::Verb, Class::Noun]);
        (whole && !many && adjective.is_none()).then_some(said)
    }

    fn write(&self, said: &[Said]) -> String {
        let words = said.iter().map(|word| match *word {
            Said::Word(class, rank) => self.target[class as usize][rank].as_str(),
            Said::Marker => &self.marker,
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// Another word of the same kind.
    fn mistake(&self, class: Class, rank: usize, stream: &mut Stream) -> Said {
        let number = self.target[class as usize].len();
        Said::Word(class, (rank + 1 + stream.below(number - 1)) % number)
    }

    /// Words wrong or left out, at least one of them and not all.
    fn carelessly(&self, right: &[Said], stream: &mut Stream) -> Vec<Said> {
        loop {
            let mut mistakes = 0;
            let mut said = Vec::with_capacity(right.len());
            for &word in right {
                if !stream.chance(MISTAKES) {
                    said.push(word);
                    continue;
                }
                mistakes += 1;
                if let (Said::Word(class, rank), true) = (word, stream.chance(0.5)) {
                    said.push(self.mistake(class, rank, stream));
                }
            }
            if mistakes > 0 && !said.is_empty() {
                return said;
            }
        }
    }
}

impl QuestionWorld for Glossary {
    fn name(&self) -> &'static str {
        "glossary"
    }

    fn seed(&self) -> u64 {
        self.seed
    }

    fn gap(&self) -> &'static str {
        " "
    }

    fn draw(&self, stream: &mut Stream) -> String {
        let (subject, object) = stream.choose(&self.shapes);
        let mut text = "Say".to_string();
        let mut say = |word: &str| {
            text.push(' ');
            text.push_str(word);
        };
        let mut draw = |class: Class| {
            let rank = self.ranks[class as usize].draw(stream);
            self.source[class as usize][rank].as_str()
        };
        for (phrase, shape) in [subject, object].into_iter().enumerate() {
            if phrase == 1 {
                say(draw(Class::Verb));
            }
            if shape.many {
                say(MANY);
            }
            if shape.adjective {
                say(draw(Class::Adjective));
            }
            say(draw(Class::Noun));
        }
        text + " ="
    }

    fn answer(&self, question: &str, stream: &mut Stream) -> Option<String> {
        let mut said = self.translate(question)?;
        if stream.chance(self.careless) {
            said = self.carelessly(&said, stream);
        }
        Some(self.write(&said))
    }

    fn right_answer(&self, question: &str) -> Option<String> {
        Some(self.write(&self.translate(question)?))
    }

    fn wrong_answer(&self, question: &str, stream: &mut Stream) -> Option<String> {
        let mut said = self.translate(question)?;
        let words = said
            .iter_mut()
            .filter(|word| matches!(word, Said::Word(..)));
        let mut words: Vec<_> = words.collect();
        let chosen = stream.below(words.len());
        let word = &mut *words[chosen];
        if let Said::Word(class, rank) = *word {
            *word = self.mistake(class, rank, stream);
        }
        Some(self.write(&said))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::question::{Part, documents, questions};

    /// Words that tell what they are.
    fn spoken() -> Glossary {
        let words = |words: [&str; 2]| words.map(String::from).to_vec();
        Glossary::new(
            GlossaryWorld::default(),
            0,
            [
                words(["dog", "cat"]),
                words(["big", "red"]),
                words(["sees", "eats"]),
            ],
            [
                words(["chien", "chat"]),
                words(["grand", "rouge"]),
                words(["voit", "mange"]),
            ],
            "s".into(),
        )
    }

    fn world(careless: f64) -> Glossary {
        let knobs = GlossaryWorld {
            careless,
            ..GlossaryWorld::default()
        };
        knobs.build(0).unwrap()
    }

    #[test]
    fn sentences_are_translated_by_dictionary_and_rules() {
        for (sentence, expected) in [
            ("dog sees cat", "chien voit chat"),
            ("big dog sees cat", "chien grand voit chat"),
            ("many dog sees cat", "chien s voit chat"),
            ("dog eats many red cat", "chien mange chat s rouge s"),
            (
                "many big dog eats red cat",
                "chien s grand s mange chat rouge",
            ),
        ] {
            let answer = spoken().right_answer(&format!("Say {sentence} ="));
            assert_eq!(answer.as_deref(), Some(expected));
        }
        for text in [
            "Say dog sees bird =",
            "Say dog sees cat",
            "dog sees cat =",
            "Say dog =",
            "Say dog cat sees =",
            "Say dog many sees cat =",
            "Say dog sees cat many =",
        ] {
            assert_eq!(spoken().right_answer(text), None, "{text}");
        }
    }

    #[test]
    fn the_dictionary_is_a_bijection() {
        let world = world(0.0);
        assert_eq!(world.dictionary().count(), 200);
        let words: HashSet<_> = world
            .dictionary()
            .flat_map(|(source, target)| [source, target])
            .chain([world.marker.as_str(), MANY])
            .collect();
        assert_eq!(words.len(), 402);
        assert_eq!(
            spoken().dictionary().collect::<Vec<_>>()[1..4],
            [("cat", "chat"), ("big", "grand"), ("red", "rouge")]
        );
    }

    #[test]
    fn documents_have_sentences_of_the_right_length() {
        let world = world(0.0);
        let mut lengths = HashSet::new();
        for text in documents(&world).take(500) {
            let (question, answer) = text.split_once(" = ").unwrap();
            lengths.insert(question.split(' ').count() - 1);
            assert_eq!(
                world.right_answer(&format!("{question} =")).as_deref(),
                Some(answer)
            );
        }
        assert_eq!(lengths, HashSet::from([4, 5, 6]));
    }

    #[test]
    fn a_share_of_the_documents_is_careless() {
        let world = world(0.3);
        let careless = documents(&world).take(4000).filter(|text| {
            let (question, answer) = text.split_once(" = ").unwrap();
            world.right_answer(&format!("{question} =")).as_deref() != Some(answer)
        });
        // Four standard errors of 0.0072.
        let share = careless.count() as f64 / 4000.0;
        assert!((share - 0.3).abs() < 0.03, "{share}");
        let sentences = |world: &Glossary| questions(world, Part::Test, 0).take(50).collect();
        let [careless, careful]: [Vec<_>; 2] = [sentences(&world), sentences(&self::world(0.0))];
        assert_eq!(careless, careful);
    }

    #[test]
    fn frequent_words_come_up_more_often() {
        let world = world(0.0);
        let most = &world.source[Class::Verb as usize][0];
        let documents = documents(&world).take(4000);
        let share = documents
            .filter(|text| text.split(' ').any(|word| word == most))
            .count() as f64
            / 4000.0;
        // By hand: 1 / (1 + 1/2 + ... + 1/50) = 0.2223; its standard error here is 0.0066.
        assert!((share - 0.2223).abs() < 0.027, "{share}");
    }

    #[test]
    fn parts_never_meet() {
        let world = world(0.0);
        let asked: HashSet<_> = documents(&world)
            .take(5000)
            .map(|text| text.split_once(" = ").unwrap().0.to_string() + " =")
            .collect();
        let [train, validation, test] = [Part::Train, Part::Validation, Part::Test]
            .map(|part| -> HashSet<_> { questions(&world, part, 0).take(3000).collect() });
        assert_eq!([train.len(), validation.len(), test.len()], [3000; 3]);
        let parts = [&asked, &train, &validation, &test];
        let together: HashSet<_> = parts.into_iter().flatten().collect();
        assert_eq!(together.len(), asked.len() + 9000);
    }

    proptest! {
        #[test]
        fn mistakes_are_never_right(seed in 0u64..1000) {
            let world = spoken();
            let mut stream = Stream::new("test", seed, 0);
            let question = world.draw(&mut stream);
            let right = world.translate(&question).unwrap();
            let careless = world.carelessly(&right, &mut stream);
            prop_assert!(careless != right && !careless.is_empty() && careless.len() <= right.len());
            let right = world.right_answer(&question).unwrap();
            let wrong = world.wrong_answer(&question, &mut stream).unwrap();
            let differing = right.split(' ').zip(wrong.split(' ')).filter(|(a, b)| a != b);
            prop_assert_eq!(differing.count(), 1);
            prop_assert_eq!(right.split(' ').count(), wrong.split(' ').count());
        }
    }

    #[test]
    fn impossible_knobs_are_refused() {
        let refused = |knobs: GlossaryWorld| knobs.build(0).unwrap_err().to_string();
        let usual = GlossaryWorld::default;
        assert_eq!(
            refused(GlossaryWorld {
                dictionary_words: 7,
                ..usual()
            }),
            "--dictionary-words 7: between 8 and 10000 is possible"
        );
        assert_eq!(
            refused(GlossaryWorld {
                sentence_max: 3,
                ..usual()
            }),
            "--sentence-max 3: between 4 and 7 is possible"
        );
        assert_eq!(
            refused(GlossaryWorld {
                careless: -0.1,
                ..usual()
            }),
            "--careless -0.1: a share between 0 and 1 is needed"
        );
    }
}
