//! Conversations as the text that a chat model was trained on, rendered as transformers' `apply_chat_template` does.

use crate::TextError;
use crate::folder::Settings;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Kwargs, Object, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State, context};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One turn of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn<'a> {
    /// Who speaks: `system`, `user` or `assistant`, or whatever else the template knows.
    pub role: &'a str,
    /// What is said.
    pub content: &'a str,
}

/// How a conversation becomes one text. The plain template, for base models, is the contents of all turns one after the
/// other as they are; prompts for it carry their own markers.
#[derive(Clone)]
pub struct ChatTemplate(Option<Jinja>);

#[derive(Clone)]
struct Jinja {
    environment: Environment<'static>,
    path: PathBuf,
    source: String,
    bos_token: Option<String>,
    eos_token: Option<String>,
}

/// The name of the one template of an environment.
const NAME: &str = "chat";

impl ChatTemplate {
    /// The contents of all turns, one after the other.
    pub fn plain() -> Self {
        Self(None)
    }

    /// The template of a model folder: `chat_template.jinja`, or `chat_template` of tokenizer_config.json (the one named
    /// `default` of several). A folder without one has the plain template.
    ///
    /// Templates see `messages`, `add_generation_prompt`, `bos_token`, `eos_token`, `raise_exception` and Python's methods
    /// of texts and dictionaries, and no tools. What they do not see is today's date (`strftime_now`): the same
    /// conversation must give the same tokens tomorrow. Templates that ask whether it is defined have a date of their own.
    pub fn load(folder: &Path) -> Result<Self, TextError> {
        let settings = Settings::read(folder)?;
        let Some((source, path)) = settings.chat_template()? else {
            return Ok(Self::plain());
        };
        let text = |name| settings.special(name).map(|(text, _)| text);
        Ok(Self(Some(Jinja {
            environment: environment(&source).map_err(|e| complaint(&path, &e))?,
            path,
            source,
            bos_token: text("bos_token"),
            eos_token: text("eos_token"),
        })))
    }

    /// Whether this is the plain template.
    pub fn is_plain(&self) -> bool {
        self.0.is_none()
    }

    /// The file the template stands in; empty for the plain one.
    pub(crate) fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), |jinja| &jinja.path)
    }

    /// blake3 of the template and its special tokens in hexadecimal, or `plain`: templates with the same hash render the
    /// same texts.
    pub fn hash(&self) -> String {
        let Some(jinja) = &self.0 else {
            return "plain".into();
        };
        let mut hasher = blake3::Hasher::new();
        let tokens = [&jinja.bos_token, &jinja.eos_token].map(|t| t.as_deref().unwrap_or_default());
        for part in [jinja.source.as_str(), tokens[0], tokens[1]] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The text of a conversation; with `add_generation_prompt` it ends where the answer begins.
    pub fn render(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<String, TextError> {
        let Some(jinja) = &self.0 else {
            return Ok(turns.iter().map(|turn| turn.content).collect());
        };
        let messages: Vec<Value> = turns.iter().map(Message::value).collect();
        let token = |token: &Option<String>| token.clone().map_or(Value::UNDEFINED, Value::from);
        let variables = context! {
            messages,
            add_generation_prompt,
            bos_token => token(&jinja.bos_token),
            eos_token => token(&jinja.eos_token),
            tools => (),
            documents => (),
        };
        jinja
            .environment
            .get_template(NAME)
            .and_then(|template| template.render(variables))
            .map_err(|error| complaint(&jinja.path, &error))
    }
}

/// A turn as templates see it: a dictionary whose keys stand in this order, which shows when one is printed.
#[derive(Debug)]
struct Message {
    role: Value,
    content: Value,
}

impl Message {
    fn value(turn: &Turn) -> Value {
        Value::from_object(Self {
            role: turn.role.into(),
            content: turn.content.into(),
        })
    }
}

impl Object for Message {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "role" => Some(self.role.clone()),
            "content" => Some(self.content.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&["role", "content"])
    }
}

/// Jinja as transformers sets it up.
fn environment(source: &str) -> Result<Environment<'static>, Error> {
    let mut environment = Environment::new();
    // Errors name the expression that failed, in a release build as well.
    environment.set_debug(true);
    let mut syntax = SyntaxConfig::builder();
    environment.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_formatter(format);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.add_filter("tojson", to_json);
    environment.add_function("raise_exception", |message: String| {
        Err::<Value, _>(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_template_owned(NAME, without_marks(source))?;
    Ok(environment)
}

/// The template without `generation` blocks, by which some mark the answers for transformers' own masks; what stands in
/// them stays.
fn without_marks(source: &str) -> String {
    let mut source = source.to_owned();
    for begin in ["{% ", "{%- "] {
        for (mark, block) in [("generation", "if true"), ("endgeneration", "endif")] {
            let (mark, block) = (format!("{begin}{mark} "), format!("{begin}{block} "));
            source = source.replace(&mark, &block);
        }
    }
    source
}

fn complaint(path: &Path, error: &Error) -> TextError {
    TextError::Template {
        path: path.into(),
        line: error.line().unwrap_or(1),
        message: error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned),
    }
}

/// Prints a value as Python does.
fn format(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if value.is_none() {
        out.write_str("None")?;
        return Ok(());
    }
    match bool::try_from(value.clone()) {
        Ok(true) => out.write_str("True")?,
        Ok(false) => out.write_str("False")?,
        Err(_) => minijinja::escape_formatter(out, state, value)?,
    }
    Ok(())
}

/// `json.dumps(value, ensure_ascii=False, indent=indent)`.
fn to_json(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    options.assert_all_used()?;
    let mut bytes = Vec::new();
    let written = match indent {
        Some(spaces) => {
            let spaces = " ".repeat(spaces);
            let pretty = PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut serde_json::Serializer::with_formatter(
                &mut bytes, pretty,
            ))
        }
        None => value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut bytes, OneLine,
        )),
    };
    let failed = |e: &dyn std::error::Error| Error::new(ErrorKind::BadSerialization, e.to_string());
    written.map_err(|e| failed(&e))?;
    Ok(String::from_utf8(bytes).map_err(|e| failed(&e))?.into())
}

/// JSON with Python's spaces: after commas and after colons.
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
