//! What can be wrong with a tokenizer, a chat template or a conversation. A text may end in a line `hint: …`, the next
//! thing to try.

use std::path::{Path, PathBuf};

/// Why a text does not become tokens.
#[derive(Debug, thiserror::Error)]
pub enum TextError {
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
    /// The tokenizer has ids that an embedding has no row for.
    #[error("the tokenizer of `{}` has {tokens} tokens, but the embedding has {rows} rows", path.display())]
    Vocabulary {
        /// The folder.
        path: PathBuf,
        /// The highest token id plus one.
        tokens: usize,
        /// Rows of the embedding.
        rows: usize,
    },
    /// A special token that the vocabulary does not know.
    #[error("the {name} `{token}` of `{}` is not in the vocabulary of its tokenizer.json", path.display())]
    SpecialToken {
        /// The file that names it.
        path: PathBuf,
        /// What it is there: `bos_token` or `eos_token`.
        name: &'static str,
        /// The token, by its text or its number.
        token: String,
    },
    /// A text does not encode.
    #[error("cannot tokenize a text: {0}")]
    Tokenize(String),
    /// A chat template that is not Jinja, or refuses a conversation.
    #[error("the chat template of `{}` fails at line {line}: {message}", path.display())]
    Template {
        /// The file it stands in.
        path: PathBuf,
        /// Line of the template, counted from 1.
        line: usize,
        /// What the template, or the engine, said.
        message: String,
    },
    /// The answer cannot be told from the rest of what the template renders.
    #[error(
        "the chat template of `{}` changes what stands around an answer with the answer, so its tokens cannot be told apart:\n\
         expected: {expected}\n\
         rendered: {rendered}",
        path.display()
    )]
    Boundary {
        /// The file it stands in.
        path: PathBuf,
        /// What stands around another answer, where the two first differ.
        expected: String,
        /// What stands there with this answer.
        rendered: String,
    },
    /// The template does not write down what was said.
    #[error(
        "the chat template of `{}` changes an answer:\n\
         said: {answer}\n\
         rendered: {rendered}\n\
         hint: leave out the rows that it changes, or write the template without the cut (`chat_template.jinja` comes first)",
        path.display()
    )]
    Changed {
        /// The file it stands in.
        path: PathBuf,
        /// The answer, where the two first differ.
        answer: String,
        /// What the template makes of it.
        rendered: String,
    },
    /// The template ends this answer by a token that generation does not stop at.
    #[error(
        "the chat template of `{}` ends an answer with `{found}` and others with `{expected}`, so it is not known where to stop",
        path.display()
    )]
    OtherEnd {
        /// The file it stands in.
        path: PathBuf,
        /// What ends the answer to a plain question.
        expected: String,
        /// What ends this one.
        found: String,
    },
    /// An answer that came to its end, and no token to say so.
    #[error(
        "the model folder names no token that ends an answer\n\
         hint: name its `eos_token` in tokenizer_config.json"
    )]
    NoEnd,
}

impl TextError {
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
