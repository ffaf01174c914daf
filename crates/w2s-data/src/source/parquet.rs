//! Parquet: lists are arrays and structures objects; dates and times are texts.

use std::{fmt::Debug, fs::File, path::Path, sync::Arc};

use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray, cast::AsArray, types::*};
use arrow_schema::{DataType, TimeUnit};
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
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = as_json(dictionary.values())?;
            let keys = dictionary.normalized_keys().into_iter();
            // The key of a null may be any number.
            keys.map(|key| values.get(key).cloned().unwrap_or_default())
                .collect()
        }
        _ => scalars(array)?,
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

/// Text, numbers, truth values, dates and times; `None` for other types. What stands for a null is any value.
fn scalars(array: &dyn Array) -> Option<Vec<Value>> {
    Some(match array.data_type() {
        DataType::Null => vec![Value::Null; array.len()],
        DataType::Boolean => {
            let values = array.as_boolean().values().iter();
            values.map(Value::Bool).collect()
        }
        DataType::Utf8 => texts(array.as_string::<i32>().iter()),
        DataType::LargeUtf8 => texts(array.as_string::<i64>().iter()),
        DataType::Utf8View => texts(array.as_string_view().iter()),
        DataType::Int8 => numbers::<Int8Type>(array),
        DataType::Int16 => numbers::<Int16Type>(array),
        DataType::Int32 => numbers::<Int32Type>(array),
        DataType::Int64 => numbers::<Int64Type>(array),
        DataType::UInt8 => numbers::<UInt8Type>(array),
        DataType::UInt16 => numbers::<UInt16Type>(array),
        DataType::UInt32 => numbers::<UInt32Type>(array),
        DataType::UInt64 => numbers::<UInt64Type>(array),
        DataType::Float16 => numbers::<Float16Type>(array),
        DataType::Float32 => numbers::<Float32Type>(array),
        DataType::Float64 => numbers::<Float64Type>(array),
        &DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, scale),
        &DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, scale),
        &DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, scale),
        &DataType::Decimal256(_, scale) => decimals::<Decimal256Type>(array, scale),
        DataType::Date32 => times(array, PrimitiveArray::<Date32Type>::value_as_date),
        DataType::Date64 => times(array, PrimitiveArray::<Date64Type>::value_as_datetime),
        DataType::Time32(TimeUnit::Second) => {
            times(array, PrimitiveArray::<Time32SecondType>::value_as_time)
        }
        DataType::Time32(_) => times(
            array,
            PrimitiveArray::<Time32MillisecondType>::value_as_time,
        ),
        DataType::Time64(TimeUnit::Microsecond) => times(
            array,
            PrimitiveArray::<Time64MicrosecondType>::value_as_time,
        ),
        DataType::Time64(_) => times(array, PrimitiveArray::<Time64NanosecondType>::value_as_time),
        DataType::Timestamp(unit, zone) => {
            let moments = match unit {
                TimeUnit::Second => moments::<TimestampSecondType>(array),
                TimeUnit::Millisecond => moments::<TimestampMillisecondType>(array),
                TimeUnit::Microsecond => moments::<TimestampMicrosecondType>(array),
                TimeUnit::Nanosecond => moments::<TimestampNanosecondType>(array),
            };
            match zone {
                None => moments,
                // Of a moment in a known time zone: what a clock in Greenwich says.
                Some(_) => {
                    let moments = moments.iter().map(Value::as_str);
                    let moments = moments.map(|text| text.map(|text| format!("{text}Z").into()));
                    moments.map(Option::unwrap_or_default).collect()
                }
            }
        }
        _ => return None,
    })
}

fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> Vec<Value> {
    texts
        .map(|text| text.map(Value::from).unwrap_or_default())
        .collect()
}

/// Numbers with their own digits, those of single precision too. Not-a-number has no form in JSON.
fn numbers<T: ArrowPrimitiveType>(array: &dyn Array) -> Vec<Value> {
    let numbers = array.as_primitive::<T>().values().iter();
    numbers
        .map(|number| number_of(&format!("{number:?}")))
        .collect()
}

fn decimals<T: DecimalType>(array: &dyn Array, scale: i8) -> Vec<Value> {
    let numbers = array.as_primitive::<T>().values().iter();
    numbers
        .map(|&number| number_of(&T::format_decimal(number, T::MAX_PRECISION, scale)))
        .collect()
}

fn number_of(text: &str) -> Value {
    text.parse().map_or(Value::Null, Value::Number)
}

fn moments<T: ArrowTemporalType>(array: &dyn Array) -> Vec<Value>
where
    i64: From<T::Native>,
{
    times(array, PrimitiveArray::<T>::value_as_datetime)
}

/// Dates and times as ISO 8601 writes them; null where a number is outside the calendar.
fn times<T: ArrowPrimitiveType, M: Debug>(
    array: &dyn Array,
    read: fn(&PrimitiveArray<T>, usize) -> Option<M>,
) -> Vec<Value> {
    let array = array.as_primitive::<T>();
    let text = |row| read(array, row).map(|moment| format!("{moment:?}").into());
    (0..array.len())
        .map(|row| text(row).unwrap_or_default())
        .collect()
}
