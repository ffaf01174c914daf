//! What steps hand to each other: typed, content-addressed, on disk.
//!
//! A step's result is named before it exists. [`KeySpec`] hashes what shapes it (stage, operation, parameters, inputs) to a
//! [`Key`]; kind and key together are an [`ArtifactRef`] such as `labels/5cd0a1f3…`. A [`Store`] is the folder that keeps
//! artifacts under these names. Making one goes [`Store::lock`], [`StepLock::begin`], write files into [`Pending::path`],
//! [`Pending::commit`]; the last renames the whole folder into place, so a reader sees all of it or nothing, whenever a
//! process is killed. [`Store::require`] opens an [`Artifact`] after hashing its files against the [`Manifest`] beside them.
//!
//! Rows that steps exchange are [`Record`]s: [`Document`], [`Example`], [`Label`], [`Tokens`], [`Features`], [`Prediction`]. They go through
//! [`codec`], the one module that knows their bytes, and are checked before writing and after reading. What a step says about its
//! result in numbers is a type of [`summary`].
//!
//! ```
//! use w2s_artifact::{ArtifactRef, KeySpec, Kind, Label, Provenance, Store};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! let store = Store::open(folder.path())?;
//!
//! let parameters = serde_json::json!({"split": "transfer"});
//! let spec = KeySpec {
//!     stage: "teacher",
//!     operation: "label",
//!     version: 1,
//!     kind: Kind::Labels,
//!     parameters: &parameters,
//!     inputs: &[],
//! };
//! let reference = ArtifactRef::new(Kind::Labels, spec.key());
//! assert!(!store.contains(&reference));
//!
//! let pending = store.begin(&reference)?;
//! pending.write_records(&[Label { id: 7, probabilities: vec![0.2, 0.8] }])?;
//! pending.commit(Provenance { stage: "teacher".into(), ..Provenance::default() })?;
//!
//! let labels: Vec<Label> = store.require(&reference)?.records()?;
//! assert_eq!(labels[0].probabilities, [0.2, 0.8]);
//! # Ok(())
//! # }
//! ```

#![deny(missing_docs)]

mod reference;

mod key;

mod record;

mod features;

mod preference;

mod role;

pub mod summary;

pub mod codec;

mod manifest;

mod store;

mod pending;

mod artifact;

mod error;

mod files;

mod look;

mod time;

mod plain;

mod hidden;

pub use crate::{
    artifact::Artifact,
    error::StoreError,
    features::FeatureOrigin,
    hidden::{hidden, hide_texts},
    key::{Input, KeySpec, hash_path},
    look::Look,
    manifest::{FileEntry, MANIFEST_FILE, MANIFEST_FORMAT, Manifest, Provenance},
    pending::{Pending, SCRATCH},
    plain::plain,
    preference::{
        ANSWERS_FILE, Answer, LogProb, Message, Pair, Prompt, ReferenceLogProbs, Response, Score,
        ScoredAnswer, prompt_fingerprint,
    },
    record::{Document, Example, Features, Label, Prediction, Record, Split, Tokens},
    reference::{ArtifactRef, Key, Kind},
    role::Role,
    store::{Status, StepLock, Store},
    time::timestamp,
};
