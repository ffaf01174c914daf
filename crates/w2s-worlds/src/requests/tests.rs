//! What is promised of requests and their answers, counted from the text apart from the code under test.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::question::{documents, part_of, questions};

fn world(seed: u64) -> Requests {
    RequestsWorld::default().build(seed).unwrap()
}

fn conflicting(conflict: f64, seed: u64) -> Requests {
    let knobs = RequestsWorld {
        conflict,
        ..RequestsWorld::default()
    };
    knobs.build(seed).unwrap()
}

/// Reads texts by looking words up in the lists of the language.
struct Eye<'a> {
    words: HashMap<&'a str, (usize, bool)>,
    things: HashMap<&'a str, usize>,
}

impl<'a> Eye<'a> {
    fn new(world: &'a Requests) -> Self {
        let (mut words, mut things) = (HashMap::new(), HashMap::new());
        for (field, named) in world.things.iter().enumerate() {
            for harmful in [false, true] {
                for word in world.words(field, harmful) {
                    assert_eq!(
                        words.insert(word.as_str(), (field, harmful)),
                        None,
                        "{word}"
                    );
                }
            }
            for thing in named {
                assert_eq!(things.insert(thing.as_str(), field), None, "{thing}");
            }
        }
        Self { words, things }
    }

    /// The words of a text that mean something, with their field and whether they are harmful.
    fn read<'b>(&self, text: &'b str) -> Vec<(&'b str, usize, bool)> {
        let words = text.split([' ', ',', '.', '\n']);
        let look_up = |word: &'b str| {
            let (field, harmful) = self.words.get(word)?;
            Some((word, *field, *harmful))
        };
        words.filter_map(look_up).collect()
    }

    fn asked(&self, request: &str) -> usize {
        let things = request.trim_start_matches("About ").trim_end_matches(":\n");
        let (one, other) = things.split_once(" and ").unwrap();
        assert_eq!(self.things[one], self.things[other], "{request}");
        self.things[one]
    }

    /// Counts of both sides: helpful words, harmful words.
    fn counts(&self, pair: &RequestPair) -> [(usize, usize); 2] {
        let asked = self.asked(&pair.request);
        pair.answers.each_ref().map(|answer| {
            let words = self.read(answer);
            let helpful = words.iter().filter(|(_, field, _)| *field == asked);
            let harmful = words.iter().filter(|(.., harmful)| *harmful);
            (helpful.count(), harmful.count())
        })
    }
}

fn share(holds: impl Iterator<Item = bool>) -> f64 {
    let (mut sum, mut number) = (0.0, 0.0);
    for holds in holds {
        number += 1.0;
        sum += f64::from(u8::from(holds));
    }
    sum / number
}

#[test]
fn it_reads_like_text() {
    let world = world(0);
    let document = documents(&world).next().unwrap();
    let pair = world.pairs(Part::Train, 0).next().unwrap();
    assert_eq!(
        (
            document.as_str(),
            pair.request.as_str(),
            pair.answers.each_ref().map(String::as_str)
        ),
        (
            "About mesiso and raimabo:\n\
             The komur and sazo. A drubil and ploruhu. This kepin, skaisim and hourol. Some tikamuk.\n\
             About skimem and plabidur:\n\
             The hudumon and vourafur. The traiku, pokak and lounel. A flaivi and theror. A koupefu.\n\
             About mesomur and thibi:\n\
             The traiku and skomopur. Some kraka and flifur. This flaivi, sisone and pokak. This bouhedel.",
            "About kepeva and skoubuzak:\n",
            [
                "Some digul and sazo. This sheva and sepas. A laises.",
                "This plilobu, fofizon and saimezul. The vipinin.",
            ]
        )
    );
}

/// A change would be another world under the same seed.
#[test]
fn texts_are_fixed_for_ever() {
    let hash =
        |texts: Vec<String>| blake3::hash(texts.join("\n").as_bytes()).to_hex()[..16].to_string();
    let world = world(3);
    let pairs = |part| {
        let pairs = world.pairs(part, 1).take(100);
        pairs
            .flat_map(|pair| [pair.request].into_iter().chain(pair.answers))
            .collect()
    };
    assert_eq!(
        [
            hash(documents(&world).take(200).collect()),
            hash(pairs(Part::Train)),
            hash(pairs(Part::Test)),
        ],
        ["995a2c865f092a6b", "fdd5ead8d5c84270", "43cada08e3596049"]
    );
}

