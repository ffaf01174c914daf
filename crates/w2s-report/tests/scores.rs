//! The report of preference runs on a small store made here: a base, arms with pairs of every kind, two seeds.
//!
//! The HTML page is left in the target folder (`tmp/compare.html`) for people to look at.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::summary::{
    FitSummary, PairsSummary, ResponsesSummary, ScoresSummary, SelectionAccuracy, SelectionSummary,
    TRAINING_LOG, TrainingLogLine, TrainingSummary,
};
use w2s_artifact::{
    ANSWERS_FILE, Answer, Artifact, ArtifactRef, Input, KeySpec, Kind, Message, Pair, Pending,
    Prompt, Provenance, Response, Role, Score, ScoredAnswer, Store,
};
use w2s_report::{Cell, Inputs, Options, Report, Section, Table};
use w2s_theory::{Case, Flow, Sgd, THEORY_FILE};

const ITEMS: u64 = 240;

struct Fixture {
    store: Store,
    _folder: TempDir,
}

/// How one arm scores: `exact` is right on the items whose number modulo 20 is below `right`, a little shifted by the seed.
struct Arm<'a> {
    name: &'a str,
    role: Role,
    method: &'a str,
    rule: &'a str,
    tags: &'a [(&'a str, &'a str)],
    delta: f64,
    /// Mean score of the chosen answers.
    chosen: f64,
    /// The side of its pairs that `sft` imitates.
    side: Option<&'a str>,
    /// Training steps.
    steps: u64,
    right: u64,
    /// The pairs it learnt from, where their text matters.
    pairs: &'a [Pair],
}

