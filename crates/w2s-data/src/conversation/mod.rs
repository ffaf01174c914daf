//! What the rows of prompt and preference files say: a conversation, and perhaps two answers to it of which one is
//! better. The forms people publish are told apart by their columns, row by row.

mod transcript;

mod turns;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use w2s_artifact::Message;

use self::{
    transcript::ASSISTANT,
    turns::{says_something, turns},
};
use crate::{
    error::DataError,
    pairs::Reason,
    source::{Object, json_kind},
};

/// The columns that hold a conversation or a question, the first that is there counts.
const QUESTION_COLUMNS: [&str; 5] = [
    "messages",
    "conversations",
    "prompt",
    "instruction",
    "question",
];
/// Columns that a chat template would say something about, and that a prompt has no room for.
const UNREAD: [&str; 2] = ["tools", "functions"];

/// Where two transcripts without a prompt of their own are cut into prompt and answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// After the first `\n\nAssistant:` of the chosen one, for files with one turn
    First,
    /// After the last `\n\nAssistant:` of the chosen one, as most training scripts do
    Last,
    /// After the last `\n\nAssistant:` up to which both are the same
    #[default]
    Common,
}

/// How rows of files are read.
///
/// A conversation stands in the column `messages` or `conversations` (a list of turns with `role` and `content`, or `from` and
/// `value`), `prompt` (text, or such a list), `instruction` (with `input` after a blank line, where it is not empty) or
/// `question`: the first of them that is there; `system` is put before it. Where there is none, the columns `chosen` and
/// `rejected` hold it: as lists that differ in their last turn, or as transcripts with `\n\nHuman:` and `\n\nAssistant:`. A
/// list may also stand in a text, as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct RowFormat {
    /// Column that holds the conversation or the question [default: messages, conversations, prompt, instruction or question]
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME"))]
    pub prompt_column: Option<String>,
    /// Column whose value rows share that ask variants of one question, which intervals draw together [default: every prompt
    /// for itself]
    #[cfg_attr(feature = "cli", arg(long, value_name = "COLUMN"))]
    pub group: Option<String>,
    /// Where transcripts are cut into prompt and answers
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value_t = Mark::Common))]
    pub mark: Mark,
    /// Keep a transcript as one message, marks and all, for models without a chat template; otherwise its marks become the
    /// turns of a conversation
    #[cfg_attr(feature = "cli", arg(long))]
    pub keep_transcripts: bool,
}

/// How a row wrote its conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A question, or a text that is kept as it is.
    Text,
    /// A text whose marks became turns.
    Transcript,
    /// A list of turns.
    Turns,
}

/// What a row asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer the row holds, where its conversation ends with a turn of the assistant.
    pub reply: Option<String>,
    /// How it was written.
    pub form: Form,
}

/// Two answers to one conversation, of which the first is better.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The better answer.
    pub chosen: String,
    /// The other one.
    pub rejected: String,
    /// The scores of both, from the columns `score_chosen` and `score_rejected`.
    pub scores: [Option<f64>; 2],
    /// How the conversation was written.
    pub form: Form,
}

impl RowFormat {
    /// What a row asks. `None` where the row holds two transcripts with different prompts.
    pub fn question(&self, row: &Object) -> Result<Option<Asked>, DataError> {
        if let Some(asked) = self.conversation(row)? {
            let messages = with_system(row, asked.messages)?;
            return Ok(Some(Asked { messages, ..asked }));
        }
        if !row.values.contains_key("chosen") {
            return Err(no_question(row, &QUESTION_COLUMNS));
        }
        Ok(self.comparison(row)?.ok().map(|pair| Asked {
            messages: pair.messages,
            reply: None,
            form: pair.form,
        }))
    }

