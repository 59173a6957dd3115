//! The journal on disk.

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Acquire, Ordering::Relaxed, Ordering::Release},
    },
    thread::{self, JoinHandle},
};

use parking_lot::Mutex;

use super::{
    ARCHIVE_FILE_BYTES, Batch, Journal, JournalOptions, JournalStats, OpenReport, Sequence, Visit,
    chunk::Cut,
    feeder::{self, Pending, Shared},
    open,
};
use crate::{
    StorageError,
    archive::Archive,
    disk::Disk,
    wal::{Cost, Wal},
};

/// A [`Journal`] on disk: the commit log, sled behind it, the archive behind that.
pub struct DiskJournal {
    shared: Arc<Shared>,
    archive: Archive,
    writer: Mutex<Writer>,
    feeder: Mutex<Option<JoinHandle<()>>>,
    truncating: Mutex<()>,
    last: AtomicU64,
    counters: Counters,
    direct_io: bool,
    /// Held while the journal lives.
    _lock: File,
}

/// Belongs to the appending thread.
struct Writer {
    wal: Wal,
    closed: bool,
}

#[derive(Default)]
struct Counters {
    batches: AtomicU64,
    events: AtomicU64,
    written_bytes: AtomicU64,
    fsyncs: AtomicU64,
    fsync_nanos_total: AtomicU64,
    fsync_nanos_max: AtomicU64,
}

impl DiskJournal {
    /// Opens the journal in the data folder, or begins one if the folder is new. Everything that replay
    /// returns is checked and durable when this returns.
    ///
    /// # Errors
    /// [`StorageError`] names the file, the place and the remedy: the folder is in use, files are damaged,
    /// missing, foreign or older than the mark, or a setting is wrong.
    pub fn open(options: JournalOptions) -> Result<(Self, OpenReport), StorageError> {
        Self::open_on(&Disk::default(), &options)
    }

    /// Opens the journal on a disk that a test observes.
    pub(crate) fn open_on(disk: &Disk, options: &JournalOptions) -> Result<(Self, OpenReport), StorageError> {
        let open::Opened { lock, shared, archive, wal, report } = open::open(options, disk)?;
        let interval = options.feed_interval;
        let feeder = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("journal-feeder".to_owned())
                .spawn(move || feeder::run(&shared, interval))
                .map_err(StorageError::io("start the feeder of", &options.dir))?
        };
        let journal = Self {
            shared,
            archive,
            writer: Mutex::new(Writer { wal, closed: false }),
            feeder: Mutex::new(Some(feeder)),
            truncating: Mutex::new(()),
            last: AtomicU64::new(report.last),
            counters: Counters::default(),
            direct_io: report.direct_io,
            _lock: lock,
        };
        Ok((journal, report))
    }

    fn append_checked(&self, writer: &mut Writer, batch: Batch) -> Result<(), StorageError> {
        batch.check(self.max_record_bytes())?;
        let expected = self.last() + 1;
        if batch.first != expected {
            return Err(StorageError::OutOfOrder { expected, found: batch.first });
        }
        let (last, events) = (batch.last(), batch.count);
        if writer.wal.fits(&batch) {
            let cost = writer.wal.append(&batch)?;
            self.last.store(last, Release);
            self.shared.queue.push(Pending { batch, logged: true });
            self.counters.count_sync(&cost);
        } else {
            // Too large for a segment: sled takes it as a whole, and the log goes on in a new segment.
            writer.wal.retire();
            self.shared.queue.push(Pending { batch, logged: false });
            self.shared.wait_until_fed(last)?;
            self.last.store(last, Release);
        }
        self.counters.batches.fetch_add(1, Relaxed);
        self.counters.events.fetch_add(u64::from(events), Relaxed);
        Ok(())
    }

    /// Replays from wherever `next` lies now; the feeder and a truncation may move it meanwhile.
    fn replay_step(
        &self,
        next: Sequence,
        until: Sequence,
        visit: Visit<'_>,
    ) -> Result<Option<Sequence>, StorageError> {
        let first = self.first();
        if next < first {
            return self.replay_archive(next, until.min(first - 1), visit);
        }
        let fed = self.shared.fed();
        if next <= fed {
            return self.shared.chunks.visit_one(next, until.min(fed), visit);
        }
        self.replay_log(next, until, visit)
    }

    fn replay_archive(
        &self,
        next: Sequence,
        until: Sequence,
        visit: Visit<'_>,
    ) -> Result<Option<Sequence>, StorageError> {
        let reached = self.archive.replay(next..=until, visit)?;
        if reached == Some(next) {
            return Err(StorageError::NotKept { from: next, oldest: self.first() });
        }
        Ok(reached)
    }

    fn replay_log(
        &self,
        mut next: Sequence,
        until: Sequence,
        visit: Visit<'_>,
    ) -> Result<Option<Sequence>, StorageError> {
        for pending in self.shared.queue.since(next) {
            if pending.batch.first > next {
                break;
            }
            for (sequence, record) in (pending.batch.first..).zip(pending.batch.records()) {
                if sequence > until {
                    return Ok(Some(next));
                }
                if sequence == next {
                    if visit(sequence, record).is_break() {
                        return Ok(None);
                    }
                    next += 1;
                }
            }
        }
        Ok(Some(next))
    }

    fn archive_and_remove(&self, sequence: Sequence) -> Result<bool, StorageError> {
        let durable = sequence.min(self.shared.fed() + 1);
        let chunks = &self.shared.chunks;
        let Some(Cut { sequences, records }) = chunks.oldest_below(durable, ARCHIVE_FILE_BYTES)? else {
            return Ok(false);
        };
        self.archive.append(&sequences, &records)?;
        chunks.remove_through(*sequences.end())?;
        chunks.sync()?;
        Ok(true)
    }
}

