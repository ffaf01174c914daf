//! The report on a small store made here: three seeds, a teacher, three students and a ceiling, with the steps behind them.
//!
//! The HTML pages are left in the target folder (`tmp/report.html`, `tmp/report-no-gap.html`) for people to look at.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::{
    Artifact, ArtifactRef, Example, Input, KeySpec, Kind, Label, Pending, Prediction, Provenance,
    Split, Store,
};
use w2s_eval::report::{BuildError, Options, Report, Role, build_report};
use w2s_stats::bootstrap::Settings;

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
        let per_class = |split| {
            let of_class = |class| {
                rows.iter()
                    .filter(|row| row.split == split && row.label == class)
                    .count()
            };
            json!({"rows": of_class(0) + of_class(1), "per_class": [of_class(0), of_class(1)]})
        };
        let step = Step {
            name: &format!("data[seed={seed}]"),
            stage: "data",
            operation: "task",
            kind: Kind::Examples,
            parameters: json!({"world": "reviews", "seed": data_seed, "gold_rows": GOLD, "transfer_rows": TRANSFER, "test_rows": TEST}),
            inputs: vec![],
            summary: json!({
                "classes": ["negative", "positive"], "task": "reviews", "rows": rows.len(),
                "plan": {
                    "source_rows": 1000, "groups": 1000, "dropped": {"empty": 0, "duplicate": 12, "balance": 8},
                    "splits": {"gold": per_class(Split::Gold), "transfer": per_class(Split::Transfer), "test": per_class(Split::Test)}
                }
            }),
            seconds: 0.3,
        };
        (
            self.run(step, |pending| pending.write_records(&rows).unwrap()),
            rows,
        )
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
                let loss = 0.35 + 0.4 * (-(step as f64) / (steps as f64 / 4.0)).exp() + 0.02 * dice.noise();
                let held_out = if step % 20 == 0 { Some(0.85 - 0.3 * (-(step as f64) / 40.0).exp()) } else { None };
                let mut line = json!({"step": step, "epoch": 0, "loss": loss, "lr": 1e-3, "grad_norm": 1.0, "tokens": step * 2048, "seconds": 0.1});
                if let Some(accuracy) = held_out {
                    line["held_out_accuracy"] = json!(accuracy);
                }
                format!("{line}\n")
            })
            .collect();
        let step = Step {
            name,
            stage: operation.0,
            operation: operation.1,
            kind: Kind::Checkpoint,
            parameters,
            inputs,
            summary: json!({"parameters": 900_000, "tokens": steps * 2048, "tokens_per_second": 41_234.5, "final_loss": 0.3512}),
            seconds: steps as f64 / 10.0,
        };
        self.run(step, |pending| {
            pending.write_file("metrics.jsonl", log.as_bytes()).unwrap()
        })
    }

    fn predictions(
        &self,
        arm: &str,
        role: &str,
        seed: u64,
        model: &Artifact,
        data: &Artifact,
        rows: &[Prediction],
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
            summary: json!({"arm": arm, "role": role, "seed": seed, "accuracy": right as f64 / rows.len() as f64, "rows": rows.len()}),
            seconds: 0.4,
        };
        self.run(step, |pending| pending.write_records(rows).unwrap())
    }
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
const ARMS: [(&str, &str, f64, f64); 5] = [
    ("weak", "weak", 1.0, 1.1),
    ("naive", "student", 1.2, 0.75),
    ("confidence", "student", 1.45, 0.6),
    ("product", "student", 1.05, 1.0),
    ("ceiling", "ceiling", 1.7, 0.3),
];

fn experiment(
    fixture: &Fixture,
    arms: &[(&'static str, &'static str, f64, f64)],
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
            summary: json!({"documents": 32000}),
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
                "weak" => {
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
                        summary: json!({"rows": TRANSFER, "accuracy": 0.78}),
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
                    if role == "student" {
                        inputs.extend(labels.map(|labels| ("labels", labels)));
                    }
                    fixture.checkpoint(&name, ("student", "train"), parameters, inputs, 120)
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
        bootstrap: Settings {
            draws: 1000,
            seed: 0,
        },
    }
}

