//! Records as the columns of a table.

use std::{collections::BTreeMap, sync::Arc};

use arrow_array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, ListArray, StringArray, StructArray,
    UInt32Array, UInt64Array,
};
use arrow_buffer::OffsetBuffer;
use arrow_schema::{DataType, Field, Fields};
use w2s_artifact::{
    Answer, Document, Example, Features, Label, LogProb, Message, Pair, Prediction, Prompt, Record,
    ReferenceLogProbs, Response, Tokens,
};

/// A record as columns.
pub(super) trait Columns: Record {
    fn fields() -> Vec<Field>;

    /// The columns of some rows, in the order of the fields.
    fn columns(rows: &[Self]) -> Vec<ArrayRef>;
}

impl Columns for Document {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("text", DataType::Utf8),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            texts(rows.iter().map(|row| row.text.as_str())),
        ]
    }
}

impl Columns for Example {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("split", DataType::Utf8),
            required("group", DataType::UInt64),
            required("label", DataType::UInt32),
            required("text", DataType::Utf8),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            texts(rows.iter().map(|row| row.split.name())),
            u64s(rows.iter().map(|row| row.group)),
            u32s(rows.iter().map(|row| row.label)),
            texts(rows.iter().map(|row| row.text.as_str())),
        ]
    }
}

impl Columns for Label {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("probabilities", list_of(DataType::Float32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            f32_lists(rows.iter().map(|row| row.probabilities.as_slice())),
        ]
    }
}

impl Columns for Tokens {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("ids", list_of(DataType::UInt32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            lists(
                rows.iter().map(|row| row.ids.len()),
                u32s(rows.iter().flat_map(|row| row.ids.iter().copied())),
            ),
        ]
    }
}

impl Columns for Features {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("values", list_of(DataType::Float32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            f32_lists(rows.iter().map(|row| row.values.as_slice())),
        ]
    }
}

impl Columns for Prediction {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("group", DataType::UInt64),
            required("label", DataType::UInt32),
            required("probabilities", list_of(DataType::Float32)),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.id)),
            u64s(rows.iter().map(|row| row.group)),
            u32s(rows.iter().map(|row| row.label)),
            f32_lists(rows.iter().map(|row| row.probabilities.as_slice())),
        ]
    }
}

impl Columns for Prompt {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("group", DataType::UInt64),
            required("messages", list_of(DataType::Struct(turn()))),
            optional("answer", DataType::Utf8),
            required("choices", list_of(DataType::Utf8)),
            optional("gold", DataType::UInt32),
            required("tags", list_of(DataType::Struct(tag()))),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let choices = rows.iter().flat_map(|row| &row.choices);
        vec![
            u64s(rows.iter().map(|row| row.id)),
            u64s(rows.iter().map(|row| row.group)),
            conversations(rows.iter().map(|row| row.messages.as_slice())),
            Arc::new(
                rows.iter()
                    .map(|row| row.answer.as_deref())
                    .collect::<StringArray>(),
            ),
            lists(
                rows.iter().map(|row| row.choices.len()),
                texts(choices.map(String::as_str)),
            ),
            Arc::new(rows.iter().map(|row| row.gold).collect::<UInt32Array>()),
            tags(rows.iter().map(|row| &row.tags)),
        ]
    }
}

