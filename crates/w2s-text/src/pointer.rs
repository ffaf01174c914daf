//! Pointers of git-lfs, which stand in a clone for large files that were not fetched.

/// What is wrong with a file that is such a pointer, and what to do about it; `None` for any other file.
///
/// ```
/// let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
/// assert!(w2s_text::lfs_pointer(pointer).is_some());
/// assert!(w2s_text::lfs_pointer(b"{}").is_none());
/// ```
pub fn lfs_pointer(bytes: &[u8]) -> Option<&'static str> {
    bytes
        .starts_with(b"version https://git-lfs.github.com/spec/")
        .then_some(
            "it is a git-lfs pointer, which stands for a file that was not fetched\n\
             hint: run `git lfs pull` in the folder that was cloned",
        )
}