fn build(fixture: &Fixture, predictions: &[Artifact]) -> Report {
    build_report(&fixture.store, predictions, &options()).unwrap()
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
        "accuracy",
        "pgr",
        "agreement",
        "calibration",
        "training",
        "data",
        "provenance",
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

#[test]
fn report_json_has_the_promised_fields() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1, 2], false));
    let json: Value = serde_json::from_str(&report.to_json().unwrap()).unwrap();
    assert_eq!(json["recipe"], "weak-to-strong");
    assert_eq!(json["seeds"], json!([0, 1, 2]));
    let arms: Vec<(&str, &str)> = json["arms"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arm| (arm["arm"].as_str().unwrap(), arm["role"].as_str().unwrap()))
        .collect();
    assert_eq!(
        arms,
        [
            ("weak", "weak"),
            ("naive", "student"),
            ("confidence", "student"),
            ("product", "student"),
            ("ceiling", "ceiling"),
            ("majority-class", "baseline"),
            ("length", "baseline"),
            ("unigram-bayes", "baseline")
        ]
    );
    let accuracy = &json["arms"][1]["accuracy"];
    assert_eq!(accuracy["per_seed"].as_array().unwrap().len(), 3);
    assert_eq!(accuracy["n"], 3 * TEST);
    assert!(accuracy["ci95"][0].as_f64() < accuracy["mean"].as_f64());
    assert!(accuracy["ci95"][1].as_f64() > accuracy["mean"].as_f64());
    let pgr = &json["pgr"][0];
    assert_eq!(pgr["arm"], "naive");
    assert_eq!(pgr["gap_significant"], true);
    assert_eq!(pgr["per_seed"].as_array().unwrap().len(), 3);
    assert!(pgr["value"].is_f64() && pgr["ci95"][1].is_f64());
    assert_eq!(pgr["other_metrics"][0]["metric"], "auroc");
    assert!(json["gap"]["ci95"][0].as_f64().unwrap() > 0.0);
    // Corpus, two bases; for each seed data, labels, five models and five predictions.
    assert_eq!(json["steps"].as_array().unwrap().len(), 3 + 3 * (2 + 5 + 5));
    assert_eq!(json["steps"][0]["cached"], false);
    assert_eq!(json["splits"].as_array().unwrap().len(), 3);
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
    assert_eq!(naive.operation, "student train");
    assert_eq!(naive.parameters["loss"], "naive");
    assert_eq!(naive.tokens_per_second, Some(41_234.5));
    let curve = report
        .training
        .iter()
        .find(|curve| curve.step == "strong-base")
        .unwrap();
    assert_eq!(curve.logged_steps, 700);
    assert!(curve.loss.len() <= 240 && curve.held_out_accuracy.len() == 35);
}

#[test]
fn seeds_on_one_test_set_share_their_items() {
    let fixture = Fixture::new();
    let shared = build(&fixture, &experiment(&fixture, &ARMS, &[0, 1, 2], true));
    assert!(shared.bootstrap.shared_items);
    assert_eq!(shared.splits.len(), 1);
    assert_eq!(shared.splits[0].seeds, [0, 1, 2]);
    let fixture = Fixture::new();
    assert!(
        !build(&fixture, &experiment(&fixture, &ARMS, &[0, 1, 2], false))
            .bootstrap
            .shared_items
    );
}

#[test]
fn a_gap_that_is_noise_is_said_to_be_noise() {
    let fixture = Fixture::new();
    let arms = [
        ("weak", "weak", 1.2, 0.6),
        ("naive", "student", 1.2, 0.6),
        ("ceiling", "ceiling", 1.22, 0.6),
    ];
    let report = build(&fixture, &experiment(&fixture, &arms, &[0], false));
    let gap = report.gap.as_ref().unwrap();
    assert!(!gap.significant && !report.pgr[0].recovered.gap_significant);
    insta::assert_snapshot!(report.headline);
    insta::assert_snapshot!(report.warnings.join("\n"));
    let markdown = report.to_markdown().unwrap();
    if gap.mean > 0.0 {
        assert!(markdown.contains("gap not significant"));
    }
    let page = report.to_html().unwrap();
    std::fs::write(
        concat!(env!("CARGO_TARGET_TMPDIR"), "/report-no-gap.html"),
        &page,
    )
    .unwrap();
    assert!(page.contains("gap not significant"));
}

