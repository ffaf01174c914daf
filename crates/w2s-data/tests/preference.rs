//! `w2s-data prompts` and `w2s-data pairs` as a stage runs them: from files and answers to artifacts, with every row
//! accounted for, and messages for bad input.
#![cfg(feature = "cli")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use clap::Parser;
use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::{
    Artifact, Input, Kind, Message, Pair, Prompt, Provenance, Record, Response, Score, Store,
    summary::PairsSummary,
};
use w2s_data::{AnswersOperation, Pairs, Prompts, QuestionsOperation};
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

    fn file(&self, name: &str, rows: &[Value]) -> String {
        let path = self.0.path().join(name);
        let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
        fs::write(&path, lines).unwrap();
        path.display().to_string()
    }

    fn artifact<T: Record>(&self, digit: char, rows: &[T]) -> String {
        self.artifact_of(digit, rows, Provenance::default())
    }

    fn artifact_of<T: Record>(&self, digit: char, rows: &[T], provenance: Provenance) -> String {
        let name = format!("{}/{}", T::KIND, digit.to_string().repeat(64));
        let store = Store::open(self.store()).unwrap();
        let pending = store.begin(&name.parse().unwrap()).unwrap();
        pending.write_records(rows).unwrap();
        pending.commit(provenance).unwrap();
        name
    }

    fn run<T: Operation>(&self, flags: &[&str]) -> anyhow::Result<Artifact> {
        let line = Line::<T>::try_parse_from([&["w2s-data"], flags].concat())?;
        let options = RunOptions::new(self.store());
        Ok(w2s_stage::run("data", &line.operation, &options)?.artifact)
    }

    /// The causes of a failure, one a line, without the folder.
    fn failure<T: Operation>(&self, flags: &[&str]) -> String {
        let error = self.run::<T>(flags).unwrap_err();
        let text: Vec<_> = error.chain().map(ToString::to_string).collect();
        let folder = format!("{}/", self.0.path().display());
        text.join("\n").replace(&folder, "")
    }

    /// Two models' answers to two prompts, with scores; the second model is right where the first is wrong on prompt 1. Only
    /// the first answered prompt 2, and none of them prompt 3.
    fn answers(&self) -> Answers {
        let prompt = |id: u64| Prompt {
            id,
            group: id,
            messages: vec![Message {
                role: "user".to_owned(),
                content: format!("question {id}"),
            }],
            answer: None,
            choices: Vec::new(),
            gold: None,
            tags: BTreeMap::new(),
        };
        let response = |prompt: u64, model: &str| Response {
            prompt,
            sample: 0,
            text: format!("{model} on {prompt}"),
            ids: vec![1; model.len()],
            log_probs: Vec::new(),
            finished: true,
            model: model.to_owned(),
        };
        let score = |id: u64, exact: f64| Score {
            id,
            sample: 0,
            group: id,
            content: 0,
            values: [("exact".to_owned(), exact), ("length".to_owned(), 9.0)].into(),
        };
        Answers {
            prompts: self.artifact('a', &[0, 1, 2, 3].map(prompt)),
            strong: self.artifact('b', &[0, 1, 2].map(|id| response(id, "strong"))),
            weak: self.artifact('c', &[0, 1].map(|id| response(id, "weak"))),
            strong_scores: self.artifact('d', &[score(0, 1.0), score(1, 0.0), score(2, 1.0)]),
            weak_scores: self.artifact('e', &[score(0, 0.25), score(1, 0.5)]),
        }
    }
}

struct Answers {
    prompts: String,
    strong: String,
    weak: String,
    strong_scores: String,
    weak_scores: String,
}

impl Answers {
    fn flags(&self) -> Vec<&str> {
        let flags = [
            ("--prompts", &self.prompts),
            ("--chosen", &self.strong),
            ("--rejected", &self.weak),
        ];
        flags
            .into_iter()
            .flat_map(|(flag, value)| [flag, value.as_str()])
            .collect()
    }