const fn arm<'a>(name: &'a str, method: &'a str, rule: &'a str, delta: f64, right: u64) -> Arm<'a> {
    Arm {
        name,
        role: Role::Student,
        method,
        rule,
        tags: &[],
        delta,
        chosen: 0.4,
        side: None,
        steps: 30,
        right,
        pairs: &[],
    }
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(folder.path().join("store")).unwrap(),
            _folder: folder,
        }
    }

    fn run(
        &self,
        step: &str,
        (stage, operation, kind): (&str, &str, Kind),
        parameters: Value,
        inputs: &[(&str, ArtifactRef)],
        summary: Value,
        write: impl FnOnce(&Pending),
    ) -> Artifact {
        let inputs: Vec<Input> = inputs
            .iter()
            .map(|&(name, artifact)| Input::Artifact {
                name: name.to_owned(),
                artifact,
            })
            .collect();
        let spec = KeySpec {
            stage,
            operation,
            version: 1,
            kind,
            parameters: &parameters,
            inputs: &inputs,
        };
        let pending = self
            .store
            .begin(&ArtifactRef::new(kind, spec.key()))
            .unwrap();
        write(&pending);
        let provenance = Provenance {
            stage: stage.to_owned(),
            operation: operation.to_owned(),
            operation_version: 1,
            step: Some(step.to_owned()),
            parameters,
            inputs,
            summary,
            seconds: 1.0,
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap()
    }

    fn model(&self, arm: &Arm<'_>, seed: u64) -> Artifact {
        let name = arm.name;
        let parameters = json!({"arm": name, "seed": seed, "delta": arm.delta});
        let summary = PairsSummary {
            rows: 100,
            rule: Some(arm.rule.to_owned()),
            score: Some("exact".into()),
            mean_delta: Some(arm.delta),
            mean_chosen_score: Some(arm.chosen),
            mean_rejected_score: Some(arm.chosen - arm.delta),
            dropped: [("identical".to_owned(), 12)].into(),
            length_unit: "tokens".into(),
            mean_chosen_length: Some(20.0),
            mean_rejected_length: Some(18.0),
            longer_is_chosen: 0.75,
            ..PairsSummary::default()
        };
        // Without a rule it learns from answers, not from pairs.
        let pairs = (!arm.rule.is_empty()).then(|| {
            self.run(
                &format!("pairs-{name}[seed={seed}]"),
                ("data", "pairs", Kind::Pairs),
                parameters,
                &[],
                json!(summary),
                |pending| pending.write_records(arm.pairs).unwrap(),
            )
        });
        let inputs: Vec<_> = pairs
            .iter()
            .map(|pairs| ("pairs", pairs.reference))
            .collect();
        let log: String = (1..=30)
            .map(|step| {
                let t = f64::from(step) / 30.0;
                let moved = arm.delta.abs() * t;
                let more = [
                    ("kl", 0.1 * t),
                    ("rewards_chosen", 0.3 * t),
                    ("rewards_rejected", -0.5 * t),
                    ("rewards_margin", 0.8 * t),
                    ("rewards_accuracy", 0.5 + 0.4 * t),
                    ("displacement_chosen", -0.4 * moved),
                    ("displacement_rejected", -0.9 * moved),
                    ("log_prob_chosen", -9.0 - t),
                    ("log_prob_rejected", -9.0 - 2.0 * t),
                    ("tokens_chosen", 20.0),
                    ("tokens_rejected", 18.0),
                ];
                let line = TrainingLogLine {
                    step: step as usize,
                    epoch: t,
                    loss: 0.69 - 0.3 * t,
                    lr: 1e-3,
                    grad_norm: 1.0 + t,
                    tokens: step as u64 * 100,
                    seconds: t,
                    held_out: None,
                    more: more.map(|(name, value)| (name.to_owned(), value)).into(),
                };
                serde_json::to_string(&line).unwrap() + "\n"
            })
            .collect();
        self.run(
            &format!("{name}[seed={seed}]"),
            ("student", arm.method, Kind::Checkpoint),
            json!({"side": arm.side, "arm": name, "seed": seed, "max_steps": arm.steps}),
            &inputs,
            json!(TrainingSummary {
                rows: 100,
                fit: FitSummary {
                    steps: arm.steps as usize,
                    final_loss: 0.39,
                    ..FitSummary::default()
                },
                ..TrainingSummary::default()
            }),
            |pending| pending.write_file(TRAINING_LOG, log.as_bytes()).unwrap(),
        )
    }

    fn score(&self, arm: &Arm<'_>, seed: u64, items: u64) -> Artifact {
        let model = (arm.role == Role::Student).then(|| self.model(arm, seed));
        let rows: Vec<Score> = (0..items)
            .map(|id| {
                let right = (id * 7 + seed) % 20 < arm.right;
                let mut values = BTreeMap::from([("exact".to_owned(), f64::from(u8::from(right)))]);
                values.insert(
                    "words".to_owned(),
                    0.5 + arm.right as f64 / 40.0 + (id % 5) as f64 / 50.0,
                );
                if arm.role != Role::Teacher {
                    values.insert("kl".to_owned(), (arm.right as f64 - 8.0).abs() / 10.0);
                }
                if id > 0 {
                    values.insert("judge".to_owned(), 0.5);
                }
                Score {
                    id,
                    sample: 0,
                    group: id,
                    content: id,
                    values,
                }
            })
            .collect();
        self.scored(arm, seed, &rows, model.as_ref(), &[])
    }

    fn scored(
        &self,
        arm: &Arm<'_>,
        seed: u64,
        rows: &[Score],
        model: Option<&Artifact>,
        answers: &[ScoredAnswer],
    ) -> Artifact {
        let inputs: Vec<_> = model
            .iter()
            .map(|model| ("model", model.reference))
            .collect();
        self.scored_on(arm, seed, rows, &inputs, answers)
    }

    fn scored_on(
        &self,
        arm: &Arm<'_>,
        seed: u64,
        rows: &[Score],
        inputs: &[(&str, ArtifactRef)],
        answers: &[ScoredAnswer],
    ) -> Artifact {
        let tags: BTreeMap<String, String> = arm
            .tags
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let summary = ScoresSummary {
            arm: arm.name.to_owned(),
            role: arm.role,
            seed,
            tags: tags.clone(),
            metrics: BTreeMap::new(),
            stderr: BTreeMap::new(),
            n: rows.len(),
            items: rows.len(),
            dropped: BTreeMap::new(),
            task_hash: "aa".into(),
            template_hash: None,
            answers: None,
            unmatched: BTreeMap::new(),
            delimiter: None,
            totals: BTreeMap::new(),
            truncated: 0,
        };
        let lines: String = answers
            .iter()
            .map(|answer| serde_json::to_string(answer).unwrap() + "\n")
            .collect();
        self.run(
            &format!("score-{}[seed={seed}]", arm.name),
            ("eval", "respond", Kind::Scores),
            json!({"arm": arm.name, "role": arm.role, "seed": seed, "tags": tags, "rows": rows, "answers": lines}),
            inputs,
            json!(summary),
            |pending| {
                pending.write_records(rows).unwrap();
                if !lines.is_empty() {
                    pending.write_file(ANSWERS_FILE, lines.as_bytes()).unwrap();
                }
            },
        )
    }

    fn base(&self) -> Artifact {
        let base = Arm {
            role: Role::Base,
            ..arm("base", "", "", 0.0, 8)
        };
        self.score(&base, 0, ITEMS)
    }

    /// The base, scored once, and every arm with two seeds.
    fn scores(&self, arms: &[Arm<'_>]) -> Vec<Artifact> {
        let students = arms
            .iter()
            .flat_map(|arm| [0, 1].map(|seed| self.score(arm, seed, ITEMS)));
        students.chain([self.base()]).collect()
    }

    fn theory(&self) -> Artifact {
        let settings = w2s_theory::Settings {
            dimensions: vec![10, 100],
            draws: 50,
            flow: Flow::default(),
            sgd: Sgd::default(),
            runs: 2,
            seed: 0,
        };
        let study = w2s_theory::study(&Case::PUBLISHED[..2], &settings, &mut |_| true).unwrap();
        let bytes = serde_json::to_vec(&study).unwrap();
        self.run(
            "theory",
            ("eval", "theory", Kind::Theory),
            json!({}),
            &[],
            json!({}),
            |pending| pending.write_file(THEORY_FILE, &bytes).unwrap(),
        )
    }
}

fn style() -> [Arm<'static>; 4] {
    [
        arm("dpo", "prefer", "score", 0.5, 13),
        arm("reversed", "prefer", "reversed", -0.5, 3),
        arm("tied", "prefer", "tied", 0.0, 8),
        arm("sft", "sft", "score", 0.5, 8),
    ]
}

fn options(metric: Option<&str>) -> Options {
    Options {
        recipe: "delta-style".into(),
        metric: metric.map(str::to_owned),
        ..Options::default()
    }
}

fn inputs(scores: &[Artifact], theory: &[Artifact]) -> Inputs {
    Inputs {
        scores: scores.to_vec(),
        theory: theory.to_vec(),
        ..Inputs::default()
    }
}

fn build(fixture: &Fixture, scores: &[Artifact], theory: &[Artifact]) -> Report {
    w2s_report::build(&fixture.store, &inputs(scores, theory), &options(None)).unwrap()
}

fn refused(fixture: &Fixture, scores: &[Artifact], metric: Option<&str>) -> String {
    let refused = w2s_report::build(&fixture.store, &inputs(scores, &[]), &options(metric));
    refused.unwrap_err().to_string()
}

fn section<'a>(report: &'a Report, id: &str) -> &'a Section {
    let found = report.sections.iter().find(|section| section.id == id);
    found.unwrap_or_else(|| panic!("no section {id}"))
}

