//! Ctrl-C, and streams that nobody reads.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::place::{self, Place, Ran, wait_for};

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
           RUN             data[seed=0]                          .w2s/logs/small/data-seed-0.log
       STOPPED [   TIME s]  data[seed=0]    state saved           .w2s/logs/small/data-seed-0.log
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

#[test]
fn a_state_that_could_not_be_saved_is_told() {
    let place = Place::new();
    fs::create_dir_all(place.path(".w2s")).expect("the store");
    fs::write(place.path(".w2s/slow"), "").expect("steps wait");
    fs::write(place.path(".w2s/unsaved"), "").expect("the disk is full");
    let running = place
        .command(&["pipeline", "small.toml", "--set", "matrix.seed=[0]"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("xtask starts");
    wait_for(|| place.path(".w2s/events").exists());
    interrupt(running.id());
    let ran = Ran::new(
        &running.wait_with_output().expect("xtask ends"),
        place.0.path(),
    );
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r"
           RUN             data[seed=0]                          .w2s/logs/small/data-seed-0.log
        FAILED [   TIME s]  data[seed=0]    exit 1                .w2s/logs/small/data-seed-0.log
        working on data[seed=0]
        error: cannot write the state: the disk is full
    error: step `data[seed=0]` failed: exit 1
    hint: the whole log is .w2s/logs/small/data-seed-0.log; what was finished is kept, the same command goes on
    ");
}

fn interrupt(process: u32) {
    let killed = Command::new("kill")
        .args(["-s", "INT", &process.to_string()])
        .status()
        .expect("kill");
    assert!(killed.success());
}

/// Runs a shell line that pipes xtask somewhere; its exit code, or none when it did not end in time.
fn in_shell(place: &Place, line: &str) -> Option<i32> {
    let mut shell = Command::new("timeout")
        .args([
            "--kill-after",
            "1",
            "20",
            "bash",
            "-o",
            "pipefail",
            "-c",
            line,
        ])
        .env("XTASK", env!("CARGO_BIN_EXE_xtask"))
        .env("COMMIT", place::commit())
        .env("W2S_BIN_DIR", place.path("bin"))
        .env_remove("W2S_STORE")
        .current_dir(place.0.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a shell");
    shell.wait().expect("the shell ends").code()
}

#[cfg(target_os = "linux")]
#[test]
fn nobody_has_to_listen() {
    for line in [
        "$XTASK pipeline small.toml 2>/dev/full",
        "$XTASK pipeline small.toml >/dev/full",
        "$XTASK pipeline small.toml 2>&1 | true",
        "$XTASK pipeline small.toml >&- 2>&-",
        "$XTASK pipeline small.toml --dry-run -v | head -1",
        "$XTASK recipes | true",
        "$XTASK list | true",
    ] {
        let place = Place::new();
        fs::create_dir_all(place.path(".w2s")).expect("the store");
        assert_eq!(in_shell(&place, line), Some(0), "{line}");
        if !line.contains("dry-run") && line.contains("pipeline") {
            assert!(
                place.path(".w2s/reports/small/report.json").exists(),
                "{line}"
            );
        }
    }
}