#[test]
fn a_ceiling_below_its_teacher_gives_no_pgr() {
    let fixture = Fixture::new();
    let arms = [
        ("weak", "weak", 1.6, 0.3),
        ("naive", "student", 1.2, 0.6),
        ("ceiling", "ceiling", 0.6, 0.6),
    ];
    let report = build(&fixture, &experiment(&fixture, &arms, &[0, 1, 2], false));
    assert_eq!(report.pgr[0].recovered.value, None);
    assert!(
        report.headline.contains("no gap to recover"),
        "{}",
        report.headline
    );
    assert!(report.to_html().unwrap().contains("no gap to recover"));
    assert!(report.to_markdown().unwrap().contains("PGR is undefined"));
}

#[test]
fn a_teacher_alone_can_be_reported() {
    let fixture = Fixture::new();
    let report = build(&fixture, &experiment(&fixture, &ARMS[..1], &[0], false));
    assert!(report.pgr.is_empty() && report.gap.is_none());
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
        ("weak", "weak", 0.0, 0.5),
        ("naive", "student", 0.9, 0.5),
        ("ceiling", "ceiling", 1.7, 0.3),
    ];
    let report = build(&fixture, &experiment(&fixture, &arms, &[0, 1, 2], false));
    assert!(
        report
            .warnings
            .iter()
            .any(|warning| warning.contains("always answering one class")),
        "{:?}",
        report.warnings
    );
}

#[test]
fn missing_combinations_are_named() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0, 1, 2], false);
    let lacks = |artifact: &Artifact, arm: &str, seed: u64| {
        artifact.manifest.summary["arm"] == arm && artifact.manifest.summary["seed"] == seed
    };
    predictions
        .retain(|a| !lacks(a, "naive", 2) && !lacks(a, "ceiling", 0) && !lacks(a, "ceiling", 1));
    let error = build_report(&fixture.store, &predictions, &options()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "predictions are incomplete: arm `naive` has no seed 2; arm `ceiling` has no seed 0, 1"
    );
    assert!(error.hint().unwrap().contains("w2s-eval predict"));
}

#[test]
fn the_same_arm_twice_is_refused() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0], false);
    predictions.push(predictions[1].clone());
    let error = build_report(&fixture.store, &predictions, &options()).unwrap_err();
    assert!(
        matches!(error, BuildError::Duplicate { ref arm, seed: 0, .. } if arm == "naive"),
        "{error}"
    );
}

#[test]
fn two_teachers_are_refused() {
    let fixture = Fixture::new();
    let arms = [("weak", "weak", 1.0, 1.0), ("other", "weak", 1.0, 1.0)];
    let error = build_report(
        &fixture.store,
        &experiment(&fixture, &arms, &[0], false),
        &options(),
    )
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "arms `weak` and `other` both have role `weak`, a report compares with one"
    );
}

#[test]
fn predictions_on_other_rows_name_both_sides() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0], false);
    let (data, rows) = fixture.examples(0, 0);
    let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
    let model = fixture.checkpoint("odd", ("student", "train"), json!({}), vec![], 10);
    let whole = predict(&test, 0, 1.0, 1.0, 9);

    let mut shifted = whole.clone();
    shifted[3].id = 99_999;
    predictions.push(fixture.predictions("odd", "student", 0, &model, &data, &shifted));
    let error = build_report(&fixture.store, &predictions, &options())
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("arm `odd`, seed 0: predictions/"),
        "{error}"
    );
    assert!(
        error.contains("and the test split of examples/")
            && error.contains("where the split has row"),
        "{error}"
    );

    predictions.pop();
    predictions.push(fixture.predictions("short", "student", 0, &model, &data, &whole[..200]));
    let error = build_report(&fixture.store, &predictions, &options())
        .unwrap_err()
        .to_string();
    assert!(error.contains("200 predictions for 240 rows"), "{error}");

    predictions.pop();
    let mut relabelled = whole.clone();
    relabelled[0].label = 1 - relabelled[0].label;
    predictions.push(fixture.predictions("relabelled", "student", 0, &model, &data, &relabelled));
    let error = build_report(&fixture.store, &predictions, &options())
        .unwrap_err()
        .to_string();
    assert!(error.contains("gold class"), "{error}");
}

