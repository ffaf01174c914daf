//! What can be wrong with a model folder or a device name. A text may end in a line `hint: …`, the next thing to try.

use std::path::{Path, PathBuf};
use w2s_artifact::StoreError;
use w2s_text::TextError;

/// Why a model cannot be read, written or placed.
#[derive(Debug, thiserror::Error)]
pub enum LmError {
    /// A file cannot be read or written.
    #[error("cannot {action} `{}`", path.display())]
    File {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is there but does not say what it should.
    #[error("`{}` is not usable: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model needs something that is not implemented.
    #[error("`{}` asks for {what}, which w2s does not implement", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it asks for.
        what: String,
    },
    /// The folder holds no weights that can be read.
    #[error("model folder `{}` has no `model.safetensors`{}", path.display(), weights_hint(*pickle))]
    NoWeights {
        /// The folder.
        path: PathBuf,
        /// Whether it holds pickle files instead.
        pickle: bool,
    },
    /// A tensor that the configuration calls for is not in the files.
    #[error("`{}` has no tensor `{name}`, which its config.json calls for", path.display())]
    MissingTensor {
        /// The folder.
        path: PathBuf,
        /// The tensor's name in the file.
        name: String,
    },
    /// A tensor has another shape than the configuration says.
    #[error("tensor `{name}` of `{}` is {found:?}, but its config.json says {expected:?}", path.display())]
    Misshapen {
        /// The folder.
        path: PathBuf,
        /// The tensor's name in the file.
        name: String,
        /// Its shape in the file.
        found: Vec<usize>,
        /// Its shape by the configuration.
        expected: Vec<usize>,
    },
    /// Tensors that are there and have no place in what the configuration describes.
    #[error(
        "`{}` has tensors that its config.json does not call for, and a model that read them would compute something else: {names}\n\
         hint: say in config.json what they are for, or write the folder again without them; `base import --drop-layers` \
         leaves layers out",
        path.display()
    )]
    Unread {
        /// The folder.
        path: PathBuf,
        /// Their names, those that differ in a number alone told once.
        names: String,
    },
    /// The model computes what is no number.
    #[error("{0}")]
    NotFinite(String),
    /// A tokenizer or a chat template is not usable, or a text does not encode.
    #[error(transparent)]
    Text(#[from] TextError),
    /// A conversation that does not become tokens.
    #[error("{what} does not encode")]
    Encode {
        /// What it is, such as `pair 7`.
        what: String,
        /// Why.
        source: TextError,
    },
    /// No row is left to work on.
    #[error("{0}")]
    NothingLeft(String),
    /// Label words that do not name the classes.
    #[error("{0}")]
    LabelWords(String),
    /// An adapter that does not fit the model, or the place it is saved in.
    #[error("{0}")]
    Lora(String),
    /// A model and examples or features that do not belong together.
    #[error("{0}")]
    Mismatch(String),
    /// An artifact that cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Layers to drop that the model does not have, or all of them.
    #[error("{0}")]
    Layers(String),
    /// A prompt or a setting that nothing can be generated from.
    #[error("{0}")]
    Generation(String),
    /// Generation was told to stop before it was done.
    #[error("generation was interrupted")]
    Interrupted,
    /// A device that this build or this program does not know.
    #[error("{0}")]
    Device(String),
}

fn weights_hint(pickle: bool) -> &'static str {
    if pickle {
        ", and pickle weights are not read: they can run code\nhint: convert them in Python: \
         `AutoModelForCausalLM.from_pretrained(folder).save_pretrained(new_folder)`"
    } else {
        "\nhint: name the folder that holds config.json, model.safetensors and tokenizer.json"
    }
}

impl LmError {
    pub(crate) fn read(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            action: "read",
            path: path.into(),
            source,
        }
    }

    pub(crate) fn write(path: &Path, source: std::io::Error) -> Self {
        Self::File {
            action: "write",
            path: path.into(),
            source,
        }
    }

    pub(crate) fn malformed(path: &Path, reason: impl ToString) -> Self {
        Self::Malformed {
            path: path.into(),
            reason: reason.to_string(),
        }
    }
}
