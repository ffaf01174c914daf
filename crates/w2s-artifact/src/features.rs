//! Where features come from: a probe that was trained on some reads others of the same origin, and nothing else.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::key::Input;
use crate::manifest::Manifest;

/// The input of an operation on examples that says nothing about how a row becomes features.
const ROWS: &str = "data";

/// What turned examples into features: the operation with its parameters, and all it read but the examples.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureOrigin {
    /// Stage and operation, such as `student features`.
    pub operation: String,
    /// The version of the operation.
    pub version: u32,
    /// Its parameters.
    pub parameters: Value,
    /// The base model, or the files that hold a matrix.
    pub sources: Vec<Input>,
}

impl FeatureOrigin {
    /// The origin of the features with this manifest.
    pub fn of(features: &Manifest) -> Self {
        let sources = features.inputs.iter().filter(|i| i.name() != ROWS);
        Self {
            operation: format!("{} {}", features.stage, features.operation),
            version: features.operation_version,
            parameters: features.parameters.clone(),
            sources: sources.cloned().collect(),
        }
    }

    /// How it differs from another origin: what the two are, or `None` if a row has the same features in both.
    pub fn difference(&self, other: &Self) -> Option<(String, String)> {
        let contents =
            |origin: &Self| -> Vec<String> { origin.sources.iter().map(Input::content).collect() };
        let made = (&self.operation, self.version) == (&other.operation, other.version);
        if !made || contents(self) != contents(other) {
            return Some((self.to_string(), other.to_string()));
        }
        let fields = self.parameters.as_object()?;
        let (name, value) = fields
            .iter()
            .find(|(name, value)| other.parameters.get(name) != Some(*value))?;
        let with = |value: Option<&Value>| format!("`{name}` {}", value.unwrap_or(&Value::Null));
        Some((with(Some(value)), with(other.parameters.get(name))))
    }
}

impl fmt::Display for FeatureOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` of", self.operation)?;
        for source in &self.sources {
            match source {
                Input::Artifact { artifact, .. } => write!(f, " {}", artifact.short())?,
                Input::File { path, blake3, .. } => {
                    let hash = &blake3[..blake3.len().min(8)];
                    write!(f, " `{}` (blake3 {hash})", path.display())?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Provenance;
    use crate::reference::{ArtifactRef, Key, Kind};
    use serde_json::json;

    fn origin(matrix: &str, hash: &str, data: u8, parameters: Value) -> FeatureOrigin {
        let provenance = Provenance {
            stage: "data".into(),
            operation: "features".into(),
            parameters,
            inputs: vec![
                Input::File {
                    name: "matrix".into(),
                    path: matrix.into(),
                    blake3: hash.into(),
                },
                Input::Artifact {
                    name: "data".into(),
                    artifact: ArtifactRef::new(Kind::Examples, Key::from_bytes([data; 32])),
                },
            ],
            ..Provenance::default()
        };
        let reference = ArtifactRef::new(Kind::Features, Key::from_bytes([9; 32]));
        FeatureOrigin::of(&Manifest::new(reference, provenance, vec![]))
    }

    #[test]
    fn rows_and_places_do_not_matter_but_contents_and_parameters_do() {
        let one = origin("a.npy", "0123456789", 1, json!({"tensor": null}));
        let same = origin("moved.npy", "0123456789", 2, json!({"tensor": null}));
        assert_eq!(one.difference(&same), None);
        let other = origin("b.npy", "fedcba9876", 1, json!({"tensor": null}));
        assert_eq!(
            one.difference(&other),
            Some((
                "`data features` of `a.npy` (blake3 01234567)".to_owned(),
                "`data features` of `b.npy` (blake3 fedcba98)".to_owned(),
            ))
        );
        let named = origin("a.npy", "0123456789", 1, json!({"tensor": "x"}));
        assert_eq!(
            one.difference(&named),
            Some(("`tensor` null".to_owned(), "`tensor` \"x\"".to_owned()))
        );
    }
}
