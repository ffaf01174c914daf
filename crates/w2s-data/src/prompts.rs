//! From the rows of files to prompts: the conversation, the right answer where the row has one, and the choices of a
//! multiple-choice question.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::Value;
use w2s_artifact::{Message, Prompt};

use crate::{
    error::DataError,
    preference_file::{RowFormat, present, text},
    source::{Object, json_kind},
};

/// Prompts, and what became of the rows that are none.
#[derive(Clone, Debug, PartialEq)]
pub struct PromptsRead {
    /// The prompts, in the order of the rows. The number of a prompt is that of its row, from 0.
    pub prompts: Vec<Prompt>,
    /// Rows that were left out.
    pub dropped: PromptsDropped,
}

/// Rows that gave no prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PromptsDropped {
    /// Nothing is asked.
    pub empty: usize,
    /// The same conversation stood in a row before.
    pub duplicate: usize,
    /// Two transcripts with different prompts.
    pub prompts_differ: usize,
}

/// Makes prompts of rows.
///
/// The right answer stands in the column `answer`, or ends the conversation. With a list of texts in the column `choices`, the
/// first of the columns `gold`, `label` and `answer` that is there names the right one: by its place from 0, by its letter, or
/// by its text.
pub fn prompts(rows: &[Object], format: &RowFormat) -> Result<PromptsRead, DataError> {
    let mut dropped = PromptsDropped::default();
    let mut known: HashSet<Vec<Message>> = HashSet::new();
    let mut prompts = Vec::new();
    for (id, row) in (0..).zip(rows) {
        let Some(asked) = format.question(row)? else {
            dropped.prompts_differ += 1;
            continue;
        };
        if is_empty(&asked.messages) {
            dropped.empty += 1;
            continue;
        }
        if !known.insert(asked.messages.clone()) {
            dropped.duplicate += 1;
            continue;
        }
        let choices = choices(row)?;
        let gold = gold(row, &choices)?;
        let answer = match (gold, present(row, "answer")) {
            (Some(gold), _) => Some(choices[gold as usize].clone()),
            (None, Some(answer)) => Some(text(row, "answer", answer)?),
            (None, None) => asked.reply,
        };
        prompts.push(Prompt {
            id,
            messages: asked.messages,
            answer,
            choices,
            gold,
        });
    }
    Ok(PromptsRead { prompts, dropped })
}

/// Whether a conversation says nothing.
pub(crate) fn is_empty(messages: &[Message]) -> bool {
    messages.iter().all(|turn| turn.content.trim().is_empty())
}

fn choices(row: &Object) -> Result<Vec<String>, DataError> {
    match present(row, "choices") {
        None => Ok(Vec::new()),
        Some(Value::Array(choices)) => choices
            .iter()
            .map(|choice| text(row, "choices", choice))
            .collect(),
        Some(other) => Err(DataError::Malformed {
            place: row.place.clone(),
            problem: format!(
                "column `choices` holds {}; a list of texts is needed",
                json_kind(other)
            ),
        }),
    }
}

/// Which choice is right; a question whose answer is not known says so with null or -1.
fn gold(row: &Object, choices: &[String]) -> Result<Option<u32>, DataError> {
    let column = ["gold", "label", "answer"]
        .into_iter()
        .find(|column| present(row, column).is_some());
    let Some(column) = column.filter(|_| !choices.is_empty()) else {
        return Ok(None);
    };
    let value = &row.values[column];
    let name = text(row, column, value)?;
    let by_text = choices.iter().position(|choice| *choice == name);
    let by_letter = match name.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        _ => None,
    };
    let by_place = name.parse().ok();
    let place = match value {
        Value::Number(_) if name == "-1" => return Ok(None),
        Value::Number(_) => by_place,
        _ => by_text.or(by_letter).or(by_place),
    };
    match place.filter(|place| *place < choices.len()) {
        Some(place) => Ok(Some(place as u32)),
        None => Err(DataError::Malformed {
            place: row.place.clone(),
            problem: format!(
                "column `{column}` holds `{name}`, which is none of the {} choices",
                choices.len()
            ),
        }),
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
        let expected = PromptsDropped {
            empty: 1,
            duplicate: 1,
            prompts_differ: 1,
        };
        assert_eq!(read.dropped, expected);
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
