//! Where the stage binaries come from.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::place::{Place, Ran};

#[test]
fn a_missing_binary_is_named() {
    let place = Place::new();
    fs::remove_file(place.path("bin/w2s-report")).expect("the binary is removed");
    let ran = place.pipeline(&[]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.stderr,
        "error: there is no stage binary bin/w2s-report\nhint: W2S_BIN_DIR names this folder"
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
for stage in data base teacher student eval report; do
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
        "build --release --workspace --message-format=json-render-diagnostics --bin w2s-data --bin w2s-base --bin \
         w2s-teacher --bin w2s-student --bin w2s-eval --bin w2s-report --features \
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
