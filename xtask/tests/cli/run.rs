//! What runs, in which order, and what is printed of it.

use std::fs;
use std::process::Stdio;

use crate::place::{Place, wait_for};

#[test]
fn a_recipe_runs_and_the_second_run_is_cached() {
    let place = Place::new();
    let first = place.pipeline(&[]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    insta::assert_snapshot!(first.stderr, @r"
         RUN             data[seed=0]                          .w2s/logs/small/data-seed-0.log
        DONE [   TIME s]  data[seed=0]    examples/812cdab3     1,200 rows
         RUN             data[seed=1]                          .w2s/logs/small/data-seed-1.log
        DONE [   TIME s]  data[seed=1]    examples/53351b6f     1,200 rows
         RUN             weak[seed=0]                          .w2s/logs/small/weak-seed-0.log
        DONE [   TIME s]  weak[seed=0]    checkpoint/cf80c944   1,200 rows
         RUN             weak[seed=1]                          .w2s/logs/small/weak-seed-1.log
        DONE [   TIME s]  weak[seed=1]    checkpoint/1df5be72   1,200 rows
         RUN             labels[seed=0]                        .w2s/logs/small/labels-seed-0.log
        DONE [   TIME s]  labels[seed=0]  labels/12c876f1       1,200 rows
         RUN             labels[seed=1]                        .w2s/logs/small/labels-seed-1.log
        DONE [   TIME s]  labels[seed=1]  labels/a4be4a43       1,200 rows
         RUN             naive[seed=0]                         .w2s/logs/small/naive-seed-0.log
        DONE [   TIME s]  naive[seed=0]   checkpoint/222720ec   1,200 rows
         RUN             naive[seed=1]                         .w2s/logs/small/naive-seed-1.log
        DONE [   TIME s]  naive[seed=1]   checkpoint/89f7e011   1,200 rows
         RUN             report                                .w2s/logs/small/report.log
        DONE [   TIME s]  report          report/9d14cacd       1,200 rows
    FINISHED [   TIME s]  9 steps: 9 ran, 0 cached
    ");
    assert_eq!(
        first.stdout.lines().last(),
        Some("report: .w2s/reports/small/report.md")
    );
    let page: Vec<&str> = first.stdout.split("\nmodels:").collect();
    insta::assert_snapshot!(page[0], @r"
    small, seeds 0, 1
    naive recovers half.

    arm    accuracy
    weak      0.750
    naive     0.800
    - the gap is clear
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
    let log = fs::read_to_string(place.path(".w2s/logs/small/naive-seed-0.log")).expect("a log");
    assert!(
        log.starts_with("$ bin/w2s-student classify --data examples/"),
        "{log}"
    );
    assert!(log.ends_with("working on naive[seed=0]\n"), "{log}");

    let second = place.pipeline(&[]);
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    insta::assert_snapshot!(second.stderr, @r"
      CACHED             data[seed=0]    examples/812cdab3     1,200 rows
      CACHED             data[seed=1]    examples/53351b6f     1,200 rows
      CACHED             weak[seed=0]    checkpoint/cf80c944   1,200 rows
      CACHED             weak[seed=1]    checkpoint/1df5be72   1,200 rows
      CACHED             labels[seed=0]  labels/12c876f1       1,200 rows
      CACHED             labels[seed=1]  labels/a4be4a43       1,200 rows
      CACHED             naive[seed=0]   checkpoint/222720ec   1,200 rows
      CACHED             naive[seed=1]   checkpoint/89f7e011   1,200 rows
      CACHED             report          report/9d14cacd       1,200 rows
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
           RUN             naive[seed=0]   checkpoint/222720ec   never made
           RUN             report          report/60a4940c       never made
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
           RUN             naive[seed=0]   checkpoint/222720ec   --from labels
           RUN             report          report/60a4940c       --from labels
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
        "$ bin/w2s-data task --rows 10 --seed 0 --store .w2s --device cuda:0 --threads 3 --step 'data[seed=0]'"
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
    let log = fs::read_to_string(place.path(".w2s/logs/small/naive-seed-0.log")).expect("a log");
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
           RUN             data[seed=0]                          .w2s/logs/small/data-seed-0.log
          DONE [   TIME s]  data[seed=0]    examples/812cdab3     1,200 rows
           RUN             data[seed=1]                          .w2s/logs/small/data-seed-1.log
          DONE [   TIME s]  data[seed=1]    examples/53351b6f     1,200 rows
           RUN             weak[seed=0]                          .w2s/logs/small/weak-seed-0.log
          DONE [   TIME s]  weak[seed=0]    checkpoint/cf80c944   1,200 rows
           RUN             weak[seed=1]                          .w2s/logs/small/weak-seed-1.log
          DONE [   TIME s]  weak[seed=1]    checkpoint/1df5be72   1,200 rows
           RUN             labels[seed=0]                        .w2s/logs/small/labels-seed-0.log
        FAILED [   TIME s]  labels[seed=0]  exit 1                .w2s/logs/small/labels-seed-0.log
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
    hint: the whole log is .w2s/logs/small/labels-seed-0.log; what was finished is kept, the same command goes on
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