fn has(report: &Report, id: &str) -> bool {
    report.sections.iter().any(|section| section.id == id)
}

/// The table of a metric: that of the headline stands in the first section.
fn table<'a>(report: &'a Report, metric: &str) -> &'a Table {
    let id = if metric == "exact" { "arms" } else { metric };
    let mut tables = report.sections.iter().flat_map(|section| &section.tables);
    tables.find(|table| table.id == id).unwrap()
}

fn cell<'a>(table: &'a Table, arm: &str, column: &str) -> &'a Cell {
    let at = table.columns.iter().position(|known| known.key == column);
    let row = table.rows.iter().find(|row| row.cells[0].text == arm);
    &row.unwrap_or_else(|| panic!("no row {arm}")).cells
        [at.unwrap_or_else(|| panic!("no column {column}"))]
}

fn near(cell: &Cell, expected: f64) {
    let value = cell.value.unwrap();
    assert!(
        (value - expected).abs() < 1e-12,
        "{value} is not {expected}"
    );
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"(scores|theory)/[0-9a-f]{8}", "$1/HASH");
    settings
}

#[test]
fn arms_are_compared_with_the_base_on_the_same_items() {
    let fixture = Fixture::new();
    let report = build(&fixture, &fixture.scores(&style()), &[]);
    let names: Vec<&str> = report.arms.iter().map(|arm| &arm.arm[..]).collect();
    assert_eq!(names, ["base", "dpo", "reversed", "tied", "sft"]);
    let metrics: Vec<&str> = report.arms[1]
        .metrics
        .iter()
        .map(|metric| &metric.metric[..])
        .collect();
    assert_eq!(metrics, ["exact", "kl", "words"]);
    assert_eq!(section(&report, "result").title, "Result: exact match");

    // 240 items are 12 whole rounds of 20, so the shares are exact: 13 and 8 of 20.
    let exact = table(&report, "exact");
    near(cell(exact, "dpo", "value"), 0.65);
    assert_eq!(cell(exact, "dpo", "value").n, Some(480));
    near(cell(exact, "dpo", "difference"), 0.25);
    near(cell(exact, "reversed", "difference"), -0.25);
    assert_eq!(cell(exact, "dpo", "p").text, "< 0.001, < 0.001");
    assert!(cell(exact, "dpo", "difference").ci95.unwrap()[0] > 0.0);
    assert!(
        cell(exact, "tied", "difference")
            .text
            .ends_with("not shown")
    );
    assert_eq!(cell(exact, "base", "difference").text, "–");
    assert_eq!(
        (
            &report.arms[0].seeds[..],
            &cell(exact, "base", "items").text[..]
        ),
        (&[0][..], "240")
    );
    // Words are neither right nor wrong, so nothing is counted.
    assert!(
        table(&report, "words")
            .columns
            .iter()
            .all(|column| column.key != "p")
    );
    assert_eq!(
        serde_json::from_str::<Report>(&report.to_json().unwrap()).unwrap(),
        report
    );
    // A row leads to the scores of both seeds.
    let dpo = exact
        .rows
        .iter()
        .find(|row| row.cells[0].text == "dpo")
        .unwrap();
    assert_eq!(dpo.artifacts.len(), 2);
    assert!(
        dpo.artifacts
            .iter()
            .all(|artifact| artifact.starts_with("scores/"))
    );
}

#[test]
fn a_teacher_may_lack_a_divergence() {
    let fixture = Fixture::new();
    let teacher = Arm {
        role: Role::Teacher,
        ..arm("chosen model", "", "", 0.0, 6)
    };
    let mut scores = fixture.scores(&style());
    scores.push(fixture.score(&teacher, 0, ITEMS));
    let report = build(&fixture, &scores, &[]);
    near(cell(table(&report, "exact"), "chosen model", "value"), 0.3);
    let blank = cell(table(&report, "kl"), "chosen model", "value");
    assert_eq!((&blank.text[..], blank.value), ("–", None));
    assert_eq!(
        cell(table(&report, "kl"), "chosen model", "difference").text,
        "–"
    );
    // The others keep theirs.
    assert!(
        cell(table(&report, "kl"), "dpo", "difference")
            .value
            .is_some()
    );
    assert!(!report.to_html().unwrap().contains("NaN"));

    // Any other metric it must have.
    let last = scores.pop().unwrap();
    let mut rows: Vec<Score> = last.records().unwrap();
    for row in &mut rows {
        row.values.remove("words");
    }
    scores.push(fixture.scored(&teacher, 0, &rows, None, &[]));
    let report = build(&fixture, &scores, &[]);
    let metrics: Vec<&str> = report.arms[1]
        .metrics
        .iter()
        .map(|metric| &metric.metric[..])
        .collect();
    assert_eq!(metrics, ["exact", "kl"]);
}

#[test]
fn findings_say_what_the_numbers_say() {
    let fixture = Fixture::new();
    let report = build(&fixture, &fixture.scores(&style()), &[]);
    insta::assert_snapshot!("headline", report.headline);
    insta::assert_snapshot!("findings", report.findings.join("\n"));
    insta::assert_snapshot!("warnings", report.warnings.join("\n"));
    // Three preference arms have no rank correlation, and an arm that did not move went nowhere.
    assert!(
        report
            .findings
            .iter()
            .all(|finding| !finding.contains("rank correlation"))
    );
    assert!(
        report
            .findings
            .iter()
            .all(|finding| !finding.starts_with("tied ends"))
    );
}

