//! What the rows of prompt and preference files say: a conversation, and perhaps two answers to it of which one is
//! better. The forms people publish are told apart by their columns, row by row.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use w2s_artifact::Message;

use crate::{
    error::DataError,
    source::{Object, json_kind},
};

/// What stands before a person's turn in a transcript of HH-RLHF.
const HUMAN: &str = "\n\nHuman:";
/// What stands before the model's turn.
const ASSISTANT: &str = "\n\nAssistant:";
/// The columns that hold a conversation or a question, the first that is there counts.
const QUESTION_COLUMNS: [&str; 4] = ["messages", "prompt", "instruction", "question"];

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
/// A conversation stands in the column `messages` (a list of objects with `role` and `content`), `prompt` (text, or such a
/// list), `instruction` (with `input` after a blank line, where it is not empty) or `question`: the first of them that is
/// there; `system` is put before it. Where there is none, the columns `chosen` and `rejected` hold it: as lists that differ
/// in their last turn, or as transcripts with `\n\nHuman:` and `\n\nAssistant:`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::Args))]
pub struct RowFormat {
    /// Column that holds the conversation or the question [default: messages, prompt, instruction or question]
    #[cfg_attr(feature = "cli", arg(long, value_name = "NAME"))]
    pub prompt_column: Option<String>,
    /// Where transcripts are cut into prompt and answers
    #[cfg_attr(feature = "cli", arg(long, value_enum, default_value_t = Mark::Common))]
    pub mark: Mark,
    /// Turn transcripts into messages without marks, for models with a chat template; otherwise a transcript is one message,
    /// marks and all
    #[cfg_attr(feature = "cli", arg(long))]
    pub as_turns: bool,
}

/// What a row asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The conversation up to the answer.
    pub messages: Vec<Message>,
    /// The answer the row holds, where its conversation ends with a turn of the assistant.
    pub reply: Option<String>,
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
}

/// What a row of a preference file comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Compared {
    /// A pair.
    Pair(Comparison),
    /// Its two answers follow different prompts, so neither says anything about the other.
    PromptsDiffer,
    /// It says that neither answer is better.
    Tied,
}

impl RowFormat {
    /// What a row asks. `None` where the row holds two transcripts with different prompts.
    pub fn question(&self, row: &Object) -> Result<Option<Asked>, DataError> {
        if let Some(asked) = self.conversation(row)? {
            return Ok(Some(asked));
        }
        if !row.values.contains_key("chosen") {
            return Err(no_question(row, &QUESTION_COLUMNS));
        }
        match self.comparison(row)? {
            Compared::Pair(pair) => Ok(Some(Asked {
                messages: pair.messages,
                reply: None,
            })),
            Compared::PromptsDiffer | Compared::Tied => Ok(None),
        }
    }

    /// The two answers of a row: the columns `chosen` and `rejected`, each a text or a list of messages that ends with the
    /// answer; or `response1` and `response2`, of which `label` (1, 2, or 0 for neither) names the better.
    pub fn comparison(&self, row: &Object) -> Result<Compared, DataError> {
        let column = |name: &str| row.values.get(name);
        let (chosen, rejected) = match (column("chosen"), column("rejected")) {
            (Some(chosen), Some(rejected)) => (chosen, rejected),
            _ => match ranked(row)? {
                Some(sides) => sides,
                None => return Ok(Compared::Tied),
            },
        };
        let asked = self.conversation(row)?.map(|asked| asked.messages);
        let sides = match (chosen, rejected) {
            (Value::Array(_), Value::Array(_)) => {
                let asked = asked.unwrap_or_default();
                let (before, chosen) = answered(row, "chosen", chosen, &asked)?;
                let (before_rejected, rejected) = answered(row, "rejected", rejected, &asked)?;
                (before == before_rejected).then_some((before, chosen, rejected))
            }
            _ => {
                let (chosen, rejected) = (
                    text(row, "chosen", chosen)?,
                    text(row, "rejected", rejected)?,
                );
                match asked {
                    Some(messages) => Some((messages, chosen, rejected)),
                    None => self.cut(row, &chosen, &rejected)?,
                }
            }
        };
        let Some((messages, chosen, rejected)) = sides else {
            return Ok(Compared::PromptsDiffer);
        };
        Ok(Compared::Pair(Comparison {
            messages,
            chosen,
            rejected,
            scores: [number(row, "score_chosen")?, number(row, "score_rejected")?],
        }))
    }

