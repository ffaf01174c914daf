//! `cargo xtask` as a process, with stage binaries that compute nothing: what is printed, what is run, what is answered.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use w2s_artifact::{ArtifactRef, Example, Kind, Provenance, Split, Store};

const RECIPE: &str = r#"# Shows that the steps run.
name = "small"
about = "a recipe for tests"

[vars]
rows = { default = 10, help = "how many rows" }

[matrix]
seed = [0, 1]

[step.data]
run = "data task"
rows = "{rows}"
seed = "{seed}"

[step.weak]
run = "teacher finetune"
data = "@data"

[step.labels]
run = "teacher label"
model = "@weak"
data = "@data"

[step.naive]
run = "student train"
data = "@data"
labels = "@labels"

[step.report]
run = "eval report"
predictions = ["@weak[*]", "@naive[*]"]
"#;

/// A folder with a recipe, stage binaries and, once something ran, a store.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::write(place.path("small.toml"), RECIPE).expect("the recipe is written");
        let binaries = place.path("bin");
        fs::create_dir(&binaries).expect("a folder for the binaries");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-stage.sh");
        for (stage, operations) in [
            (
                "data",
                [("task", ["rows", "seed", "refuse"].as_slice())].as_slice(),
            ),
            ("base", &[("pretrain", &["seed"])]),
            (
                "teacher",
                &[
                    ("finetune", &["@data", "lr"]),
                    ("label", &["@model", "@data"]),
                ],
            ),
            (
                "student",
                &[("train", &["@data", "@labels", "epochs", "gold"])],
            ),
            ("eval", &[("report", &["@predictions", "draws"])]),
        ] {
            let binary = binaries.join(format!("w2s-{stage}"));
            fs::copy(&script, &binary).expect("the binary is copied");
            let mut permissions = fs::metadata(&binary).expect("the binary").permissions();
            permissions.set_mode(0o755);
            fs::set_permissions(&binary, permissions).expect("the binary can be run");
            let operations: Vec<_> = operations
                .iter()
                .map(|(name, keys)| described(name, keys))
                .collect();
            let description = serde_json::json!({"stage": stage, "operations": operations});
            fs::write(
                binaries.join(format!("{stage}.json")),
                description.to_string(),
            )
            .expect("the description");
        }
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn recipe(&self, text: &str) -> &Self {
        fs::write(self.path("small.toml"), text).expect("the recipe is written");
        self
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("W2S_BIN_DIR", self.path("bin"))
            .env("NO_COLOR", "1")
            .env_remove("W2S_STORE")
            .stdin(Stdio::null());
        command
    }

    /// `pipeline small.toml` with more flags.
    fn pipeline(&self, flags: &[&str]) -> Ran {
        let mut arguments = vec!["pipeline", "small.toml"];
        arguments.extend(flags);
        self.xtask(&arguments)
    }

    fn xtask(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("xtask starts");
        Ran::new(&output, self.0.path())
    }

    /// What the stage binaries did since this was asked last.
    fn events(&self) -> Vec<String> {
        let path = self.path(".w2s/events");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    fn started(&self) -> Vec<String> {
        self.events()
            .iter()
            .filter_map(|event| Some(event.strip_prefix("start ")?.split(' ').next()?.to_owned()))
            .collect()
    }

    fn report(&self) -> serde_json::Value {
        let text =
            fs::read(self.path(".w2s/reports/small/report.json")).expect("the report's copy");
        serde_json::from_slice(&text).expect("JSON")
    }
}

fn described(name: &str, keys: &[&str]) -> serde_json::Value {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| {
            let plain = key.trim_start_matches('@');
            serde_json::json!({
                "name": plain,
                "required": plain == "data",
                "multiple": plain == "predictions",
                "boolean": plain == "gold" || plain == "refuse",
                "default": null,
                "help": (plain != "lr").then(|| format!("the {plain}")),
                "input": key.starts_with('@').then_some("artifact"),
            })
        })
        .collect();
    serde_json::json!({"name": name, "version": 1, "kind": "x", "about": "x", "keys": keys})
}