    /// The two answers of a row: the columns `chosen` and `rejected`, each a text or a list of turns that ends with the
    /// answer; or `response1` and `response2`, of which `label` (1, 2, or 0 for neither) names the better. A row of which no
    /// pair can be made says why.
    pub fn comparison(&self, row: &Object) -> Result<Result<Comparison, Reason>, DataError> {
        let column = |name: &str| row.values.get(name);
        let (chosen, rejected) = match (column("chosen"), column("rejected")) {
            (Some(chosen), Some(rejected)) => (chosen, rejected),
            _ => match ranked(row)? {
                Some(sides) => sides,
                None => return Ok(Err(Reason::Tied)),
            },
        };
        let asked = self.conversation(row)?;
        let lists = (
            turns(row, "chosen", chosen)?,
            turns(row, "rejected", rejected)?,
        );
        let sides = match lists {
            (Some(chosen), Some(rejected)) => {
                let (before, chosen) = answered(row, "chosen", chosen, asked.as_ref())?;
                let (others, rejected) = answered(row, "rejected", rejected, asked.as_ref())?;
                (before == others).then_some((before, chosen, rejected, Form::Turns))
            }
            (None, None) => {
                let chosen = text(row, "chosen", chosen)?;
                let rejected = text(row, "rejected", rejected)?;
                match asked {
                    Some(Asked { messages, form, .. }) => {
                        let of = |answer| answer_to(form, answer);
                        Some((messages, of(chosen), of(rejected), form))
                    }
                    None => self.cut(row, &chosen, &rejected)?,
                }
            }
            (chosen, _) => {
                let (list, other) = match chosen {
                    Some(_) => ("chosen", "rejected"),
                    None => ("rejected", "chosen"),
                };
                return Err(malformed(
                    row,
                    format!("column `{list}` holds a list of turns, and `{other}` does not"),
                ));
            }
        };
        let Some((messages, chosen, rejected, form)) = sides else {
            return Ok(Err(Reason::PromptsDiffer));
        };
        Ok(Ok(Comparison {
            messages: with_system(row, messages)?,
            chosen,
            rejected,
            scores: [number(row, "score_chosen")?, number(row, "score_rejected")?],
            form,
        }))
    }

    /// The conversation of a row with a column for it, without what stands in the column `system`.
    fn conversation(&self, row: &Object) -> Result<Option<Asked>, DataError> {
        if let Some(column) = UNREAD
            .into_iter()
            .find(|column| says_something(row.values.get(*column)))
        {
            return Err(malformed(
                row,
                format!(
                    "column `{column}` is not read, and a chat template would write it\n\
                     hint: write what it says into a system turn, or leave the row out"
                ),
            ));
        }
        let column = match &self.prompt_column {
            Some(column) if row.values.contains_key(column) => Some(column.as_str()),
            Some(column) => {
                return Err(no_question(row, &[column]));
            }
            None => QUESTION_COLUMNS
                .into_iter()
                .find(|column| present(row, column).is_some()),
        };
        let Some(column) = column else {
            return Ok(None);
        };
        let value = &row.values[column];
        let (mut messages, form) = match turns(row, column, value)? {
            Some(turns) => (turns, Form::Turns),
            None => {
                let mut content = text(row, column, value)?;
                if column == "instruction"
                    && let Some(input) = present(row, "input")
                {
                    let input = text(row, "input", input)?;
                    if !input.trim().is_empty() {
                        content = format!("{content}\n\n{input}");
                    }
                }
                self.said(content)
            }
        };
        let reply = messages.pop_if(|last| last.role == "assistant");
        Ok(Some(Asked {
            messages,
            reply: reply.map(|reply| reply.content),
            form,
        }))
    }

