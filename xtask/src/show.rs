//! `cargo xtask show`: an artifact's manifest in a few lines, and its first rows.

use indicatif::HumanCount;
use serde_json::Value;
use w2s_artifact::{Artifact, Input, Kind, hide_texts};

use crate::cli::Show;
use crate::complaint::Result;
use crate::list::{Named, find};
use crate::out::{plain, print};

/// Prints an artifact, or the lines of those that a name stands for.
pub fn show(arguments: &Show) -> Result<()> {
    let artifact = match find(&arguments.store, &arguments.artifact)? {
        Named::One(artifact) => artifact,
        Named::Several(lines) => return print(&lines),
    };
    let mut text = described(&artifact);
    if arguments.rows > 0 && artifact.reference.kind != Kind::Report {
        let mut rows = artifact.rows_json(arguments.rows)?;
        if artifact.is_sensitive() && !arguments.show_texts {
            rows.iter_mut().for_each(hide_texts);
        }
        if !rows.is_empty() {
            text.push('\n');
        }
        for row in rows {
            text.push_str(&format!("{}\n", plain(&row.to_string())));
        }
    }
    print(&text)
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
            format!("{} bytes", HumanCount(file.bytes)),
        ));
    }
    let width = lines
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    lines
        .into_iter()
        .map(|(name, value)| format!("{:<width$}  {}\n", plain(&name), plain(&value)))
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
