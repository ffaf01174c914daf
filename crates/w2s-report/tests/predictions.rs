//! The report on a small store made here: three seeds, a teacher, three students and a ceiling, with the steps behind them.
//!
//! The HTML pages are left in the target folder (`tmp/report.html`, `tmp/report-no-gap.html`) for people to look at.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::summary::{
    CorpusSummary, FitSummary, LabelsSummary, PredictionsSummary, SplitCount, SplitCounts,
    SplitPlan, SplitSummary, TRAINING_LOG, TrainingLogLine, TrainingSummary,
};
use w2s_artifact::{
    Artifact, ArtifactRef, Example, Input, KeySpec, Kind, Label, Pending, Prediction, Provenance,
    Role, Split, Store,
};
use w2s_report::{Cell, Inputs, Options, Report, ReportError, Section};

const GOLD: u64 = 120;
const TRANSFER: u64 = 160;
const TEST: u64 = 240;

/// A small generator, so that the fixture is the same everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64) / (1u64 << 31) as f64
    }

    /// About normal.
    fn noise(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

struct Fixture {
    store: Store,
    _folder: TempDir,
}

/// A step of the made-up recipe.
struct Step<'a> {
    name: &'a str,
    stage: &'a str,
    operation: &'a str,
    kind: Kind,
    parameters: Value,
    inputs: Vec<(&'a str, ArtifactRef)>,
    summary: Value,
    seconds: f64,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::open(folder.path().join("store")).unwrap(),
            _folder: folder,
        }
    }

    fn run(&self, step: Step<'_>, write: impl FnOnce(&Pending)) -> Artifact {
        let inputs: Vec<Input> = step
            .inputs
            .iter()
            .map(|&(name, artifact)| Input::Artifact {
                name: name.to_owned(),
                artifact,
            })
            .collect();
        let spec = KeySpec {
            stage: step.stage,
            operation: step.operation,
            version: 1,
            kind: step.kind,
            parameters: &step.parameters,
            inputs: &inputs,
        };
        let pending = self
            .store
            .begin(&ArtifactRef::new(step.kind, spec.key()))
            .unwrap();
        write(&pending);
        let provenance = Provenance {
            stage: step.stage.to_owned(),
            operation: step.operation.to_owned(),
            operation_version: 1,
            step: Some(step.name.to_owned()),
            parameters: step.parameters.clone(),
            inputs,
            summary: step.summary,
            threads: 2,
            seconds: step.seconds,
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap()
    }

    fn examples(&self, seed: u64, data_seed: u64) -> (Artifact, Vec<Example>) {
        let rows = rows(data_seed);
        (self.data(seed, data_seed, &rows), rows)
    }

    fn data(&self, seed: u64, data_seed: u64, rows: &[Example]) -> Artifact {
        self.data_of("reviews", seed, data_seed, rows)
    }

    fn data_of(&self, task: &str, seed: u64, data_seed: u64, rows: &[Example]) -> Artifact {
        let count = |split| {
            let of_class = |class| {
                let same = |row: &&Example| row.split == split && row.label == class;
                rows.iter().filter(same).count()
            };
            SplitCount {
                rows: of_class(0) + of_class(1),
                per_class: vec![of_class(0), of_class(1)],
                groups: of_class(0) + of_class(1),
            }
        };
        let summary = SplitSummary {
            task: task.into(),
            classes: classes(),
            rows: rows.len(),
            plan: SplitPlan {
                source_rows: 1000,
                dropped: [("duplicate", 12), ("balance", 8)]
                    .map(|(why, n)| (why.to_owned(), n))
                    .into(),
                splits: SplitCounts {
                    gold: count(Split::Gold),
                    transfer: count(Split::Transfer),
                    test: count(Split::Test),
                },
                ..SplitPlan::default()
            },
            ..SplitSummary::default()
        };
        let step = Step {
            name: &format!("data[seed={seed}]"),
            stage: "data",
            operation: "task",
            kind: Kind::Examples,
            parameters: json!({"world": "reviews", "task": task, "seed": data_seed, "groups": rows[1].group, "gold_rows": GOLD, "transfer_rows": TRANSFER, "test_rows": TEST}),
            inputs: vec![],
            summary: json!(summary),
            seconds: 0.3,
        };
        self.run(step, |pending| pending.write_records(rows).unwrap())
    }

    fn checkpoint(
        &self,
        name: &str,
        operation: (&str, &str),
        parameters: Value,
        inputs: Vec<(&str, ArtifactRef)>,
        steps: usize,
    ) -> Artifact {
        let mut dice = Dice(name.bytes().map(u64::from).sum());
        let log: String = (1..=steps)
            .map(|step| {
                let at = step as f64;
                let line = TrainingLogLine {
                    step,
                    loss: 0.35 + 0.4 * (-at / (steps as f64 / 4.0)).exp() + 0.02 * dice.noise(),
                    lr: 1e-3,
                    grad_norm: 1.0,
                    tokens: step as u64 * 2048,
                    seconds: 0.1,
                    held_out: (step % 20 == 0).then(|| 0.85 - 0.3 * (-at / 40.0).exp()),
                    ..TrainingLogLine::default()
                };
                serde_json::to_string(&line).unwrap() + "\n"
            })
            .collect();
        let summary = TrainingSummary {
            rows: 500,
            fit: FitSummary {
                steps,
                tokens: steps as u64 * 2048,
                tokens_per_second: 41_234.5,
                final_loss: 0.3512,
                ..FitSummary::default()
            },
            ..TrainingSummary::default()
        };
        let step = Step {
            name,
            stage: operation.0,
            operation: operation.1,
            kind: Kind::Checkpoint,
            parameters,
            inputs,
            summary: json!(summary),
            seconds: steps as f64 / 10.0,
        };
        self.run(step, |pending| {
            pending.write_file(TRAINING_LOG, log.as_bytes()).unwrap()
        })
    }

    fn predictions(
        &self,
        arm: &str,
        role: Role,
        seed: u64,
        model: &Artifact,
        data: &Artifact,
        rows: &[Prediction],
    ) -> Artifact {
        self.predictions_of(arm, role, seed, model, data, rows, classes())
    }

    fn predictions_of(
        &self,
        arm: &str,
        role: Role,
        seed: u64,
        model: &Artifact,
        data: &Artifact,
        rows: &[Prediction],
        classes: Vec<String>,
    ) -> Artifact {
        let right = rows
            .iter()
            .filter(|row| u32::from(row.probabilities[1] > 0.5) == row.label)
            .count();
        let step = Step {
            name: &format!("predict-{arm}[seed={seed}]"),
            stage: "eval",
            operation: "predict",
            kind: Kind::Predictions,
            parameters: json!({"arm": arm, "role": role, "seed": seed}),
            inputs: vec![("model", model.reference), ("data", data.reference)],
            summary: json!(PredictionsSummary {
                arm: arm.to_owned(),
                role,
                tags: Default::default(),
                seed,
                classes,
                rows: rows.len(),
                accuracy: right as f64 / rows.len() as f64,
                dropped_too_long: 0,
                truncated: 0,
                tokens: None,
                tokens_per_second: None,
            }),
            seconds: 0.4,
        };
        self.run(step, |pending| pending.write_records(rows).unwrap())
    }
}

