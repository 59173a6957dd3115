//! The one place that opens sled and makes it durable.
//!
//! Measured on sled 0.34.7, and the reason for this module:
//! - `flush` does not sync, it only calls `sync_file_range`, which [`crate::barrier`] replaces. Besides,
//!   [`SledDb::make_durable`] syncs the file `db` through a descriptor of its own afterwards.
//! - A page over a quarter of the segment size goes to a file in `blobs/` that is never synced. A leaf page
//!   holds up to 18 values, so no value may exceed a 72nd of the segment size; [`SledDb::max_value`] is an
//!   80th. A file in `blobs/` stops everything.
//! - It panics on some damaged files, so every call is guarded.
//! - It can lock itself up: shrinking its file is a task for its pool of seven threads, and all seven may wait,
//!   with full buffers, for a lock whose holder waits for that task. So [`SledDb`] flushes after every quarter
//!   of a segment, which keeps the buffers on their way to the file few.
//! - It writes a summary of its file when it is opened, under a name that it gives up once it is whole. One that was
//!   interrupted there, by a full disk or a kill, takes the unfinished summary for damage the next time. So that is
//!   removed before: the file itself tells all of it.
//! - `apply_batch` takes a lock that all databases of a process share, and its first call slows every later one
//!   down. It is not used: what belongs together is written in an order that recovery can tell apart.

