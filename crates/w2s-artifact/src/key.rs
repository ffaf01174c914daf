//! From what shapes an artifact to its key. What is not hashed here (device, threads, step name, log level) cannot make a
//! step run again.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::error::StoreError;
use crate::files::{self, Links};
use crate::reference::{ArtifactRef, Key, Kind};

/// Raised when the recipe below changes, so that no old key can be met again.
const KEY_FORMAT: u32 = 1;

/// One thing a step reads, by the name its flag has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Input {
    /// Another step's artifact.
    Artifact {
        /// The flag, such as `base`.
        name: String,
        /// What it was.
        artifact: ArtifactRef,
    },
    /// A file or folder from outside the store.
    File {
        /// The flag, such as `source`.
        name: String,
        /// Where it was; informative only, a moved file keeps its key.
        path: PathBuf,
        /// Hash of its content, see [`hash_path`].
        blake3: String,
    },
}

impl Input {
    /// The flag the input was given by.
    pub fn name(&self) -> &str {
        match self {
            Self::Artifact { name, .. } | Self::File { name, .. } => name,
        }
    }

    /// The part of the input that shapes the result.
    pub(crate) fn content(&self) -> String {
        match self {
            Self::Artifact { artifact, .. } => artifact.to_string(),
            Self::File { blake3, .. } => format!("file/{blake3}"),
        }
    }
}

/// Everything that shapes an artifact.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec<'a> {
    /// The binary, such as `teacher`.
    pub stage: &'a str,
    /// Its subcommand, such as `finetune`.
    pub operation: &'a str,
    /// Raised whenever the operation computes something else from the same parameters.
    pub version: u32,
    /// What it makes.
    pub kind: Kind,
    /// The resolved parameters.
    pub parameters: &'a Value,
    /// What it reads, in the order of its flags.
    pub inputs: &'a [Input],
}

impl KeySpec<'_> {
    /// The content address: blake3 of the canonical JSON of all fields and of the format numbers.
    pub fn key(&self) -> Key {
        let inputs: Vec<Value> = self
            .inputs
            .iter()
            .map(|input| json!([input.name(), input.content()]))
            .collect();
        let recipe = json!({
            "formats": {"key": KEY_FORMAT, self.kind.name(): self.kind.format()},
            "stage": self.stage,
            "operation": self.operation,
            "version": self.version,
            "kind": self.kind.name(),
            "parameters": self.parameters,
            "inputs": inputs,
        });
        Key::from_bytes(*blake3::hash(canonical(&recipe).to_string().as_bytes()).as_bytes())
    }
}

/// The same value with the keys of every object sorted, so that the order of fields in a struct does not matter.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(canonical).collect(),
        Value::Object(fields) => {
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort_unstable();
            Value::Object(
                names
                    .into_iter()
                    .map(|name| (name.clone(), canonical(&fields[name])))
                    .collect::<Map<_, _>>(),
            )
        }
        other => other.clone(),
    }
}

