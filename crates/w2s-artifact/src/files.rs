//! Small file-system moves the store is made of: atomic writes, flushed folders, listings and hashes.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::error::StoreError;

/// Bytes read at once while hashing; large enough for blake3 to spread over the threads.
const HASH_BUFFER_BYTES: usize = 4 << 20;
/// Below this a file is hashed on one thread.
const PARALLEL_HASH_BYTES: usize = 256 << 10;

/// Writes `bytes` to `path` through a hidden neighbour, flushed and then renamed.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    write_synced(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| {
            let _ = fs::remove_file(&temporary);
            StoreError::io("write", path)(error)
        })
}

/// Writes `bytes` to `path` itself and flushes them to the disk.
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Gives the files in `names` under `root` the permissions of `model`, which was just created: those that the umask of the
/// user asks for, whatever mode a library wrote them with.
pub(crate) fn open_as(model: &Path, root: &Path, names: &[String]) -> Result<(), StoreError> {
    let read = |path: &Path| fs::metadata(path).map_err(StoreError::io("read", path));
    let wanted = read(model)?.permissions();
    for name in names {
        let path = root.join(name);
        if read(&path)?.permissions() != wanted {
            fs::set_permissions(&path, wanted.clone())
                .map_err(StoreError::io("change the permissions of", &path))?;
        }
    }
    Ok(())
}

/// Flushes the names in a folder to the disk.
pub(crate) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    // Only Unix opens folders as files; elsewhere the rename has to be enough.
    if cfg!(unix) {
        File::open(path)
            .and_then(|folder| folder.sync_all())
            .map_err(StoreError::io("flush", path))?;
    }
    Ok(())
}

/// Creates a folder and its parents.
pub(crate) fn create_folder(path: &Path) -> Result<(), StoreError> {
    fs::create_dir_all(path).map_err(StoreError::io("create the folder", path))
}

/// Removes whatever is at `path`: a folder with its content, a file, or nothing.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(StoreError::io("remove", path))
}

/// Whether a file or folder is left out of artifacts and hashes: hidden ones are temporary or somebody's cache.
pub(crate) fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

/// How symbolic links are met while listing a folder.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Read what they point to.
    Follow,
    /// An error: the folder must stand alone.
    Refuse,
}

/// The visible files under `root` as names with `/` between their parts, sorted.
pub(crate) fn list_files(
    root: &Path,
    links: Links,
    skip: &[&str],
) -> Result<Vec<String>, StoreError> {
    let mut walk = Walk {
        links,
        skip,
        folders: 0,
        above: Vec::new(),
        names: Vec::new(),
    };
    walk.folder(root, "")?;
    walk.names.sort_unstable();
    Ok(walk.names)
}

/// Folders that a listing enters at most: links can make many of few.
const MOST_FOLDERS: usize = 10_000;
/// Files that it lists at most.
const MOST_FILES: usize = 1_000_000;

/// A listing on its way.
struct Walk<'a> {
    links: Links,
    skip: &'a [&'a str],
    /// How many folders were entered.
    folders: usize,
    /// The folders that the present one lies in, links resolved.
    above: Vec<PathBuf>,
    names: Vec<String>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, prefix: &str) -> Result<(), StoreError> {
        let refused = |reason: String| StoreError::Unstorable {
            path: folder.to_owned(),
            reason,
        };
        let itself = folder
            .canonicalize()
            .map_err(StoreError::io("read the folder", folder))?;
        if self.above.contains(&itself) {
            return Err(refused(format!(
                "it is a link to `{}`, in which it lies",
                itself.display()
            )));
        }
        self.folders += 1;
        if self.folders > MOST_FOLDERS || self.names.len() > MOST_FILES {
            return Err(refused(format!(
                "more than {MOST_FOLDERS} folders or {MOST_FILES} files were met on the way to it"
            )));
        }
        self.above.push(itself);
        for entry in fs::read_dir(folder).map_err(StoreError::io("read the folder", folder))? {
            let entry = entry.map_err(StoreError::io("read the folder", folder))?;
            self.entry(&entry, prefix)?;
        }
        self.above.pop();
        Ok(())
    }

    fn entry(&mut self, entry: &fs::DirEntry, prefix: &str) -> Result<(), StoreError> {
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(StoreError::Unstorable {
                path,
                reason: "its name is not UTF-8".to_owned(),
            });
        };
        if is_hidden(&name) || (prefix.is_empty() && self.skip.contains(&name.as_str())) {
            return Ok(());
        }
        let mut file_type = entry.file_type().map_err(StoreError::io("read", &path))?;
        if file_type.is_symlink() {
            if self.links == Links::Refuse {
                return Err(StoreError::Unstorable {
                    path,
                    reason: "it is a symbolic link".to_owned(),
                });
            }
            file_type = fs::metadata(&path)
                .map_err(StoreError::io("read", &path))?
                .file_type();
        }
        let name = format!("{prefix}{name}");
        if file_type.is_dir() {
            return self.folder(&path, &format!("{name}/"));
        }
        if !file_type.is_file() {
            return Err(StoreError::Unstorable {
                path,
                reason: "it is neither a file nor a folder".to_owned(),
            });
        }
        self.names.push(name);
        Ok(())
    }
}

