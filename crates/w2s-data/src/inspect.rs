//! `w2s-data inspect`: what a model is really given of some conversations, token by token, and what it learns from.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, anyhow, bail};
use console::Style;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use w2s_artifact::{Message, Pair, Prompt, Store, hidden, plain};
use w2s_stage::{ArtifactArg, Command, HintExt};
use w2s_text::{Encoder, Fit, TextError, Tokenizer, Turn};

/// Longest prompt with its answer where nothing else is asked for, in tokens, as in training.
const MAX_TOKENS: usize = 512;
/// The decoder takes so many tokens at most, whatever the model folder says.
const DECODER_POSITIONS: usize = 8192;

/// Prints the tokens of conversations.
#[derive(Clone, Debug, clap::Args)]
pub struct Inspect {
    /// Model whose tokenizer and chat template are used: a checkpoint, or the path of a model folder
    #[arg(long, value_name = "ARTIFACT|FOLDER")]
    pub model: String,
    /// What to look at
    #[command(flatten)]
    pub rows_of: RowsOf,
    /// How many rows to print; the counts are of these
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub rows: usize,
    /// Longest prompt with its answer in tokens [default: 512, or the model's positions if they are fewer]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// What happens to longer ones
    #[arg(long, value_enum, default_value_t = TooLong::Drop, value_name = "CHOICE")]
    pub too_long: TooLong,
    /// How a conversation becomes text
    #[arg(long, value_enum, default_value_t = TemplateName::Model, value_name = "NAME")]
    pub template: TemplateName,
    /// Tokenize prompt and answer apart
    #[arg(long)]
    pub separate: bool,
    /// Print the tokens of sensitive data sets, too; otherwise a hash of the text stands for them
    #[arg(long)]
    pub show_texts: bool,
}

/// How a conversation becomes text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TemplateName {
    /// By the model's chat template; plain where it has none
    Model,
    /// The contents of all turns as they are
    Plain,
}

/// What happens to a conversation that has too many tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum TooLong {
    /// It is left out
    Drop,
    /// Its answer is cut at its end
    Truncate,
}

/// Where conversations come from.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
pub struct RowsOf {
    /// Pairs: each is printed with both answers
    #[arg(long, value_name = "ARTIFACT")]
    pub pairs: Option<ArtifactArg>,
    /// Prompts, as generation starts from them
    #[arg(long, value_name = "ARTIFACT")]
    pub prompts: Option<ArtifactArg>,
    /// JSON lines with `messages` (a list of `role` and `content`) or `prompt`, and `answer`, or `chosen` and `rejected`
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

impl Command for Inspect {
    const NAME: &'static str = "inspect";
    const ABOUT: &'static str =
        "Prints conversations as the tokens a model is given, and which of them are in the loss";

