//! The audit of a small store made here: two seeds of pairs with known answers, a teacher, a ceiling, students with and without a
//! conflict, and the untrained model.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::summary::{PairsSummary, PredictionsSummary, TrainingSummary};
use w2s_artifact::{
    Answer, Artifact, ArtifactRef, Example, Input, KeySpec, Kind, Label, Message, Pair, Pending,
    Prediction, Provenance, Role, Split, Store,
};
use w2s_report::{AuditOptions, Comparator, Inputs, Options, Report, Section, Table};
use w2s_stats::audit::{Area, Denominator, Threshold};

/// Pairs of each of the four areas.
const EACH: u64 = 10;

struct Fixture {
    store: Store,
    _folder: TempDir,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(folder.path().join("store")).unwrap(),
            _folder: folder,
        }
    }

    /// An artifact of a made-up step.
    fn made(
        &self,
        [stage, operation, step]: [&str; 3],
        kind: Kind,
        parameters: Value,
        inputs: &[(&str, &Artifact)],
        summary: Value,
        write: impl FnOnce(&Pending),
    ) -> Artifact {
        let parameters = json!({"step": step, "more": parameters});
        let inputs: Vec<Input> = inputs
            .iter()
            .map(|(name, artifact)| Input::Artifact {
                name: (*name).to_owned(),
                artifact: artifact.reference,
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
        let reference = ArtifactRef::new(kind, spec.key());
        if let Some(found) = self.store.get(&reference).unwrap() {
            return found;
        }
        let pending = self.store.begin(&reference).unwrap();
        write(&pending);
        let provenance = Provenance {
            stage: stage.to_owned(),
            operation: operation.to_owned(),
            operation_version: 1,
            step: Some(step.to_owned()),
            parameters: parameters.clone(),
            inputs,
            summary,
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap()
    }

    fn pairs(&self, name: &str, pairs: &[Pair], inputs: &[(&str, &Artifact)]) -> Artifact {
        let longer = |pair: &&Pair| pair.chosen.text.len() > pair.rejected.text.len();
        let summary = PairsSummary {
            rows: pairs.len(),
            rule: Some("file".into()),
            longer_is_chosen: pairs.iter().filter(longer).count() as f64 / pairs.len() as f64,
            length_unit: "characters".into(),
            ..PairsSummary::default()
        };
        let step = ["data", "pairs", name];
        self.made(step, Kind::Pairs, json!({}), inputs, json!(summary), |p| {
            p.write_records(pairs).unwrap();
        })
    }

    fn model(&self, name: &str, inputs: &[(&str, &Artifact)]) -> Artifact {
        let stage = if inputs.is_empty() { "base" } else { "student" };
        let summary = json!(TrainingSummary::default());
        let step = [stage, "reward", name];
        self.made(step, Kind::Checkpoint, json!({}), inputs, summary, |p| {
            p.write_file("config.json", b"{}").unwrap();
        })
    }

    fn labels(&self, name: &str, model: &Artifact) -> Artifact {
        let rows = [Label {
            id: 0,
            probabilities: vec![0.5, 0.5],
        }];
        let step = ["teacher", "judge", name];
        let inputs = [("model", model)];
        self.made(step, Kind::Labels, json!({}), &inputs, json!({}), |p| {
            p.write_records(&rows).unwrap();
        })
    }

    fn predictions(&self, arm: &Arm<'_>, rows: &[Prediction]) -> Artifact {
        let tags = arm.tags.iter();
        let summary = PredictionsSummary {
            arm: arm.name.to_owned(),
            role: arm.role,
            tags: tags
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            seed: arm.seed,
            classes: ["first", "second"].map(str::to_owned).to_vec(),
            rows: rows.len(),
            accuracy: 0.5,
            dropped_too_long: 0,
            truncated: 0,
            tokens: None,
            tokens_per_second: None,
        };
        let mut inputs = vec![("model", arm.model), ("pairs", arm.pairs)];
        inputs.extend(arm.gold.map(|gold| ("gold-pairs", gold)));
        let name = format!("margins-{}-{}", arm.name, arm.seed);
        let step = ["eval", "margins", &name];
        let (kind, summary) = (Kind::Predictions, json!(summary));
        self.made(step, kind, json!({}), &inputs, summary, |p| {
            p.write_records(rows).unwrap();
        })
    }
}

struct Arm<'a> {
    name: &'a str,
    role: Role,
    tags: &'a [(&'a str, &'a str)],
    seed: u64,
    model: &'a Artifact,
    pairs: &'a Artifact,
    gold: Option<&'a Artifact>,
}

fn answer(text: String) -> Answer {
    Answer {
        text,
        source: "file".into(),
        sample: 0,
        score: None,
        tokens: None,
        finished: true,
    }
}

/// Pairs whose prompts start at `first`; the chosen answer is the longer one and says `kind`.
fn pairs(first: u64, n: u64) -> Vec<Pair> {
    let pair = |id: u64| Pair {
        id,
        prompt: id,
        group: id,
        messages: vec![Message {
            role: "user".into(),
            content: format!("question {}", first + id),
        }],
        chosen: answer("a kind long answer".into()),
        rejected: answer("a rude one".into()),
        rule: "file".into(),
        confidence: None,
        gold: None,
    };
    (0..n).map(pair).collect()
}

/// Predictions that give the chosen answer of each pair a probability.
fn confident(pairs: &[Pair], of: impl Fn(usize) -> f32) -> Vec<Prediction> {
    let row = |(at, pair): (usize, &Pair)| {
        let mut probabilities = vec![1.0 - of(at); 2];
        probabilities[pair.place()] = of(at);
        Prediction {
            id: pair.id,
            group: pair.group,
            label: pair.place() as u32,
            probabilities,
        }
    };
    pairs.iter().enumerate().map(row).collect()
}

/// The area of each test pair, and its number there.
fn area(at: usize) -> (Area, usize) {
    (Area::ALL[at % 4], at / 4)
}

/// An arm that is wrong on the first so many pairs of each area.
fn wrong_on(errors: [usize; 4]) -> impl Fn(usize) -> f32 {
    move |at| match area(at) {
        (of, number) if number < errors[of as usize] => 0.2,
        _ => 0.8,
    }
}

fn strong_confidence(at: usize) -> f32 {
    match area(at).0 {
        Area::Both | Area::StrongOnly => 0.9,
        _ => 0.6,
    }
}

/// The teacher is wrong on the first two pairs that only the ceiling knows.
fn weak_confidence(at: usize) -> f32 {
    match area(at) {
        (Area::Both | Area::WeakOnly, _) => 0.9,
        (Area::StrongOnly, 0 | 1) => 0.3,
        _ => 0.6,
    }
}

/// What the student with the conflict loses in each seed, by area; one of the four where neither knows is lost without it too.
const LOST: [[usize; 4]; 2] = [[1, 5, 2, 4], [1, 3, 2, 4]];

/// The artifacts of the experiment: teacher, ceiling, `plain`, `torn` with a conflict, untrained.
fn experiment(fixture: &Fixture, gold: bool) -> Vec<Artifact> {
    let test = pairs(0, 4 * EACH);
    let test_pairs = fixture.pairs("test", &test, &[]);
    let weak_base = fixture.model("weak-base", &[]);
    let strong_base = fixture.model("strong-base", &[]);
    let mut found = Vec::new();
    for seed in 0..2 {
        let named = |name: &str| format!("{name}[seed={seed}]");
        let gold_pairs = fixture.pairs(&named("gold"), &pairs(1000 + 100 * seed, 30), &[]);
        let transfer = fixture.pairs(&named("transfer"), &pairs(2000 + 100 * seed, 30), &[]);
        let weak = fixture.model(
            &named("weak"),
            &[("base", &weak_base), ("pairs", &gold_pairs)],
        );
        let labels = fixture.labels(&named("judged"), &weak);
        let relabelled = fixture.pairs(
            &named("relabelled"),
            &pairs(2000 + 100 * seed, 30),
            &[("pairs", &transfer), ("labels", &labels)],
        );
        let mixed = fixture.pairs(
            &named("mixed"),
            &pairs(2000 + 100 * seed, 30),
            &[("pairs", &relabelled), ("other", &gold_pairs)],
        );
        let student = |name: &str, pairs: &Artifact| {
            fixture.model(&named(name), &[("base", &strong_base), ("pairs", pairs)])
        };
        let none: &[(&str, &str)] = &[];
        let conflict: &[(&str, &str)] = &[("conflict", "implicit")];
        let arms = [
            (
                "untrained",
                Role::Base,
                none,
                strong_base.clone(),
                confident(&test, wrong_on([5; 4])),
            ),
            (
                "weak",
                Role::Teacher,
                none,
                weak.clone(),
                confident(&test, weak_confidence),
            ),
            (
                "plain",
                Role::Student,
                none,
                student("plain", &relabelled),
                confident(&test, wrong_on([0, 0, 0, 1])),
            ),
            (
                "torn",
                Role::Student,
                conflict,
                student("torn", &mixed),
                confident(&test, wrong_on(LOST[seed as usize])),
            ),
            (
                "ceiling",
                Role::Ceiling,
                none,
                student("ceiling", &transfer),
                confident(&test, strong_confidence),
            ),
        ];
        for (name, role, tags, model, rows) in &arms {
            let arm = Arm {
                name,
                role: *role,
                tags,
                seed,
                model,
                pairs: &test_pairs,
                gold: gold.then_some(&gold_pairs),
            };
            found.push(fixture.predictions(&arm, rows));
        }
    }
    found
}

fn build_with(fixture: &Fixture, predictions: &[Artifact], audit: AuditOptions) -> Report {
    let inputs = Inputs {
        predictions: predictions.to_vec(),
        ..Inputs::default()
    };
    let options = Options {
        recipe: "deception-reward".into(),
        audit,
        ..Options::default()
    };
    w2s_report::build(&fixture.store, &inputs, &options).unwrap()
}

fn build(fixture: &Fixture, predictions: &[Artifact]) -> Report {
    build_with(fixture, predictions, AuditOptions::default())
}

fn refused(fixture: &Fixture, predictions: &[Artifact]) -> String {
    let inputs = Inputs {
        predictions: predictions.to_vec(),
        ..Inputs::default()
    };
    let built = w2s_report::build(&fixture.store, &inputs, &Options::default());
    built.unwrap_err().to_string()
}

fn section<'a>(report: &'a Report, id: &str) -> &'a Section {
    let found = report.sections.iter().find(|section| section.id == id);
    found.unwrap_or_else(|| panic!("no section {id}"))
}