use std::{
    fs::{self, File, OpenOptions},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustix::fs::{Advice, fadvise};

use crate::{
    StorageError, barrier,
    disk::{Disk, DiskOp},
};

/// Values are packed up to this part of a segment ...
const TARGET_DIVISOR: usize = 128;
/// ... and are never larger than this part.
const MAX_DIVISOR: usize = 80;

/// sled is flushed after this part of a segment.
const UNFLUSHED_DIVISOR: usize = 4;

/// Keys that come before their values, at most: the last leaf is written anew for every lot.
const KEYS_AT_ONCE: usize = 128;

/// How the names of sled's summaries begin, and end while they are written.
const SUMMARY: &str = "snap.";
const UNFINISHED: &str = ".generating";

/// How long an opening waits for the one before to let go.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);
const LOCK_POLL: Duration = Duration::from_millis(1);

/// A key and its value.
pub(crate) type KeyValue = (Vec<u8>, Vec<u8>);

/// An open database.
pub(crate) struct SledDb {
    disk: Disk,
    db: sled::Db,
    dir: PathBuf,
    file: File,
    file_path: PathBuf,
    segment_bytes: usize,
    /// About how many bytes were written since the last flush.
    unflushed: AtomicUsize,
    /// Held while making durable, so that no thread takes the success of one sync for another's that failed:
    /// the system reports an error once only. Holds the error that ended the database.
    broken: Mutex<Option<StorageError>>,
}

impl SledDb {
    /// Whether `dir` holds a database.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.join("db").exists()
    }

    /// The segment size that the database in `dir` was created with, as sled notes it; `None` if it does not.
    pub(crate) fn created_with(dir: &Path) -> Option<usize> {
        let noted = fs::read(dir.join("conf")).ok()?;
        let noted = String::from_utf8_lossy(&noted);
        noted.lines().find_map(|line| line.strip_prefix("segment_size: ")?.trim().parse().ok())
    }

    /// Opens or creates the database in `dir`, whose folder entry and files are durable when this returns.
    pub(crate) fn open(
        disk: &Disk,
        dir: &Path,
        segment_bytes: usize,
        cache_bytes: u64,
    ) -> Result<Self, StorageError> {
        if !segment_bytes.is_power_of_two() || !(1 << 16..=1 << 24).contains(&segment_bytes) {
            return Err(StorageError::Setting {
                name: "sled_segment_bytes",
                problem: "must be a power of two from 64 KiB to 16 MiB",
            });
        }
        barrier::check()?;
        disk.create_folder(dir)?;
        refuse_blobs(dir)?;
        let file_path = dir.join("db");
        if file_path.exists() {
            wait_for_lock(&file_path)?;
            remove_unfinished(dir)?;
            read_from_disk(disk, &file_path)?;
        }
        let db = guard(dir, "open", || {
            sled::Config::new()
                .path(dir)
                .segment_size(segment_bytes)
                .cache_capacity(cache_bytes)
                .flush_every_ms(None)
                .mode(sled::Mode::HighThroughput)
                .open()
        })?;
        let file =
            OpenOptions::new().write(true).open(&file_path).map_err(StorageError::io("open", &file_path))?;
        let (disk, dir) = (disk.clone(), dir.to_owned());
        let (unflushed, broken) = (AtomicUsize::new(0), Mutex::new(None));
        let this = Self { disk, db, dir, file, file_path, segment_bytes, unflushed, broken };
        this.make_durable()?;
        sync_path(&this.disk, &this.dir.join("conf"))?;
        this.disk.sync_folder(&this.dir.join("blobs"))?;
        this.disk.sync_folder(&this.dir)?;
        Ok(this)
    }

    /// The folder, for messages.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Values are packed up to this size, bytes.
    pub(crate) fn target_value(&self) -> usize {
        self.segment_bytes / TARGET_DIVISOR
    }

    /// Largest value, bytes.
    pub(crate) fn max_value(&self) -> usize {
        self.segment_bytes / MAX_DIVISOR
    }

    /// Stores a value, which must not be empty; not durable yet.
    pub(crate) fn insert(&self, key: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.check(value)?;
        guard(&self.dir, "insert into", || self.db.insert(key, value))?;
        self.relieve(value.len())
    }

    /// Stores values under keys that are new and in order, each written once where [`insert`](Self::insert) would
    /// write it four times; not durable yet. Keys whose values a crash has kept back are found without one.
    ///
    /// A leaf is written anew when it has more than 16 keys or ten changes. So the keys come first, alone: by the time
    /// a value comes, its leaf has split as often as it will, and it has fewer keys than would be too many changes.
    pub(crate) fn insert_new(&self, values: &[KeyValue]) -> Result<(), StorageError> {
        for lot in values.chunks(KEYS_AT_ONCE) {
            for (key, value) in lot {
                self.check(value)?;
                guard(&self.dir, "insert into", || self.db.insert(key, &[]))?;
            }
            self.relieve(self.max_value())?;
            lot.iter().try_for_each(|(key, value)| self.insert(key, value))?;
        }
        Ok(())
    }

    /// Removes a value; not durable yet.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<(), StorageError> {
        guard(&self.dir, "remove from", || self.db.remove(key))?;
        self.relieve(0)
    }

    /// Flushes when enough was written that more buffers could be on their way than sled's pool has threads.
    /// Every ten changes of a page rewrite it, so a change counts for half a value at least.
    fn relieve(&self, bytes: usize) -> Result<(), StorageError> {
        let written = bytes.max(self.target_value() / 2);
        if self.unflushed.fetch_add(written, Relaxed) + written < self.segment_bytes / UNFLUSHED_DIVISOR {
            return Ok(());
        }
        self.unflushed.store(0, Relaxed);
        guard(&self.dir, "flush", || self.db.flush()).map(drop)
    }

    /// Reads a value.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<sled::IVec>, StorageError> {
        guard(&self.dir, "read", || self.db.get(key))
    }

    /// Visits every key that begins with `prefix`, in order.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], sled::IVec) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let mut entries = self.db.scan_prefix(prefix);
        while let Some((key, value)) = guard(&self.dir, "read", || entries.next().transpose())? {
            visit(&key, value)?;
        }
        Ok(())
    }

    /// Makes everything written so far durable. An error is final.
    pub(crate) fn make_durable(&self) -> Result<(), StorageError> {
        let mut broken = self.broken.lock();
        if let Some(error) = &*broken {
            return Err(error.clone());
        }
        self.flush_and_sync().inspect_err(|error| *broken = Some(error.clone()))
    }

    fn flush_and_sync(&self) -> Result<(), StorageError> {
        self.disk
            .before(DiskOp::SledFlush(self.dir.clone()))
            .map_err(StorageError::io("flush", &self.dir))?;
        guard(&self.dir, "flush", || self.db.flush())?;
        self.disk.sync(&self.file, &self.file_path)?;
        refuse_blobs(&self.dir)
    }

    fn check(&self, value: &[u8]) -> Result<(), StorageError> {
        if value.len() <= self.max_value() {
            return Ok(());
        }
        Err(StorageError::ValueTooLarge { path: self.dir.clone(), bytes: value.len(), max: self.max_value() })
    }
}