    fn run(&self, store: &Store) -> anyhow::Result<Value> {
        if self.max_tokens == Some(0) {
            bail!("--max-tokens is 0; it must be above zero");
        }
        let folder = self.model_folder(store)?;
        let positions = positions(&folder)?.unwrap_or(DECODER_POSITIONS);
        let max_tokens = self.max_tokens.unwrap_or(MAX_TOKENS).min(positions);
        let mut encoder = Encoder::load(&folder, max_tokens)?;
        if self.template == TemplateName::Plain {
            encoder = encoder.plain();
        }
        let encoder = encoder
            .separate(self.separate)
            .truncate(self.too_long == TooLong::Truncate);
        let mut counts = Counts::default();
        let rows = self.rows_of.read(store, self.rows)?;
        let hides = rows.are_sensitive && !self.show_texts;
        for row in rows.rows {
            let lines = row
                .show(&encoder, hides, &mut counts)
                .with_context(|| format!("cannot show {}", row.name))?;
            // A reader that went away is no failure.
            let _ = io::stdout().write_all(lines.as_bytes());
        }
        Ok(serde_json::to_value(&counts)?)
    }
}

impl Inspect {
    /// A folder with a tokenizer is taken as it is; everything else is the name of an artifact.
    fn model_folder(&self, store: &Store) -> anyhow::Result<PathBuf> {
        let folder = Path::new(&self.model);
        if folder.join("tokenizer.json").exists() {
            return Ok(folder.into());
        }
        Ok(store.require(&store.resolve(&self.model)?)?.path)
    }
}

/// How many tokens the model in a folder takes, in an adapter's folder its base; nothing where there is only a tokenizer.
fn positions(folder: &Path) -> anyhow::Result<Option<usize>> {
    let read = |name: &str| -> anyhow::Result<Option<Value>> {
        let path = folder.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let value = serde_json::from_str(&text);
        Ok(Some(value.with_context(|| path.display().to_string())?))
    };
    let Some(config) = read("config.json")? else {
        let adapter = read("adapter_config.json")?.unwrap_or_default();
        let base = adapter["base_model_name_or_path"].as_str();
        return base.map_or(Ok(None), |base| positions(&folder.join(base)));
    };
    // Llama and Qwen2 have one name for it, GPT-2 another, each with a default.
    let (name, default) = match config["model_type"].as_str() {
        Some("gpt2") => ("n_positions", 1024),
        _ => ("max_position_embeddings", 2048),
    };
    let positions = config[name].as_u64().map_or(default, |n| n as usize);
    Ok(Some(positions.min(DECODER_POSITIONS)))
}

/// Rows to look at.
struct Rows {
    rows: Vec<Row>,
    are_sensitive: bool,
}

impl RowsOf {
    fn read(&self, store: &Store, limit: usize) -> anyhow::Result<Rows> {
        if let Some(pairs) = &self.pairs {
            let artifact = store.require(&store.resolve(pairs.as_str())?)?;
            let pairs = artifact.records::<Pair>()?.into_iter().take(limit);
            return Ok(Rows {
                rows: pairs.map(Row::from).collect(),
                are_sensitive: artifact.is_sensitive(),
            });
        }
        if let Some(prompts) = &self.prompts {
            let artifact = store.require(&store.resolve(prompts.as_str())?)?;
            let prompts = artifact.records::<Prompt>()?.into_iter().take(limit);
            return Ok(Rows {
                rows: prompts.map(Row::from).collect(),
                are_sensitive: artifact.is_sensitive(),
            });
        }
        let path = self.file.as_deref().unwrap_or(Path::new(""));
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().enumerate();
        let filled = lines.filter(|(_, line)| !line.trim().is_empty());
        let row = |(index, line)| Row::from_line(path, index + 1, line);
        Ok(Rows {
            rows: filled.take(limit).map(row).collect::<Result<_, _>>()?,
            are_sensitive: false,
        })
    }
}

/// A conversation with the answers to look at.
struct Row {
    name: String,
    messages: Vec<Message>,
    answers: Vec<Answer>,
}

/// An answer, what it is called, and whether it came to its end.
struct Answer {
    name: &'static str,
    text: String,
    finished: bool,
}

impl From<Pair> for Row {
    fn from(pair: Pair) -> Self {
        let sides = [("chosen", pair.chosen), ("rejected", pair.rejected)];
        let answer = |(name, side): (_, w2s_artifact::Answer)| Answer {
            name,
            text: side.text,
            finished: side.finished,
        };
        Self {
            name: format!("pair {}", pair.id),
            messages: pair.messages,
            answers: sides.map(answer).into(),
        }
    }
}

impl From<Prompt> for Row {
    fn from(prompt: Prompt) -> Self {
        Self {
            name: format!("prompt {}", prompt.id),
            messages: prompt.messages,
            answers: Vec::new(),
        }
    }
}

/// A line of a file. Other keys are of no interest.
#[derive(Deserialize)]
struct Line {
    messages: Option<Vec<Message>>,
    prompt: Option<String>,
    answer: Option<String>,
    chosen: Option<String>,
    rejected: Option<String>,
}

impl Row {
    fn from_line(path: &Path, number: usize, line: &str) -> anyhow::Result<Self> {
        let place = || format!("{}:{number}", path.display());
        let line: Line = serde_json::from_str(line).with_context(place)?;
        let user = |content| Message {
            role: "user".into(),
            content,
        };
        let Some(messages) = line.messages.or(line.prompt.map(|text| vec![user(text)])) else {
            return Err(anyhow!("{}: neither `messages` nor `prompt`", place()))
                .hint("`w2s-data pairs` reads other layouts of preference files");
        };
        let answers = [
            ("answer", line.answer),
            ("chosen", line.chosen),
            ("rejected", line.rejected),
        ];
        let given = |(name, text): (_, Option<String>)| {
            Some(Answer {
                name,
                text: text?,
                finished: true,
            })
        };
        Ok(Self {
            name: place(),
            messages,
            answers: answers.into_iter().filter_map(given).collect(),
        })
    }

