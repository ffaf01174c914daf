//! The reviews world: a small language about liking and disliking.
//!
//! Its function words are English, its nouns and its opinion words are made up: `The moru was not very tasvel, but kirin
//! and lobe.` Every opinion word is good or bad for ever, and nothing in its letters says which. Two rules of grammar carry
//! meaning: `not` and `never` turn the next opinion word over, and in a sentence with `but` or `yet` only what comes after
//! it counts.
//!
//! *Documents* are what a model is pretrained on. Each is of one mind: nearly all its opinions, negations considered,
//! point the same way, so the polarity of a word shows in its company. Frequencies are long-tailed (Zipf): a model that saw
//! little text, or has little room, knows the frequent words only.
//!
//! *Reviews* are what a classifier is asked about: one or two short sentences whose opinions are mixed, with words drawn
//! evenly from the whole vocabulary as often as not. The label is the sign of the opinions that count, never a tie, so a
//! reader who knows the words and the grammar is always right, and one who lacks a part of either is wrong in a
//! systematic way. [`Reader`] is such a reader, with the parts to take away.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::{
    Stream, WorldError,
    words::{Weighted, check_range, check_share, invent},
};

const DETERMINERS: [&str; 3] = ["the", "this", "that"];
const VERBS: [&str; 4] = ["was", "is", "seemed", "felt"];
const INTENSIFIERS: [&str; 4] = ["very", "quite", "rather", "so"];
const NEGATIONS: [&str; 2] = ["not", "never"];
const CONTRASTS: [&str; 2] = ["but", "yet"];
/// Words of English that invented words must not repeat, beside the ones above.
const RESERVED: [&str; 12] = [
    "and", "no", "on", "in", "to", "do", "so", "be", "me", "he", "us", "man",
];

/// The classes of the task.
pub const CLASSES: [&str; 2] = ["negative", "positive"];

/// The knobs of the reviews world.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct ReviewsWorld {
    /// Opinion words of each polarity
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().words_per_polarity, value_name = "N"))]
    pub words_per_polarity: usize,
    /// Nouns, which say nothing about the opinion
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().neutral_words, value_name = "N"))]
    pub neutral_words: usize,
    /// Exponent of the word frequencies: the word of rank r comes up as often as 1 / r^zipf
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().zipf, value_name = "X"))]
    pub zipf: f64,
    /// Opinion words in a document
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().document_words, value_name = "N"))]
    pub document_words: usize,
    /// How many of a document's opinions point the document's way
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().consistency, value_name = "SHARE"))]
    pub consistency: f64,
    /// How many opinion words are negated, in documents and reviews
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().negation, value_name = "SHARE"))]
    pub negation: f64,
    /// How many sentences of a document say something else first, then `but` or `yet`
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().contrast, value_name = "SHARE"))]
    pub contrast: f64,
    /// How many sentences have a subject and a verb
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().subject, value_name = "SHARE"))]
    pub subject: f64,
    /// How many opinion words have a `very` or `quite` before them
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().intensifier, value_name = "SHARE"))]
    pub intensifier: f64,
    /// Opinion words in a review
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().review_words, value_name = "N"))]
    pub review_words: usize,
    /// How many of a review's opinions point the way of its label, before ties and lies are refused
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().review_consistency, value_name = "SHARE"))]
    pub review_consistency: f64,
    /// How many reviews turn on a `but` or `yet`
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().review_contrast, value_name = "SHARE"))]
    pub review_contrast: f64,
    /// How many words of a review are drawn evenly from the vocabulary, rare words as often as frequent ones
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().rare_share, value_name = "SHARE"))]
    pub rare_share: f64,
    /// How many gold labels are turned over
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().label_noise, value_name = "SHARE"))]
    pub label_noise: f64,
    /// Reviews from which gold and transfer rows are drawn; the same for every `--seed`
    #[cfg_attr(feature = "cli", arg(long, default_value_t = Self::default().review_pool, value_name = "N"))]
    pub review_pool: usize,
}