#[test]
fn a_shape_that_is_not_there_is_not_seen() {
    let fixture = Fixture::new();
    let arms = [
        arm("dpo", "prefer", "order", 0.5, 8),
        arm("sft", "sft", "order", 0.5, 14),
    ];
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let told = report
        .findings
        .iter()
        .find(|finding| finding.starts_with("The paper's shape"))
        .unwrap();
    assert!(
        told.ends_with("is not seen: 0 of the 2 claims that were tested hold in every arm."),
        "{told}"
    );
}

/// A loss on pairs of somebody's own tests no claim of a paper about who made the answers.
#[test]
fn a_plain_tuning_run_is_no_test_of_the_paper() {
    let fixture = Fixture::new();
    for rule in ["file", "score"] {
        let report = build(
            &fixture,
            &fixture.scores(&[arm("dpo", "prefer", rule, 0.5, 8)]),
            &[],
        );
        let page = report.to_markdown().unwrap();
        assert!(
            !page.contains("paper") && !page.contains("Learning from the delta"),
            "{page}"
        );
    }
}

/// Sums of log-probabilities favour short answers, whatever was learnt: the chosen answer of each pair is the longer one and stays
/// the less likely one, while every pair has moved the right way.
#[test]
fn rewards_are_read_against_the_base() {
    let fixture = Fixture::new();
    let rows = |gained: f64| -> Vec<Score> {
        let row = |id: u64| {
            let chosen = -40.0 - id as f64 + gained;
            let rejected = -20.0 - id as f64 - gained / 2.0;
            let right = f64::from(u8::from(chosen > rejected));
            let values = [
                ("log_likelihood_chosen", chosen),
                ("log_likelihood_rejected", rejected),
                ("preference_accuracy", right),
            ];
            Score {
                id,
                sample: 0,
                group: id,
                content: id,
                values: values.map(|(name, value)| (name.to_owned(), value)).into(),
            }
        };
        (0..12).map(row).collect()
    };
    let base = Arm {
        role: Role::Base,
        ..arm("base", "", "", 0.0, 0)
    };
    let tuned = arm("sigmoid", "prefer", "file", 0.0, 0);
    let model = fixture.model(&tuned, 0);
    let scores = [
        fixture.scored(&base, 0, &rows(0.0), None, &[]),
        fixture.scored(&tuned, 0, &rows(2.0), Some(&model), &[]),
    ];
    let report = build(&fixture, &scores, &[]);
    let first = &section(&report, "result").tables[0];
    assert_eq!(section(&report, "result").title, "Result: reward accuracy");
    near(cell(first, "sigmoid", "value"), 1.0);
    near(
        cell(table(&report, "reward_margin"), "sigmoid", "value"),
        3.0,
    );
    assert!(
        report
            .headline
            .starts_with("In reward accuracy, sigmoid is at 1.000"),
        "{}",
        report.headline
    );
    assert!(report.headline.contains("above 0.5"), "{}", report.headline);
    assert_eq!(cell(first, "base", "value").text, "–");
    // The measure that all of them fail alike takes a line.
    let other = section(&report, "constant");
    assert!(
        other
            .text
            .contains(&"Chosen answer more likely is 0.000 in every arm and seed.".to_owned()),
        "{:?}",
        other.text
    );
    assert!(
        other
            .tables
            .iter()
            .all(|table| table.id != "preference_accuracy")
    );
}

#[test]
fn a_lower_loss_is_the_better_one() {
    let fixture = Fixture::new();
    let rows = |loss: f64| -> Vec<Score> {
        let row = |id: u64| Score {
            id,
            sample: 0,
            group: id,
            content: id,
            values: [("nll_per_token".to_owned(), loss + (id % 7) as f64 / 100.0)].into(),
        };
        (0..ITEMS).map(row).collect()
    };
    let base = Arm {
        role: Role::Base,
        ..arm("base", "", "", 0.0, 0)
    };
    let arms = [("better", 2.0), ("worse", 3.0)].map(|(name, loss)| {
        let arm = arm(name, "sft", "", 0.0, 0);
        let model = fixture.model(&arm, 0);
        fixture.scored(&arm, 0, &rows(loss), Some(&model), &[])
    });
    let [better, worse] = arms;
    let report = build(
        &fixture,
        &[
            fixture.scored(&base, 0, &rows(2.5), None, &[]),
            better,
            worse,
        ],
        &[],
    );
    let chart = json!(section(&report, "result").charts[0]);
    let tones = chart["rows"].as_array().unwrap().iter();
    let tones: Vec<_> = tones.map(|row| (&row["label"], &row["tone"])).collect();
    assert_eq!(
        tones,
        [
            (&json!("better"), &json!("better")),
            (&json!("worse"), &json!("worse"))
        ]
    );
    let pairs = report
        .findings
        .iter()
        .find(|finding| finding.contains("Holm-corrected"))
        .unwrap();
    assert!(pairs.contains("better is better than worse"), "{pairs}");
}