/// Size and blake3 of a file.
pub(crate) fn hash_file(path: &Path) -> Result<(u64, blake3::Hash), StoreError> {
    let hash = || -> io::Result<(u64, blake3::Hash)> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len().min(HASH_BUFFER_BYTES as u64) as usize;
        let mut buffer = vec![0; length.max(4096)];
        let mut hasher = blake3::Hasher::new();
        let mut bytes = 0;
        loop {
            let mut filled = 0;
            while filled < buffer.len() {
                match file.read(&mut buffer[filled..]) {
                    Ok(0) => break,
                    Ok(read) => filled += read,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            if filled == 0 {
                return Ok((bytes, hasher.finalize()));
            }
            bytes += filled as u64;
            if filled >= PARALLEL_HASH_BYTES {
                hasher.update_rayon(&buffer[..filled]);
            } else {
                hasher.update(&buffer[..filled]);
            }
        }
    };
    hash().map_err(StoreError::io("read", path))
}

/// What the system says of a file or folder. Pipes and devices are refused: opening one may wait for ever, and what it gives
/// cannot be read twice.
pub(crate) fn metadata(path: &Path) -> Result<Metadata, StoreError> {
    let metadata = fs::metadata(path).map_err(StoreError::io("read", path))?;
    if metadata.is_file() || metadata.is_dir() {
        Ok(metadata)
    } else {
        Err(StoreError::NoFile { path: path.into() })
    }
}

/// The content of a regular file.
pub(crate) fn read_regular(path: &Path) -> Result<Vec<u8>, StoreError> {
    metadata(path)?;
    fs::read(path).map_err(StoreError::io("read", path))
}

/// The last change of a file's content in nanoseconds since 1970.
pub(crate) fn modified(metadata: &Metadata, path: &Path) -> Result<u64, StoreError> {
    let changed = metadata.modified().map_err(StoreError::io("read", path))?;
    Ok(changed
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64))
}

/// Size and last change of a file: together they show that a file was touched.
pub(crate) fn stamp(path: &Path) -> Result<(u64, u64), StoreError> {
    let metadata = metadata(path)?;
    Ok((metadata.len(), modified(&metadata, path)?))
}

/// Flushes every file in `names` under `root`, and the folders that name them.
pub(crate) fn sync_tree(root: &Path, names: &[String]) -> Result<(), StoreError> {
    let mut folders: Vec<PathBuf> = vec![root.to_owned()];
    for name in names {
        let path = root.join(name);
        // Opened for writing, because some systems flush only what the handle may write.
        File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("flush", &path))?;
        folders.extend(
            path.ancestors()
                .skip(1)
                .take_while(|folder| *folder != root)
                .map(Path::to_owned),
        );
    }
    folders.sort_unstable();
    folders.dedup();
    folders
        .iter()
        .rev()
        .try_for_each(|folder| sync_folder(folder))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_atomic_write_leaves_only_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_atomic(&path, b"one").unwrap();
        write_atomic(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_names_the_file_and_the_cause() {
        // Every write to /dev/full fails the way a full disk does.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.bin");
        std::os::unix::fs::symlink("/dev/full", folder.path().join(".records.bin.tmp")).unwrap();
        let error = write_atomic(&path, b"bytes").unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("cannot write {}", path.display())
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("No space left"), "{cause}");
        assert!(error.hint().unwrap().starts_with("free some space"));
        assert!(!path.exists());
    }

    #[test]
    fn files_are_listed_sorted_and_without_hidden_ones() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b",
            "a/c",
            "a/.hidden",
            ".git/config",
            "scratch/x",
            "a/scratch",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        assert_eq!(
            list_files(folder.path(), Links::Refuse, &["scratch"]).unwrap(),
            ["a/c", "a/scratch", "b"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), "x").unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
        assert_eq!(
            list_files(folder.path(), Links::Follow, &[]).unwrap(),
            ["a", "b"]
        );
        let error = list_files(folder.path(), Links::Refuse, &[]).unwrap_err();
        assert!(
            error
                .to_string()
                .ends_with("b cannot be part of an artifact: it is a symbolic link")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_that_links_to_itself_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        fs::create_dir(&inner).unwrap();
        // Two links in each of many levels would be walked for ever.
        for name in ["one", "two"] {
            std::os::unix::fs::symlink(folder.path(), inner.join(name)).unwrap();
        }
        let error = list_files(folder.path(), Links::Follow, &[]).unwrap_err();
        assert!(error.to_string().contains("it is a link to"), "{error}");
        // A link to a folder beside it is none to itself.
        for name in ["one", "two"] {
            fs::remove_file(inner.join(name)).unwrap();
        }
        fs::write(inner.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&inner, folder.path().join("other")).unwrap();
        assert_eq!(
            list_files(folder.path(), Links::Follow, &[]).unwrap(),
            ["inner/file", "other/file"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_that_make_many_folders_of_few_are_bounded() {
        let folder = tempfile::tempdir().unwrap();
        for level in 0..24 {
            let here = folder.path().join(level.to_string());
            fs::create_dir(&here).unwrap();
            for name in ["a", "b"] {
                let below = folder.path().join((level + 1).to_string());
                std::os::unix::fs::symlink(below, here.join(name)).unwrap();
            }
        }
        fs::create_dir(folder.path().join("24")).unwrap();
        let error = list_files(&folder.path().join("0"), Links::Follow, &[]).unwrap_err();
        assert!(
            error.to_string().contains("more than 10000 folders"),
            "{error}"
        );
    }

    #[test]
    fn a_file_hash_does_not_depend_on_the_buffer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        for length in [
            0,
            1,
            5000,
            PARALLEL_HASH_BYTES,
            HASH_BUFFER_BYTES,
            HASH_BUFFER_BYTES + 1,
        ] {
            let bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
            fs::write(&path, &bytes).unwrap();
            assert_eq!(
                hash_file(&path).unwrap(),
                (length as u64, blake3::hash(&bytes))
            );
        }
    }
}
