//! The folder that keeps artifacts: finding them, checking them, and letting one process at a time make each.

use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::artifact::Artifact;
use crate::error::StoreError;
use crate::files::{self, Links};
use crate::key::hash_path;
use crate::look::Look;
use crate::manifest::{MANIFEST_FILE, Manifest};
use crate::pending::{Pending, SCRATCH};
use crate::reference::{ArtifactRef, Key, Kind, is_hex};

/// Remembers in an artifact folder which files were hashed and found right, by size and last change.
const VERIFIED_FILE: &str = ".verified";
/// Inputs below this size are hashed every time, which is as quick as looking up an earlier hash.
const REMEMBERED_HASH_BYTES: u64 = 1 << 20;
/// The fewest hex digits that may stand for a key.
const SHORTEST_PREFIX: usize = 4;

/// A store of artifacts: one folder, used by any number of processes at once.
///
/// ```text
/// artifacts/<kind>/<key>/    what was made, each with a manifest.json
/// partial/<key>/             what is being made, or was interrupted
/// reports/<recipe>/          a copy of the newest report of each recipe
/// logs/                      what each step of the last run said
/// locks/  hashes/            bookkeeping; safe to delete while nothing runs
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

/// Whether an artifact can be used.
#[derive(Clone, Debug)]
pub enum Status {
    /// It is there, and its files are what was written.
    Complete(Box<Manifest>),
    /// It was never made, or was removed.
    Missing,
    /// It is there, but not what was written; the text says what differs.
    Damaged(String),
}

impl Store {
    /// Opens the store at `root` and creates what is missing of its layout.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let store = Self { root: root.into() };
        for folder in ["artifacts", "partial", "reports", "logs", "locks", "hashes"] {
            files::create_folder(&store.root.join(folder))?;
        }
        Ok(store)
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where an artifact is, or would be.
    pub fn artifact_dir(&self, reference: &ArtifactRef) -> PathBuf {
        self.root
            .join("artifacts")
            .join(reference.kind.name())
            .join(reference.key.to_string())
    }

    /// Where an artifact is while it is being made.
    pub fn partial_dir(&self, key: &Key) -> PathBuf {
        self.root.join("partial").join(key.to_string())
    }

    /// The folder of log files.
    pub fn logs_dir(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// The folder of a recipe's newest report.
    pub fn reports_dir(&self, recipe: &str) -> PathBuf {
        self.root.join("reports").join(recipe)
    }

    /// Every artifact folder of the store, by kind and key; they may be damaged.
    pub fn list(&self) -> Result<Vec<ArtifactRef>, StoreError> {
        let mut references = Vec::new();
        for kind in Kind::ALL {
            references.extend(self.list_kind(kind)?);
        }
        Ok(references)
    }

    fn list_kind(&self, kind: Kind) -> Result<Vec<ArtifactRef>, StoreError> {
        let folder = self.root.join("artifacts").join(kind.name());
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(StoreError::io("read the folder", &folder)(error)),
        };
        let mut references = Vec::new();
        for entry in entries {
            let entry = entry.map_err(StoreError::io("read the folder", &folder))?;
            if let Some(key) = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
            {
                references.push(ArtifactRef::new(kind, key));
            }
        }
        references.sort_unstable();
        Ok(references)
    }

    /// The artifact that `text` names: `kind/` and at least four hex digits, a full reference (which need not exist yet),
    /// or the path of an artifact folder of this store.
    pub fn resolve(&self, text: &str) -> Result<ArtifactRef, StoreError> {
        if let Some((kind, digits)) = text.split_once('/')
            && let Ok(kind) = kind.parse::<Kind>()
        {
            return self.resolve_digits(text, kind, digits);
        }
        let path = Path::new(text);
        if path.is_dir() {
            return self.resolve_folder(text, path);
        }
        let looks_like_a_path =
            path.is_absolute() || text.starts_with('.') || text.matches('/').count() > 1;
        if looks_like_a_path {
            return Err(StoreError::BadReference {
                text: text.to_owned(),
                reason: "no such folder".to_owned(),
            });
        }
        text.parse()
    }

    fn resolve_digits(
        &self,
        text: &str,
        kind: Kind,
        digits: &str,
    ) -> Result<ArtifactRef, StoreError> {
        if digits.len() == 64 {
            return Ok(ArtifactRef::new(kind, digits.parse()?));
        }
        let bad = |reason: String| {
            Err(StoreError::BadReference {
                text: text.to_owned(),
                reason,
            })
        };
        if !is_hex(digits) || digits.len() > 64 {
            return bad("a key is made of at most 64 of the digits 0-9 and a-f".to_owned());
        }
        if digits.len() < SHORTEST_PREFIX {
            return bad(format!(
                "{} hex digits are too few to be sure, {SHORTEST_PREFIX} are needed",
                digits.len()
            ));
        }
        let mut matches = self.list_kind(kind)?;
        matches.retain(|reference| reference.key.to_string().starts_with(digits));
        match matches[..] {
            [] => Err(StoreError::Missing {
                name: text.to_owned(),
                root: self.root.clone(),
            }),
            [reference] => Ok(reference),
            _ => Err(StoreError::Ambiguous {
                text: text.to_owned(),
                matches,
            }),
        }
    }

