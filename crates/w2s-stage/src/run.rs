//! From parsed flags to an artifact: key, cache, lock, work, commit.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, anyhow};
use serde_json::Value;
use w2s_artifact::{Artifact, ArtifactRef, Input, KeySpec, Provenance, Status, StepLock, Store};

use crate::error::{HintExt, Interrupted, is_interruption};
use crate::headline;
use crate::inputs::{Looks, still_hash};
use crate::known::{self, KnownInputs, Origin};
use crate::operation::{AnyOperation, Inputs, Operation, Values};
use crate::stage::DeviceCheck;
use crate::step::{Step, held, missing_input};

/// How long to wait before looking again whether another process is done.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Where and how an operation runs: everything that does not shape its result.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// The folder of the store.
    pub store: PathBuf,
    /// The device to compute on.
    pub device: String,
    /// How many threads to use.
    pub threads: usize,
    /// The step's name in its recipe.
    pub step: Option<String>,
    /// Run although the result is there.
    pub force: bool,
    /// Show no progress.
    pub quiet: bool,
    /// Set by whoever wants the run to stop at the next safe point.
    pub interrupt: Arc<AtomicBool>,
}

impl RunOptions {
    /// A quiet run on the CPU in the store `store`.
    pub fn new(store: impl Into<PathBuf>) -> Self {
        Self {
            store: store.into(),
            device: "flex".to_owned(),
            threads: default_threads(),
            step: None,
            force: false,
            quiet: true,
            interrupt: Arc::default(),
        }
    }
}

/// Every core the process may use.
pub(crate) fn default_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a run made or found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The artifact.
    pub artifact: Artifact,
    /// Whether it was there already.
    pub cached: bool,
}

/// What a run would do.
#[derive(Clone, Debug)]
pub struct Outlook {
    /// The artifact it would make.
    pub reference: ArtifactRef,
    /// Whether it is there already.
    pub cached: bool,
    /// Why it would run, or since when it need not.
    pub reason: String,
}

/// Why a run did not reach its end, as the exit code tells it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The flags are wrong: 2.
    Usage(anyhow::Error),
    /// The step failed: 1.
    Failed(anyhow::Error),
    /// The user stopped it: 130.
    Interrupted(anyhow::Error),
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Usage(error) | Failure::Failed(error) | Failure::Interrupted(error) => error,
        }
    }
}

/// Runs an operation of `stage` as its binary would, in this process: for tests, and for programs that use the stages as
/// libraries.
pub fn run<T: Operation>(
    stage: &str,
    operation: &T,
    options: &RunOptions,
) -> anyhow::Result<Outcome> {
    Ok(run_any(stage, operation, options)?)
}

/// Says what [`run`] would do.
pub fn plan<T: Operation>(
    stage: &str,
    operation: &T,
    options: &RunOptions,
) -> anyhow::Result<Outlook> {
    Ok(plan_any(stage, operation, options)?)
}

/// An operation whose values were checked and whose key is known.
struct Prepared {
    store: Store,
    reference: ArtifactRef,
    parameters: Value,
    inputs: Vec<Input>,
    /// How the files among the inputs looked before they were hashed.
    looks: Looks,
}

fn failed(error: impl Into<anyhow::Error>) -> Failure {
    Failure::Failed(error.into())
}