#[test]
fn a_ladder_orders_arms_by_their_pairs() {
    let fixture = Fixture::new();
    let arms: Vec<Arm<'_>> = [
        (
            "micro-nano",
            [("chosen", "micro"), ("rejected", "nano")],
            0.25,
            9,
        ),
        (
            "mid-nano",
            [("chosen", "mid"), ("rejected", "nano")],
            0.5,
            12,
        ),
        (
            "mini-nano",
            [("chosen", "mini"), ("rejected", "nano")],
            0.75,
            16,
        ),
        (
            "mid-micro",
            [("chosen", "mid"), ("rejected", "micro")],
            0.25,
            9,
        ),
    ]
    .iter()
    .map(|(name, tags, delta, right)| Arm {
        tags,
        chosen: if tags[1].1 == "nano" { *delta } else { 0.5 },
        ..arm(name, "prefer", "order", *delta, *right)
    })
    .collect();
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let ladder = section(&report, "ladder");
    let map = json!(ladder.charts[0]);
    assert_eq!(
        map["rungs"],
        json!([["nano", 0.0], ["micro", 0.25], ["mid", 0.5], ["mini", 0.75]])
    );
    let table = &ladder.tables[0];
    assert_eq!(table.rows.len(), 4);
    near(cell(table, "mini-nano", "delta"), 0.75);
    near(cell(table, "mini-nano", "gain"), 0.4);
    // The map says score, gain and delta.
    let page = report.to_html().unwrap();
    let map = page.split("class=\"map\"").nth(1).unwrap();
    let map = map.split("</svg>").next().unwrap();
    for said in [">mini<", ">0.750<", ">0.400<", ">Δ 0.750<"] {
        assert!(map.contains(said), "{said}: {map}");
    }
    // Four arms have no rank correlation.
    assert!(
        report
            .findings
            .iter()
            .all(|finding| !finding.contains("rank correlation"))
    );
}

#[test]
fn six_arms_have_a_rank_correlation() {
    let fixture = Fixture::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    let arms: Vec<Arm<'_>> = names
        .iter()
        .enumerate()
        .map(|(at, name)| arm(name, "prefer", "order", at as f64 / 10.0, 8 + at as u64))
        .collect();
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let told = report
        .findings
        .iter()
        .find(|finding| finding.contains("rank correlation"))
        .unwrap();
    assert!(
        told.starts_with("Over 6 preference arms, the gain and the mean delta of the pairs have the rank correlation 1.000 (p "),
        "{told}"
    );
}

#[test]
fn imitation_stands_beside_the_pairs_on_its_rung() {
    let fixture = Fixture::new();
    let arms = [
        Arm {
            tags: &[("chosen", "mini")],
            ..arm("sft-mini", "sft", "", 0.0, 6)
        },
        Arm {
            tags: &[("chosen", "mini"), ("rejected", "nano")],
            chosen: 0.75,
            ..arm("mini-nano", "prefer", "order", 0.5, 12)
        },
        Arm {
            chosen: 0.75,
            side: Some("rejected"),
            ..arm("sft-worse", "sft", "order", 0.5, 5)
        },
    ];
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let ladder = section(&report, "ladder");
    for (arm, score) in [("sft-mini", 0.75), ("mini-nano", 0.75), ("sft-worse", 0.25)] {
        near(cell(&ladder.tables[0], arm, "chosen_score"), score);
    }
    let page = report.to_html().unwrap();
    let map = page.split("class=\"map\"").nth(1).unwrap();
    let (map, rest) = map.split_once("</svg>").unwrap();
    for said in [">SFT<", "<title>sft-mini: −0.100", ">−0.100<", ">0.200<"] {
        assert!(map.contains(said), "{said}: {map}");
    }
    assert!(!map.contains("sft-worse"), "it is on no rung");
    // Both scatters mark imitation with squares; only pairs have a delta of their own rung.
    let squares: Vec<usize> = rest
        .split("</svg>")
        .take(2)
        .map(|plot| plot.matches("<rect class=\"mean\"").count())
        .collect();
    assert_eq!(squares, [1, 2]);
}

#[test]
fn arms_with_several_numbers_of_steps_are_a_curve() {
    let fixture = Fixture::new();
    // The data ended after 62 steps.
    let tags = [[("steps", "62")], [("steps", "20")], [("steps", "100")]];
    let arms = [(0, 62, 10), (1, 20, 12), (2, 62, 10)].map(|(tag, steps, right)| Arm {
        tags: &tags[tag],
        steps,
        ..arm("dpo", "prefer", "order", 0.5, right)
    });
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let rows = &section(&report, "stopping").tables[0].rows;
    let points: Vec<_> = rows
        .iter()
        .map(|row| (row.cells[1].value.unwrap(), row.cells[2].value.unwrap()))
        .collect();
    assert_eq!(points, [(0.0, 0.4), (20.0, 0.6), (62.0, 0.5)]);
    assert_eq!(report.arms[1].arm, "dpo at 62 steps");
    let told: Vec<&String> = report
        .warnings
        .iter()
        .filter(|warning| warning.contains("tag"))
        .collect();
    assert_eq!(
        told,
        ["arm dpo at 100 steps: the tag says 100 steps, training took 62: the data ended earlier"]
    );
}

#[test]
fn the_points_of_a_curve_are_no_rungs_and_no_claims() {
    let fixture = Fixture::new();
    let tags = [[("steps", "20")], [("steps", "100")]];
    let mut arms = vec![Arm {
        tags: &[("chosen", "2"), ("rejected", "0")],
        ..arm("2-0", "prefer", "order", 0.5, 12)
    }];
    arms.extend([(0, 20, 12), (1, 100, 10)].map(|(tag, steps, right)| Arm {
        tags: &tags[tag],
        steps,
        ..arm("early", "prefer", "order", 0.5, right)
    }));
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let rungs: Vec<&str> = section(&report, "ladder").tables[0]
        .rows
        .iter()
        .map(|row| &row.cells[0].text[..])
        .collect();
    assert_eq!(rungs, ["2-0"]);
    assert_eq!(section(&report, "stopping").tables[0].rows.len(), 3);
    assert!(
        !has(&report, "pairs"),
        "points of one curve are not compared with each other"
    );
    let early = report
        .findings
        .iter()
        .find(|finding| finding.starts_with("early"))
        .unwrap();
    assert!(
        early.starts_with("early is highest after 20 steps, at 0.600 [")
            && early.contains("; after 100 steps it is at 0.500 ["),
        "{early}"
    );
}

