//! Conversations as the text that a chat model was trained on, rendered as transformers' `apply_chat_template` does.

use crate::folder::Settings;
use crate::guard::{PATIENCE, guarded};
use crate::source::{PERCENT, prepared};
use crate::{TextError, methods};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Enumerator, Kwargs, Object, Value};
use minijinja::{Environment, Error, ErrorKind, Output, State, UndefinedBehavior, context};
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};
use serde_json::{Map, Value as Json};
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
    /// The special tokens by their names.
    special: Map<String, Json>,
}

/// The name of the one template of an environment.
const NAME: &str = "chat";
/// Longest source of a template in bytes; long ones have a quarter. What nests in it takes stack, and so many brackets or
/// signs fit onto [`STACK`].
const MAX_SOURCE: usize = 128 << 10;
/// Stack of the thread that compiles and renders, in bytes: only what is used of it is ever taken from memory. Lists in
/// lists as deep as [`fuel`] can pay for fit onto it.
const STACK: usize = 768 << 20;
/// The most that a rendering may do, whatever the conversation.
const MAX_FUEL: u64 = 1_000_000;

impl ChatTemplate {
    /// The contents of all turns, one after the other.
    pub fn plain() -> Self {
        Self(None)
    }

    /// The template of a model folder: `chat_template.jinja`, or `chat_template` of tokenizer_config.json (the one named
    /// `default` of several). A folder without one has the plain template.
    ///
    /// Templates see `messages`, `add_generation_prompt`, the special tokens that the folder names (`bos_token`,
    /// `pad_token` and so on), `raise_exception` and Python's methods of texts and dictionaries, and no tools. To print
    /// anything else, or to read it in another way than to ask whether it is there, is an error that names it. What they do
    /// not see is today's date (`strftime_now`): the same conversation must give the same tokens tomorrow. Templates that
    /// ask whether it is defined have a date of their own.
    ///
    /// A template is a program of whoever made the model: it runs on a thread of its own, and its steps, its texts and its
    /// depth are bounded.
    pub fn load(folder: &Path) -> Result<Self, TextError> {
        let settings = Settings::read(folder)?;
        let Some((source, path)) = settings.chat_template()? else {
            return Ok(Self::plain());
        };
        if source.len() > MAX_SOURCE {
            let (found, most) = (source.len(), MAX_SOURCE);
            let reason =
                format!("its chat template has {found} bytes, and {most} are read at most");
            return Err(TextError::malformed(&path, reason));
        }
        let text = source.clone();
        let compiled = guarded(STACK, PATIENCE, move || environment(&prepared(&text)));
        Ok(Self(Some(Jinja {
            environment: compiled
                .map_err(|reason| unusable(&path, &reason))?
                .map_err(|complaint| complaint.at(&path))?,
            path,
            source,
            special: settings.all_special(),
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
        let mut part = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        part(&jinja.source);
        for name in BOTH_ENDS {
            part(
                jinja
                    .special
                    .get(name)
                    .and_then(Json::as_str)
                    .unwrap_or_default(),
            );
        }
        // The others only where the template can ask for them.
        for (name, token) in &jinja.special {
            if !BOTH_ENDS.contains(&name.as_str()) && jinja.source.contains(name) {
                part(name);
                part(&token.to_string());
            }
        }
        hasher.finalize().to_hex().to_string()
    }

    /// The text of a conversation; with `add_generation_prompt` it ends where the answer begins.
    pub fn render(&self, turns: &[Turn], add_generation_prompt: bool) -> Result<String, TextError> {
        let [text] = self.render_all([(turns, add_generation_prompt)])?;
        Ok(text)
    }

    /// The texts of some conversations, on one thread.
    pub(crate) fn render_all<const N: usize>(
        &self,
        conversations: [(&[Turn], bool); N],
    ) -> Result<[String; N], TextError> {
        let Some(jinja) = &self.0 else {
            let text = |turns: &[Turn]| turns.iter().map(|turn| turn.content).collect();
            return Ok(conversations.map(|(turns, _)| text(turns)));
        };
        let mut environment = jinja.environment.clone();
        environment.set_fuel(Some(
            conversations
                .iter()
                .map(|(turns, _)| fuel(turns))
                .max()
                .unwrap_or(0),
        ));
        let inputs =
            conversations.map(|(turns, add)| (turns.iter().map(Message::value).collect(), add));
        let special = jinja.special.clone();
        // No value of the template leaves the thread: to drop a deep one takes its stack.
        let render = move |(messages, add): (Vec<Value>, bool)| -> Result<String, Complaint> {
            let variables = variables(messages, add, &special);
            let strict = environment.get_template(NAME)?.render(&variables);
            match strict {
                Err(error) if is_comparison(&error) => {
                    let mut lenient = environment.clone();
                    lenient.set_undefined_behavior(UndefinedBehavior::Lenient);
                    Ok(lenient.get_template(NAME)?.render(&variables)?)
                }
                strict => Ok(strict?),
            }
        };
        let render_all = move || {
            let mut texts = [const { String::new() }; N];
            for (text, input) in texts.iter_mut().zip(inputs) {
                *text = render(input)?;
            }
            Ok(texts)
        };
        guarded(STACK, PATIENCE, render_all)
            .map_err(|reason| unusable(&jinja.path, &reason))?
            .map_err(|complaint: Complaint| complaint.at(&jinja.path))
    }
}

/// The two tokens that texts begin and end with.
const BOTH_ENDS: [&str; 2] = ["bos_token", "eos_token"];

/// What rendering a conversation may cost: a unit is a step of the template or 64 bytes of a text. The templates of the
/// field need some dozens of steps a turn, and look at each text a few times.
fn fuel(turns: &[Turn]) -> u64 {
    let bytes: usize = turns.iter().map(|t| t.role.len() + t.content.len()).sum();
    let needed = 200_000 + 1_000 * turns.len() as u64 + bytes as u64 / 2;
    needed.min(MAX_FUEL)
}

/// What a template sees.
fn variables(
    messages: Vec<Value>,
    add_generation_prompt: bool,
    special: &Map<String, Json>,
) -> Value {
    let ours = context! {
        messages,
        add_generation_prompt,
        tools => (),
        documents => (),
    };
    let special = special.iter().map(|(name, token)| match token {
        Json::Array(texts) => (name, texts.iter().filter_map(Json::as_str).collect()),
        text => (name, Value::from(text.as_str())),
    });
    context! { ..ours, ..Value::from_pairs(special.map(|(name, token)| (name.as_str(), token))) }
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
fn environment(source: &str) -> Result<Environment<'static>, Complaint> {
    let mut environment = Environment::new();
    // Errors name the expression that failed, in a release build as well.
    environment.set_debug(true);
    let mut syntax = SyntaxConfig::builder();
    environment.set_syntax(syntax.trim_blocks(true).lstrip_blocks(true).build()?);
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_formatter(format);
    environment.set_unknown_method_callback(methods::call);
    // These two print what Jinja does not.
    environment.remove_filter("pprint");
    environment.remove_global("debug");
    environment.add_filter("tojson", to_json);
    environment.add_filter(PERCENT, methods::percent);
    environment.add_function("raise_exception", |message: String| {
        Err::<Value, _>(Error::new(ErrorKind::InvalidOperation, message))
    });
    environment.add_template_owned(NAME, source.to_owned())?;
    Ok(environment)
}

/// Whether an undefined value was only compared with another. It is unequal to all in Jinja, and the engine has no
/// setting that allows this and forbids to print one.
fn is_comparison(error: &Error) -> bool {
    let place = error.template_source().zip(error.range());
    let failed = place.and_then(|(source, range)| source.get(range));
    error.kind() == ErrorKind::UndefinedError
        && failed.is_some_and(|code| {
            [" == ", " != ", " in "]
                .iter()
                .any(|sign| code.contains(sign))
        })
}

/// What the engine has to say, without the values that its errors carry.
struct Complaint {
    line: usize,
    message: String,
}

impl From<Error> for Complaint {
    fn from(error: Error) -> Self {
        let said = error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned);
        let message = match error.kind() {
            ErrorKind::OutOfFuel => {
                "it does more than any conversation of this length needs: a loop, a recursion or a text grows without bound"
                    .into()
            }
            ErrorKind::UnknownFunction if said.contains("strftime_now") => {
                "`strftime_now` is left out on purpose: with today's date the same conversation would have other tokens \
                 tomorrow\nhint: write a date into the template, or ask `strftime_now is defined` first"
                    .into()
            }
            ErrorKind::UndefinedError if said.contains("_token`") => {
                format!("{said}\nhint: name the token in tokenizer_config.json")
            }
            _ => said,
        };
        Self {
            line: error.line().unwrap_or(1),
            message,
        }
    }
}

impl Complaint {
    fn at(self, path: &Path) -> TextError {
        TextError::Template {
            path: path.into(),
            line: self.line,
            message: self.message,
        }
    }
}

fn unusable(path: &Path, reason: &str) -> TextError {
    TextError::malformed(path, format!("its chat template cannot be used: {reason}"))
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
fn to_json(state: &State, value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    if ascii == Some(true) {
        let message = "tojson writes characters as they are; `ensure_ascii=true` is not supported";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    if value.is_undefined() {
        let message = "an undefined value is given to tojson";
        return Err(Error::new(ErrorKind::UndefinedError, message));
    }
    let mut out = Bounded {
        bytes: Vec::new(),
        left: methods::affordable(state) / JSON_BYTE,
    };
    let most = out.left;
    let written = match indent {
        Some(spaces) if spaces > most => {
            Err(serde_json::Error::io(io::ErrorKind::StorageFull.into()))
        }
        Some(spaces) => {
            let spaces = " ".repeat(spaces);
            let pretty = PrettyFormatter::with_indent(spaces.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut out, pretty))
        }
        None => value.serialize(&mut Serializer::with_formatter(&mut out, OneLine)),
    };
    let failed = |e: &dyn std::error::Error| Error::new(ErrorKind::BadSerialization, e.to_string());
    match written {
        Err(error) if error.is_io() => return Err(ErrorKind::OutOfFuel.into()),
        written => written.map_err(|e| failed(&e))?,
    }
    methods::pay(state, out.bytes.len() * JSON_BYTE)?;
    let text = String::from_utf8(out.bytes).map_err(|e| failed(&e))?;
    Ok(text.into())
}

/// A byte of JSON costs as much as so many bytes of text.
const JSON_BYTE: usize = 16;

/// Takes so many bytes and no more.
struct Bounded {
    bytes: Vec<u8>,
    left: usize,
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.checked_sub(bytes.len());
        self.left = left.ok_or(io::ErrorKind::StorageFull)?;
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
