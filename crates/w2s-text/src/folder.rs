//! What a model folder says about its tokens beside `tokenizer.json`: special tokens and the chat template.

use crate::{TextError, lfs_pointer};
use serde_json::{Map, Value};
use std::io;
use std::path::{Path, PathBuf};

/// The files that belong to a tokenizer.
pub(crate) const FILES: [&str; 4] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// Largest file of settings; those with a list of all added tokens have some megabytes.
const MAX_BYTES: u64 = 16 << 20;

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

    /// The text of `bos_token` or `eos_token` and the file that names it.
    pub(crate) fn special(&self, name: &str) -> Option<(String, PathBuf)> {
        let named = |value: &Value, file| {
            let text = token_text(&value[name])?;
            Some((text.to_owned(), self.folder.join(file)))
        };
        named(&self.tokenizer, "tokenizer_config.json")
            .or_else(|| named(&self.special, "special_tokens_map.json"))
    }

    /// All special tokens by the names that templates know them by: those that stand alone, and lists of more.
    pub(crate) fn all_special(&self) -> Map<String, Value> {
        let mut all = Map::new();
        for file in [&self.special, &self.tokenizer] {
            for (name, value) in file.as_object().into_iter().flatten() {
                if let Some(text) = token_text(value).filter(|_| name.ends_with("_token")) {
                    all.insert(name.clone(), text.into());
                } else if name.ends_with("_special_tokens") {
                    // Models name tokens of their own in a table: `extra_special_tokens`.
                    for (name, value) in value.as_object().into_iter().flatten() {
                        all.extend(token_text(value).map(|text| (name.clone(), text.into())));
                    }
                    if let Some(list) = value.as_array() {
                        let texts = list.iter().filter_map(token_text).map(Value::from);
                        all.insert(name.clone(), texts.collect());
                    }
                }
            }
        }
        all
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
            let text = read(&path).map_err(|e| TextError::read(&path, e))?;
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
        let id = match &config["eos_token_id"] {
            Value::Null => return Ok(None),
            Value::Array(ids) if ids.is_empty() => return Ok(None),
            Value::Array(ids) => &ids[0],
            id => id,
        };
        match id.as_u64().and_then(|id| u32::try_from(id).ok()) {
            Some(id) => Ok(Some((id, path))),
            None => Err(TextError::malformed(
                &path,
                format!("`eos_token_id` is {id}, which is no number of a token"),
            )),
        }
    }
}

/// A special token is a text, or an object with its `content`.
fn token_text(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value["content"].as_str())
}

/// The content of a JSON file; `null` where there is none.
fn json(path: &Path) -> Result<Value, TextError> {
    match read(path) {
        Ok(text) => match lfs_pointer(text.as_bytes()) {
            Some(reason) => Err(TextError::malformed(path, reason)),
            None => serde_json::from_str(&text).map_err(|e| TextError::malformed(path, e)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Value::Null),
        Err(error) => Err(TextError::read(path, error)),
    }
}

/// A settings file of a size that one can have.
fn read(path: &Path) -> io::Result<String> {
    let bytes = std::fs::metadata(path)?.len();
    if bytes > MAX_BYTES {
        let message = format!("it has {bytes} bytes, and {MAX_BYTES} are read at most");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    std::fs::read_to_string(path)
}