    fn scored(&self) -> Vec<&str> {
        let scores = [
            "--chosen-scores",
            &self.strong_scores,
            "--rejected-scores",
            &self.weak_scores,
            "--score",
            "exact",
        ];
        [self.flags(), scores.to_vec()].concat()
    }
}

fn sides(artifact: &Artifact) -> Vec<(u64, String, String, String)> {
    let pairs: Vec<Pair> = artifact.records().unwrap();
    pairs
        .into_iter()
        .map(|pair| (pair.id, pair.chosen.text, pair.rejected.text, pair.rule))
        .collect()
}

fn side(id: u64, chosen: &str, rejected: &str, rule: &str) -> (u64, String, String, String) {
    (id, chosen.into(), rejected.into(), rule.into())
}

fn dropped(artifact: &Artifact) -> Value {
    json!(artifact.summary::<PairsSummary>().unwrap().dropped)
}

#[test]
fn prompts_are_read_ordered_and_cut() {
    let place = Place::new();
    let rows: Vec<_> = ["a", "b", " ", "a", "c", "d"]
        .iter()
        .map(|text| json!({"problem": text, "answer": "x"}))
        .collect();
    let file = place.file("rows.jsonl", &rows);
    let ids = |flags: &[&str]| {
        let flags = [&["--source", &file, "--prompt-column", "problem"], flags].concat();
        let artifact = place.run::<Prompts>(&flags).unwrap();
        assert_eq!(artifact.reference.kind, Kind::Prompts);
        let prompts: Vec<Prompt> = artifact.records().unwrap();
        let ids: Vec<_> = prompts.iter().map(|prompt| prompt.id).collect();
        (ids, artifact)
    };
    let (all, artifact) = ids(&[]);
    assert_eq!(all, [0, 1, 4, 5]);
    assert_eq!(
        artifact.manifest.summary,
        json!({
            "rows": 4,
            "groups": 4,
            "read": 6,
            "with_answer": 4,
            "with_choices": 0,
            "dropped": {"empty": 1, "duplicate": 1},
            "transcripts": 0,
            "line": "4 prompts",
        })
    );
    let (first, artifact) = ids(&["--rows", "3"]);
    assert_eq!(first, [0, 1, 4]);
    assert_eq!(artifact.manifest.summary["dropped"]["beyond_limit"], 1);
    let shuffled = |seed| ids(&["--shuffle", "--seed", seed]).0;
    assert_ne!(shuffled("0"), shuffled("1"));
    let mut sorted = shuffled("0");
    sorted.sort_unstable();
    assert_eq!(sorted, all);
}

