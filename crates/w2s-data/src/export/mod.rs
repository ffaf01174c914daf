//! `w2s-data export`: the rows of an artifact as a Parquet file, for people who work in Python. It is here because this
//! crate reads Parquet; `cargo xtask export --format parquet` calls it.

mod columns;

mod log;

mod file;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::anyhow;
use arrow_array::{Float64Array, RecordBatch};
use arrow_schema::{DataType, Schema};
use serde_json::{Value, json};
use w2s_artifact::{
    Artifact, Document, Example, Features, Kind, Label, Pair, Prediction, Prompt,
    ReferenceLogProbs, Response, Score, Store, Tokens,
};
use w2s_stage::{ArtifactArg, Command, HintExt};

use self::{
    columns::{Columns, optional, required, u32s, u64s},
    file::write,
    log::write_log,
};

/// Rows turned into columns at once. An Arrow array of texts holds at most 2 GiB.
const ROWS_AT_ONCE: usize = 1024;

/// A format of files with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// Apache Parquet
    Parquet,
}

/// Writes the rows of an artifact to a file.
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// Artifact to export: `KIND/HEX`, or the path of its folder
    #[arg(value_name = "ARTIFACT")]
    pub artifact: ArtifactArg,
    /// Format of the file; `cargo xtask export` writes JSON lines and CSV
    #[arg(long, value_enum, default_value_t = ExportFormat::Parquet, value_name = "NAME")]
    pub format: ExportFormat,
    /// File to write; a file of this name is replaced once the new one is whole
    #[arg(long, short, value_name = "FILE")]
    pub output: PathBuf,
}

impl Command for Export {
    const NAME: &'static str = "export";
    const ABOUT: &'static str =
        "Writes the rows of an artifact, or the training log of a checkpoint, to a Parquet file";

    fn run(&self, store: &Store) -> anyhow::Result<Value> {
        let artifact = store.require(&store.resolve(self.artifact.as_str())?)?;
        let ExportFormat::Parquet = self.format;
        let rows = match artifact.reference.kind {
            Kind::Corpus => write_records::<Document>(&artifact, &self.output),
            Kind::Examples => write_records::<Example>(&artifact, &self.output),
            Kind::Labels => write_records::<Label>(&artifact, &self.output),
            Kind::Tokens => write_records::<Tokens>(&artifact, &self.output),
            Kind::Features => write_records::<Features>(&artifact, &self.output),
            Kind::Predictions => write_records::<Prediction>(&artifact, &self.output),
            Kind::Prompts => write_records::<Prompt>(&artifact, &self.output),
            Kind::Responses => write_records::<Response>(&artifact, &self.output),
            Kind::Pairs => write_records::<Pair>(&artifact, &self.output),
            Kind::References => write_records::<ReferenceLogProbs>(&artifact, &self.output),
            Kind::Scores => write_scores(&artifact, &self.output),
            Kind::Checkpoint => write_log(&artifact, &self.output),
            kind => Err(anyhow!("{} has no rows", artifact.reference.short())).with_hint(|| {
                let folder = artifact.path.display();
                match kind {
                    Kind::Report => format!("the numbers of a report are in {folder}/report.json"),
                    Kind::Theory => format!("its trajectories are in {folder}/theory.json"),
                    _ => format!("its files are in {folder}"),
                }
            }),
        }?;
        Ok(json!({"artifact": artifact.reference, "path": self.output, "rows": rows}))
    }
}

fn write_records<T: Columns>(artifact: &Artifact, output: &Path) -> anyhow::Result<usize> {
    let records: Vec<T> = artifact.records()?;
    let schema = Arc::new(Schema::new(T::fields()));
    let batches = records
        .chunks(ROWS_AT_ONCE)
        .map(|rows| RecordBatch::try_new(schema.clone(), T::columns(rows)));
    write(output, &artifact.reference, &schema, batches)?;
    Ok(records.len())
}

/// Scores with a column for each metric, empty where an answer has no such score.
fn write_scores(artifact: &Artifact, output: &Path) -> anyhow::Result<usize> {
    let records: Vec<Score> = artifact.records()?;
    let metrics: BTreeSet<&str> = records
        .iter()
        .flat_map(|row| row.values.keys().map(String::as_str))
        .collect();
    let mut fields = vec![
        required("id", DataType::UInt64),
        required("sample", DataType::UInt32),
    ];
    fields.extend(metrics.iter().map(|name| optional(name, DataType::Float64)));
    let schema = Arc::new(Schema::new(fields));
    let batches = records.chunks(ROWS_AT_ONCE).map(|rows| {
        let mut columns = vec![
            u64s(rows.iter().map(|row| row.id)),
            u32s(rows.iter().map(|row| row.sample)),
        ];
        for name in &metrics {
            let values = rows.iter().map(|row| row.values.get(*name).copied());
            columns.push(Arc::new(values.collect::<Float64Array>()));
        }
        RecordBatch::try_new(schema.clone(), columns)
    });
    write(output, &artifact.reference, &schema, batches)?;
    Ok(records.len())
}