impl Drop for SledDb {
    /// A database whose file cannot be written or synced panics when it is dropped, and again while that is cleaned up,
    /// which would end the process before it has said why. Its memory is left instead.
    fn drop(&mut self) {
        // The system tells a descriptor of an error once: ours was told of this one, and sled's may still be.
        let told = self.broken.get_mut().as_ref().is_some_and(is_of_the_system);
        let flushed = guard(&self.dir, "flush", || self.db.flush());
        if told || flushed.is_err() || self.file.sync_all().is_err() {
            std::mem::forget(self.db.clone());
        }
    }
}

fn is_of_the_system(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if source.raw_os_error().is_some())
}

/// Runs a call of sled and turns a panic into an error.
fn guard<T>(
    dir: &Path,
    action: &'static str,
    call: impl FnOnce() -> sled::Result<T>,
) -> Result<T, StorageError> {
    // Whoever gets the error poisons journal or store and uses the database no more.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(StorageError::sled(action, dir)),
        Err(_panic) => Err(StorageError::SledPanicked { path: dir.to_owned() }),
    }
}

fn refuse_blobs(dir: &Path) -> Result<(), StorageError> {
    let path = dir.join("blobs");
    match fs::read_dir(&path) {
        Ok(mut entries) => match entries.next() {
            Some(_) => Err(StorageError::Blobs { path }),
            None => Ok(()),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(StorageError::io("read", path)(error)),
    }
}

/// Removes the summaries that an opening before did not finish.
fn remove_unfinished(dir: &Path) -> Result<(), StorageError> {
    for entry in fs::read_dir(dir).map_err(StorageError::io("read", dir))? {
        let path = entry.map_err(StorageError::io("read", dir))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with(SUMMARY) && name.ends_with(UNFINISHED) {
            fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Waits until nobody holds the database. After a close in this process, threads of sled's pool hold it for
/// another moment. If it stays held, opening says so.
#[expect(
    clippy::disallowed_methods,
    reason = "a file lock has no condition to wait on, and no limit in time"
)]
pub(crate) fn wait_for_lock(path: &Path) -> Result<(), StorageError> {
    let file = File::open(path).map_err(StorageError::io("open", path))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    while file.try_lock().is_err() && Instant::now() < deadline {
        thread::sleep(LOCK_POLL);
    }
    Ok(())
}

/// Makes the pages of a file durable that a killed process left in the page cache, and drops them from there:
/// after a sync that failed, clean pages may hold what the disk does not, and must not be believed.
pub(crate) fn read_from_disk(disk: &Disk, path: &Path) -> Result<(), StorageError> {
    let file = sync_path(disk, path)?;
    fadvise(&file, 0, None, Advice::DontNeed)
        .map_err(std::io::Error::from)
        .map_err(StorageError::io("advise on", path))
}

fn sync_path(disk: &Disk, path: &Path) -> Result<File, StorageError> {
    let file = OpenOptions::new().write(true).open(path).map_err(StorageError::io("open", path))?;
    disk.sync(&file, path)?;
    Ok(file)
}
