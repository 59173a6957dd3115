//! Opening a journal: everything that replay will return is checked and durable before this ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    ops::ControlFlow,
    path::Path,
    sync::Arc,
};

use parking_lot::Mutex;

use super::{
    ARCHIVE_FILE_BYTES, JournalOptions, OpenReport, Sequence,
    chunk::{Chunks, Cut},
    feeder::{Queue, Shared},
};
use crate::{
    StorageError,
    archive::Archive,
    disk::Disk,
    error::Place,
    journal::Records,
    mark::{Mark, Reached},
    sled_db::SledDb,
    wal::{Layout, Pool, Recovered, Segment, Wal, probe_direct_io, recover, segment_paths},
};

const LEAST_SEGMENT_BYTES: u64 = 16 << 10;

/// A journal that is ready to run.
pub(super) struct Opened {
    pub(super) lock: File,
    pub(super) shared: Arc<Shared>,
    pub(super) archive: Archive,
    pub(super) wal: Wal,
    pub(super) report: OpenReport,
}

/// Opens the journal in the data folder of `options`, or begins one.
pub(super) fn open(options: &JournalOptions, disk: &Disk) -> Result<Opened, StorageError> {
    check_settings(options)?;
    let (dir, journal_id) = (&options.dir, options.journal_id);
    let (log_dir, sled_dir) = (dir.join("wal"), dir.join("journal"));
    disk.create_folder(dir)?;
    let lock = lock(&dir.join("LOCK"))?;
    let mut mark = open_mark(disk, options, &log_dir, &sled_dir)?;
    let reached = mark.now().reached;
    if reached > 0 && !SledDb::exists(&sled_dir) {
        return Err(StorageError::BehindMark { path: sled_dir, last: 0, mark: reached });
    }
    let db = SledDb::open(disk, &sled_dir, options.sled_segment_bytes, options.cache_bytes)?;
    let chunks = Chunks::open(db)?;
    let fed = chunks.bounds().map_or(0, |bounds| *bounds.end());
    if fed < reached {
        return Err(StorageError::BehindMark { path: sled_dir, last: fed, mark: reached });
    }
    let archive = Archive::with_retention(disk, dir, journal_id, options.archive_retention_bytes)?;
    finish_truncation(&archive, &chunks)?;
    disk.create_folder(&log_dir)?;
    let recovered = recover(disk, &log_dir, journal_id, mark.now(), fed)?;
    let last = take_into_sled(&recovered, &chunks, &mut mark, fed)?;
    let direct_io = probe_direct_io(disk, &log_dir)?;
    let first = chunks.bounds().map_or(1, |bounds| *bounds.start());
    let report =
        OpenReport { last, first, from_log: last - fed, dropped_torn: recovered.dropped_torn, direct_io };
    log_report(&report, dir);

    let disk = disk.clone();
    let layout = Layout { disk, dir: log_dir, journal_id, segment_bytes: options.segment_bytes, direct_io };
    let queue = Arc::new(Queue::default());
    let (free, next_number) = reusable_segments(&layout)?;
    let wake_feeder = {
        let queue = Arc::clone(&queue);
        move || queue.hurry()
    };
    let pool = Arc::new(Pool::new(layout.clone(), options.segments, free, next_number, wake_feeder)?);
    let mark = Arc::new(Mutex::new(mark));
    let wal = Wal::new(layout, Arc::clone(&pool), Arc::clone(&mark), recovered.generation);
    let shared = Arc::new(Shared::new(chunks, queue, pool, mark, last));
    Ok(Opened { lock, shared, archive, wal, report })
}

fn check_settings(options: &JournalOptions) -> Result<(), StorageError> {
    let bytes = options.segment_bytes;
    if bytes < LEAST_SEGMENT_BYTES || !bytes.is_multiple_of(4096) {
        let problem = "must be a multiple of 4,096 bytes and at least 16 KiB";
        return Err(StorageError::Setting { name: "segment_bytes", problem });
    }
    if options.segments < 2 {
        return Err(StorageError::Setting { name: "segments", problem: "must be at least 2" });
    }
    Ok(())
}

fn lock(path: &Path) -> Result<File, StorageError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(StorageError::io("open", path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StorageError::io("lock", path)(error)),
    }
}