fn said(id: u64, text: &str) -> ScoredAnswer {
    ScoredAnswer {
        id,
        sample: 0,
        messages: vec![Message {
            role: "user".into(),
            content: format!("question {id} | with a bar ?"),
        }],
        text: text.to_owned(),
        finished: true,
        answer: Some("right".into()),
        values: [("exact".to_owned(), 0.0)].into(),
    }
}

#[test]
fn answers_stand_side_by_side() {
    let fixture = Fixture::new();
    let rows = |ids: u64| -> Vec<Score> {
        let row = |id| Score {
            id,
            sample: 0,
            group: id,
            content: id,
            values: [("exact".to_owned(), (id % 2) as f64)].into(),
        };
        (0..ids).map(row).collect()
    };
    let base = Arm {
        role: Role::Base,
        ..arm("base", "", "", 0.0, 0)
    };
    let tuned = arm("dpo", "prefer", "score", 0.5, 0);
    let model = fixture.model(&tuned, 0);
    let answers = |who: &str| -> Vec<ScoredAnswer> {
        (0..20)
            .map(|id| said(id, &format!("{who} says {id}")))
            .collect()
    };
    let scores = [
        fixture.scored(&base, 0, &rows(20), None, &answers("base")),
        fixture.scored(&tuned, 0, &rows(20), Some(&model), &answers("dpo")),
    ];
    let report = build(&fixture, &scores, &[]);
    let shown = section(&report, "answers");
    let ids: Vec<&str> = shown.tables.iter().map(|table| &table.id[..]).collect();
    assert_eq!(
        ids,
        [
            "answers-0",
            "answers-4",
            "answers-8",
            "answers-12",
            "answers-16"
        ]
    );
    let texts: Vec<&str> = shown.tables[1]
        .rows
        .iter()
        .map(|row| &row.cells[1].text[..])
        .collect();
    assert_eq!(texts, ["right", "base says 4", "dpo says 4"]);
    assert!(
        shown.text[0].starts_with("The first of every 4 items in their order"),
        "{:?}",
        shown.text
    );
    let page = report.to_markdown().unwrap();
    assert!(page.contains("| dpo | dpo says 4 |"), "{page}");
}

/// What people call their arms is no markup, ends no cell, and steers no terminal.
#[test]
fn names_and_answers_are_words_on_every_page() {
    let fixture = Fixture::new();
    let tuned = arm("<b>dpo</b>|\u{1b}[2J", "prefer", "score", 0.5, 12);
    let model = fixture.model(&tuned, 0);
    let rows: Vec<Score> = fixture.score(&tuned, 0, ITEMS).records().unwrap();
    let answers = [said(0, "<script>alert(1)</script>\n\u{7} < 2 | 3")];
    let scores = [
        fixture.base(),
        fixture.scored(&tuned, 0, &rows, Some(&model), &answers),
    ];
    let report = build(&fixture, &scores, &[]);
    let (markdown, html) = (report.to_markdown().unwrap(), report.to_html().unwrap());
    for text in [
        "| \\<b>dpo\\</b>\\|\\u001b[2J |",
        "\\<script>alert(1)\\</script><br>\\u0007 < 2 \\| 3",
        "1. question 0 | with a bar ?",
    ] {
        assert!(markdown.contains(text), "{text}\n{markdown}");
    }
    assert!(!html.contains("<script") && !html.contains("<b>dpo"));
    for page in [&markdown, &html] {
        let steers = |c: char| c.is_control() && c != '\n';
        assert!(!page.contains(steers));
    }
}

fn pair(id: u64) -> Pair {
    let answer = |text: &str| Answer {
        text: text.into(),
        source: "file".into(),
        sample: 0,
        score: None,
        tokens: None,
        finished: true,
    };
    Pair {
        id,
        prompt: id,
        group: id,
        messages: vec![Message {
            role: "user".into(),
            content: format!("question {id} ?"),
        }],
        chosen: answer("yes"),
        rejected: answer("no"),
        rule: "file".into(),
        confidence: None,
        gold: None,
    }
}

/// Pairs that a model has learnt from measure its memory.
#[test]
fn test_pairs_that_stand_in_training_are_counted() {
    let fixture = Fixture::new();
    let learnt: Vec<Pair> = (0..30).map(pair).collect();
    let tuned = Arm {
        pairs: &learnt,
        ..arm("dpo", "prefer", "file", 0.5, 8)
    };
    let held_out: Vec<Pair> = (27..40).map(pair).collect();
    let test = fixture.run(
        "test-pairs",
        ("data", "pairs", Kind::Pairs),
        json!({"test": true}),
        &[],
        json!(PairsSummary::default()),
        |pending| pending.write_records(&held_out).unwrap(),
    );
    let model = fixture.model(&tuned, 0);
    let rows: Vec<Score> = fixture.score(&tuned, 0, ITEMS).records().unwrap();
    let inputs = [("model", model.reference), ("pairs", test.reference)];
    let scores = [
        fixture.base(),
        fixture.scored_on(&tuned, 0, &rows, &inputs, &[]),
    ];
    let report = build(&fixture, &scores, &[]);
    let told: Vec<&String> = report
        .warnings
        .iter()
        .filter(|warning| warning.contains("memory"))
        .collect();
    let [told] = told[..] else {
        panic!("{:?}", report.warnings)
    };
    assert!(
        told.starts_with("3 of 13 test pairs stand in pairs/")
            && told.contains("which dpo learnt from"),
        "{told}"
    );
}

