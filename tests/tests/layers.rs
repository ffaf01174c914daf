//! The arrows between crates point down, as `docs/architecture.md` draws them.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// Each crate with its layer and the workspace crates it may depend on.
const ALLOWED: [(&str, u8, &[&str]); 15] = [
    ("w2s-artifact", 0, &[]),
    ("w2s-losses", 0, &[]),
    ("w2s-ops", 0, &[]),
    ("w2s-text", 0, &[]),
    ("w2s-theory", 0, &[]),
    ("w2s-train", 1, &["w2s-ops"]),
    ("w2s-lm", 1, &["w2s-ops", "w2s-text"]),
    ("w2s-stage", 1, &["w2s-artifact"]),
    // Its binary alone needs the shell.
    ("w2s-data", 1, &["w2s-artifact", "w2s-stage", "w2s-text"]),
    (
        "w2s-base",
        2,
        &[
            "w2s-artifact",
            "w2s-lm",
            "w2s-ops",
            "w2s-stage",
            "w2s-text",
            "w2s-train",
        ],
    ),
    (
        "w2s-teacher",
        2,
        &[
            "w2s-artifact",
            "w2s-lm",
            "w2s-losses",
            "w2s-stage",
            "w2s-text",
            "w2s-train",
        ],
    ),
    (
        "w2s-student",
        2,
        &[
            "w2s-artifact",
            "w2s-lm",
            "w2s-losses",
            "w2s-stage",
            "w2s-text",
            "w2s-train",
        ],
    ),
    (
        "w2s-eval",
        2,
        &[
            "w2s-artifact",
            "w2s-lm",
            "w2s-stage",
            "w2s-text",
            "w2s-theory",
        ],
    ),
    ("xtask", 3, &["w2s-artifact"]),
    ("w2s-tests", 3, &["w2s-artifact"]),
];

/// A package of the workspace and the crates it depends on outside of tests.
struct Package {
    name: String,
    dependencies: Vec<String>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo prints JSON");
    let name = |value: &Value| value["name"].as_str().expect("a name").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    list(&metadata["packages"])
        .iter()
        .map(|package| Package {
            name: name(package),
            // Tests may look at anything below them.
            dependencies: list(&package["dependencies"])
                .iter()
                .filter(|d| d["kind"].as_str() != Some("dev"))
                .map(name)
                .collect(),
        })
        .collect()
}

#[test]
fn arrows_point_down() {
    let packages = packages();
    let names: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(
        names, listed,
        "every crate of the workspace stands in the table"
    );
    let layer = |name: &str| {
        ALLOWED
            .iter()
            .find(|(n, _, _)| *n == name)
            .map(|(_, layer, _)| *layer)
    };
    for package in &packages {
        let (name, own, allowed) = ALLOWED
            .iter()
            .find(|(name, _, _)| *name == package.name)
            .expect("listed");
        for dependency in &package.dependencies {
            let Some(below) = layer(dependency) else {
                continue;
            };
            assert!(
                allowed.contains(&dependency.as_str()),
                "{name} must not depend on {dependency}"
            );
            // The one arrow inside a layer: the binary of w2s-data has the shell of all stages.
            assert!(
                below < *own || (*name == "w2s-data" && dependency == "w2s-stage"),
                "{name} to {dependency}"
            );
        }
    }
}

#[test]
fn crates_without_tensors_do_not_name_burn() {
    for package in packages() {
        if [
            "w2s-artifact",
            "w2s-stage",
            "w2s-theory",
            "w2s-data",
            "w2s-text",
            "xtask",
            "w2s-tests",
        ]
        .contains(&package.name.as_str())
        {
            let burn = package.dependencies.iter().find(|d| d.starts_with("burn"));
            assert!(burn.is_none(), "{} depends on {burn:?}", package.name);
        }
    }
}
