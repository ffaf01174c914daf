//! The arrows between crates point down, as `docs/architecture.md` draws them.

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::BTreeSet;

/// Each crate with its layer and the workspace crates it may depend on.
const ALLOWED: [(&str, u8, &[&str]); 13] = [
    ("w2s-artifact", 0, &[]),
    ("w2s-losses", 0, &[]),
    ("w2s-ops", 0, &[]),
    ("w2s-train", 1, &["w2s-ops"]),
    ("w2s-lm", 1, &["w2s-ops"]),
    ("w2s-stage", 1, &["w2s-artifact"]),
    // Its binary alone needs the shell.
    ("w2s-data", 1, &["w2s-artifact", "w2s-stage"]),
    (
        "w2s-base",
        2,
        &["w2s-artifact", "w2s-lm", "w2s-stage", "w2s-train"],
    ),
    (
        "w2s-teacher",
        2,
        &[
            "w2s-artifact",
            "w2s-lm",
            "w2s-losses",
            "w2s-stage",
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
            "w2s-train",
        ],
    ),
    ("w2s-eval", 2, &["w2s-artifact", "w2s-lm", "w2s-stage"]),
    ("xtask", 3, &["w2s-artifact"]),
    ("w2s-tests", 3, &["w2s-artifact"]),
];

#[test]
fn arrows_point_down() {
    let metadata = MetadataCommand::new().exec().expect("cargo metadata");
    let packages = metadata.workspace_packages();
    let names: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let listed: BTreeSet<&str> = ALLOWED.iter().map(|(name, _, _)| *name).collect();
    assert_eq!(
        names, listed,
        "every crate of the workspace stands in the table"
    );
    for package in packages {
        let (_, layer, allowed) = ALLOWED
            .iter()
            .find(|(name, _, _)| *name == package.name.as_str())
            .expect("listed");
        for dependency in &package.dependencies {
            let name = dependency.name.as_str();
            // Tests may look at anything below them.
            if dependency.kind == DependencyKind::Development || !listed.contains(name) {
                continue;
            }
            assert!(
                allowed.contains(&name),
                "{} (layer {layer}) must not depend on {name}",
                package.name
            );
        }
    }
}

#[test]
fn crates_without_tensors_do_not_reach_burn() {
    let metadata = MetadataCommand::new().exec().expect("cargo metadata");
    for name in [
        "w2s-artifact",
        "w2s-stage",
        "w2s-data",
        "xtask",
        "w2s-tests",
    ] {
        let package = metadata
            .workspace_packages()
            .into_iter()
            .find(|p| p.name.as_str() == name)
            .expect("a crate of the workspace");
        let burn = package
            .dependencies
            .iter()
            .find(|d| d.kind != DependencyKind::Development && d.name.starts_with("burn"));
        assert!(burn.is_none(), "{name} depends on burn");
    }
}
