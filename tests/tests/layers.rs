//! The arrows between crates point down, as `docs/architecture.md` draws them.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::Command;

/// A row of the table under the heading "Layers".
struct Row {
    name: String,
    layer: u8,
    dependencies: BTreeSet<String>,
    burn: bool,
}

fn table() -> Vec<Row> {
    let text = include_str!("../../docs/architecture.md");
    let (_, text) = text.split_once("\n## Layers\n").expect("the heading");
    let (text, _) = text.split_once("\n## ").expect("the next one");
    let rows = text.lines().filter(|line| line.starts_with("| ")).skip(2);
    rows.map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [layer, name, dependencies, burn] = cells[..] else {
            panic!("four cells: {line}");
        };
        // A remark may stand in brackets behind a name.
        let names = dependencies
            .split(',')
            .filter_map(|d| d.split_whitespace().next());
        Row {
            name: name.trim_matches('`').into(),
            layer: layer.parse().expect("a number"),
            dependencies: names.map(|name| format!("w2s-{name}")).collect(),
            burn: burn != "never",
        }
    })
    .collect()
}

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
fn arrows_are_those_of_the_table_and_point_down() {
    let (packages, table) = (packages(), table());
    let row = |name: &str| table.iter().find(|row| row.name == name);
    assert_eq!(packages.len(), table.len(), "one row a crate");
    for package in &packages {
        let name = package.name.as_str();
        let own = row(name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let ours = package.dependencies.iter().filter(|d| row(d).is_some());
        let ours: BTreeSet<String> = ours.cloned().collect();
        assert_eq!(ours, own.dependencies, "{name}");
        for dependency in &ours {
            let below = row(dependency).expect("it was just found").layer;
            // The one crate with arrows inside its layer: a method is a loss on a model in the loop.
            let beside: &[&str] = match name {
                "w2s-methods" => &["w2s-lm", "w2s-train"],
                _ => &[],
            };
            assert!(
                below < own.layer || beside.contains(&dependency.as_str()),
                "{name} to {dependency}"
            );
        }
    }
}

#[test]
fn crates_without_tensors_do_not_name_burn() {
    let packages = packages();
    for row in table().iter().filter(|row| !row.burn) {
        let package = packages.iter().find(|p| p.name == row.name).expect("one");
        let burn = package.dependencies.iter().find(|d| d.starts_with("burn"));
        assert!(burn.is_none(), "{} depends on {burn:?}", row.name);
    }
}