#[test]
fn arms_of_one_seed_must_share_their_test() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS[..1], &[0], false);
    let (data, rows) = fixture.examples(0, 5);
    let test: Vec<&Example> = rows.iter().filter(|row| row.split == Split::Test).collect();
    let model = fixture.checkpoint("odd", ("student", "train"), json!({}), vec![], 10);
    predictions.push(fixture.predictions(
        "odd",
        "student",
        0,
        &model,
        &data,
        &predict(&test, 0, 1.0, 1.0, 9),
    ));
    let error = build_report(&fixture.store, &predictions, &options()).unwrap_err();
    assert!(
        matches!(error, BuildError::OtherTest { seed: 0, .. }),
        "{error}"
    );
    assert!(
        error.to_string().contains("arm `weak` (examples/"),
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
        .unwrap()
        .artifact
        .parse()
        .unwrap();
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
    let model = fixture.checkpoint("peek[seed=0]", ("student", "train"), parameters, vec![], 10);
    predictions.push(fixture.predictions(
        "peek",
        "student",
        0,
        &model,
        &data,
        &predict(&test, 0, 1.0, 1.0, 9),
    ));
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
    assert_eq!(report.arm("peek").unwrap().role, Role::Student);
}

#[test]
fn the_same_predictions_give_the_same_bytes_in_any_order_of_arms_of_a_role() {
    let fixture = Fixture::new();
    let mut predictions = experiment(&fixture, &ARMS, &[0, 1], false);
    let first = build(&fixture, &predictions).to_json().unwrap();
    assert_eq!(first, build(&fixture, &predictions).to_json().unwrap());
    // The ceiling first and the teacher last: the report has its own order.
    predictions.sort_by_key(|artifact| artifact.manifest.summary["role"] != "ceiling");
    let arms = |json: &str| serde_json::from_str::<Value>(json).unwrap()["arms"].clone();
    assert_eq!(
        arms(&first),
        arms(&build(&fixture, &predictions).to_json().unwrap())
    );
}

#[cfg(feature = "cli")]
mod operation {
    use w2s_eval::operation::ReportOperation;
    use w2s_stage::RunOptions;

    use super::*;

    fn operation(predictions: &[Artifact]) -> ReportOperation {
        ReportOperation {
            recipe: "weak-to-strong".into(),
            predictions: predictions
                .iter()
                .map(|artifact| artifact.reference.into())
                .collect(),
            draws: 200,
            seed: 0,
        }
    }

    #[test]
    fn the_operation_writes_three_files_and_is_cached_afterwards() {
        let fixture = Fixture::new();
        let operation = operation(&experiment(&fixture, &ARMS, &[0, 1], false));
        let options = RunOptions::new(fixture.store.root());
        let first = w2s_stage::run("eval", &operation, &options).unwrap();
        for file in ["report.json", "report.md", "report.html"] {
            assert!(first.artifact.file(file).is_file(), "{file}");
        }
        assert_eq!(first.artifact.manifest.summary["pgr"][0]["arm"], "naive");
        assert!(
            first.artifact.manifest.summary["headline"]
                .as_str()
                .unwrap()
                .contains("naive recovers")
        );
        assert!(w2s_stage::run("eval", &operation, &options).unwrap().cached);
    }

    #[test]
    fn no_draws_are_refused_before_any_work() {
        let fixture = Fixture::new();
        let operation = ReportOperation {
            draws: 0,
            ..operation(&experiment(&fixture, &ARMS[..1], &[0], false))
        };
        let error =
            w2s_stage::run("eval", &operation, &RunOptions::new(fixture.store.root())).unwrap_err();
        assert!(
            format!("{error:#}").contains("0 bootstrap draws leave no interval"),
            "{error:#}"
        );
    }
}