fn table<'a>(report: &'a Report, id: &str) -> &'a Table {
    let tables = &section(report, "audit").tables;
    let found = tables.iter().find(|table| table.id == id);
    found.unwrap_or_else(|| panic!("no table {id}"))
}

/// The texts of a column, row by row.
fn column<'a>(table: &'a Table, key: &str) -> Vec<&'a str> {
    let at = table.columns.iter().position(|column| column.key == key);
    let at = at.unwrap_or_else(|| panic!("no column {key}"));
    table
        .rows
        .iter()
        .map(|row| &row.cells[at].text[..])
        .collect()
}

fn value(table: &Table, row: usize, key: &str) -> f64 {
    let at = table.columns.iter().position(|column| column.key == key);
    table.rows[row].cells[at.unwrap()].value.unwrap()
}

fn near(got: f64, expected: f64) {
    assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
}

/// What the page says of the audit.
fn page(report: &Report) -> String {
    let page = report.to_markdown().unwrap();
    let from = page.find("## Where the student errs").unwrap();
    let to = page[from + 3..].find("\n## ").unwrap();
    page[from..from + 3 + to].to_owned()
}

#[test]
fn counts_and_scores_are_those_of_the_fixture() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, true));
    let areas = table(&report, "areas");
    assert!(!areas.folded);
    assert_eq!(column(areas, "arm"), ["torn"; 4]);
    assert_eq!(column(areas, "items"), ["20"; 4]);
    assert_eq!(column(areas, "at_risk"), ["20", "20", "20", "18"]);
    assert_eq!(column(areas, "errors"), ["2", "8", "4", "6"]);
    assert_eq!(column(areas, "inherited"), ["0", "4", "0", "0"]);
    for (row, rate, net) in [
        (0, 2.0 / 20.0, 2.0 / 20.0),
        (1, 8.0 / 20.0, 8.0 / 20.0),
        (2, 4.0 / 20.0, 4.0 / 20.0),
        (3, 6.0 / 18.0, 6.0 / 20.0),
    ] {
        near(value(areas, row, "rate"), rate);
        near(value(areas, row, "net"), net);
    }
    let scores = table(&report, "scores");
    assert_eq!(
        column(scores, "arm"),
        ["torn", "plain", "ceiling", "untrained"]
    );
    assert_eq!(
        column(scores, "against"),
        ["plain", "ceiling", "plain", "plain"]
    );
    assert_eq!(
        column(scores, "kind"),
        [
            "conflict: implicit",
            "control: no conflict",
            "control: gold-trained",
            "control: untrained"
        ]
    );
    near(value(scores, 0, "score"), 8.0 / 20.0);
    near(value(scores, 0, "chance"), 20.0 / 78.0);
    near(value(scores, 0, "above_chance"), 0.4 - 20.0 / 78.0);
    // One minus the mean confidence: 0.1 where both know, 0.25 or 0.4 where the ceiling does, 0.25 and 0.4 elsewhere.
    let inside = 16.0 * 0.25 + 4.0 * 0.4;
    let all = inside + 20.0 * 0.1 + 20.0 * 0.25 + 18.0 * 0.4;
    assert!((value(scores, 0, "difficulty") - inside / all).abs() < 1e-6);
    // The plain student loses what neither knows; the ceiling loses nothing.
    near(value(scores, 1, "score"), 0.0);
    assert_eq!(column(scores, "errors")[2], "0 of 78");
    assert_eq!(column(scores, "score")[2], "undefined");
    // The untrained one is wrong on half of every area, in one of them on one that the plain student loses.
    near(value(scores, 3, "score"), 10.0 / 38.0);
}