impl Journal for DiskJournal {
    fn append(&self, batch: Batch) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        self.shared.check()?;
        if writer.closed {
            return Err(StorageError::Closed);
        }
        self.append_checked(&mut writer, batch).map_err(|error| self.shared.poison(error))
    }

    fn check(&self) -> Result<(), StorageError> {
        self.shared.check()
    }

    fn last(&self) -> Sequence {
        self.last.load(Acquire)
    }

    fn first(&self) -> Sequence {
        self.shared.chunks.bounds().map_or(1, |bounds| *bounds.start())
    }

    fn replay(&self, from: Sequence, visit: Visit<'_>) -> Result<(), StorageError> {
        let until = self.last();
        let mut next = from.max(1);
        while next <= until {
            self.shared.check()?;
            match self.replay_step(next, until, visit)? {
                Some(reached) => next = reached,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn truncate_some_before(&self, sequence: Sequence) -> Result<bool, StorageError> {
        let _one_at_a_time = self.truncating.lock();
        self.shared.check()?;
        self.archive_and_remove(sequence).map_err(|error| self.shared.poison(error))
    }

    fn max_record_bytes(&self) -> usize {
        self.shared.chunks.max_record()
    }

    fn stats(&self) -> JournalStats {
        let (wal_segments_used, wal_segments) = self.shared.pool.counts();
        let (archived_events, archived_bytes) = self.archive.size();
        let counters = &self.counters;
        JournalStats {
            batches: counters.batches.load(Relaxed),
            events: counters.events.load(Relaxed),
            written_bytes: counters.written_bytes.load(Relaxed),
            fsyncs: counters.fsyncs.load(Relaxed),
            fsync_nanos_total: counters.fsync_nanos_total.load(Relaxed),
            fsync_nanos_max: counters.fsync_nanos_max.load(Relaxed),
            feeder_lag: self.last().saturating_sub(self.shared.fed()),
            live_chunks: self.shared.chunks.len() as u64,
            wal_segments_used,
            wal_segments,
            oldest_archived: self.archive.bounds().map(|bounds| *bounds.start()),
            archived_events,
            archived_bytes,
            direct_io: self.direct_io,
        }
    }

    fn close(&self) -> Result<(), StorageError> {
        let mut writer = self.writer.lock();
        if !writer.closed {
            writer.closed = true;
            writer.wal.retire();
            self.shared.queue.close();
        }
        drop(writer);
        if let Some(feeder) = self.feeder.lock().take()
            && feeder.join().is_err()
        {
            return Err(self.shared.poison(StorageError::FeederPanicked));
        }
        self.shared.check()
    }
}

impl Drop for DiskJournal {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the journal was not closed cleanly; its log will be read at the next start");
        }
    }
}

impl Counters {
    fn count_sync(&self, cost: &Cost) {
        let nanos = cost.sync.as_nanos() as u64;
        self.written_bytes.fetch_add(cost.written, Relaxed);
        self.fsyncs.fetch_add(1, Relaxed);
        self.fsync_nanos_total.fetch_add(nanos, Relaxed);
        self.fsync_nanos_max.fetch_max(nanos, Relaxed);
    }
}
