//! `w2s-data features`: a user's own matrix as features for probes.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use w2s_artifact::summary::{FeaturesSummary, SplitSummary};
use w2s_artifact::{Example, Features, Kind};
use w2s_stage::{ArtifactArg, Inputs, Operation, Step};

use super::Matrix;

/// Reads a matrix of your own: one row of features for each row of the source.
#[derive(Clone, Debug, clap::Args, serde::Serialize)]
pub struct FeaturesOperation {
    /// Matrix whose row i, from 0, belongs to row i of the source: .npy, .safetensors, or .parquet with a column a feature
    /// or a column of lists. Where the source is several files, repeat the flag in their order
    #[arg(long, value_name = "FILE", required = true)]
    #[serde(skip)]
    pub matrix: Vec<PathBuf>,
    /// Tensor of a .safetensors file, or column of lists of a .parquet file, where there are several
    #[arg(long, value_name = "NAME")]
    pub tensor: Option<String>,
    /// Examples that the rows belong to
    #[arg(long, value_name = "ARTIFACT")]
    #[serde(skip)]
    pub data: ArtifactArg,
}

impl Operation for FeaturesOperation {
    const NAME: &'static str = "features";
    const VERSION: u32 = 1;
    const KIND: Kind = Kind::Features;
    const ABOUT: &'static str =
        "Reads a matrix of your own (.npy, .safetensors, .parquet) as features, for linear probes";

    fn inputs(&self, inputs: &mut Inputs) {
        inputs.file("matrix", &self.matrix);
        inputs.artifact("data", &self.data).of(Kind::Examples);
    }

    fn check(&self) -> Result<()> {
        match self.matrix.iter().find(|path| !path.is_file()) {
            None => Ok(()),
            Some(path) => bail!("--matrix `{}` is not a file", path.display()),
        }
    }

    fn run(&self, step: &Step) -> Result<Value> {
        let data = step.artifact("data")?;
        let matrix = Matrix::read(&self.matrix, self.tensor.as_deref())?;
        step.stop_if_interrupted()?;
        // Rows that were read and left out have their row in the matrix, too.
        let source_rows = data.summary::<SplitSummary>()?.plan.source_rows;
        if matrix.len() != source_rows {
            let files: Vec<String> = self
                .matrix
                .iter()
                .map(|p| p.display().to_string())
                .collect();
            bail!(
                "{} has {} rows, but {} was made from {source_rows} rows of its source\n\
                 hint: the matrix needs one row for each row of the source, in the same order, those that were left out included",
                files.join(", "),
                matrix.len(),
                data.reference.short()
            );
        }
        let row = |example: Example| {
            let values = usize::try_from(example.id)
                .ok()
                .and_then(|id| matrix.row(id));
            let values = values.with_context(|| {
                format!(
                    "example {} of {} has no row in the matrix, which has {}",
                    example.id,
                    data.reference.short(),
                    matrix.len()
                )
            })?;
            Ok(Features {
                id: example.id,
                values: values.to_vec(),
            })
        };
        let examples = data.records::<Example>()?;
        let rows: Vec<Features> = examples.into_iter().map(row).collect::<Result<_>>()?;
        step.write_records(&rows)?;
        Ok(json!(FeaturesSummary {
            rows: rows.len(),
            width: matrix.width(),
            ..FeaturesSummary::default()
        }))
    }
}