    /// The conversation of a row with a column for it.
    fn conversation(&self, row: &Object) -> Result<Option<Asked>, DataError> {
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
        let mut messages = match &row.values[column] {
            Value::Array(turns) => read_turns(row, column, turns)?,
            value => {
                let mut content = text(row, column, value)?;
                if column == "instruction"
                    && let Some(input) = present(row, "input")
                {
                    let input = text(row, "input", input)?;
                    if !input.trim().is_empty() {
                        content = format!("{content}\n\n{input}");
                    }
                }
                self.transcript(content)
            }
        };
        if let Some(system) = present(row, "system") {
            let content = text(row, "system", system)?;
            if !content.trim().is_empty() {
                messages.insert(0, message("system", content));
            }
        }
        let reply = messages.pop_if(|last| last.role == "assistant");
        Ok(Some(Asked {
            messages,
            reply: reply.map(|reply| reply.content),
        }))
    }

    /// Cuts two transcripts into prompt and answers; `None` where the prompts differ.
    fn cut(
        &self,
        row: &Object,
        chosen: &str,
        rejected: &str,
    ) -> Result<Option<(Vec<Message>, String, String)>, DataError> {
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
        let cut = cut.filter(shared);
        Ok(cut.map(|cut| {
            let answer = |transcript: &str| {
                let answer = &transcript[cut..];
                if self.as_turns { answer.trim() } else { answer }.to_owned()
            };
            let prompt = chosen[..cut].to_owned();
            (self.transcript(prompt), answer(chosen), answer(rejected))
        }))
    }

    /// A text as one message of a user, or as the turns of a transcript where that is asked for and the text is one.
    fn transcript(&self, content: String) -> Vec<Message> {
        if !self.as_turns || !content.contains(HUMAN) {
            return vec![message("user", content)];
        }
        turns(&content)
    }
}