fn classes() -> Vec<String> {
    ["negative", "positive"].map(str::to_owned).to_vec()
}

/// Texts of words that lean towards a class, so that a bag of words knows something.
fn rows(seed: u64) -> Vec<Example> {
    let mut dice = Dice(seed + 1);
    (0..GOLD + TRANSFER + TEST)
        .map(|id| {
            let label = (id % 2) as u32;
            let words: Vec<String> = (0..6 + (dice.uniform() * 8.0) as usize)
                .map(|_| {
                    let side = if dice.uniform() < 0.58 {
                        label
                    } else {
                        1 - label
                    };
                    format!(
                        "{}{}",
                        ["mel", "kor"][side as usize],
                        (dice.uniform() * 40.0) as u32
                    )
                })
                .collect();
            let split = match id {
                id if id < GOLD => Split::Gold,
                id if id < GOLD + TRANSFER => Split::Transfer,
                _ => Split::Test,
            };
            Example {
                id: id + 1000 * seed,
                split,
                group: id,
                label,
                text: words.join(" "),
            }
        })
        .collect()
}

/// How an arm sees the test rows: what it knows, what it takes over of the teacher's systematic error, and its own noise.
fn predict(test: &[&Example], seed: u64, knows: f64, inherits: f64, salt: u64) -> Vec<Prediction> {
    let mut shared = Dice(77 + seed);
    let mut own = Dice(1000 * salt + seed);
    test.iter()
        .map(|row| {
            let side = if row.label == 1 { 1.0 } else { -1.0 };
            let bias = shared.noise();
            let logit = knows * side + inherits * bias + 0.8 * own.noise();
            let positive = (1.0 / (1.0 + (-1.4 * logit).exp())) as f32;
            Prediction {
                id: row.id,
                group: row.group,
                label: row.label,
                probabilities: vec![1.0 - positive, positive],
            }
        })
        .collect()
}

/// (arm, role, what it knows, what it inherits)
const ARMS: [(&str, Role, f64, f64); 5] = [
    ("weak", Role::Teacher, 1.0, 1.1),
    ("naive", Role::Student, 1.2, 0.75),
    ("confidence", Role::Student, 1.45, 0.6),
    ("product", Role::Student, 1.05, 1.0),
    ("ceiling", Role::Ceiling, 1.7, 0.3),
];

fn experiment(
    fixture: &Fixture,
    arms: &[(&'static str, Role, f64, f64)],
    seeds: &[u64],
    shared_data: bool,
) -> Vec<Artifact> {
    let corpus = fixture.run(
        Step {
            name: "corpus",
            stage: "data",
            operation: "corpus",
            kind: Kind::Corpus,
            parameters: json!({"world": "reviews", "documents": 32000}),
            inputs: vec![],
            summary: json!(CorpusSummary {
                documents: 32_000,
                ..CorpusSummary::default()
            }),
            seconds: 1.2,
        },
        |pending| pending.write_file("tokenizer.json", b"{}").unwrap(),
    );
    let base = |name: &str, preset: &str, steps| {
        let parameters = json!({"preset": preset, "epochs": 1, "lr": 1e-3, "seed": 0});
        fixture.checkpoint(
            name,
            ("base", "pretrain"),
            parameters,
            vec![("corpus", corpus.reference)],
            steps,
        )
    };
    let (weak_base, strong_base) = (
        base("weak-base", "micro", 300),
        base("strong-base", "mini", 700),
    );
    let mut predictions = Vec::new();
    for &seed in seeds {
        let (data, rows) = fixture.examples(seed, if shared_data { 0 } else { seed });
        let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
        let mut labels = None;
        for (at, &(arm, role, knows, inherits)) in arms.iter().enumerate() {
            let name = format!("{arm}[seed={seed}]");
            let parameters = json!({"epochs": 2, "lr": 5e-4, "loss": arm, "seed": seed});
            let model = match role {
                Role::Teacher => {
                    let inputs = vec![("base", weak_base.reference), ("data", data.reference)];
                    let model =
                        fixture.checkpoint(&name, ("teacher", "finetune"), parameters, inputs, 60);
                    let step = Step {
                        name: &format!("weak-labels[seed={seed}]"),
                        stage: "teacher",
                        operation: "label",
                        kind: Kind::Labels,
                        parameters: json!({"split": "transfer"}),
                        inputs: vec![("model", model.reference), ("data", data.reference)],
                        summary: json!(LabelsSummary {
                            rows: TRANSFER as usize,
                            classes: classes(),
                            accuracy: 0.78,
                            ..LabelsSummary::default()
                        }),
                        seconds: 0.5,
                    };
                    let soft = [Label {
                        id: 0,
                        probabilities: vec![0.5, 0.5],
                    }];
                    labels = Some(
                        fixture
                            .run(step, |pending| pending.write_records(&soft).unwrap())
                            .reference,
                    );
                    model
                }
                _ => {
                    let mut inputs =
                        vec![("base", strong_base.reference), ("data", data.reference)];
                    if role == Role::Student {
                        inputs.extend(labels.map(|labels| ("labels", labels)));
                    }
                    fixture.checkpoint(&name, ("student", "classify"), parameters, inputs, 120)
                }
            };
            let rows = predict(&test, seed, knows, inherits, at as u64 + 1);
            predictions.push(fixture.predictions(arm, role, seed, &model, &data, &rows));
        }
    }
    predictions
}

fn options() -> Options {
    Options {
        recipe: "weak-to-strong".into(),
        ..Options::default()
    }
}

fn inputs(predictions: &[Artifact]) -> Inputs {
    Inputs {
        predictions: predictions.to_vec(),
        ..Inputs::default()
    }
}

fn build(fixture: &Fixture, predictions: &[Artifact]) -> Report {
    w2s_report::build(&fixture.store, &inputs(predictions), &options()).unwrap()
}

fn refused(fixture: &Fixture, predictions: &[Artifact]) -> ReportError {
    w2s_report::build(&fixture.store, &inputs(predictions), &options()).unwrap_err()
}

fn section<'a>(report: &'a Report, id: &str) -> &'a Section {
    let found = report.sections.iter().find(|section| section.id == id);
    found.unwrap_or_else(|| panic!("no section {id}"))
}