    fn resolve_folder(&self, text: &str, path: &Path) -> Result<ArtifactRef, StoreError> {
        let bad = |reason: String| StoreError::BadReference {
            text: text.to_owned(),
            reason,
        };
        if !path.join(MANIFEST_FILE).exists() {
            return Err(bad(format!("the folder has no {MANIFEST_FILE}")));
        }
        let reference = Manifest::read(path)?.reference();
        let canonical = |path: &Path| path.canonicalize().ok();
        if canonical(path) != canonical(&self.artifact_dir(&reference)) {
            return Err(bad(format!(
                "the folder is not part of the store {}",
                self.root.display()
            )));
        }
        Ok(reference)
    }

    /// Whether the artifact can be used, checked quickly: files whose size and last change are as they were when they
    /// were last hashed are not hashed again.
    pub fn status(&self, reference: &ArtifactRef) -> Result<Status, StoreError> {
        let path = self.artifact_dir(reference);
        let manifest = match read_manifest(&path, reference)? {
            Ok(manifest) => manifest,
            Err(status) => return Ok(status),
        };
        if let Some(status) = foreign(&path, &manifest)? {
            return Ok(status);
        }
        let verified: BTreeMap<String, u64> = files::read_regular(&path.join(VERIFIED_FILE))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut trusted = true;
        for entry in &manifest.files {
            match files::stamp(&path.join(&entry.name)) {
                Ok((bytes, changed)) if bytes == entry.bytes => {
                    trusted &= verified.get(&entry.name) == Some(&changed)
                }
                Ok((bytes, _)) => {
                    return Ok(Status::Damaged(format!(
                        "{} has {bytes} bytes, {} were written",
                        entry.name, entry.bytes
                    )));
                }
                Err(error) => return unreadable(&entry.name, error),
            }
        }
        if !trusted {
            if let Some(status) = verify(&path, &manifest)? {
                return Ok(status);
            }
            // A store that can only be read stays useful; it is just hashed again next time.
            let _ = write_verified(&path, &manifest);
        }
        Ok(Status::Complete(Box::new(manifest)))
    }

    /// Whether the artifact can be used; a damaged one cannot, and is warned about.
    pub fn contains(&self, reference: &ArtifactRef) -> bool {
        match self.status(reference) {
            Ok(Status::Complete(_)) => true,
            Ok(Status::Missing) => false,
            Ok(Status::Damaged(reason)) => {
                tracing::warn!(
                    "{} is damaged and does not count: {reason}",
                    reference.short()
                );
                false
            }
            Err(error) => {
                tracing::warn!("{} does not count: {error}", reference.short());
                false
            }
        }
    }

