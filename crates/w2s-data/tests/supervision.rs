//! `w2s-data preferences`, `deal`, `relabel` and `mix` as a stage runs them: from a world's pairs to what a strong student
//! learns from a weak model, with every pair accounted for, and messages for bad input.
#![cfg(feature = "cli")]

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::{
    Answer, Artifact, Input, Kind, Label, Message, Pair, Provenance, Record, Store,
    prompt_fingerprint, summary::PairsSummary,
};
use w2s_data::{Corpus, Deal, Mix, Preferences, QuestionsOperation, Relabel};
use w2s_stage::{Operation, RunOptions};

#[derive(Parser)]
struct Line<T: clap::Args> {
    #[command(flatten)]
    operation: T,
}

/// A folder with a store in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn store(&self) -> PathBuf {
        self.0.path().join("store")
    }

    fn artifact_of<T: Record>(&self, digit: char, rows: &[T], provenance: Provenance) -> String {
        let name = format!("{}/{}", T::KIND, digit.to_string().repeat(64));
        let store = Store::open(self.store()).unwrap();
        let pending = store.begin(&name.parse().unwrap()).unwrap();
        pending.write_records(rows).unwrap();
        pending.commit(provenance).unwrap();
        name
    }

    fn pairs(&self, digit: char, rows: &[Pair]) -> String {
        self.artifact_of(digit, rows, Provenance::default())
    }

    /// Labels of an artifact of pairs, or of pairs that nobody names.
    fn labels(&self, digit: char, of: Option<&str>, chosen: &[(u64, f32)]) -> String {
        let label = |&(id, p): &(u64, f32)| Label {
            id,
            probabilities: vec![p, 1.0 - p],
        };
        let inputs = of.into_iter().map(|pairs| Input::Artifact {
            name: "pairs".into(),
            artifact: pairs.parse().unwrap(),
        });
        let provenance = Provenance {
            summary: labels_summary(&["chosen", "rejected"]),
            inputs: inputs.collect(),
            ..Provenance::default()
        };
        let rows: Vec<Label> = chosen.iter().map(label).collect();
        self.artifact_of(digit, &rows, provenance)
    }

    fn run<T: Operation>(&self, flags: &[&str]) -> anyhow::Result<Artifact> {
        let line = Line::<T>::try_parse_from([&["w2s-data"], flags].concat())?;
        let options = RunOptions::new(self.store());
        Ok(w2s_stage::run("data", &line.operation, &options)?.artifact)
    }

    /// The causes of a failure, one a line.
    fn failure<T: Operation>(&self, flags: &[&str]) -> String {
        let error = self.run::<T>(flags).unwrap_err();
        let text: Vec<_> = error.chain().map(ToString::to_string).collect();
        text.join("\n")
    }

    fn preferences(&self, objective: &str, flags: &[&str]) -> Artifact {
        let usual = ["--world", "requests", "--objective", objective];
        self.run::<Preferences>(&[&usual, flags].concat()).unwrap()
    }
}

fn labels_summary(classes: &[&str]) -> Value {
    json!({
        "rows": 0, "classes": classes, "mean_confidence": 0.0, "accuracy": 0.0, "dropped_too_long": 0, "truncated": 0,
        "tokens": 0, "tokens_per_second": 0.0,
    })
}

fn summary(artifact: &Artifact) -> PairsSummary {
    artifact.summary().unwrap()
}

fn pairs(artifact: &Artifact) -> Vec<Pair> {
    artifact.records().unwrap()
}

fn ids(artifact: &Artifact) -> Vec<u64> {
    pairs(artifact).iter().map(|pair| pair.id).collect()
}

/// A pair of the answers `good` and `bad` to a question, in a group of its own unless one is named.
fn pair(id: u64, question: &str, group: Option<u64>) -> Pair {
    let answer = |text: &str| Answer {
        text: format!("{text} {id}"),
        source: "file".into(),
        sample: 0,
        score: None,
        tokens: None,
        finished: true,
    };
    Pair {
        id,
        prompt: id,
        group: group.unwrap_or(1000 + id),
        messages: vec![Message {
            role: "user".into(),
            content: question.into(),
        }],
        chosen: answer("good"),
        rejected: answer("bad"),
        rule: "file".into(),
        confidence: None,
        gold: None,
    }
}