/// The cell of an arm in the first table of a section.
fn cell<'a>(report: &'a Report, id: &str, arm: &str, column: &str) -> &'a Cell {
    let table = &section(report, id).tables[0];
    let at = table.columns.iter().position(|known| known.key == column);
    let row = table.rows.iter().find(|row| row.cells[0].text == arm);
    &row.unwrap_or_else(|| panic!("no row {arm}")).cells
        [at.unwrap_or_else(|| panic!("no column {column}"))]
}

fn settings() -> insta::Settings {
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(
        r"(corpus|examples|labels|checkpoint|predictions)/[0-9a-f]{8}",
        "$1/HASH",
    );
    settings
}

#[test]
fn the_markdown_page() {
    let fixture = Fixture::new();
    let predictions = experiment(&fixture, &ARMS, &[0, 1, 2], false);
    let report = build(&fixture, &predictions);
    settings().bind(|| insta::assert_snapshot!(report.to_markdown().unwrap()));
}

#[test]
fn the_html_page_loads_nothing_and_holds_every_section() {
    let fixture = Fixture::new();
    let predictions = experiment(&fixture, &ARMS, &[0, 1, 2], false);
    let page = build(&fixture, &predictions).to_html().unwrap();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/report.html"), &page).unwrap();
    for section in [
        "result",
        "pgr",
        "metrics",
        "pairs",
        "agreement",
        "calibration",
        "training",
        "data",
        "bases",
        "steps",
        "method",
    ] {
        assert!(page.contains(&format!("id=\"{section}\"")), "{section}");
    }
    for remote in [
        "http://", "https://", "src=", "@import", "url(", "<link", "<script",
    ] {
        assert!(!page.contains(remote), "the page contains {remote}");
    }
    assert!(page.matches("<svg").count() >= 3 + 5 + 6);
    assert!(!page.contains("NaN") && !page.contains("inf%"));
}

/// What the report said of the same predictions before it was rebuilt.
#[test]
fn values_are_those_of_the_plain_definitions() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1, 2], false));
    let value = |id, arm, column| cell(&report, id, arm, column).value.unwrap();
    let near = |got: f64, expected: f64| {
        assert!((got - expected).abs() < 0.0005, "{got} is not {expected}")
    };
    for (arm, accuracy, auroc, prior_matched, brier, ece) in [
        ("weak", 0.768, 0.862, 0.778, 0.152, 0.043),
        ("naive", 0.864, 0.937, 0.861, 0.103, 0.055),
        ("confidence", 0.946, 0.987, 0.942, 0.055, 0.099),
        ("product", 0.808, 0.879, 0.808, 0.141, 0.038),
        ("ceiling", 0.989, 0.998, 0.989, 0.030, 0.110),
        ("majority-class", 0.5, 0.5, 0.5, 0.25, 0.0),
        ("length", 0.494, 0.494, 0.506, 0.257, 0.062),
        ("unigram-bayes", 0.596, 0.634, 0.594, 0.269, 0.164),
    ] {
        near(value("result", arm, "value"), accuracy);
        near(value("metrics", arm, "auroc"), auroc);
        near(
            value("metrics", arm, "prior_matched_accuracy"),
            prior_matched,
        );
        near(value("calibration", arm, "brier"), brier);
        near(value("calibration", arm, "ece"), ece);
        // Classes are equally many in these tests.
        near(value("metrics", arm, "balanced_accuracy"), accuracy);
    }
    for (arm, each_seed, auroc, difference) in [
        ("naive", "45 %, 46 %, 39 %", 0.55, 9.6),
        ("confidence", "73 %, 75 %, 93 %", 0.92, 17.8),
        ("product", "2 %, 27 %, 25 %", 0.12, 4.0),
    ] {
        assert_eq!(cell(&report, "pgr", arm, "seeds").text, each_seed);
        assert!((value("pgr", arm, "pgr_auroc") - auroc).abs() < 0.005);
        assert!((100.0 * value("pgr", arm, "minus_teacher") - difference).abs() < 0.05);
    }
    for (arm, overall, right, wrong, new) in [
        ("naive", 0.760, 0.906, 0.275, 0.094),
        ("confidence", 0.761, 0.960, 0.102, 0.040),
        ("product", 0.801, 0.897, 0.485, 0.103),
        ("ceiling", 0.774, 0.996, 0.036, 0.004),
    ] {
        near(value("agreement", arm, "overall"), overall);
        near(value("agreement", arm, "teacher_right"), right);
        near(value("agreement", arm, "teacher_wrong"), wrong);
        near(value("agreement", arm, "error_inheritance"), wrong);
        near(value("agreement", arm, "new_error_rate"), new);
        assert_eq!(
            cell(&report, "agreement", arm, "teacher_right").n,
            Some(553)
        );
        assert_eq!(
            cell(&report, "agreement", arm, "teacher_wrong").n,
            Some(167)
        );
    }
    assert_eq!(cell(&report, "pgr", "product", "p").text, "0.019");
}