#[test]
fn the_section_says_what_it_is() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, true));
    insta::assert_snapshot!("section", page(&report));
    insta::assert_snapshot!("findings", report.findings.join("\n"));
    let html = report.to_html().unwrap();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/audit.html"), &html).unwrap();
    assert!(!html.contains("NaN"));
}

#[test]
fn comparator_denominator_and_threshold_are_options() {
    let fixture = Fixture::new();
    let predictions = experiment(&fixture, true);
    let audit = |audit| build_with(&fixture, &predictions, audit);
    let report = audit(AuditOptions {
        comparator: Comparator::Ceiling,
        ..AuditOptions::default()
    });
    let scores = table(&report, "scores");
    assert_eq!(column(scores, "against")[0], "ceiling");
    // Against the ceiling, the pair that is lost without a conflict too is an error.
    near(value(scores, 0, "score"), 8.0 / 22.0);
    let report = audit(AuditOptions {
        denominator: Denominator::StrongKnown,
        ..AuditOptions::default()
    });
    let scores = table(&report, "scores");
    near(value(scores, 0, "score"), 8.0 / 10.0);
    near(value(scores, 0, "chance"), 0.5);
    let report = audit(AuditOptions {
        threshold: Threshold::new(0.55).unwrap(),
        ..AuditOptions::default()
    });
    // All items are known to the ceiling, and all but the teacher's errors to the teacher.
    near(value(table(&report, "scores"), 0, "score"), 4.0 / 20.0);
}