    /// The row as lines: for each answer one that says what it is, and one of its tokens, or of their hash where they are hidden.
    fn show(
        &self,
        encoder: &Encoder,
        hides: bool,
        counts: &mut Counts,
    ) -> Result<String, TextError> {
        let spell = |ids: &[u32], first_in_loss: usize| match hides {
            true => hidden(&encoder.tokenizer().decode(ids).unwrap_or_default()),
            false => spell(encoder, ids, first_in_loss),
        };
        let messages = self.messages.iter();
        let turns: Vec<Turn> = messages
            .map(|message| Turn {
                role: &message.role,
                content: &message.content,
            })
            .collect();
        let mut lines = String::new();
        counts.rows += 1;
        if self.answers.is_empty() {
            let ids = encoder.prompt(&turns)?;
            counts.tokens += ids.len();
            lines += &heading(&self.name, &format!("{} tokens", ids.len()));
            lines += &spell(&ids, ids.len());
            lines += "\n\n";
        }
        for answer in &self.answers {
            let fit = encoder.answer(&turns, &answer.text, answer.finished)?;
            if let Some(reason) = fit.reason() {
                *counts.dropped.entry(reason).or_default() += 1;
            }
            let limit = encoder.max_tokens();
            let what = match &fit {
                Fit::Fits(encoded) => {
                    let (tokens, in_loss) = (encoded.ids.len(), encoded.answer.len());
                    counts.tokens += tokens;
                    counts.tokens_in_loss += in_loss;
                    counts.truncated += usize::from(encoded.cut > 0);
                    let end = match encoded.cut {
                        0 if answer.finished => String::new(),
                        0 => ", unfinished".to_owned(),
                        cut => format!(", {cut} cut off its end"),
                    };
                    format!("{tokens} tokens, {in_loss} in the loss{end}")
                }
                Fit::TooLong { tokens } => {
                    format!("dropped, {tokens} tokens are more than {limit}")
                }
                Fit::NoRoom { prompt_tokens } => {
                    format!(
                        "dropped, the {prompt_tokens} tokens of its prompt leave no room in {limit}"
                    )
                }
                Fit::Empty => "dropped, the prompt or the answer has no token".to_owned(),
                Fit::EndsInside { token } => {
                    let token = spelling(encoder.tokenizer(), *token);
                    format!("dropped, `{token}` inside of it would end it")
                }
            };
            lines += &heading(&format!("{}, {}", self.name, answer.name), &what);
            if let Fit::Fits(encoded) = &fit {
                lines += &spell(&encoded.ids, encoded.answer.start);
                lines += "\n";
            }
            lines += "\n";
        }
        Ok(lines)
    }
}

fn heading(name: &str, what: &str) -> String {
    format!("{}: {what}\n", Style::new().bold().apply_to(plain(name)))
}

/// What is known about all that was printed.
#[derive(Default, Serialize)]
struct Counts {
    rows: usize,
    tokens: usize,
    tokens_in_loss: usize,
    /// Answers that were cut at their end.
    truncated: usize,
    /// Answers by the reason they cannot be learned from.
    dropped: BTreeMap<&'static str, usize>,
}

/// Tokens side by side: those of the prompt with a bar behind each, those in the loss in brackets.
fn spell(encoder: &Encoder, ids: &[u32], first_in_loss: usize) -> String {
    let tokenizer = encoder.tokenizer();
    let token = |(place, &id): (usize, &u32)| {
        let (text, special) = (spelling(tokenizer, id), tokenizer.is_special(id));
        let style = Style::new();
        let style = if special { style.bold() } else { style };
        if place < first_in_loss {
            let style = if special { style.blue() } else { style.dim() };
            format!("{}|", style.apply_to(text))
        } else {
            style.green().apply_to(format!("[{text}]")).to_string()
        }
    };
    ids.iter().enumerate().map(token).collect()
}

/// A token as a person reads it, on one line. One that is a part of a character, or that its decoder takes for the start of
/// a text, is spelled as in the vocabulary.
fn spelling(tokenizer: &Tokenizer, id: u32) -> String {
    let known = tokenizer
        .token_text(id)
        .unwrap_or_else(|| format!("<{id}>"));
    // White space in vocabularies of bytes and of words.
    let known = known.replace(['Ġ', '▁'], " ").replace('Ċ', "\n");
    let text = match tokenizer.decode(&[id]) {
        Ok(text) if !known.is_ascii() && !text.is_empty() && !text.contains('\u{fffd}') => text,
        _ => known,
    };
    let text = text
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace('\t', "\\t");
    plain(&text).into_owned()
}