#[test]
fn report_json_has_the_shape_that_readers_know() {
    let fixture = Fixture::new();
    let predictions = experiment(&fixture, &ARMS, &[0, 1, 2], false);
    let options = Options {
        overrides: vec!["matrix.seed=[0,1,2]".into()],
        ..options()
    };
    let report = w2s_report::build(&fixture.store, &inputs(&predictions), &options).unwrap();
    let json: Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(
        (&json["format"], &json["recipe"]),
        (&json!(3), &json!("weak-to-strong"))
    );
    assert_eq!(json["overrides"], json!(["matrix.seed=[0,1,2]"]));
    assert!(
        report
            .to_markdown()
            .unwrap()
            .contains("- changed: `matrix.seed=[0,1,2]`")
    );
    let first = &json["sections"][0]["tables"][0];
    let names: Vec<&str> = first["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["cells"][0]["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        [
            "weak",
            "naive",
            "confidence",
            "product",
            "ceiling",
            "majority-class",
            "length",
            "unigram-bayes"
        ]
    );
    assert_eq!(
        first["columns"][0],
        json!({"key": "arm", "name": "Arm", "align": "left"})
    );
    // A row leads to what it was made from, and a cell says how sure it is.
    let naive = &first["rows"][1];
    let behind: Vec<String> = predictions
        .iter()
        .filter(|artifact| artifact.summary::<PredictionsSummary>().unwrap().arm == "naive")
        .map(|artifact| artifact.reference.to_string())
        .collect();
    assert_eq!(naive["artifacts"], json!(behind));
    let accuracy = &naive["cells"][2];
    assert_eq!(accuracy["n"], 3 * TEST);
    assert!(accuracy["ci95"][0].as_f64() < accuracy["value"].as_f64());
    assert!(accuracy["ci95"][1].as_f64() > accuracy["value"].as_f64());
    assert_eq!(json["arms"][1]["arm"], "naive");
    assert_eq!(json["arms"][1]["seeds"], json!([0, 1, 2]));
    // Corpus, two bases; for each seed data, labels, five models and five predictions.
    assert_eq!(json["steps"].as_array().unwrap().len(), 3 + 3 * (2 + 5 + 5));
    assert_eq!(json["steps"][0]["cached"], false);
    assert_eq!(serde_json::from_value::<Report>(json).unwrap(), report);
}

#[test]
fn steps_come_after_their_inputs_and_carry_their_parameters() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1], false));
    let place: BTreeMap<&str, usize> = report
        .steps
        .iter()
        .enumerate()
        .map(|(at, step)| (step.artifact.as_str(), at))
        .collect();
    for (at, step) in report.steps.iter().enumerate() {
        assert!(
            step.inputs
                .iter()
                .all(|[_, input]| place[input.as_str()] < at),
            "{}",
            step.step
        );
    }
    let naive = report
        .steps
        .iter()
        .find(|step| step.step == "naive[seed=1]")
        .unwrap();
    assert_eq!(naive.operation, "student classify");
    assert_eq!(naive.parameters["loss"], "naive");
    assert_eq!(naive.tokens_per_second, Some(41_234.5));
}

/// The log says `held_out`; a report that looks for another word shows no curve.
#[test]
fn the_held_out_curve_is_drawn() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1], false));
    let charts = json!(section(&report, "training").charts);
    let lines = |title: &str| {
        let mut charts = charts.as_array().unwrap().iter();
        let chart = charts.find(|chart| chart["title"] == title);
        let lines = chart.unwrap_or_else(|| panic!("no chart {title}"))["lines"].as_array();
        let points = |line: &Value| line["points"].as_array().unwrap().len();
        lines.unwrap().iter().map(points).collect::<Vec<_>>()
    };
    assert_eq!(lines("naive: loss, 2 runs"), [120, 120]);
    assert_eq!(lines("naive: held-out score, 2 runs"), [6, 6]);
    // 700 steps are averaged to at most 240 points.
    assert_eq!(lines("strong-base: loss, 1 run"), [234]);
}

#[test]
fn settings_of_every_arm_stand_in_a_table() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1], false));
    let naive = cell(&report, "settings", "naive", "settings");
    assert_eq!(naive.text, "loss naive");
    assert_eq!(
        section(&report, "settings").text[0],
        "All trainings share: epochs 2, lr 0.0005."
    );
    assert!(
        report
            .to_markdown()
            .unwrap()
            .contains("All trainings share: epochs 2, lr 0.0005.")
    );
}