/// An item is what is asked, not its number.
#[test]
fn other_prompts_under_the_same_numbers_are_other_items() {
    let fixture = Fixture::new();
    let dpo = arm("dpo", "prefer", "order", 0.5, 10);
    let mut rows: Vec<Score> = fixture.score(&dpo, 0, ITEMS).records().unwrap();
    let method =
        |scores: &[Artifact]| section(&build(&fixture, scores, &[]), "method").text[0].clone();
    let same = [
        fixture.base(),
        fixture.score(&dpo, 0, ITEMS),
        fixture.score(&dpo, 1, ITEMS),
    ];
    assert!(method(&same).contains("2 seeds on the same 240 test items"));
    rows[7].content = 999;
    let other = fixture.scored(&dpo, 2, &rows, None, &[]);
    let error = refused(&fixture, &[fixture.base(), other], None);
    assert!(
        error.contains("item 7 does not ask the same in both"),
        "{error}"
    );
}

#[test]
fn an_arm_may_have_several_tests() {
    let fixture = Fixture::new();
    let tags = [[("test", "easy")], [("test", "hard")]];
    let mut scores = Vec::new();
    for (tags, items) in tags.iter().zip([ITEMS, 100]) {
        for (name, role, right) in [("base", Role::Base, 8), ("dpo", Role::Student, 13)] {
            let arm = Arm {
                role,
                tags,
                ..arm(name, "prefer", "order", 0.5, right)
            };
            scores.push(fixture.score(&arm, 0, items));
        }
    }
    let report = build(&fixture, &scores, &[]);
    assert!(
        report
            .headline
            .contains("On easy: In exact match, dpo is above base by 0.250"),
        "{}",
        report.headline
    );
    assert!(report.headline.contains("On hard: "), "{}", report.headline);
    let ids: Vec<&str> = report
        .sections
        .iter()
        .map(|section| &section.id[..])
        .collect();
    assert!(
        ids.contains(&"result") && ids.contains(&"result.2"),
        "{ids:?}"
    );
    let tests: Vec<Option<&str>> = report.arms.iter().map(|arm| arm.test.as_deref()).collect();
    assert_eq!(
        tests,
        [Some("easy"), Some("easy"), Some("hard"), Some("hard")]
    );
}

#[test]
fn theory_alone_is_a_report() {
    let _bound = settings().bind_to_scope();
    let fixture = Fixture::new();
    let report = build(&fixture, &[], &[fixture.theory()]);
    assert!(report.arms.is_empty() && !has(&report, "result"));
    insta::assert_snapshot!(report.to_markdown().unwrap());
    let page = report.to_html().unwrap();
    assert!(page.contains("id=\"theory\"") && !page.contains("id=\"result\""));
}

