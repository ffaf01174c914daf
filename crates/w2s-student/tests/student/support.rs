//! Operations as command lines, and a store with base models to run them in.

use crate::models::base;
use clap::Command;
use serde_json::Value;
use std::path::Path;
use w2s_artifact::{Artifact, ArtifactRef, Key, Kind, Provenance, Record, Store};
use w2s_stage::{Operation, RunOptions};

/// An operation with the flags of a command line.
pub fn flags<T: Operation>(line: &str) -> T {
    let command = T::augment_args(Command::new("test").no_binary_name(true));
    let matches = command
        .try_get_matches_from(line.split_whitespace())
        .unwrap();
    T::from_arg_matches(&matches).unwrap()
}

/// A store with base models and pairs.
pub struct Bench {
    folder: tempfile::TempDir,
    pub store: Store,
}

impl Bench {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        Self { folder, store }
    }

    pub fn base(&self, name: u8, words: &[&str], seed: u64) -> ArtifactRef {
        self.checkpoint(name, |folder| base(folder, words, seed))
    }

    pub fn checkpoint(&self, name: u8, write: impl FnOnce(&Path)) -> ArtifactRef {
        let reference = ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        write(pending.path());
        pending.commit(Provenance::default()).unwrap();
        reference
    }

    pub fn path(&self, reference: ArtifactRef) -> std::path::PathBuf {
        self.store.artifact_dir(&reference)
    }

    /// Records with what a later step reads of their summary.
    pub fn told<T: Record>(&self, name: u8, records: &[T], summary: Value) -> ArtifactRef {
        let reference = ArtifactRef::new(T::KIND, Key::from_bytes([name; 32]));
        let pending = self.store.begin(&reference).unwrap();
        pending.write_records(records).unwrap();
        let provenance = Provenance {
            summary,
            ..Provenance::default()
        };
        pending.commit(provenance).unwrap();
        reference
    }

    pub fn records<T: Record>(&self, name: u8, records: &[T]) -> ArtifactRef {
        self.told(name, records, Value::Null)
    }

    pub fn run<T: Operation>(&self, line: &str) -> anyhow::Result<Artifact> {
        let options = RunOptions::new(self.folder.path());
        let operation = flags::<T>(line);
        operation.check()?;
        Ok(w2s_stage::run("student", &operation, &options)?.artifact)
    }
}

/// The trained weights of a checkpoint.
pub fn weights(artifact: &Artifact) -> Vec<u8> {
    std::fs::read(artifact.file("model.safetensors")).unwrap()
}

/// The flags of an operation.
pub fn flag_names<T: Operation>() -> Vec<String> {
    let command = T::augment_args(Command::new("test"));
    let flags = command.get_arguments();
    flags
        .filter_map(|flag| flag.get_long().map(str::to_owned))
        .collect()
}

/// What clap says to a command line of an operation.
pub fn unparsed<T: Operation>(line: &str) -> String {
    let command = T::augment_args(Command::new("test").no_binary_name(true));
    let refused = command.try_get_matches_from(line.split_whitespace());
    refused.unwrap_err().to_string()
}
