//! `cargo xtask show`: an artifact's manifest in a few lines, and its first rows.

use serde_json::Value;
use w2s_artifact::{Artifact, Input, Kind, Store};

use crate::cli::Show;
use crate::complaint::{Complaint, Result};
use crate::export::print;
use crate::status::thousands;

/// Prints an artifact.
pub fn show(arguments: &Show) -> Result<()> {
    let artifact = open(&arguments.store, &arguments.artifact)?;
    let mut text = described(&artifact);
    if arguments.rows > 0 && artifact.reference.kind != Kind::Report {
        let rows = artifact.rows_json(arguments.rows)?;
        if !rows.is_empty() {
            text.push('\n');
        }
        for row in rows {
            text.push_str(&format!("{row}\n"));
        }
    }
    print(&text)
}

/// Opens an artifact by what was typed.
pub fn open(store: &std::path::Path, text: &str) -> Result<Artifact> {
    if !store.is_dir() {
        return Err(
            Complaint::usage(format!("there is no store at {}", store.display()))
                .hint("name it with --store, or run a recipe first: cargo xtask pipeline"),
        );
    }
    let store = Store::open(store)?;
    let reference = store.resolve(text)?;
    Ok(store.require(&reference)?)
}

fn described(artifact: &Artifact) -> String {
    let manifest = &artifact.manifest;
    let mut lines: Vec<(String, String)> =
        vec![("artifact".into(), artifact.reference.to_string())];
    lines.push(("path".into(), artifact.path.display().to_string()));
    let step = manifest
        .step
        .as_ref()
        .map_or_else(String::new, |step| format!(", as step `{step}`"));
    lines.push((
        "made by".into(),
        format!(
            "{} {} (version {}){step}",
            manifest.stage, manifest.operation, manifest.operation_version
        ),
    ));
    lines.push((
        "made on".into(),
        format!(
            "{}, {:.1} s, device {}, {} threads, w2s {}",
            manifest.started,
            manifest.seconds,
            manifest.device,
            manifest.threads,
            manifest.tool_version
        ),
    ));
    for input in &manifest.inputs {
        let from = match input {
            Input::Artifact { artifact, .. } => artifact.to_string(),
            Input::File { path, blake3, .. } => {
                format!(
                    "{} (blake3 {})",
                    path.display(),
                    blake3.get(..8).unwrap_or(blake3)
                )
            }
        };
        lines.push((format!("input {}", input.name()), from));
    }
    lines.extend(fields("parameter", &manifest.parameters));
    lines.extend(fields("summary", &manifest.summary));
    for file in &manifest.files {
        lines.push((
            format!("file {}", file.name),
            format!("{} bytes", thousands(file.bytes as f64)),
        ));
    }
    let width = lines
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    lines
        .into_iter()
        .map(|(name, value)| format!("{name:<width$}  {value}\n"))
        .collect()
}

fn fields(what: &str, value: &Value) -> Vec<(String, String)> {
    let Some(fields) = value.as_object() else {
        return Vec::new();
    };
    fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            (format!("{what} {name}"), value)
        })
        .collect()
}
