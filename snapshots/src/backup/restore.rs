//! From a backup to a data folder that a node can start on.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{BackupError, Begin, Order, Part, Parts};
use crate::{
    Batch, DiskStore, Sequence, SnapshotStore, StorageError, StoreOptions,
    archive::Archive,
    disk::Disk,
    journal::{Chunks, Records},
    mark::{Mark, Reached},
    sled_db::SledDb,
};

/// sled's page caches: everything is written once.
const CACHE_BYTES: u64 = 16 << 20;

/// Only the owner may read and write.
const PRIVATE: u32 = 0o600;

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What the backup said of itself.
    pub begin: Begin,
    /// The last event: everything that was acknowledged up to here is there.
    pub position: Sequence,
    /// Events, those in the archive too.
    pub events: u64,
    /// Snapshots.
    pub snapshots: u64,
}

/// Restores a backup into the folder `dir`, which must be new or empty. `files` are the names that files in the
/// backup may have. The identity is written last: without it no node starts on what an interruption has left.
///
/// # Errors
/// [`BackupError::Occupied`], what is wrong with the backup, or what the disk refuses.
pub fn restore(dir: &Path, from: impl Read, files: &[&str]) -> Result<Restored, BackupError> {
    let occupied = fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some());
    if occupied {
        return Err(BackupError::Occupied { path: dir.to_owned() });
    }
    let disk = Disk::default();
    disk.create_folder(dir)?;
    let mut parts = Parts::new(from);
    let mut order = Order::begin(&mut parts)?;
    let mut folder = Folder::begin(&disk, dir, &order.begin)?;
    loop {
        let at = parts.at;
        let Some(part) = parts.next() else {
            return Err(BackupError::Damaged { at, problem: "its last part is missing" });
        };
        let part = part?;
        let end = order.take(&part, at)?;
        folder.add(part, files, at)?;
        if let Some(end) = end {
            folder.finish(end.position)?;
            order.begin.identity.store_in(dir)?;
            let (events, snapshots) = (end.events, end.snapshots);
            return Ok(Restored { begin: order.begin, position: end.position, events, snapshots });
        }
    }
}

/// A data folder that is being filled.
struct Folder {
    disk: Disk,
    dir: PathBuf,
    live: Sequence,
    mark: Mark,
    archive: Archive,
    chunks: Chunks,
    store: DiskStore,
}

impl Folder {
    fn begin(disk: &Disk, dir: &Path, begin: &Begin) -> Result<Self, StorageError> {
        let id = begin.identity.journal_id;
        let sled_segment_bytes = begin.sled_segment_bytes as usize;
        let mark = Mark::create(disk, &dir.join("journal.mark"), id)?;
        let db = SledDb::open(disk, &dir.join("journal"), sled_segment_bytes, CACHE_BYTES)?;
        let options = StoreOptions { dir: dir.to_owned(), sled_segment_bytes, cache_bytes: CACHE_BYTES };
        Ok(Self {
            disk: disk.clone(),
            dir: dir.to_owned(),
            live: begin.live,
            mark,
            archive: Archive::with_retention(disk, dir, id, None)?,
            chunks: Chunks::open(db)?,
            store: DiskStore::open(options)?,
        })
    }

    fn add(&mut self, part: Part, files: &[&str], at: u64) -> Result<(), BackupError> {
        let damaged = |problem| Err(BackupError::Damaged { at, problem });
        match part {
            Part::Begin(_) | Part::End(_) => {}
            Part::Snapshots(records) => self.store.put(records)?,
            Part::Events { first, records } => {
                let count = Records::new(&records).count() as u32;
                if count == 0 {
                    return Ok(());
                }
                let last = first + u64::from(count) - 1;
                if last < self.live {
                    self.archive.append(&(first..=last), &records)?;
                } else if first >= self.live {
                    self.chunks.append(&Batch { first, count, bytes: records })?;
                } else {
                    return damaged("it crosses the beginning of the live journal");
                }
            }
            Part::File { name, bytes } if files.contains(&name.as_str()) => self.file(&name, &bytes)?,
            Part::File { .. } => return damaged("it holds a file that has no place here"),
        }
        Ok(())
    }

    fn file(&self, name: &str, bytes: &[u8]) -> Result<(), StorageError> {
        let path = self.dir.join(name);
        let opened = OpenOptions::new().create(true).append(true).mode(PRIVATE).open(&path);
        let mut file: File = opened.map_err(StorageError::io("create", &path))?;
        file.write_all(bytes).map_err(StorageError::io("write", &path))?;
        self.disk.sync(&file, &path)
    }

    fn finish(&mut self, position: Sequence) -> Result<(), StorageError> {
        self.chunks.make_durable()?;
        self.mark.advance(Reached { reached: position, begun: 0, sealed: 0 })?;
        // What lies below it stands in snapshots alone, as where it was cut.
        self.store.note_cut(self.live)?;
        self.store.close()?;
        self.disk.sync_folder(&self.dir)
    }
}
