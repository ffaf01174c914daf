//! From the rows of files to prompts: the conversation, the right answer where the row has one, and the choices of a
//! multiple-choice question.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;
use w2s_artifact::{Message, Prompt, prompt_fingerprint, summary::Dropped};

use crate::{
    conversation::{Form, RowFormat, malformed, present, text},
    error::DataError,
    source::{Object, json_kind},
};

/// The columns that may name the right choice, the first that is there counts.
const GOLD_COLUMNS: [&str; 4] = ["gold", "label", "answer", "answerKey"];

/// Prompts, and what became of the rows that are none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptsRead {
    /// The prompts, in the order of the rows. The number of a prompt is that of its row, from 0.
    pub prompts: Vec<Prompt>,
    /// Rows that were left out: `empty` ask nothing, `duplicate` ask what a row before asked, `prompts_differ` hold two
    /// transcripts with different prompts.
    pub dropped: Dropped,
    /// Rows whose marked transcript was read as turns.
    pub transcripts: usize,
}

/// Makes prompts of rows.
///
/// The right answer stands in the column `answer`, or ends the conversation. With a list of texts in the column `choices`, the
/// first of the columns `gold`, `label`, `answer` and `answerKey` that is there names the right one: by its place from 0, by
/// its letter, or by its text. Choices may also be an object of `text`s and `label`s, as those of ARC are.
pub fn prompts(rows: &[Object], format: &RowFormat) -> Result<PromptsRead, DataError> {
    let mut read = PromptsRead::default();
    let mut known: HashSet<u64> = HashSet::new();
    let mut groups = Groups::new(format);
    for (id, row) in (0..).zip(rows) {
        let asked = format.question(row)?;
        let left_out = match &asked {
            None => Some("prompts_differ"),
            Some(asked) if is_empty(&asked.messages) => Some("empty"),
            Some(asked) if !known.insert(prompt_fingerprint(&asked.messages)) => Some("duplicate"),
            Some(_) => None,
        };
        if let Some(reason) = left_out {
            *read.dropped.entry(reason.to_owned()).or_default() += 1;
        }
        let (Some(asked), None) = (asked, left_out) else {
            continue;
        };
        read.transcripts += usize::from(asked.form == Form::Transcript);
        let choices = Choices::of(row)?;
        let gold = choices.gold(row)?;
        let answer = match (gold, present(row, "answer")) {
            (Some(gold), _) => Some(choices.texts[gold as usize].clone()),
            (None, Some(answer)) => Some(text(row, "answer", answer)?),
            (None, None) => asked.reply,
        };
        read.prompts.push(Prompt {
            id,
            group: groups.of(row, id)?,
            messages: asked.messages,
            answer,
            choices: choices.texts,
            gold,
            tags: BTreeMap::new(),
        });
    }
    Ok(read)
}

/// One half of the prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Half {
    /// The first half, of an odd number the larger one
    First,
    /// The second half
    Second,
}

impl Half {
    /// The prompts of this half. A group is in the half of its first prompt, so that no question is in both.
    pub fn of(self, prompts: Vec<Prompt>) -> Vec<Prompt> {
        let middle = prompts.len().div_ceil(2);
        let mut first_places: HashMap<u64, usize> = HashMap::new();
        for (place, prompt) in prompts.iter().enumerate() {
            first_places.entry(prompt.group).or_insert(place);
        }
        let is_first = |prompt: &Prompt| first_places[&prompt.group] < middle;
        let prompts = prompts.into_iter();
        prompts
            .filter(|prompt| is_first(prompt) == (self == Self::First))
            .collect()
    }
}

/// Takes out the prompts that ask what one of `others` asks, and says how many there were.
pub fn take_out(prompts: &mut Vec<Prompt>, others: &[Prompt]) -> usize {
    let others = others
        .iter()
        .map(|other| prompt_fingerprint(&other.messages));
    let others: HashSet<u64> = others.collect();
    let before = prompts.len();
    prompts.retain(|prompt| !others.contains(&prompt_fingerprint(&prompt.messages)));
    before - prompts.len()
}

/// Whether a conversation says nothing.
pub(crate) fn is_empty(messages: &[Message]) -> bool {
    messages.iter().all(|turn| turn.content.trim().is_empty())
}

/// The groups of prompts, each under the number of the first prompt in it.
pub(crate) struct Groups<'a> {
    column: Option<&'a str>,
    known: HashMap<String, u64>,
}