    /// Cuts two transcripts into prompt and answers; `None` where the prompts differ.
    fn cut(
        &self,
        row: &Object,
        chosen: &str,
        rejected: &str,
    ) -> Result<Option<(Vec<Message>, String, String, Form)>, DataError> {
        let end = |(start, mark): (usize, &str)| start + mark.len();
        let shared = |end: &usize| rejected.starts_with(&chosen[..*end]);
        let mut from_last = chosen.rmatch_indices(ASSISTANT).map(end);
        let cut = match self.mark {
            Mark::First => chosen.find(ASSISTANT).map(|start| end((start, ASSISTANT))),
            Mark::Last => from_last.next(),
            Mark::Common => from_last.find(shared),
        };
        if cut.is_none() && !chosen.contains(ASSISTANT) {
            return Err(no_question(row, &QUESTION_COLUMNS));
        }
        Ok(cut.filter(shared).map(|cut| {
            let (messages, form) = self.said(chosen[..cut].to_owned());
            let answer = |transcript: &str| answer_to(form, transcript[cut..].to_owned());
            (messages, answer(chosen), answer(rejected), form)
        }))
    }

    /// A text as the turns of a transcript where it is one, and as one message of a user otherwise.
    fn said(&self, content: String) -> (Vec<Message>, Form) {
        let turns = (!self.keep_transcripts).then(|| transcript::turns(&content));
        match turns.flatten() {
            Some(turns) => (turns, Form::Transcript),
            None => (vec![message("user", content)], Form::Text),
        }
    }
}

/// White space between a mark and an answer belongs to the transcript, and goes with its marks.
fn answer_to(form: Form, answer: String) -> String {
    match form {
        Form::Transcript => answer.trim().to_owned(),
        Form::Text | Form::Turns => answer,
    }
}

/// A conversation after what the column `system` says, where it says something.
fn with_system(row: &Object, mut messages: Vec<Message>) -> Result<Vec<Message>, DataError> {
    let content = match present(row, "system") {
        Some(system) => text(row, "system", system)?,
        None => return Ok(messages),
    };
    match messages.first() {
        _ if content.trim().is_empty() => {}
        Some(first) if first.role == "system" && first.content.trim() != content.trim() => {
            return Err(malformed(
                row,
                "column `system` and the first turn of the conversation, also of the system, say different things",
            ));
        }
        Some(first) if first.role == "system" => {}
        _ => messages.insert(0, message("system", content)),
    }
    Ok(messages)
}

/// The conversation before the last turn of a list, and that turn. A list of the answer alone, or one that begins with a turn
/// of the assistant, goes on from what was asked; any other list is the whole conversation, but for the system.
fn answered(
    row: &Object,
    column: &str,
    mut turns: Vec<Message>,
    asked: Option<&Asked>,
) -> Result<(Vec<Message>, String), DataError> {
    let Some(answer) = turns.pop() else {
        return Err(malformed(row, format!("column `{column}` holds no turn")));
    };
    if answer.role != "assistant" {
        return Err(malformed(
            row,
            format!(
                "the last turn of `{column}` is the answer, and its role is `{}`, not `assistant`",
                answer.role
            ),
        ));
    }
    let before = asked.map_or(&[][..], |asked| &asked.messages);
    let (system, question) = match before {
        [first, question @ ..] if first.role == "system" => (Some(first), question),
        question => (None, question),
    };
    let goes_on = match turns.first() {
        None => true,
        Some(first) => match &first.role[..] {
            "system" | "developer" => false,
            "user" => question.is_empty(),
            _ => true,
        },
    };
    if goes_on {
        turns.splice(0..0, before.iter().cloned());
        return Ok((turns, answer.content));
    }
    let is_system = |turn: &&Message| turn.role == "system";
    match (system, turns.first().filter(is_system)) {
        (Some(system), None) => turns.insert(0, system.clone()),
        (Some(system), Some(own)) if system.content.trim() != own.content.trim() => {
            return Err(malformed(
                row,
                format!(
                    "the conversations of the prompt and of `{column}` have different system turns"
                ),
            ));
        }
        _ => {}
    }
    let whole = &turns[turns.iter().take_while(is_system).count()..];
    if asked.is_some_and(|asked| asked.form == Form::Turns) && !whole.starts_with(question) {
        return Err(malformed(
            row,
            format!(
                "column `{column}` holds a whole conversation, and it is not that of the prompt"
            ),
        ));
    }
    Ok((turns, answer.content))
}

