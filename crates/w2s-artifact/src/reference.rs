//! Names of artifacts: what kind a thing is, the key that says how it was made, and the two together as one would type
//! them in a shell.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::StoreError;
use crate::preference::{Pair, Prompt, ReferenceLogProbs, Response, Score};
use crate::record::{Document, Example, Features, Label, Prediction, Record, Tokens};

/// What an artifact holds, and so which steps can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Unlabelled text with the tokenizer trained on it.
    Corpus,
    /// Labelled text, cut into gold, transfer and test rows.
    Examples,
    /// A teacher's soft labels on the transfer rows.
    Labels,
    /// The transfer rows as a model reads them.
    Tokens,
    /// What a frozen model makes of texts, for a linear probe.
    Features,
    /// A model folder in the layout of Hugging Face.
    Checkpoint,
    /// A model's answers on the test rows.
    Predictions,
    /// What models are asked.
    Prompts,
    /// What they answer.
    Responses,
    /// Answers in pairs, of which one should be preferred.
    Pairs,
    /// What the reference model makes of pairs.
    References,
    /// How answers score.
    Scores,
    /// Trajectories of the linear theory of delta learning.
    Theory,
    /// The tables and pages of one experiment.
    Report,
}

impl Kind {
    /// Every kind, in the order in which an experiment makes them.
    pub const ALL: [Self; 14] = [
        Self::Corpus,
        Self::Examples,
        Self::Labels,
        Self::Tokens,
        Self::Features,
        Self::Checkpoint,
        Self::Predictions,
        Self::Prompts,
        Self::Responses,
        Self::Pairs,
        Self::References,
        Self::Scores,
        Self::Theory,
        Self::Report,
    ];

    /// The lower-case word used in references and folder names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Corpus => "corpus",
            Self::Examples => "examples",
            Self::Labels => "labels",
            Self::Tokens => "tokens",
            Self::Features => "features",
            Self::Checkpoint => "checkpoint",
            Self::Predictions => "predictions",
            Self::Prompts => "prompts",
            Self::Responses => "responses",
            Self::Pairs => "pairs",
            Self::References => "references",
            Self::Scores => "scores",
            Self::Theory => "theory",
            Self::Report => "report",
        }
    }

    /// The format number of what this kind stores. It is part of every key, so a new format never meets an old folder.
    pub fn format(self) -> u32 {
        match self {
            Self::Corpus => Document::FORMAT,
            Self::Examples => Example::FORMAT,
            Self::Labels => Label::FORMAT,
            Self::Tokens => Tokens::FORMAT,
            Self::Features => Features::FORMAT,
            Self::Predictions => Prediction::FORMAT,
            Self::Prompts => Prompt::FORMAT,
            Self::Responses => Response::FORMAT,
            Self::Pairs => Pair::FORMAT,
            Self::References => ReferenceLogProbs::FORMAT,
            Self::Scores => Score::FORMAT,
            Self::Checkpoint | Self::Theory | Self::Report => 1,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Kind {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == text)
            .ok_or_else(|| StoreError::BadReference {
                text: text.to_owned(),
                reason: format!("`{text}` is not a kind of artifact"),
            })
    }
}

/// The content address of an artifact: a blake3 hash of everything that shaped it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// A key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hex digits, enough for people.
    pub fn short(&self) -> String {
        self.to_string()[..8].to_owned()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}

impl FromStr for Key {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = |reason: String| StoreError::BadReference {
            text: text.to_owned(),
            reason,
        };
        if text.len() != 64 {
            return Err(bad(format!(
                "a key has 64 hex digits, this has {}",
                text.chars().count()
            )));
        }
        if !is_hex(text) {
            return Err(bad("a key is made of the digits 0-9 and a-f".to_owned()));
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digit = |c: u8| (c as char).to_digit(16).unwrap_or(0) as u8;
            *byte = digit(pair[0]) << 4 | digit(pair[1]);
        }
        Ok(Self(bytes))
    }
}

/// Whether `text` is made of lower-case hex digits only.
pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The full name of one artifact, `kind/key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArtifactRef {
    /// What it holds.
    pub kind: Kind,
    /// How it was made.
    pub key: Key,
}

impl ArtifactRef {
    /// The reference of `kind` and `key`.
    pub fn new(kind: Kind, key: Key) -> Self {
        Self { kind, key }
    }

    /// The name people read in status lines: `kind/` and eight hex digits.
    pub fn short(&self) -> String {
        format!("{}/{}", self.kind, self.key.short())
    }
}

impl fmt::Display for ArtifactRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.key)
    }
}

impl FromStr for ArtifactRef {
    type Err = StoreError;

    fn from_str(text: &str) -> Result<Self, StoreError> {
        let (kind, key) = text
            .split_once('/')
            .ok_or_else(|| StoreError::BadReference {
                text: text.to_owned(),
                reason: "it has no `/` between kind and key".to_owned(),
            })?;
        Ok(Self {
            kind: kind.parse()?,
            key: key.parse()?,
        })
    }
}

/// Writes a value as the string it displays as, and reads it back by `FromStr`.
macro_rules! serde_as_string {
    ($($name:ident),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

serde_as_string!(Kind, Key, ArtifactRef);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_survives_text_and_json() {
        let reference = ArtifactRef::new(Kind::Labels, Key::from_bytes([0xa7; 32]));
        assert_eq!(reference.to_string(), format!("labels/{}", "a7".repeat(32)));
        assert_eq!(reference.short(), "labels/a7a7a7a7");
        assert_eq!(
            reference.to_string().parse::<ArtifactRef>().unwrap(),
            reference
        );
        let json = serde_json::to_string(&reference).unwrap();
        assert_eq!(json, format!("\"{reference}\""));
        assert_eq!(
            serde_json::from_str::<ArtifactRef>(&json).unwrap(),
            reference
        );
    }

    #[test]
    fn every_kind_is_read_back_from_its_name() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse::<Kind>().unwrap(), kind);
        }
    }

    #[test]
    fn bad_references_say_what_is_wrong() {
        let message = |text: &str| text.parse::<ArtifactRef>().unwrap_err().to_string();
        assert_eq!(
            &message("labels"),
            "`labels` does not name an artifact: it has no `/` between kind and key"
        );
        assert_eq!(
            &message("labels/3f"),
            "`3f` does not name an artifact: a key has 64 hex digits, this has 2",
        );
        assert_eq!(
            &message(&format!("label/{}", "a7".repeat(32))),
            "`label` does not name an artifact: `label` is not a kind of artifact",
        );
        assert!(message(&format!("labels/{}", "A7".repeat(32))).contains("0-9 and a-f"));
        assert!("labels/é".parse::<ArtifactRef>().is_err());
    }
}
