//! What is known of an artifact before it is there: who makes it, with which parameters, and from what.
//!
//! A check writes down what its step would make, so that the check of a step that reads it can look at more than a name.
//! Such a note is read by checks alone. It cannot lie: a key is the hash of exactly what the note holds, and one that does
//! not hash to its name is no note.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use w2s_artifact::{ArtifactRef, Input, KeySpec, Manifest, Store};

/// The folder of the notes in a store.
const FOLDER: &str = "planned";

/// How an artifact was made, or would be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The binary, such as `teacher`.
    pub stage: String,
    /// Its subcommand, such as `finetune`.
    pub operation: String,
    /// The version of the operation.
    pub version: u32,
    /// The step's name in its recipe.
    pub step: Option<String>,
    /// The resolved parameters.
    pub parameters: Value,
    /// What it reads.
    pub inputs: Vec<Input>,
}

impl Origin {
    /// Whether this is what the artifact's key is the hash of.
    fn is_of(&self, reference: &ArtifactRef) -> bool {
        let spec = KeySpec {
            stage: &self.stage,
            operation: &self.operation,
            version: self.version,
            kind: reference.kind,
            parameters: &self.parameters,
            inputs: &self.inputs,
        };
        spec.key() == reference.key
    }
}

/// The inputs of an operation that is being checked, as far as the store knows them.
#[derive(Debug)]
pub struct KnownInputs {
    memory: Memory,
    inputs: Vec<Input>,
}

impl KnownInputs {
    pub(crate) fn new(store: &Store, inputs: &[Input]) -> Self {
        Self {
            memory: Memory {
                store: store.clone(),
                seen: Rc::default(),
            },
            inputs: inputs.to_vec(),
        }
    }

    /// The artifacts given by the flag `name`, in order.
    pub fn artifacts(&self, name: &str) -> Vec<Known> {
        self.memory.named(&self.inputs, name)
    }
}

/// An artifact as far as it is known: there, planned, or a name alone.
#[derive(Clone)]
pub struct Known {
    reference: ArtifactRef,
    facts: Rc<Facts>,
    memory: Memory,
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("reference", &self.reference)
            .field("origin", &self.facts.origin)
            .field("summary", &self.facts.summary)
            .finish_non_exhaustive()
    }
}

impl Known {
    /// Its name.
    pub fn reference(&self) -> &ArtifactRef {
        &self.reference
    }

    /// How it is made; `None` where the store has neither the artifact nor the check of its step, which is no error of
    /// whoever reads it.
    pub fn origin(&self) -> Option<&Origin> {
        self.facts.origin.as_ref()
    }

    /// Whether it is there already.
    pub fn exists(&self) -> bool {
        self.facts.summary.is_some()
    }

    /// What its step says of it; only of an artifact that is there.
    pub fn summary(&self) -> Option<&Value> {
        self.facts.summary.as_ref()
    }

    /// A parameter of its operation.
    pub fn parameter(&self, name: &str) -> Option<&Value> {
        self.origin()?.parameters.get(name)
    }

    /// What its own step reads by the flag `name`, in order.
    pub fn artifacts(&self, name: &str) -> Vec<Known> {
        self.origin()
            .map_or_else(Vec::new, |origin| self.memory.named(&origin.inputs, name))
    }

    /// The name of its step in a recipe, or its short name: what to call it in an error.
    pub fn title(&self) -> String {
        let step = self.origin().and_then(|origin| origin.step.as_ref());
        step.map_or_else(|| self.reference.short(), |step| format!("`{step}`"))
    }
}

/// What the store says of an artifact.
struct Facts {
    origin: Option<Origin>,
    summary: Option<Value>,
}

/// Looks artifacts up, each once: many ways lead to the same one.
#[derive(Clone)]
struct Memory {
    store: Store,
    seen: Rc<RefCell<HashMap<ArtifactRef, Rc<Facts>>>>,
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Memory").field(&self.store).finish()
    }
}

impl Memory {
    fn named(&self, inputs: &[Input], name: &str) -> Vec<Known> {
        let named = inputs.iter().filter_map(|input| match input {
            Input::Artifact {
                name: flag,
                artifact,
            } if flag == name => Some(*artifact),
            _ => None,
        });
        named.map(|reference| self.known(reference)).collect()
    }

    fn known(&self, reference: ArtifactRef) -> Known {
        let facts = Rc::clone(
            self.seen
                .borrow_mut()
                .entry(reference)
                .or_insert_with(|| Rc::new(facts(&self.store, &reference))),
        );
        Known {
            reference,
            facts,
            memory: self.clone(),
        }
    }
}