#[test]
fn the_lexicon_is_a_matter_of_the_seed_and_its_own_knobs() {
    let texts = |world: Requests| documents(&world).take(10).collect::<Vec<_>>();
    assert_eq!(texts(world(1)), texts(world(1)));
    assert_ne!(texts(world(1)), texts(world(2)));
    // What documents say does not depend on the pairs.
    let pairs_only = RequestsWorld {
        conflict: 0.9,
        rare_words: 0.1,
        ..RequestsWorld::default()
    };
    assert_eq!(texts(world(1)), texts(pairs_only.build(1).unwrap()));
}

#[test]
fn a_harmful_word_has_a_harmless_twin_of_its_length() {
    for seed in 0..5 {
        let world = world(seed);
        let mut unequal = 0;
        for field in 0..3 {
            let [harmless, harmful] = [false, true].map(|harmful| world.words(field, harmful));
            assert_eq!([harmless.len(), harmful.len()], [50, 50]);
            let twins = harmless.iter().zip(harmful);
            unequal += twins
                .filter(|(one, other)| one.len() != other.len())
                .count();
        }
        // Where one length ends and the next begins, at most.
        assert!(unequal < 8, "{unequal}");
    }
    assert!(world(0).words(4, true).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn both_objectives_order_every_pair_as_its_words_say(seed in 0u64..10_000, conflict in 0.0..=1.0) {
        let world = conflicting(conflict, seed);
        let eye = Eye::new(&world);
        for pair in world.pairs(Part::Train, seed).take(60) {
            let counted = eye.counts(&pair);
            prop_assert_ne!(counted[0].0, counted[1].0);
            prop_assert_ne!(counted[0].1, counted[1].1);
            for (answer, (helpful, harmful)) in pair.answers.iter().zip(counted) {
                let merit = |objective| world.merit(objective, &pair.request, answer, usize::MAX);
                prop_assert_eq!(merit(Objective::Helpful), Some(helpful as i64));
                prop_assert_eq!(merit(Objective::Harmless), Some(-(harmful as i64)));
                let words = eye.read(answer);
                prop_assert!((4..=6).contains(&words.len()), "{}", answer);
                let different: HashSet<_> = words.iter().map(|(word, ..)| word).collect();
                prop_assert_eq!(different.len(), words.len(), "{}", answer);
            }
        }
    }
}

#[test]
fn the_knob_says_how_often_the_objectives_conflict() {
    let measured = [0.0, 0.25, 0.5, 0.75, 1.0].map(|conflict| {
        let worlds = (0..4).map(|seed| conflicting(conflict, seed));
        share(worlds.flat_map(|world| {
            let pairs: Vec<_> = world.pairs(Part::Train, 0).take(1000).collect();
            let eye = Eye::new(&world);
            let conflicts = |pair: &RequestPair| {
                let [(helpful, harmful), (other_helpful, other_harmful)] = eye.counts(pair);
                (helpful > other_helpful) == (harmful > other_harmful)
            };
            pairs.iter().map(conflicts).collect::<Vec<_>>()
        }))
    });
    assert_eq!((measured[0], measured[4]), (0.0, 1.0));
    assert!(measured.is_sorted());
    // Four standard errors of 4000 pairs.
    for (measured, conflict) in measured.into_iter().zip([0.0, 0.25, 0.5, 0.75, 1.0]) {
        assert!((measured - conflict).abs() < 0.032, "{measured} {conflict}");
    }
}

#[test]
fn neither_length_nor_place_tells_the_better_answer() {
    let (mut words, mut letters, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for seed in 0..8 {
        let world = conflicting([0.5, 0.9][seed as usize % 2], seed);
        let eye = Eye::new(&world);
        for pair in world.pairs(Part::Train, seed).take(1000) {
            let [one, other] = pair.answers.each_ref();
            let counted = eye.counts(&pair);
            let number = |text: &str| eye.read(text).len();
            for better in [counted[0].0 > counted[1].0, counted[0].1 < counted[1].1] {
                places.push(better);
                if number(one) != number(other) {
                    words.push((number(one) < number(other)) == better);
                }
                if one.len() != other.len() {
                    letters.push((one.len() < other.len()) == better);
                }
            }
        }
    }
    for holds in [places, words, letters] {
        // About four standard errors, of two answers in a pair that go together.
        let share = share(holds.into_iter());
        assert!((share - 0.5).abs() < 0.025, "{share}");
    }
}

#[test]
fn documents_are_of_one_mind_and_long_tailed() {
    let world = world(0);
    let eye = Eye::new(&world);
    let (mut like_minded, mut on_field, mut harmful_documents) = (Vec::new(), Vec::new(), 0);
    let mut frequencies: HashMap<String, usize> = HashMap::new();
    for document in documents(&world).take(3000) {
        let mut kinds = [0, 0];
        let lines: Vec<&str> = document.lines().collect();
        assert_eq!(lines.len(), 6, "{document}");
        for exchange in lines.chunks(2) {
            let request = format!("{}\n", exchange[0]);
            assert_eq!(part_of(&world, &request), Part::Corpus);
            let asked = eye.asked(&request);
            for (word, field, harmful) in eye.read(exchange[1]) {
                on_field.push(field == asked);
                kinds[usize::from(harmful)] += 1;
                if harmful {
                    *frequencies.entry(word.to_owned()).or_default() += 1;
                }
            }
        }
        harmful_documents += usize::from(kinds[1] > kinds[0]);
        like_minded.push(kinds);
    }
    let agreeing: usize = like_minded.iter().map(|kinds| kinds[0].max(kinds[1])).sum();
    let all: usize = like_minded.iter().flatten().sum();
    let agreeing = agreeing as f64 / all as f64;
    assert!((agreeing - 0.95).abs() < 0.01, "{agreeing}");
    let on_field = share(on_field.into_iter());
    assert!((on_field - 0.9).abs() < 0.01, "{on_field}");
    assert!(
        (1400..1600).contains(&harmful_documents),
        "{harmful_documents}"
    );
    // Harmful words have their frequencies: 1 / rank, so that the first tenth makes up nearly half of the text.
    let harmful: usize = frequencies.values().sum();
    let count = |ranks: std::ops::Range<usize>| -> f64 {
        let words = (0..3).flat_map(|field| &world.words(field, true)[ranks.clone()]);
        let counted: usize = words.filter_map(|word| frequencies.get(word)).sum();
        counted as f64 / harmful as f64
    };
    assert!((0.40..0.51).contains(&count(0..5)), "{}", count(0..5));
    assert!((0.13..0.22).contains(&count(25..50)), "{}", count(25..50));
}

#[test]
fn pairs_use_rare_words_more_often_than_documents() {
    let rare = |rare_words: f64| {
        let knobs = RequestsWorld {
            rare_words,
            ..RequestsWorld::default()
        };
        let world = knobs.build(0).unwrap();
        let pairs: Vec<_> = world.pairs(Part::Train, 0).take(1000).collect();
        let answers = pairs.iter().flat_map(|pair| &pair.answers);
        let words = answers.flat_map(|answer| answer.split([' ', ',', '.']));
        let ranks = words.filter_map(|word| world.meanings.get(word));
        share(ranks.map(|meaning| meaning.rank >= 25))
    };
    let shares = [0.0, 0.5, 1.0].map(rare);
    assert!((0.12..0.20).contains(&shares[0]), "{shares:?}");
    assert!((0.29..0.37).contains(&shares[1]), "{shares:?}");
    assert!((0.47..0.52).contains(&shares[2]), "{shares:?}");
}

#[test]
fn parts_never_meet_and_no_request_comes_twice() {
    for seed in 0..3 {
        let world = world(seed);
        let corpus: HashSet<String> = documents(&world)
            .take(3000)
            .flat_map(|document| {
                let lines = document.lines().step_by(2);
                lines.map(|line| format!("{line}\n")).collect::<Vec<_>>()
            })
            .collect();
        let parts = [Part::Train, Part::Validation, Part::Test].map(|part| {
            let requests: Vec<_> = [0, 1]
                .into_iter()
                .flat_map(|seed| world.pairs(part, seed).take(1500))
                .map(|pair| pair.request)
                .collect();
            let different: HashSet<_> = requests[..1500].iter().collect();
            assert_eq!(different.len(), 1500);
            requests.into_iter().collect::<HashSet<_>>()
        });
        let [train, validation, test] = &parts;
        let together: HashSet<_> = [&corpus, train, validation, test]
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(
            together.len(),
            corpus.len() + train.len() + validation.len() + test.len()
        );
    }
}

#[test]
fn there_are_requests_enough_for_an_experiment() {
    let world = world(0);
    let all = |part| world.pairs(part, 0).count();
    assert!(all(Part::Train) > 4_500, "{}", all(Part::Train));
    assert!(all(Part::Test) > 2_200, "{}", all(Part::Test));
    // A longer list begins with the shorter one, and another seed draws other answers.
    let few: Vec<_> = world.pairs(Part::Test, 0).take(20).collect();
    let many: Vec<_> = world.pairs(Part::Test, 0).take(40).collect();
    assert_eq!(few, many[..20]);
    assert_ne!(few, world.pairs(Part::Test, 1).take(20).collect::<Vec<_>>());
    assert_eq!(
        questions(&world, Part::Test, 0)
            .take(20)
            .collect::<Vec<_>>(),
        few.into_iter().map(|pair| pair.request).collect::<Vec<_>>()
    );
}

#[test]
fn partial_readers_are_wrong_where_words_are_rare() {
    let world = world(0);
    let eye = Eye::new(&world);
    let pairs: Vec<_> = world.pairs(Part::Test, 0).take(2000).collect();
    let accuracy = |objective: Objective, known: usize| {
        let right = pairs.iter().map(|pair| {
            let [one, other] = eye.counts(pair);
            let better = match objective {
                Objective::Helpful => usize::from(one.0 < other.0),
                Objective::Harmless => usize::from(one.1 > other.1),
            };
            let read = world.better(objective, pair, known);
            read.map_or(0.5, |read| f64::from(u8::from(read == better)))
        });
        right.sum::<f64>() / pairs.len() as f64
    };
    for objective in [Objective::Harmless, Objective::Helpful] {
        let readers = [usize::MAX, 25, 5, 0].map(|known| accuracy(objective, known));
        assert_eq!((readers[0], readers[3]), (1.0, 0.5), "{objective:?}");
        assert!(
            (0.85..0.90).contains(&readers[1]),
            "{objective:?} {readers:?}"
        );
        assert!(
            (0.70..0.77).contains(&readers[2]),
            "{objective:?} {readers:?}"
        );
    }
}

#[test]
fn what_is_no_request_has_no_answer() {
    let world = world(0);
    let [one, other] = [&world.things[0][0], &world.things[0][1]];
    let foreign = &world.things[1][0];
    let mut stream = Stream::new("test", 0, 0);
    let good = format!("About {one} and {other}:\n");
    assert!(world.answer(&good, &mut stream).is_some());
    for text in [
        format!("About {one} and {other}:"),
        format!("About {one} and {one}:\n"),
        format!("About {one} and {foreign}:\n"),
        format!("About {one}:\n"),
        format!("About {one} and nobody:\n"),
        "Why?".to_owned(),
    ] {
        assert_eq!(world.answer(&text, &mut stream), None, "{text}");
        assert_eq!(
            world.merit(Objective::Helpful, &text, "", 1),
            None,
            "{text}"
        );
    }
}

#[test]
fn impossible_knobs_are_refused() {
    let refused = |knobs: RequestsWorld| knobs.build(0).unwrap_err().to_string();
    let usual = RequestsWorld::default;
    assert_eq!(
        refused(RequestsWorld {
            conflict: 1.5,
            ..usual()
        }),
        "--conflict 1.5: a share between 0 and 1 is needed"
    );
    assert_eq!(
        refused(RequestsWorld {
            fields: 1,
            ..usual()
        }),
        "--fields 1: between 2 and 1000 is possible"
    );
    assert_eq!(
        refused(RequestsWorld {
            answer_words: 0,
            ..usual()
        }),
        "--answer-words 0: between 1 and 1000 is possible"
    );
    assert_eq!(
        refused(RequestsWorld {
            field_zipf: f64::NAN,
            ..usual()
        }),
        "--field-zipf NaN: between 0 and 5 is possible"
    );
    assert_eq!(
        refused(RequestsWorld {
            fields: 1000,
            ..usual()
        }),
        "--fields, --field-words and --field-things make up 180000 words: at most 100000 are possible"
    );
    // The smallest world there is talks, and ends.
    let smallest = RequestsWorld {
        fields: 2,
        field_things: 4,
        field_words: 2,
        answer_words: 1,
        exchanges: 1,
        ..usual()
    };
    let world = smallest.build(0).unwrap();
    assert_eq!(documents(&world).take(50).count(), 50);
    assert!(world.pairs(Part::Train, 0).count() < 24);
}