fn prepare(
    stage: &str,
    operation: &dyn AnyOperation,
    options: &RunOptions,
) -> Result<Prepared, Failure> {
    operation.check().map_err(Failure::Usage)?;
    let store = Store::open(&options.store)
        .with_context(|| format!("cannot use the store {}", options.store.display()))
        .map_err(Failure::Failed)?;
    let mut named = Inputs::default();
    operation.inputs(&mut named);
    let mut inputs = Vec::new();
    let mut looks = Looks::default();
    for input in named.named {
        match input.values {
            Values::Artifacts { given, kind } => {
                for text in given {
                    let artifact = store
                        .resolve(text.as_str())
                        .with_context(|| format!("--{} cannot be found", input.name))
                        .map_err(Failure::Usage)?;
                    if let Some(wanted) = kind.filter(|wanted| *wanted != artifact.kind) {
                        return Err(Failure::Usage(anyhow!(
                            "--{} needs {wanted}, {} was given",
                            input.name,
                            artifact.short()
                        )));
                    }
                    inputs.push(Input::Artifact {
                        name: input.name.clone(),
                        artifact,
                    });
                }
            }
            Values::Files(paths) => {
                for path in paths {
                    let blake3 = looks
                        .add(&store, &path)
                        .with_context(|| format!("--{} cannot be read", input.name))
                        .map_err(Failure::Usage)?;
                    inputs.push(Input::File {
                        name: input.name.clone(),
                        path,
                        blake3,
                    });
                }
            }
        }
    }
    operation
        .check_inputs(&KnownInputs::new(&store, &inputs))
        .map_err(Failure::Usage)?;
    let parameters = operation
        .parameters()
        .context("the parameters have no JSON form")
        .map_err(Failure::Failed)?;
    let spec = KeySpec {
        stage,
        operation: operation.name(),
        version: operation.version(),
        kind: operation.kind(),
        parameters: &parameters,
        inputs: &inputs,
    };
    let reference = ArtifactRef::new(operation.kind(), spec.key());
    Ok(Prepared {
        store,
        reference,
        parameters,
        inputs,
        looks,
    })
}

/// Checks the flags and says whether the artifact is there.
pub(crate) fn plan_any(
    stage: &str,
    operation: &dyn AnyOperation,
    options: &RunOptions,
) -> Result<Outlook, Failure> {
    let Prepared {
        store,
        reference,
        parameters,
        inputs,
        ..
    } = prepare(stage, operation, options)?;
    let status = store.status(&reference).map_err(failed)?;
    let known_already = matches!(status, Status::Complete(_));
    let (cached, reason) = match status {
        _ if options.force => (false, "it is run again with --force".to_owned()),
        Status::Complete(manifest) => (
            true,
            format!("made {} in {:.1} s", manifest.started, manifest.seconds),
        ),
        Status::Damaged(reason) => (false, format!("it is damaged: {reason}")),
        Status::Missing if store.partial_dir(&reference.key).exists() => {
            (false, "an earlier run of it was not finished".to_owned())
        }
        Status::Missing => (
            false,
            "it was not made with these parameters and inputs".to_owned(),
        ),
    };
    if !cached {
        store.check_writable().map_err(failed)?;
    }
    let origin = Origin {
        stage: stage.to_owned(),
        operation: operation.name().to_owned(),
        version: operation.version(),
        step: options.step.clone(),
        parameters,
        inputs,
    };
    match known_already {
        true => known::forget(&store, &reference),
        false => known::note(&store, &reference, &origin),
    }
    Ok(Outlook {
        reference,
        cached,
        reason,
    })
}

/// Finds the artifact or makes it.
pub(crate) fn run_any(
    stage: &str,
    operation: &dyn AnyOperation,
    options: &RunOptions,
) -> Result<Outcome, Failure> {
    let prepared = prepare(stage, operation, options)?;
    if !options.force
        && let Some(outcome) = find(&prepared)?
    {
        return Ok(outcome);
    }
    for input in &prepared.inputs {
        if let Input::Artifact { name, artifact } = input {
            match prepared.store.status(artifact).map_err(failed)? {
                Status::Complete(_) => {}
                Status::Missing => {
                    let reason = format!("is not in the store {}", prepared.store.root().display());
                    return Err(Failure::Failed(missing_input(name, artifact, &reason)));
                }
                Status::Damaged(reason) => {
                    return Err(Failure::Failed(missing_input(
                        name,
                        artifact,
                        &format!("is damaged: {reason}"),
                    )));
                }
            }
        }
    }
    let lock = lock(&prepared, options)?;
    // Whoever held the lock may just have made it.
    if !options.force
        && let Some(outcome) = find(&prepared)?
    {
        return Ok(outcome);
    }
    // Waiting for it may have taken hours.
    prepared.looks.hold(&prepared.inputs).map_err(failed)?;
    work(stage, operation, options, prepared, lock)
}