/// A student whose errors are the same in every area has the score of chance.
#[test]
fn errors_at_random_places_are_not_shown_to_be_more() {
    let fixture = Fixture::new();
    let test = pairs(0, 400);
    let test_pairs = fixture.pairs("test", &test, &[]);
    let base = fixture.model("base", &[]);
    let (weak, ceiling) = (
        fixture.model("weak", &[("pairs", &test_pairs)]),
        fixture.model("ceiling", &[("base", &base)]),
    );
    let student = fixture.model("student", &[("base", &base), ("pairs", &test_pairs)]);
    let mut predictions = Vec::new();
    for seed in 0..2 {
        let random = move |at: usize| match (at as u64 * 2_654_435_761 + 977 * seed) % 1009 {
            0..250 => 0.2,
            _ => 0.8,
        };
        for (name, role, model, rows) in [
            (
                "weak",
                Role::Teacher,
                &weak,
                confident(&test, weak_confidence),
            ),
            ("random", Role::Student, &student, confident(&test, random)),
            (
                "ceiling",
                Role::Ceiling,
                &ceiling,
                confident(&test, strong_confidence),
            ),
        ] {
            let arm = Arm {
                name,
                role,
                tags: &[],
                seed,
                model,
                pairs: &test_pairs,
                gold: None,
            };
            predictions.push(fixture.predictions(&arm, &rows));
        }
    }
    let report = build(&fixture, &predictions);
    let scores = table(&report, "scores");
    near(value(scores, 0, "chance"), 0.25);
    assert!(value(scores, 0, "above_chance").abs() < 0.06);
    let told = report
        .findings
        .iter()
        .find(|told| told.starts_with("random errs"));
    let told = told.unwrap();
    assert!(
        told.contains(
            "The score is not shown to differ from chance (the interval of the difference, "
        ),
        "{told}"
    );
}

#[test]
fn without_an_error_the_score_is_undefined() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, false);
    predictions.retain(|artifact| {
        let summary: PredictionsSummary = artifact.summary().unwrap();
        summary.role != Role::Student && summary.role != Role::Base
    });
    let first = predictions[0].manifest.clone();
    let test = pairs(0, 4 * EACH);
    let tested = fixture
        .store
        .require(&first.input("pairs").unwrap())
        .unwrap();
    let ceiling = fixture
        .store
        .require(&predictions[1].manifest.input("model").unwrap());
    for seed in 0..2 {
        let arm = Arm {
            name: "perfect",
            role: Role::Student,
            tags: &[],
            seed,
            model: ceiling.as_ref().unwrap(),
            pairs: &tested,
            gold: None,
        };
        predictions.push(fixture.predictions(&arm, &confident(&test, |_| 0.8)));
    }
    let report = build(&fixture, &predictions);
    assert_eq!(column(table(&report, "scores"), "score"), ["undefined"]);
    assert!(report.findings.contains(
        &"perfect errs on none of 80 items that ceiling gets right: its score is undefined, not 0.".to_owned()
    ));
}