#[test]
fn students_are_compared_with_each_other() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1, 2], false));
    let table = &section(&report, "pairs").tables[0];
    let text = |row: usize, at: usize| &table.rows[row].cells[at].text[..];
    let pairs: Vec<_> = (0..3).map(|row| (text(row, 0), text(row, 1))).collect();
    assert_eq!(
        pairs,
        [
            ("naive", "confidence"),
            ("naive", "product"),
            ("confidence", "product")
        ]
    );
    // 0.864 - 0.946, in points.
    let difference = &table.rows[0].cells[2];
    assert!(
        (100.0 * difference.value.unwrap() + 8.2).abs() < 0.05,
        "{difference:?}"
    );
    for row in &table.rows {
        let [p, holm] = [3, 4].map(|at| row.cells[at].value.unwrap());
        assert!(holm >= p && holm <= 1.0, "{p} {holm}");
    }
    let told = report
        .findings
        .iter()
        .find(|finding| finding.contains("Holm-corrected"))
        .unwrap();
    assert!(told.contains("confidence is better than product"), "{told}");
}

/// Rows of one question are not independent: with four in a group, an interval is about twice as wide.
#[test]
fn intervals_draw_groups() {
    let width = |rows_a_group: u64| {
        let fixture = Fixture::new();
        let mut rows = rows(0);
        for row in &mut rows {
            row.group /= rows_a_group;
        }
        let data = fixture.data(0, 0, &rows);
        let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
        // An arm that is right on whole groups of four.
        let answers: Vec<Prediction> = test
            .iter()
            .enumerate()
            .map(|(at, row)| {
                let right = (at / 4) % 3 != 0;
                let class = if right { row.label } else { 1 - row.label };
                Prediction {
                    id: row.id,
                    group: row.group,
                    label: row.label,
                    probabilities: if class == 1 {
                        vec![0.2, 0.8]
                    } else {
                        vec![0.8, 0.2]
                    },
                }
            })
            .collect();
        let model = fixture.checkpoint(
            "only",
            ("student", "classify"),
            json!({"seed": 0}),
            vec![],
            10,
        );
        let predictions = fixture.predictions("only", Role::Student, 0, &model, &data, &answers);
        let [low, high] = cell(&build(&fixture, &[predictions]), "result", "only", "value")
            .ci95
            .unwrap();
        high - low
    };
    let (alone, together) = (width(1), width(4));
    assert!(together > 1.7 * alone, "{together} {alone}");
}

#[test]
fn seeds_on_one_test_set_share_their_items() {
    let method = |shared| {
        let fixture = Fixture::new();
        let report = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1, 2], shared));
        let splits = section(&report, "data").tables[0].rows.len();
        (section(&report, "method").text[0].clone(), splits)
    };
    let (text, splits) = method(true);
    assert!(
        text.contains("3 seeds on the same 240 test items"),
        "{text}"
    );
    assert_eq!(splits, 1);
    let (text, splits) = method(false);
    assert!(text.contains("3 seeds, 720 test items in all"), "{text}");
    assert_eq!(splits, 3);
}

#[test]
fn a_gap_that_is_noise_is_said_to_be_noise() {
    let fixture = Fixture::new();
    let arms = [
        ("weak", Role::Teacher, 1.2, 0.6),
        ("naive", Role::Student, 1.2, 0.6),
        ("ceiling", Role::Ceiling, 1.22, 0.6),
    ];
    let report = build(&fixture, &experiment(&fixture, &arms, &[0], false));
    assert!(
        report.headline.starts_with("The gap of 0.4 points"),
        "{}",
        report.headline
    );
    assert!(
        report.headline.ends_with(
            "between the weak teacher (accuracy 0.904) and the strong ceiling (0.908) is not significant, so no recovered share is quoted."
        ),
        "{}",
        report.headline
    );
    let told = report
        .warnings
        .iter()
        .filter(|warning| warning.contains("gap not significant"));
    assert_eq!(told.count(), 1, "{:?}", report.warnings);
    assert!(
        cell(&report, "pgr", "naive", "pgr")
            .text
            .contains("gap not significant")
    );
    assert!(report.to_html().unwrap().contains("gap not significant"));
}

#[test]
fn a_ceiling_below_its_teacher_gives_no_pgr() {
    let fixture = Fixture::new();
    let arms = [
        ("weak", Role::Teacher, 1.6, 0.3),
        ("naive", Role::Student, 1.2, 0.6),
        ("ceiling", Role::Ceiling, 0.6, 0.6),
    ];
    let report = build(&fixture, &experiment(&fixture, &arms, &[0, 1, 2], false));
    assert!(
        report.headline.contains("no gap to recover"),
        "{}",
        report.headline
    );
    let table = &section(&report, "pgr").tables[0];
    assert!(
        table.columns.iter().all(|column| column.key != "pgr"),
        "nothing is quoted"
    );
    assert!(report.to_html().unwrap().contains("no gap to recover"));
    assert!(report.to_markdown().unwrap().contains("PGR is undefined"));
}

#[test]
fn a_teacher_alone_can_be_reported() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS[..1], &[0], false));
    assert!(report.sections.iter().all(|section| section.id != "pgr"));
    assert!(
        report.headline.contains("There is no strong ceiling"),
        "{}",
        report.headline
    );
    report.to_html().unwrap();
    report.to_markdown().unwrap();
}

#[test]
fn a_teacher_at_chance_is_warned_about() {
    let fixture = Fixture::new();
    let arms = [
        ("weak", Role::Teacher, 0.0, 0.5),
        ("naive", Role::Student, 0.9, 0.5),
        ("ceiling", Role::Ceiling, 1.7, 0.3),
    ];
    let report = build(&fixture, &experiment(&fixture, &arms, &[0, 1, 2], false));
    let told = |warning: &&String| {
        warning.contains("weak teacher `weak` is not clearly above always answering one class")
    };
    assert_eq!(
        report.warnings.iter().filter(told).count(),
        1,
        "{:?}",
        report.warnings
    );
}

