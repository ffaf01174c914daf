//! Text to token ids with a model folder's own tokenizer.

use crate::LmError;
use std::path::{Path, PathBuf};

/// A tokenizer of a model folder. It never adds special tokens by itself.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    folder: PathBuf,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a folder.
    pub fn load(folder: &Path) -> Result<Self, LmError> {
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(LmError::read(&path, missing));
        }
        let mut inner =
            tokenizers::Tokenizer::from_file(&path).map_err(|e| LmError::malformed(&path, e))?;
        // A stored truncation or padding would change texts behind our back.
        inner
            .with_truncation(None)
            .map_err(|e| LmError::malformed(&path, e))?;
        inner.with_padding(None);
        Ok(Self {
            inner,
            folder: folder.into(),
        })
    }

    /// Token ids of a text, without special tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, LmError> {
        let encoding = self
            .inner
            .encode_fast(text, false)
            .map_err(|e| LmError::Tokenize(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Token ids of many texts, on all threads.
    pub fn encode_all(&self, texts: Vec<String>) -> Result<Vec<Vec<u32>>, LmError> {
        let encodings = self
            .inner
            .encode_batch_fast(texts, false)
            .map_err(|e| LmError::Tokenize(e.to_string()))?;
        Ok(encodings.iter().map(|e| e.get_ids().to_vec()).collect())
    }

    /// The text of some ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String, LmError> {
        self.inner
            .decode(ids, true)
            .map_err(|e| LmError::Tokenize(e.to_string()))
    }

    /// The id of a token by its exact text.
    pub fn token(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// The highest id plus one.
    pub fn size(&self) -> usize {
        let ids = self.inner.get_vocab(true);
        ids.values().max().map_or(0, |&id| id as usize + 1)
    }

    /// Refuses a tokenizer with ids beyond an embedding's rows.
    pub fn fits(&self, rows: usize) -> Result<(), LmError> {
        let tokens = self.size();
        if tokens > rows {
            return Err(LmError::Vocabulary {
                path: self.folder.clone(),
                tokens,
                rows,
            });
        }
        Ok(())
    }

    /// Copies the tokenizer's files into another model folder.
    pub fn save(&self, folder: &Path) -> Result<(), LmError> {
        for name in ["tokenizer.json", "tokenizer_config.json"] {
            let from = self.folder.join(name);
            if from.exists() {
                let to = folder.join(name);
                std::fs::copy(&from, &to).map_err(|e| LmError::write(&to, e))?;
            }
        }
        Ok(())
    }
}