#[test]
fn without_a_ceiling_there_are_blind_spots() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, true);
    predictions.retain(|artifact| {
        let summary: PredictionsSummary = artifact.summary().unwrap();
        summary.role != Role::Ceiling
    });
    let report = build(&fixture, &predictions);
    let said = &section(&report, "audit").text[0];
    assert!(
        said.starts_with("The full audit needs a ceiling, which says what the strong model could know: predict with one, `--role ceiling`."),
        "{said}"
    );
    let blind = table(&report, "blind");
    assert_eq!(column(blind, "arm"), ["plain", "torn"]);
    // All 80 answers are sure; the teacher is unsure of 40, and torn is wrong on 16 of these and 6 others.
    assert_eq!(column(blind, "errors"), ["2 of 80", "22 of 80"]);
    near(value(blind, 1, "unseen"), 16.0 / 40.0);
    near(value(blind, 1, "seen"), 6.0 / 40.0);
    near(value(blind, 1, "score"), 16.0 / 22.0);
    near(value(blind, 1, "chance"), 0.5);
    assert!(
        report.findings.iter().any(|told| told.starts_with(
            "torn is wrong on 22 of 80 items that it is sure of; of 16 of these errors its teacher is unsure, a share that is "
        )),
        "{:?}",
        report.findings
    );
}

#[test]
fn trivial_judges_are_fitted_on_gold_pairs() {
    let fixture = Fixture::new();
    let arms = |report: &Report| -> BTreeMap<String, f64> {
        let accuracy = |arm: &w2s_report::ArmEstimates| arm.metrics[0].value.mean.unwrap();
        let arms = report.arms.iter();
        arms.filter(|arm| arm.role == Role::Baseline)
            .map(|arm| (arm.arm.clone(), accuracy(arm)))
            .collect()
    };
    let with = build(&fixture, &experiment(&fixture, true));
    assert_eq!(
        arms(&with),
        [("length", 1.0), ("unigram-bayes", 1.0)]
            .map(|(name, right)| (name.to_owned(), right))
            .into()
    );
    let data = section(&with, "data");
    assert_eq!(data.tables[0].rows.len(), 1);
    assert_eq!(column(&data.tables[0], "longer"), ["100 %"]);
    assert_eq!(column(&data.tables[0], "gold_rows"), ["30"]);
    let without = build(&fixture, &experiment(&fixture, false));
    assert!(arms(&without).is_empty());
}