impl<'a> Groups<'a> {
    pub(crate) fn new(format: &'a RowFormat) -> Self {
        Self {
            column: format.group.as_deref(),
            known: HashMap::new(),
        }
    }

    /// The group of the prompt of a row: its own number, where nothing says that it belongs to another.
    pub(crate) fn of(&mut self, row: &Object, prompt: u64) -> Result<u64, DataError> {
        let Some(column) = self.column else {
            return Ok(prompt);
        };
        match row.values.get(column) {
            None => Err(DataError::MissingColumn {
                at: row.place.to_string(),
                column: column.to_owned(),
                present: row.values.keys().cloned().collect(),
            }),
            Some(Value::Null) => Ok(prompt),
            Some(value) => {
                let name = text(row, column, value)?;
                Ok(*self.known.entry(name).or_insert(prompt))
            }
        }
    }
}

/// Answers to choose from, and what they are called, where they have names.
#[derive(Default)]
struct Choices {
    texts: Vec<String>,
    labels: Vec<String>,
}

impl Choices {
    fn of(row: &Object) -> Result<Self, DataError> {
        let texts = |value: &Value| match value {
            Value::Array(list) => {
                let texts = list.iter().map(|choice| text(row, "choices", choice));
                texts.collect::<Result<Vec<_>, _>>()
            }
            other => Err(malformed(
                row,
                format!(
                    "column `choices` holds {}; a list of texts is needed",
                    json_kind(other)
                ),
            )),
        };
        let choices = match present(row, "choices") {
            None => return Ok(Self::default()),
            Some(Value::Object(parts)) if parts.contains_key("text") => Self {
                texts: texts(&parts["text"])?,
                labels: parts.get("label").map_or(Ok(Vec::new()), texts)?,
            },
            Some(value) => Self {
                texts: texts(value)?,
                labels: Vec::new(),
            },
        };
        match (choices.labels.len(), choices.texts.len()) {
            (0, _) => Ok(choices),
            (labels, texts) if labels == texts => Ok(choices),
            (labels, texts) => Err(malformed(
                row,
                format!("column `choices` holds {texts} texts and {labels} labels"),
            )),
        }
    }

