//! The report of preference runs on a small store made here: a base, arms with pairs of every kind, two seeds.
//!
//! The HTML page is left in the target folder (`tmp/compare.html`) for people to look at.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tempfile::TempDir;
use w2s_artifact::{
    Artifact, ArtifactRef, Input, KeySpec, Kind, Pending, Provenance, Score, Store,
};
use w2s_eval::compare::{Comparison, Options, build_comparison};
use w2s_eval::theory;
use w2s_stats::bootstrap::Settings;
use w2s_theory::{Case, Flow, Sgd};

const ITEMS: u64 = 240;

struct Fixture {
    store: Store,
    _folder: TempDir,
}

/// How one arm scores: `exact` is right on the items whose number modulo 20 is below `right`, a little shifted by the seed.
struct Arm<'a> {
    name: &'a str,
    role: &'a str,
    method: &'a str,
    rule: &'a str,
    tags: Value,
    delta: f64,
    /// Mean score of the chosen answers.
    chosen: f64,
    /// The side of its pairs that `sft` imitates.
    side: Option<&'a str>,
    /// Training steps.
    steps: u64,
    right: u64,
}

const fn arm<'a>(name: &'a str, method: &'a str, rule: &'a str, delta: f64, right: u64) -> Arm<'a> {
    Arm {
        name,
        role: "student",
        method,
        rule,
        tags: Value::Null,
        delta,
        chosen: 0.4,
        side: None,
        steps: 30,
        right,
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
        let summary = json!({"rule": arm.rule, "score": "exact", "mean_delta": arm.delta, "mean_chosen_score": arm.chosen, "mean_rejected_score": arm.chosen - arm.delta,
            "rows": 100, "dropped": {"identical": 12}, "length_unit": "tokens", "mean_chosen_length": 20.0,
            "mean_rejected_length": 18.0, "longer_is_chosen": 0.75});
        // Without a rule it learns from answers, not from pairs.
        let pairs = (!arm.rule.is_empty()).then(|| {
            self.run(
                &format!("pairs-{name}[seed={seed}]"),
                ("data", "pairs", Kind::Pairs),
                parameters,
                &[],
                summary,
                |_| {},
            )
        });
        let inputs: Vec<_> = pairs
            .iter()
            .map(|pairs| ("pairs", pairs.reference))
            .collect();
        let log: String = (1..=30)
            .map(|step| {
                let t = f64::from(step) / 30.0;
                let line = json!({
                    "step": step, "epoch": t, "lr": 1e-3, "seconds": t, "tokens": step * 100,
                    "loss": 0.69 - 0.3 * t, "grad_norm": 1.0 + t, "kl": 0.1 * t,
                    "rewards_chosen": 0.3 * t, "rewards_rejected": -0.5 * t, "rewards_margin": 0.8 * t, "rewards_accuracy": 0.5 + 0.4 * t,
                    "displacement_chosen": -0.4 * t * arm.delta.abs(), "displacement_rejected": -0.9 * t * arm.delta.abs(),
                    "log_prob_chosen": -9.0 - t, "log_prob_rejected": -9.0 - 2.0 * t,
                    "tokens_chosen": 20.0, "tokens_rejected": 18.0,
                });
                format!("{line}\n")
            })
            .collect();
        self.run(
            &format!("{name}[seed={seed}]"),
            ("student", "train", Kind::Checkpoint),
            json!({"method": arm.method, "side": arm.side, "arm": name, "seed": seed, "max_steps": arm.steps}),
            &inputs,
            json!({"final_loss": 0.39, "steps": arm.steps}),
            |pending| pending.write_file("metrics.jsonl", log.as_bytes()).unwrap(),
        )
    }

    fn score(&self, arm: &Arm<'_>, seed: u64, items: u64) -> Artifact {
        let model = (arm.role == "student").then(|| self.model(arm, seed));
        let rows: Vec<Score> = (0..items)
            .map(|id| {
                let right = (id * 7 + seed) % 20 < arm.right;
                let mut values = BTreeMap::from([("exact".to_owned(), f64::from(u8::from(right)))]);
                values.insert(
                    "words".to_owned(),
                    0.5 + arm.right as f64 / 40.0 + (id % 5) as f64 / 50.0,
                );
                if arm.role != "teacher" {
                    values.insert("kl".to_owned(), (arm.right as f64 - 8.0).abs() / 10.0);
                }
                if id > 0 {
                    values.insert("judge".to_owned(), 0.5);
                }
                Score {
                    id,
                    sample: 0,
                    values,
                }
            })
            .collect();
        let inputs: Vec<_> = model
            .iter()
            .map(|model| ("model", model.reference))
            .collect();
        let tags = if arm.tags.is_null() {
            json!({})
        } else {
            arm.tags.clone()
        };
        let summary = json!({"arm": arm.name, "role": arm.role, "seed": seed, "tags": tags, "items": ITEMS, "task_hash": "aa"});
        self.run(
            &format!("score-{}[seed={seed}]", arm.name),
            ("eval", "respond", Kind::Scores),
            json!({"arm": arm.name, "role": arm.role, "seed": seed, "tags": tags, "items": items}),
            &inputs,
            summary,
            |pending| pending.write_records(&rows).unwrap(),
        )
    }

    fn base(&self) -> Artifact {
        let base = Arm {
            role: "base",
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
        let settings = theory::Settings {
            dimensions: vec![10, 100],
            draws: 50,
            flow: Flow::default(),
            sgd: Sgd::default(),
            runs: 2,
            seed: 0,
        };
        let study = theory::study(&Case::PUBLISHED[..2], &settings, &mut |_| true).unwrap();
        let bytes = serde_json::to_vec(&study).unwrap();
        self.run(
            "theory",
            ("eval", "theory", Kind::Theory),
            json!({}),
            &[],
            json!({}),
            |pending| pending.write_file(theory::THEORY_FILE, &bytes).unwrap(),
        )
    }
}