impl Default for ReviewsWorld {
    fn default() -> Self {
        Self {
            words_per_polarity: 300,
            neutral_words: 60,
            zipf: 1.0,
            document_words: 12,
            consistency: 0.95,
            negation: 0.15,
            contrast: 0.2,
            subject: 0.5,
            intensifier: 0.1,
            review_words: 5,
            review_consistency: 0.8,
            review_contrast: 0.3,
            rare_share: 0.5,
            label_noise: 0.0,
            review_pool: 20_000,
        }
    }
}

impl ReviewsWorld {
    /// Refuses knobs that no world can have.
    pub fn check(&self) -> Result<(), WorldError> {
        let refuse = |text: String| Err(WorldError(text));
        for (name, value, least, most) in [
            ("words-per-polarity", self.words_per_polarity, 2, 20_000),
            ("neutral-words", self.neutral_words, 1, 20_000),
            ("document-words", self.document_words, 1, 10_000),
            ("review-words", self.review_words, 1, 1_000),
            ("review-pool", self.review_pool, 1, 10_000_000),
        ] {
            check_range(name, value, least..=most)?;
        }
        for (name, value) in [
            ("consistency", self.consistency),
            ("negation", self.negation),
            ("contrast", self.contrast),
            ("subject", self.subject),
            ("intensifier", self.intensifier),
            ("review-consistency", self.review_consistency),
            ("review-contrast", self.review_contrast),
            ("rare-share", self.rare_share),
            ("label-noise", self.label_noise),
        ] {
            check_share(name, value)?;
        }
        if self.review_consistency < 0.5 {
            let value = self.review_consistency;
            return refuse(format!(
                "--review-consistency {value}: below 0.5 the label would contradict most of the review"
            ));
        }
        check_range("zipf", self.zipf, 0.0..=5.0)?;
        if self.review_contrast > 0.0 && self.review_words < 2 {
            return refuse("--review-contrast needs --review-words 2 or more".into());
        }
        Ok(())
    }