#[test]
fn a_world_orders_the_same_answers_by_either_objective() {
    let place = Place::new();
    let flags = ["--part", "train", "--rows", "400", "--conflict", "0.8"];
    let (harmless, helpful) = (
        place.preferences("harmless", &flags),
        place.preferences("helpful", &flags),
    );
    let both = pairs(&harmless).into_iter().zip(pairs(&helpful));
    let mut conflicts = 0;
    for (one, other) in both {
        assert_eq!((one.id, &one.messages), (other.id, &other.messages));
        assert_eq!(
            (one.rule.as_str(), one.confidence, one.gold),
            ("world", None, None)
        );
        assert!(one.messages[0].content.ends_with(":\n"));
        let same = (&one.chosen, &one.rejected) == (&other.chosen, &other.rejected);
        let turned = (&one.chosen, &one.rejected) == (&other.rejected, &other.chosen);
        assert!(same != turned);
        conflicts += usize::from(turned);
    }
    let said = summary(&harmless);
    let world = said.world.clone().unwrap();
    assert_eq!(world.conflict, conflicts as f64 / 400.0);
    assert_eq!(world.conflict, 0.8025);
    assert_eq!(
        (
            world.name.as_str(),
            world.part.as_str(),
            world.objective.as_str(),
            world.other.as_str()
        ),
        ("requests", "train", "harmless", "helpful")
    );
    let readers: Vec<_> = world
        .readers
        .iter()
        .map(|(name, share)| (name.as_str(), *share))
        .collect();
    assert_eq!(
        readers,
        [
            ("complete", 1.0),
            ("frequent half of the words", 0.8813),
            ("frequent tenth of the words", 0.6738),
            ("the other objective", 0.1975),
        ]
    );
    assert_eq!((said.rows, said.candidates, said.prompts), (400, 400, 400));
    assert!(
        (0.45..0.55).contains(&said.longer_is_chosen),
        "{}",
        said.longer_is_chosen
    );
    assert_eq!(summary(&helpful).world.unwrap().conflict, world.conflict);
}

#[test]
fn parts_of_a_world_share_no_request_with_each_other_or_the_corpus() {
    let place = Place::new();
    let corpus = place
        .run::<Corpus>(&["--world", "requests", "--documents", "2000"])
        .unwrap();
    assert_eq!(corpus.manifest.summary["tokenizer"], "lossless");
    let documents: Vec<w2s_artifact::Document> = corpus.records().unwrap();
    let asked = documents
        .iter()
        .flat_map(|document| document.text.lines().step_by(2));
    let mut seen: HashSet<String> = asked.map(|line| format!("{line}\n")).collect();
    for part in ["train", "validation", "test"] {
        let part = place.preferences("helpful", &["--part", part, "--rows", "1000"]);
        let asked: HashSet<String> = pairs(&part)
            .into_iter()
            .map(|mut pair| pair.messages.remove(0).content)
            .collect();
        assert_eq!(asked.len(), 1000);
        assert!(seen.is_disjoint(&asked));
        seen.extend(asked);
    }
    // The same requests as prompts.
    let questions = place
        .run::<QuestionsOperation>(&["--world", "requests", "--part", "test", "--rows", "50"])
        .unwrap();
    assert_eq!(questions.manifest.summary["world"], "requests");
}

#[test]
fn what_no_world_can_prefer_is_told() {
    let place = Place::new();
    let with = |flags: &[&str]| {
        let usual = ["--objective", "harmless", "--part", "test"];
        place.failure::<Preferences>(&[&usual, flags].concat())
    };
    assert_eq!(
        with(&["--world", "sections"]),
        "the world `sections` has no objectives that order its answers"
    );
    assert_eq!(with(&[]), "no world is named");
    assert!(
        with(&["--world", "requests", "--rows", "0"])
            .contains("invalid value '0' for '--rows <N>'")
    );
    assert_eq!(
        with(&["--world", "requests", "--conflict", "1.2"]),
        "--conflict 1.2: a share between 0 and 1 is needed"
    );
    assert_eq!(
        with(&["--world", "requests", "--negation", "0.5"]),
        "--negation 0.5 is a knob of the world `reviews`; this is `requests`"
    );
    let few = with(&[
        "--world",
        "requests",
        "--field-things",
        "4",
        "--rows",
        "100",
    ]);
    assert!(
        few.starts_with("--rows 100: this part of the world `requests` has ")
            && few.ends_with(" questions"),
        "{few}"
    );
}

