//! A whole artifact, opened for reading.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::codec;
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::preference::{Pair, Prompt, ReferenceLogProbs, Response, Score};
use crate::record::{Document, Example, Features, Label, Prediction, Record, Split, Tokens};
use crate::reference::{ArtifactRef, Kind};
use crate::store::require;
use crate::summary::{SplitSummary, Summary, TRAINING_LOG};

/// An artifact whose files were hashed when it was opened.
#[derive(Clone, Debug)]
pub struct Artifact {
    /// Its name.
    pub reference: ArtifactRef,
    /// What it is and how it was made.
    pub manifest: Manifest,
    /// Its folder.
    pub path: PathBuf,
}

impl Artifact {
    /// Opens the artifact `reference` in the folder `path` after hashing each of its files, as
    /// [`Store::require`](crate::Store::require) does: for artifacts that name each other by their folders.
    ///
    /// # Errors
    ///
    /// A folder that holds another artifact or none, and files that are not what was written.
    pub fn open(path: &Path, reference: &ArtifactRef) -> Result<Self, StoreError> {
        require(path, reference, path)
    }

    /// The path of a file of the artifact.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The records, each checked against the promises of its type.
    pub fn records<T: Record>(&self) -> Result<Vec<T>, StoreError> {
        if self.reference.kind != T::KIND {
            return Err(StoreError::WrongKind {
                name: self.reference.short(),
                found: self.reference.kind.to_string(),
                wanted: T::KIND,
            });
        }
        codec::read(&self.file(T::FILE))
    }

    /// The examples of one split, in their order; an empty split is an error.
    pub fn examples(&self, split: Split) -> Result<Vec<Example>, StoreError> {
        let mut examples = self.records::<Example>()?;
        examples.retain(|example| example.split == split);
        if examples.is_empty() {
            return Err(StoreError::EmptySplit {
                name: self.reference.short(),
                split,
            });
        }
        Ok(examples)
    }

    /// What the step said about its result.
    pub fn summary<T: Summary>(&self) -> Result<T, StoreError> {
        self.manifest.summary()
    }

    /// The class names of examples, in the order of their numbers.
    pub fn classes(&self) -> Result<Vec<String>, StoreError> {
        Ok(self.summary::<SplitSummary>()?.classes)
    }

    /// The rows of the artifact as JSON objects: its records, the training log of a checkpoint, the numbers of a report.
    pub fn records_json(&self) -> Result<Box<dyn Iterator<Item = Value>>, StoreError> {
        match self.reference.kind {
            Kind::Corpus => self.as_json::<Document>(),
            Kind::Examples => self.as_json::<Example>(),
            Kind::Labels => self.as_json::<Label>(),
            Kind::Tokens => self.as_json::<Tokens>(),
            Kind::Features => self.as_json::<Features>(),
            Kind::Predictions => self.as_json::<Prediction>(),
            Kind::Prompts => self.as_json::<Prompt>(),
            Kind::Responses => self.as_json::<Response>(),
            Kind::Pairs => self.as_json::<Pair>(),
            Kind::References => self.as_json::<ReferenceLogProbs>(),
            Kind::Scores => self.as_json::<Score>(),
            Kind::Theory => self.json_whole("theory.json"),
            Kind::Checkpoint => self.json_lines(TRAINING_LOG),
            Kind::Report => self.json_whole("report.json"),
        }
    }

    /// Whether nobody should meet the texts of its rows unasked; [`hide_texts`](crate::hide_texts) says what to show instead.
    pub fn is_sensitive(&self) -> bool {
        self.manifest.summary.get("sensitive") == Some(&Value::Bool(true))
    }

    /// The first `limit` rows of [`records_json`](Self::records_json).
    pub fn rows_json(&self, limit: usize) -> Result<Vec<Value>, StoreError> {
        Ok(self.records_json()?.take(limit).collect())
    }

    fn as_json<T: Record + 'static>(&self) -> Result<Box<dyn Iterator<Item = Value>>, StoreError> {
        let records = self.records::<T>()?;
        // Records are plain structs with string keys, which always have a JSON form.
        Ok(Box::new(records.into_iter().map(|record| {
            serde_json::to_value(record).unwrap_or(Value::Null)
        })))
    }

    /// The objects of a file of JSON lines; an imported checkpoint has no training log and so no rows.
    fn json_lines(&self, name: &str) -> Result<Box<dyn Iterator<Item = Value>>, StoreError> {
        let path = self.file(name);
        if !path.exists() {
            return Ok(Box::new(std::iter::empty()));
        }
        let text = std::fs::read_to_string(&path).map_err(StoreError::io("read", &path))?;
        let mut rows = Vec::new();
        for (index, line) in text.lines().enumerate() {
            rows.push(
                serde_json::from_str(line).map_err(|error| StoreError::Corrupt {
                    path: path.clone(),
                    reason: format!("line {}: {error}", index + 1),
                })?,
            );
        }
        Ok(Box::new(rows.into_iter()))
    }

    fn json_whole(&self, name: &str) -> Result<Box<dyn Iterator<Item = Value>>, StoreError> {
        let path = self.file(name);
        let text = std::fs::read(&path).map_err(StoreError::io("read", &path))?;
        let value: Value = serde_json::from_slice(&text).map_err(|error| StoreError::Corrupt {
            path,
            reason: error.to_string(),
        })?;
        Ok(Box::new(std::iter::once(value)))
    }
}
