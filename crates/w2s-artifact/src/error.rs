//! What can go wrong with a store, told with the path and both values, and the next thing to type.

use std::io;
use std::path::{Path, PathBuf};

use crate::record::Split;
use crate::reference::{ArtifactRef, Kind};

/// An error of the store or of a file in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The operating system refused to read, write or lock something.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The verb: what was tried.
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A pipe, a device or a socket where a file is needed.
    #[error("{} is neither a regular file nor a folder", path.display())]
    NoFile {
        /// What was named.
        path: PathBuf,
    },
    /// A text does not have the form of a reference.
    #[error("`{text}` does not name an artifact: {reason}")]
    BadReference {
        /// What was typed.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A prefix fits more than one artifact.
    #[error("`{text}` names {} artifacts: {}", matches.len(), list(matches))]
    Ambiguous {
        /// What was typed.
        text: String,
        /// What it could mean.
        matches: Vec<ArtifactRef>,
    },
    /// No artifact in the store fits.
    #[error("{name} is not in the store {}", root.display())]
    Missing {
        /// What was asked for.
        name: String,
        /// The store that was searched.
        root: PathBuf,
    },
    /// The folder exists but its content is not what was written.
    #[error("{} is damaged: {reason}", reference.short())]
    Damaged {
        /// The artifact.
        reference: ArtifactRef,
        /// Its folder.
        path: PathBuf,
        /// What does not match.
        reason: String,
    },
    /// A file was written in a layout this version no longer reads.
    #[error("{} was made by an older w2s: format {found}, this one reads {supported}", path.display())]
    TooOld {
        /// The file.
        path: PathBuf,
        /// The number in the file.
        found: u32,
        /// The number this version reads.
        supported: u32,
    },
    /// A file was written in a layout this version does not know yet.
    #[error("{} needs a newer w2s: format {found}, this one reads {supported}", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The number in the file.
        found: u32,
        /// The number this version reads.
        supported: u32,
    },
    /// The artifact is whole, but holds something else than the reader wants.
    #[error("{name} holds {found}, not {wanted}")]
    WrongKind {
        /// The artifact or file.
        name: String,
        /// What it holds.
        found: String,
        /// What was asked for.
        wanted: Kind,
    },
    /// The summary of an artifact lacks what a reader needs.
    #[error("the summary of {name} does not say what is needed: {reason}")]
    Summary {
        /// The artifact.
        name: String,
        /// The field, and what is wrong with it.
        reason: String,
    },
    /// A split without rows where rows are needed.
    #[error("{name} has no rows in split `{split}`")]
    EmptySplit {
        /// The examples.
        name: String,
        /// The split.
        split: Split,
    },
    /// The bytes of a file do not follow its format.
    #[error("{} is corrupt: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where the bytes stop making sense.
        reason: String,
    },
    /// A record breaks a promise of its type.
    #[error("row {row} of {} cannot be stored: {reason}", path.display())]
    InvalidRecord {
        /// The file.
        path: PathBuf,
        /// Index of the record, from zero.
        row: usize,
        /// The broken promise.
        reason: String,
    },
    /// A folder holds something an artifact cannot hold.
    #[error("{} cannot be part of an artifact: {reason}", path.display())]
    Unstorable {
        /// The offending entry.
        path: PathBuf,
        /// Why it is refused.
        reason: String,
    },
}

impl StoreError {
    /// Wraps an error of the operating system with the verb and the path.
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// The next thing to type or do, where one is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, or name a store on another disk with `--store PATH`; the same command resumes".into())
                }
                io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::NotADirectory => {
                    Some("name a folder that can be written with `--store PATH` or W2S_STORE".into())
                }
                _ => None,
            },
            Self::BadReference { .. } => Some(format!(
                "write `KIND/HEX` with at least 4 hex digits, or the path of an artifact folder; the kinds are {}",
                Kind::ALL.map(Kind::name).join(", ")
            )),
            Self::Ambiguous { .. } => Some("type more digits".into()),
            Self::Missing { .. } => {
                Some("run the step that makes it first, or name the store that holds it with `--store PATH`".into())
            }
            Self::Damaged { .. } => Some("run the same command or pipeline again: the step that made it is redone".into()),
            Self::TooOld { .. } => Some("run the step that made it again".into()),
            Self::TooNew { .. } => Some("update w2s, or name another store with `--store PATH`".into()),
            Self::Corrupt { .. } | Self::Summary { .. } => Some("run the step that made it again with `--force`".into()),
            Self::EmptySplit { .. } => Some("look at the split plan with `cargo xtask show`, and make the examples with other sizes".into()),
            Self::NoFile { .. } => Some("write its content to a file, and name that".into()),
            Self::WrongKind { .. } | Self::InvalidRecord { .. } | Self::Unstorable { .. } => None,
        }
    }
}

/// The first few references of a list, short.
fn list(references: &[ArtifactRef]) -> String {
    let mut shown: Vec<String> = references
        .iter()
        .take(4)
        .map(|r| format!("{}/{}", r.kind, &r.key.to_string()[..12]))
        .collect();
    if references.len() > 4 {
        shown.push("...".to_owned());
    }
    shown.join(", ")
}
