//! The journal: ordered durable batches of events.
//!
//! [`DiskJournal`] has two steps. A batch is durable as soon as it stands in the commit log (`wal`). A feeder
//! thread takes it from there to sled in packed chunks and frees the log's segment once sled itself is durable
//! past it. Replay reads archive, sled and log as one sequence.

pub(crate) mod chunk;
mod disk;
mod feeder;
mod open;

use std::{ops::ControlFlow, path::PathBuf, time::Duration};

pub(crate) use chunk::Chunks;
pub use disk::DiskJournal;

use crate::StorageError;

/// Position of an event. The first event is 1; 0 means nothing.
pub type Sequence = u64;

/// Bytes in front of every record in [`Batch::bytes`]: its length, little-endian.
const LENGTH_BYTES: usize = 4;

/// Raw bytes of one archive file, about: a file is read and unpacked as a whole.
const ARCHIVE_FILE_BYTES: usize = 16 << 20;

/// Events with consecutive sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Sequence of the first record, at least 1.
    pub first: Sequence,
    /// Number of records, at least 1.
    pub count: u32,
    /// `count` records, each `[length u32 little-endian][record]`.
    pub bytes: Vec<u8>,
}

impl Batch {
    /// Sequence of the last record.
    pub fn last(&self) -> Sequence {
        self.first + u64::from(self.count) - 1
    }

    /// The records without their lengths, in order. Stops early if `bytes` is cut or malformed.
    pub fn records(&self) -> impl Iterator<Item = &[u8]> {
        Records { rest: &self.bytes }
    }

    /// Refuses a batch whose bytes are not exactly `count` records of at most `max` bytes each.
    pub(crate) fn check(&self, max: usize) -> Result<(), StorageError> {
        let bad = |problem| StorageError::BadBatch { first: self.first, problem };
        if self.first == 0 || self.count == 0 {
            return Err(bad("sequences begin at 1 and a batch holds at least one record"));
        }
        let (mut sequence, mut bytes) = (self.first, 0);
        for record in self.records() {
            if record.len() > max {
                return Err(StorageError::RecordTooLarge { sequence, bytes: record.len(), max });
            }
            sequence += 1;
            bytes += LENGTH_BYTES + record.len();
        }
        if bytes != self.bytes.len() || sequence != self.first + u64::from(self.count) {
            return Err(bad("its bytes are not the number of records it names"));
        }
        Ok(())
    }
}

/// Iterator over `[length][record]` pairs; ends at the first pair that is not whole.
pub(crate) struct Records<'a> {
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left, not even a part of a record.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.rest.split_first_chunk::<LENGTH_BYTES>()?;
        let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.rest = rest;
        Some(record)
    }
}

/// What replay calls for every event: its sequence and its bytes. `Break` ends the replay early.
pub type Visit<'a> = &'a mut dyn FnMut(Sequence, &[u8]) -> ControlFlow<()>;

/// An ordered log of events. A replicated journal can stand behind it as well: no file or database type
/// crosses this trait.
pub trait Journal: Send + Sync {
    /// Appends one batch, which must begin right after [`last`](Self::last); durable when it returns. Called
    /// by one thread. An error is final: the journal is poisoned and every later append fails with the same
    /// error, since a failed sync must never be retried and acknowledged.
    fn append(&self, batch: Batch) -> Result<(), StorageError>;

    /// The error that has poisoned the journal, if one has: also one of a thread of its own, between two appends.
    fn check(&self) -> Result<(), StorageError>;

    /// Highest durable sequence.
    fn last(&self) -> Sequence;

    /// First sequence held by the live journal; older ones are in the archive. `last() + 1` if it is empty.
    fn first(&self) -> Sequence;

    /// Visits every record with a sequence of at least `from` in order, up to the last that was durable when
    /// the call began. Callable while `append` runs on another thread. [`StorageError::NotKept`] if events
    /// from `from` on are gone even from the archive.
    fn replay(&self, from: Sequence, visit: Visit<'_>) -> Result<(), StorageError>;

    /// Moves the oldest of what lies wholly below `sequence` to the archive, one file of it at the most, and frees it;
    /// whether something was. Whole chunks only, and the newest chunk always stays.
    fn truncate_some_before(&self, sequence: Sequence) -> Result<bool, StorageError>;

    /// Moves everything that lies wholly below `sequence`, as [`truncate_some_before`](Self::truncate_some_before) does.
    fn truncate_before(&self, sequence: Sequence) -> Result<(), StorageError> {
        while self.truncate_some_before(sequence)? {}
        Ok(())
    }

    /// Largest record that can be appended, bytes.
    fn max_record_bytes(&self) -> usize;

    /// Counters since the journal was opened.
    fn stats(&self) -> JournalStats;

    /// Moves the log into sled, makes it durable and stops the feeder thread. Repeating it does nothing.
    fn close(&self) -> Result<(), StorageError>;
}

/// How to open a [`DiskJournal`].
#[derive(Debug, Clone)]
pub struct JournalOptions {
    /// The data folder.
    pub dir: PathBuf,
    /// Ties all files of this journal together.
    pub journal_id: [u8; 16],
    /// Size of a log segment, a multiple of 4,096 and at least 16 KiB. 32 MiB is a good size.
    pub segment_bytes: u64,
    /// Log segments kept ready, at least 2.
    pub segments: usize,
    /// How long a batch may stand in the log before the feeder moves it to sled. 100 ms is a good time.
    pub feed_interval: Duration,
    /// Segment size of sled, a power of two from 64 KiB to 16 MiB, fixed at creation. 8 MiB is a good size.
    pub sled_segment_bytes: usize,
    /// Page cache of sled, a soft limit.
    pub cache_bytes: u64,
    /// Compressed bytes kept in the archive; older files are deleted. `None` keeps everything.
    pub archive_retention_bytes: Option<u64>,
}

/// What [`DiskJournal::open`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenReport {
    /// Highest durable sequence.
    pub last: Sequence,
    /// First sequence of the live journal.
    pub first: Sequence,
    /// Events that stood only in the log.
    pub from_log: u64,
    /// A torn record at the end of the log, never acknowledged, was dropped.
    pub dropped_torn: bool,
    /// The log bypasses the page cache.
    pub direct_io: bool,
}

/// Counters of a journal since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct JournalStats {
    /// Batches appended.
    pub batches: u64,
    /// Events appended.
    pub events: u64,
    /// Bytes written to the log, padding included.
    pub written_bytes: u64,
    /// Syncs of the log.
    pub fsyncs: u64,
    /// Time spent in them, ns.
    pub fsync_nanos_total: u64,
    /// The longest of them, ns.
    pub fsync_nanos_max: u64,
    /// Events that stand in the log and not yet in sled.
    pub feeder_lag: u64,
    /// Chunks of the live journal.
    pub live_chunks: u64,
    /// Log segments that hold events sled has not made durable yet, the one being written included.
    pub wal_segments_used: u64,
    /// All log segments.
    pub wal_segments: u64,
    /// The oldest event of the archive, if it has any.
    pub oldest_archived: Option<Sequence>,
    /// Events in the archive; after a crash the live journal may have some of them too.
    pub archived_events: u64,
    /// Compressed bytes in the archive.
    pub archived_bytes: u64,
    /// The log bypasses the page cache.
    pub direct_io: bool,
}