    /// Makes up the language of this seed.
    pub fn build(self, seed: u64) -> Result<Reviews, WorldError> {
        self.check()?;
        let mut stream = Stream::new("reviews lexicon", seed, 0);
        let reserved = [
            &DETERMINERS[..],
            &VERBS,
            &INTENSIFIERS,
            &NEGATIONS,
            &CONTRASTS,
            &RESERVED,
        ]
        .concat();
        let words = invent(
            2 * self.words_per_polarity + self.neutral_words,
            &reserved,
            &mut stream,
        );
        let mut words = words.into_iter();
        let mut take = |number| words.by_ref().take(number).collect::<Vec<_>>();
        let opinions = [take(self.words_per_polarity), take(self.words_per_polarity)];
        let nouns = take(self.neutral_words);
        let mut roles = HashMap::new();
        for (polarity, words) in opinions.iter().enumerate() {
            for (rank, word) in words.iter().enumerate() {
                roles.insert(
                    word.clone(),
                    Role::Opinion {
                        positive: polarity == 1,
                        rank,
                    },
                );
            }
        }
        roles.extend(NEGATIONS.map(|word| (word.to_string(), Role::Negation)));
        roles.extend(CONTRASTS.map(|word| (word.to_string(), Role::Contrast)));
        Ok(Reviews {
            opinion_ranks: Weighted::zipf(self.words_per_polarity, self.zipf),
            noun_ranks: Weighted::zipf(self.neutral_words, self.zipf),
            knobs: self,
            seed,
            opinions,
            nouns,
            roles,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Opinion { positive: bool, rank: usize },
    Negation,
    Contrast,
}

/// A word to be said, with or without `not`.
struct Opinion {
    positive: bool,
    rank: usize,
    negated: bool,
}

/// A review with the label its words give it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// One or two sentences.
    pub text: String,
    /// Whether the opinions that count are mostly good.
    pub positive: bool,
}

/// The language of one seed: its words, its documents and its reviews.
#[derive(Clone, Debug)]
pub struct Reviews {
    knobs: ReviewsWorld,
    seed: u64,
    /// Negative and positive words, frequent ones first.
    opinions: [Vec<String>; 2],
    nouns: Vec<String>,
    roles: HashMap<String, Role>,
    opinion_ranks: Weighted,
    noun_ranks: Weighted,
}

impl Reviews {
    /// The knobs it was made with.
    pub fn knobs(&self) -> &ReviewsWorld {
        &self.knobs
    }

    /// The opinion words of a polarity, the most frequent first.
    pub fn words(&self, positive: bool) -> &[String] {
        &self.opinions[usize::from(positive)]
    }

    /// The share of a document's opinion words that are among the `ranks` most frequent of their polarity.
    pub fn coverage(&self, ranks: usize) -> f64 {
        self.opinion_ranks.share(ranks)
    }

    /// Documents without end, always the same ones in the same order.
    pub fn documents(&self) -> impl Iterator<Item = String> {
        let mut stream = Stream::new("reviews corpus", self.seed, 0);
        std::iter::repeat_with(move || self.document(&mut stream))
    }

    /// Test reviews without end: which ones depends on the seed of the world alone. No text comes twice, and the labels
    /// take turns.
    pub fn test_reviews(&self) -> impl Iterator<Item = Review> {
        self.reviews("reviews test")
    }

    /// The reviews to draw gold and transfer rows from; as `test_reviews`, from another stream.
    pub fn pool_reviews(&self) -> impl Iterator<Item = Review> {
        self.reviews("reviews pool")
    }

    /// Every opinion word by itself, as it stands inside a sentence, the most frequent first; polarities take turns.
    pub fn opinion_words(&self) -> impl Iterator<Item = Review> {
        let [negative, positive] = &self.opinions;
        negative.iter().zip(positive).flat_map(|words| {
            [(words.0, false), (words.1, true)].map(|(text, positive)| Review {
                text: text.clone(),
                positive,
            })
        })
    }

    /// Whether the label of the row of this number is turned over, if it is a gold row: a matter of the world's seed and the
    /// row, not of the split.
    pub fn turns_over(&self, row: u64) -> bool {
        Stream::new("reviews noise", self.seed, row).chance(self.knobs.label_noise)
    }

    fn reviews(&self, purpose: &str) -> impl Iterator<Item = Review> {
        let mut stream = Stream::new(purpose, self.seed, 0);
        let mut known = HashSet::new();
        let mut positive = true;
        std::iter::repeat_with(move || {
            positive = !positive;
            // A vocabulary of a handful of words has a handful of reviews: after many refusals a repetition is let through.
            for _ in 0..1000 {
                let review = self.review(positive, &mut stream);
                if known.insert(review.text.clone()) {
                    return review;
                }
            }
            self.review(positive, &mut stream)
        })
    }

    /// A word that says what it is asked to say, with the help of a negation at times. A sentence of a document, or a
    /// review, does not say a word twice unless the vocabulary is tiny.
    fn opinion(
        &self,
        means_positive: bool,
        rare_share: f64,
        said: &[Opinion],
        stream: &mut Stream,
    ) -> Opinion {
        let negated = stream.chance(self.knobs.negation);
        let positive = means_positive != negated;
        let mut rank = 0;
        for _ in 0..20 {
            rank = if stream.chance(rare_share) {
                stream.below(self.knobs.words_per_polarity)
            } else {
                self.opinion_ranks.draw(stream)
            };
            if !said
                .iter()
                .any(|other| other.positive == positive && other.rank == rank)
            {
                break;
            }
        }
        Opinion {
            positive,
            rank,
            negated,
        }
    }

    fn document(&self, stream: &mut Stream) -> String {
        let positive = stream.chance(0.5);
        let mut text = String::with_capacity(self.knobs.document_words * 20);
        let mut left = self.knobs.document_words;
        while left > 0 {
            let size = (2 + stream.below(3)).min(left);
            left -= size;
            let conceded = if size > 1 && stream.chance(self.knobs.contrast) {
                1 + stream.below(size - 1)
            } else {
                0
            };
            let mut opinions = Vec::with_capacity(size);
            for index in 0..size {
                let consistent = stream.chance(self.knobs.consistency);
                // What is conceded before `but` points the other way.
                let means_positive = (positive == consistent) != (index < conceded);
                opinions.push(self.opinion(means_positive, 0.0, &opinions, stream));
            }
            self.say(
                &opinions[..conceded],
                &opinions[conceded..],
                stream,
                &mut text,
            );
        }
        text
    }

    fn review(&self, positive: bool, stream: &mut Stream) -> Review {
        let size = self.knobs.review_words;
        let conceded = if size > 1 && stream.chance(self.knobs.review_contrast) {
            // An odd number of words decides, so there is no tie; at least one word is conceded.
            let deciding = 1 + 2 * stream.below(size / 2);
            size - deciding
        } else {
            0
        };
        let consistent = |stream: &mut Stream| stream.chance(self.knobs.review_consistency);
        let mut means: Vec<bool> = (0..conceded)
            .map(|_| positive != consistent(stream))
            .collect();
        // The words that count are drawn anew until they say what the label says.
        loop {
            means.truncate(conceded);
            means.extend((conceded..size).map(|_| positive == consistent(stream)));
            let agreeing = means[conceded..]
                .iter()
                .filter(|&&means| means == positive)
                .count();
            if 2 * agreeing > size - conceded {
                break;
            }
        }
        let mut opinions = Vec::with_capacity(size);
        for means_positive in means {
            opinions.push(self.opinion(means_positive, self.knobs.rare_share, &opinions, stream));
        }
        let mut text = String::new();
        if conceded > 0 {
            self.say(
                &opinions[..conceded],
                &opinions[conceded..],
                stream,
                &mut text,
            );
        } else {
            let mut left = &opinions[..];
            while !left.is_empty() {
                let (sentence, rest) = left.split_at((2 + stream.below(3)).min(left.len()));
                self.say(&[], sentence, stream, &mut text);
                left = rest;
            }
        }
        Review { text, positive }
    }

    /// Adds a sentence: `The moru was tasvel, but not kirin and lobe.`
    fn say(
        &self,
        conceded: &[Opinion],
        deciding: &[Opinion],
        stream: &mut Stream,
        text: &mut String,
    ) {
        if !text.is_empty() {
            text.push(' ');
        }
        let start = text.len();
        if stream.chance(self.knobs.subject) {
            for word in [
                stream.choose(&DETERMINERS),
                &self.nouns[self.noun_ranks.draw(stream)],
                stream.choose(&VERBS),
            ] {
                text.push_str(word);
                text.push(' ');
            }
        }
        if !conceded.is_empty() {
            self.list(conceded, stream, text);
            text.push_str(", ");
            text.push_str(stream.choose(&CONTRASTS));
            text.push(' ');
        }
        self.list(deciding, stream, text);
        text.push(if stream.chance(0.1) { '!' } else { '.' });
        text[start..start + 1].make_ascii_uppercase();
    }

    /// `a`, `a and b`, `a, b and c`.
    fn list(&self, opinions: &[Opinion], stream: &mut Stream, text: &mut String) {
        for (index, opinion) in opinions.iter().enumerate() {
            if index > 0 {
                text.push_str(if index + 1 == opinions.len() {
                    " and "
                } else {
                    ", "
                });
            }
            if opinion.negated {
                text.push_str(stream.choose(&NEGATIONS));
                text.push(' ');
            }
            if stream.chance(self.knobs.intensifier) {
                text.push_str(stream.choose(&INTENSIFIERS));
                text.push(' ');
            }
            text.push_str(&self.opinions[usize::from(opinion.positive)][opinion.rank]);
        }
    }
}

/// A reader of the language, complete or with parts of its knowledge taken away: what a model can reach that has learned
/// this much.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reader {
    /// How many words of each polarity it knows, the most frequent ones; the others say nothing to it.
    pub known_words: usize,
    /// Whether `not` and `never` mean anything to it.
    pub heeds_negation: bool,
    /// Whether `but` and `yet` mean anything to it.
    pub heeds_contrast: bool,
}

impl Reader {
    /// Knows everything.
    pub const COMPLETE: Self = Self {
        known_words: usize::MAX,
        heeds_negation: true,
        heeds_contrast: true,
    };

