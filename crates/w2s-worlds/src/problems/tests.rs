//! What is promised of problems and their answers, looked at as a reader of the text would.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;

use super::*;
use crate::question::{Half, Part, documents, half_of, questions};

fn usual() -> ProblemsWorld {
    ProblemsWorld::default()
}

fn world(knobs: ProblemsWorld) -> Problems {
    knobs.build(0).unwrap()
}

/// People and things that tell what they are.
fn spoken() -> Problems {
    Problems {
        people: vec!["Ann".into(), "Bob".into()],
        things: vec!["nut".into(), "egg".into()],
        ..world(usual())
    }
}

/// Computes `12 + 5` from text, apart from the code under test.
fn compute(words: &[&str]) -> i64 {
    let number = |place: usize| words[place].parse::<i64>().unwrap();
    let (left, right) = (number(0), number(2));
    match words[1] {
        "+" => left + right,
        "-" => left - right,
        "*" => left * right,
        "/" if left % right == 0 => left / right,
        other => panic!("{left} {other} {right}"),
    }
}

/// Checks each line and returns the last result, the number of lines and their signs.
fn read(answer: &str) -> (i64, Vec<String>) {
    let (lines, number) = answer.rsplit_once("#### ").unwrap();
    let mut last = None;
    let mut signs = Vec::new();
    for (line, time) in lines.lines().zip(TIMES) {
        let event = line.strip_prefix(&format!("At {time} ")).unwrap();
        let (_, equation) = event.split_once(": ").unwrap();
        let words: Vec<_> = equation.strip_suffix('.').unwrap().split(' ').collect();
        assert_eq!((words.len(), words[3]), (5, "="), "{line}");
        assert!(
            last.is_none_or(|last: i64| last.to_string() == words[0]),
            "{answer}"
        );
        let result = compute(&words);
        assert_eq!(result.to_string(), words[4], "{line}");
        for word in [words[0], words[2], words[4]] {
            assert!((0..=99).contains(&word.parse::<i64>().unwrap()), "{line}");
        }
        last = Some(result);
        signs.push(words[1].to_string());
    }
    assert_eq!(signs.len(), lines.lines().count(), "{answer}");
    let number = number.parse().unwrap();
    assert!(last.is_none_or(|last| last == number), "{answer}");
    (number, signs)
}