fn message(role: &str, content: String) -> Message {
    Message {
        role: role.to_owned(),
        content,
    }
}

/// The value of a column that is there and not null.
pub(crate) fn present<'a>(row: &'a Object, column: &str) -> Option<&'a Value> {
    row.values.get(column).filter(|value| !value.is_null())
}

/// A text, number or truth as text; null is the empty text, as it is in [`read`](crate::source::read).
pub(crate) fn text(row: &Object, column: &str, value: &Value) -> Result<String, DataError> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        other => Err(DataError::Value {
            place: row.place.clone(),
            column: column.to_owned(),
            found: json_kind(other).to_owned(),
        }),
    }
}

/// The better and the worse of `response1` and `response2`; `None` where neither is.
fn ranked(row: &Object) -> Result<Option<(&Value, &Value)>, DataError> {
    let sides = ["response1", "response2", "label"].map(|column| row.values.get(column));
    let [Some(one), Some(two), Some(label)] = sides else {
        return Err(DataError::NoAnswers {
            place: row.place.clone(),
            present: row.values.keys().cloned().collect(),
        });
    };
    match text(row, "label", label)?.as_str() {
        "1" => Ok(Some((one, two))),
        "2" => Ok(Some((two, one))),
        "0" => Ok(None),
        other => Err(malformed(
            row,
            format!(
                "column `label` holds `{other}`; 1 or 2 for the better response is needed, or 0"
            ),
        )),
    }
}

fn number(row: &Object, column: &str) -> Result<Option<f64>, DataError> {
    let Some(value) = present(row, column) else {
        return Ok(None);
    };
    let text = text(row, column, value)?;
    match text.trim().parse::<f64>() {
        _ if text.trim().is_empty() => Ok(None),
        Ok(number) if number.is_finite() => Ok(Some(number)),
        _ => Err(malformed(
            row,
            format!("column `{column}` holds `{text}`; a number is needed"),
        )),
    }
}

fn no_question(row: &Object, columns: &[&str]) -> DataError {
    DataError::NoQuestion {
        place: row.place.clone(),
        columns: columns.iter().map(ToString::to_string).collect(),
        present: row.values.keys().cloned().collect(),
    }
}