/// One weak and three strong models in one report: every student finds its own ceiling and the student without a conflict.
#[test]
fn a_matrix_of_sizes_is_a_map() {
    let fixture = Fixture::new();
    let test = pairs(0, 4 * EACH);
    let test_pairs = fixture.pairs("test", &test, &[]);
    let weak_base = fixture.model("weak-base", &[]);
    let gold_pairs = fixture.pairs("gold", &pairs(1000, 30), &[]);
    let transfer = fixture.pairs("transfer", &pairs(2000, 30), &[]);
    let weak = fixture.model("weak", &[("base", &weak_base), ("pairs", &gold_pairs)]);
    let labels = fixture.labels("judged", &weak);
    let relabelled = fixture.pairs(
        "relabelled",
        &pairs(2000, 30),
        &[("pairs", &transfer), ("labels", &labels)],
    );
    let mut predictions = Vec::new();
    let mut add =
        |name: &str, role, tags: &[(&str, &str)], model: &Artifact, rows: &[Prediction]| {
            let arm = Arm {
                name,
                role,
                tags,
                seed: 0,
                model,
                pairs: &test_pairs,
                gold: None,
            };
            predictions.push(fixture.predictions(&arm, rows));
        };
    add(
        "weak",
        Role::Teacher,
        &[("weak", "nano")],
        &weak,
        &confident(&test, weak_confidence),
    );
    for (at, size) in ["micro", "mini", "small"].into_iter().enumerate() {
        let base = fixture.model(size, &[]);
        let trained = |name: &str, pairs: &Artifact| {
            fixture.model(
                &format!("{name}-{size}"),
                &[("base", &base), ("pairs", pairs)],
            )
        };
        let tags = [("weak", "nano"), ("strong", size)];
        let conflict = [("conflict", "explicit"), ("weak", "nano"), ("strong", size)];
        add(
            &format!("torn-{size}"),
            Role::Student,
            &conflict,
            &trained("torn", &relabelled),
            &confident(&test, wrong_on([2, 2 + 2 * at, 2, 2])),
        );
        add(
            &format!("plain-{size}"),
            Role::Student,
            &tags,
            &trained("plain", &relabelled),
            &confident(&test, wrong_on([0; 4])),
        );
        add(
            &format!("ceiling-{size}"),
            Role::Ceiling,
            &tags[1..],
            &trained("ceiling", &transfer),
            &confident(&test, strong_confidence),
        );
    }
    let report = build(&fixture, &predictions);
    let scores = table(&report, "scores");
    assert_eq!(
        column(scores, "arm")[..3],
        ["torn-micro", "torn-mini", "torn-small"]
    );
    assert_eq!(
        column(scores, "against")[..6],
        [
            "plain-micro",
            "plain-mini",
            "plain-small",
            "ceiling-micro",
            "ceiling-mini",
            "ceiling-small"
        ]
    );
    near(value(scores, 2, "score"), 6.0 / 12.0);
    let charts = &section(&report, "audit").charts;
    let map = charts
        .iter()
        .map(|chart| json!(chart))
        .find(|chart| chart["kind"] == "map");
    let map = map.expect("a map");
    assert_eq!(
        map["across"],
        json!({"down": "weak", "right": "strong", "names": ["micro", "mini", "small"]})
    );
    assert_eq!(map["rungs"], json!([["nano", null]]));
    assert_eq!(map["cells"][2]["column"], 2);
    assert_eq!(map["cells"][0]["text"], "(0.250)");
    let gap = report
        .findings
        .iter()
        .find(|told| told.starts_with("From strong=micro"));
    assert!(
        gap.unwrap().starts_with(
            "From strong=micro to strong=small (conflict=explicit, weak=nano), the score above chance goes from 0.000 to 0.250, by 0.250 ["
        ),
        "{gap:?}"
    );
    let html = report.to_html().unwrap();
    std::fs::write(
        concat!(env!("CARGO_TARGET_TMPDIR"), "/audit-map.html"),
        &html,
    )
    .unwrap();
    let drawn = html.split("class=\"map\"").nth(1).unwrap();
    let drawn = drawn.split("</svg>").next().unwrap();
    for said in [
        ">weak<",
        ">strong<",
        ">nano<",
        ">small<",
        ">(0.400)<",
        ">chance 0.250<",
    ] {
        assert!(drawn.contains(said), "{said}: {drawn}");
    }
    assert_eq!(drawn.matches("class=\"cell\"").count(), 3);
}

/// Two teachers: the one that judged a student's pairs is its own, through `relabel` and `mix`. Two ceilings from scratch, which
/// no input tells apart: the tag does.
#[test]
fn students_of_pairs_find_their_teacher_and_ceiling() {
    let fixture = Fixture::new();
    let test = pairs(0, 4 * EACH);
    let test_pairs = fixture.pairs("test", &test, &[]);
    let gold_pairs = fixture.pairs("gold", &pairs(1000, 30), &[]);
    let transfer = fixture.pairs("transfer", &pairs(2000, 30), &[]);
    let mut predictions = Vec::new();
    for (weak, strong) in [("nano", "mini"), ("micro", "small")] {
        let teacher = fixture.model(&format!("weak-{weak}"), &[("pairs", &gold_pairs)]);
        let labels = fixture.labels(weak, &teacher);
        let relabelled = fixture.pairs(
            &format!("relabelled-{weak}"),
            &pairs(2000, 30),
            &[("pairs", &transfer), ("labels", &labels)],
        );
        let mixed = fixture.pairs(
            &format!("mixed-{weak}"),
            &pairs(2000, 30),
            &[("pairs", &relabelled), ("other", &gold_pairs)],
        );
        let student = fixture.model(&format!("torn-{strong}"), &[("pairs", &mixed)]);
        let ceiling = fixture.model(&format!("ceiling-{strong}"), &[("pairs", &transfer)]);
        for (name, role, model) in [
            (weak, Role::Teacher, &teacher),
            (&format!("torn-{strong}"), Role::Student, &student),
            (&format!("ceiling-{strong}"), Role::Ceiling, &ceiling),
        ] {
            let arm = Arm {
                name,
                role,
                tags: &[("strong", strong)],
                seed: 0,
                model,
                pairs: &test_pairs,
                gold: None,
            };
            let rows = confident(&test, |at| if at % 3 == 0 { 0.2 } else { 0.8 });
            predictions.push(fixture.predictions(&arm, &rows));
        }
    }
    let report = build(&fixture, &predictions);
    let shares = &section(&report, "pgr").tables[0];
    assert_eq!(column(shares, "arm"), ["torn-mini", "torn-small"]);
    assert_eq!(column(shares, "teacher"), ["nano", "micro"]);
    assert_eq!(column(shares, "ceiling"), ["ceiling-mini", "ceiling-small"]);
}