/// What a process answered, without times and temporary paths.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    fn new(output: &Output, folder: &Path) -> Self {
        let text = |bytes: &[u8]| {
            let text =
                String::from_utf8_lossy(bytes).replace(&folder.display().to_string(), "<folder>");
            text.lines()
                .map(without_time)
                .collect::<Vec<_>>()
                .join("\n")
        };
        Self {
            code: output.status.code(),
            stdout: text(&output.stdout),
            stderr: text(&output.stderr),
        }
    }
}

/// `[    0.1s]` becomes `[   TIME s]`, of the same width.
fn without_time(line: &str) -> String {
    match (line.find('['), line.find("s]")) {
        (Some(start), Some(end)) if line[start + 1..end].trim().parse::<f64>().is_ok() => {
            format!("{}[   TIME {}", &line[..start], &line[end..])
        }
        _ => line.to_owned(),
    }
}

#[test]
fn a_recipe_runs_and_the_second_run_is_cached() {
    let place = Place::new();
    let first = place.pipeline(&[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    insta::assert_snapshot!(first.stderr, @r"
         RUN             data[seed=0]                          .w2s/logs/data-seed-0.log
        DONE [   TIME s]  data[seed=0]    examples/812cdab3     1,200 examples
         RUN             data[seed=1]                          .w2s/logs/data-seed-1.log
        DONE [   TIME s]  data[seed=1]    examples/53351b6f     1,200 examples
         RUN             weak[seed=0]                          .w2s/logs/weak-seed-0.log
        DONE [   TIME s]  weak[seed=0]    checkpoint/cf80c944   1,200 rows
         RUN             weak[seed=1]                          .w2s/logs/weak-seed-1.log
        DONE [   TIME s]  weak[seed=1]    checkpoint/1df5be72   1,200 rows
         RUN             labels[seed=0]                        .w2s/logs/labels-seed-0.log
        DONE [   TIME s]  labels[seed=0]  labels/12c876f1       1,200 labels
         RUN             labels[seed=1]                        .w2s/logs/labels-seed-1.log
        DONE [   TIME s]  labels[seed=1]  labels/a4be4a43       1,200 labels
         RUN             naive[seed=0]                         .w2s/logs/naive-seed-0.log
        DONE [   TIME s]  naive[seed=0]   checkpoint/3d080283   1,200 rows
         RUN             naive[seed=1]                         .w2s/logs/naive-seed-1.log
        DONE [   TIME s]  naive[seed=1]   checkpoint/96d8c27e   1,200 rows
         RUN             report                                .w2s/logs/report.log
        DONE [   TIME s]  report          report/edb73e28       1,200 rows
    FINISHED [   TIME s]  9 steps: 9 ran, 0 cached
    ");
    insta::assert_snapshot!(first.stdout, @r"
    small, seeds 0, 1

    arm    role       n  accuracy [95 %]       PGR [95 %]
    weak   weak     600  0.750 [0.700, 0.800]
    naive  student  600  0.800 [0.750, 0.850]  0.50 [0.25, 0.75]

    report: .w2s/reports/small/report.md
    ");
    assert_eq!(
        place.started(),
        [
            "data[seed=0]",
            "data[seed=1]",
            "weak[seed=0]",
            "weak[seed=1]",
            "labels[seed=0]",
            "labels[seed=1]",
            "naive[seed=0]",
            "naive[seed=1]",
            "report"
        ]
    );
    let log = fs::read_to_string(place.path(".w2s/logs/naive-seed-0.log")).expect("a log");
    assert!(
        log.starts_with("$ w2s-student train --data examples/"),
        "{log}"
    );
    assert!(log.ends_with("working on naive[seed=0]\n"), "{log}");

    let second = place.pipeline(&[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    insta::assert_snapshot!(second.stderr, @r"
      CACHED             data[seed=0]    examples/812cdab3     1,200 examples
      CACHED             data[seed=1]    examples/53351b6f     1,200 examples
      CACHED             weak[seed=0]    checkpoint/cf80c944   1,200 rows
      CACHED             weak[seed=1]    checkpoint/1df5be72   1,200 rows
      CACHED             labels[seed=0]  labels/12c876f1       1,200 labels
      CACHED             labels[seed=1]  labels/a4be4a43       1,200 labels
      CACHED             naive[seed=0]   checkpoint/3d080283   1,200 rows
      CACHED             naive[seed=1]   checkpoint/96d8c27e   1,200 rows
      CACHED             report          report/edb73e28       1,200 rows
    FINISHED [   TIME s]  9 steps: 0 ran, 9 cached
    ");
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(place.started(), [""; 0]);
}

#[test]
fn the_copy_of_the_report_says_what_this_run_saw() {
    let place = Place::new();
    place.pipeline(&["--set", "matrix.seed=[0]"]);
    let report = place.report();
    let step = |report: &serde_json::Value, name: &str| {
        let steps = report["steps"].as_array().expect("steps").clone();
        steps
            .into_iter()
            .find(|step| step["step"] == name)
            .expect("the step")
    };
    assert_eq!(step(&report, "data[seed=0]")["cached"], false);
    assert_ne!(step(&report, "data[seed=0]")["seconds"], 12.5);
    assert_eq!(step(&report, "report")["cached"], false);

    place.pipeline(&["--set", "matrix.seed=[0]"]);
    assert_eq!(step(&place.report(), "data[seed=0]")["cached"], true);
    assert_eq!(step(&place.report(), "report")["cached"], true);
    assert_eq!(
        fs::read_to_string(place.path(".w2s/reports/small/report.md")).expect("a copy"),
        "# report\n"
    );
}

#[test]
fn a_dry_run_says_what_would_run_and_why() {
    let place = Place::new();
    let flags = ["--set", "matrix.seed=[0]", "--dry-run"];
    let dry = place.pipeline(&flags);
    assert_eq!(dry.code, Some(0), "{}", dry.stderr);
    insta::assert_snapshot!(dry.stdout, @r"
           RUN             data[seed=0]    examples/812cdab3     never made
           RUN             weak[seed=0]    checkpoint/cf80c944   never made
           RUN             labels[seed=0]  labels/12c876f1       never made
           RUN             naive[seed=0]   checkpoint/3d080283   never made
           RUN             report          report/a761a8b3       never made
    5 steps: 5 to run, 0 cached
    ");
    assert_eq!(dry.stderr, "");
    assert_eq!(place.started(), [""; 0]);

    place.pipeline(&flags[..2]);
    place.events();
    insta::assert_snapshot!(place.pipeline(&[flags.as_slice(), &["--from", "labels"]].concat()).stdout, @r"
        CACHED             data[seed=0]    examples/812cdab3     made before
        CACHED             weak[seed=0]    checkpoint/cf80c944   made before
           RUN             labels[seed=0]  labels/12c876f1       --from labels
           RUN             naive[seed=0]   checkpoint/3d080283   --from labels
           RUN             report          report/a761a8b3       --from labels
    5 steps: 3 to run, 2 cached
    ");
    assert_eq!(place.started(), [""; 0]);
}

#[test]
fn verbose_prints_command_lines() {
    let place = Place::new();
    let dry = place.pipeline(&[
        "--set",
        "matrix.seed=[0]",
        "--dry-run",
        "-v",
        "--threads",
        "3",
        "--device",
        "cuda:0",
    ]);
    let line = dry.stdout.lines().nth(1).expect("a command");
    assert_eq!(
        line.trim(),
        "$ w2s-data task --rows 10 --seed 0 --store .w2s --device cuda:0 --threads 3 --step 'data[seed=0]'"
    );
}

#[test]
fn from_runs_a_step_and_everything_after_it_again() {
    let place = Place::new();
    place.pipeline(&[]);
    place.events();
    let again = place.pipeline(&["--from", "labels[seed=1]"]);
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    let events = place.events();
    assert_eq!(
        events[0],
        "start labels[seed=1] threads=".to_owned() + &threads() + " device=flex force=1"
    );
    let starts: Vec<&str> = events
        .iter()
        .filter(|event| event.starts_with("start"))
        .map(|event| event.as_str())
        .collect();
    assert_eq!(starts.len(), 3, "{starts:?}");

    let unknown = place.pipeline(&["--from", "label"]);
    assert_eq!(unknown.code, Some(2));
    assert_eq!(
        unknown.stderr,
        "error: --from label: no step of this run is called `label`\nhint: did you mean `labels`?"
    );
}

fn threads() -> String {
    std::thread::available_parallelism()
        .map_or(1, usize::from)
        .to_string()
}

#[test]
fn set_and_var_change_what_runs() {
    let place = Place::new();
    place.pipeline(&[]);
    place.events();
    let changed = place.pipeline(&["--set", "naive.epochs=3"]);
    assert_eq!(changed.code, Some(0), "{}", changed.stderr);
    assert_eq!(
        place.started(),
        ["naive[seed=0]", "naive[seed=1]", "report"]
    );
    let log = fs::read_to_string(place.path(".w2s/logs/naive-seed-0.log")).expect("a log");
    assert!(log.contains("--epochs 3"), "{log}");

    place.pipeline(&["--var", "rows=20"]);
    assert_eq!(place.started().len(), 9);
    // An arm can be taken out: what needs it goes too, and lists close the gap.
    place.pipeline(&["--set", "labels.when=false"]);
    assert_eq!(place.started(), ["report"]);
}

#[test]
fn a_failing_step_stops_the_run_with_the_tail_of_its_log() {
    let place = Place::new();
    fs::create_dir_all(place.path(".w2s")).expect("the store");
    fs::write(place.path(".w2s/fail-labels[seed=0]"), "").expect("the step will fail");
    let failed = place.pipeline(&[]);
    assert_eq!(failed.code, Some(1));
    insta::assert_snapshot!(failed.stderr, @r"
           RUN             data[seed=0]                          .w2s/logs/data-seed-0.log
          DONE [   TIME s]  data[seed=0]    examples/812cdab3     1,200 examples
           RUN             data[seed=1]                          .w2s/logs/data-seed-1.log
          DONE [   TIME s]  data[seed=1]    examples/53351b6f     1,200 examples
           RUN             weak[seed=0]                          .w2s/logs/weak-seed-0.log
          DONE [   TIME s]  weak[seed=0]    checkpoint/cf80c944   1,200 rows
           RUN             weak[seed=1]                          .w2s/logs/weak-seed-1.log
          DONE [   TIME s]  weak[seed=1]    checkpoint/1df5be72   1,200 rows
           RUN             labels[seed=0]                        .w2s/logs/labels-seed-0.log
        FAILED [   TIME s]  labels[seed=0]  exit 1                .w2s/logs/labels-seed-0.log
        line 7
        line 8
        line 9
        line 10
        line 11
        line 12
        line 13
        line 14
        line 15
        line 16
        line 17
        line 18
        line 19
        line 20
        line 21
        line 22
        line 23
        line 24
        line 25
        error: the loss is NaN
    error: step `labels[seed=0]` failed: exit 1
    hint: the whole log is .w2s/logs/labels-seed-0.log; what was finished is kept, the same command goes on
    ");
    assert_eq!(failed.stdout, "");

    fs::remove_file(place.path(".w2s/fail-labels[seed=0]")).expect("the step will work");
    place.events();
    let repaired = place.pipeline(&[]);
    assert_eq!(repaired.code, Some(0), "{}", repaired.stderr);
    assert_eq!(
        place.started(),
        [
            "labels[seed=0]",
            "labels[seed=1]",
            "naive[seed=0]",
            "naive[seed=1]",
            "report"
        ]
    );
}

#[test]
fn every_step_is_checked_before_the_first_one_runs() {
    let place = Place::new();
    let refused = place.pipeline(&["--set", "data.refuse=true"]);
    assert_eq!(refused.code, Some(2));
    insta::assert_snapshot!(refused.stderr, @r"
    error: step `data[seed=0]` and 1 more like it cannot start
      caused by: the source is empty
      caused by: it has 0 bytes
    hint: fill it
    ");
    assert_eq!(place.started(), [""; 0]);
}

#[test]
fn unknown_keys_are_all_reported_with_the_nearest() {
    let place = Place::new();
    let refused = place.pipeline(&["--set", "naive.epoch=3", "--set", "report.device=cuda"]);
    assert_eq!(refused.code, Some(2));
    insta::assert_snapshot!(refused.stderr, @r"
    error: --set naive.epoch=3: step `naive` has the key `epoch`, which `student train` does not know
    hint: did you mean `epochs`?
    error: --set report.device=cuda: step `report` has the key `device`, which `eval report` does not know
    hint: `device` belongs to the command: cargo xtask pipeline --help
    ");
}

#[test]
fn wrong_recipes_are_told_by_place() {
    let place = Place::new();
    let told = |text: &str| {
        let ran = place.recipe(text).pipeline(&[]);
        assert_eq!(ran.code, Some(2), "{}", ran.stderr);
        ran.stderr
    };
    insta::assert_snapshot!(told("[step.a]\nrun = \"data task\"\nrows = = 3\n"), @r"
    error: small.toml:3:8: extra `=`, expected nothing
    ");
    insta::assert_snapshot!(told(&RECIPE.replacen("data = \"@data\"", "data = \"@naive\"", 1)), @r"
    error: small.toml:20:7: steps wait for each other: weak -> naive -> labels -> weak
      an arrow reads: uses
    hint: take one of these references out
    ");
    insta::assert_snapshot!(told(&RECIPE.replace("\"@labels\"", "\"@lables\"")), @r"
    error: small.toml:28:1: step `naive` uses `@lables`, but there is no step `lables`
    hint: did you mean `labels`?
    ");
    insta::assert_snapshot!(told(&RECIPE.replace("default = 10, ", "")), @r"
    error: recipe `small` needs --var rows=…
      --var rows=…  how many rows (required)
    hint: cargo xtask pipeline small.toml --var rows=…
    ");
    insta::assert_snapshot!(told(&RECIPE.replace("data task", "data tusk")), @r"
    error: small.toml:11:7: step `data` runs `data tusk`, but `data` has no operation `tusk`
    hint: did you mean `task`?
    ");
    insta::assert_snapshot!(place.xtask(&["pipeline", "weak-to-stong"]).stderr, @r"
    error: there is no recipe `weak-to-stong`
      recipes: delta, delta-ladder, delta-self, delta-style, delta-theory, linear-probe, preference, sst2, weak-to-strong
    hint: did you mean `cargo xtask pipeline weak-to-strong`?
    ");
    assert_eq!(place.xtask(&["pipeline", "weak-to-stong"]).code, Some(2));
    assert_eq!(place.xtask(&["pipeline", "--jobs", "0"]).code, Some(2));
    assert_eq!(place.started(), [""; 0]);
}

#[test]
fn a_store_that_cannot_be_written_is_named_with_the_cause() {
    let place = Place::new();
    let ran = place.pipeline(&["--store", "small.toml"]);
    assert_eq!(ran.code, Some(1));
    insta::assert_snapshot!(ran.stderr, @r"
    error: cannot create the folder small.toml/artifacts
      caused by: Not a directory (os error 20)
    hint: name a folder that can be written with `--store PATH` or W2S_STORE
    ");
}

#[test]
fn jobs_run_side_by_side_with_the_threads_divided() {
    let place = Place::new();
    fs::create_dir_all(place.path(".w2s")).expect("the store");
    fs::write(place.path(".w2s/slow"), "").expect("steps wait");
    let running = place
        .command(&["pipeline", "small.toml", "--jobs", "2", "--threads", "5"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    wait_for(|| {
        fs::read_to_string(place.path(".w2s/events"))
            .is_ok_and(|events| events.lines().count() == 2)
    });
    fs::remove_file(place.path(".w2s/slow")).expect("steps go on");
    let output = running.wait_with_output().expect("xtask ends");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let events = place.events();
    let mut first = events[..2].to_vec();
    first.sort();
    assert_eq!(
        first,
        [
            "start data[seed=0] threads=2 device=flex force=",
            "start data[seed=1] threads=2 device=flex force="
        ]
    );
    for (before, after) in [
        ("end data[seed=0]", "start weak[seed=0]"),
        ("end naive[seed=1]", "start report"),
    ] {
        let at = |what: &str| {
            events
                .iter()
                .position(|event| event.starts_with(what))
                .expect("the event")
        };
        assert!(at(before) < at(after), "{events:?}");
    }
}

#[test]
fn an_interrupted_run_saves_its_state_and_goes_on_later() {
    let place = Place::new();
    fs::create_dir_all(place.path(".w2s")).expect("the store");
    fs::write(place.path(".w2s/slow"), "").expect("steps wait");
    let running = place
        .command(&["pipeline", "small.toml", "--set", "matrix.seed=[0]"])
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .expect("xtask starts");
    wait_for(|| place.path(".w2s/events").exists());
    // A terminal sends Ctrl-C to the whole group, and a step must still hear it only once.
    let killed = Command::new("sh")
        .args(["-c", &format!("kill -s INT -- -{}", running.id())])
        .status()
        .expect("kill");
    assert!(killed.success());
    let ran = Ran::new(
        &running.wait_with_output().expect("xtask ends"),
        place.0.path(),
    );
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r"
           RUN             data[seed=0]                          .w2s/logs/data-seed-0.log
       STOPPED [   TIME s]  data[seed=0]    state saved           .w2s/logs/data-seed-0.log
    error: interrupted; the state is saved
    hint: the same command goes on from here
    ");
    assert_eq!(
        place.events()[1..],
        ["signal data[seed=0]", "saved data[seed=0]"]
    );

    fs::remove_file(place.path(".w2s/slow")).expect("steps go on");
    assert_eq!(place.pipeline(&["--set", "matrix.seed=[0]"]).code, Some(0));
}

fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it does not happen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_missing_binary_is_named() {
    let place = Place::new();
    fs::remove_file(place.path("bin/w2s-eval")).expect("the binary is removed");
    let ran = place.pipeline(&[]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.stderr,
        "error: there is no stage binary bin/w2s-eval\nhint: W2S_BIN_DIR names this folder"
    );
}

/// A cargo that builds nothing and says where the binaries lie.
fn fake_cargo(place: &Place, ending: &str) -> PathBuf {
    let cargo = place.path("cargo");
    let bin = place.path("bin");
    let script = format!(
        r#"#!/bin/sh
echo "$*" >>'{asked}'
echo '   Compiling w2s-data v0.1.0' >&2
echo '{{"reason":"compiler-artifact","target":{{"name":"burn"}},"executable":null}}'
for stage in data base teacher student eval; do
    echo '{{"reason":"compiler-artifact","target":{{"name":"w2s-'$stage'"}},"executable":"{bin}/w2s-'$stage'"}}'
done
echo '    Finished `release` profile [optimized] target(s) in 0.1s' >&2
{ending}
"#,
        asked = place.path("asked").display(),
        bin = bin.display(),
    );
    fs::write(&cargo, script).expect("a script");
    fs::set_permissions(&cargo, PermissionsExt::from_mode(0o755)).expect("it can be run");
    cargo
}

#[test]
fn the_stage_binaries_are_built_with_the_features_asked_for() {
    let place = Place::new();
    let output = place
        .command(&["pipeline", "small.toml", "--dry-run", "--features", "cuda"])
        .env_remove("W2S_BIN_DIR")
        .env("CARGO", fake_cargo(&place, ""))
        .output()
        .expect("xtask starts");
    let ran = Ran::new(&output, place.0.path());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stderr, "   Compiling w2s-data v0.1.0");
    assert_eq!(
        fs::read_to_string(place.path("asked")).expect("cargo was asked"),
        "build --release --workspace --bins --message-format=json-render-diagnostics --features \
         w2s-base/cuda,w2s-teacher/cuda,w2s-student/cuda,w2s-eval/cuda\n"
    );
}

#[test]
fn a_build_that_fails_ends_the_run() {
    let place = Place::new();
    let output = place
        .command(&["pipeline", "small.toml"])
        .env_remove("W2S_BIN_DIR")
        .env("CARGO", fake_cargo(&place, "exit 101"))
        .output()
        .expect("xtask starts");
    let ran = Ran::new(&output, place.0.path());
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr
            .ends_with("error: the stage binaries do not build\nhint: cargo says why above"),
        "{}",
        ran.stderr
    );
    assert_eq!(place.started(), [""; 0]);
}

#[test]
fn recipes_are_listed_with_their_comments() {
    let ran = Place::new().xtask(&["recipes"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("weak-to-strong: "), "{}", ran.stdout);
    assert!(ran.stdout.contains("--var strong=…"), "{}", ran.stdout);
}

fn example(id: u64, text: &str) -> Example {
    Example {
        id,
        split: Split::Gold,
        group: id,
        label: 1,
        text: text.to_owned(),
    }
}

/// A store with one artifact of three examples; its reference.
fn stored(place: &Place) -> ArtifactRef {
    stored_examples(
        place,
        &[
            example(1, "good, really"),
            example(2, "bad"),
            example(3, "so so"),
        ],
    )
}

fn stored_examples(place: &Place, examples: &[Example]) -> ArtifactRef {
    let store = Store::open(place.path(".w2s")).expect("a store");
    let reference: ArtifactRef = format!("{}/{}", Kind::Examples, "3f".repeat(32))
        .parse()
        .expect("a reference");
    let pending = store.begin(&reference).expect("a partial folder");
    pending.write_records(examples).expect("the records");
    let provenance = Provenance {
        stage: "data".to_owned(),
        operation: "task".to_owned(),
        operation_version: 1,
        step: Some("data[seed=0]".to_owned()),
        parameters: serde_json::json!({"seed": 0}),
        summary: serde_json::json!({"rows": examples.len()}),
        ..Provenance::default()
    };
    pending.commit(provenance).expect("the artifact");
    reference
}

#[test]
fn show_prints_the_manifest_and_the_first_rows() {
    let place = Place::new();
    stored(&place);
    let shown = place.xtask(&["show", "examples/3f3f", "--rows", "2"]);
    assert_eq!(shown.code, Some(0), "{}", shown.stderr);
    insta::assert_snapshot!(shown.stdout, @r#"
    artifact          examples/3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f
    path              .w2s/artifacts/examples/3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f
    made by           data task (version 1), as step `data[seed=0]`
    made on           1970-01-01T00:00:00Z, 0.0 s, device flex, 1 threads, w2s 0.1.0
    parameter seed    0
    summary rows      3
    file records.bin  148 bytes

    {"id":1,"split":"gold","group":1,"label":1,"text":"good, really"}
    {"id":2,"split":"gold","group":2,"label":1,"text":"bad"}
    "#);
    let missing = place.xtask(&["show", "labels/3f3f"]);
    assert_eq!(missing.code, Some(1));
    assert!(missing.stderr.starts_with("error: "), "{}", missing.stderr);
    assert_eq!(
        place
            .xtask(&["show", "labels/3f3f", "--store", "elsewhere"])
            .stderr,
        "error: there is no store at elsewhere\nhint: name it with --store, or run a recipe first: cargo xtask pipeline"
    );
}

#[test]
fn a_reader_that_has_seen_enough_ends_an_export_quietly() {
    let place = Place::new();
    // More than any pipe holds.
    let examples: Vec<Example> = (0..40)
        .map(|id| example(id, &"word ".repeat(20_000)))
        .collect();
    stored_examples(&place, &examples);
    for format in ["csv", "jsonl"] {
        let mut child = place
            .command(&["export", "examples/3f3f", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("xtask starts");
        let mut line = String::new();
        // The pipe closes when the reader is dropped.
        BufReader::new(child.stdout.take().expect("a pipe"))
            .read_line(&mut line)
            .expect("a line");
        assert!(line.contains("id"), "{line}");
        let output = child.wait_with_output().expect("xtask ends");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{format}");
    }
}

#[test]
fn export_writes_json_lines_csv_and_hands_parquet_on() {
    let place = Place::new();
    let reference = stored(&place);
    let lines = place.xtask(&["export", "examples/3f3f"]);
    assert_eq!(lines.code, Some(0), "{}", lines.stderr);
    insta::assert_snapshot!(lines.stdout, @r#"
    {"id":1,"split":"gold","group":1,"label":1,"text":"good, really"}
    {"id":2,"split":"gold","group":2,"label":1,"text":"bad"}
    {"id":3,"split":"gold","group":3,"label":1,"text":"so so"}
    "#);
    let csv = place.xtask(&[
        "export",
        "examples/3f3f",
        "--format",
        "csv",
        "--output",
        "x.csv",
    ]);
    assert_eq!(csv.code, Some(0), "{}", csv.stderr);
    insta::assert_snapshot!(fs::read_to_string(place.path("x.csv")).expect("the file"), @r#"
    id,split,group,label,text
    1,gold,1,1,"good, really"
    2,gold,2,1,bad
    3,gold,3,1,so so
    "#);
    let parquet = place.xtask(&[
        "export",
        "examples/3f3f",
        "--format",
        "parquet",
        "--output",
        "x.parquet",
    ]);
    assert_eq!(parquet.code, Some(0), "{}", parquet.stderr);
    assert_eq!(
        fs::read_to_string(place.path("x.parquet")).expect("the file"),
        format!("{reference} --format parquet --output x.parquet --store .w2s\n")
    );
    assert_eq!(
        place
            .xtask(&["export", "examples/3f3f", "--format", "parquet"])
            .code,
        Some(2)
    );
}
