//! The training log of a checkpoint as a table.

use std::{path::Path, sync::Arc};

use anyhow::anyhow;
use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, UInt64Array,
};
use arrow_schema::{DataType, Field, Schema};
use serde_json::Value;
use w2s_artifact::Artifact;
use w2s_stage::HintExt;

use super::{ROWS_AT_ONCE, columns::optional, file::write};

/// The training log. Its columns are those of its lines, and all of them may be empty: a held-out score is not taken at
/// every step.
pub(super) fn write_log(artifact: &Artifact, output: &Path) -> anyhow::Result<usize> {
    let rows: Vec<Value> = artifact.records_json()?.collect();
    if rows.is_empty() {
        return Err(anyhow!(
            "{} has no training log",
            artifact.reference.short()
        ))
        .hint("only a model that was trained here has one; its weights are in model.safetensors");
    }
    let columns = log_columns(&rows);
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, kind)| optional(name, kind.clone()))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let batches = rows.chunks(ROWS_AT_ONCE).map(|rows| {
        let arrays = columns
            .iter()
            .map(|(name, kind)| log_array(rows, name, kind));
        RecordBatch::try_new(schema.clone(), arrays.collect())
    });
    write(output, &artifact.reference, &schema, batches)?;
    Ok(rows.len())
}

/// The columns of JSON objects in the order of their first appearance, each with the narrowest type that holds all its
/// values. Steps and tokens are written as integers and losses with a point, so the types do not depend on the values.
fn log_columns(rows: &[Value]) -> Vec<(&str, DataType)> {
    let mut columns: Vec<(&str, Option<DataType>)> = Vec::new();
    for (name, value) in rows.iter().filter_map(Value::as_object).flatten() {
        let kind = match value {
            Value::Null => None,
            Value::Bool(_) => Some(DataType::Boolean),
            Value::Number(number) if number.is_u64() => Some(DataType::UInt64),
            Value::Number(number) if number.is_i64() => Some(DataType::Int64),
            Value::Number(_) => Some(DataType::Float64),
            Value::String(_) | Value::Array(_) | Value::Object(_) => Some(DataType::Utf8),
        };
        match columns.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = wider(known.take(), kind),
            None => columns.push((name, kind)),
        }
    }
    columns
        .into_iter()
        // A number that is not finite has no other form in JSON than null.
        .map(|(name, kind)| (name, kind.unwrap_or(DataType::Float64)))
        .collect()
}

fn wider(one: Option<DataType>, other: Option<DataType>) -> Option<DataType> {
    let number = |kind: &DataType| kind.is_numeric();
    match (one, other) {
        (None, kind) | (kind, None) => kind,
        (Some(one), Some(other)) if one == other => Some(one),
        (Some(one), Some(other)) if number(&one) && number(&other) => {
            let float = one.is_floating() || other.is_floating();
            Some(if float {
                DataType::Float64
            } else {
                DataType::Int64
            })
        }
        _ => Some(DataType::Utf8),
    }
}

fn log_array(rows: &[Value], name: &str, kind: &DataType) -> ArrayRef {
    let values = rows.iter().map(|row| &row[name]);
    match kind {
        DataType::Boolean => Arc::new(values.map(Value::as_bool).collect::<BooleanArray>()),
        DataType::UInt64 => Arc::new(values.map(Value::as_u64).collect::<UInt64Array>()),
        DataType::Int64 => Arc::new(values.map(Value::as_i64).collect::<Int64Array>()),
        DataType::Float64 => Arc::new(values.map(Value::as_f64).collect::<Float64Array>()),
        _ => {
            let text = |value: &Value| match value {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                other => Some(other.to_string()),
            };
            Arc::new(values.map(text).collect::<StringArray>())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_log_column_has_the_narrowest_type_of_its_values() {
        let rows = [
            json!({"step": 1, "loss": 1.0, "shift": -1, "mixed": 1, "note": "a", "done": false}),
            json!({"step": 2, "loss": null, "shift": 2, "mixed": 0.5, "note": [1], "held_out": null}),
        ];
        let columns = log_columns(&rows);
        let expected = [
            ("step", DataType::UInt64),
            ("loss", DataType::Float64),
            ("shift", DataType::Int64),
            ("mixed", DataType::Float64),
            ("note", DataType::Utf8),
            ("done", DataType::Boolean),
            ("held_out", DataType::Float64),
        ];
        assert_eq!(columns, expected);
        let array = log_array(&rows, "note", &DataType::Utf8);
        assert_eq!(
            *array,
            StringArray::from(vec![Some("a"), Some("[1]")]) as StringArray
        );
    }
}