/// A strong model below words without their order has shown nothing, however far above its teacher.
#[test]
fn a_ceiling_that_loses_to_a_baseline_is_warned_about() {
    let fixture = Fixture::new();
    let arms = [
        ("weak", Role::Teacher, 0.1, 0.5),
        ("ceiling", Role::Ceiling, 0.2, 0.9),
    ];
    let report = build(&fixture, &experiment(&fixture, &arms, &[0, 1, 2], false));
    let ceiling = cell(&report, "result", "ceiling", "value").value;
    let bayes = cell(&report, "result", "unigram-bayes", "value").value;
    assert!(ceiling < bayes, "{ceiling:?} {bayes:?}");
    let told = |warning: &&String| {
        warning.starts_with("the strong ceiling `ceiling`") && !warning.contains("PGR")
    };
    assert_eq!(
        report.warnings.iter().filter(told).count(),
        1,
        "{:?}",
        report.warnings
    );
}

/// `data task` calls rows of features alone by their numbers: no baseline reads those.
#[test]
fn rows_without_text_have_no_baseline_that_reads() {
    let fixture = Fixture::new();
    let mut rows = rows(0);
    rows.iter_mut()
        .for_each(|row| row.text = format!("row {}", row.id));
    let data = fixture.data(0, 0, &rows);
    let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
    let model = fixture.checkpoint("probe", ("student", "probe"), json!({}), vec![], 10);
    let answers = predict(&test, 0, 1.0, 1.0, 9);
    let predictions = fixture.predictions("probe", Role::Student, 0, &model, &data, &answers);
    let report = build(&fixture, &[predictions]);
    let arms: Vec<&str> = report.arms.iter().map(|arm| &arm.arm[..]).collect();
    assert_eq!(arms, ["probe", "majority-class"]);
}

#[test]
fn missing_combinations_are_named() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0, 1, 2], false);
    let lacks = |artifact: &Artifact, arm: &str, seed: u64| {
        let summary: PredictionsSummary = artifact.summary().unwrap();
        summary.arm == arm && summary.seed == seed
    };
    predictions
        .retain(|a| !lacks(a, "naive", 2) && !lacks(a, "ceiling", 0) && !lacks(a, "ceiling", 1));
    let error = refused(&fixture, &predictions).to_string();
    assert!(
        error.starts_with(
            "results are incomplete: arm `naive` has no seed 2; arm `ceiling` has no seed 0, 1\nhint: "
        ),
        "{error}"
    );
}

#[test]
fn the_same_arm_twice_is_refused() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0], false);
    predictions.push(predictions[1].clone());
    let error = refused(&fixture, &predictions).to_string();
    assert!(
        error.starts_with("arm `naive` has two results for seed 0: predictions/"),
        "{error}"
    );
}

/// Each student is compared with the teacher whose labels it learnt from, wherever that stands.
#[test]
fn several_teachers_stand_in_one_report() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS[..2], &[0], false);
    let (data, rows) = fixture.examples(0, 0);
    let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
    let add = |name: &str, role, inputs: Vec<(&str, ArtifactRef)>, knows, salt| {
        let model = fixture.checkpoint(
            name,
            ("student", "classify"),
            json!({"arm": name}),
            inputs,
            10,
        );
        let answers = predict(&test, 0, knows, 0.4, salt);
        (
            model.reference,
            fixture.predictions(name, role, 0, &model, &data, &answers),
        )
    };
    let (better, predicted) = add(
        "better",
        Role::Teacher,
        vec![("data", data.reference)],
        1.4,
        11,
    );
    predictions.push(predicted);
    let step = Step {
        name: "better-labels",
        stage: "teacher",
        operation: "label",
        kind: Kind::Labels,
        parameters: json!({}),
        inputs: vec![("model", better), ("data", data.reference)],
        summary: json!(LabelsSummary::default()),
        seconds: 0.1,
    };
    let soft = [Label {
        id: 0,
        probabilities: vec![0.5, 0.5],
    }];
    let labels = fixture.run(step, |pending| pending.write_records(&soft).unwrap());
    let inputs = vec![("data", data.reference), ("labels", labels.reference)];
    predictions.push(add("pupil", Role::Student, inputs, 1.5, 12).1);
    predictions.push(
        add(
            "ceiling",
            Role::Ceiling,
            vec![("data", data.reference)],
            2.5,
            13,
        )
        .1,
    );
    let report = build(&fixture, &predictions);
    assert_eq!(cell(&report, "pgr", "naive", "teacher").text, "weak");
    assert_eq!(cell(&report, "pgr", "pupil", "teacher").text, "better");
    assert!(
        report.headline.contains("weak teacher weak")
            && report.headline.contains("weak teacher better"),
        "{}",
        report.headline
    );

    // A student of whom nothing tells the teacher.
    predictions.push(
        add(
            "orphan",
            Role::Student,
            vec![("data", data.reference)],
            1.0,
            14,
        )
        .1,
    );
    assert_eq!(
        refused(&fixture, &predictions).to_string(),
        "arms `weak` and `better` all have role `teacher`, and the inputs of arm `orphan` do not tell which is its own\nhint: give every arm its `--tag weak=NAME`, or write one report for each teacher"
    );
}

/// Predictions of a probe of words on both bases, with so much known by the strong one.
fn probes(fixture: &Fixture, predictions: &[Artifact], strong: f64) -> Vec<Artifact> {
    let bases = ["weak-base", "strong-base"].map(|name| {
        let report = build(fixture, predictions);
        let step = report.steps.iter().find(|step| step.step == name).unwrap();
        step.artifact.parse::<ArtifactRef>().unwrap()
    });
    let words = rows(9);
    let data = fixture.data_of("words", 9, 9, &words);
    let test: Vec<&Example> = words
        .iter()
        .filter(|row| row.split == Split::Test)
        .collect();
    let probe = |(name, base, knows, salt): (&str, ArtifactRef, f64, u64)| {
        let inputs = vec![("base", base), ("data", data.reference)];
        let model = fixture.checkpoint(name, ("student", "probe"), json!({"of": name}), inputs, 10);
        let answers = predict(&test, 0, knows, 0.0, salt);
        fixture.predictions(name, Role::Base, 0, &model, &data, &answers)
    };
    [
        ("weak-base", bases[0], 1.0, 21),
        ("strong-base", bases[1], strong, 22),
    ]
    .map(probe)
    .to_vec()
}