/// The mark, created first of all in a new data folder: data without it was not begun here.
fn open_mark(
    disk: &Disk,
    options: &JournalOptions,
    log_dir: &Path,
    sled_dir: &Path,
) -> Result<Mark, StorageError> {
    let path = options.dir.join("journal.mark");
    if let Some(mark) = Mark::open(disk, &path, options.journal_id)? {
        return Ok(mark);
    }
    let log_begun = log_dir.exists() && !segment_paths(log_dir)?.is_empty();
    if log_begun || SledDb::exists(sled_dir) {
        return Err(StorageError::MarkMissing { path });
    }
    Mark::create(disk, &path, options.journal_id)
}

/// A crash between archiving and removing leaves chunks in both places. They must be equal; then the removal is
/// finished. What was cut from the live journal must be in the archive, of which the newest file is always kept.
fn finish_truncation(archive: &Archive, chunks: &Chunks) -> Result<(), StorageError> {
    let Some(live) = chunks.bounds() else { return Ok(()) };
    let archived_to = archive.bounds().map_or(0, |archived| *archived.end());
    if archived_to + 1 < *live.start() {
        let (from, to) = (archived_to + 1, live.start() - 1);
        return Err(StorageError::MissingEvents { file: archive.dir().to_owned(), from, to });
    }
    let Some(archived) = archive.bounds() else { return Ok(()) };
    let mut removed = false;
    while let Some(cut) = chunks.oldest_below(archived.end() + 1, ARCHIVE_FILE_BYTES)? {
        refuse_difference(archive, *archived.start(), &cut, chunks.dir())?;
        chunks.remove_through(*cut.sequences.end())?;
        removed = true;
    }
    if removed { chunks.sync() } else { Ok(()) }
}

/// Compares `cut` with what the archive, which begins at `oldest`, still keeps of it.
fn refuse_difference(archive: &Archive, oldest: Sequence, cut: &Cut, dir: &Path) -> Result<(), StorageError> {
    let first = *cut.sequences.start();
    let kept = first.max(oldest)..=*cut.sequences.end();
    let mut live = Records::new(&cut.records).skip((*kept.start() - first) as usize);
    let mut equal = true;
    archive.replay(kept, &mut |_, archived| {
        equal = live.next() == Some(archived);
        if equal { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if equal {
        return Ok(());
    }
    let problem = "the archive holds other events under the same sequences";
    Err(StorageError::Damaged { file: dir.to_owned(), place: Place::Chunk(first), problem })
}

/// Brings what only the log holds into sled, makes it and all that sled may have only in memory durable, and
/// moves the mark. From then on the log's old generations mean nothing.
fn take_into_sled(
    recovered: &Recovered,
    chunks: &Chunks,
    mark: &mut Mark,
    fed: Sequence,
) -> Result<Sequence, StorageError> {
    for batch in &recovered.batches {
        chunks.append(batch)?;
    }
    chunks.make_durable()?;
    let last = recovered.batches.last().map_or(fed, |batch| batch.last());
    mark.advance(Reached { reached: last, begun: recovered.generation, sealed: recovered.generation })?;
    Ok(last)
}

/// Existing segments of the right size, and the number of the next one. Others are removed.
fn reusable_segments(layout: &Layout) -> Result<(Vec<Segment>, u32), StorageError> {
    let mut free = Vec::new();
    let mut next_number = 0;
    for (number, path) in segment_paths(&layout.dir)? {
        next_number = number + 1;
        let metadata = path.metadata().map_err(StorageError::io("read", &path))?;
        if metadata.len() == layout.segment_bytes {
            free.push(Segment::open(layout, path)?);
        } else {
            std::fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
        }
    }
    Ok((free, next_number))
}

fn log_report(report: &OpenReport, dir: &Path) {
    if report.dropped_torn {
        tracing::warn!(
            after = report.last,
            "the last record of the commit log was torn and never acknowledged: dropped"
        );
    }
    let writes = if report.direct_io { "direct" } else { "plain: the file system takes no direct ones" };
    tracing::info!(
        dir = %dir.display(),
        first = report.first,
        last = report.last,
        from_log = report.from_log,
        log_writes = writes,
        "journal open"
    );
}
