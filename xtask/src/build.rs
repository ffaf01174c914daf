//! The stage binaries: built in the release profile, or taken as they are.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::Value;

use crate::complaint::{Complaint, OrComplain, Result};
use crate::out::say;
use crate::process::{self, Watched};
use crate::workspace;

/// Stages that compute on a device and so have its cargo feature.
const ON_DEVICE: [&str; 4] = ["base", "teacher", "student", "eval"];
/// The cargo features that bring a device.
const FEATURES: [&str; 4] = ["cuda", "vulkan", "metal", "wgpu"];

/// The binaries of these stages. `W2S_BIN_DIR` names a folder to take them from instead of building.
pub fn stages(
    stages: &[&str],
    features: &[String],
    no_build: bool,
) -> Result<BTreeMap<String, PathBuf>> {
    for feature in features {
        if !FEATURES.contains(&feature.as_str()) {
            return Err(Complaint::usage(format!(
                "--features {feature}: the stages have no such feature"
            ))
            .nearest(feature, FEATURES));
        }
    }
    if let Some(folder) = std::env::var_os("W2S_BIN_DIR") {
        return existing(stages, Path::new(&folder), "W2S_BIN_DIR names this folder");
    }
    if no_build {
        return existing(
            stages,
            &release_folder(),
            "leave --no-build out, and they are built",
        );
    }
    built(stages, features)
}

/// The binary of one stage.
pub fn stage(name: &str, no_build: bool) -> Result<PathBuf> {
    stages(&[name], &[], no_build)?
        .remove(name)
        .ok_or_else(|| Complaint::failed(format!("there is no stage binary `w2s-{name}`")))
}

fn existing(stages: &[&str], folder: &Path, hint: &str) -> Result<BTreeMap<String, PathBuf>> {
    let binaries: BTreeMap<String, PathBuf> = stages
        .iter()
        .map(|stage| {
            let file = format!("w2s-{stage}{}", std::env::consts::EXE_SUFFIX);
            ((*stage).to_owned(), folder.join(file))
        })
        .collect();
    match binaries.values().find(|path| !path.is_file()) {
        Some(missing) => Err(Complaint::usage(format!(
            "there is no stage binary {}",
            workspace::shown(missing)
        ))
        .hint(hint)),
        None => Ok(binaries),
    }
}

/// This program lies in `<target>/<profile>/`, the stage binaries beside it in `<target>/release/`.
fn release_folder() -> PathBuf {
    std::env::current_exe()
        .ok()
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::parent)
        .map_or_else(
            || workspace::root().join("target").join("release"),
            |target| target.join("release"),
        )
}

fn built(stages: &[&str], features: &[String]) -> Result<BTreeMap<String, PathBuf>> {
    let mut cargo = cargo();
    cargo
        .args([
            "build",
            "--release",
            // The whole workspace, as the tests build it: another selection of packages would give shared dependencies
            // other features, and build the tensor library a second time.
            "--workspace",
            "--message-format=json-render-diagnostics",
        ])
        .current_dir(workspace::root())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // All stages, whichever are needed, so that one recipe after another builds nothing twice, and no other binary.
    for stage in crate::recipe::STAGES {
        cargo.arg("--bin").arg(format!("w2s-{stage}"));
    }
    let features: Vec<String> = features
        .iter()
        .flat_map(|feature| ON_DEVICE.map(|stage| format!("w2s-{stage}/{feature}")))
        .collect();
    if !features.is_empty() {
        cargo.arg("--features").arg(features.join(","));
    }
    let mut child = Watched::start(&mut cargo).or_complain(|| "cannot start cargo".to_owned())?;
    let stdout = child.child().stdout.take();
    let stderr = child.child().stderr.take();
    let binaries = thread::scope(|scope| {
        scope.spawn(|| {
            for line in stderr
                .into_iter()
                .flat_map(|stderr| BufReader::new(stderr).lines())
            {
                // With nothing to build cargo prints only this line, and then there is nothing to say.
                match line {
                    Ok(line)
                        if console::strip_ansi_codes(&line)
                            .trim_start()
                            .starts_with("Finished ") => {}
                    Ok(line) => say(&line),
                    Err(_) => break,
                }
            }
        });
        stdout
            .into_iter()
            .flat_map(|stdout| BufReader::new(stdout).lines())
            .map_while(std::result::Result::ok)
            // Most lines are about libraries; reading only the few others as JSON keeps a warm start quick.
            .filter(|line| !line.contains("\"executable\":null"))
            .filter_map(|line| executable(&line))
            .collect::<BTreeMap<_, _>>()
    });
    let status = child
        .wait()
        .or_complain(|| "cannot wait for cargo".to_owned())?;
    if process::interrupted() {
        return Err(Complaint::interrupted("interrupted while building"));
    }
    if !status.success() {
        return Err(
            Complaint::failed("the stage binaries do not build").hint("cargo says why above")
        );
    }
    match stages.iter().find(|stage| !binaries.contains_key(**stage)) {
        Some(stage) => Err(Complaint::failed(format!(
            "cargo built no binary `w2s-{stage}`"
        ))),
        None => Ok(binaries),
    }
}

/// The stage and the path of its binary, from one of cargo's messages.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.strip_prefix("w2s-")?.to_owned(), PathBuf::from(path)))
}

/// Tells a stage's allocator to keep freed memory: every training step allocates the same tensors again, and pages given
/// back to the system are zeroed when they come again, a tenth of a step's time. A value of the user's own stands.
pub fn keep_memory(stage: &mut Command) {
    const DELAY: &str = "MIMALLOC_PURGE_DELAY";
    if std::env::var_os(DELAY).is_none() {
        stage.env(DELAY, "-1");
    }
}

/// Cargo, without what `cargo run` left in the environment for this program: build scripts that look at it would run
/// again.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name.as_ref());
        }
    }
    if console::colors_enabled_stderr() {
        cargo.env("CARGO_TERM_COLOR", "always");
    }
    cargo
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_binary_is_found_in_what_cargo_says() {
        assert_eq!(
            executable(
                r#"{"reason":"compiler-artifact","target":{"name":"w2s-data","kind":["bin"]},"executable":"/t/release/w2s-data"}"#
            ),
            Some(("data".to_owned(), PathBuf::from("/t/release/w2s-data")))
        );
        assert_eq!(
            executable(
                r#"{"reason":"compiler-artifact","target":{"name":"w2s-data"},"executable":null}"#
            ),
            None
        );
        assert_eq!(executable("not JSON"), None);
    }

    #[test]
    fn an_unknown_feature_suggests() {
        assert_eq!(
            stages(&["data"], &["vulcan".into()], true)
                .expect_err("no such feature")
                .to_string(),
            "error: --features vulcan: the stages have no such feature\nhint: did you mean `vulkan`?\n"
        );
    }
}