impl Columns for Response {
    fn fields() -> Vec<Field> {
        vec![
            required("prompt", DataType::UInt64),
            required("sample", DataType::UInt32),
            required("text", DataType::Utf8),
            required("ids", list_of(DataType::UInt32)),
            required("log_probs", list_of(DataType::Float32)),
            required("finished", DataType::Boolean),
            required("model", DataType::Utf8),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        vec![
            u64s(rows.iter().map(|row| row.prompt)),
            u32s(rows.iter().map(|row| row.sample)),
            texts(rows.iter().map(|row| row.text.as_str())),
            lists(
                rows.iter().map(|row| row.ids.len()),
                u32s(rows.iter().flat_map(|row| row.ids.iter().copied())),
            ),
            f32_lists(rows.iter().map(|row| row.log_probs.as_slice())),
            truths(rows.iter().map(|row| row.finished)),
            texts(rows.iter().map(|row| row.model.as_str())),
        ]
    }
}

/// The answers as texts under the names preference files use, and beside them where each came from.
impl Columns for Pair {
    fn fields() -> Vec<Field> {
        let mut fields = vec![
            required("id", DataType::UInt64),
            required("prompt", DataType::UInt64),
            required("group", DataType::UInt64),
            required("messages", list_of(DataType::Struct(turn()))),
        ];
        for side in ["chosen", "rejected"] {
            let name = |part: &str| format!("{side}_{part}");
            fields.extend([
                required(side, DataType::Utf8),
                required(&name("source"), DataType::Utf8),
                required(&name("sample"), DataType::UInt32),
                optional(&name("score"), DataType::Float64),
                optional(&name("tokens"), DataType::UInt32),
                required(&name("finished"), DataType::Boolean),
            ]);
        }
        fields.extend([
            required("rule", DataType::Utf8),
            optional("confidence", DataType::Float32),
            optional("gold", DataType::Boolean),
        ]);
        fields
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let mut columns = vec![
            u64s(rows.iter().map(|row| row.id)),
            u64s(rows.iter().map(|row| row.prompt)),
            u64s(rows.iter().map(|row| row.group)),
            conversations(rows.iter().map(|row| row.messages.as_slice())),
        ];
        let sides: [fn(&Self) -> &Answer; 2] = [|row| &row.chosen, |row| &row.rejected];
        for side in sides {
            let answers = rows.iter().map(side);
            columns.extend([
                texts(answers.clone().map(|answer| answer.text.as_str())),
                texts(answers.clone().map(|answer| answer.source.as_str())),
                u32s(answers.clone().map(|answer| answer.sample)),
                Arc::new(
                    answers
                        .clone()
                        .map(|answer| answer.score)
                        .collect::<Float64Array>(),
                ),
                Arc::new(
                    answers
                        .clone()
                        .map(|answer| answer.tokens)
                        .collect::<UInt32Array>(),
                ),
                truths(answers.map(|answer| answer.finished)),
            ]);
        }
        let confidences = rows.iter().map(|row| row.confidence);
        let golds = rows.iter().map(|row| row.gold);
        columns.extend([
            texts(rows.iter().map(|row| row.rule.as_str())),
            Arc::new(confidences.collect::<Float32Array>()),
            Arc::new(golds.collect::<BooleanArray>()),
        ]);
        columns
    }
}

impl Columns for ReferenceLogProbs {
    fn fields() -> Vec<Field> {
        vec![
            required("id", DataType::UInt64),
            required("chosen_sum", DataType::Float32),
            required("chosen_tokens", DataType::UInt32),
            required("rejected_sum", DataType::Float32),
            required("rejected_tokens", DataType::UInt32),
            optional("mismatched_sum", DataType::Float32),
            optional("mismatched_tokens", DataType::UInt32),
        ]
    }

    fn columns(rows: &[Self]) -> Vec<ArrayRef> {
        let mut columns = vec![u64s(rows.iter().map(|row| row.id))];
        let sides: [fn(&Self) -> Option<LogProb>; 3] = [
            |row| Some(row.chosen),
            |row| Some(row.rejected),
            |row| row.mismatched,
        ];
        for side in sides {
            let sums = rows.iter().map(|row| Some(side(row)?.sum));
            let tokens = rows.iter().map(|row| Some(side(row)?.tokens));
            columns.push(Arc::new(sums.collect::<Float32Array>()));
            columns.push(Arc::new(tokens.collect::<UInt32Array>()));
        }
        columns
    }
}

pub(super) fn required(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, false)
}

pub(super) fn optional(name: &str, kind: DataType) -> Field {
    Field::new(name, kind, true)
}

fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(required("element", element)))
}

/// A turn of a conversation, under the names that chat templates use.
fn turn() -> Fields {
    Fields::from(vec![
        required("role", DataType::Utf8),
        required("content", DataType::Utf8),
    ])
}

fn tag() -> Fields {
    Fields::from(vec![
        required("name", DataType::Utf8),
        required("value", DataType::Utf8),
    ])
}

pub(super) fn u64s(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(UInt64Array::from_iter_values(values))
}

pub(super) fn u32s(values: impl Iterator<Item = u32>) -> ArrayRef {
    Arc::new(UInt32Array::from_iter_values(values))
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn truths(values: impl Iterator<Item = bool>) -> ArrayRef {
    Arc::new(values.map(Some).collect::<BooleanArray>())
}

/// Lists of the given lengths over all their elements in a row.
fn lists(lengths: impl Iterator<Item = usize>, elements: ArrayRef) -> ArrayRef {
    let element = required("element", elements.data_type().clone());
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(Arc::new(element), offsets, elements, None))
}

fn f32_lists<'a>(values: impl Iterator<Item = &'a [f32]> + Clone) -> ArrayRef {
    let elements = Float32Array::from_iter_values(values.clone().flatten().copied());
    lists(values.map(<[f32]>::len), Arc::new(elements))
}

fn tags<'a>(values: impl Iterator<Item = &'a BTreeMap<String, String>> + Clone) -> ArrayRef {
    let all = values.clone().flatten();
    let columns = vec![
        texts(all.clone().map(|(name, _)| name.as_str())),
        texts(all.map(|(_, value)| value.as_str())),
    ];
    let elements = StructArray::new(tag(), columns, None);
    lists(values.map(BTreeMap::len), Arc::new(elements))
}

fn conversations<'a>(values: impl Iterator<Item = &'a [Message]> + Clone) -> ArrayRef {
    let turns = values.clone().flatten();
    let columns = vec![
        texts(turns.clone().map(|turn| turn.role.as_str())),
        texts(turns.map(|turn| turn.content.as_str())),
    ];
    let elements = StructArray::new(turn(), columns, None);
    lists(values.map(<[Message]>::len), Arc::new(elements))
}
