//! `cargo xtask check`: format, clippy, tests and documentation, in the order in which they fail fastest.
//!
//! Tests run in the release profile, the one the stage binaries have: the tensors under them are built once.

use std::process::Command;
use std::time::Instant;

use crate::build::cargo;
use crate::cli::{Check, Part};
use crate::complaint::{Complaint, OrComplain, Result};
use crate::out::say;
use crate::process::{self, Watched};
use crate::status::{self, Stream, Word};
use crate::workspace;

const PARTS: [Part; 4] = [Part::Format, Part::Clippy, Part::Tests, Part::Docs];

/// Runs the parts that were asked for, all by default; every part runs, whatever the others say.
pub fn check(arguments: &Check) -> Result<()> {
    process::watch_interrupts();
    let mut failed = Vec::new();
    for part in PARTS {
        if !arguments.only.is_empty() && !arguments.only.contains(&part) {
            continue;
        }
        let (name, mut command) = command(part);
        let words: Vec<String> = command
            .get_args()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let shown = process::pasteable("cargo", &words);
        let print = |word, time, subject: &str, rest: &str| {
            say(&status::line(
                Stream::Stderr,
                word,
                time,
                name,
                6,
                subject,
                rest,
            ));
        };
        print(Word::Run, None, &shown, "");
        let began = Instant::now();
        let ended = Watched::start(&mut command)
            .and_then(Watched::wait)
            .or_complain(|| "cannot start cargo".to_owned())?;
        if process::interrupted() {
            return Err(Complaint::interrupted("interrupted"));
        }
        if ended.success() {
            print(Word::Done, Some(began.elapsed()), "", "");
        } else {
            print(
                Word::Failed,
                Some(began.elapsed()),
                &process::describe(ended),
                "",
            );
            failed.push(format!("{name} ({shown})"));
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let mut complaint = Complaint::failed("the code does not pass");
    for part in failed {
        complaint = complaint.because(part);
    }
    Err(complaint)
}

fn command(part: Part) -> (&'static str, Command) {
    let mut command = cargo();
    command.current_dir(workspace::root());
    match part {
        Part::Format => {
            command.args(["fmt", "--all", "--check"]);
            ("format", command)
        }
        Part::Clippy => {
            command.args([
                "clippy",
                "--release",
                "--workspace",
                "--all-targets",
                "--",
                "--deny",
                "warnings",
            ]);
            ("clippy", command)
        }
        Part::Tests => {
            command.args(["test", "--release", "--workspace"]);
            ("tests", command)
        }
        Part::Docs => {
            command.args(["doc", "--release", "--workspace", "--no-deps"]);
            command.env("RUSTDOCFLAGS", "--deny warnings");
            ("docs", command)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_errors_and_tests_share_the_release_build() {
        let shown = PARTS.map(|part| {
            let (_, command) = command(part);
            let words: Vec<String> = command
                .get_args()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            words.join(" ")
        });
        assert_eq!(
            shown,
            [
                "fmt --all --check",
                "clippy --release --workspace --all-targets -- --deny warnings",
                "test --release --workspace",
                "doc --release --workspace --no-deps",
            ]
        );
    }
}
