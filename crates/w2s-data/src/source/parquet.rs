//! Parquet: lists are arrays and structures objects; dates and times are texts.

use std::{fs::File, path::Path, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, StringArray},
    compute::cast,
    datatypes::{
        DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType,
    },
};
use parquet::arrow::{ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder};
use serde_json::{Map, Value};

use super::{Each, check_columns, pages};
use crate::error::{DataError, Place};

pub(super) fn read(
    path: &Path,
    file: File,
    columns: Option<&[&str]>,
    each: Each,
) -> Result<(), DataError> {
    let failed = |problem| DataError::Parquet {
        path: path.into(),
        problem,
    };
    let heads = file.try_clone().map_err(|e| failed(e.to_string()))?;
    let mut builder =
        ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| failed(e.to_string()))?;
    let fields = builder.schema().fields();
    let present: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
    check_columns(path, columns, &present)?;
    pages::check(&heads, builder.metadata(), columns).map_err(failed)?;
    if let Some(columns) = columns {
        let wanted = |&root: &usize| columns.contains(&present[root].as_str());
        let roots = (0..present.len()).filter(wanted);
        let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
        builder = builder.with_projection(mask);
    }
    let reader = builder
        .with_batch_size(8192)
        .build()
        .map_err(|e| failed(e.to_string()))?;
    let name: Arc<Path> = path.into();
    let mut number = 0;
    for batch in reader {
        let batch = batch.map_err(|e| failed(e.to_string()))?;
        let place = |number| Place {
            file: name.clone(),
            number,
            is_row: true,
        };
        let schema = batch.schema();
        let mut rows = vec![Map::new(); batch.num_rows()];
        for (field, array) in schema.fields().iter().zip(batch.columns()) {
            match as_json(array) {
                Some(values) => {
                    for (row, value) in rows.iter_mut().zip(values) {
                        row.insert(field.name().clone(), value);
                    }
                }
                // A column that has no form in JSON, such as an image, can be there as long as nobody asks for it.
                None if columns.is_none() => {}
                None => {
                    return Err(DataError::Value {
                        place: place(number + 1),
                        column: field.name().clone(),
                        found: format!("values of the type {}", array.data_type()),
                    });
                }
            }
        }
        for values in rows {
            number += 1;
            if !each(place(number), values)? {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// The values of an array, with lists as arrays and structures as objects; `None` for binary and other types. Parts of a
/// structure that are of such types are left out.
fn as_json(array: &dyn Array) -> Option<Vec<Value>> {
    let values = match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            let ends = lists.value_offsets().iter().map(|&end| end as usize);
            cut_lists(as_json(lists.values())?, ends)
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            let ends = lists.value_offsets().iter().map(|&end| end as usize);
            cut_lists(as_json(lists.values())?, ends)
        }
        DataType::FixedSizeList(_, length) => {
            let lists = array.as_fixed_size_list();
            let ends = (0..=lists.len()).map(|list| list * *length as usize);
            cut_lists(as_json(lists.values())?, ends)
        }
        DataType::Struct(fields) => {
            let mut rows = vec![Map::new(); array.len()];
            for (field, column) in fields.iter().zip(array.as_struct().columns()) {
                for (row, value) in rows.iter_mut().zip(as_json(column).unwrap_or_default()) {
                    row.insert(field.name().clone(), value);
                }
            }
            rows.into_iter().map(Value::Object).collect()
        }
        kind => {
            let texts = as_text(array)?;
            let value = |text: &str| match kind {
                DataType::Boolean => Value::Bool(text == "true"),
                // Not-a-number has no form in JSON.
                _ if kind.is_numeric() => text.parse().map_or(Value::Null, Value::Number),
                _ => Value::String(text.to_owned()),
            };
            texts
                .iter()
                .map(|text| text.map_or(Value::Null, value))
                .collect()
        }
    };
    let valid = |(row, value)| {
        if array.is_null(row) {
            Value::Null
        } else {
            value
        }
    };
    Some(values.into_iter().enumerate().map(valid).collect())
}

/// Arrays from all their values in a row and the places where each array begins, and the last one ends.
fn cut_lists(values: Vec<Value>, offsets: impl Iterator<Item = usize>) -> Vec<Value> {
    let offsets: Vec<usize> = offsets.collect();
    offsets
        .windows(2)
        .map(|bounds| Value::Array(values[bounds[0]..bounds[1]].to_vec()))
        .collect()
}

/// Text, numbers and booleans as text; `None` for nested and binary types.
fn as_text(array: &dyn Array) -> Option<StringArray> {
    if let DataType::Timestamp(unit, Some(_)) = array.data_type() {
        let texts = cast(&in_utc(array, *unit), &DataType::Utf8).ok()?;
        let texts = texts.as_string::<i32>().iter();
        return Some(
            texts
                .map(|text| text.map(|text| format!("{text}Z")))
                .collect(),
        );
    }
    let inner = match array.data_type() {
        DataType::Dictionary(_, values) => values.as_ref(),
        other => other,
    };
    if inner.is_nested()
        || matches!(
            inner,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        )
    {
        return None;
    }
    Some(
        cast(array, &DataType::Utf8)
            .ok()?
            .as_string::<i32>()
            .clone(),
    )
}

/// Moments without their time zone: what a clock in Greenwich says.
fn in_utc(array: &dyn Array, unit: TimeUnit) -> ArrayRef {
    macro_rules! clock {
        ($kind:ty) => {
            Arc::new(
                array
                    .as_primitive::<$kind>()
                    .clone()
                    .with_timezone_opt(None::<Arc<str>>),
            )
        };
    }
    match unit {
        TimeUnit::Second => clock!(TimestampSecondType),
        TimeUnit::Millisecond => clock!(TimestampMillisecondType),
        TimeUnit::Microsecond => clock!(TimestampMicrosecondType),
        TimeUnit::Nanosecond => clock!(TimestampNanosecondType),
    }
}
