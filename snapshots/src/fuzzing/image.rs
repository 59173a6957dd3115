//! Data folders kept in memory, to be changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::{Batch, DiskJournal, Journal, JournalOptions, Sequence};

const BLOCK: usize = 4096;
/// Events of each batch.
const BATCH: u32 = 20;

/// A data folder without its lock.
pub(super) struct Image {
    /// By path within the folder, in order.
    files: Vec<(PathBuf, Vec<u8>)>,
    /// Folders, empty ones too.
    folders: Vec<PathBuf>,
    pub(super) first: Sequence,
    pub(super) last: Sequence,
    /// A damaged tail may be taken for a torn one, of so many events at most.
    pub(super) torn_at_most: Sequence,
}

/// A journal with everything as small as it can be, in memory if `TMPDIR` says so.
pub(super) fn options(dir: &Path) -> JournalOptions {
    JournalOptions {
        dir: dir.to_owned(),
        journal_id: [0x5a; 16],
        segment_bytes: 32 << 10,
        segments: 2,
        // The feeder never starts by itself.
        feed_interval: Duration::from_secs(3600),
        sled_segment_bytes: 64 << 10,
        cache_bytes: 1 << 20,
        archive_retention_bytes: None,
    }
}

/// The record of an event: its sequence, repeated to a length that varies with it.
pub(super) fn event(sequence: Sequence) -> Vec<u8> {
    sequence.to_le_bytes().into_iter().cycle().take(8 + (sequence * 37 % 60) as usize).collect()
}

fn fill(journal: &DiskJournal, batches: usize) {
    for _ in 0..batches {
        let first = journal.last() + 1;
        let mut batch = Batch { first, count: BATCH, bytes: Vec::new() };
        for sequence in first..first + u64::from(BATCH) {
            let record = event(sequence);
            batch.bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
            batch.bytes.extend_from_slice(&record);
        }
        journal.append(batch).expect("a good batch");
    }
}

fn begun(folder: &TempDir) -> DiskJournal {
    let (journal, _) = DiskJournal::open(options(folder.path())).expect("a new journal");
    // From then on the feeder creates no segment, and a copy is whole.
    while journal.stats().wal_segments < 2 {
        std::thread::yield_now();
    }
    journal
}

impl Image {
    /// Four batches in the log, nothing in sled.
    pub(super) fn killed() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = begun(&folder);
        fill(&journal, 4);
        Self::of(folder.path(), journal.last(), BATCH.into())
    }

    /// All in sled, but for what was cut and lies in the archive.
    pub(super) fn closed() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let journal = begun(&folder);
        fill(&journal, 12);
        journal.close().expect("it closes");
        drop(journal);
        let journal = begun(&folder);
        journal.truncate_before(150).expect("it is cut");
        assert!(journal.first() > 1, "nothing was cut");
        let last = journal.last();
        journal.close().expect("it closes");
        Self::of(folder.path(), last, 0)
    }

    fn of(folder: &Path, last: Sequence, torn_at_most: Sequence) -> Self {
        let (files, folders) = (Vec::new(), Vec::new());
        let mut image = Self { files, folders, first: 1, last, torn_at_most };
        image.take(folder, Path::new(""));
        image.files.sort();
        image
    }

    fn take(&mut self, folder: &Path, within: &Path) {
        for entry in fs::read_dir(folder.join(within)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = within.join(entry.file_name());
            if entry.file_type().expect("a type").is_dir() {
                self.folders.push(path.clone());
                self.take(folder, &path);
            } else if path != Path::new("LOCK") {
                self.files.push((path, fs::read(entry.path()).expect("a file")));
            }
        }
    }

    /// The folder, with changes to its file `which`, which are `[position 3 bytes big-endian][byte]` each.
    pub(super) fn changed(&self, which: usize, changes: &[u8], forged: bool) -> TempDir {
        let scratch = tempfile::tempdir().expect("a folder");
        for folder in &self.folders {
            fs::create_dir_all(scratch.path().join(folder)).expect("a folder");
        }
        for (number, (path, whole)) in self.files.iter().enumerate() {
            let mut bytes = whole.clone();
            if number == which % self.files.len() {
                change(&mut bytes, changes);
                if forged {
                    seal(path, &mut bytes);
                }
            }
            fs::write(scratch.path().join(path), bytes).expect("a file");
        }
        scratch
    }
}

/// Positions beyond the end cut the file off, or fill it up with a copy of its beginning.
pub(super) fn change(bytes: &mut Vec<u8>, changes: &[u8]) {
    for [high, middle, low, to] in changes.as_chunks().0 {
        let at = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
        match bytes.get_mut(at) {
            Some(byte) => *byte = *to,
            None if at.is_multiple_of(2) => bytes.truncate(bytes.len().saturating_sub(usize::from(*to) << 4)),
            None => bytes.extend_from_within(..bytes.len().min(usize::from(*to) << 4)),
        }
    }
}

/// Makes the checksums of a file fit what it holds now. Those of sled are left alone.
fn seal(path: &Path, bytes: &mut [u8]) {
    let name = path.to_string_lossy();
    if name.starts_with("wal/") {
        put_behind(bytes, 48);
        for at in (BLOCK..bytes.len()).step_by(BLOCK) {
            seal_record(&mut bytes[at..]);
        }
    } else if name.ends_with(".mark") {
        bytes.chunks_mut(BLOCK).for_each(|slot| put_behind(slot, 56));
    } else if name.starts_with("archive/") && bytes.len() > 72 {
        let body = crc32fast::hash(&bytes[72..]);
        bytes[56..60].copy_from_slice(&body.to_le_bytes());
        put_behind(bytes, 68);
    }
}

/// Puts the checksum of the first `length` bytes behind them.
fn put_behind(bytes: &mut [u8], length: usize) {
    if bytes.len() >= length + 4 {
        let checksum = crc32fast::hash(&bytes[..length]).to_le_bytes();
        bytes[length..length + 4].copy_from_slice(&checksum);
    }
}

fn seal_record(bytes: &mut [u8]) {
    let Some(length) = bytes.get(12..16).and_then(|length| length.first_chunk()) else { return };
    let end = 64 + u32::from_le_bytes(*length) as usize;
    if bytes.starts_with(b"RLPR") && end <= bytes.len() {
        let checksum = crc32fast::hash(&bytes[12..end]).to_le_bytes();
        bytes[8..12].copy_from_slice(&checksum);
    }
}