pub(crate) fn malformed(row: &Object, problem: impl Into<String>) -> DataError {
    DataError::Malformed {
        place: row.place.clone(),
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::error::Place;

    pub(super) fn row(values: Value) -> Object {
        let Value::Object(values) = values else {
            panic!("a row is an object")
        };
        let place = Place {
            file: Path::new("rows.jsonl").into(),
            number: 3,
            is_row: false,
        };
        Object { place, values }
    }

    fn format(mark: Mark, keep_transcripts: bool) -> RowFormat {
        RowFormat {
            mark,
            keep_transcripts,
            ..RowFormat::default()
        }
    }

    pub(super) fn said(turns: &[(&str, &str)]) -> Vec<Message> {
        turns
            .iter()
            .map(|(role, content)| message(role, (*content).to_owned()))
            .collect()
    }

    fn pair(format: &RowFormat, values: Value) -> (Vec<Message>, String, String) {
        match format.comparison(&row(values)).unwrap() {
            Ok(pair) => (pair.messages, pair.chosen, pair.rejected),
            Err(reason) => panic!("{reason:?}"),
        }
    }

    #[test]
    fn questions_stand_in_several_columns() {
        let asked = |values| {
            let asked = RowFormat::default().question(&row(values));
            let asked = asked.unwrap().unwrap();
            (asked.messages, asked.reply)
        };
        assert_eq!(
            asked(json!({"prompt": "why ?", "id": 7})),
            (said(&[("user", "why ?")]), None)
        );
        assert_eq!(
            asked(json!({"prompt": null, "instruction": "Add.", "input": "1 and 2"})).0,
            said(&[("user", "Add.\n\n1 and 2")])
        );
        assert_eq!(
            asked(json!({"instruction": "Add.", "input": " ", "system": "Be brief."})).0,
            said(&[("system", "Be brief."), ("user", "Add.")])
        );
        let turns =
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        assert_eq!(
            asked(json!({"messages": turns, "prompt": "not this"})),
            (said(&[("user", "a")]), Some("b".into()))
        );
        let own = RowFormat {
            prompt_column: Some("problem".into()),
            ..RowFormat::default()
        };
        let found = own.question(&row(json!({"problem": 12, "prompt": "no"})));
        assert_eq!(found.unwrap().unwrap().messages, said(&[("user", "12")]));
    }

    #[test]
    fn plain_pairs_keep_every_character() {
        assert_eq!(
            pair(
                &RowFormat::default(),
                json!({"prompt": "why ?\n", "chosen": " so\n", "rejected": ""})
            ),
            (said(&[("user", "why ?\n")]), " so\n".into(), "".into())
        );
    }

    #[test]
    fn lists_hold_the_prompt_or_go_on_from_it() {
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        let whole = json!({
            "prompt": "why ?",
            "messages": [turn("user", "why ?"), turn("assistant", "so")],
            "chosen": [turn("user", "why ?"), turn("assistant", "so")],
            "rejected": [turn("user", "why ?"), turn("assistant", "no")],
            "score_chosen": 8.5,
            "score_rejected": "7",
        });
        let expected = (said(&[("user", "why ?")]), "so".to_owned(), "no".to_owned());
        assert_eq!(pair(&RowFormat::default(), whole.clone()), expected);
        let scored = RowFormat::default().comparison(&row(whole)).unwrap();
        assert_eq!(scored.unwrap().scores, [Some(8.5), Some(7.0)]);
        let parts = json!({
            "prompt": [turn("user", "why ?")],
            "chosen": [turn("assistant", "so")],
            "rejected": [turn("assistant", "no")],
        });
        assert_eq!(pair(&RowFormat::default(), parts), expected);
        let apart = json!({
            "chosen": [turn("user", "why ?"), turn("assistant", "so")],
            "rejected": [turn("user", "when ?"), turn("assistant", "no")],
        });
        assert_eq!(
            RowFormat::default().comparison(&row(apart)).unwrap(),
            Err(Reason::PromptsDiffer)
        );
    }

    #[test]
    fn transcripts_are_cut_at_the_mark() {
        // The chosen reply holds a mark itself.
        let values = json!({
            "chosen": "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
            "rejected": "\n\nHuman: a\n\nAssistant: e",
        });
        let first = (
            said(&[("user", "\n\nHuman: a\n\nAssistant:")]),
            " b\n\nHuman: c\n\nAssistant: d".to_owned(),
            " e".to_owned(),
        );
        assert_eq!(pair(&format(Mark::First, true), values.clone()), first);
        assert_eq!(pair(&format(Mark::Common, true), values.clone()), first);
        let last = format(Mark::Last, true);
        assert_eq!(
            last.comparison(&row(values.clone())).unwrap(),
            Err(Reason::PromptsDiffer)
        );
        assert_eq!(last.question(&row(values)).unwrap(), None);

        // Two turns that both share.
        let values = json!({
            "chosen": "\n\nHuman: é\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
            "rejected": "\n\nHuman: é\n\nAssistant: b\n\nHuman: c\n\nAssistant: è",
        });
        let kept = (
            said(&[(
                "user",
                "\n\nHuman: é\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            )]),
            " d".to_owned(),
            " è".to_owned(),
        );
        assert_eq!(pair(&format(Mark::Last, true), values.clone()), kept);
        assert_eq!(pair(&format(Mark::Common, true), values.clone()), kept);
        assert_eq!(
            pair(&RowFormat::default(), values.clone()),
            (
                said(&[("user", "é"), ("assistant", "b"), ("user", "c")]),
                "d".into(),
                "è".into()
            )
        );
        let asked = RowFormat::default()
            .question(&row(values))
            .unwrap()
            .unwrap();
        assert_eq!((asked.messages.len(), asked.form), (3, Form::Transcript));
    }

    #[test]
    fn a_transcript_of_the_prompt_alone_is_one_too() {
        let values =
            json!({"prompt": "\n\nHuman: a\n\nAssistant:", "chosen": " b", "rejected": " c"});
        let read = (said(&[("user", "a")]), "b".to_owned(), "c".to_owned());
        assert_eq!(pair(&RowFormat::default(), values.clone()), read);
        let kept = pair(&format(Mark::Common, true), values);
        assert_eq!(kept.0, said(&[("user", "\n\nHuman: a\n\nAssistant:")]));
        assert_eq!((&*kept.1, &*kept.2), (" b", " c"));
    }

    /// `system-turns` of the field: beside whole conversations the system was lost.
    #[test]
    fn the_system_speaks_first_whatever_else_the_row_holds() {
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        let sides = |values: Value| {
            let mut values = values;
            values["chosen"] = json!([turn("user", "colour ?"), turn("assistant", "red")]);
            values["rejected"] = json!([turn("user", "colour ?"), turn("assistant", "it is red")]);
            values
        };
        let expected = (
            said(&[("system", "one word"), ("user", "colour ?")]),
            "red".to_owned(),
            "it is red".to_owned(),
        );
        for values in [
            json!({"system": "one word"}),
            json!({"system": "one word", "prompt": "colour ?"}),
            json!({"prompt": [turn("system", "one word"), turn("user", "colour ?")]}),
            json!({"prompt": [turn("system", "one word")]}),
            json!({"system": "one word", "prompt": [turn("system", "one word"), turn("user", "colour ?")]}),
        ] {
            let values = sides(values);
            assert_eq!(
                pair(&RowFormat::default(), values.clone()),
                expected,
                "{values}"
            );
        }
        let transcript = json!({
            "system": "one word",
            "chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: a\n\nAssistant: c",
        });
        assert_eq!(
            pair(&RowFormat::default(), transcript).0,
            said(&[("system", "one word"), ("user", "a")])
        );
        let refused = |values: Value| {
            let error = RowFormat::default().comparison(&row(values)).unwrap_err();
            error.to_string()
        };
        let prompt = json!([turn("system", "be kind"), turn("user", "colour ?")]);
        assert_eq!(
            refused(sides(json!({"system": "one word", "prompt": prompt}))),
            "rows.jsonl:3: column `system` and the first turn of the conversation, also of the system, say different things"
        );
        let mut two = sides(json!({"prompt": prompt}));
        two["chosen"] = json!([
            turn("system", "one word"),
            turn("user", "colour ?"),
            turn("assistant", "red")
        ]);
        assert_eq!(
            refused(two),
            "rows.jsonl:3: the conversations of the prompt and of `chosen` have different system turns"
        );
        let other = json!([turn("user", "size ?")]);
        assert_eq!(
            refused(sides(json!({"prompt": other}))),
            "rows.jsonl:3: column `chosen` holds a whole conversation, and it is not that of the prompt"
        );
        let list = json!({"system": [turn("user", "one word")], "prompt": "a", "chosen": "b", "rejected": "c"});
        assert_eq!(
            refused(list),
            "rows.jsonl:3: column `system` holds an array; text, a number or true/false is needed"
        );
    }

    /// `several-turns` of the field: the answer is the last turn, and what both say before it belongs to the prompt.
    #[test]
    fn a_completion_of_several_turns_goes_on_from_the_prompt() {
        let turn = |role: &str, content: &str| json!({"role": role, "content": content});
        let completion = |last: &str| {
            json!([
                turn("assistant", "Tesk."),
                turn("user", "And a river?"),
                turn("assistant", last)
            ])
        };
        let values = json!({
            "prompt": [turn("system", "Be short."), turn("user", "Name a hill.")],
            "chosen": completion("Karo."),
            "rejected": completion("None."),
        });
        let asked = [
            ("system", "Be short."),
            ("user", "Name a hill."),
            ("assistant", "Tesk."),
            ("user", "And a river?"),
        ];
        assert_eq!(
            pair(&RowFormat::default(), values),
            (said(&asked), "Karo.".into(), "None.".into())
        );
    }

    #[test]
    fn turns_may_be_written_in_one_cell() {
        let list = |answer: &str| json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": answer}]);
        let cells = json!({"prompt": "a", "chosen": list("b").to_string(), "rejected": list("c").to_string()});
        assert_eq!(
            pair(&RowFormat::default(), cells),
            (said(&[("user", "a")]), "b".into(), "c".into())
        );
    }

    #[test]
    fn a_label_names_the_better_response() {
        let values = |label: Value| json!({"instruction": "i", "input": "", "response1": "one", "response2": "two", "label": label});
        let sides = |label| {
            let (messages, chosen, rejected) = pair(&RowFormat::default(), values(label));
            assert_eq!(messages, said(&[("user", "i")]));
            (chosen, rejected)
        };
        assert_eq!(sides(json!(1)), ("one".into(), "two".into()));
        assert_eq!(sides(json!("2")), ("two".into(), "one".into()));
        assert_eq!(
            RowFormat::default()
                .comparison(&row(values(json!(0))))
                .unwrap(),
            Err(Reason::Tied)
        );
    }

    #[test]
    fn wrong_columns_are_named_with_their_line() {
        let refused = |values| {
            let error = RowFormat::default().comparison(&row(values)).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": "b", "reject": "c"})),
            "rows.jsonl:3: no pair of columns `chosen` and `rejected`, or `response1`, `response2` and `label`; there are `prompt`, `chosen`, `reject`"
        );
        assert_eq!(
            refused(json!({"chosen": "b", "rejected": "c"})),
            "rows.jsonl:3: no question: none of the columns `messages`, `conversations`, `prompt`, `instruction`, `question`, and no transcript with `\\n\\nAssistant:` in `chosen`; there are `chosen`, `rejected`"
        );
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": ["b"], "rejected": ["c"]})),
            "rows.jsonl:3: turn 0 of `chosen` needs a `role` and a `content`, both texts"
        );
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": [], "rejected": []})),
            "rows.jsonl:3: column `chosen` holds no turn"
        );
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": "b", "rejected": {"c": 1}})),
            "rows.jsonl:3: column `rejected` holds an object; text, a number or true/false is needed"
        );
        assert_eq!(
            refused(json!({"prompt": "a", "response1": "b", "response2": "c", "label": "b"})),
            "rows.jsonl:3: column `label` holds `b`; 1 or 2 for the better response is needed, or 0"
        );
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": "b", "rejected": "c", "score_chosen": "high"})),
            "rows.jsonl:3: column `score_chosen` holds `high`; a number is needed"
        );
        let list = json!([{"role": "assistant", "content": "b"}]);
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": list, "rejected": "c"})),
            "rows.jsonl:3: column `chosen` holds a list of turns, and `rejected` does not"
        );
        let user = json!([{"role": "user", "content": "b"}]);
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": user, "rejected": list})),
            "rows.jsonl:3: the last turn of `chosen` is the answer, and its role is `user`, not `assistant`"
        );
        assert!(
            refused(json!({"prompt": "a", "tools": [{"name": "f"}], "chosen": "b", "rejected": "c"}))
                .starts_with("rows.jsonl:3: column `tools` is not read, and a chat template would write it\nhint: ")
        );
        let own = RowFormat {
            prompt_column: Some("ask".into()),
            ..RowFormat::default()
        };
        let error = own.question(&row(json!({"prompt": "a"}))).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("rows.jsonl:3: no question: none of the columns `ask`")
        );
        assert!(error.hint().unwrap().contains("--prompt-column"));
    }
}
