//! The JSON file beside every artifact that says what it is, where it came from and what its files hash to.

use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::StoreError;
use crate::key::Input;
use crate::reference::{ArtifactRef, Key, Kind};
use crate::summary::Summary;
use crate::time::timestamp;

/// The layout of the manifest itself.
pub const MANIFEST_FORMAT: u32 = 1;
/// The manifest's file name in the artifact folder.
pub const MANIFEST_FILE: &str = "manifest.json";

/// What an artifact is and how it was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Layout of this file.
    pub format: u32,
    /// What the artifact holds.
    pub kind: Kind,
    /// Its content address.
    pub key: Key,
    /// The binary that made it, such as `teacher`.
    pub stage: String,
    /// Its subcommand, such as `finetune`.
    pub operation: String,
    /// The version of the operation.
    pub operation_version: u32,
    /// The step's name in the recipe that ran it first.
    pub step: Option<String>,
    /// The resolved parameters, as they went into the key.
    pub parameters: Value,
    /// What was read.
    pub inputs: Vec<Input>,
    /// What the step itself says about its result.
    pub summary: Value,
    /// The version of w2s that made it.
    pub tool_version: String,
    /// The device it was made on.
    pub device: String,
    /// How many threads were allowed.
    pub threads: usize,
    /// When the step began, RFC 3339 in UTC.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// The most memory its process held, in MiB, where the system tells.
    #[serde(default)]
    pub peak_memory_mib: Option<u64>,
    /// Every file of the artifact except this one.
    pub files: Vec<FileEntry>,
}

/// A file of an artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Name relative to the artifact folder, with `/` between its parts.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its hash, in hex.
    pub blake3: String,
}

/// The part of a manifest that the step knows; the store adds kind, key and files.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The binary, such as `teacher`.
    pub stage: String,
    /// Its subcommand, such as `finetune`.
    pub operation: String,
    /// The version of the operation.
    pub operation_version: u32,
    /// The step's name in its recipe.
    pub step: Option<String>,
    /// The resolved parameters.
    pub parameters: Value,
    /// What was read.
    pub inputs: Vec<Input>,
    /// What the step says about its result.
    pub summary: Value,
    /// The device it ran on.
    pub device: String,
    /// How many threads were allowed.
    pub threads: usize,
    /// When it began.
    pub started: SystemTime,
    /// How long it took.
    pub seconds: f64,
    /// The most memory its process held, in MiB, where the system tells.
    pub peak_memory_mib: Option<u64>,
}

impl Default for Provenance {
    /// Nothing said: for tests and for tools that only need the files.
    fn default() -> Self {
        Self {
            stage: String::new(),
            operation: String::new(),
            operation_version: 0,
            step: None,
            parameters: Value::Null,
            inputs: Vec::new(),
            summary: Value::Null,
            device: "flex".to_owned(),
            threads: 1,
            started: SystemTime::UNIX_EPOCH,
            seconds: 0.0,
            peak_memory_mib: None,
        }
    }
}

impl Manifest {
    /// Joins what the step and what the store know.
    pub(crate) fn new(
        reference: ArtifactRef,
        provenance: Provenance,
        files: Vec<FileEntry>,
    ) -> Self {
        Self {
            format: MANIFEST_FORMAT,
            kind: reference.kind,
            key: reference.key,
            stage: provenance.stage,
            operation: provenance.operation,
            operation_version: provenance.operation_version,
            step: provenance.step,
            parameters: provenance.parameters,
            inputs: provenance.inputs,
            summary: provenance.summary,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            device: provenance.device,
            threads: provenance.threads,
            started: timestamp(provenance.started),
            seconds: provenance.seconds,
            peak_memory_mib: provenance.peak_memory_mib,
            files,
        }
    }

    /// The name of the artifact.
    pub fn reference(&self) -> ArtifactRef {
        ArtifactRef::new(self.kind, self.key)
    }