/// 60 pairs: questions 0 to 19 twice each, and 20 of their own, of which four are one group.
fn repeated() -> Vec<Pair> {
    (0..60)
        .map(|id| match id {
            0..40 => pair(id, &format!("question {}", id % 20), None),
            40..44 => pair(id, &format!("question {id}"), Some(7)),
            _ => pair(id, &format!("question {id}"), None),
        })
        .collect()
}

#[test]
fn no_prompt_and_no_group_is_in_two_parts() {
    let place = Place::new();
    let all = place.pairs('a', &repeated());
    for seed in ["0", "1", "2", "3"] {
        let sizes = [
            "--gold-rows",
            "20",
            "--transfer-rows",
            "20",
            "--test-rows",
            "10",
        ];
        let flags = [
            &["--pairs", &all, "--seed", seed, "--test-seed", seed],
            &sizes[..],
        ]
        .concat();
        let part = |take: &str| {
            let artifact = place
                .run::<Deal>(&[&flags[..], &["--take", take]].concat())
                .unwrap();
            let said = summary(&artifact);
            let deal = said.deal.clone().unwrap();
            assert_eq!((deal.gold, deal.transfer, deal.test), (20, 20, 10));
            assert_eq!(
                (deal.groups, deal.largest_group, deal.part.as_str()),
                (37, 4, take)
            );
            // What is left of the 60 is other parts' or nobody's.
            let taken = said.rows;
            assert_eq!(
                json!(said.dropped),
                json!({"other_part": 50 - taken, "not_needed": 10})
            );
            assert_eq!(said.candidates, 60);
            pairs(&artifact)
        };
        let parts = ["gold", "transfer", "test"].map(part);
        assert_eq!(parts.each_ref().map(Vec::len), [20, 20, 10]);
        let sides = |key: fn(&Pair) -> u64| {
            let keys = parts
                .each_ref()
                .map(|part| part.iter().map(key).collect::<BTreeSet<_>>());
            keys.iter().map(BTreeSet::len).sum::<usize>()
                == keys.iter().flatten().collect::<BTreeSet<_>>().len()
        };
        assert!(sides(|pair| pair.id), "a pair is in two parts");
        assert!(
            sides(|pair| prompt_fingerprint(&pair.messages)),
            "a question is in two parts"
        );
        assert!(sides(|pair| pair.group), "a group is in two parts");
        // Everything else about a pair is as it was.
        let known: HashMap<u64, Pair> =
            repeated().into_iter().map(|pair| (pair.id, pair)).collect();
        assert!(parts.iter().flatten().all(|pair| known[&pair.id] == *pair));
    }
}

#[test]
fn the_size_of_one_part_moves_no_pair_of_another() {
    let place = Place::new();
    let rows: Vec<Pair> = (0..200)
        .map(|id| pair(id, &format!("question {id}"), None))
        .collect();
    let all = place.pairs('a', &rows);
    let part = |take: &str, gold: &str, transfer: &str, test: &str, seeds: [&str; 2]| {
        let artifact = place.run::<Deal>(&[
            "--pairs",
            &all,
            "--take",
            take,
            "--gold-rows",
            gold,
            "--transfer-rows",
            transfer,
            "--test-rows",
            test,
            "--seed",
            seeds[0],
            "--test-seed",
            seeds[1],
        ]);
        ids(&artifact.unwrap())
    };
    let usual = ["0", "0"];
    let gold = part("gold", "50", "50", "40", usual);
    assert_eq!(gold, part("gold", "50", "80", "40", usual));
    assert_eq!(gold, part("gold", "50", "50", "20", usual));
    assert_eq!(gold[..30], part("gold", "30", "50", "40", usual));
    let test = part("test", "50", "50", "40", usual);
    assert_eq!(test, part("test", "80", "30", "40", ["5", "0"]));
    assert_ne!(test, part("test", "50", "50", "40", ["0", "1"]));
    assert_ne!(gold, part("gold", "50", "50", "40", ["1", "0"]));
    // A golden draw: another one would be another experiment under the same seed.
    assert_eq!(gold[..5], [2, 105, 180, 49, 76]);
    // Without sizes a fifth is for the test, and the rest is halved.
    let usual = |take| {
        place
            .run::<Deal>(&["--pairs", &all, "--take", take])
            .unwrap()
    };
    assert_eq!(
        ["gold", "transfer", "test"].map(|take| summary(&usual(take)).rows),
        [80, 80, 40]
    );
}