fn style() -> [Arm<'static>; 4] {
    [
        arm("dpo", "preference", "score", 0.5, 13),
        arm("reversed", "preference", "reversed", -0.5, 3),
        arm("tied", "preference", "tied", 0.0, 8),
        arm("sft", "sft", "score", 0.5, 8),
    ]
}

fn options(metric: Option<&str>) -> Options {
    Options {
        recipe: "delta-style".into(),
        metric: metric.map(str::to_owned),
        bootstrap: Settings {
            draws: 1000,
            seed: 0,
        },
    }
}

fn build(fixture: &Fixture, scores: &[Artifact], theory: &[Artifact]) -> Comparison {
    build_comparison(&fixture.store, scores, theory, &options(None)).unwrap()
}

fn refused(fixture: &Fixture, scores: &[Artifact], metric: Option<&str>) -> String {
    let error = build_comparison(&fixture.store, scores, &[], &options(metric)).unwrap_err();
    match error.hint() {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    }
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
    assert_eq!(report.metrics, ["exact", "kl", "words"]);
    assert_eq!(
        (report.metric.as_deref(), &report.seeds[..]),
        (Some("exact"), &[0, 1][..])
    );

    // 240 items are 12 whole rounds of 20, so the shares are exact: 13 and 8 of 20.
    let dpo = report.arms[1].metric("exact").unwrap();
    assert!((dpo.value.mean.unwrap() - 0.65).abs() < 1e-12);
    assert_eq!(dpo.value.n, 480);
    let gain = dpo.versus_base.as_ref().unwrap();
    assert!((gain.difference.mean.unwrap() - 0.25).abs() < 1e-12 && gain.shown);
    // Seed 0 gets 5 of 20 right that the base gets wrong, and nothing the other way around.
    let test = gain.mcnemar.as_ref().unwrap()[0];
    assert_eq!((test.only_first, test.only_second), (60, 0));
    // Each item is right in 13 of 20 runs at most: the standard error over items is below that of a coin.
    assert!(dpo.stderr.unwrap() < 0.5 / 240f64.sqrt());
    assert_eq!(dpo.seed_deviation, Some(0.0));
    let words = report.arms[1]
        .metric("words")
        .unwrap()
        .versus_base
        .as_ref()
        .unwrap();
    assert_eq!(words.mcnemar, None, "words are neither right nor wrong");

    let base = &report.arms[0];
    assert_eq!(base.metric("exact").unwrap().versus_base, None);
    assert_eq!((base.seeds.len(), base.items_effective), (1, 240));
    let tied = report.arms[3]
        .metric("exact")
        .unwrap()
        .versus_base
        .as_ref()
        .unwrap();
    assert!(!tied.shown, "{tied:?}");
    assert_eq!(
        serde_json::from_str::<Comparison>(&report.to_json().unwrap()).unwrap(),
        report
    );
}

