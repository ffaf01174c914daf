//! A folder with a recipe and stage binaries that compute nothing, and what xtask answers there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub const RECIPE: &str = r#"# Shows that the steps run.
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
run = "student classify"
data = "@data"
labels = "@labels"

[step.report]
run = "report build"
predictions = ["@weak[*]", "@naive[*]"]
"#;

/// The example that commits an artifact; `cargo test` builds it, `cargo test --test cli` alone does not.
pub fn commit() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_xtask")).parent();
    let commit = folder.expect("a folder").join("examples/commit");
    assert!(commit.is_file(), "cargo build --examples comes first");
    commit
}

/// A folder with a recipe, stage binaries and, once something ran, a store.
pub struct Place(pub TempDir);

impl Place {
    pub fn new() -> Self {
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
                &[("classify", &["@data", "@labels", "epochs", "gold"])],
            ),
            ("eval", &[("predict", &["@model", "@data"])]),
            ("report", &[("build", &["@predictions", "override"])]),
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

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn recipe(&self, text: &str) -> &Self {
        fs::write(self.path("small.toml"), text).expect("the recipe is written");
        self
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("W2S_BIN_DIR", self.path("bin"))
            .env("COMMIT", commit())
            .env("NO_COLOR", "1")
            .env_remove("W2S_STORE")
            .stdin(Stdio::null());
        command
    }

    /// `pipeline small.toml` with more flags.
    pub fn pipeline(&self, flags: &[&str]) -> Ran {
        let mut arguments = vec!["pipeline", "small.toml"];
        arguments.extend(flags);
        self.xtask(&arguments)
    }

    pub fn xtask(&self, arguments: &[&str]) -> Ran {
        let output = self.command(arguments).output().expect("xtask starts");
        Ran::new(&output, self.0.path())
    }

    /// What the stage binaries did since this was asked last.
    pub fn events(&self) -> Vec<String> {
        let path = self.path(".w2s/events");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(str::to_owned).collect()
    }

    pub fn started(&self) -> Vec<String> {
        self.events()
            .iter()
            .filter_map(|event| Some(event.strip_prefix("start ")?.split(' ').next()?.to_owned()))
            .collect()
    }

    pub fn report(&self) -> serde_json::Value {
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
                "multiple": plain == "predictions" || plain == "override",
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
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: &Output, folder: &Path) -> Self {
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

pub fn wait_for(condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "it does not happen"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
