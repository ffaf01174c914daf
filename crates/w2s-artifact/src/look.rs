//! What shows of a file or folder without reading it: enough to see that somebody wrote to it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::error::StoreError;
use crate::files::{self, Links};

/// A look at a file or folder from outside the store: the names, sizes and last changes of all that counts in it. Two looks
/// that differ say that it was written to in between, even if it holds the same again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Look {
    path: PathBuf,
    files: Vec<Sight>,
}

/// One file as it looks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sight {
    name: String,
    bytes: u64,
    /// Last change of its content, in nanoseconds since 1970.
    modified: u64,
    /// On Unix its number and its last change of any sort, which no program can set: a file that was replaced, or whose
    /// time was put back.
    identity: (u64, i64, i64),
}

impl Look {
    /// Looks at the file or folder `path`. What is neither, such as a pipe, is refused: it could be read only once.
    pub fn at(path: &Path) -> Result<Self, StoreError> {
        let path = path.canonicalize().map_err(StoreError::io("read", path))?;
        let names = match files::metadata(&path)?.is_dir() {
            true => files::list_files(&path, Links::Follow, &[])?,
            false => vec![String::new()],
        };
        let sight = |name: String| {
            let file = match name.is_empty() {
                true => path.clone(),
                false => path.join(&name),
            };
            let metadata = files::metadata(&file)?;
            Ok(Sight {
                name,
                bytes: metadata.len(),
                modified: files::modified(&metadata, &file)?,
                identity: identity(&metadata),
            })
        };
        let files = names.into_iter().map(sight).collect::<Result<_, _>>()?;
        Ok(Self { path, files })
    }

    /// The canonical path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Whether the last change is so long ago that the next one is sure to show: within the tick of a clock it need not.
    pub(crate) fn is_settled(&self) -> bool {
        let newest = self.files.iter().map(|file| file.modified).max();
        UNIX_EPOCH + Duration::from_nanos(newest.unwrap_or(0)) + Duration::from_secs(2)
            < SystemTime::now()
    }
}

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};

    #[test]
    fn a_look_tells_a_file_that_was_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        fs::write(&path, "a,b").unwrap();
        let (file, whole) = (Look::at(&path).unwrap(), Look::at(folder.path()).unwrap());
        assert_eq!(Look::at(&path).unwrap(), file);
        fs::write(folder.path().join(".cache"), "x").unwrap();
        assert_eq!(Look::at(folder.path()).unwrap(), whole);
        fs::write(&path, "a,b,c").unwrap();
        assert_ne!(Look::at(&path).unwrap(), file);
        assert_ne!(Look::at(folder.path()).unwrap(), whole);
    }

    #[cfg(unix)]
    #[test]
    fn a_replaced_file_shows_although_size_and_time_are_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&path, "one").unwrap();
        let before = Look::at(&path).unwrap();
        let time = fs::metadata(&path).unwrap().modified().unwrap();
        fs::write(&other, "two").unwrap();
        File::options()
            .append(true)
            .open(&other)
            .unwrap()
            .set_modified(time)
            .unwrap();
        fs::rename(&other, &path).unwrap();
        assert_ne!(Look::at(&path).unwrap(), before);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused() {
        let error = Look::at(Path::new("/dev/null")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "/dev/null is neither a regular file nor a folder"
        );
    }
}