#[test]
fn a_teacher_may_lack_a_divergence() {
    let fixture = Fixture::new();
    let teacher = Arm {
        role: "teacher",
        ..arm("chosen model", "", "", 0.0, 6)
    };
    let mut scores = fixture.scores(&style());
    scores.push(fixture.score(&teacher, 0, ITEMS));
    let report = build(&fixture, &scores, &[]);
    assert_eq!(report.metrics, ["exact", "kl", "words"]);
    let teacher = report.arms.iter().find(|arm| arm.role == "teacher");
    let of = |metric| teacher.unwrap().metric(metric).unwrap();
    assert_eq!(of("exact").value.mean, Some(0.3));
    let blank = of("kl");
    assert_eq!((blank.value.mean, blank.stderr), (None, None));
    assert_eq!(blank.versus_base, None);
    // The others keep theirs, and the row stands with dashes.
    assert!(report.arms[1].metric("kl").unwrap().versus_base.is_some());
    let markdown = report.to_markdown().unwrap();
    assert!(
        markdown.contains("| chosen model | teacher | 240 | – | – | – | – |"),
        "{markdown}"
    );
    assert!(!report.to_html().unwrap().contains("NaN"));

    // Any other metric it must have.
    let mut rows: Vec<Score> = scores.last().unwrap().records().unwrap();
    for row in &mut rows {
        row.values.remove("words");
    }
    let without_words = fixture.run(
        "without-words",
        ("eval", "respond", Kind::Scores),
        json!({}),
        &[],
        scores.last().unwrap().manifest.summary.clone(),
        |pending| pending.write_records(&rows).unwrap(),
    );
    *scores.last_mut().unwrap() = without_words;
    let report = build(&fixture, &scores, &[]);
    assert_eq!(report.metrics, ["exact", "kl"]);
}