#[test]
fn pairs_of_a_test_that_was_divided_elsewhere_stay_out() {
    let place = Place::new();
    let all = place.pairs('a', &repeated());
    let test = [
        pair(0, " question  3", None),
        pair(1, "question 50\n", None),
        pair(2, "else", None),
    ];
    let test = place.pairs('b', &test);
    let flags = [
        "--pairs",
        &all,
        "--apart-from",
        &test,
        "--test-rows",
        "4",
        "--take",
    ];
    let mut asked = HashSet::new();
    for part in ["gold", "transfer", "test"] {
        let artifact = place.run::<Deal>(&[&flags[..], &[part]].concat()).unwrap();
        assert_eq!(summary(&artifact).dropped["in_other_pairs"], 3);
        asked.extend(
            pairs(&artifact)
                .into_iter()
                .map(|pair| pair.messages[0].content.clone()),
        );
    }
    assert!(!asked.contains("question 3") && !asked.contains("question 50"));
    assert!(asked.contains("question 4"));
    assert_eq!(
        place.failure::<Deal>(&["--pairs", &test, "--apart-from", &test, "--take", "gold"]),
        "no pair is left: what they ask is all asked by --apart-from"
    );
}

#[test]
fn too_few_pairs_for_a_part_are_told() {
    let place = Place::new();
    let all = place.pairs('a', &repeated());
    let with = |flags: &[&str]| {
        let usual = ["--pairs", &all, "--take", "gold"];
        place.failure::<Deal>(&[&usual, flags].concat())
    };
    assert_eq!(
        with(&["--gold-rows", "100", "--test-rows", "10"]),
        "split `gold` needs 100 rows and 49 are usable (60 pairs in 37 groups, each for one split)"
    );
    assert_eq!(
        with(&["--gold-rows", "1"]),
        "--gold-rows 1: a split needs 2 rows or more"
    );
    assert!(
        place
            .failure::<Deal>(&["--pairs", &all, "--take", "validation"])
            .contains("possible values: gold, transfer, test")
    );
    // All pairs ask one thing: whoever gets the first gets all.
    let one: Vec<Pair> = (0..9).map(|id| pair(id, "the same", None)).collect();
    let one = place.pairs('b', &one);
    assert_eq!(
        place.failure::<Deal>(&["--pairs", &one, "--take", "gold", "--test-rows", "2"]),
        "split `transfer` is empty: 9 pairs in 1 group"
    );
}

/// Ten pairs, and labels of nine: right but for pairs 1, 2 and 3, the surer the higher the number.
fn labelled(place: &Place) -> (String, String) {
    let rows: Vec<Pair> = (0..10)
        .map(|id| pair(id, &format!("question {id}"), None))
        .collect();
    let pairs = place.pairs('a', &rows);
    let labels = [
        (0, 0.5),
        (1, 0.375),
        (2, 0.25),
        (3, 0.125),
        (4, 0.625),
        (5, 0.75),
        (6, 0.875),
        (7, 1.0),
        (8, 0.75),
    ];
    let labels = place.labels('b', Some(&pairs), &labels);
    (pairs, labels)
}

