//! `cargo xtask list`: what the store holds; and how an artifact is found by what was typed.

use std::path::Path;

use indicatif::BinaryBytes;
use serde_json::Value;
use w2s_artifact::{Artifact, ArtifactRef, Manifest, Store};

use crate::cli::List;
use crate::complaint::{Complaint, Result};
use crate::out::print;
use crate::table::{Head, aligned};

const HEADS: [Head<'static>; 5] = [
    head("artifact", false),
    head("step", false),
    head("made", false),
    head("size", true),
    head("what", false),
];

const fn head(name: &'static str, right: bool) -> Head<'static> {
    Head { name, right }
}

/// Lists artifacts, the newest last.
pub fn list(arguments: &List) -> Result<()> {
    let store = open_store(&arguments.store)?;
    let mut stored = stored(&store)?;
    stored.retain(|stored| {
        arguments
            .kind
            .is_none_or(|kind| kind == stored.reference.kind)
    });
    let lines: Vec<&Stored> = stored.iter().collect();
    print(&lines_of(&lines))
}

/// An artifact as its manifest tells it; its files were not looked at.
pub struct Stored {
    reference: ArtifactRef,
    manifest: Manifest,
}

impl Stored {
    fn step(&self) -> &str {
        self.manifest.step.as_deref().unwrap_or_default()
    }
}

/// Every artifact whose manifest can be read, the newest last.
fn stored(store: &Store) -> Result<Vec<Stored>> {
    let mut stored: Vec<Stored> = store
        .list()?
        .into_iter()
        .filter_map(|reference| {
            let manifest = Manifest::read(&store.artifact_dir(&reference)).ok()?;
            Some(Stored {
                reference,
                manifest,
            })
        })
        .collect();
    stored.sort_by(|a, b| a.manifest.started.cmp(&b.manifest.started));
    Ok(stored)
}

/// What the step says of its artifact in a few words.
pub fn line(summary: &Value) -> &str {
    summary
        .get("line")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn lines_of(stored: &[&Stored]) -> String {
    let rows: Vec<Vec<String>> = stored
        .iter()
        .map(|stored| {
            let manifest = &stored.manifest;
            let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
            vec![
                stored.reference.short(),
                stored.step().to_owned(),
                manifest.started.replace('T', " ").replace('Z', ""),
                BinaryBytes(bytes).to_string(),
                line(&manifest.summary).to_owned(),
            ]
        })
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => aligned(&HEADS, &rows),
    }
}

/// Opens a store, which must be there.
fn open_store(store: &Path) -> Result<Store> {
    if !store.is_dir() {
        return Err(
            Complaint::usage(format!("there is no store at {}", store.display()))
                .hint("name it with --store, or run a recipe first: cargo xtask pipeline"),
        );
    }
    Ok(Store::open(store)?)
}

/// What a text names.
pub enum Named {
    /// One artifact, its files hashed.
    One(Box<Artifact>),
    /// Several points of a step's matrix: the newest artifact of each, as lines.
    Several(String),
}

/// Finds an artifact by `kind/hex`, the path of its folder, or the name of its step.
pub fn find(store: &Path, text: &str) -> Result<Named> {
    let store = open_store(store)?;
    let path = text.contains('/') || Path::new(text).is_dir();
    let reference = if path {
        store.resolve(text)?
    } else {
        let stored = stored(&store)?;
        let newest = of_step(&stored, text);
        match newest.as_slice() {
            [] => {
                let mut known: Vec<&str> = stored
                    .iter()
                    .map(|stored| base(stored.step()))
                    .filter(|step| !step.is_empty())
                    .collect();
                known.sort_unstable();
                known.dedup();
                return Err(
                    Complaint::failed(format!("no artifact was made by a step `{text}`"))
                        .nearest(text, known),
                );
            }
            [one] => one.reference,
            several => return Ok(Named::Several(lines_of(several))),
        }
    };
    Ok(Named::One(Box::new(store.require(&reference)?)))
}

/// The step of a matrix point.
fn base(step: &str) -> &str {
    step.split('[').next().unwrap_or(step)
}

/// The newest artifact of every matrix point of a step, or of the point that is named.
fn of_step<'a>(stored: &'a [Stored], name: &str) -> Vec<&'a Stored> {
    let mut newest: Vec<&Stored> = Vec::new();
    for one in stored {
        if one.step() == name || base(one.step()) == name {
            newest.retain(|other| other.step() != one.step());
            newest.push(one);
        }
    }
    newest.sort_by_key(|stored| stored.step());
    newest
}
