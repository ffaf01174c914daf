//! What a model folder says about its tokens beside `tokenizer.json`: special tokens and the chat template.

use crate::{TextError, lfs_pointer};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The files that belong to a tokenizer.
pub(crate) const FILES: [&str; 4] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// The settings of a folder. Files that are not there say nothing.
pub(crate) struct Settings {
    folder: PathBuf,
    tokenizer: Value,
    special: Value,
}

impl Settings {
    /// Reads `tokenizer_config.json` and `special_tokens_map.json`.
    pub(crate) fn read(folder: &Path) -> Result<Self, TextError> {
        Ok(Self {
            folder: folder.into(),
            tokenizer: json(&folder.join("tokenizer_config.json"))?,
            special: json(&folder.join("special_tokens_map.json"))?,
        })
    }

    /// The text of `bos_token` or `eos_token` and the file that names it. A token is a string, or an object with its
    /// `content`.
    pub(crate) fn special(&self, name: &str) -> Option<(String, PathBuf)> {
        let text = |value: &Value| {
            let token = &value[name];
            Some(token.as_str().or(token["content"].as_str())?.to_owned())
        };
        let named = |value, file| Some((text(value)?, self.folder.join(file)));
        named(&self.tokenizer, "tokenizer_config.json")
            .or_else(|| named(&self.special, "special_tokens_map.json"))
    }

    /// Whether each text begins with the `bos_token`, where the folder says so.
    pub(crate) fn adds_bos(&self) -> Option<bool> {
        self.tokenizer["add_bos_token"].as_bool()
    }

    /// The chat template and the file it stands in: `chat_template.jinja`, or the one of tokenizer_config.json, or the one
    /// that is called `default` there.
    pub(crate) fn chat_template(&self) -> Result<Option<(String, PathBuf)>, TextError> {
        let path = self.folder.join("chat_template.jinja");
        if path.exists() {
            let text = std::fs::read_to_string(&path).map_err(|e| TextError::read(&path, e))?;
            return Ok(Some((text, path)));
        }
        let path = self.folder.join("tokenizer_config.json");
        let template = match &self.tokenizer["chat_template"] {
            Value::Array(named) => named
                .iter()
                .find(|t| t["name"] == "default")
                .map(|t| &t["template"]),
            template => Some(template),
        };
        match template {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some((text.clone(), path))),
            Some(_) => Err(TextError::malformed(
                &path,
                "`chat_template` is neither a text nor a list of named texts",
            )),
        }
    }

    /// `eos_token_id` of config.json, the first where it lists several, and the file; for folders whose tokenizer names no
    /// `eos_token`.
    pub(crate) fn eos_id(&self) -> Result<Option<(u32, PathBuf)>, TextError> {
        let path = self.folder.join("config.json");
        let config = json(&path)?;
        let id = &config["eos_token_id"];
        let id = id.as_u64().or(id[0].as_u64());
        Ok(id
            .and_then(|id| u32::try_from(id).ok())
            .map(|id| (id, path)))
    }
}

/// The content of a JSON file; `null` where there is none.
fn json(path: &Path) -> Result<Value, TextError> {
    match std::fs::read(path) {
        Ok(bytes) => match lfs_pointer(&bytes) {
            Some(reason) => Err(TextError::malformed(path, reason)),
            None => serde_json::from_slice(&bytes).map_err(|e| TextError::malformed(path, e)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(TextError::read(path, error)),
    }
}