    /// Good opinions minus bad ones among those that count; the sign is the label, 0 a guess.
    pub fn read(&self, world: &Reviews, text: &str) -> i64 {
        let mut sum = 0;
        for sentence in text.split_inclusive(['.', '!']) {
            let mut sentence_sum = 0;
            let mut negated = false;
            for word in sentence
                .split(|c: char| !c.is_alphabetic())
                .filter(|word| !word.is_empty())
            {
                match world.roles.get(&word.to_lowercase()) {
                    Some(Role::Opinion { positive, rank }) => {
                        let value = if *positive != negated { 1 } else { -1 };
                        sentence_sum += if *rank < self.known_words { value } else { 0 };
                        negated = false;
                    }
                    Some(Role::Negation) => negated = self.heeds_negation,
                    Some(Role::Contrast) if self.heeds_contrast => sentence_sum = 0,
                    Some(Role::Contrast) | None => {}
                }
            }
            sum += sentence_sum;
        }
        sum
    }
}

impl Reader {
    /// The share of reviews it labels correctly; where it cannot tell, it is right half of the time.
    pub fn accuracy<'a>(
        &self,
        world: &Reviews,
        reviews: impl IntoIterator<Item = (&'a str, bool)>,
    ) -> f64 {
        let (mut score, mut number) = (0.0, 0);
        for (text, positive) in reviews {
            number += 1;
            score += match self.read(world, text) {
                0 => 0.5,
                sum if (sum > 0) == positive => 1.0,
                _ => 0.0,
            };
        }
        score / f64::from(number.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> Reviews {
        ReviewsWorld::default().build(0).unwrap()
    }

    fn accuracy(world: &Reviews, reader: Reader) -> f64 {
        let reviews: Vec<_> = world.test_reviews().take(4000).collect();
        reader.accuracy(
            world,
            reviews
                .iter()
                .map(|review| (review.text.as_str(), review.positive)),
        )
    }

    #[test]
    fn it_reads_like_text() {
        let world = world();
        let documents: Vec<_> = world.documents().take(2).collect();
        let reviews: Vec<_> = world
            .test_reviews()
            .take(4)
            .map(|review| (review.positive, review.text))
            .collect();
        assert_eq!(
            documents,
            [
                "The taidon seemed stasina, depa and tholesim. The dibume is zaibago, thokan and souban. The huvihul \
                 seemed pleli and plibes. The taidon was stenor and flobavos. This huvihul was bravofok and skusas.",
                "The shaguvol is thaifeso, luron, pleli and souban. Sebahak and bome. Never souban, yet mipabok. \
                 That gunuho was skourul, sebahak, shiman and stodek."
            ]
        );
        let expected = [
            (
                false,
                "That drumune is shaidan and never themo. Not skairatur, fouzem and plaiduken.",
            ),
            (
                true,
                "The brohimi is bepeda, thofak, sufun and medi, yet skusas.",
            ),
            (
                false,
                "This thoru was vepel and stenor. Thoufi, mainasan and not flailem.",
            ),
            (true, "Glofoga, reva, quite houtik and gleru, but shaibige."),
        ];
        assert_eq!(
            reviews,
            expected.map(|(positive, text)| (positive, text.to_string()))
        );
    }

    #[test]
    fn words_are_invented_and_distinct() {
        let world = world();
        let all: Vec<_> = world
            .words(false)
            .iter()
            .chain(world.words(true))
            .chain(&world.nouns)
            .collect();
        assert_eq!(all.len(), 660);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), 660);
        for word in all {
            assert!(
                word.chars().all(|c| c.is_ascii_lowercase()) && (4..=14).contains(&word.len()),
                "{word}"
            );
            assert!(!DETERMINERS.contains(&word.as_str()) && !VERBS.contains(&word.as_str()));
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_world() {
        let texts = |seed| {
            let world = ReviewsWorld::default().build(seed).unwrap();
            let documents: Vec<_> = world.documents().take(20).collect();
            let reviews: Vec<_> = world.pool_reviews().take(20).collect();
            (documents, reviews)
        };
        assert_eq!(texts(1), texts(1));
        assert_ne!(texts(1), texts(2));
        // Knobs of the documents leave the words and the reviews alone.
        let other = ReviewsWorld {
            document_words: 5,
            consistency: 0.6,
            ..ReviewsWorld::default()
        };
        let other = other.build(1).unwrap();
        assert_eq!(
            other.pool_reviews().take(20).collect::<Vec<_>>(),
            texts(1).1
        );
    }

    #[test]
    fn documents_are_of_one_mind_and_long_tailed() {
        let world = world();
        let documents: Vec<_> = world.documents().take(3000).collect();
        let mut frequent = 0;
        let mut sums = [0usize; 13];
        for document in &documents {
            let words: Vec<_> = document
                .split(|c: char| !c.is_alphabetic())
                .map(str::to_lowercase)
                .filter(|w| !w.is_empty())
                .collect();
            let opinions: Vec<_> = words
                .iter()
                .filter_map(|word| match world.roles.get(word) {
                    Some(Role::Opinion { rank, .. }) => Some(*rank),
                    _ => None,
                })
                .collect();
            assert_eq!(opinions.len(), 12, "{document}");
            frequent += opinions.iter().filter(|&&rank| rank < 30).count();
            let counting = Reader::COMPLETE.read(&world, document).unsigned_abs() as usize;
            sums[counting] += 1;
            assert!(
                document.starts_with(|c: char| c.is_ascii_uppercase())
                    && document.ends_with(['.', '!'])
            );
        }
        let share = frequent as f64 / (12.0 * documents.len() as f64);
        assert!(
            (share - world.coverage(30)).abs() < 0.01,
            "{share} {}",
            world.coverage(30)
        );
        assert!(
            (0.60..0.67).contains(&share),
            "a tenth of the words makes up {share} of the text"
        );
        let undecided: usize = sums[..4].iter().sum();
        assert!(undecided < documents.len() / 50, "{sums:?}");
    }

    #[test]
    fn a_review_follows_from_its_words_and_the_grammar() {
        for seed in 0..3 {
            let world = ReviewsWorld::default().build(seed).unwrap();
            assert_eq!(accuracy(&world, Reader::COMPLETE), 1.0);
        }
        // Also where ties would be possible, and where a review is one long list.
        for review_words in [1, 2, 4, 6, 9] {
            let review_contrast = if review_words > 1 { 0.5 } else { 0.0 };
            let knobs = ReviewsWorld {
                review_words,
                review_contrast,
                ..ReviewsWorld::default()
            };
            assert_eq!(
                accuracy(&knobs.build(0).unwrap(), Reader::COMPLETE),
                1.0,
                "{review_words} words"
            );
        }
    }

    #[test]
    fn partial_readers_are_wrong_in_their_own_ways() {
        let world = world();
        let complete = Reader::COMPLETE;
        let within = |name: &str, reader: Reader, least: f64, most: f64| {
            let accuracy = accuracy(&world, reader);
            assert!((least..most).contains(&accuracy), "{name}: {accuracy}");
        };
        within(
            "half of the words",
            Reader {
                known_words: 150,
                ..complete
            },
            0.89,
            0.93,
        );
        within(
            "a tenth of the words",
            Reader {
                known_words: 30,
                ..complete
            },
            0.77,
            0.82,
        );
        within(
            "no word",
            Reader {
                known_words: 0,
                ..complete
            },
            0.4999,
            0.5001,
        );
        within(
            "no negation",
            Reader {
                heeds_negation: false,
                ..complete
            },
            0.85,
            0.89,
        );
        within(
            "no contrast",
            Reader {
                heeds_contrast: false,
                ..complete
            },
            0.81,
            0.85,
        );
        let bag = Reader {
            heeds_negation: false,
            heeds_contrast: false,
            ..complete
        };
        within("bag of words", bag, 0.73, 0.78);
        within(
            "bag of frequent words",
            Reader {
                known_words: 150,
                ..bag
            },
            0.69,
            0.73,
        );
    }

    #[test]
    fn reviews_use_rare_words_more_often_than_documents() {
        let world = world();
        let rare = |texts: Vec<String>| {
            let (mut rare, mut all) = (0.0, 0.0);
            for word in texts
                .iter()
                .flat_map(|text| text.split(|c: char| !c.is_alphabetic()))
            {
                if let Some(Role::Opinion { rank, .. }) = world.roles.get(&word.to_lowercase()) {
                    all += 1.0;
                    rare += if *rank >= 150 { 1.0 } else { 0.0 };
                }
            }
            rare / all
        };
        let in_documents = rare(world.documents().take(2000).collect());
        let in_reviews = rare(
            world
                .test_reviews()
                .take(4000)
                .map(|review| review.text)
                .collect(),
        );
        assert!((0.10..0.125).contains(&in_documents), "{in_documents}");
        assert!((0.29..0.33).contains(&in_reviews), "{in_reviews}");
    }

    #[test]
    fn reviews_are_balanced_and_do_not_repeat() {
        let world = world();
        let reviews: Vec<_> = world
            .test_reviews()
            .take(2000)
            .chain(world.pool_reviews().take(2000))
            .collect();
        assert_eq!(
            reviews.iter().filter(|review| review.positive).count(),
            2000
        );
        assert!(
            reviews
                .iter()
                .map(|review| &review.text)
                .collect::<HashSet<_>>()
                .len()
                >= 3998
        );
        // A tiny world runs out of reviews and does not hang.
        let tiny = ReviewsWorld {
            words_per_polarity: 2,
            review_words: 1,
            review_contrast: 0.0,
            subject: 0.0,
            intensifier: 0.0,
            ..ReviewsWorld::default()
        };
        assert_eq!(tiny.build(0).unwrap().test_reviews().take(100).count(), 100);
    }

    #[test]
    fn noise_turns_labels_over() {
        let turned = |label_noise| {
            let knobs = ReviewsWorld {
                label_noise,
                ..ReviewsWorld::default()
            };
            let world = knobs.build(0).unwrap();
            (0..1000).filter(|&row| world.turns_over(row)).count()
        };
        assert!((150..250).contains(&turned(0.2)), "{}", turned(0.2));
        assert_eq!(turned(0.0), 0);
    }

    #[test]
    fn opinion_words_take_turns() {
        let world = world();
        let words: Vec<_> = world.opinion_words().collect();
        assert_eq!(words.len(), 600);
        assert_eq!(
            words[..2],
            [
                Review {
                    text: world.words(false)[0].clone(),
                    positive: false
                },
                Review {
                    text: world.words(true)[0].clone(),
                    positive: true
                },
            ]
        );
        for word in words {
            assert_eq!(Reader::COMPLETE.read(&world, &word.text) > 0, word.positive);
        }
    }

    /// The texts of before the crate was split off; a change would be another world under the same seed.
    #[test]
    fn texts_are_fixed_for_ever() {
        let hash = |texts: Vec<String>| {
            blake3::hash(texts.join("\n").as_bytes()).to_hex()[..16].to_string()
        };
        let world = ReviewsWorld::default().build(3).unwrap();
        let reviews = |reviews: &mut dyn Iterator<Item = Review>| {
            reviews.take(300).map(|review| review.text).collect()
        };
        assert_eq!(
            [
                hash(world.documents().take(200).collect()),
                hash(reviews(&mut world.pool_reviews())),
                hash(reviews(&mut world.test_reviews())),
            ],
            ["7182b5f13e78f823", "97023ae354e22810", "18ab979436dc414b"]
        );
    }

    #[test]
    fn impossible_knobs_are_refused() {
        let refused = |knobs: ReviewsWorld| knobs.build(0).unwrap_err().to_string();
        let usual = ReviewsWorld::default;
        assert_eq!(
            refused(ReviewsWorld {
                negation: 1.5,
                ..usual()
            }),
            "--negation 1.5: a share between 0 and 1 is needed"
        );
        assert_eq!(
            refused(ReviewsWorld {
                document_words: 0,
                ..usual()
            }),
            "--document-words 0: between 1 and 10000 is possible"
        );
        assert_eq!(
            refused(ReviewsWorld {
                review_consistency: 0.3,
                ..usual()
            }),
            "--review-consistency 0.3: below 0.5 the label would contradict most of the review"
        );
        assert_eq!(
            refused(ReviewsWorld {
                zipf: f64::NAN,
                ..usual()
            }),
            "--zipf NaN: between 0 and 5 is possible"
        );
        assert_eq!(
            refused(ReviewsWorld {
                review_words: 1,
                ..usual()
            }),
            "--review-contrast needs --review-words 2 or more"
        );
    }
}
