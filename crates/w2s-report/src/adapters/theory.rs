//! The linear theory of delta learning.

use w2s_artifact::Artifact;
use w2s_theory::{Study, THEORY_FILE};

use crate::error::ReportError;

/// One theory artifact.
pub(crate) fn read(artifact: &Artifact) -> Result<Study, ReportError> {
    let unreadable = |reason: String| ReportError::Unreadable {
        artifact: artifact.reference.short(),
        reason,
    };
    let bytes = std::fs::read(artifact.file(THEORY_FILE)).map_err(|e| unreadable(e.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|e| unreadable(e.to_string()))
}