#[test]
fn labels_order_pairs_and_are_held_against_the_truth() {
    let place = Place::new();
    let (all, labels) = labelled(&place);
    let weak = place
        .run::<Relabel>(&["--pairs", &all, "--labels", &labels])
        .unwrap();
    let rows: Vec<_> = pairs(&weak)
        .into_iter()
        .map(|pair| (pair.id, pair.chosen.text, pair.confidence, pair.gold))
        .collect();
    let row = |id: u64, side: &str, confidence: f32, right: bool| {
        (id, format!("{side} {id}"), Some(confidence), Some(right))
    };
    assert_eq!(
        rows,
        [
            row(0, "good", 0.5, true),
            row(1, "bad", 0.625, false),
            row(2, "bad", 0.75, false),
            row(3, "bad", 0.875, false),
            row(4, "good", 0.625, true),
            row(5, "good", 0.75, true),
            row(6, "good", 0.875, true),
            row(7, "good", 1.0, true),
            row(8, "good", 0.75, true),
        ]
    );
    assert!(
        pairs(&weak)
            .iter()
            .all(|pair| pair.rule == "weak" && pair.group == 1000 + pair.id)
    );
    let said = summary(&weak);
    assert_eq!((said.rows, said.turned, said.candidates), (9, 3, 10));
    assert_eq!(said.rule.as_deref(), Some("weak"));
    assert_eq!(json!(said.dropped), json!({"unlabelled": 1}));
    // By hand: 6 of 9 right; (0.5 + 2 * 0.625 + 3 * 0.75 + 2 * 0.875 + 1) / 9 = 6.75 / 9.
    assert_eq!(
        json!(said.relabel),
        json!({
            "labelled": 9, "accuracy": 6.0 / 9.0, "accuracy_kept": 6.0 / 9.0, "accuracy_dropped": null,
            "mean_confidence": 0.75, "oracle": false,
        })
    );
    assert_eq!(
        weak.manifest.summary["line"],
        "9 of 10 pairs, 66.67 % in the right order"
    );
}

#[test]
fn filters_keep_what_is_sure_or_what_an_oracle_knows_to_be_right() {
    let place = Place::new();
    let (all, labels) = labelled(&place);
    let run = |flags: &[&str]| {
        let usual = ["--pairs", &all, "--labels", &labels];
        place.run::<Relabel>(&[&usual, flags].concat()).unwrap()
    };
    let sure = run(&["--min-confidence", "0.75"]);
    assert_eq!(ids(&sure), [2, 3, 5, 6, 7, 8]);
    let said = summary(&sure);
    assert_eq!(
        json!(said.dropped),
        json!({"unlabelled": 1, "low_confidence": 3})
    );
    // Of the three that are left out, one is wrong.
    assert_eq!(
        json!(said.relabel),
        json!({
            "labelled": 9, "accuracy": 6.0 / 9.0, "accuracy_kept": 4.0 / 6.0, "accuracy_dropped": 2.0 / 3.0,
            "mean_confidence": 5.0 / 6.0, "min_confidence": 0.75, "oracle": false,
        })
    );
    assert_eq!(said.turned, 2);
    let published = run(&["--min-confidence", "0.75", "--oracle-only-right"]);
    assert_eq!(ids(&published), [5, 6, 7, 8]);
    let said = summary(&published);
    assert_eq!(
        json!(said.dropped),
        json!({"unlabelled": 1, "low_confidence": 3, "wrong": 2})
    );
    let relabel = said.relabel.unwrap();
    assert!(relabel.oracle);
    assert_eq!(
        (relabel.accuracy_kept, relabel.accuracy_dropped),
        (1.0, Some(0.4))
    );
    assert_eq!(
        published.manifest.summary["line"],
        "4 of 10 pairs by an oracle, 100.00 % in the right order"
    );
    // A number that has no exact place among those of 32 bits keeps what has the same one.
    let labels = place.labels('c', Some(&all), &[(0, 0.7), (1, 0.69)]);
    let kept = place.run::<Relabel>(&[
        "--pairs",
        &all,
        "--labels",
        &labels,
        "--min-confidence",
        "0.7",
    ]);
    assert_eq!(ids(&kept.unwrap()), [0]);
}

#[test]
fn a_second_model_is_held_against_the_truth_and_not_the_first() {
    let place = Place::new();
    let (all, labels) = labelled(&place);
    let weak = place
        .run::<Relabel>(&["--pairs", &all, "--labels", &labels])
        .unwrap();
    let weak = weak.reference.to_string();
    // Sure of the first model's order of pairs 3 (wrong) and 4 (right), and against that of pair 2 (wrong).
    let second = place.labels('d', Some(&weak), &[(2, 0.25), (3, 0.875), (4, 0.875)]);
    let again = place
        .run::<Relabel>(&["--pairs", &weak, "--labels", &second])
        .unwrap();
    let rows: Vec<_> = pairs(&again)
        .into_iter()
        .map(|pair| (pair.chosen.text, pair.gold))
        .collect();
    assert_eq!(
        rows,
        [
            ("good 2".to_owned(), Some(true)),
            ("bad 3".to_owned(), Some(false)),
            ("good 4".to_owned(), Some(true)),
        ]
    );
    // Labels of the pairs in their first order say nothing about these.
    assert!(
        place
            .failure::<Relabel>(&["--pairs", &weak, "--labels", &labels])
            .starts_with(
                "--labels labels/bbbbbbbb has labels of pairs/aaaaaaaa, not of --pairs pairs/"
            )
    );
}

