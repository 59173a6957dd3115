//! The one error of this crate.

use std::{io, path::PathBuf, sync::Arc};

use crate::{codec::CodecError, journal::Sequence};

/// Why storage could not do what it was asked. Every variant that needs an operator names the file, the
/// place in it and the remedy. Cheap to clone: a poisoned journal answers every later call with its first
/// error.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The operating system refused a file operation.
    #[error("cannot {action} {}: {source}; {}", path.display(), remedy(source))]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// File or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: Arc<io::Error>,
    },
    /// sled refused an operation, and not for the operating system's sake.
    #[error(
        "sled cannot {action} {}: {}; its files are damaged: restore the data folder from a backup taken as a whole",
        path.display(), sled_reason(source)
    )]
    Sled {
        /// What was tried, as a verb.
        action: &'static str,
        /// Folder of the database.
        path: PathBuf,
        /// The error of sled.
        source: Box<sled::Error>,
    },
    /// sled panicked while it opened or read a database: it does so on damaged files.
    #[error(
        "sled gave up on {}: its files are damaged; restore the data folder from a backup taken as a whole",
        path.display()
    )]
    SledPanicked {
        /// Folder of the database.
        path: PathBuf,
    },
    /// sled's writes would not be synced.
    #[error("sled's sync_file_range is not replaced: this program is not linked as it should be")]
    NoBarrier,
    /// Another process has the data folder open.
    #[error("{} is held by another process; stop it or choose another data folder", path.display())]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// There is no data to read.
    #[error("there is no data folder of a shop at {}; name the folder that `data.dir` names", path.display())]
    NoData {
        /// What was named.
        path: PathBuf,
    },
    /// A private copy has no room.
    #[error(
        "a private copy needs {needed} bytes and {} has {free}; free some, or name another place with --scratch",
        path.display()
    )]
    NoRoom {
        /// Where it would lie.
        path: PathBuf,
        /// What it takes.
        needed: u64,
        /// What is free.
        free: u64,
    },
    /// Bytes that were durable once are wrong now.
    #[error(
        "{} is damaged at {place}: {problem}; restore the data folder from a backup taken as a whole",
        file.display()
    )]
    Damaged {
        /// File or database folder.
        file: PathBuf,
        /// Where in it.
        place: Place,
        /// What is wrong there.
        problem: &'static str,
    },
    /// A file of another journal lies in this data folder.
    #[error(
        "{} belongs to journal {found}, this data folder to {expected}; move the file away or restore the \
         right one",
        file.display()
    )]
    Foreign {
        /// The file.
        file: PathBuf,
        /// Journal id in the file, in hexadecimal digits.
        found: JournalId,
        /// Journal id of the data folder.
        expected: JournalId,
    },
    /// Events are missing between two that are there.
    #[error(
        "events {from} to {to} are missing in {}: files were removed or are an older copy; restore the data \
         folder as a whole",
        file.display()
    )]
    MissingEvents {
        /// Where they should be.
        file: PathBuf,
        /// First missing event.
        from: Sequence,
        /// Last missing event.
        to: Sequence,
    },
    /// The newest segments of the commit log are missing.
    #[error(
        "the commit log in {} ends at segment generation {found}, but {expected} was begun: files are missing, \
         damaged or an older copy; restore the data folder as a whole",
        dir.display()
    )]
    MissingSegment {
        /// Folder of the log.
        dir: PathBuf,
        /// Newest generation found.
        found: u64,
        /// Newest generation that was begun.
        expected: u64,
    },
    /// A database ends below its high-water mark.
    #[error(
        "{} ends at {last}, its mark says {mark}: files are missing or an older copy; restore the data folder \
         as a whole",
        path.display()
    )]
    BehindMark {
        /// Folder of the database.
        path: PathBuf,
        /// Where it ends.
        last: u64,
        /// What was durable once.
        mark: u64,
    },
    /// The journal was cut after everything that the snapshot store knows of.
    #[error(
        "{} knows of a journal cut below event {cut}, but the journal begins at {first}: the snapshots are missing \
         or an older copy; restore the data folder as a whole",
        path.display()
    )]
    OlderThanCut {
        /// Folder of the snapshots.
        path: PathBuf,
        /// Where the journal begins.
        first: Sequence,
        /// Where it may begin at the latest.
        cut: Sequence,
    },
    /// Data without the mark that says how far it reaches.
    #[error(
        "{} is missing, but data exists beside it; restore the data folder as a whole",
        path.display()
    )]
    MarkMissing {
        /// The mark file.
        path: PathBuf,
    },
    /// Journal files exist without the identity record.
    #[error(
        "{} is missing, but a journal exists beside it: a new identity would orphan it; restore the file",
        path.display()
    )]
    IdentityMissing {
        /// The identity file.
        path: PathBuf,
    },
    /// sled wrote a file that it never syncs.
    #[error(
        "{} is not empty: sled moved a value there and never syncs it; stop, and restore the folder from a \
         backup or report the value that was too large",
        path.display()
    )]
    Blobs {
        /// The `blobs` folder.
        path: PathBuf,
    },
    /// A value is larger than sled keeps in its own file: a fault of this program, caught before it is stored.
    #[error("a value of {bytes} bytes is too large for {}, at most {max}", path.display())]
    ValueTooLarge {
        /// Folder of the database.
        path: PathBuf,
        /// Its size.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// One record is larger than a value of the database may be.
    #[error("record {sequence} has {bytes} bytes, at most {max} can be stored")]
    RecordTooLarge {
        /// The record.
        sequence: Sequence,
        /// Its size.
        bytes: usize,
        /// The limit: `sled_segment_bytes / 80` less the chunk header.
        max: usize,
    },
    /// A batch is not what it says it is.
    #[error("batch {first}: {problem}")]
    BadBatch {
        /// Its first sequence.
        first: Sequence,
        /// What is wrong.
        problem: &'static str,
    },
    /// A batch does not follow the last one.
    #[error("batch begins at {found}, the journal expects {expected}")]
    OutOfOrder {
        /// The sequence that comes next.
        expected: Sequence,
        /// The first sequence of the batch.
        found: Sequence,
    },
    /// A snapshot record breaks a size limit.
    #[error("snapshot of {key:02x?}: {problem}")]
    BadSnapshot {
        /// The entity.
        key: Vec<u8>,
        /// What is wrong.
        problem: &'static str,
    },
    /// Events below what is kept were asked for.
    #[error("event {from} is no longer kept; the oldest is {oldest}")]
    NotKept {
        /// What was asked for.
        from: Sequence,
        /// The oldest event of archive and live journal.
        oldest: Sequence,
    },
    /// A setting is outside what works.
    #[error("setting {name}: {problem}")]
    Setting {
        /// The option.
        name: &'static str,
        /// What it must be.
        problem: &'static str,
    },
    /// The identity could not be read or written.
    #[error("{} cannot be used: {source}; restore it from a backup of this data folder", file.display())]
    Codec {
        /// The file.
        file: PathBuf,
        /// The reason.
        source: Arc<CodecError>,
    },
    /// The background thread of the journal ended by a panic.
    #[error("the journal's feeder thread panicked")]
    FeederPanicked,
    /// Used after `close`.
    #[error("storage is closed")]
    Closed,
}