/// The content hash of a file (its blake3), or of a folder (names and contents of its files; hidden ones are left out).
pub fn hash_path(path: &Path) -> Result<String, StoreError> {
    if !files::metadata(path)?.is_dir() {
        return Ok(files::hash_file(path)?.1.to_hex().to_string());
    }
    let mut hasher = blake3::Hasher::new_derive_key("w2s folder 1");
    for name in files::list_files(path, Links::Follow, &[])? {
        let (_, hash) = files::hash_file(&path.join(&name))?;
        hasher
            .update(&(name.len() as u64).to_le_bytes())
            .update(name.as_bytes())
            .update(hash.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec<'a>(parameters: &'a Value, inputs: &'a [Input]) -> KeySpec<'a> {
        KeySpec {
            stage: "teacher",
            operation: "finetune",
            version: 1,
            kind: Kind::Checkpoint,
            parameters,
            inputs,
        }
    }

    fn base(byte: u8) -> Input {
        let artifact = ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([byte; 32]));
        Input::Artifact {
            name: "base".into(),
            artifact,
        }
    }

    fn file(path: &str, blake3: &str) -> Input {
        Input::File {
            name: "source".into(),
            path: path.into(),
            blake3: blake3.into(),
        }
    }

    #[test]
    fn keys_are_stable() {
        let parameters = json!({"epochs": 2, "lr": 0.0005, "schedule": "cosine"});
        let recipe = format!(
            concat!(
                r#"{{"formats":{{"checkpoint":1,"key":1}},"inputs":[["base","checkpoint/{}"]],"#,
                r#""kind":"checkpoint","operation":"finetune","#,
                r#""parameters":{{"epochs":2,"lr":0.0005,"schedule":"cosine"}},"stage":"teacher","version":1}}"#,
            ),
            "01".repeat(32)
        );
        let key = spec(&parameters, &[base(1)]).key();
        assert_eq!(key.as_bytes(), blake3::hash(recipe.as_bytes()).as_bytes());
        assert_eq!(
            key.to_string(),
            "c57167f82b4e04c812d488adc1603a4bfc4c771d16a6082fd44f1cf1b2fa6ea8"
        );
    }

    #[test]
    fn the_order_of_fields_does_not_matter() {
        let one = json!({"a": {"x": 1, "y": [1, 2]}, "b": 2});
        let two = json!({"b": 2, "a": {"y": [1, 2], "x": 1}});
        assert_eq!(spec(&one, &[]).key(), spec(&two, &[]).key());
    }

    #[test]
    fn each_ingredient_changes_the_key() {
        let parameters = json!({"epochs": 2});
        let other = json!({"epochs": 3});
        let (one, two) = ([base(1)], [base(2)]);
        let renamed = [Input::Artifact {
            name: "model".into(),
            artifact: ArtifactRef::new(Kind::Checkpoint, Key::from_bytes([1; 32])),
        }];
        let (swapped, both) = ([base(2), base(1)], [base(1), base(2)]);
        let (a, b) = ([file("rows.csv", "aa")], [file("rows.csv", "bb")]);
        let plain = spec(&parameters, &one);
        let keys = [
            plain.key(),
            KeySpec {
                stage: "student",
                ..plain
            }
            .key(),
            KeySpec {
                operation: "train",
                ..plain
            }
            .key(),
            KeySpec {
                version: 2,
                ..plain
            }
            .key(),
            KeySpec {
                kind: Kind::Labels,
                ..plain
            }
            .key(),
            spec(&other, &one).key(),
            spec(&parameters, &two).key(),
            spec(&parameters, &renamed).key(),
            spec(&parameters, &[]).key(),
            spec(&parameters, &both).key(),
            spec(&parameters, &swapped).key(),
            spec(&parameters, &a).key(),
            spec(&parameters, &b).key(),
        ];
        let distinct: std::collections::HashSet<Key> = keys.into_iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn a_moved_file_keeps_its_key() {
        let parameters = json!({});
        assert_eq!(
            spec(&parameters, &[file("a.csv", "aa")]).key(),
            spec(&parameters, &[file("b.csv", "aa")]).key()
        );
    }

    #[test]
    fn a_folder_hash_sees_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("a", "1");
        write("b", "2");
        let first = hash_path(folder.path()).unwrap();
        write(".cache", "x");
        assert_eq!(hash_path(folder.path()).unwrap(), first);
        write("b", "3");
        let changed = hash_path(folder.path()).unwrap();
        assert_ne!(changed, first);
        std::fs::rename(folder.path().join("b"), folder.path().join("c")).unwrap();
        assert_ne!(hash_path(folder.path()).unwrap(), changed);
        assert_eq!(
            hash_path(&folder.path().join("a")).unwrap(),
            blake3::hash(b"1").to_hex().to_string()
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        assert_eq!(
            hash_path(Path::new("no/such/file"))
                .unwrap_err()
                .to_string(),
            "cannot read no/such/file"
        );
    }

    #[test]
    fn inputs_read_back_from_json() {
        for input in [base(1), file("rows.csv", "aa")] {
            let text = serde_json::to_string(&input).unwrap();
            assert_eq!(serde_json::from_str::<Input>(&text).unwrap(), input);
        }
    }
}