#[test]
fn the_pages_hold_every_section_and_load_nothing() {
    let fixture = Fixture::new();
    let mut arms = Vec::from(style());
    arms[0].tags = &[("chosen", "2"), ("rejected", "1")];
    arms[1].tags = &[("chosen", "1"), ("rejected", "2")];
    arms.push(Arm {
        tags: &[("steps", "40")],
        steps: 40,
        ..arm("late", "prefer", "order", 0.5, 11)
    });
    let report = build(&fixture, &fixture.scores(&arms), &[fixture.theory()]);
    let page = report.to_html().unwrap();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/scores.html"), &page).unwrap();
    for section in [
        "findings", "result", "metrics", "pairs", "ladder", "stopping", "training", "theory",
        "steps", "method",
    ] {
        assert!(page.contains(&format!("id=\"{section}\"")), "{section}");
    }
    for remote in [
        "http://", "https://", "src=", "@import", "url(", "<link", "<script",
    ] {
        assert!(!page.contains(remote), "the page contains {remote}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf%"));
    // Three metrics, map and two scatters, one curve, nine panels of five arms, two cases.
    assert_eq!(page.matches("<svg").count(), 3 + 3 + 1 + 9 * 5 + 2);
    let told = "the longer is chosen in 75 %";
    assert_eq!(
        cell(&section(&report, "settings").tables[0], "dpo", "result")
            .text
            .matches(told)
            .count(),
        1
    );
    let markdown = report.to_markdown().unwrap();
    for heading in [
        "## Result: exact match",
        "## Divergence from the reference, nats an answer",
        "## Ladder",
        "## When to stop",
        "## Linear theory",
        "## Steps",
    ] {
        assert!(markdown.contains(heading), "{heading}\n{markdown}");
    }
    // People read words: no key of a metric stands on the page.
    let shown = page.split("id=\"steps\"").next().unwrap();
    for key in [
        "kl_per_token",
        "log_likelihood_chosen",
        "preference_accuracy",
    ] {
        assert!(!shown.contains(key), "{key}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let _bound = settings().bind_to_scope();
    let fixture = Fixture::new();
    let dpo = arm("dpo", "prefer", "order", 0.5, 10);
    let base = fixture.base();
    let short = fixture.score(&dpo, 0, ITEMS - 1);
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), short], None), @r"
    seed 0: arm `base` (scores/HASH) and arm `dpo` (scores/HASH) were tested on different items: they have 240 and 239 items, item 239 is only in `base`
    hint: test every arm on the same rows or prompts, with a `--max-tokens` into which all of them fit
    ");
    let full = fixture.score(&dpo, 0, ITEMS);
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), full.clone(), full.clone()], None), @r"
    arm `dpo` has two results for seed 0: scores/HASH and scores/HASH
    hint: give each way of training its own `--arm`, each number of steps its own `--tag steps=N`, and each test its own `--tag test=NAME`
    ");
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), full.clone()], Some("judge")), @r"
    the metric `judge` has values on 239 of 240 items of arm `base`
    hint: score every arm with the same `--scorer`
    ");
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), full.clone()], Some("exakt")), @"no metric is called `exakt`; there are exact, kl, words");
    let other = Arm {
        name: "sft",
        ..arm("", "sft", "order", 0.5, 10)
    };
    let other = fixture.score(&other, 1, ITEMS);
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), full.clone(), other], None), @r"
    results are incomplete: arm `dpo` has no seed 1; arm `sft` has no seed 0
    hint: make what is missing, or leave those seeds out; in a recipe, `[*]` behind a step's name means all of its seeds
    ");
    let second = Arm {
        role: Role::Base,
        ..arm("start", "", "", 0.0, 8)
    };
    let second = fixture.score(&second, 0, ITEMS);
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), second, full], None), @r"
    arms `base` and `start` all have role `base`, and the inputs of arm `dpo` do not tell which is its own
    hint: write one report for each base
    ");
    let late = Arm {
        tags: &[("steps", "many")],
        ..arm("late", "prefer", "order", 0.5, 10)
    };
    let late = fixture.score(&late, 0, ITEMS);
    insta::assert_snapshot!(refused(&fixture, &[base, late], None), @r"
    arm `late` has the tag steps=many, which is not a number of steps
    hint: write it like `--tag steps=100`
    ");
    insta::assert_snapshot!(refused(&fixture, &[], None), @r"
    there are no predictions, scores or theory to report on
    hint: name some with `--predictions`, `--scores` or `--theory`
    ");
}

#[test]
fn reasoning_shows_selections_tags_and_repeated_errors() {
    let fixture = Fixture::new();
    let prompt = |id: u64| Prompt {
        id,
        group: id,
        messages: vec![Message {
            role: "user".into(),
            content: format!("What is {id}?"),
        }],
        answer: Some(id.to_string()),
        choices: Vec::new(),
        gold: None,
        tags: [("steps".to_owned(), (2 + id % 2).to_string())].into(),
    };
    let prompts: Vec<Prompt> = (0..40).map(prompt).collect();
    let prompts = fixture.run(
        "questions",
        ("data", "questions", Kind::Prompts),
        json!({}),
        &[],
        json!({}),
        |pending| pending.write_records(&prompts).unwrap(),
    );
    let checkpoint = |name: &str, inputs: &[(&str, ArtifactRef)]| {
        fixture.run(
            name,
            ("student", "sft", Kind::Checkpoint),
            json!({"name": name, "seed": 0}),
            inputs,
            json!(TrainingSummary::default()),
            |pending| pending.write_file("config.json", b"{}").unwrap(),
        )
    };
    let weak = checkpoint("weak", &[]);
    let selection = SelectionSummary {
        rule: "gold".into(),
        take: "weak".into(),
        oracle: true,
        prompts: 10,
        kept: 4,
        weak: Some(SelectionAccuracy::new(10, 5, 4, 3)),
        ..SelectionSummary::default()
    };
    let summary = ResponsesSummary {
        selection: Some(selection),
        ..ResponsesSummary::default()
    };
    let selected = fixture.run(
        "select",
        ("data", "select", Kind::Responses),
        json!({}),
        &[("weak", weak.reference)],
        json!(summary),
        |pending| pending.write_records::<Response>(&[]).unwrap(),
    );
    let student = checkpoint("student", &[("responses", selected.reference)]);
    let score = |name: &str, role: Role, model: &Artifact, right: fn(u64) -> bool| {
        let row = |id: u64| Score {
            id,
            sample: 0,
            group: id,
            content: id,
            values: [("answer".to_owned(), f64::from(u8::from(right(id))))].into(),
        };
        let rows: Vec<Score> = (0..40).map(row).collect();
        let arm = Arm {
            role,
            ..arm(name, "", "", 0.0, 0)
        };
        let inputs = [("model", model.reference), ("prompts", prompts.reference)];
        fixture.scored_on(&arm, 0, &rows, &inputs, &[])
    };
    // The teacher knows short chains alone, the student half of the long ones, too.
    let scores = [
        score("weak", Role::Teacher, &weak, |id| id % 2 == 0),
        score("student", Role::Student, &student, |id| id % 4 != 3),
    ];
    // Between a teacher and a ceiling nobody asks for differences to a base; without a ceiling there is nothing else.
    let baseless = |scores: &[Artifact]| {
        let warnings = build(&fixture, scores, &[]).warnings;
        warnings
            .iter()
            .any(|told| told.starts_with("no arm has the role `base`"))
    };
    assert!(baseless(&scores));
    let gold = checkpoint("gold", &[]);
    let ceiling = score("ceiling", Role::Ceiling, &gold, |_| true);
    let [weak_scores, student_scores] = scores.clone();
    assert!(!baseless(&[weak_scores, student_scores, ceiling]));
    let report = build(&fixture, &scores, &[]);
    let selections = &section(&report, "selections").tables[0];
    for (column, expected) in [
        ("kept", 0.4),
        ("weak", 0.5),
        ("weak_kept", 0.75),
        ("recall", 0.6),
    ] {
        near(cell(selections, "student", column), expected);
    }
    let oracle = "arm student: its answers were selected by right ones";
    assert!(report.warnings.iter().any(|told| told.starts_with(oracle)));
    let tags = &section(&report, "tags").tables[0];
    near(cell(tags, "weak", "steps_2"), 1.0);
    near(cell(tags, "student", "steps_3"), 0.5);
    let errors = &section(&report, "errors").tables[0];
    near(cell(errors, "student", "repeated"), 0.5);
    near(cell(errors, "student", "new"), 0.0);
}
