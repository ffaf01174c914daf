//! A prompt and its answer as token ids, and which of them are the answer.

use crate::folder::Settings;
use crate::{ChatTemplate, TextError, Tokenizer, Turn};
use std::ops::Range;
use std::path::Path;

/// Stands for an answer to find where a template puts it: characters for private use, which no text has, and no white
/// space that a template could strip.
const SENTINEL: &str = "\u{f8f0}\u{f8f1}\u{f8f2}";
/// How many characters around a mismatch an error shows.
const SHOWN: usize = 40;

/// Turns conversations into tokens, once and whole.
///
/// # The rules
///
/// - The template renders prompt and answer together, and the text is tokenised once. Which tokens are the answer's is read
///   off their places in the text: the answer begins where the prompt with its generation prompt ends, and a token that
///   reaches over that boundary belongs to the answer.
/// - A finished answer ends with the token that generation stops at, and nothing after it: the first added token that the
///   template puts after the answer, special or not, or else the `eos_token`. An unfinished answer ends with its last word and has neither.
/// - A model whose tokenizer begins texts with a `bos_token` gets one, and one only, whether the template writes it or not.
/// - The answer is what was said: a template that leaves out or rewrites part of it, such as the reasoning before
///   `</think>`, is an error. White space around it is the template's.
/// - Nothing is cut unless [`truncate`](Self::truncate) asks for it.
#[derive(Clone)]
pub struct Encoder {
    tokenizer: Tokenizer,
    template: ChatTemplate,
    /// The `eos_token`.
    eos: Option<u32>,
    /// What ends an answer by the template, where the template does.
    end_of_turn: Option<u32>,
    max_tokens: usize,
    separate: bool,
    truncate: bool,
}

/// A prompt with an answer, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// All tokens: the prompt's, then the answer's.
    pub ids: Vec<u32>,
    /// Which of them are the answer, and so in the loss; the token that ends it included if it is finished.
    pub answer: Range<usize>,
    /// How many tokens of the answer were cut off its end; 0 unless [`Encoder::truncate`] asks for it. A cut answer counts
    /// as unfinished.
    pub cut: usize,
    /// How many bytes of the answer's text went with them.
    pub cut_bytes: usize,
}

/// Whether a prompt with an answer can be learned from. Whoever drops those that cannot counts them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It can.
    Fits(Encoded),
    /// It has more tokens than allowed.
    TooLong {
        /// Tokens of prompt and answer.
        tokens: usize,
    },
    /// The prompt alone leaves no token for the answer.
    NoRoom {
        /// Tokens of the prompt.
        prompt_tokens: usize,
    },
    /// The answer has no token, or nothing stands before it: one of both is empty or white space.
    Empty,
    /// The answer holds a token that would have ended it, so nobody can have given it.
    EndsInside {
        /// The token.
        token: u32,
    },
}

impl Fit {
    /// Why it cannot, in one word for a table of counts.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Fits(_) => None,
            Self::TooLong { .. } => Some("too_long"),
            Self::NoRoom { .. } => Some("no_room"),
            Self::Empty => Some("empty"),
            Self::EndsInside { .. } => Some("ends_inside"),
        }
    }
}

impl Encoder {
    /// An encoder with the tokenizer, the chat template and the `eos_token` of a model folder. `max_tokens` is the longest
    /// prompt with its answer.
    ///
    /// # Errors
    /// Those of [`Tokenizer::load`], [`ChatTemplate::load`] and [`Encoder::new`], and an `eos_token` that is not in the
    /// vocabulary.
    pub fn load(folder: &Path, max_tokens: usize) -> Result<Self, TextError> {
        let tokenizer = Tokenizer::load(folder)?;
        let eos = eos(&tokenizer, &Settings::read(folder)?)?;
        Self::new(tokenizer, ChatTemplate::load(folder)?, eos, max_tokens)
    }

    /// An encoder of these parts. The template is tried on a question and an answer.
    ///
    /// # Errors
    /// [`TextError::Template`] and [`TextError::Boundary`] where the template does not get over that.
    pub fn new(
        tokenizer: Tokenizer,
        template: ChatTemplate,
        eos: Option<u32>,
        max_tokens: usize,
    ) -> Result<Self, TextError> {
        let mut encoder = Self {
            tokenizer,
            template,
            eos,
            end_of_turn: None,
            max_tokens,
            separate: false,
            truncate: false,
        };
        let question = Turn {
            role: "user",
            content: "?",
        };
        let layout = encoder.layout(&[question], "!")?;
        let after = &layout.text[layout.end..];
        let tokens = encoder.tokenizer.encode_spans(after)?;
        let ending = encoder.tokenizer.first_added(after, &tokens);
        encoder.end_of_turn = ending.map(|place| tokens[place].0);
        Ok(encoder)
    }

