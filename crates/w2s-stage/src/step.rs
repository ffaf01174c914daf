//! What an operation sees while it runs: its inputs, its folder, its device, and how far it may go on.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, bail};
use w2s_artifact::{Artifact, ArtifactRef, Input, Pending, Record, Store};

use crate::error::Interrupted;
use crate::progress::Progress;

/// One run of an operation.
#[derive(Debug)]
pub struct Step {
    pub(crate) store: Store,
    pub(crate) pending: Pending,
    pub(crate) reference: ArtifactRef,
    pub(crate) operation: &'static str,
    pub(crate) inputs: Vec<Input>,
    pub(crate) device: String,
    pub(crate) threads: usize,
    pub(crate) quiet: bool,
    pub(crate) interrupt: Arc<AtomicBool>,
    /// Inputs whose files were hashed.
    pub(crate) opened: Mutex<BTreeMap<ArtifactRef, Artifact>>,
    pub(crate) headline: Mutex<Option<String>>,
}

impl Step {
    /// The artifact given by the flag `name`. Its files are hashed when it is asked for first, and once only.
    pub fn artifact(&self, name: &str) -> anyhow::Result<Artifact> {
        self.optional_artifact(name)?
            .with_context(|| format!("the input --{name} was not given"))
    }

    /// The artifact given by the flag `name`, or `None` where the flag was left out.
    pub fn optional_artifact(&self, name: &str) -> anyhow::Result<Option<Artifact>> {
        let mut artifacts = self.artifacts(name)?;
        if artifacts.len() > 1 {
            bail!(
                "the input --{name} was given {} times, and is read as one",
                artifacts.len()
            );
        }
        Ok(artifacts.pop())
    }

    /// Every artifact given by the flag `name`, in order.
    pub fn artifacts(&self, name: &str) -> anyhow::Result<Vec<Artifact>> {
        let named = self.inputs.iter().filter_map(|input| match input {
            Input::Artifact {
                name: flag,
                artifact,
            } if flag == name => Some(artifact),
            _ => None,
        });
        named
            .map(|reference| {
                self.open(reference)
                    .with_context(|| format!("cannot read the input --{name}"))
            })
            .collect()
    }

    fn open(&self, reference: &ArtifactRef) -> anyhow::Result<Artifact> {
        let mut opened = held(&self.opened);
        if let Some(artifact) = opened.get(reference) {
            return Ok(artifact.clone());
        }
        let artifact = self.store.require(reference)?;
        opened.insert(*reference, artifact.clone());
        Ok(artifact)
    }

    /// Says in a few words what the artifact is, as in `600 rows, accuracy 0.822`: the status line of its step, and its
    /// line in a list. Every number names what it counts. It is kept under the key `line` of the summary.
    pub fn headline(&self, text: impl Into<String>) {
        *held(&self.headline) = Some(text.into());
    }

    /// What the step reads, as it stands in the manifest.
    pub fn inputs(&self) -> &[Input] {
        &self.inputs
    }

    /// The store the step reads from and writes to.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The name of the artifact that is being made.
    pub fn reference(&self) -> &ArtifactRef {
        &self.reference
    }

    /// The folder to write into. It is kept when the step is interrupted, killed or fails, and the next run of the same
    /// step finds it as it was. All its files become the artifact, except those whose name begins with a dot and the
    /// folder of [`scratch`](Self::scratch).
    pub fn dir(&self) -> &Path {
        self.pending.path()
    }

    /// The folder for what only a resumed run needs, such as optimizer state. It does not become part of the artifact.
    pub fn scratch(&self) -> anyhow::Result<PathBuf> {
        Ok(self.pending.scratch()?)
    }

    /// Whether an interrupted run left its files in [`dir`](Self::dir).
    pub fn resumed(&self) -> bool {
        self.pending.resumed()
    }

    /// Writes the records of the artifact.
    pub fn write_records<T: Record>(&self, records: &[T]) -> anyhow::Result<()> {
        Ok(self.pending.write_records(records)?)
    }

    /// Writes a file of the artifact, whole or not at all.
    pub fn write_file(&self, name: &str, bytes: impl AsRef<[u8]>) -> anyhow::Result<()> {
        Ok(self.pending.write_file(name, bytes.as_ref())?)
    }

    /// The name of the device to compute on, already checked.
    pub fn device(&self) -> &str {
        &self.device
    }

    /// How many threads the step may use; rayon's pool has as many.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Shows how far the work is: a bar on a terminal, a line now and then elsewhere. A `total` of 0 means unknown.
    pub fn progress(&self, total: u64, unit: &'static str) -> Progress {
        Progress::new(self.operation, total, unit, self.quiet)
    }

    /// A callback for loops that report `(done, total, message)` after each round and go on while it says `true`: it shows
    /// the progress, and says `false` when the user asked to stop.
    pub fn watch(&self, unit: &'static str) -> impl FnMut(u64, u64, String) -> bool {
        let mut progress = None;
        move |done, total, message| {
            let progress = progress.get_or_insert_with(|| self.progress(total, unit));
            progress.set(done);
            progress.message(message);
            if done >= total {
                progress.finish();
            }
            !self.interrupted()
        }
    }

    /// Whether the user asked to stop. The operation saves what it can resume from and returns [`Interrupted`].
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Returns [`Interrupted`] when the user asked to stop, for loops that have nothing to save.
    pub fn stop_if_interrupted(&self) -> Result<(), Interrupted> {
        if self.interrupted() {
            Err(Interrupted)
        } else {
            Ok(())
        }
    }
}

/// What a lock guards; a thread that panicked leaves nothing half done here.
pub(crate) fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A missing or damaged input, told before any work.
pub(crate) fn missing_input(name: &str, reference: &ArtifactRef, reason: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "the input --{name} {} {reason}\nhint: run the step that makes it first, or name the store that holds it with \
         `--store PATH`",
        reference.short()
    )
}