    /// The artifact given by the flag `name`, if there is exactly one.
    pub fn input(&self, name: &str) -> Option<ArtifactRef> {
        let mut found = self.inputs.iter().filter_map(|input| match input {
            Input::Artifact {
                name: flag,
                artifact,
            } if flag == name => Some(*artifact),
            _ => None,
        });
        found.next().filter(|_| found.next().is_none())
    }

    /// What the step said about its result, as the type of its kind.
    pub fn summary<T: Summary>(&self) -> Result<T, StoreError> {
        let name = self.reference().short();
        if self.kind != T::KIND {
            return Err(StoreError::WrongKind {
                name,
                found: self.kind.to_string(),
                wanted: T::KIND,
            });
        }
        T::deserialize(&self.summary).map_err(|error| StoreError::Summary {
            name,
            reason: error.to_string(),
        })
    }

    /// Reads the manifest in the folder `path`.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let path = path.join(MANIFEST_FILE);
        let bytes = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
        let corrupt = |error: serde_json::Error| StoreError::Corrupt {
            path: path.clone(),
            reason: error.to_string(),
        };
        let value: Value = serde_json::from_slice(&bytes).map_err(corrupt)?;
        // The number is read first: another format may lack or rename any other field.
        let format = value
            .get("format")
            .and_then(Value::as_u64)
            .and_then(|format| u32::try_from(format).ok());
        match format {
            None => Err(StoreError::Corrupt {
                path: path.clone(),
                reason: "it has no format number".to_owned(),
            }),
            Some(found) if found < MANIFEST_FORMAT => Err(StoreError::TooOld {
                path: path.clone(),
                found,
                supported: MANIFEST_FORMAT,
            }),
            Some(found) if found > MANIFEST_FORMAT => Err(StoreError::TooNew {
                path: path.clone(),
                found,
                supported: MANIFEST_FORMAT,
            }),
            Some(_) => serde_json::from_value(value).map_err(corrupt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn manifest() -> Manifest {
        let reference = ArtifactRef::new(Kind::Labels, Key::from_bytes([3; 32]));
        let provenance = Provenance {
            stage: "teacher".into(),
            summary: json!({"rows": 2}),
            ..Provenance::default()
        };
        Manifest::new(reference, provenance, vec![])
    }

    fn read(text: &str) -> Result<Manifest, StoreError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MANIFEST_FILE), text).unwrap();
        Manifest::read(folder.path())
    }

    #[test]
    fn a_manifest_reads_back() {
        let manifest = manifest();
        assert_eq!(manifest.started, "1970-01-01T00:00:00Z");
        assert_eq!(
            read(&serde_json::to_string_pretty(&manifest).unwrap()).unwrap(),
            manifest
        );
    }

    #[test]
    fn its_format_number_has_three_answers() {
        let with = |format: u32| {
            let mut value = serde_json::to_value(manifest()).unwrap();
            value["format"] = json!(format);
            read(&value.to_string())
        };
        assert!(with(MANIFEST_FORMAT).is_ok());
        assert!(matches!(
            with(0),
            Err(StoreError::TooOld {
                found: 0,
                supported: 1,
                ..
            })
        ));
        assert!(matches!(
            with(9),
            Err(StoreError::TooNew {
                found: 9,
                supported: 1,
                ..
            })
        ));
        assert!(matches!(
            read("{\"format\": 9, \"new\": true}"),
            Err(StoreError::TooNew { .. })
        ));
    }

    #[test]
    fn nonsense_is_corrupt() {
        for text in ["", "{", "[]", "{\"format\": -1}", "{\"format\": 1}"] {
            assert!(
                matches!(read(text), Err(StoreError::Corrupt { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn an_input_is_found_by_its_flag() {
        let labels = ArtifactRef::new(Kind::Labels, Key::from_bytes([3; 32]));
        let input = |name: &str| Input::Artifact {
            name: name.into(),
            artifact: labels,
        };
        let mut manifest = manifest();
        manifest.inputs = vec![input("model"), input("predictions"), input("predictions")];
        assert_eq!(manifest.input("model"), Some(labels));
        assert_eq!(manifest.input("predictions"), None);
        assert_eq!(manifest.input("data"), None);
    }
}