#[test]
fn findings_say_what_the_numbers_say() {
    let fixture = Fixture::new();
    let report = build(&fixture, &fixture.scores(&style()), &[]);
    insta::assert_snapshot!(report.headline, @"In exact, dpo is above base by 0.250 [0.200, 0.304]; reversed is below base by 0.250 [0.192, 0.312]; tied and sft are not shown to differ from base (95 % intervals).");
    insta::assert_snapshot!(report.findings.join("\n"), @r"
    Learning from the delta ends above the base in 1 of 1 arm.
    Learning from reversed pairs ends below the base in 1 of 1 arm.
    Learning from tied or shuffled pairs is not shown to differ from the base in 1 of 1 arm.
    Imitating answers is not shown to be above the base in 1 of 1 arm.
    The paper's shape (above the base with the delta, below with reversed pairs, no difference from ties, nothing gained by imitation) is seen: 4 of the 4 claims that were tested hold in every arm.
    dpo ends at 0.650 [0.594, 0.710], above the 0.400 of the answers it learnt to prefer.
    reversed ends at 0.150 [0.108, 0.192], below the 0.400 of the answers it learnt to prefer.
    tied ends at 0.400 [0.346, 0.467], not shown to differ from the 0.400 of the answers it learnt to prefer.
    Over 3 preference arms, the gain and the mean delta of the pairs have the rank correlation 1.000 [1.000, 1.000].
    ");
    insta::assert_snapshot!(report.warnings.join("\n"), @r"
    arm dpo: the chosen and the rejected answers both lost probability, in nats a token: −0.170 and −0.383 with seed 0 and −0.170 and −0.383 with seed 1
    arm reversed: the chosen and the rejected answers both lost probability, in nats a token: −0.170 and −0.383 with seed 0 and −0.170 and −0.383 with seed 1
    arm sft: the chosen and the rejected answers both lost probability, in nats a token: −0.170 and −0.383 with seed 0 and −0.170 and −0.383 with seed 1
    two seeds: the intervals say little about the spread between seeds; three is the usual minimum
    `judge` has values on 239 of 240 items of arm `base`, so it is left out
    ");
}

#[test]
fn a_shape_that_is_not_there_is_not_seen() {
    let fixture = Fixture::new();
    let arms = [
        arm("dpo", "preference", "order", 0.5, 8),
        arm("sft", "sft", "order", 0.5, 14),
    ];
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    insta::assert_snapshot!(report.findings[..3].join("\n"), @r"
    Learning from the delta ends above the base in 0 of 1 arm.
    Imitating answers is not shown to be above the base in 0 of 1 arm.
    The paper's shape (above the base with the delta, below with reversed pairs, no difference from ties, nothing gained by imitation) is not seen: 0 of the 2 claims that were tested hold in every arm.
    ");
}

#[test]
fn a_ladder_orders_arms_by_their_pairs() {
    let fixture = Fixture::new();
    let arms: Vec<Arm<'_>> = [
        ("micro-nano", "micro", "nano", 0.25, 9),
        ("mid-nano", "mid", "nano", 0.5, 12),
        ("mini-nano", "mini", "nano", 0.75, 16),
        ("mid-micro", "mid", "micro", 0.25, 9),
    ]
    .into_iter()
    .map(|(name, chosen, rejected, delta, right)| Arm {
        tags: json!({"chosen": chosen, "rejected": rejected}),
        chosen: if rejected == "nano" { delta } else { 0.5 },
        ..arm(name, "preference", "order", delta, right)
    })
    .collect();
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let page = report.to_html().unwrap();
    let ladder = report.ladder.unwrap();
    let rungs = ladder.rungs.iter();
    let rungs: Vec<_> = rungs.map(|rung| (&rung.name[..], rung.score)).collect();
    assert_eq!(
        rungs,
        [
            ("nano", Some(0.0)),
            ("micro", Some(0.25)),
            ("mid", Some(0.5)),
            ("mini", Some(0.75))
        ]
    );
    assert_eq!(ladder.steps.len(), 4);
    assert_eq!(ladder.steps[2].delta, Some(0.75));
    assert!((ladder.steps[2].gain.mean.unwrap() - 0.4).abs() < 1e-12);
    // Gains 9, 12, 16, 9 and deltas 1, 2, 3, 1 have one order; the chosen scores 1, 2, 3, 2 another.
    assert_eq!(ladder.gain_with_delta.unwrap().mean, Some(1.0));
    assert!(ladder.gain_with_chosen.unwrap().mean.unwrap() < 1.0);
    // The map says score, gain and delta.
    let map = page.split("class=\"map\"").nth(1).unwrap();
    let map = map.split("</svg>").next().unwrap();
    for said in [">mini<", ">0.750<", ">0.400<", ">Δ 0.750<"] {
        assert!(map.contains(said), "{said}: {map}");
    }
}

#[test]
fn imitation_stands_beside_the_pairs_on_its_rung() {
    let fixture = Fixture::new();
    let arms = [
        Arm {
            tags: json!({"chosen": "mini"}),
            ..arm("sft-mini", "sft", "", 0.0, 6)
        },
        Arm {
            tags: json!({"chosen": "mini", "rejected": "nano"}),
            chosen: 0.75,
            ..arm("mini-nano", "preference", "order", 0.5, 12)
        },
        Arm {
            chosen: 0.75,
            side: Some("rejected"),
            ..arm("sft-worse", "sft", "order", 0.5, 5)
        },
    ];
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let page = report.to_html().unwrap();
    let ladder = report.ladder.unwrap();
    let steps = ladder.steps.iter();
    let steps: Vec<_> = steps
        .map(|step| (&step.arm[..], step.preference, step.chosen_score))
        .collect();
    assert_eq!(
        steps,
        [
            ("sft-mini", false, Some(0.75)),
            ("mini-nano", true, Some(0.75)),
            ("sft-worse", false, Some(0.25)),
        ]
    );
    let names: Vec<&str> = ladder.rungs.iter().map(|rung| &rung.name[..]).collect();
    assert_eq!(names, ["nano", "mini"]);
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
    let arms = [("62", 62, 10), ("20", 20, 12), ("100", 62, 10)].map(|(tag, steps, right)| Arm {
        tags: json!({"steps": tag}),
        steps,
        ..arm("dpo", "preference", "order", 0.5, right)
    });
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let [curve] = &report.stopping[..] else {
        panic!("{:?}", report.stopping);
    };
    let points: Vec<_> = curve
        .points
        .iter()
        .map(|point| (point.steps, point.value.mean))
        .collect();
    assert_eq!(points, [(0, Some(0.4)), (20, Some(0.6)), (62, Some(0.5))]);
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
    let mut arms = vec![Arm {
        tags: json!({"chosen": "2", "rejected": "0"}),
        ..arm("2-0", "preference", "order", 0.5, 12)
    }];
    arms.extend([(20, 12), (100, 10)].map(|(steps, right)| Arm {
        tags: json!({"steps": steps.to_string()}),
        steps,
        ..arm("early", "preference", "order", 0.5, right)
    }));
    let report = build(&fixture, &fixture.scores(&arms), &[]);
    let ladder = report.ladder.unwrap();
    let rungs: Vec<&str> = ladder.steps.iter().map(|step| &step.arm[..]).collect();
    assert_eq!(rungs, ["2-0"]);
    assert_eq!(report.stopping[0].points.len(), 3);
    insta::assert_snapshot!(report.findings.join("\n"), @r"
    Learning from the delta ends above the base in 1 of 1 arm.
    The paper's shape (above the base with the delta, below with reversed pairs, no difference from ties, nothing gained by imitation) is seen: 1 of the 1 claims that were tested hold in every arm.
    2-0 ends at 0.600 [0.544, 0.662], above the 0.400 of the answers it learnt to prefer.
    early is highest after 20 steps, at 0.600 [0.544, 0.662]; after 100 steps it is at 0.500 [0.442, 0.562].
    ");
}

#[test]
fn theory_alone_is_a_report() {
    let _bound = settings().bind_to_scope();
    let fixture = Fixture::new();
    let report = build(&fixture, &[], &[fixture.theory()]);
    assert_eq!((report.metric.as_deref(), report.arms.len()), (None, 0));
    insta::assert_snapshot!(report.to_markdown().unwrap(), @r"
    # delta-style

    In 2 of 2 cases of the linear theory with a better chosen teacher, the delta raises the student at first, and in 2 it ends lower than it began unless it is stopped; imitation of the chosen teacher, stopped in time, gets higher than the delta in 2.

    ## Linear theory

    | case | best cosine | limit | t*, steps | d = 10: rising, best, limit | d = 100: rising, best, limit |
    |---|---|---|---|---|---|
    | 0.6, 0.4, 0.8 | 0.8022 | 0.1622 | 4.6 | 76 %, 0.8193, 0.170 | 84 %, 0.8029, 0.163 |
    | 0.5, 0.45, 0.9 | 0.9000 | 0.0402 | 0.5 | 64 %, 0.9076, 0.042 | 50 %, 0.9004, 0.040 |

    In expectation, best cosine (step) → end:

    | case | delta | sft | reversed | tied |
    |---|---|---|---|---|
    | 0.6, 0.4, 0.8 | 0.8021 (5) → 0.1646 | 0.8370 (27) → 0.6000 | 0.8000 (0) → −0.1598 | 0.8000 (0) → 0.0027 |
    | 0.5, 0.45, 0.9 | 0.9000 (1) → 0.0429 | 0.9063 (10) → 0.5000 | 0.9000 (0) → −0.0374 | 0.9000 (0) → 0.0028 |

    ## Steps

    | step | artifact | result | time | tokens/s |
    |---|---|---|---|---|
    | theory | theory/HASH |  | 1.0 s |  |

    1 step, 1.0 s of work.
    ");
    let page = report.to_html().unwrap();
    assert!(page.contains("id=\"theory\"") && !page.contains("id=\"arms\""));
}

#[test]
fn the_pages_hold_every_section_and_load_nothing() {
    let fixture = Fixture::new();
    let mut arms = Vec::from(style());
    arms[0].tags = json!({"chosen": "2", "rejected": "1"});
    arms[1].tags = json!({"chosen": "1", "rejected": "2"});
    arms.push(Arm {
        tags: json!({"steps": "40"}),
        steps: 40,
        ..arm("late", "preference", "order", 0.5, 11)
    });
    let report = build(&fixture, &fixture.scores(&arms), &[fixture.theory()]);
    let page = report.to_html().unwrap();
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/compare.html"), &page).unwrap();
    for section in [
        "findings",
        "arms",
        "ladder",
        "stopping",
        "training",
        "theory",
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
    assert!(!page.contains("NaN") && !page.contains("inf%"));
    // Three metrics, map and two scatters, one curve, nine panels of five arms, two cases.
    assert_eq!(page.matches("<svg").count(), 3 + 3 + 1 + 9 * 5 + 2);
    let told = [
        "Training: final loss 0.390.",
        "Pairs: 100 rows; dropped: identical 12; chosen 20.0, rejected 18.0 tokens; the longer is chosen in 75 %.",
    ];
    for line in told {
        assert_eq!(page.matches(line).count(), 5, "once for both seeds: {line}");
    }
    let markdown = report.to_markdown().unwrap();
    for heading in [
        "## exact",
        "## KL from the policy to the reference on the policy’s own answers, nats an answer",
        "## words",
        "## Ladder",
        "## When to stop",
        "## Linear theory",
        "## Steps",
    ] {
        assert!(markdown.contains(heading), "{heading}\n{markdown}");
    }
}

#[test]
fn what_cannot_be_compared_is_refused() {
    let _bound = settings().bind_to_scope();
    let fixture = Fixture::new();
    let dpo = arm("dpo", "preference", "order", 0.5, 10);
    let base = fixture.base();
    let short = fixture.score(&dpo, 0, ITEMS - 1);
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), short], None), @r"
    seed 0: arm `base` (scores/HASH) and arm `dpo` (scores/HASH) were scored on different items: they have 240 and 239 items, item 239 is only in `base`
    hint: score every arm on the same prompts, with a `--max-tokens` into which all items fit
    ");
    let full = fixture.score(&dpo, 0, ITEMS);
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), full.clone(), full.clone()], None), @r"
    arm `dpo` has two scores for seed 0: scores/HASH and scores/HASH
    hint: give each way of training its own `--arm`, or its own `--tag steps=N`
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
    scores are incomplete: arm `dpo` has no seed 1; arm `sft` has no seed 0
    hint: score what is missing, or leave those seeds out of `--scores`
    ");
    let second = Arm {
        role: "base",
        ..arm("start", "", "", 0.0, 8)
    };
    let second = fixture.score(&second, 0, ITEMS);
    insta::assert_snapshot!(refused(&fixture, &[base.clone(), second], None), @r"
    arms `base` and `start` both have role `base`, a report compares with one
    hint: write one report for each base
    ");
    let late = Arm {
        tags: json!({"steps": "many"}),
        ..arm("late", "preference", "order", 0.5, 10)
    };
    let late = fixture.score(&late, 0, ITEMS);
    insta::assert_snapshot!(refused(&fixture, &[base, late], None), @r"
    arm `late` has the tag steps=many, which is not a number of steps
    hint: write it like `--tag steps=100`
    ");
    insta::assert_snapshot!(refused(&fixture, &[], None), @r"
    there are neither scores nor theory to report on
    hint: name some with `--scores` or `--theory`
    ");
}

#[cfg(feature = "cli")]
mod operation {
    use clap::Parser;
    use w2s_eval::compare::CompareOperation;
    use w2s_eval::theory::TheoryOperation;
    use w2s_stage::{Operation, RunOptions};

    use super::*;

    #[derive(clap::Parser)]
    struct Flags<T: clap::Args> {
        #[command(flatten)]
        operation: T,
    }

    fn parsed<T: clap::Args>(flags: &str) -> T {
        let words = ["eval"].into_iter().chain(flags.split_whitespace());
        Flags::parse_from(words).operation
    }

    #[test]
    fn theory_goes_into_a_report_and_both_are_cached_afterwards() {
        let fixture = Fixture::new();
        let options = RunOptions::new(fixture.store.root());
        let theory: TheoryOperation = parsed(
            "--case 0.6,0.4,0.8 --dimension 10 --draws 20 --steps 50 --batch-steps 20 --runs 1",
        );
        let made = w2s_stage::run("eval", &theory, &options).unwrap();
        assert_eq!(made.artifact.manifest.summary["cases"], 1);
        let compare: CompareOperation = parsed(&format!(
            "--recipe delta-theory --draws 100 --theory {}",
            made.artifact.reference
        ));
        let report = w2s_stage::run("eval", &compare, &options).unwrap();
        for file in ["report.json", "report.md", "report.html"] {
            assert!(report.artifact.file(file).is_file(), "{file}");
        }
        assert!(w2s_stage::run("eval", &theory, &options).unwrap().cached);
        assert!(w2s_stage::run("eval", &compare, &options).unwrap().cached);
    }

    #[test]
    fn wrong_flags_are_refused_before_any_work() {
        let refused = |checked: anyhow::Result<()>| checked.unwrap_err().to_string();
        let theory = |flags| refused(parsed::<TheoryOperation>(flags).check());
        assert_eq!(theory("--lr 0"), "--lr is 0; it must be above zero");
        assert_eq!(theory("--draws 0"), "--draws is 0; it must be above zero");
        assert_eq!(
            theory("--dimension 1"),
            "--dimension is 1; an error needs at least 2 dimensions"
        );
        let compare = |flags| refused(parsed::<CompareOperation>(flags).check());
        assert_eq!(
            compare("--recipe x"),
            "there are neither scores nor theory to report on"
        );
        assert_eq!(
            compare("--recipe x --draws 0"),
            "0 bootstrap draws leave no interval"
        );
    }
}
