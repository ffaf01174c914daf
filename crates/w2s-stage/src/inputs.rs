//! One rule for every file an operation reads: what it read is what its key says. A file is looked at before it is hashed
//! for the key, after the step has its lock, and once more when the work is done, when it is hashed again too. Whatever was
//! written to it in between, even if it was put back, fails the step, and nothing is kept under the key.

use std::path::Path;

use anyhow::anyhow;
use w2s_artifact::{Input, Look, Status, Store, StoreError};

/// How the files among the inputs looked, in their order.
#[derive(Debug, Default)]
pub(crate) struct Looks(Vec<Look>);

impl Looks {
    /// Looks at a file or folder, and then hashes it.
    pub(crate) fn add(&mut self, store: &Store, path: &Path) -> Result<String, StoreError> {
        self.0.push(Look::at(path)?);
        store.hash_path(path)
    }

    /// Fails if one of the files among `inputs` does not look as it did.
    pub(crate) fn hold(&self, inputs: &[Input]) -> anyhow::Result<()> {
        for ((name, path, _), before) in files(inputs).zip(&self.0) {
            if Look::at(path).ok().as_ref() != Some(before) {
                return Err(changed(name, path));
            }
        }
        Ok(())
    }
}

/// Fails if one of the inputs no longer is what the key says: files are hashed again, artifacts checked as before the step.
pub(crate) fn still_hash(store: &Store, inputs: &[Input]) -> anyhow::Result<()> {
    for (name, path, blake3) in files(inputs) {
        if store.hash_path_anew(path).ok().as_deref() != Some(blake3) {
            return Err(changed(name, path));
        }
    }
    for input in inputs {
        if let Input::Artifact { name, artifact } = input
            && !matches!(store.status(artifact)?, Status::Complete(_))
        {
            return Err(changed(name, &store.artifact_dir(artifact)));
        }
    }
    Ok(())
}

/// Flag, path and hash of the files among the inputs.
fn files(inputs: &[Input]) -> impl Iterator<Item = (&str, &Path, &str)> {
    inputs.iter().filter_map(|input| match input {
        Input::File { name, path, blake3 } => Some((&name[..], path.as_path(), &blake3[..])),
        Input::Artifact { .. } => None,
    })
}

fn changed(name: &str, path: &Path) -> anyhow::Error {
    anyhow!(
        "--{name} {} was changed while the step waited or read it\nhint: run the same command again when it is at rest",
        path.display()
    )
}