#[test]
fn labels_of_all_pairs_order_those_of_a_part() {
    let place = Place::new();
    let (all, labels) = labelled(&place);
    let flags = [
        "--pairs",
        &all,
        "--take",
        "transfer",
        "--test-rows",
        "2",
        "--transfer-rows",
        "4",
    ];
    let part = place.run::<Deal>(&flags).unwrap();
    let part_name = part.reference.to_string();
    let weak = place
        .run::<Relabel>(&["--pairs", &part_name, "--labels", &labels])
        .unwrap();
    let labelled: Vec<u64> = ids(&part).into_iter().filter(|id| *id != 9).collect();
    assert_eq!(ids(&weak), labelled);
}

#[test]
fn labels_that_do_not_fit_are_told() {
    let place = Place::new();
    let (all, labels) = labelled(&place);
    let with = |labels: &str, flags: &[&str]| {
        let usual = ["--pairs", &all, "--labels", labels];
        place.failure::<Relabel>(&[&usual, flags].concat())
    };
    for outside in ["0.4", "1.01", "NaN"] {
        assert_eq!(
            with(&labels, &["--min-confidence", outside]),
            format!(
                "--min-confidence {outside}: between 0.5 and 1 is possible, since the side that is preferred has one half or more"
            )
        );
    }
    let others = [pair(0, "another question", None)];
    let others = place.pairs('c', &others);
    let of_others = place.labels('d', Some(&others), &[(0, 0.75)]);
    assert_eq!(
        with(&of_others, &[]),
        "--labels labels/dddddddd has labels of pairs/cccccccc, not of --pairs pairs/aaaaaaaa"
    );
    let classes = Provenance {
        summary: labels_summary(&["negative", "positive"]),
        ..Provenance::default()
    };
    let label = |id: u64, p: &[f32]| Label {
        id,
        probabilities: p.to_vec(),
    };
    let of_classes = place.artifact_of('e', &[label(0, &[0.5, 0.5])], classes);
    assert_eq!(
        with(&of_classes, &[]),
        "--labels labels/eeeeeeee has the classes `negative`, `positive`; labels of pairs have `chosen`, `rejected`"
    );
    let twice = place.labels('f', Some(&all), &[(0, 0.75), (0, 0.25)]);
    assert_eq!(with(&twice, &[]), "pair 0 has two labels");
    let three = Provenance {
        summary: labels_summary(&["chosen", "rejected"]),
        ..Provenance::default()
    };
    let three = place.artifact_of('1', &[label(4, &[0.5, 0.25, 0.25])], three);
    assert_eq!(
        with(&three, &[]),
        "the label of pair 4 has 3 probabilities, one for each side is needed"
    );
    let unknown = place.labels('2', None, &[(0, 0.75), (77, 0.25)]);
    assert_eq!(
        with(&unknown, &[]),
        "--labels labels/22222222 has a label of the pair 77, which --pairs pairs/aaaaaaaa does not have"
    );
    let tied = place.labels('3', Some(&all), &[(0, 0.5), (1, 0.5)]);
    assert_eq!(
        with(&tied, &["--min-confidence", "0.75"]),
        "no pair is left: 2 with too low a confidence, 8 without a label"
    );
    let mut control = pair(5, "question 5", None);
    control.rule = "shuffled".into();
    let control = place.pairs('4', &[control]);
    let of_control = place.labels('5', Some(&control), &[(5, 0.75)]);
    assert_eq!(
        place.failure::<Relabel>(&["--pairs", &control, "--labels", &of_control]),
        "pair 5 has the rule `shuffled`, a control whose order is no truth that labels could be right about"
    );
}

/// No label outside 0 to 1 can be written, nor read where somebody else wrote it.
#[test]
fn soft_labels_lie_between_0_and_1() {
    for (probabilities, message) in [
        ([1.25, -0.25], "the probability of class 1 is -0.25"),
        ([f32::NAN, 0.5], "the probability of class 0 is NaN"),
    ] {
        let label = Label {
            id: 0,
            probabilities: probabilities.to_vec(),
        };
        assert_eq!(label.validate(), Err(message.to_owned()));
    }
}

