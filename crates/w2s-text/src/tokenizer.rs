//! Text to token ids with a model folder's own tokenizer.

use crate::folder::{FILES, Settings};
use crate::guard::{PATIENCE, caught, guarded};
use crate::{TextError, lfs_pointer, limits};
use std::collections::HashSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use tokenizers::{ModelWrapper, PostProcessorWrapper};

/// A tokenizer of a model folder. It never adds special tokens by itself.
#[derive(Clone)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    folder: PathBuf,
    special: HashSet<u32>,
    added: HashSet<u32>,
    bos: Option<u32>,
    notes: Vec<String>,
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a folder.
    pub fn load(folder: &Path) -> Result<Self, TextError> {
        let path = folder.join("tokenizer.json");
        if !path.exists() {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(other_tokenizer(folder).unwrap_or_else(|| TextError::read(&path, missing)));
        }
        let (mut inner, notes) = read(&path)?;
        // A stored truncation or padding would change texts behind our back.
        inner
            .with_truncation(None)
            .map_err(|e| TextError::malformed(&path, e))?;
        inner.with_padding(None);
        let inner = tried(inner).map_err(|reason| TextError::malformed(&path, reason))?;
        let first = first_token(&inner, true)?;
        let bare = first_token(&inner, false)?;
        let added = first.filter(|_| first != bare);
        // All it could still do is to cut white space out of the tokens' places in the text.
        let mut inner = inner;
        inner.with_post_processor(None::<PostProcessorWrapper>);
        let tokens = inner.get_added_tokens_decoder();
        let special = tokens.iter().filter(|(_, token)| token.special);
        let mut tokenizer = Self {
            special: special.map(|(&id, _)| id).collect(),
            added: tokens.keys().copied().collect(),
            inner,
            folder: folder.into(),
            bos: None,
            notes,
        };
        let settings = Settings::read(folder)?;
        tokenizer.bos = match settings.adds_bos() {
            Some(true) => tokenizer.named(&settings, "bos_token")?,
            Some(false) => None,
            None => added,
        };
        Ok(tokenizer)
    }

    /// Token ids of a text, without special tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let encoding = self.careful(|inner| inner.encode_fast(text, false))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Token ids of a text, without special tokens, and the bytes of the text that each stands for. A token of a part of a
    /// character has the bytes of the whole character.
    pub fn encode_spans(&self, text: &str) -> Result<Vec<(u32, Range<usize>)>, TextError> {
        let encoding = self.careful(|inner| inner.encode(text, false))?;
        let spans = encoding.get_offsets().iter().map(|&(from, to)| from..to);
        Ok(encoding.get_ids().iter().copied().zip(spans).collect())
    }

    /// Token ids of many texts, on all threads.
    pub fn encode_all(&self, texts: Vec<String>) -> Result<Vec<Vec<u32>>, TextError> {
        let encodings = self.careful(|inner| inner.encode_batch_fast(texts, false))?;
        Ok(encodings.iter().map(|e| e.get_ids().to_vec()).collect())
    }

    /// The text of some ids, special tokens left out.
    pub fn decode(&self, ids: &[u32]) -> Result<String, TextError> {
        self.careful(|inner| inner.decode(ids, true))
    }

    /// What of the folder's `tokenizer.json` is left aside, in sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Work of the library, whose panics are errors that name the file.
    fn careful<T>(
        &self,
        work: impl FnOnce(&tokenizers::Tokenizer) -> tokenizers::Result<T>,
    ) -> Result<T, TextError> {
        let path = || self.folder.join("tokenizer.json");
        caught(|| work(&self.inner))
            .map_err(|reason| TextError::malformed(&path(), reason))?
            .map_err(|error| TextError::Tokenize(error.to_string()))
    }

    /// The id of a token by its exact text.
    pub fn token(&self, text: &str) -> Option<u32> {
        self.inner.token_to_id(text)
    }

    /// A token as the vocabulary spells it.
    pub fn token_text(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Whether a token is a special one, which stands for no text, such as the end of a turn.
    pub fn is_special(&self, id: u32) -> bool {
        self.special.contains(&id)
    }

    /// The token that the model folder wants before each text, if it does: `add_bos_token` of tokenizer_config.json, or
    /// else the post-processor of tokenizer.json. [`Encoder`](crate::Encoder) adds it; nothing here does.
    pub fn bos(&self) -> Option<u32> {
        self.bos
    }

    /// The id of a special token that a folder's settings name.
    pub(crate) fn named(
        &self,
        settings: &Settings,
        name: &'static str,
    ) -> Result<Option<u32>, TextError> {
        let Some((token, path)) = settings.special(name) else {
            return Ok(None);
        };
        let id = self.token(&token);
        id.map(Some)
            .ok_or(TextError::SpecialToken { path, name, token })
    }

    /// The place of the first added token among the tokens of a text, special or not: tokens of words end no turn. One
    /// that stands for an unknown word is none, and white space neither.
    pub(crate) fn first_added(&self, text: &str, tokens: &[(u32, Range<usize>)]) -> Option<usize> {
        tokens.iter().position(|(id, span)| {
            let written = text.get(span.clone()).unwrap_or_default().trim();
            self.added.contains(id) && self.token_text(*id).is_some_and(|text| text == written)
        })
    }

    /// The highest id plus one.
    pub fn size(&self) -> usize {
        let ids = self.inner.get_vocab(true);
        ids.values().max().map_or(0, |&id| id as usize + 1)
    }

    /// Refuses a tokenizer with ids beyond an embedding's rows.
    pub fn fits(&self, rows: usize) -> Result<(), TextError> {
        let tokens = self.size();
        if tokens > rows {
            return Err(TextError::Vocabulary {
                path: self.folder.clone(),
                tokens,
                rows,
            });
        }
        Ok(())
    }

    /// blake3 of `tokenizer.json` in hexadecimal: two folders with the same hash cut texts the same way.
    pub fn hash(&self) -> Result<String, TextError> {
        let path = self.folder.join("tokenizer.json");
        let bytes = std::fs::read(&path).map_err(|e| TextError::read(&path, e))?;
        Ok(blake3::hash(&bytes).to_hex().to_string())
    }

    /// Copies the tokenizer's files, the chat template among them, into another model folder.
    pub fn save(&self, folder: &Path) -> Result<(), TextError> {
        for name in FILES {
            let from = self.folder.join(name);
            if from.exists() {
                let to = folder.join(name);
                std::fs::copy(&from, &to).map_err(|e| TextError::write(&to, e))?;
            }
        }
        Ok(())
    }
}