/// The turns of a transcript. Text before the first mark is the system's; a last turn that is still empty is left out.
fn turns(transcript: &str) -> Vec<Message> {
    let mut turns = Vec::new();
    let (mut role, mut rest) = ("system", transcript);
    loop {
        let next = [("user", HUMAN), ("assistant", ASSISTANT)]
            .into_iter()
            .filter_map(|(role, mark)| Some((rest.find(mark)?, role, mark)))
            .min();
        let content = rest[..next.map_or(rest.len(), |(start, ..)| start)].trim();
        if !content.is_empty() {
            turns.push(message(role, content.to_owned()));
        }
        let Some((start, next_role, mark)) = next else {
            return turns;
        };
        (role, rest) = (next_role, &rest[start + mark.len()..]);
    }
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

fn read_turns(row: &Object, column: &str, turns: &[Value]) -> Result<Vec<Message>, DataError> {
    let read = |(index, turn): (usize, &Value)| {
        let part = |name: &str| turn.get(name).and_then(Value::as_str);
        match (part("role"), part("content")) {
            (Some(role), Some(content)) => Ok(message(role, content.to_owned())),
            _ => Err(malformed(
                row,
                format!("turn {index} of `{column}` needs a `role` and a `content`, both texts"),
            )),
        }
    };
    turns.iter().enumerate().map(read).collect()
}

/// The conversation before the last turn of a list, and that turn. A list of the answer alone goes on from what was asked.
fn answered(
    row: &Object,
    column: &str,
    side: &Value,
    asked: &[Message],
) -> Result<(Vec<Message>, String), DataError> {
    let turns = side.as_array().map_or(&[][..], Vec::as_slice);
    let mut turns = read_turns(row, column, turns)?;
    match turns.pop() {
        Some(answer) if turns.is_empty() => Ok((asked.to_vec(), answer.content)),
        Some(answer) => Ok((turns, answer.content)),
        None => Err(malformed(row, format!("column `{column}` holds no turn"))),
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

fn malformed(row: &Object, problem: impl Into<String>) -> DataError {
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

    fn row(values: Value) -> Object {
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

    fn format(mark: Mark, as_turns: bool) -> RowFormat {
        RowFormat {
            prompt_column: None,
            mark,
            as_turns,
        }
    }

    fn said(turns: &[(&str, &str)]) -> Vec<Message> {
        turns
            .iter()
            .map(|(role, content)| message(role, (*content).to_owned()))
            .collect()
    }

    fn pair(format: &RowFormat, values: Value) -> (Vec<Message>, String, String) {
        match format.comparison(&row(values)).unwrap() {
            Compared::Pair(pair) => (pair.messages, pair.chosen, pair.rejected),
            other => panic!("{other:?}"),
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
        let Compared::Pair(scored) = RowFormat::default().comparison(&row(whole)).unwrap() else {
            panic!("it is a pair")
        };
        assert_eq!(scored.scores, [Some(8.5), Some(7.0)]);
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
            Compared::PromptsDiffer
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
        assert_eq!(pair(&format(Mark::First, false), values.clone()), first);
        assert_eq!(pair(&format(Mark::Common, false), values.clone()), first);
        assert_eq!(
            format(Mark::Last, false)
                .comparison(&row(values.clone()))
                .unwrap(),
            Compared::PromptsDiffer
        );
        assert_eq!(
            format(Mark::Last, false).question(&row(values)).unwrap(),
            None
        );

        // Two turns that both share.
        let values = json!({
            "chosen": "\n\nHuman: é\n\nAssistant: b\n\nHuman: c\n\nAssistant: d",
            "rejected": "\n\nHuman: é\n\nAssistant: b\n\nHuman: c\n\nAssistant: è",
        });
        let last = (
            said(&[(
                "user",
                "\n\nHuman: é\n\nAssistant: b\n\nHuman: c\n\nAssistant:",
            )]),
            " d".to_owned(),
            " è".to_owned(),
        );
        assert_eq!(pair(&format(Mark::Last, false), values.clone()), last);
        assert_eq!(pair(&format(Mark::Common, false), values.clone()), last);
        assert_eq!(
            pair(&format(Mark::Common, true), values.clone()),
            (
                said(&[("user", "é"), ("assistant", "b"), ("user", "c")]),
                "d".into(),
                "è".into()
            )
        );
        let asked = format(Mark::Common, true).question(&row(values)).unwrap();
        assert_eq!(asked.unwrap().messages.len(), 3);
    }

    #[test]
    fn a_transcript_may_begin_with_the_system() {
        assert_eq!(
            turns("Be kind.\n\nHuman: a\n\nAssistant:"),
            said(&[("system", "Be kind."), ("user", "a")])
        );
        let plain = format(Mark::Common, true).transcript("no marks".into());
        assert_eq!(plain, said(&[("user", "no marks")]));
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
            Compared::Tied
        );
    }

    #[test]
    fn wrong_columns_are_named_with_their_line() {
        let refused = |values| {
            RowFormat::default()
                .comparison(&row(values))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(json!({"prompt": "a", "chosen": "b", "reject": "c"})),
            "rows.jsonl:3: no pair of columns `chosen` and `rejected`, or `response1`, `response2` and `label`; there are `prompt`, `chosen`, `reject`"
        );
        assert_eq!(
            refused(json!({"chosen": "b", "rejected": "c"})),
            "rows.jsonl:3: no question: none of the columns `messages`, `prompt`, `instruction`, `question`, and no transcript with `\\n\\nAssistant:` in `chosen`; there are `chosen`, `rejected`"
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
