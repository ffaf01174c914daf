//! Parquet: a column a feature, or one column of lists.

use std::fs::File;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float16Type, Float32Type, Float64Type};
use arrow_array::{
    Array, ArrayRef, FixedSizeListArray, Float32Array, GenericListArray, OffsetSizeTrait,
};
use arrow_schema::{DataType, Schema};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

/// Width and values, row by row.
pub(super) fn read(file: File, column: Option<&str>) -> Result<(usize, Vec<f32>), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(text)?;
    let chosen = columns(builder.schema(), column)?;
    let mask = ProjectionMask::roots(builder.parquet_schema(), chosen);
    let reader = builder.with_projection(mask).build().map_err(text)?;
    let (mut width, mut values, mut row) = (None, Vec::new(), 0);
    for batch in reader {
        let batch = batch.map_err(text)?;
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let columns = batch.columns();
        if let [only] = columns
            && is_list(only.data_type())
        {
            for items in lists(only, names[0], row)? {
                match width {
                    Some(width) if width != items.len() => {
                        return Err(format!(
                            "column `{}` has {width} values in row 0, but {} in row {row}",
                            names[0],
                            items.len()
                        ));
                    }
                    _ => width = Some(items.len()),
                }
                values.extend(items);
                row += 1;
            }
            continue;
        }
        width = Some(columns.len());
        let floats: Vec<Float32Array> = columns.iter().map(floats).collect();
        for (array, name) in floats.iter().zip(&names) {
            if let Some(null) = (0..array.len()).find(|&r| array.is_null(r)) {
                return Err(format!(
                    "column `{name}` has no value in row {}",
                    row + null
                ));
            }
        }
        for place in 0..batch.num_rows() {
            values.extend(floats.iter().map(|array| array.value(place)));
            row += 1;
        }
    }
    Ok((width.unwrap_or(0), values))
}

fn text(error: impl ToString) -> String {
    error.to_string()
}

fn is_list(kind: &DataType) -> bool {
    use DataType::{FixedSizeList, LargeList, List};
    matches!(kind, FixedSizeList(..) | LargeList(_) | List(_))
}

/// The columns that are the matrix: the named one, or all of them.
fn columns(schema: &Schema, column: Option<&str>) -> Result<Vec<usize>, String> {
    let fields = schema.fields();
    let names: Vec<&str> = fields.iter().map(|f| f.name().as_str()).collect();
    let chosen: Vec<usize> = match column {
        None => (0..fields.len()).collect(),
        Some(name) => match names.iter().position(|known| *known == name) {
            Some(place) => vec![place],
            None => {
                return Err(format!(
                    "it has no column `{name}`; there are {}",
                    names.join(", ")
                ));
            }
        },
    };
    let hint =
        "hint: name the column that holds lists with `--tensor NAME`, or write the features alone";
    for &place in &chosen {
        let kind = fields[place].data_type();
        if is_list(kind) && chosen.len() > 1 {
            return Err(format!(
                "column `{}` holds lists, and there are {} columns\n{hint}",
                names[place],
                chosen.len()
            ));
        }
        if !is_list(kind) && !kind.is_floating() {
            return Err(format!(
                "column `{}` is of type {kind}, not of floats\n{hint}",
                names[place]
            ));
        }
    }
    Ok(chosen)
}

/// Floats of any width in single precision.
fn floats(array: &ArrayRef) -> Float32Array {
    match array.data_type() {
        DataType::Float16 => array.as_primitive::<Float16Type>().unary(f32::from),
        DataType::Float64 => array
            .as_primitive::<Float64Type>()
            .unary(|wide| wide as f32),
        _ => array.as_primitive::<Float32Type>().clone(),
    }
}

/// The values of each list of a column whose first row is `row`.
fn lists(array: &ArrayRef, name: &str, row: usize) -> Result<Vec<Vec<f32>>, String> {
    fn each<O: OffsetSizeTrait>(list: &GenericListArray<O>) -> Vec<Option<ArrayRef>> {
        list.iter().collect()
    }
    let items: Vec<Option<ArrayRef>> = match array.data_type() {
        DataType::FixedSizeList(..) => {
            let list: &FixedSizeListArray = array.as_fixed_size_list();
            list.iter().collect()
        }
        DataType::LargeList(_) => each(array.as_list::<i64>()),
        _ => each(array.as_list::<i32>()),
    };
    let whole = |(place, items): (usize, Option<ArrayRef>)| {
        let missing = || format!("column `{name}` has no value in row {}", row + place);
        let items = items.ok_or_else(missing)?;
        if !items.data_type().is_floating() {
            return Err(format!(
                "column `{name}` holds lists of type {}, not of floats",
                items.data_type()
            ));
        }
        let items = floats(&items);
        match items.null_count() {
            0 => Ok(items.values().to_vec()),
            _ => Err(missing()),
        }
    };
    items.into_iter().enumerate().map(whole).collect()
}