fn facts(store: &Store, reference: &ArtifactRef) -> Facts {
    let manifest = Manifest::read(&store.artifact_dir(reference))
        .ok()
        .filter(|manifest| manifest.reference() == *reference);
    match manifest {
        Some(manifest) => Facts {
            origin: Some(Origin {
                stage: manifest.stage,
                operation: manifest.operation,
                version: manifest.operation_version,
                step: manifest.step,
                parameters: manifest.parameters,
                inputs: manifest.inputs,
            }),
            summary: Some(manifest.summary),
        },
        None => Facts {
            origin: noted(store, reference),
            summary: None,
        },
    }
}

fn path(store: &Store, reference: &ArtifactRef) -> PathBuf {
    let name = format!("{}-{}.json", reference.kind.name(), reference.key);
    store.root().join(FOLDER).join(name)
}

fn noted(store: &Store, reference: &ArtifactRef) -> Option<Origin> {
    let bytes = fs::read(path(store, reference)).ok()?;
    let origin: Origin = serde_json::from_slice(&bytes).ok()?;
    origin.is_of(reference).then_some(origin)
}

/// Notes what a step would make. Without the note later checks see less; nothing else depends on it, so that a store which
/// cannot be written is no reason to fail.
pub(crate) fn note(store: &Store, reference: &ArtifactRef, origin: &Origin) {
    if let Err(error) = try_note(store, reference, origin) {
        tracing::debug!("the plan of {} is not noted: {error}", reference.short());
    }
}

fn try_note(store: &Store, reference: &ArtifactRef, origin: &Origin) -> io::Result<()> {
    let path = path(store, reference);
    let folder = store.root().join(FOLDER);
    fs::create_dir_all(&folder)?;
    let mut builder = tempfile::Builder::new();
    // As any other file of the store: the umask says who may read it.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder)?;
    serde_json::to_writer(&mut file, origin)?;
    file.flush()?;
    file.persist(path)?;
    Ok(())
}

/// Forgets what was noted of an artifact that is there now.
pub(crate) fn forget(store: &Store, reference: &ArtifactRef) {
    // There is nothing to forget where nothing was checked.
    let _ = fs::remove_file(path(store, reference));
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use w2s_artifact::{Key, Kind};

    use super::*;

    fn origin(rows: u64) -> Origin {
        Origin {
            stage: "data".into(),
            operation: "task".into(),
            version: 1,
            step: Some("data[seed=0]".into()),
            parameters: json!({"rows": rows, "share": 0.1_f32}),
            inputs: Vec::new(),
        }
    }

    fn reference(origin: &Origin) -> ArtifactRef {
        let spec = KeySpec {
            stage: &origin.stage,
            operation: &origin.operation,
            version: origin.version,
            kind: Kind::Examples,
            parameters: &origin.parameters,
            inputs: &origin.inputs,
        };
        ArtifactRef::new(Kind::Examples, spec.key())
    }

    fn known(store: &Store, artifact: ArtifactRef) -> Known {
        let input = Input::Artifact {
            name: "data".into(),
            artifact,
        };
        KnownInputs::new(store, &[input])
            .artifacts("data")
            .remove(0)
    }

    #[test]
    fn a_note_is_read_until_it_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let (origin, other) = (origin(3), origin(4));
        let reference = reference(&origin);
        assert!(known(&store, reference).origin().is_none());
        note(&store, &reference, &origin);
        let found = known(&store, reference);
        assert_eq!(found.origin(), Some(&origin));
        assert_eq!(
            (found.exists(), found.parameter("rows"), found.title()),
            (false, Some(&json!(3)), "`data[seed=0]`".to_owned())
        );
        // What another artifact's key says is not taken for this one's.
        fs::write(path(&store, &reference), json!(other).to_string()).unwrap();
        assert!(known(&store, reference).origin().is_none());
        fs::write(path(&store, &reference), "{").unwrap();
        assert!(known(&store, reference).origin().is_none());
        forget(&store, &reference);
        assert!(!path(&store, &reference).exists());
        forget(&store, &reference);
    }

    #[test]
    fn an_artifact_of_which_nothing_is_known_has_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let reference = ArtifactRef::new(Kind::Labels, Key::from_bytes([0xab; 32]));
        let unknown = known(&store, reference);
        assert_eq!(unknown.reference(), &reference);
        assert_eq!(unknown.title(), "labels/abababab");
        assert!(unknown.artifacts("base").is_empty() && unknown.summary().is_none());
    }
}