/// A place in a damaged file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Byte offset, with the sequence that should stand there.
    Offset(u64, Sequence),
    /// A journal chunk by its first sequence.
    Chunk(Sequence),
    /// A snapshot pack by its number, and the part of it.
    Pack(u64, u32),
    /// The file as a whole.
    File,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offset(offset, sequence) => write!(f, "offset {offset} (event {sequence})"),
            Self::Chunk(first) => write!(f, "the chunk of event {first}"),
            Self::Pack(pack, part) => write!(f, "pack {pack}, part {part}"),
            Self::File => write!(f, "its contents"),
        }
    }
}

/// The random id that ties all files of one journal together; shown in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalId(pub [u8; 16]);

impl std::fmt::Display for JournalId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl StorageError {
    /// Maps an I/O error of `action` on `path`.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }

    /// Maps an error of sled during `action` on the database in `path`.
    pub(crate) fn sled(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(sled::Error) -> Self {
        let path = path.into();
        move |source| match source {
            sled::Error::Io(source) => Self::Io { action, path, source: Arc::new(own_error(source)) },
            source => Self::Sled { action, path, source: Box::new(source) },
        }
    }
}

/// What an operator can do about an error of the operating system, as the end of a sentence.
#[must_use]
pub fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room on this disk and start again: what was acknowledged is there"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "find out why the file system takes no writes, mount it for writing and start again"
        }
        io::ErrorKind::PermissionDenied => "give the user of this process the right to it and start again",
        io::ErrorKind::NotFound => "restore the data folder from a backup taken as a whole",
        _ => {
            "check the disk and the system's log, and start again when it works: what was acknowledged is there"
        }
    }
}

/// The operating system's error as it was: sled hands on copies, which keep its number in their text alone.
fn own_error(error: io::Error) -> io::Error {
    let text = error.to_string();
    let number = text.split_once("code: ").and_then(|(_, rest)| {
        let digits = rest.find(|next: char| !next.is_ascii_digit()).unwrap_or(rest.len());
        rest[..digits].parse().ok()
    });
    number.filter(|_| error.raw_os_error().is_none()).map_or(error, io::Error::from_raw_os_error)
}

/// What sled complains of, without the debris of its own message.
fn sled_reason(error: &sled::Error) -> String {
    match error {
        sled::Error::Corruption { at: Some(place), .. } => {
            format!("it finds damage at offset {}", place.lid())
        }
        sled::Error::Corruption { .. } => "it finds damage".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_sled_copied_keeps_its_number_and_has_a_remedy() {
        let full = sled::Error::Io(io::Error::from_raw_os_error(libc::ENOSPC));
        for error in [full.clone(), full.clone().clone(), full] {
            let text = StorageError::sled("flush", "data/journal")(error).to_string();
            assert!(text.starts_with("cannot flush data/journal: No space left on device"), "{text}");
            assert!(text.contains("make room"), "{text}");
        }
        let copied = sled::Error::Io(io::Error::from_raw_os_error(libc::EIO)).clone();
        let text = StorageError::sled("flush", "data/journal")(copied).to_string();
        assert!(text.contains("Input/output error (os error 5); check the disk"), "{text}");
    }

    #[test]
    fn damage_that_sled_finds_has_a_remedy() {
        let damage = sled::Error::Corruption { at: None, bt: () };
        let text = StorageError::sled("open", "data/journal")(damage).to_string();
        assert!(text.contains("sled cannot open data/journal: it finds damage; its files"), "{text}");
        assert!(text.contains("restore the data folder"), "{text}");
    }
}