/// What is wrong with a folder whose tokenizer is of a kind that is not read.
fn other_tokenizer(folder: &Path) -> Option<TextError> {
    let (name, kind) = [
        ("tokenizer.model", "a sentencepiece model"),
        ("spiece.model", "a sentencepiece model"),
        ("vocab.json", "a vocabulary without its rules"),
    ]
    .into_iter()
    .find(|(name, _)| folder.join(name).exists())?;
    Some(TextError::malformed(
        &folder.join(name),
        format!(
            "it is {kind}, which is not read, and there is no `tokenizer.json` beside it\n\
             hint: make one in Python: `AutoTokenizer.from_pretrained(folder).save_pretrained(folder)`"
        ),
    ))
}

/// The tokenizer of a file, if it is one that can be, and what of it is left aside.
fn read(path: &Path) -> Result<(tokenizers::Tokenizer, Vec<String>), TextError> {
    let refuse = |reason: String| TextError::malformed(path, reason);
    let file = std::fs::metadata(path).map_err(|e| TextError::read(path, e))?;
    let (bytes, most) = (file.len(), limits::MAX_BYTES);
    if bytes > most {
        return Err(refuse(format!(
            "it has {bytes} bytes, and {most} are read at most"
        )));
    }
    let json = std::fs::read_to_string(path).map_err(|e| TextError::read(path, e))?;
    if let Some(reason) = lfs_pointer(json.as_bytes()) {
        return Err(refuse(reason.into()));
    }
    limits::check(&json).map_err(refuse)?;
    let mut tokenizer = caught(|| json.parse::<tokenizers::Tokenizer>())
        .map_err(refuse)?
        .map_err(|e| refuse(e.to_string()))?;
    let mut notes = Vec::new();
    if let ModelWrapper::BPE(model) = tokenizer.get_model()
        && let Some(dropout) = model.dropout
    {
        let mut model = model.clone();
        model.dropout = None;
        tokenizer.with_model(model);
        notes.push(format!(
            "the `dropout` of {dropout} in `{}` is left out: equal texts have equal tokens",
            path.display()
        ));
    }
    Ok((tokenizer, notes))
}

/// The tokenizer, if it gets over a page of text.
fn tried(tokenizer: tokenizers::Tokenizer) -> Result<tokenizers::Tokenizer, String> {
    let work = move || {
        for text in [
            "",
            " ",
            "a",
            "é 1\n",
            &PAGE.repeat(20),
            &"a".repeat(200),
            &" ".repeat(200),
        ] {
            // Texts that it has no tokens for are errors where they come up.
            if let Ok(tokens) = tokenizer.encode(text, true) {
                drop(tokenizer.decode(tokens.get_ids(), false));
            }
        }
        tokenizer
    };
    guarded(STACK, PATIENCE, work).map_err(|reason| format!("it fails on a page of text: {reason}"))
}

/// Letters, numbers, signs, accents and what is no letter.
const PAGE: &str = "The 3 quick (brown) foxes — don't jump over \"12,345.67\" lazy dögs; 你好, мир! 🙂\n\taaaaaaaaaaaa_b 00000000 ....\n";
/// Stack of the thread that tries a tokenizer: regular expressions go deep.
const STACK: usize = 64 << 20;

/// The first token of a text, with the special tokens that the tokenizer itself would add or without.
fn first_token(tokenizer: &tokenizers::Tokenizer, special: bool) -> Result<Option<u32>, TextError> {
    let encoding = caught(|| tokenizer.encode_fast("a", special)).map_err(TextError::Tokenize)?;
    let encoding = encoding.map_err(|e| TextError::Tokenize(e.to_string()))?;
    Ok(encoding.get_ids().first().copied())
}