#[test]
fn arms_on_different_pairs_are_refused() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, false);
    let others = pairs(5000, 4 * EACH);
    let other_pairs = fixture.pairs("others", &others, &[]);
    let model = fixture.model("other", &[("pairs", &other_pairs)]);
    let arm = |name: &'static str, seed| Arm {
        name,
        role: Role::Student,
        tags: &[],
        seed,
        model: &model,
        pairs: &other_pairs,
        gold: None,
    };
    for seed in 0..2 {
        let rows = confident(&others, |_| 0.8);
        predictions.push(fixture.predictions(&arm("elsewhere", seed), &rows));
    }
    let error = refused(&fixture, &predictions);
    assert!(
        error.starts_with("seed 0: arm `untrained` (predictions/")
            && error.contains(" and arm `elsewhere` (predictions/")
            && error
                .contains(" were tested on different items: item 0 does not ask the same in both"),
        "{error}"
    );
    // A pair that a model ordered against the truth has its better answer in the other place.
    let mut wrong = others.clone();
    wrong[0].gold = Some(false);
    let ordered = fixture.pairs("ordered", &wrong, &[]);
    let mut rows = confident(&others, |_| 0.8);
    rows[0].label = 1 - rows[0].label;
    let judged = Arm {
        pairs: &ordered,
        ..arm("judged", 0)
    };
    let report = build(&fixture, &[fixture.predictions(&judged, &rows)]);
    near(report.arms[0].metrics[0].value.mean.unwrap(), 39.0 / 40.0);
    // Predictions that are about other pairs than they say.
    let turned: Vec<Prediction> = confident(&others, |_| 0.8)
        .into_iter()
        .map(|row| Prediction {
            label: 1 - row.label,
            ..row
        })
        .collect();
    let error = refused(&fixture, &[fixture.predictions(&arm("turned", 7), &turned)]);
    assert!(
        error.contains("the better answer of pair 0 stands ")
            && error.contains("hint: make the margins"),
        "{error}"
    );
    let mut more = confident(&others, |_| 0.8);
    more[3].id = 4000;
    let error = refused(&fixture, &[fixture.predictions(&arm("more", 7), &more)]);
    assert!(
        error.contains("differ: pair 4000 is only in the predictions"),
        "{error}"
    );
    more[3].id = 2;
    let error = refused(&fixture, &[fixture.predictions(&arm("twice", 7), &more)]);
    assert!(
        error.contains("differ: pair 2 is predicted twice"),
        "{error}"
    );
}

#[test]
fn test_pairs_in_training_are_a_warning_whoever_ordered_them() {
    let fixture = Fixture::new();
    let test = pairs(0, 40);
    let test_pairs = fixture.pairs("test", &test, &[]);
    // Two test pairs in training, one of them turned around.
    let mut training = pairs(3000, 20);
    training.extend(test[..2].iter().cloned());
    let last = training.last_mut().unwrap();
    std::mem::swap(&mut last.chosen, &mut last.rejected);
    let trained_on = fixture.pairs("training", &training, &[]);
    let model = fixture.model("weak", &[("pairs", &trained_on)]);
    let arm = Arm {
        name: "weak",
        role: Role::Teacher,
        tags: &[],
        seed: 0,
        model: &model,
        pairs: &test_pairs,
        gold: None,
    };
    let report = build(
        &fixture,
        &[fixture.predictions(&arm, &confident(&test, |_| 0.8))],
    );
    let warning = report
        .warnings
        .iter()
        .find(|told| told.contains("learnt from"));
    assert!(
        warning.is_some_and(|told| told.starts_with("2 of 40 test pairs stand in pairs/")),
        "{:?}",
        report.warnings
    );
}

/// A student of the same teacher and base may be missing, or there may be several.
#[test]
fn a_conflict_without_its_student_is_held_against_the_ceiling() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, false);
    predictions.retain(|artifact| {
        let summary: PredictionsSummary = artifact.summary().unwrap();
        summary.arm != "plain"
    });
    let report = build(&fixture, &predictions);
    assert_eq!(column(table(&report, "scores"), "against")[0], "ceiling");
    assert!(report.warnings.contains(
        &"arm torn has a conflict, and no student without one has its teacher and base: it is held against its ceiling".to_owned()
    ));
}