#[test]
fn a_mix_has_all_pairs_once_under_new_numbers() {
    let place = Place::new();
    // Both sources have a group 7 and a prompt 0, which have nothing to do with each other; one question is in both.
    let weak = [
        pair(0, "a", Some(7)),
        pair(1, "b", Some(7)),
        pair(2, "shared", None),
    ];
    let gold = [
        pair(0, "c", Some(7)),
        pair(1, " shared ", None),
        pair(2, "d", None),
        pair(3, "e", None),
        pair(4, "f", None),
    ];
    let mut weak = weak.to_vec();
    for pair in &mut weak {
        (pair.rule, pair.confidence, pair.gold) = ("weak".into(), Some(0.75), Some(true));
    }
    let (weak, gold) = (place.pairs('a', &weak), place.pairs('b', &gold));
    let mix = |flags: &[&str]| {
        let usual = ["--pairs", &weak, "--pairs", &gold];
        place.run::<Mix>(&[&usual, flags].concat()).unwrap()
    };
    let all = mix(&[]);
    let mut rows = pairs(&all);
    let order: Vec<u64> = rows.iter().map(|pair| pair.id).collect();
    rows.sort_by_key(|pair| pair.id);
    let numbers = rows.iter().map(|pair| {
        (
            pair.id,
            pair.prompt,
            pair.group,
            pair.messages[0].content.trim(),
            pair.rule.as_str(),
        )
    });
    assert_eq!(
        numbers.collect::<Vec<_>>(),
        [
            (0, 0, 0, "a", "weak"),
            (1, 1, 0, "b", "weak"),
            (2, 2, 2, "shared", "weak"),
            (3, 3, 3, "c", "file"),
            (4, 2, 2, "shared", "file"),
            (5, 5, 5, "d", "file"),
            (6, 6, 6, "e", "file"),
            (7, 7, 7, "f", "file"),
        ]
    );
    assert_eq!((rows[0].confidence, rows[0].gold), (Some(0.75), Some(true)));
    assert_eq!((rows[3].confidence, rows[3].gold), (None, None));
    let said = summary(&all);
    assert_eq!(
        (said.rows, said.prompts, said.rule.as_deref()),
        (8, 7, Some("mix"))
    );
    assert_eq!(
        json!(said.sources),
        json!([
            {"pairs": "pairs/aaaaaaaa", "rule": "weak", "of": 3, "rows": 3},
            {"pairs": "pairs/bbbbbbbb", "rule": "file", "of": 5, "rows": 5},
        ])
    );
    // The seed shuffles, and nothing else.
    let other = mix(&["--seed", "1"]);
    assert_ne!(ids(&other), order);
    let mut others = pairs(&other);
    others.sort_by_key(|pair| pair.id);
    assert_eq!(others, rows);

    let cut = mix(&["--rows-as-first"]);
    let texts: BTreeMap<u64, String> = pairs(&cut)
        .into_iter()
        .map(|pair| (pair.id, pair.messages[0].content.trim().to_owned()))
        .collect();
    assert_eq!(
        texts.into_values().collect::<Vec<_>>(),
        ["a", "b", "shared", "c", "shared", "d"]
    );
    let said = summary(&cut);
    assert_eq!(json!(said.dropped), json!({"beyond_limit": 2}));
    assert_eq!(said.candidates, 8);
    assert_eq!((said.sources[1].of, said.sources[1].rows), (5, 3));
}

#[test]
fn what_cannot_be_mixed_is_told() {
    let place = Place::new();
    let one = place.pairs('a', &[pair(0, "a", None), pair(1, "b", None)]);
    let other = place.pairs('b', &[pair(0, "c", None)]);
    assert_eq!(
        place.failure::<Mix>(&["--pairs", &one]),
        "--pairs is given once: a mix needs two or more"
    );
    assert_eq!(
        place.failure::<Mix>(&["--pairs", &one, "--pairs", &other, "--pairs", &one]),
        format!("--pairs {one} is given twice")
    );
    assert_eq!(
        place.failure::<Mix>(&["--pairs", &one, "--pairs", &other, "--rows-as-first"]),
        "--rows-as-first: the first --pairs has 2 pairs, and number 2 has 1"
    );
    assert_eq!(
        one.parse::<w2s_artifact::ArtifactRef>().unwrap().kind,
        Kind::Pairs
    );
}