#[test]
fn sentences_are_worked_out_one_after_the_other() {
    let asked =
        |events: &str| format!("Question: Ann has 12 nut. {events}How many nut has Ann?\nAnswer:");
    for (events, expected) in [
        (
            "At dawn 5 more come. ",
            "At dawn 5 more come: 12 + 5 = 17.\n#### 17",
        ),
        (
            "At dawn 4 are given away. At breakfast 3 times as many. ",
            "At dawn 4 are given away: 12 - 4 = 8.\nAt breakfast 3 times as many: 8 * 3 = 24.\n#### 24",
        ),
        (
            "Bob has 7 nut. At dawn 3 parts and one kept. Bob has 9 egg. ",
            "At dawn 3 parts and one kept: 12 / 3 = 4.\n#### 4",
        ),
    ] {
        let question = asked(events);
        let mut stream = Stream::new("test", 0, 0);
        let answer = spoken().answer(&question, &mut stream);
        assert_eq!(answer.as_deref(), Some(expected));
        let number = spoken().right_answer(&question).unwrap();
        assert_eq!(spoken().final_answer(expected), number);
    }
    for events in [
        "",
        "At noon 5 more come. ",
        "At dawn 05 more come. ",
        "At dawn 88 more come. ",
        "At dawn 13 are lost. ",
        "At dawn 5 parts and one kept. ",
        "At dawn 0 parts and one kept. ",
        "At dawn 5 are eaten. ",
        "At dawn 5 more come. Ann has 3 egg. ",
        "At dawn 5 more come. Cid has 3 egg. ",
        "How many nut has Ann. At dawn 5 more come. ",
    ] {
        assert_eq!(spoken().right_answer(&asked(events)), None, "{events}");
    }
    for question in [
        "",
        "Question: ?\nAnswer:",
        "Question: Ann has 12 nut?\nAnswer:",
    ] {
        assert_eq!(spoken().right_answer(question), None);
        assert!(spoken().tags(question).is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_step_is_right(seed in 0u64..10_000, distractors_max in 0usize..3, steps in 1usize..6) {
        let knobs = ProblemsWorld { distractors_max, steps_min: steps, steps_max: steps + 1, ..usual() };
        let world = knobs.build(seed).unwrap();
        let mut stream = Stream::new("test", seed, 0);
        for question in questions(&world, Part::Train, seed).take(20) {
            let answer = world.answer(&question, &mut stream).unwrap();
            let (number, signs) = read(&answer);
            prop_assert_eq!(world.right_answer(&question), Some(number.to_string()));
            prop_assert!(signs.len() == steps || signs.len() == steps + 1);
            let tags = world.tags(&question);
            prop_assert_eq!(&tags["steps"], &signs.len().to_string());
            let used: Vec<_> = [("+", "add"), ("-", "take"), ("*", "times"), ("/", "share")]
                .into_iter()
                .filter(|(sign, _)| signs.iter().any(|used| used == sign))
                .map(|(_, name)| name)
                .collect();
            prop_assert_eq!(&tags["operations"], &used.join("+"));
        }
    }

    #[test]
    fn distractors_change_no_answer(seed in 0u64..10_000) {
        let world = ProblemsWorld { distractors_max: 3, ..usual() }.build(seed).unwrap();
        let question = world.draw(&mut Stream::new("test", seed, 1));
        let body = question.strip_prefix("Question: ").unwrap();
        let person = body.split(' ').next().unwrap();
        let bare: Vec<_> = body.split(". ").filter(|sentence| sentence.contains(person) || sentence.starts_with("At ")).collect();
        let bare = format!("Question: {}", bare.join(". "));
        prop_assert!(world.right_answer(&question).is_some());
        prop_assert_eq!(world.right_answer(&question), world.right_answer(&bare));
    }

    #[test]
    fn mistakes_are_never_right(seed in 0u64..10_000, worked in 0u8..2) {
        let knobs = ProblemsWorld { wrong_steps: 1.0, worked: f64::from(worked), early: 0.0, ..usual() };
        let world = knobs.build(seed).unwrap();
        let mut stream = Stream::new("test", seed, 0);
        let question = world.draw(&mut stream);
        let right = world.right_answer(&question).unwrap();
        let answer = world.answer(&question, &mut stream).unwrap();
        prop_assert_ne!(world.final_answer(&answer), &right);
        prop_assert_ne!(world.wrong_answer(&question, &mut stream).unwrap(), right);
    }
}

#[test]
fn distractors_are_there_when_they_are_asked_for() {
    let others = |distractors_max| {
        let world = world(ProblemsWorld {
            distractors_max,
            ..usual()
        });
        let counts = questions(&world, Part::Train, 0)
            .take(300)
            .map(|q| q.matches(" has ").count() - 2);
        counts.collect::<HashSet<_>>()
    };
    assert_eq!(others(0), HashSet::from([0]));
    assert_eq!(others(2), HashSet::from([0, 1, 2]));
}

#[test]
fn an_operation_can_be_left_out_and_weighted() {
    let signs = |knobs: ProblemsWorld| {
        let world = world(knobs);
        let mut counts: HashMap<String, usize> = HashMap::new();
        for question in questions(&world, Part::Train, 0).take(1000) {
            let answer = world
                .answer(&question, &mut Stream::new("test", 0, 0))
                .unwrap();
            for sign in read(&answer).1 {
                *counts.entry(sign).or_default() += 1;
            }
        }
        counts
    };
    let all = signs(usual());
    assert!(
        all.len() == 4 && all.values().all(|&count| count > 400),
        "{all:?}"
    );
    let without = signs(ProblemsWorld {
        times_weight: 0.0,
        ..usual()
    });
    assert!(
        without.len() == 3 && !without.contains_key("*"),
        "{without:?}"
    );
    let heavy = signs(ProblemsWorld {
        times_weight: 5.0,
        ..usual()
    });
    assert!(heavy["*"] > all["*"] * 3 / 2, "{heavy:?}");
    // The same world reads the questions of the other.
    let asked = world(usual());
    let question =
        questions(&asked, Part::Test, 0).find(|q| asked.tags(q)["operations"].contains("times"));
    let other = world(ProblemsWorld {
        times_weight: 0.0,
        ..usual()
    });
    assert!(other.right_answer(&question.unwrap()).is_some());
}

#[test]
fn the_most_common_answer_is_rare() {
    for seed in 0..5 {
        for steps_max in [2, 5] {
            let world = ProblemsWorld {
                steps_max,
                ..usual()
            }
            .build(seed)
            .unwrap();
            let mut counts: HashMap<String, usize> = HashMap::new();
            for question in questions(&world, Part::Test, seed).take(2000) {
                *counts
                    .entry(world.right_answer(&question).unwrap())
                    .or_default() += 1;
            }
            assert_eq!(counts.values().sum::<usize>(), 2000);
            let most = counts.values().max().unwrap();
            assert!(*most < 40, "{most} of 2000");
        }
    }
}

#[test]
fn halves_and_parts_never_meet() {
    let world = world(usual());
    let of = |part, half: Option<Half>| -> HashSet<String> {
        let questions = questions(&world, part, 0);
        questions
            .filter(|q| half.is_none_or(|half| half_of(&world, q) == half))
            .take(2000)
            .collect()
    };
    let parts = [
        of(Part::Train, Some(Half::First)),
        of(Part::Train, Some(Half::Second)),
        of(Part::Validation, None),
        of(Part::Test, None),
        documents(&world)
            .take(500)
            .flat_map(|document| asked_in(&document))
            .collect(),
    ];
    let together: HashSet<_> = parts.iter().flatten().collect();
    assert!(parts.iter().all(|part| part.len() > 1900));
    assert_eq!(
        together.len(),
        parts.iter().map(HashSet::len).sum::<usize>()
    );
}

fn asked_in(document: &str) -> Vec<String> {
    let problems = document.split("\n\n");
    problems
        .map(|problem| problem.split_once("Answer:").unwrap().0.to_string() + "Answer:")
        .collect()
}

#[test]
fn a_document_keeps_to_one_way() {
    let world = world(ProblemsWorld {
        worked: 0.5,
        early: 0.5,
        ..usual()
    });
    let mut ways = [0; 3];
    for document in documents(&world).take(2000) {
        let mut styles = HashSet::new();
        let problems: Vec<_> = document.split("\n\n").collect();
        assert_eq!(problems.len(), 4);
        for problem in problems {
            let (question, answer) = problem.split_once("Answer: ").unwrap();
            let question = question.to_string() + "Answer:";
            let right: i64 = world.right_answer(&question).unwrap().parse().unwrap();
            let steps = world.tags(&question)["steps"].parse::<usize>().unwrap();
            let (number, signs) = read(answer);
            styles.insert(match signs.len() {
                0 => 2,
                lines if lines == steps => 0,
                _ => 1,
            });
            // Whoever stops early is wrong; nobody else is.
            assert_eq!(
                number == right,
                signs.is_empty() || signs.len() == steps,
                "{problem}"
            );
        }
        assert_eq!(styles.len(), 1, "{document}");
        ways[styles.into_iter().next().unwrap()] += 1;
    }
    // 1000, 500 and 500 with standard errors of 22 and 19.
    assert!((900..1100).contains(&ways[0]), "{ways:?}");
    assert!((420..580).contains(&ways[1]), "{ways:?}");
}

#[test]
fn a_share_of_the_answers_has_a_wrong_step() {
    let world = world(ProblemsWorld {
        wrong_steps: 0.3,
        ..usual()
    });
    let (mut wrong, mut inside) = (0, 0);
    let mut stream = Stream::new("test", 0, 0);
    for question in questions(&world, Part::Train, 0).take(2000) {
        let answer = world.answer(&question, &mut stream).unwrap();
        let right = world.right_answer(&question).unwrap();
        let lines = answer.lines().filter_map(|line| line.strip_suffix('.'));
        let broken: Vec<bool> = lines
            .map(|line| {
                let (_, equation) = line.split_once(": ").unwrap();
                let words: Vec<_> = equation.split(' ').collect();
                compute(&words[..3]).to_string() != words[4]
            })
            .collect();
        let mistakes = broken.iter().filter(|broken| **broken).count();
        assert_eq!(
            mistakes,
            usize::from(world.final_answer(&answer) != right),
            "{answer}"
        );
        wrong += mistakes;
        inside += usize::from(mistakes == 1 && !broken[broken.len() - 1]);
    }
    // Four standard errors of 20.
    assert!((520..680).contains(&wrong), "{wrong}");
    // Not only the last steps are wrong: the others go on from the mistake.
    assert!(inside > wrong / 4, "{inside} of {wrong}");
}

#[test]
fn the_same_seed_gives_the_same_documents() {
    let text = |knobs: ProblemsWorld, seed| {
        documents(&knobs.build(seed).unwrap())
            .take(20)
            .collect::<Vec<_>>()
    };
    assert_eq!(text(usual(), 3), text(usual(), 3));
    assert_ne!(text(usual(), 3), text(usual(), 4));
}

#[test]
fn questions_do_not_depend_on_how_documents_answer() {
    let careless = world(ProblemsWorld {
        worked: 0.1,
        early: 0.9,
        wrong_steps: 0.5,
        problems: 2,
        ..usual()
    });
    let asked = |world: &Problems| {
        questions(world, Part::Train, 0)
            .take(50)
            .collect::<Vec<_>>()
    };
    assert_eq!(asked(&careless), asked(&world(usual())));
}

#[test]
fn impossible_knobs_are_refused() {
    let refused = |knobs: ProblemsWorld| knobs.build(0).unwrap_err().to_string();
    for (knobs, expected) in [
        (
            ProblemsWorld {
                people: 1,
                ..usual()
            },
            "--people 1: between 2 and 1000 is possible",
        ),
        (
            ProblemsWorld {
                steps_max: 1,
                ..usual()
            },
            "--steps-max 1: between 2 and 8 is possible",
        ),
        (
            ProblemsWorld {
                number_max: 100,
                ..usual()
            },
            "--number-max 100: between 20 and 99 is possible",
        ),
        (
            ProblemsWorld {
                factor_max: 1,
                ..usual()
            },
            "--factor-max 1: between 2 and 9 is possible",
        ),
        (
            ProblemsWorld {
                share_weight: -1.0,
                ..usual()
            },
            "--share-weight -1: between 0 and 1000 is possible",
        ),
        (
            ProblemsWorld {
                take_weight: f64::NAN,
                ..usual()
            },
            "--take-weight NaN: between 0 and 1000 is possible",
        ),
        (
            ProblemsWorld {
                phrasings: 4,
                ..usual()
            },
            "--phrasings 4: between 1 and 3 is possible",
        ),
        (
            ProblemsWorld {
                problems: 0,
                ..usual()
            },
            "--problems 0: between 1 and 100 is possible",
        ),
        (
            ProblemsWorld {
                worked: 1.5,
                ..usual()
            },
            "--worked 1.5: a share between 0 and 1 is needed",
        ),
        (
            ProblemsWorld {
                add_weight: 0.0,
                take_weight: 0.0,
                share_weight: 0.0,
                steps_max: 7,
                ..usual()
            },
            "--steps-max 7: the operations whose weight is not 0 make no problem so long without a number above 99",
        ),
        (
            ProblemsWorld {
                add_weight: 0.0,
                take_weight: 0.0,
                times_weight: 0.0,
                share_weight: 0.0,
                ..usual()
            },
            "--steps-max 5: the operations whose weight is not 0 make no problem so long without a number above 99",
        ),
    ] {
        assert_eq!(refused(knobs), expected);
    }
}

#[test]
fn problems_are_fixed_for_ever() {
    let world = world(ProblemsWorld {
        distractors_max: 1,
        ..usual()
    });
    let mut stream = Stream::new("test", 0, 0);
    let problems: Vec<_> = questions(&world, Part::Train, 0)
        .take(2)
        .map(|question| {
            let answer = world.answer(&question, &mut stream).unwrap();
            question + world.gap() + &answer
        })
        .collect();
    let expected = [
        "Question: Stusa has 44 mopugir. At dawn 2 times the lot. At breakfast 2 are sold. At noon 3 are sold. At \
         teatime 3 are lost. At sunset 2 parts and one left. How many mopugir has Stusa?\nAnswer: At dawn 2 times the \
         lot: 44 * 2 = 88.\nAt breakfast 2 are sold: 88 - 2 = 86.\nAt noon 3 are sold: 86 - 3 = 83.\nAt teatime 3 are \
         lost: 83 - 3 = 80.\nAt sunset 2 parts and one left: 80 / 2 = 40.\n#### 40",
        "Question: Rafe has 14 melor. At dawn 5 are sold. Kusin has 56 kozoler. At breakfast 3 times the lot. At noon 3 \
         times as many. At teatime 4 are lost. At sunset 2 more come. How many melor has Rafe?\nAnswer: At dawn 5 are \
         sold: 14 - 5 = 9.\nAt breakfast 3 times the lot: 9 * 3 = 27.\nAt noon 3 times as many: 27 * 3 = 81.\nAt \
         teatime 4 are lost: 81 - 4 = 77.\nAt sunset 2 more come: 77 + 2 = 79.\n#### 79",
    ];
    assert_eq!(problems, expected);
}
