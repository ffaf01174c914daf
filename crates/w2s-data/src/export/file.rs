//! A Parquet file that appears whole or not at all.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::Arc,
};

use anyhow::{Context, anyhow};
use arrow_array::RecordBatch;
use arrow_schema::{ArrowError, Schema};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::{metadata::KeyValue, properties::WriterProperties},
};
use w2s_artifact::ArtifactRef;
use w2s_stage::HintExt;

/// The key under which the file says what it was made from.
const ARTIFACT_KEY: &str = "w2s.artifact";

/// Writes a table, which says what artifact it was made of.
pub(super) fn write(
    output: &Path,
    artifact: &ArtifactRef,
    schema: &Arc<Schema>,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
) -> anyhow::Result<()> {
    replace(output, |file| {
        let origin = KeyValue::new(ARTIFACT_KEY.to_owned(), artifact.to_string());
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_key_value_metadata(Some(vec![origin]))
            .build();
        let mut writer =
            ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(cause)?;
        for batch in batches {
            writer.write(&batch?).map_err(cause)?;
        }
        writer.into_inner().map_err(cause)
    })
    .with_context(|| format!("cannot write {}", output.display()))
}

/// The error of the operating system inside, which is what a person can do something about.
fn cause(error: ParquetError) -> anyhow::Error {
    match error {
        ParquetError::External(error) => anyhow::Error::from_boxed(error),
        error => error.into(),
    }
}

/// Writes a file beside `path` and then gives it that name, so that nobody ever sees half a file.
fn replace(path: &Path, write: impl FnOnce(File) -> anyhow::Result<File>) -> anyhow::Result<()> {
    let target = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Err(anyhow!("it is a folder")).hint("name a file"),
        Ok(found) if !found.is_file() => return Err(anyhow!("it is not a regular file")),
        // The file that a link points to is replaced, not the link.
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_path_buf(),
    };
    let Some(name) = target.file_name() else {
        return Err(anyhow!("it is not the name of a file"));
    };
    let mut unfinished = std::ffi::OsString::from(".");
    unfinished.push(name);
    unfinished.push(format!(".{}.partial", std::process::id()));
    let unfinished = target.with_file_name(unfinished);
    let file = match File::create(&unfinished) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(error).hint("the folder must be there already");
        }
        created => created?,
    };
    let written = write(file)
        .and_then(|file| Ok(file.sync_all()?))
        .and_then(|()| Ok(fs::rename(&unfinished, &target)?));
    if written.is_err() {
        // What failed is told already, and a file that cannot be removed does no harm.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, "old").unwrap();
        let failed = replace(&path, |_| Err(anyhow!("the disk is full")));
        assert_eq!(failed.unwrap_err().to_string(), "the disk is full");
        assert_eq!(fs::read(&path).unwrap(), b"old");
        replace(&path, |mut file| {
            io::Write::write_all(&mut file, b"new")?;
            Ok(file)
        })
        .unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