    /// Which choice is right; a question whose answer is not known says so with null or -1.
    fn gold(&self, row: &Object) -> Result<Option<u32>, DataError> {
        let mut columns = GOLD_COLUMNS.into_iter();
        let column = columns.find(|column| present(row, column).is_some());
        let Some(column) = column.filter(|_| !self.texts.is_empty()) else {
            return Ok(None);
        };
        let value = &row.values[column];
        let name = text(row, column, value)?;
        let place_of = |names: &[String]| names.iter().position(|choice| *choice == name);
        let by_letter = match name.as_bytes() {
            [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
            _ => None,
        };
        let by_place = name.parse().ok();
        let place = match value {
            Value::Number(_) if name == "-1" => return Ok(None),
            _ if !self.labels.is_empty() => place_of(&self.labels).or(place_of(&self.texts)),
            Value::Number(_) => by_place,
            _ => place_of(&self.texts).or(by_letter).or(by_place),
        };
        match place.filter(|place| *place < self.texts.len()) {
            Some(place) => Ok(Some(place as u32)),
            None => Err(malformed(
                row,
                format!(
                    "column `{column}` holds `{name}`, which is none of the {} choices",
                    self.texts.len()
                ),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::json;

    use super::*;
    use crate::error::Place;

    fn rows(values: &[Value]) -> Vec<Object> {
        let row = |(number, values): (u64, &Value)| Object {
            place: Place {
                file: Path::new("rows.jsonl").into(),
                number,
                is_row: false,
            },
            values: values.as_object().unwrap().clone(),
        };
        (1..).zip(values).map(row).collect()
    }

    fn read(values: &[Value]) -> Result<PromptsRead, DataError> {
        prompts(&rows(values), &RowFormat::default())
    }

    #[test]
    fn rows_without_a_new_question_are_dropped_and_counted() {
        let read = read(&[
            json!({"prompt": "a"}),
            json!({"prompt": " \n"}),
            json!({"prompt": "a", "answer": "x"}),
            json!({"chosen": "\n\nHuman: a\n\nAssistant: b", "rejected": "\n\nHuman: c\n\nAssistant: b"}),
            json!({"prompt": "b", "answer": "y"}),
        ])
        .unwrap();
        let kept: Vec<_> = read
            .prompts
            .iter()
            .map(|prompt| {
                (
                    prompt.id,
                    prompt.messages[0].content.as_str(),
                    prompt.answer.as_deref(),
                )
            })
            .collect();
        assert_eq!(kept, [(0, "a", None), (4, "b", Some("y"))]);
        let expected =
            ["empty", "duplicate", "prompts_differ"].map(|reason| (reason.to_owned(), 1));
        assert_eq!(read.dropped, Dropped::from(expected));
        assert_eq!(read.transcripts, 0);
    }

    #[test]
    fn variants_of_one_question_are_a_group() {
        let format = RowFormat {
            group: Some("sum".into()),
            ..RowFormat::default()
        };
        let groups = |values: &[Value]| {
            let read = prompts(&rows(values), &format)?;
            Ok::<_, DataError>(
                read.prompts
                    .iter()
                    .map(|p| (p.id, p.group))
                    .collect::<Vec<_>>(),
            )
        };
        let asked = [
            json!({"prompt": "2 + 3 ?", "sum": "2+3"}),
            json!({"prompt": "4 + 3 ?", "sum": null}),
            json!({"prompt": "Add 3 and 2.", "sum": "2+3"}),
        ];
        assert_eq!(groups(&asked).unwrap(), [(0, 0), (1, 1), (2, 0)]);
        let error = groups(&[json!({"prompt": "q"})]).unwrap_err().to_string();
        assert!(error.contains("`sum`"), "{error}");
        let alone = prompts(&rows(&asked), &RowFormat::default()).unwrap();
        assert!(alone.prompts.iter().all(|prompt| prompt.group == prompt.id));
    }

    #[test]
    fn choices_may_have_names() {
        let gold = |values: Value| read(&[values]).map(|read| read.prompts[0].gold);
        let named = json!({"text": ["x", "y"], "label": ["1", "2"]});
        assert_eq!(
            gold(json!({"question": "q", "choices": named, "answerKey": "2"})).unwrap(),
            Some(1)
        );
        assert_eq!(
            gold(json!({"question": "q", "choices": ["x", "y"], "answerKey": "B"})).unwrap(),
            Some(1)
        );
        let short = json!({"text": ["x", "y"], "label": ["A"]});
        assert_eq!(
            gold(json!({"question": "q", "choices": short}))
                .unwrap_err()
                .to_string(),
            "rows.jsonl:1: column `choices` holds 2 texts and 1 labels"
        );
    }

    #[test]
    fn the_right_choice_is_named_in_several_ways() {
        let gold = |values: Value| {
            let read = read(&[values]).unwrap();
            let prompt = &read.prompts[0];
            (prompt.gold, prompt.answer.clone())
        };
        let choices = ["x", "y", "1"];
        let right = |place: u32| (Some(place), Some(choices[place as usize].to_owned()));
        assert_eq!(
            gold(json!({"prompt": "q", "choices": choices, "gold": 1})),
            right(1)
        );
        assert_eq!(
            gold(json!({"prompt": "q", "choices": choices, "label": "0"})),
            right(0)
        );
        assert_eq!(
            gold(json!({"prompt": "q", "choices": choices, "answer": "C"})),
            right(2)
        );
        assert_eq!(
            gold(json!({"question": "q", "choices": choices, "answer": "y"})),
            right(1)
        );
        // A text is a choice before it is a place.
        assert_eq!(
            gold(json!({"prompt": "q", "choices": choices, "answer": "1"})),
            right(2)
        );
        assert_eq!(
            gold(json!({"prompt": "q", "choices": choices, "label": -1})),
            (None, None)
        );
        assert_eq!(
            gold(json!({"prompt": "q", "choices": choices})),
            (None, None)
        );
        // Without choices a label says nothing about the answer.
        assert_eq!(
            gold(json!({"prompt": "q", "label": 1, "answer": 42})),
            (None, Some("42".into()))
        );
        let turns =
            json!([{"role": "user", "content": "q"}, {"role": "assistant", "content": "r"}]);
        assert_eq!(gold(json!({"messages": turns})), (None, Some("r".into())));
    }

    #[test]
    fn a_choice_that_is_not_there_is_named() {
        let refused = |values| {
            read(&[json!({"prompt": "a"}), values])
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            refused(json!({"prompt": "q", "choices": ["x", "y"], "label": 2})),
            "rows.jsonl:2: column `label` holds `2`, which is none of the 2 choices"
        );
        assert_eq!(
            refused(json!({"prompt": "q", "choices": "x"})),
            "rows.jsonl:2: column `choices` holds text; a list of texts is needed"
        );
    }
}
