//! The whole pipeline as a process: it runs, a second run does nothing, and killed at any moment it ends the same.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .into()
}

/// Builds the stage binaries once; the pipelines of the tests then use them as they are.
fn built() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        let done = Command::new(env!("CARGO"))
            .current_dir(root())
            .args(["build", "--release", "--workspace", "--bins", "--quiet"])
            .status()
            .expect("cargo runs");
        assert!(done.success(), "the stage binaries do not build");
    });
}

fn pipeline(store: &Path, more: &[&str]) -> Command {
    pipeline_of("tests/recipes/tiny.toml", store, more)
}

fn pipeline_of(recipe: &str, store: &Path, more: &[&str]) -> Command {
    built();
    let mut command = Command::new(env!("CARGO"));
    command
        .current_dir(root())
        .args(["xtask", "pipeline", recipe, "--no-build", "--store"])
        .arg(store)
        .args(more)
        .env("NO_COLOR", "1");
    command
}

fn finished(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    (out, err)
}

/// A report without what differs from run to run: times, rates, and whether a step came from the store.
fn timeless(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| {
                !key.contains("seconds")
                    && !key.contains("per_second")
                    && key != "cached"
                    && key != "started"
                    && key != "line"
            });
            map.values_mut().for_each(timeless);
        }
        Value::Array(values) => values.iter_mut().for_each(timeless),
        _ => {}
    }
}

fn report(store: &Path) -> Value {
    let path = store.join("reports/tiny/report.json");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut report: Value = serde_json::from_str(&text).expect("the report is JSON");
    timeless(&mut report);
    // The section of the steps tells how long each took.
    let sections = report["sections"].as_array_mut().expect("sections");
    sections.retain(|section| section["id"] != "steps");
    report
}

/// A table of a report.
fn table<'a>(report: &'a Value, id: &str) -> &'a Value {
    let sections = report["sections"].as_array().expect("sections");
    let tables = sections.iter().filter_map(|s| s["tables"].as_array());
    let found = tables.flatten().find(|table| table["id"] == id);
    found.unwrap_or_else(|| panic!("no table `{id}`"))
}

