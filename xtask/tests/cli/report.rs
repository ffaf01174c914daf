//! What a run leaves where people look: its report, its models, under its name.

use std::fs;
use std::process::Stdio;

use w2s_artifact::{ArtifactRef, Kind, Provenance, Store};

use crate::place::{Place, RECIPE};

/// Cached runs of a recipe with one seed.
const ONE: [&str; 2] = ["--set", "matrix.seed=[0]"];

/// Stores the report of a finished run anew, with the hashes of its files; its folder.
fn hashed(place: &Place) -> std::path::PathBuf {
    let store = Store::open(place.path(".w2s")).expect("the store");
    let reports = store.list().expect("artifacts").into_iter();
    let reports: Vec<ArtifactRef> = reports.filter(|found| found.kind == Kind::Report).collect();
    let folder = store.artifact_dir(&reports[0]);
    let pending = store.begin(&reports[0]).expect("a partial folder");
    for name in ["report.json", "report.md"] {
        let bytes = fs::read(folder.join(name)).expect("a file of the report");
        pending.write_file(name, &bytes).expect("it is written");
    }
    pending.commit(Provenance::default()).expect("the report");
    folder
}

#[test]
fn runs_of_one_recipe_stand_side_by_side_and_say_what_they_changed() {
    let place = Place::new();
    place.pipeline(&[]);
    let named = place.pipeline(&[
        "--name",
        "longer",
        "--var",
        "rows=12",
        "--set",
        "naive.epochs=3",
        "--set",
        "naive.epochs=4",
    ]);
    assert_eq!(named.code, Some(0), "{}", named.stderr);
    assert!(
        named
            .stdout
            .ends_with("\nreport: .w2s/reports/longer/report.md"),
        "{}",
        named.stdout
    );
    for run in ["small", "longer"] {
        assert!(
            place
                .path(&format!(".w2s/reports/{run}/report.json"))
                .exists()
        );
        assert!(
            place
                .path(&format!(".w2s/logs/{run}/naive-seed-0.log"))
                .exists()
        );
    }
    let log = |run: &str, step: &str| {
        fs::read_to_string(place.path(&format!(".w2s/logs/{run}/{step}.log"))).expect("a log")
    };
    let (first, second) = (log("small", "report"), log("longer", "report"));
    assert!(!first.contains("--override"), "{first}");
    assert!(
        second.contains("--override=naive.epochs=4 --override=rows=12 "),
        "{second}"
    );
    // Who does not ask for it is not told.
    assert!(!log("longer", "naive-seed-0").contains("--override"));
    let wrong = place.pipeline(&["--name", "../x"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("a name is made of letters"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_report_damaged_unseen_is_not_published() {
    let place = Place::new();
    place.pipeline(&ONE);
    let path = hashed(&place).join("report.json");
    assert_eq!(place.pipeline(&ONE).code, Some(0));
    fs::remove_dir_all(place.path(".w2s/reports/small")).expect("the copy is removed");
    let times = fs::metadata(&path)
        .and_then(|file| file.modified())
        .expect("a time");
    let text = fs::read_to_string(&path).expect("the report");
    fs::write(&path, text.replace("0.800", "0.900")).expect("it is damaged");
    let file = fs::File::options()
        .write(true)
        .open(&path)
        .expect("the report");
    file.set_modified(times).expect("its time is as before");
    let ran = place.pipeline(&ONE);
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(!ran.stdout.contains("0.900"), "{}", ran.stdout);
    assert!(
        ran.stderr.contains("report.json hashes to "),
        "{}",
        ran.stderr
    );
    assert!(!place.path(".w2s/reports/small").exists());
}

#[test]
fn a_report_that_cannot_be_copied_is_printed_from_where_it_is() {
    let place = Place::new();
    place.pipeline(&ONE);
    // A file where the folder was: nobody can write there, whoever runs the test.
    fs::remove_dir_all(place.path(".w2s/reports/small")).expect("the copy is removed");
    fs::write(place.path(".w2s/reports/small"), "").expect("a file");
    let ran = place.pipeline(&ONE);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("naive     0.800"), "{}", ran.stdout);
    assert!(
        ran.stderr
            .contains("warning: the report is not copied: cannot create"),
        "{}",
        ran.stderr
    );
    let last = ran.stdout.lines().last().expect("a line");
    assert!(last.starts_with("report: .w2s/artifacts/report/"), "{last}");
    assert!(last.ends_with("/report.md"), "{last}");
}

#[test]
fn runs_that_end_together_do_not_meet() {
    let place = Place::new();
    place.pipeline(&ONE);
    for _ in 0..5 {
        let runs: Vec<_> = (0..6)
            .map(|_| {
                place
                    .command(&["pipeline", "small.toml", ONE[0], ONE[1]])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .expect("xtask starts")
            })
            .collect();
        for run in runs {
            let output = run.wait_with_output().expect("xtask ends");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(0), "{stderr}");
            assert!(!stderr.contains("warning"), "{stderr}");
        }
    }
    let left = fs::read_dir(place.path(".w2s/reports/small")).expect("the copy");
    assert_eq!(left.count(), 2, "a temporary file is left");
}

#[test]
fn a_run_names_its_models_and_its_last_line_the_page() {
    let place = Place::new();
    let models = |stdout: &str| -> Vec<String> {
        stdout
            .lines()
            .filter_map(|line| {
                line.strip_prefix("  ")?
                    .split(' ')
                    .next()
                    .map(str::to_owned)
            })
            .collect()
    };
    let ran = place.pipeline(&ONE);
    assert_eq!(models(&ran.stdout), ["weak[seed=0]", "naive[seed=0]"]);
    assert!(
        ran.stdout.contains("  .w2s/artifacts/checkpoint/"),
        "{}",
        ran.stdout
    );
    // Only the students stand in this report.
    let read = RECIPE.replace("[\"@weak[*]\", \"@naive[*]\"]", "[\"@naive[*]\"]");
    let ran = place.recipe(&read).pipeline(&ONE);
    assert!(
        models(&ran.stdout).contains(&"naive[seed=0]".to_owned()),
        "{}",
        ran.stdout
    );
    let without = RECIPE
        .split("[step.report]")
        .next()
        .expect("the other steps");
    let ran = place.recipe(without).pipeline(&[]);
    assert_eq!(models(&ran.stdout), ["naive[seed=0]", "naive[seed=1]"]);
}