    /// The same with the plain template, whatever the model folder has.
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.template = ChatTemplate::plain();
        self.end_of_turn = None;
        self
    }

    /// The same with prompt and answer tokenised apart and joined, so that answers to one prompt share its tokens to the
    /// last. No token reaches over the boundary then, and the tokens at it may be others than the model knows.
    #[must_use]
    pub fn separate(mut self, separate: bool) -> Self {
        self.separate = separate;
        self
    }

    /// The same with answers that are too long cut at their end instead of reported as [`Fit::TooLong`].
    #[must_use]
    pub fn truncate(mut self, truncate: bool) -> Self {
        self.truncate = truncate;
        self
    }

    /// The same with this `eos_token` where the model folder names none.
    #[must_use]
    pub fn or_eos(mut self, eos: Option<u32>) -> Self {
        self.eos = self.eos.or(eos);
        self
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The template.
    pub fn template(&self) -> &ChatTemplate {
        &self.template
    }

    /// The longest prompt with its answer, in tokens.
    pub fn max_tokens(&self) -> usize {
        self.max_tokens
    }

    /// The tokens that generation stops at: what ends an answer here, and the `eos_token`.
    pub fn stop_ids(&self) -> Vec<u32> {
        let mut ids: Vec<u32> = self.end_of_turn.into_iter().chain(self.eos).collect();
        ids.dedup();
        ids
    }

    /// The tokens that an answer to a conversation is generated from.
    pub fn prompt(&self, turns: &[Turn]) -> Result<Vec<u32>, TextError> {
        let text = self.template.render(turns, true)?;
        let mut tokens = self.tokenizer.encode_spans(&text)?;
        self.begin(&mut tokens);
        Ok(tokens.into_iter().map(|(id, _)| id).collect())
    }

    /// A conversation with an answer. `finished` says that the answer came to its end, and is to be taught to stop there.
    ///
    /// # Errors
    /// Whatever the template says, and [`TextError::NoEnd`] for a finished answer where there is no token to end it.
    pub fn answer(&self, turns: &[Turn], answer: &str, finished: bool) -> Result<Fit, TextError> {
        if answer.trim().is_empty() {
            return Ok(Fit::Empty);
        }
        let Layout { text, start, end } = self.layout(turns, answer)?;
        // What a template writes after the answer is read for the token that ends it, and not at all without one.
        let whole = finished && self.end_of_turn.is_some();
        let text = if whole { &text } else { &text[..end] };
        let mut tokens = if self.separate {
            let mut tokens = self.tokenizer.encode_spans(&text[..start])?;
            let answer = self.tokenizer.encode_spans(&text[start..])?;
            let moved = |span: Range<usize>| span.start + start..span.end + start;
            tokens.extend(answer.into_iter().map(|(id, span)| (id, moved(span))));
            tokens
        } else {
            self.tokenizer.encode_spans(text)?
        };
        self.begin(&mut tokens);
        let count = |found: Option<usize>| found.unwrap_or(tokens.len());
        let first = count(tokens.iter().position(|(_, span)| span.end > start));
        let beyond = count(tokens.iter().position(|(_, span)| span.start >= end));
        if first == 0 || first >= beyond {
            return Ok(Fit::Empty);
        }
        let stops = self.stop_ids();
        let mut said = tokens[first..beyond].iter().map(|(id, _)| *id);
        if let Some(token) = said.find(|id| stops.contains(id)) {
            return Ok(Fit::EndsInside { token });
        }
        let ending = self.tokenizer.first_added(text, &tokens[beyond..]);
        if let Some(place) = ending
            && !stops.contains(&tokens[beyond + place].0)
        {
            return Err(self.other_end(tokens[beyond + place].0));
        }
        let mut ids: Vec<u32> = tokens.iter().map(|(id, _)| *id).collect();
        ids.truncate(ending.map_or(beyond, |place| beyond + place + 1));
        if finished && ending.is_none() {
            ids.push(self.eos.ok_or(TextError::NoEnd)?);
        }
        if first >= self.max_tokens {
            return Ok(Fit::NoRoom {
                prompt_tokens: first,
            });
        }
        let cut = ids.len().saturating_sub(self.max_tokens);
        if cut > 0 && !self.truncate {
            return Ok(Fit::TooLong { tokens: ids.len() });
        }
        ids.truncate(self.max_tokens);
        let cut_bytes = match cut {
            0 => 0,
            _ => end.saturating_sub(tokens[self.max_tokens - 1].1.end),
        };
        Ok(Fit::Fits(Encoded {
            answer: first..ids.len(),
            ids,
            cut,
            cut_bytes,
        }))
    }

    /// One `bos_token` before the text, where the tokenizer wants it.
    fn begin(&self, tokens: &mut Vec<(u32, Range<usize>)>) {
        let Some(bos) = self.tokenizer.bos() else {
            return;
        };
        match tokens.iter().take_while(|(id, _)| *id == bos).count() {
            0 => tokens.insert(0, (bos, 0..0)),
            written => drop(tokens.drain(1..written)),
        }
    }

    /// Where the answer stands in what the template renders.
    fn layout(&self, turns: &[Turn], answer: &str) -> Result<Layout, TextError> {
        let with = |content| {
            let answer = Turn {
                role: "assistant",
                content,
            };
            [turns, &[answer]].concat()
        };
        if self.template.is_plain() {
            let prompt = self.template.render(turns, true)?;
            let (start, text) = (prompt.len(), prompt + answer);
            let end = text.len();
            return Ok(Layout { text, start, end });
        }
        let (whole, frame) = (with(answer), with(SENTINEL));
        let [prompt, text, frame] =
            self.template
                .render_all([(turns, true), (&whole, false), (&frame, false)])?;
        let (before, after) = frame.split_once(SENTINEL).unwrap_or((&frame, ""));
        let between = |before: &str| text.strip_prefix(before)?.strip_suffix(after);
        // A template that writes down the reasoning of an answer, and the place for it where there is none, has two
        // beginnings; both follow the prompt.
        let said = |before: &str| {
            let inside = between(before).filter(|inside| inside.trim() == answer.trim())?;
            Some(before.len() + inside.len())
        };
        let framed = frame.contains(SENTINEL);
        let found = [before, &prompt].into_iter().filter(|_| framed);
        let found = found
            .filter_map(|before| Some((before, said(before)?)))
            .next();
        let Some((before, end)) = found else {
            return Err(match between(before).filter(|_| framed) {
                Some(inside) => self.changed(answer, inside),
                None => self.boundary(&frame, &text),
            });
        };
        Ok(Layout {
            start: if before.starts_with(&prompt) {
                prompt.len()
            } else {
                before.len()
            },
            end,
            text,
        })
    }

    /// What stands for the end of this answer and is not what generation stops at.
    fn other_end(&self, found: u32) -> TextError {
        let spelt = |id: Option<u32>| id.and_then(|id| self.tokenizer.token_text(id));
        TextError::OtherEnd {
            path: self.template.path().into(),
            expected: spelt(self.end_of_turn).unwrap_or_default(),
            found: spelt(Some(found)).unwrap_or_default(),
        }
    }

    /// The answer and what the template makes of it, from a little before the place where they part.
    fn changed(&self, answer: &str, rendered: &str) -> TextError {
        let (answer, rendered) = (answer.trim(), rendered.trim());
        TextError::Changed {
            path: self.template.path().into(),
            answer: parting(answer, rendered),
            rendered: parting(rendered, answer),
        }
    }

    /// Both texts from a little before the place where they part.
    fn boundary(&self, frame: &str, text: &str) -> TextError {
        let named = |shown: String| shown.replace(&SENTINEL.escape_debug().to_string(), "(answer)");
        TextError::Boundary {
            path: self.template.path().into(),
            expected: named(parting(frame, text)),
            rendered: named(parting(text, frame)),
        }
    }
}

/// A text from a little before the place where it parts from another.
fn parting(text: &str, other: &str) -> String {
    let same = text.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    let from = same.count().saturating_sub(SHOWN);
    let shown: String = text.chars().skip(from).take(2 * SHOWN).collect();
    format!("{shown:?}")
}

/// A rendered conversation with its answer at `start..end`, in bytes.
struct Layout {
    text: String,
    start: usize,
    end: usize,
}

/// The `eos_token` of a model folder.
fn eos(tokenizer: &Tokenizer, settings: &Settings) -> Result<Option<u32>, TextError> {
    if let Some(id) = tokenizer.named(settings, "eos_token")? {
        return Ok(Some(id));
    }
    match settings.eos_id()? {
        Some((id, path)) if tokenizer.token_text(id).is_none() => Err(TextError::SpecialToken {
            path,
            name: "eos_token_id",
            token: id.to_string(),
        }),
        found => Ok(found.map(|(id, _)| id)),
    }
}