/// Three classes: a model knows the right one where it gives it enough, and is right where that is the most probable.
#[test]
fn several_classes_are_audited_by_the_right_one() {
    let fixture = Fixture::new();
    let rows: Vec<Example> = (0..30)
        .map(|id| Example {
            id,
            split: Split::Test,
            group: id,
            label: (id % 3) as u32,
            text: format!("row {id}"),
        })
        .collect();
    let classes = ["a", "b", "c"].map(str::to_owned).to_vec();
    let summary = w2s_artifact::summary::SplitSummary {
        task: "thirds".into(),
        classes: classes.clone(),
        rows: rows.len(),
        ..Default::default()
    };
    let step = ["data", "task", "data"];
    let data = fixture.made(step, Kind::Examples, json!({}), &[], json!(summary), |p| {
        p.write_records(&rows).unwrap();
    });
    let base = fixture.model("base", &[]);
    let mut predictions = Vec::new();
    // The right class has so much, the next one all the rest but a tenth.
    for (arm, role, gold) in [
        ("weak", Role::Teacher, 0.46f32),
        ("naive", Role::Student, 0.40),
        ("ceiling", Role::Ceiling, 0.80),
    ] {
        let rows: Vec<Prediction> = rows
            .iter()
            .map(|row| {
                let mut probabilities = vec![0.1; 3];
                probabilities[row.label as usize] = gold;
                probabilities[(row.label as usize + 1) % 3] = 0.9 - gold;
                Prediction {
                    id: row.id,
                    group: row.group,
                    label: row.label,
                    probabilities,
                }
            })
            .collect();
        let summary = PredictionsSummary {
            arm: arm.into(),
            role,
            tags: BTreeMap::new(),
            seed: 0,
            classes: classes.clone(),
            rows: rows.len(),
            accuracy: 0.0,
            dropped_too_long: 0,
            truncated: 0,
            tokens: None,
            tokens_per_second: None,
        };
        let model = fixture.model(arm, &[("base", &base), ("data", &data)]);
        let step = ["eval", "predict", arm];
        let inputs = [("model", &model), ("data", &data)];
        let (kind, summary) = (Kind::Predictions, json!(summary));
        predictions.push(fixture.made(step, kind, json!({}), &inputs, summary, |p| {
            p.write_records(&rows).unwrap();
        }));
    }
    let report = build(&fixture, &predictions);
    let areas = table(&report, "areas");
    // All items are known to the ceiling alone; the teacher is right with 0.46 and does not know them.
    assert_eq!(column(areas, "errors"), ["0", "30", "0", "0"]);
    assert_eq!(column(areas, "inherited"), ["0", "0", "0", "0"]);
    near(value(table(&report, "scores"), 0, "score"), 1.0);
}

#[cfg(feature = "cli")]
mod operation {
    use clap::Parser;
    use w2s_report::Build;
    use w2s_stage::Operation;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        operation: Build,
    }

    #[test]
    fn a_threshold_outside_its_range_is_refused_before_any_work() {
        let reference = format!("predictions/{}", "0".repeat(64));
        let flags = |threshold: &str| {
            let words = ["report", "--recipe", "r", "--predictions", &reference];
            let words = words.into_iter().chain(["--threshold", threshold]);
            Flags::try_parse_from(words).unwrap().operation
        };
        assert!(flags("0.6").check().is_ok());
        for wrong in ["0.5", "1", "75"] {
            assert_eq!(
                flags(wrong).check().unwrap_err().to_string(),
                format!(
                    "the threshold {wrong} is not above 0.5 and below 1\nhint: the published code takes 0.75, which is a margin of ln 3 nats"
                )
            );
        }
    }

    #[test]
    fn options_of_the_audit_are_words() {
        let parsed = |flags: [&str; 2]| {
            let words = ["report", "--recipe", "r"].into_iter().chain(flags);
            Flags::try_parse_from(words).map(|flags| serde_json::json!(flags.operation))
        };
        let defaults = parsed(["--metric", "x"]).unwrap();
        assert_eq!(
            [
                &defaults["threshold"],
                &defaults["comparator"],
                &defaults["denominator"]
            ],
            [
                &serde_json::json!(0.75),
                &serde_json::json!("student"),
                &serde_json::json!("taxed")
            ]
        );
        let known = parsed(["--denominator", "strong-known"]).unwrap();
        assert_eq!(known["denominator"], "strong-known");
        let error = parsed(["--comparator", "teacher"]).unwrap_err().to_string();
        assert!(
            error.contains("[possible values: student, ceiling]"),
            "{error}"
        );
    }
}