/// The artifact, if it is there and whole.
fn find(prepared: &Prepared) -> Result<Option<Outcome>, Failure> {
    let reference = prepared.reference;
    match prepared.store.status(&reference).map_err(failed)? {
        Status::Complete(manifest) => {
            let path = prepared.store.artifact_dir(&reference);
            let artifact = Artifact {
                reference,
                manifest: *manifest,
                path,
            };
            Ok(Some(Outcome {
                artifact,
                cached: true,
            }))
        }
        Status::Missing => Ok(None),
        Status::Damaged(reason) => {
            tracing::warn!("{} is damaged and made again: {reason}", reference.short());
            Ok(None)
        }
    }
}

/// The lock of the step. Waiting for another process can be interrupted.
fn lock(prepared: &Prepared, options: &RunOptions) -> Result<StepLock, Failure> {
    let mut told = false;
    loop {
        if let Some(lock) = prepared
            .store
            .try_lock(&prepared.reference)
            .map_err(failed)?
        {
            return Ok(lock);
        }
        if options.interrupt.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted(Interrupted.into()));
        }
        if !told {
            tracing::info!(
                "waiting for another process that makes {}",
                prepared.reference.short()
            );
            told = true;
        }
        std::thread::sleep(LOCK_POLL);
    }
}

fn work(
    stage: &str,
    operation: &dyn AnyOperation,
    options: &RunOptions,
    prepared: Prepared,
    lock: StepLock,
) -> Result<Outcome, Failure> {
    let Prepared {
        store,
        reference,
        parameters,
        inputs,
        looks,
    } = prepared;
    let pending = if options.force {
        lock.begin_anew()
    } else {
        lock.begin()
    }
    .map_err(failed)?;
    if pending.resumed() {
        tracing::info!("going on with {} from an unfinished run", reference.short());
    }
    let started = SystemTime::now();
    let clock = Instant::now();
    let step = Step {
        store,
        pending,
        reference,
        operation: operation.name(),
        inputs,
        device: options.device.clone(),
        threads: options.threads,
        quiet: options.quiet,
        interrupt: Arc::clone(&options.interrupt),
        opened: Mutex::default(),
        headline: Mutex::default(),
    };
    let mut summary = operation.run(&step).map_err(|error| {
        if is_interruption(&error) {
            Failure::Interrupted(error)
        } else {
            Failure::Failed(error)
        }
    })?;
    looks
        .hold(&step.inputs)
        .and_then(|()| still_hash(&step.store, &step.inputs))
        .map_err(Failure::Failed)?;
    let said = held(&step.headline).take();
    let line = said.or_else(|| headline::of(operation.kind(), &summary));
    if let (Some(line), Some(summary)) = (line, summary.as_object_mut()) {
        summary.insert("line".to_owned(), line.into());
    }
    let provenance = Provenance {
        stage: stage.to_owned(),
        operation: operation.name().to_owned(),
        operation_version: operation.version(),
        step: options.step.clone(),
        parameters,
        inputs: step.inputs,
        summary,
        device: step.device,
        threads: step.threads,
        started,
        seconds: clock.elapsed().as_secs_f64(),
        peak_memory_mib: crate::peak_memory_mib(),
    };
    let artifact = step
        .pending
        .commit(provenance)
        .with_context(|| format!("cannot keep the result of {} {}", stage, operation.name()))
        .map_err(Failure::Failed)?;
    known::forget(&step.store, &reference);
    Ok(Outcome {
        artifact,
        cached: false,
    })
}

/// A device name that no check refused.
pub(crate) fn check_device(check: Option<&DeviceCheck>, device: &str) -> Result<(), Failure> {
    match check {
        Some(check) => check(device)
            .with_context(|| format!("--device {device} cannot be used"))
            .map_err(Failure::Usage),
        None if device.is_empty() => {
            let error: anyhow::Result<()> =
                Err(anyhow!("--device names nothing")).hint("the CPU is `--device flex`");
            error.map_err(Failure::Usage)
        }
        None => Ok(()),
    }
}