#[test]
fn answers_are_paired_by_the_order_of_their_models() {
    let place = Place::new();
    let answers = place.answers();
    let order = [answers.flags(), vec!["--rule", "order"]].concat();
    let artifact = place.run::<Pairs>(&order).unwrap();
    assert_eq!(
        sides(&artifact),
        [
            side(0, "strong on 0", "weak on 0", "order"),
            side(1, "strong on 1", "weak on 1", "order")
        ]
    );
    assert_eq!(dropped(&artifact), json!({"missing": 2}));
    let summary = &artifact.manifest.summary;
    assert_eq!(summary["candidates"], 4);
    assert_eq!(
        (&summary["mean_delta"], &summary["score"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (
            &summary["length_unit"],
            &summary["mean_chosen_length"],
            &summary["mean_rejected_length"]
        ),
        (&json!("tokens"), &json!(6.0), &json!(4.0))
    );

    // With scores the reports know by how much, and of what.
    let scored = [answers.scored(), vec!["--rule", "order"]].concat();
    let summary = place.run::<Pairs>(&scored).unwrap().manifest.summary;
    assert_eq!(
        (
            &summary["mean_delta"],
            &summary["mean_chosen_score"],
            &summary["mean_rejected_score"]
        ),
        (&json!(0.125), &json!(0.5), &json!(0.375))
    );
    assert_eq!(summary["score"], "exact");
}

#[test]
fn the_only_score_there_is_has_its_name_in_the_summary() {
    let place = Place::new();
    let answers = place.answers();
    let scored = |digit, name: &str| {
        let score = |id: u64| Score {
            id,
            sample: 0,
            group: id,
            content: 0,
            values: [(name.to_owned(), id as f64)].into(),
        };
        place.artifact(digit, &[score(0), score(1)])
    };
    let (words, others, exact) = (
        scored('1', "words"),
        scored('2', "words"),
        scored('3', "exact"),
    );
    let run = |rule: &str, rejected: &str| {
        let scores = ["--chosen-scores", &words, "--rejected-scores", rejected];
        let flags = [&answers.flags()[..], &scores, &["--rule", rule]].concat();
        place.run::<Pairs>(&flags)
    };
    for rule in ["order", "tied", "shuffled"] {
        let summary = run(rule, &others).unwrap().manifest.summary;
        assert_eq!(summary["score"], "words", "{rule}");
    }
    assert_eq!(
        run("order", &exact).unwrap_err().to_string(),
        "--chosen-scores has the score `words` and --rejected-scores `exact`, which cannot be compared"
    );
}

#[test]
fn a_control_has_the_pairs_it_is_held_against() {
    let place = Place::new();
    let answers = place.answers();
    let run = |flags: &[&str]| {
        let flags = [answers.scored().as_slice(), &["--drop-inverted"], flags].concat();
        place.run::<Pairs>(&flags).unwrap()
    };
    let order = run(&["--rule", "order"]);
    assert_eq!(
        sides(&order),
        [side(0, "strong on 0", "weak on 0", "order")]
    );
    assert_eq!(dropped(&order), json!({"missing": 2, "inverted": 1}));
    let reversed = run(&["--rule", "order", "--reversed"]);
    assert_eq!(
        sides(&reversed),
        [side(0, "weak on 0", "strong on 0", "reversed")]
    );
    assert_eq!(dropped(&reversed), dropped(&order));
    assert_eq!(reversed.manifest.summary["mean_delta"], -0.75);
    assert_eq!(reversed.manifest.summary["turned"], 1);
    let shuffled = run(&["--rule", "shuffled"]);
    assert_eq!(sides(&shuffled)[0].3, "shuffled");
    assert_eq!(dropped(&shuffled), dropped(&order));
}

#[test]
fn scores_choose_between_answers() {
    let place = Place::new();
    let answers = place.answers();
    let flags = [answers.scored(), vec!["--rule", "score"]].concat();
    let artifact = place.run::<Pairs>(&flags).unwrap();
    assert_eq!(
        sides(&artifact),
        [
            side(0, "strong on 0", "weak on 0", "score"),
            side(1, "weak on 1", "strong on 1", "score")
        ]
    );
    assert_eq!(artifact.manifest.summary["mean_delta"], 0.625);
    let far = [flags, vec!["--min-delta", "0.6"]].concat();
    let artifact = place.run::<Pairs>(&far).unwrap();
    assert_eq!(sides(&artifact).len(), 1);
    assert_eq!(dropped(&artifact), json!({"missing": 2, "small_delta": 1}));
    // Their lengths are equal, so by that score nothing is better, and that is what a tied pair is.
    let by_length = |rule| {
        let mut flags = answers.scored();
        flags.pop();
        [flags, vec!["length", "--rule", rule]].concat()
    };
    assert_eq!(
        place.failure::<Pairs>(&by_length("score")),
        "no pair is left: 2 with fewer than two answers, 2 tied"
    );
    let tied = place.run::<Pairs>(&by_length("tied")).unwrap();
    assert_eq!(sides(&tied)[0], side(0, "strong on 0", "weak on 0", "tied"));
    assert_eq!(tied.manifest.summary["mean_delta"], 0.0);
}

/// `delta-style` holds its pairs against answers with as many sections; with fewer the control would be the lesson itself.
#[test]
fn tied_without_scores_are_answers_made_alike() {
    let place = Place::new();
    let world = ["--world", "sections"];
    let asked = [&world[..], &["--part", "train", "--rows", "20"]].concat();
    let asked = place.run::<QuestionsOperation>(&asked).unwrap();
    let asked = asked.reference.to_string();
    let answers = |flags: &[&str]| {
        let flags = [&world[..], &["--prompts", &asked], flags].concat();
        let made = place.run::<AnswersOperation>(&flags).unwrap().reference;
        (made.to_string(), made.short())
    };
    let (better, better_name) = answers(&["--sections", "3"]);
    let (equal, _) = answers(&["--sections", "3", "--seed", "1000"]);
    let (worse, worse_name) = answers(&["--sections", "2"]);
    let tied = ["--rule", "tied", "--prompts", &asked, "--chosen", &better];
    let with = |rejected| [&tied[..], &["--rejected", rejected]].concat();
    let control = place.run::<Pairs>(&with(&equal)).unwrap();
    let pairs: Vec<Pair> = control.records().unwrap();
    assert_eq!(pairs.len(), 20);
    assert!(pairs.iter().all(|pair| pair.rule == "tied"));
    assert_eq!(
        place.failure::<Pairs>(&with(&worse)),
        format!(
            "--rule tied without scores needs answers that were made alike but for their seed, and `sections` is 3 for \
             --chosen {better_name} and 2 for --rejected {worse_name}"
        )
    );
}

#[test]
fn tied_answers_of_two_models_need_scores() {
    let place = Place::new();
    let answers = place.answers();
    let made = |digit: char, model: char, seed: u64| {
        let checkpoint = format!("checkpoint/{}", model.to_string().repeat(64));
        let response = Response {
            prompt: 0,
            sample: 0,
            text: format!("answer {digit}"),
            ids: vec![1],
            log_probs: Vec::new(),
            finished: true,
            model: checkpoint.clone(),
        };
        let provenance = Provenance {
            stage: "teacher".to_owned(),
            operation: "respond".to_owned(),
            parameters: json!({"temperature": 1.0, "seed": seed}),
            inputs: vec![Input::Artifact {
                name: "model".to_owned(),
                artifact: checkpoint.parse().unwrap(),
            }],
            ..Provenance::default()
        };
        place.artifact_of(digit, &[response], provenance)
    };
    let (one, again, other) = (made('1', '7', 0), made('2', '7', 1), made('3', '8', 0));
    let tied = ["--rule", "tied", "--prompts", &answers.prompts];
    let pair = |rejected: &str, scores: &[&str]| {
        let sides = ["--chosen", &one, "--rejected", rejected];
        place.run::<Pairs>(&[&tied, &sides, scores].concat())
    };
    let alike = pair(&again, &[]).unwrap();
    assert_eq!(sides(&alike), [side(0, "answer 1", "answer 2", "tied")]);
    let message = pair(&other, &[]).unwrap_err().to_string();
    assert!(
        message.contains("and `model` is checkpoint/7777"),
        "{message}"
    );
    // What is equal in score is tied, whoever made it.
    let scores = ['4', '5'].map(|digit| {
        let values = [("exact".to_owned(), 1.0)].into();
        let (id, sample) = (0, 0);
        place.artifact(
            digit,
            &[Score {
                id,
                sample,
                group: id,
                content: 0,
                values,
            }],
        )
    });
    let chosen = ["--chosen-scores", &scores[0]];
    let both = [&chosen[..], &["--rejected-scores", &scores[1]]].concat();
    let equal = pair(&other, &both).unwrap();
    assert_eq!(sides(&equal), [side(0, "answer 1", "answer 3", "tied")]);
    assert_eq!(
        pair(&other, &chosen).unwrap_err().to_string(),
        "--rule tied needs --prompts and --chosen, and with --rejected the scores of both or of neither"
    );
}

#[test]
fn a_preference_file_becomes_pairs() {
    let place = Place::new();
    let file = place.file(
        "hh.jsonl",
        &[
            json!({"chosen": "\n\nHuman: a\n\nAssistant: good", "rejected": "\n\nHuman: a\n\nAssistant: bad one"}),
            json!({"chosen": "\n\nHuman: b\n\nAssistant: yes", "rejected": "\n\nHuman: b\n\nAssistant:"}),
            json!({"chosen": "\n\nHuman: c\n\nAssistant: the longer", "rejected": "\n\nHuman: c\n\nAssistant: no"}),
            json!({"chosen": "\n\nHuman: d\n\nAssistant: x", "rejected": "\n\nHuman: d\n\nAssistant: y"}),
        ],
    );
    let flags = ["--source", &file, "--rule", "file"];
    let artifact = place.run::<Pairs>(&flags).unwrap();
    assert_eq!(
        sides(&artifact),
        [
            side(0, "good", "bad one", "file"),
            side(2, "the longer", "no", "file"),
            side(3, "x", "y", "file")
        ]
    );
    let pairs: Vec<Pair> = artifact.records().unwrap();
    let first = &pairs[0];
    assert_eq!(
        (&*first.messages[0].role, &*first.messages[0].content),
        ("user", "a")
    );
    assert_eq!(first.chosen.source, "hh.jsonl");
    assert_eq!(dropped(&artifact), json!({"empty": 1}));
    let summary: PairsSummary = artifact.summary().unwrap();
    assert_eq!(
        (summary.rows, summary.candidates, summary.transcripts),
        (3, 4, 4)
    );
    assert_eq!(summary.longer_is_chosen, 1.0 / 3.0);

    let kept = place
        .run::<Pairs>(&[&flags[..], &["--keep-transcripts", "--limit", "2"]].concat())
        .unwrap();
    let pairs: Vec<Pair> = kept.records().unwrap();
    assert_eq!(pairs[0].messages[0].content, "\n\nHuman: a\n\nAssistant:");
    assert_eq!(pairs[0].chosen.text, " good");
    assert_eq!(dropped(&kept), json!({"empty": 1, "beyond_limit": 1}));
    assert_eq!(kept.summary::<PairsSummary>().unwrap().transcripts, 0);
    let shuffled = |seed| {
        let flags = [&flags[..], &["--shuffle", "--seed", seed]].concat();
        let order = sides(&place.run::<Pairs>(&flags).unwrap());
        order.into_iter().map(|pair| pair.0).collect::<Vec<_>>()
    };
    assert!(
        ["0", "1", "2"]
            .iter()
            .any(|seed| shuffled(seed) != [0, 2, 3])
    );
}

#[test]
fn bad_input_is_named() {
    let place = Place::new();
    let answers = place.answers();
    let empty = place.file(
        "bad.jsonl",
        &[
            json!({"prompt": "a", "chosen": "b", "rejected": " "}),
            json!({"prompt": "a", "chosen": "b", "rejected": "b\n"}),
        ],
    );
    assert_eq!(
        place.failure::<Pairs>(&["--rule", "file", "--source", &empty]),
        "no pair is left: 1 with an empty side, 1 with identical sides"
    );
    let columns = place.file("columns.jsonl", &[json!({"prompt": "a", "chosen": "b"})]);
    assert_eq!(
        place.failure::<Pairs>(&["--rule", "file", "--source", &columns]),
        "columns.jsonl:1: no pair of columns `chosen` and `rejected`, or `response1`, `response2` and `label`; there are `prompt`, `chosen`"
    );
    let file = place.file("text.jsonl", &[json!({"text": "a"})]);
    assert_eq!(
        place.failure::<Prompts>(&["--source", &file]),
        "text.jsonl:1: no question: none of the columns `messages`, `conversations`, `prompt`, `instruction`, `question`, and no transcript with `\\n\\nAssistant:` in `chosen`; there are `text`"
    );
    let silent = place.file("silent.jsonl", &[json!({"prompt": ""})]);
    assert_eq!(
        place.failure::<Prompts>(&["--source", &silent]),
        "none of the 1 rows asks anything"
    );
    assert_eq!(
        place.failure::<Prompts>(&["--source", "none.jsonl"]),
        "--source cannot be read\ncannot read none.jsonl\nNo such file or directory (os error 2)"
    );

    let mut unnamed = answers.scored();
    unnamed.truncate(unnamed.len() - 2);
    unnamed.extend(["--rule", "score"]);
    assert_eq!(
        place.failure::<Pairs>(&unnamed),
        "--chosen-scores scores/dddddddd: one score must be chosen; there are `exact`, `length`"
    );
    assert_eq!(
        place.failure::<Pairs>(&[unnamed, vec!["--score", "x"]].concat()),
        "--chosen-scores scores/dddddddd: no score is called `x`; there are `exact`, `length`"
    );
    let few = place.artifact::<Prompt>(
        'f',
        &[Prompt {
            id: 0,
            group: 0,
            messages: vec![Message {
                role: "user".to_owned(),
                content: "question 0".to_owned(),
            }],
            answer: None,
            choices: Vec::new(),
            gold: None,
            tags: BTreeMap::new(),
        }],
    );
    assert_eq!(
        place.failure::<Pairs>(&[
            "--rule",
            "order",
            "--prompts",
            &few,
            "--chosen",
            &answers.strong,
            "--rejected",
            &answers.weak
        ]),
        "--chosen responses/bbbbbbbb answers the prompt 1, which --prompts prompts/ffffffff does not have"
    );

    let with =
        |flags: &[&str]| place.failure::<Pairs>(&[answers.flags().as_slice(), flags].concat());
    assert_eq!(
        with(&["--rule", "score"]),
        "--rule score needs --prompts, --chosen and --chosen-scores, and --rejected-scores with --rejected"
    );
    assert_eq!(with(&["--rule", "file"]), "--rule file needs --source");
    assert_eq!(
        with(&["--rule", "tied", "--reversed"]),
        "--reversed changes nothing where neither answer is better, as in the rules tied and shuffled"
    );
    assert_eq!(
        with(&["--rule", "order", "--min-delta", "0.5"]),
        "--min-delta 0.5: answers without --chosen-scores have no delta"
    );
    assert_eq!(
        with(&["--rule", "order", "--min-delta=-1"]),
        "--min-delta -1: a number of 0 or more is needed"
    );
    assert_eq!(
        with(&["--rule", "order", "--limit", "0"]),
        "--limit 0: nothing would be kept"
    );
    assert_eq!(
        with(&["--rule", "order", "--drop-inverted"]),
        "--drop-inverted can tell nothing: no pair has scores, or a prompt with a known answer"
    );
    assert_eq!(
        place.failure::<Pairs>(&["--rule", "order", "--source", &empty]),
        "--rule order needs --prompts, --chosen and --rejected"
    );
    assert!(
        with(&["--rule", "best"]).contains("possible values: order, score, tied, shuffled, file")
    );
    assert_eq!(
        with(&["--rule", "order", "--keep-transcripts"]),
        "--prompt-column, --group, --mark and --keep-transcripts say how to read files, and there is no --source"
    );
    for flag in [
        "--prompts",
        "--chosen",
        "--rejected",
        "--chosen-scores",
        "--score",
    ] {
        let flags = ["--rule", "file", "--source", &empty, flag, "aaaa"];
        assert!(
            place
                .failure::<Pairs>(&flags)
                .contains("cannot be used with"),
            "{flag}"
        );
    }
}