#[test]
fn what_the_bases_learnt_stands_in_the_report() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0], false);
    predictions.extend(probes(&fixture, &predictions, 2.0));
    let report = build(&fixture, &predictions);
    assert!(report.headline.starts_with("Of the"), "{}", report.headline);
    assert_eq!(cell(&report, "bases", "strong-base", "loss").text, "0.351");
    assert_eq!(
        cell(&report, "bases", "strong-base", "arms").text,
        "naive, confidence, product and ceiling"
    );
    assert_eq!(
        cell(&report, "bases", "strong-base", "learnt").text,
        "learnt"
    );
    assert!(cell(&report, "bases", "weak-base", "probe").value.unwrap() > 0.8);
}

/// A base that is at chance on words leaves nothing to recover: that is the result, and no PGR.
#[test]
fn a_strong_base_that_did_not_learn_is_the_headline() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0], false);
    predictions.extend(probes(&fixture, &predictions, 0.0));
    let report = build(&fixture, &predictions);
    assert!(
        report.headline.starts_with(
            "The strong base (step strong-base) did not learn after a final loss of 0.351: a probe"
        ),
        "{}",
        report.headline
    );
    assert!(
        report
            .headline
            .ends_with("so no PGR is quoted: pretrain it for longer."),
        "{}",
        report.headline
    );
    assert_eq!(
        cell(&report, "bases", "strong-base", "learnt").text,
        "did not learn"
    );
}

#[test]
fn predictions_on_other_rows_name_both_sides() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0], false);
    let (data, rows) = fixture.examples(0, 0);
    let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
    let model = fixture.checkpoint("odd", ("student", "classify"), json!({}), vec![], 10);
    let whole = predict(&test, 0, 1.0, 1.0, 9);
    let mut refused_with = |arm: &str, rows: &[Prediction]| {
        predictions.push(fixture.predictions(arm, Role::Student, 0, &model, &data, rows));
        let error = refused(&fixture, &predictions).to_string();
        predictions.pop();
        error
    };

    let mut shifted = whole.clone();
    shifted[3].id = 99_999;
    let error = refused_with("odd", &shifted);
    assert!(
        error.starts_with("arm `odd`, seed 0: predictions/"),
        "{error}"
    );
    assert!(
        error.contains("and the test split of examples/")
            && error.contains("where the split has row"),
        "{error}"
    );
    let error = refused_with("short", &whole[..200]);
    assert!(error.contains("200 predictions for 240 rows"), "{error}");
    let mut relabelled = whole.clone();
    relabelled[0].label = 1 - relabelled[0].label;
    let error = refused_with("relabelled", &relabelled);
    assert!(error.contains("gold class"), "{error}");
}

#[test]
fn arms_of_one_seed_must_share_their_test() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS[..1], &[0], false);
    // The same numbers of rows, and other texts under them.
    let mut other = rows(0);
    for row in &mut other {
        row.text += " and more";
    }
    let data = fixture.data(0, 5, &other);
    let test: Vec<&Example> = other
        .iter()
        .filter(|row| row.split == Split::Test)
        .collect();
    let model = fixture.checkpoint("odd", ("student", "classify"), json!({}), vec![], 10);
    let answers = predict(&test, 0, 1.0, 1.0, 9);
    predictions.push(fixture.predictions("odd", Role::Student, 0, &model, &data, &answers));
    let error = refused(&fixture, &predictions).to_string();
    assert!(error.contains("arm `weak` (predictions/"), "{error}");
    assert!(
        error.contains("item 280 does not ask the same in both"),
        "{error}"
    );
}

#[test]
fn classes_in_another_order_are_refused() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS[..1], &[0], false);
    let (data, rows) = fixture.examples(0, 0);
    let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
    let model = fixture.checkpoint("odd", ("student", "classify"), json!({}), vec![], 10);
    let answers = predict(&test, 0, 1.0, 1.0, 9);
    let mut swapped = classes();
    swapped.reverse();
    predictions.push(fixture.predictions_of(
        "odd",
        Role::Student,
        0,
        &model,
        &data,
        &answers,
        swapped,
    ));
    let error = refused(&fixture, &predictions).to_string();
    assert!(
        error.contains("positive / negative and negative / positive"),
        "{error}"
    );
}

#[test]
fn a_lost_ancestor_is_a_warning() {
    let fixture = Fixture::new();
    let predictions = experiment(&fixture, &ARMS, &[0], false);
    let report = build(&fixture, &predictions);
    let corpus = report
        .steps
        .iter()
        .find(|step| step.step == "corpus")
        .unwrap();
    let corpus = corpus.artifact.parse().unwrap();
    std::fs::remove_dir_all(fixture.store.artifact_dir(&corpus)).unwrap();
    let report = build(&fixture, &predictions);
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("is no longer in the store")),
        "{:?}",
        report.warnings
    );
    assert!(report.steps.iter().all(|step| step.step != "corpus"));
}

