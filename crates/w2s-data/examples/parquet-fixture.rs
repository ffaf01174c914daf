//! Writes the Parquet fixture: the rows of `data/fixtures/sst2.tsv` in the layout of the Hugging Face hub, with one negative
//! row and one row without a label added.

use std::{error::Error, fs::File, path::Path, sync::Arc};

use arrow_array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use w2s_data::source::{self, ReadOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let target = std::env::args()
        .nth(1)
        .ok_or("the file to write is missing")?;
    let origin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../data/fixtures/sst2.tsv");
    let options = ReadOptions {
        tsv_quoting: false,
        limit: None,
    };
    let mut rows = Vec::new();
    for record in source::read(&[origin], &["sentence", "label"], options)? {
        rows.push((record.values[0].clone(), record.values[1].parse::<i64>()?));
    }
    rows.push(("all thunder and no weather ".into(), 0));
    rows.push((
        "what the critics will make of it is anyone 's guess . ".into(),
        -1,
    ));
    let idx: ArrayRef = Arc::new(Int32Array::from_iter_values(0..rows.len() as i32));
    let sentences: ArrayRef = Arc::new(StringArray::from_iter_values(
        rows.iter().map(|(sentence, _)| sentence),
    ));
    let labels: ArrayRef = Arc::new(Int64Array::from_iter_values(
        rows.iter().map(|(_, label)| *label),
    ));
    let batch =
        RecordBatch::try_from_iter([("idx", idx), ("sentence", sentences), ("label", labels)])?;
    let mut writer = ArrowWriter::try_new(File::create(target)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}