/// What a column of a table says, row by row.
fn column(report: &Value, id: &str, key: &str) -> Vec<String> {
    let table = table(report, id);
    let columns = table["columns"].as_array().expect("columns");
    let at = columns.iter().position(|column| column["key"] == key);
    let at = at.unwrap_or_else(|| panic!("no column `{key}`"));
    let rows = table["rows"].as_array().expect("rows").iter();
    rows.map(|row| row["cells"][at]["text"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_second_run_is_cached() {
    let store = tempfile::tempdir().unwrap();
    let (out, err) = finished(&pipeline(store.path(), &[]).output().unwrap());
    assert!(
        out.contains("confidence") && out.contains("report.html"),
        "{out}"
    );
    assert!(err.contains("FINISHED") && !err.contains("FAILED"), "{err}");
    let first = report(store.path());
    assert_eq!(first["recipe"], "tiny");
    let roles = column(&first, "arms", "role");
    for role in ["teacher", "student", "ceiling", "baseline"] {
        assert!(roles.contains(&role.to_owned()), "no {role} in {roles:?}");
    }
    assert_eq!(column(&first, "pgr", "arm"), ["confidence", "probe"]);

    let (_, err) = finished(&pipeline(store.path(), &[]).output().unwrap());
    let statuses = |word: &str| {
        err.lines()
            .filter(|l| l.trim_start().starts_with(word))
            .count()
    };
    assert_eq!(
        (statuses("DONE"), statuses("RUN"), statuses("FAILED")),
        (0, 0, 0),
        "{err}"
    );
    assert!(statuses("CACHED") > 10, "{err}");
    assert_eq!(report(store.path()), first);
}

#[test]
fn two_pipelines_on_one_store_do_each_step_once() {
    let store = tempfile::tempdir().unwrap();
    let runs: Vec<_> = (0..2)
        .map(|_| {
            pipeline(store.path(), &["--set", "matrix.seed=[0]"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for run in runs {
        finished(&run.wait_with_output().unwrap());
    }
    let kinds = std::fs::read_dir(store.path().join("artifacts")).unwrap();
    let folders: usize = kinds
        .map(|kind| std::fs::read_dir(kind.unwrap().path()).unwrap().count())
        .sum();
    // corpus, base, data, weak, labels, tokens, features, three students, four predictions, report
    assert_eq!(folders, 15);
}

#[test]
fn preference_tuning_runs_from_prompts_to_a_report() {
    let store = tempfile::tempdir().unwrap();
    let recipe = "tests/recipes/tiny-delta.toml";
    let (out, _) = finished(&pipeline_of(recipe, store.path(), &[]).output().unwrap());
    assert!(
        out.contains("delta") && out.contains("report.html"),
        "{out}"
    );
    let path = store.path().join("reports/tiny-delta/report.json");
    let report: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(column(&report, "arms", "arm"), ["base", "sft", "delta"]);
    // The base does not diverge from itself; a tuned model does.
    let kl = table(&report, "kl");
    let value = kl["columns"].as_array().unwrap().iter();
    let value = value.clone().position(|c| c["key"] == "value").unwrap();
    let divergence = |arm: usize| kl["rows"][arm]["cells"][value]["value"].as_f64().unwrap();
    assert_eq!(divergence(0), 0.0);
    assert!(divergence(1) > 0.0 && divergence(2) > 0.0);
    let (_, err) = finished(&pipeline_of(recipe, store.path(), &[]).output().unwrap());
    assert!(!err.contains("DONE"), "{err}");
}

#[test]
fn conflicts_run_from_pairs_to_an_audit() {
    let store = tempfile::tempdir().unwrap();
    let recipe = "tests/recipes/tiny-deception.toml";
    let (out, _) = finished(&pipeline_of(recipe, store.path(), &[]).output().unwrap());
    assert!(out.contains("report.html"), "{out}");
    let path = store.path().join("reports/tiny-deception/report.json");
    let report = std::fs::read_to_string(path).unwrap();
    let report: Value = serde_json::from_str(&report).unwrap();
    let arms = ["weak", "none", "explicit", "implicit", "ceiling"];
    let found = column(&report, "arms", "arm");
    for arm in arms.iter().chain(&["length", "unigram-bayes"]) {
        assert!(found.iter().any(|found| found == arm), "{arm}: {found:?}");
    }
    // Students with a conflict are held against the one without, and that one against the ceiling.
    let against: Vec<_> = column(&report, "scores", "arm")
        .into_iter()
        .zip(column(&report, "scores", "against"))
        .collect();
    for pair in [
        ("explicit", "none"),
        ("implicit", "none"),
        ("none", "ceiling"),
    ] {
        let pair = (pair.0.to_owned(), pair.1.to_owned());
        assert!(against.contains(&pair), "{pair:?}: {against:?}");
    }
}

/// Every step of every recipe that is shipped has flags that its stage takes.
#[test]
fn shipped_recipes_are_ready_to_run() {
    let store = tempfile::tempdir().unwrap();
    let fixture = |name: &str| {
        let path = root().join("data/fixtures").join(name);
        path.to_string_lossy().into_owned()
    };
    let (file, reviews) = (fixture("sciq.jsonl"), fixture("sst2.tsv"));
    let folder = root()
        .join("data/golden/qwen2-tiny")
        .to_string_lossy()
        .into_owned();
    let delta = [
        ("student", &*folder),
        ("chosen", &folder),
        ("rejected", &folder),
        ("prompts", &file),
        ("test", &file),
    ];
    let reasoning = [
        ("strong", &*folder),
        ("weak", &folder),
        ("questions", &file),
        ("test", &file),
    ];
    let deception = [("target", &*file), ("weak", &folder), ("strong", &folder)];
    let without = [
        ("chosen-drop", "0"),
        ("rejected-drop", "0,1"),
        ("weak", "false"),
        ("kl", "false"),
    ];
    let own = |names: &[(&str, &str)]| -> Vec<String> {
        let pairs = names.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.flat_map(|pair| ["--var".to_owned(), pair]).collect()
    };
    for (recipe, variables) in [
        ("weak-to-strong", own(&[])),
        ("delta-style", own(&[])),
        ("delta-self", own(&[])),
        ("delta-ladder", own(&[])),
        ("delta-theory", own(&[])),
        ("reasoning", own(&[])),
        ("reasoning-own", own(&reasoning)),
        (
            "reasoning-own",
            own(&[
                &reasoning[..],
                &[("second", "true"), ("orpo", "true"), ("ten", "true")],
            ]
            .concat()),
        ),
        (
            "reasoning-own",
            own(&[&reasoning[..], &[("weak-responses", &*file)]].concat()),
        ),
        ("deception-reward", own(&[])),
        ("deception-simpo", own(&[])),
        ("deception-dpo", own(&[])),
        ("deception", own(&deception)),
        (
            "deception",
            own(&[&deception[..], &[("other", &*file), ("confident", "true")]].concat()),
        ),
        (
            "classify",
            own(&[("strong-model", &folder), ("data", &reviews)]),
        ),
        (
            "classify",
            own(&[
                ("corpus", &reviews),
                ("corpus-column", "sentence"),
                ("data", &reviews),
            ]),
        ),
        (
            "linear-probe",
            own(&[("strong-model", &folder), ("data", &reviews)]),
        ),
        ("tests/recipes/tiny-chain.toml", own(&[])),
        (
            "preference",
            own(&[("model", &folder), ("pairs", &file), ("test", &file)]),
        ),
        ("delta", own(&delta)),
        ("delta", own(&[&delta[..], &without].concat())),
    ] {
        let mut more: Vec<&str> = variables.iter().map(String::as_str).collect();
        more.push("--dry-run");
        let output = pipeline_of(recipe, store.path(), &more).output().unwrap();
        let (_, err) = finished(&output);
        assert!(!err.contains("error"), "{recipe}: {err}");
    }
}

/// Kills every process whose command line names the store: xtask and the stage it runs.
#[cfg(target_os = "linux")]
fn kill_all(store: &Path) {
    let needle = store.as_os_str().as_encoded_bytes();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<u32>().ok())
        else {
            continue;
        };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if pid != std::process::id() && line.windows(needle.len()).any(|w| w == needle) {
            let _ = Command::new("kill")
                .args(["-KILL", &pid.to_string()])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// Killed at some moments and started again, the pipeline ends in the report of an undisturbed run.
#[test]
#[cfg(target_os = "linux")]
fn killed_and_restarted_the_report_is_the_same() {
    let calm = tempfile::tempdir().unwrap();
    finished(&pipeline(calm.path(), &[]).output().unwrap());
    let store = tempfile::tempdir().unwrap();
    let kills: u64 = std::env::var("W2S_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(4);
    for i in 0..kills {
        let mut run = pipeline(store.path(), &[])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments spread over the first seconds, other ones each time.
        std::thread::sleep(Duration::from_millis(350 + i * 7919 % 1700));
        kill_all(store.path());
        let _ = run.wait();
    }
    finished(&pipeline(store.path(), &[]).output().unwrap());
    assert_eq!(report(store.path()), report(calm.path()));
}

#[test]
fn a_failing_step_names_its_log() {
    let store = tempfile::tempdir().unwrap();
    let output = pipeline(store.path(), &["--set", "data.gold-rows=100000"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(
        err.contains("FAILED") && err.contains("logs/tiny/data-seed-0.log"),
        "{err}"
    );
}