#[test]
fn oracle_options_are_flagged() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0], false);
    let (data, rows) = fixture.examples(0, 0);
    let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
    let parameters = json!({"oracle-early-stopping": true, "oracle-labels": false});
    let model = fixture.checkpoint(
        "peek[seed=0]",
        ("student", "classify"),
        parameters,
        vec![],
        10,
    );
    let answers = predict(&test, 0, 1.0, 1.0, 9);
    predictions.push(fixture.predictions("peek", Role::Student, 0, &model, &data, &answers));
    let report = build(&fixture, &predictions);
    let flagged: Vec<&String> = report
        .warnings
        .iter()
        .filter(|warning| warning.contains("oracle"))
        .collect();
    assert_eq!(flagged.len(), 1);
    assert!(
        flagged[0].starts_with("step peek[seed=0] uses `oracle-early-stopping`"),
        "{flagged:?}"
    );
}

#[test]
fn the_same_predictions_give_the_same_bytes_in_any_order_of_arms_of_a_role() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0, 1], false);
    let first = build(&fixture, &predictions);
    assert_eq!(
        first.to_json().unwrap(),
        build(&fixture, &predictions).to_json().unwrap()
    );
    // The ceiling first and the teacher last: the report has its own order.
    predictions.sort_by_key(|artifact| {
        artifact.summary::<PredictionsSummary>().unwrap().role != Role::Ceiling
    });
    assert_eq!(first.arms, build(&fixture, &predictions).arms);
}

#[cfg(feature = "cli")]
mod operation {
    use clap::Parser;
    use w2s_report::Build;
    use w2s_stage::{ArtifactArg, Operation, RunOptions};

    use super::*;

    #[derive(clap::Parser)]
    struct Flags {
        #[command(flatten)]
        operation: Build,
    }

    fn parsed(flags: &[String]) -> Build {
        let words = ["report", "--recipe", "weak-to-strong"].map(str::to_owned);
        Flags::parse_from(words.iter().chain(flags)).operation
    }

    #[test]
    fn the_operation_writes_three_files_and_is_cached_afterwards() {
        let fixture = Fixture::new();
        let predictions = experiment(&fixture, &ARMS, &[0, 1, 2], false);
        let flags = predictions
            .iter()
            .flat_map(|artifact| ["--predictions".into(), artifact.reference.to_string()]);
        let operation = parsed(
            &flags
                .chain(["--override".into(), "student.lr=1e-3".into()])
                .collect::<Vec<_>>(),
        );
        let options = RunOptions::new(fixture.store.root());
        let first = w2s_stage::run("report", &operation, &options).unwrap();
        for file in ["report.json", "report.md", "report.html"] {
            assert!(first.artifact.file(file).is_file(), "{file}");
        }
        let headline = first.artifact.manifest.summary["headline"]
            .as_str()
            .unwrap();
        assert!(headline.contains("naive recovers"), "{headline}");
        let page = std::fs::read_to_string(first.artifact.file("report.md")).unwrap();
        assert!(page.contains("student.lr=1e-3"));
        assert!(
            w2s_stage::run("report", &operation, &options)
                .unwrap()
                .cached
        );
    }

    #[test]
    fn nothing_to_report_on_is_refused_before_any_work() {
        let error = parsed(&[]).check().unwrap_err().to_string();
        assert!(
            error.starts_with("there are no predictions, scores or theory to report on"),
            "{error}"
        );
    }

    /// As much of `eval predict` as a plan knows.
    #[derive(clap::Args, serde::Serialize)]
    struct Predict {
        #[arg(long)]
        arm: String,
        #[arg(long)]
        role: String,
        #[arg(long)]
        seed: u64,
        #[arg(long)]
        #[serde(skip)]
        data: ArtifactArg,
    }

    impl Operation for Predict {
        const NAME: &'static str = "predict";
        const VERSION: u32 = 1;
        const KIND: Kind = Kind::Predictions;
        const ABOUT: &'static str = "Predicts";

        fn inputs(&self, inputs: &mut w2s_stage::Inputs) {
            inputs.artifact("data", &self.data).of(Kind::Examples);
        }

        fn run(&self, _step: &w2s_stage::Step) -> anyhow::Result<Value> {
            anyhow::bail!("it is only planned")
        }
    }

    /// Predictions that nobody has made yet are missed, too.
    #[test]
    fn a_missing_seed_of_planned_predictions_is_told() {
        let fixture = Fixture::new();
        let options = RunOptions::new(fixture.store.root());
        let mut flags = Vec::new();
        for seed in [0, 1] {
            let (data, _) = fixture.examples(seed, seed);
            for (arm, role) in [("weak", "teacher"), ("naive", "student")] {
                let predict = Predict {
                    arm: arm.to_owned(),
                    role: role.to_owned(),
                    seed,
                    data: data.reference.into(),
                };
                let planned = w2s_stage::plan("eval", &predict, &options).unwrap();
                flags.extend(["--predictions".into(), planned.reference.to_string()]);
            }
        }
        w2s_stage::plan("report", &parsed(&flags), &options).unwrap();
        let error = w2s_stage::plan("report", &parsed(&flags[..6]), &options).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("results are incomplete: arm `naive` has no seed 1"),
            "{error}"
        );
    }

    /// A forgotten seed costs no training: it is told before the first step runs.
    #[test]
    fn a_missing_seed_is_told_when_planning() {
        let fixture = Fixture::new();
        let mut predictions = experiment(&fixture, &ARMS, &[0, 1], false);
        let plan = |predictions: &[Artifact]| {
            let flags = predictions
                .iter()
                .flat_map(|artifact| ["--predictions".into(), artifact.reference.to_string()]);
            let operation = parsed(&flags.collect::<Vec<_>>());
            w2s_stage::plan("report", &operation, &RunOptions::new(fixture.store.root()))
        };
        plan(&predictions).unwrap();
        predictions
            .retain(|artifact| artifact.manifest.step.as_deref() != Some("predict-naive[seed=1]"));
        let error = format!("{:#}", plan(&predictions).unwrap_err());
        assert!(
            error.contains("results are incomplete: arm `naive` has no seed 1"),
            "{error}"
        );
    }
}
