//! An artifact while it is being made. It lives in a partial folder until one rename puts it, whole, where readers look.

use std::fs;
use std::path::{Path, PathBuf};

use crate::artifact::Artifact;
use crate::codec;
use crate::error::StoreError;
use crate::files::{self, Links, is_hidden};
use crate::manifest::{FileEntry, MANIFEST_FILE, Manifest, Provenance};
use crate::record::Record;
use crate::store::{StepLock, write_verified};

/// The folder inside a partial artifact for what only a resumed run needs; it is not part of the artifact.
pub const SCRATCH: &str = "scratch";
/// Says in a partial folder which artifact it belongs to.
const OWNER_FILE: &str = ".artifact";

/// An artifact that is being made. Dropping it keeps the folder, so that the next attempt can go on from there;
/// [`commit`](Self::commit) turns it into an [`Artifact`].
#[derive(Debug)]
pub struct Pending {
    lock: StepLock,
    path: PathBuf,
    resumed: bool,
}

impl Pending {
    /// Prepares the partial folder under the lock.
    pub(crate) fn begin(lock: StepLock, anew: bool) -> Result<Self, StoreError> {
        let path = lock.store.partial_dir(&lock.reference.key);
        let owner = path.join(OWNER_FILE);
        // A folder that does not say whose it is was not made here, and its files would end up in the artifact.
        let ours = files::read_regular(&owner)
            .is_ok_and(|text| text == lock.reference.to_string().as_bytes());
        let resumed = ours && !anew;
        if !resumed {
            files::remove(&path)?;
            files::create_folder(&path)?;
            files::write_atomic(&owner, lock.reference.to_string().as_bytes())?;
        }
        files::remove(&path.join(MANIFEST_FILE))?;
        let pending = Self {
            lock,
            path,
            resumed,
        };
        pending.remove_leftovers();
        Ok(pending)
    }

    /// The folder to write into. Files whose name begins with a dot and the folder [`SCRATCH`] do not become part of the
    /// artifact; everything else does.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder for what only a resumed run needs, such as optimizer state; created on first use.
    pub fn scratch(&self) -> Result<PathBuf, StoreError> {
        let path = self.path.join(SCRATCH);
        files::create_folder(&path)?;
        Ok(path)
    }

    /// Whether an interrupted attempt left its files here.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// Writes records into the file of their kind.
    pub fn write_records<T: Record>(&self, records: &[T]) -> Result<(), StoreError> {
        if T::KIND != self.lock.reference.kind {
            return Err(StoreError::WrongKind {
                name: self.lock.reference.short(),
                found: self.lock.reference.kind.to_string(),
                wanted: T::KIND,
            });
        }
        codec::write(&self.path.join(T::FILE), records)
    }

    /// Writes a file whole or not at all.
    pub fn write_file(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        let path = self.path.join(name);
        if let Some(folder) = path.parent() {
            files::create_folder(folder)?;
        }
        files::write_atomic(&path, bytes)
    }

    /// Hashes and flushes the files, writes the manifest, and puts the artifact in its place, replacing any other there.
    pub fn commit(self, provenance: Provenance) -> Result<Artifact, StoreError> {
        let reference = self.lock.reference;
        let mut entries = Vec::new();
        let names = files::list_files(&self.path, Links::Refuse, &[SCRATCH, MANIFEST_FILE])?;
        for name in &names {
            let (bytes, hash) = files::hash_file(&self.path.join(name))?;
            entries.push(FileEntry {
                name: name.clone(),
                bytes,
                blake3: hash.to_hex().to_string(),
            });
        }
        files::sync_tree(&self.path, &names)?;
        let manifest = Manifest::new(reference, provenance, entries);
        let path = self.path.join(MANIFEST_FILE);
        let bytes = manifest
            .to_bytes()
            .map_err(|error| StoreError::Unstorable {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        files::write_atomic(&path, &bytes)?;
        files::open_as(&path, &self.path, &names)?;
        write_verified(&self.path, &manifest)?;
        files::sync_folder(&self.path)?;

        let target = self.lock.store.artifact_dir(&reference);
        let kind_folder = target.parent().unwrap_or(&target);
        files::create_folder(kind_folder)?;
        if fs::symlink_metadata(&target).is_ok() {
            let aside = self.path.with_file_name(format!(".old-{}", reference.key));
            files::remove(&aside)?;
            fs::rename(&target, &aside).map_err(StoreError::io("move aside", &target))?;
        }
        fs::rename(&self.path, &target).map_err(StoreError::io("create", &target))?;
        files::sync_folder(kind_folder)?;

        // From here on the artifact is whole, so nothing that follows may fail it.
        let _ = files::remove(&target.join(SCRATCH));
        let _ = fs::remove_file(target.join(OWNER_FILE));
        for entry in fs::read_dir(&target).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if is_hidden(&name) && name.ends_with(".tmp") {
                let _ = files::remove(&entry.path());
            }
        }
        self.remove_leftovers();
        Ok(Artifact {
            reference,
            manifest,
            path: target,
        })
    }

    /// Removes an artifact that a commit moved aside, perhaps one that was killed right after.
    fn remove_leftovers(&self) {
        let _ = files::remove(
            &self
                .path
                .with_file_name(format!(".old-{}", self.lock.reference.key)),
        );
    }
}