    /// Opens an artifact after hashing each of its files. A damaged one is `None`, with a warning.
    pub fn get(&self, reference: &ArtifactRef) -> Result<Option<Artifact>, StoreError> {
        match self.require(reference) {
            Ok(artifact) => Ok(Some(artifact)),
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!("{error}");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Opens an artifact after hashing each of its files, or says why that cannot be.
    pub fn require(&self, reference: &ArtifactRef) -> Result<Artifact, StoreError> {
        require(&self.artifact_dir(reference), reference, &self.root)
    }

    /// Waits until no other process makes this artifact, and keeps others from it until the lock is dropped. A process
    /// must not lock the same artifact twice: it would wait for itself.
    pub fn lock(&self, reference: &ArtifactRef) -> Result<StepLock, StoreError> {
        if let Some(lock) = self.try_lock(reference)? {
            return Ok(lock);
        }
        tracing::info!(
            "waiting for another process that makes {}",
            reference.short()
        );
        let (path, file) = self.lock_file(reference)?;
        file.lock().map_err(StoreError::io("lock", &path))?;
        Ok(StepLock {
            store: self.clone(),
            reference: *reference,
            _file: file,
        })
    }

    /// The lock, or `None` while another process has it.
    pub fn try_lock(&self, reference: &ArtifactRef) -> Result<Option<StepLock>, StoreError> {
        let (path, file) = self.lock_file(reference)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(StepLock {
                store: self.clone(),
                reference: *reference,
                _file: file,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", &path)(error)),
        }
    }

    /// The lock file is never removed: a process that waits on a removed file would hold a lock nobody else sees.
    fn lock_file(&self, reference: &ArtifactRef) -> Result<(PathBuf, File), StoreError> {
        let path = self.root.join("locks").join(reference.key.to_string());
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(StoreError::io("write", &path))?;
        Ok((path, file))
    }

    /// An error that names the store when nothing can be written to it, without waiting for the first step to fail.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        let path = self.root.join("locks").join("probe");
        File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(StoreError::io("write", &path))?;
        Ok(())
    }

    /// Locks the artifact and begins to make it; short for [`lock`](Self::lock) and then [`StepLock::begin`].
    pub fn begin(&self, reference: &ArtifactRef) -> Result<Pending, StoreError> {
        self.lock(reference)?.begin()
    }

    /// [`hash_path`], except that large files and folders that look as they did when they were last hashed are not read
    /// again. [`hash_path_anew`](Self::hash_path_anew) always reads.
    pub fn hash_path(&self, path: &Path) -> Result<String, StoreError> {
        let look = Look::at(path)?;
        if look.bytes() < REMEMBERED_HASH_BYTES {
            return hash_path(path);
        }
        let memory = self.hash_memory(&look);
        let known: Option<KnownHash> = files::read_regular(&memory)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        if let Some(known) = known
            && known.look == look
        {
            return Ok(known.blake3);
        }
        let blake3 = hash_path(path)?;
        if look.is_settled() && Look::at(path)? == look {
            let known = KnownHash {
                look,
                blake3: blake3.clone(),
            };
            let _ = files::write_atomic(&memory, serde_json::json!(known).to_string().as_bytes());
        }
        Ok(blake3)
    }

    /// [`hash_path`], and forgets what was remembered of it.
    pub fn hash_path_anew(&self, path: &Path) -> Result<String, StoreError> {
        let _ = fs::remove_file(self.hash_memory(&Look::at(path)?));
        hash_path(path)
    }

    /// Where the hash of what was looked at is remembered.
    fn hash_memory(&self, look: &Look) -> PathBuf {
        let name = blake3::hash(look.path().as_os_str().as_encoded_bytes()).to_hex();
        self.root
            .join("hashes")
            .join(format!("{}.json", &name[..32]))
    }
}

/// A hash and how the files looked when it was made.
#[derive(Serialize, Deserialize)]
struct KnownHash {
    look: Look,
    blake3: String,
}

/// Opens the artifact in the folder `path` after hashing each of its files; `root` is named where there is none.
pub(crate) fn require(
    path: &Path,
    reference: &ArtifactRef,
    root: &Path,
) -> Result<Artifact, StoreError> {
    let status = match read_manifest(path, reference)? {
        Err(status) => status,
        Ok(manifest) => match verify_all(path, &manifest)? {
            None => {
                return Ok(Artifact {
                    reference: *reference,
                    manifest,
                    path: path.to_owned(),
                });
            }
            Some(status) => status,
        },
    };
    match status {
        Status::Damaged(reason) => {
            // Without the stamps the next quick check hashes too, finds the damage and has the step run again.
            let _ = fs::remove_file(path.join(VERIFIED_FILE));
            Err(StoreError::Damaged {
                reference: *reference,
                path: path.to_owned(),
                reason,
            })
        }
        _ => Err(StoreError::Missing {
            name: reference.short(),
            root: root.to_owned(),
        }),
    }
}

/// The manifest of the artifact in the folder `path`, or why there is none.
fn read_manifest(
    path: &Path,
    reference: &ArtifactRef,
) -> Result<Result<Manifest, Status>, StoreError> {
    let manifest = match Manifest::read(path) {
        Ok(manifest) => manifest,
        Err(StoreError::Io { source, .. })
            if matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            let status = if fs::symlink_metadata(path).is_ok() {
                Status::Damaged(format!("{MANIFEST_FILE} is missing"))
            } else {
                Status::Missing
            };
            return Ok(Err(status));
        }
        Err(StoreError::Corrupt { reason, .. }) => {
            return Ok(Err(Status::Damaged(format!(
                "{MANIFEST_FILE} is corrupt: {reason}"
            ))));
        }
        // What another version made is of no use here, and the step can be run again.
        Err(error @ (StoreError::TooOld { .. } | StoreError::TooNew { .. })) => {
            return Ok(Err(Status::Damaged(error.to_string())));
        }
        // Such as a folder that is a link to itself.
        Err(StoreError::Io { source, .. })
            if source.kind() != io::ErrorKind::PermissionDenied
                && path.join(MANIFEST_FILE).canonicalize().is_err() =>
        {
            return Ok(Err(Status::Damaged(format!(
                "{MANIFEST_FILE} cannot be opened: {source}"
            ))));
        }
        Err(error) => return Err(error),
    };
    if manifest.reference() != *reference {
        return Ok(Err(Status::Damaged(format!(
            "its manifest is that of {}",
            manifest.reference().short()
        ))));
    }
    let outside = |name: &str| {
        name.split('/').any(|part| matches!(part, "" | "." | "..")) || name.contains('\\')
    };
    if let Some(entry) = manifest.files.iter().find(|entry| outside(&entry.name)) {
        return Ok(Err(Status::Damaged(format!(
            "`{}` is not a name of a file in it",
            entry.name
        ))));
    }
    Ok(Ok(manifest))
}

/// Whether the folder holds the files of the manifest and no others, and then whether each is what was written.
fn verify_all(path: &Path, manifest: &Manifest) -> Result<Option<Status>, StoreError> {
    match foreign(path, manifest)? {
        None => verify(path, manifest),
        status => Ok(status),
    }
}

/// The first file or link in the folder that the manifest does not know: readers look for files by their names, so one that
/// was put there would count. Hidden files and what a commit left behind are read by nobody.
fn foreign(path: &Path, manifest: &Manifest) -> Result<Option<Status>, StoreError> {
    let names = match files::list_files(path, Links::Refuse, &[SCRATCH, MANIFEST_FILE]) {
        Ok(names) => names,
        Err(StoreError::Unstorable { path, reason }) => {
            return Ok(Some(Status::Damaged(format!(
                "{} was put there: {reason}",
                path.display()
            ))));
        }
        Err(error) => return Err(error),
    };
    let known: HashSet<&str> = manifest.files.iter().map(|file| &file.name[..]).collect();
    let foreign = names.iter().find(|name| !known.contains(&name[..]));
    Ok(foreign.map(|name| {
        Status::Damaged(format!(
            "{name} was put there: the manifest does not list it"
        ))
    }))
}

/// Hashes every file of the manifest; the first that differs is the damage. One of another size is not even opened.
fn verify(path: &Path, manifest: &Manifest) -> Result<Option<Status>, StoreError> {
    for entry in &manifest.files {
        let file = path.join(&entry.name);
        let hashed = files::stamp(&file).and_then(|(bytes, _)| match bytes == entry.bytes {
            true => files::hash_file(&file).map(|(bytes, hash)| (bytes, Some(hash))),
            false => Ok((bytes, None)),
        });
        match hashed {
            Ok((_, Some(hash))) if hash.to_hex().as_str() == entry.blake3 => {}
            Ok((bytes, _)) if bytes != entry.bytes => {
                return Ok(Some(Status::Damaged(format!(
                    "{} has {bytes} bytes, {} were written",
                    entry.name, entry.bytes
                ))));
            }
            Ok((_, hash)) => {
                let found = hash.map_or_else(String::new, |hash| hash.to_hex()[..8].to_owned());
                return Ok(Some(Status::Damaged(format!(
                    "{} hashes to {found}, not to {}",
                    entry.name,
                    entry.blake3.get(..8).unwrap_or(&entry.blake3)
                ))));
            }
            Err(error) => return unreadable(&entry.name, error).map(Some),
        }
    }
    Ok(None)
}

/// A file of an artifact that is not there, or no longer a file, is damage; any other refusal is an error.
fn unreadable(name: &str, error: StoreError) -> Result<Status, StoreError> {
    match &error {
        StoreError::Io { source, .. } => match source.kind() {
            io::ErrorKind::NotFound => Ok(Status::Damaged(format!("{name} is missing"))),
            io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
                Ok(Status::Damaged(format!("{name} is not a file")))
            }
            _ => Err(error),
        },
        StoreError::NoFile { .. } => Ok(Status::Damaged(format!("{name} is not a file"))),
        _ => Err(error),
    }
}

/// Notes that the files of `manifest` in the folder `path` hash to what it says.
pub(crate) fn write_verified(path: &Path, manifest: &Manifest) -> Result<(), StoreError> {
    let mut verified = BTreeMap::new();
    for entry in &manifest.files {
        verified.insert(&entry.name, files::stamp(&path.join(&entry.name))?.1);
    }
    files::write_atomic(
        &path.join(VERIFIED_FILE),
        serde_json::json!(verified).to_string().as_bytes(),
    )
}

/// The right to make one artifact. The system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct StepLock {
    pub(crate) store: Store,
    pub(crate) reference: ArtifactRef,
    _file: File,
}

impl StepLock {
    /// The artifact that is locked.
    pub fn reference(&self) -> &ArtifactRef {
        &self.reference
    }

    /// Begins to make the artifact in its partial folder, with what an interrupted run left there.
    pub fn begin(self) -> Result<Pending, StoreError> {
        Pending::begin(self, false)
    }

    /// Begins to make the artifact in an empty partial folder.
    pub fn begin_anew(self) -> Result<Pending, StoreError> {
        Pending::begin(self, true)
    }
}
