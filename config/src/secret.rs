//! Text that must not reach logs, errors or `config show`, and the files that hold such text.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More than any secret needs; whoever names a device or a disk image by mistake is told so at once.
const MOST_FILE_BYTES: u64 = 64 << 10;
/// All that the file's group and everybody else may do: who can write a secret can choose it.
const OPEN_TO_OTHERS: u32 = 0o077;

/// A secret. `Debug` prints `[redacted]`, and there is no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    text: String,
    file: Option<PathBuf>,
}

impl Secret {
    /// Wraps the text as it is; whoever makes a secret has checked its form.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), file: None }
    }

    /// The secret in a file; white space round it, such as the last line's end, does not count.
    ///
    /// # Errors
    /// What the operating system says, and `InvalidData` for what is too long or not UTF-8.
    pub(crate) fn read(path: PathBuf) -> io::Result<Self> {
        let mut text = String::new();
        File::open(&path)?.take(MOST_FILE_BYTES + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MOST_FILE_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(Self { text: text.trim().to_owned(), file: Some(path) })
    }

    /// The text itself. Named so that every use stands out in a review.
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// The file that it was read from, if it was.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// The permission bits of a file that others than its owner can use; `None` if they cannot, or if there is no such
/// file.
pub(crate) fn mode_if_open_to_others(path: &Path) -> Option<u32> {
    let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
    let mode = metadata.mode() & 0o7777;
    (mode & OPEN_TO_OTHERS != 0).then_some(mode)
}
