//! A data folder that no node runs on, read without changing a byte of it.
//!
//! Opening a journal or a store writes: sled rewrites its tail, the log's events move on into sled. So both are
//! opened on a private copy, and only the archive, which opening leaves as it is, is read in place. The folder's
//! `LOCK` is held meanwhile, so that no node starts on what is being copied.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use tempfile::TempDir;

use crate::{
    DiskJournal, DiskStore, Identity, JournalOptions, OpenReport, StorageError, StoreOptions,
    archive::{self, Archive},
    disk::Disk,
    journal::Sequence,
    sled_db::SledDb,
};

/// How the folder of a copy is named; something random comes behind it.
const COPY: &str = ".relampago-offline-";

/// What is copied; the rest is read in place or is not ours.
const COPIED: [&str; 5] = ["journal.mark", "snapshots.mark", "wal", "journal", "snapshots"];

/// Room that opening the copy may need beside it: sled takes in what stands in the log, in segments of its own.
const SLACK_BYTES: u64 = 64 << 20;

/// The smallest log that a journal can have: nothing is appended to the copy.
const SEGMENT_BYTES: u64 = 16 << 10;
const SEGMENTS: usize = 2;

/// The feeder of the copy has nothing to do.
const NEVER: Duration = Duration::from_secs(24 * 60 * 60);

/// sled's page caches: everything is read once.
const CACHE_BYTES: u64 = 16 << 20;

/// What a database of ours is created with unless the settings say otherwise.
const USUAL_SLED_SEGMENT_BYTES: usize = 8 << 20;

/// A data folder at rest and the private copy through which it is read. Dropping it removes the copy.
pub struct Offline {
    dir: PathBuf,
    identity: Identity,
    copy: TempDir,
    /// The lock of the copy: nobody takes it for a leftover.
    _copying: File,
    /// Held while the copy is looked at: what is found is still so when it is reported.
    _lock: Option<File>,
}

impl Offline {
    /// Copies what has to be copied of the data folder `dir` to a fresh folder in `scratch`, or beside `dir`.
    ///
    /// # Errors
    /// [`StorageError::NoData`] if there is nothing to read, [`StorageError::InUse`] if a node runs on it,
    /// [`StorageError::NoRoom`] with the bytes that are wanted, and those of [`Identity::read`].
    pub fn open(dir: &Path, scratch: Option<&Path>) -> Result<Self, StorageError> {
        let dir = dir.canonicalize().map_err(|_| StorageError::NoData { path: dir.to_owned() })?;
        let lock = lock(&dir.join("LOCK"))?;
        let identity = match Identity::read(&dir)? {
            Some(identity) => identity,
            None => return Err(StorageError::NoData { path: dir }),
        };
        let room = scratch.or_else(|| dir.parent()).unwrap_or(&dir);
        remove_leftovers(room);
        refuse_without_room(room, &dir)?;
        let (copy, copying) =
            folder_for_copy(room).map_err(StorageError::io("create a scratch folder in", room))?;
        for name in COPIED {
            copy_all(&dir.join(name), &copy.path().join(name))?;
        }
        link_archive(&dir.join("archive"), &copy.path().join("archive"))?;
        Ok(Self { dir, identity, copy, _copying: copying, _lock: lock })
    }

    /// Which journal it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The folder of the copy, for more files that are to be looked at.
    pub fn scratch(&self) -> &Path {
        self.copy.path()
    }

    /// The journal, as a node would find it.
    ///
    /// # Errors
    /// As [`DiskJournal::open`]; put the text through [`Offline::in_place`].
    pub fn journal(&self) -> Result<(DiskJournal, OpenReport), StorageError> {
        let dir = self.copy.path().to_owned();
        DiskJournal::open(JournalOptions {
            sled_segment_bytes: segment_bytes(&dir.join("journal")),
            dir,
            journal_id: self.identity.journal_id,
            segment_bytes: SEGMENT_BYTES,
            segments: SEGMENTS,
            feed_interval: NEVER,
            cache_bytes: CACHE_BYTES,
            archive_retention_bytes: None,
        })
    }

    /// The snapshots, as a node would find them.
    ///
    /// # Errors
    /// As [`DiskStore::open`]; put the text through [`Offline::in_place`].
    pub fn store(&self) -> Result<DiskStore, StorageError> {
        let dir = self.copy.path().to_owned();
        let sled_segment_bytes = segment_bytes(&dir.join("snapshots"));
        DiskStore::open(StoreOptions { dir, sled_segment_bytes, cache_bytes: CACHE_BYTES })
    }

    /// Reads every file of the archive and gives what is wrong, each fault with its file.
    pub fn archive_faults(&self) -> Vec<StorageError> {
        archive::faults(&self.copy.path().join("archive"), self.identity.journal_id)
    }

    /// Oldest archived event; `None` if there is none, or the archive cannot be opened.
    pub fn oldest_archived(&self) -> Option<Sequence> {
        let disk = Disk::default();
        let archive = Archive::with_retention(&disk, self.copy.path(), self.identity.journal_id, None);
        archive.ok()?.bounds().map(|bounds| *bounds.start())
    }

    /// The text of an error with the folder's own paths in place of the copy's.
    pub fn in_place(&self, error: &dyn std::fmt::Display) -> String {
        let (copy, own) = (self.copy.path().display().to_string(), self.dir.display().to_string());
        error.to_string().replace(&copy, &own)
    }
}

/// Makes the folder of a copy and locks it.
fn folder_for_copy(room: &Path) -> io::Result<(TempDir, File)> {
    loop {
        let folder = tempfile::Builder::new().prefix(COPY).tempdir_in(room)?;
        // Somebody may take it for a leftover before it is locked.
        let lock = match File::open(folder.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        match lock.try_lock() {
            Ok(()) if folder.path().exists() => return Ok((folder, lock)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Removes the copies that were left behind by processes that were killed: nobody holds their lock. One that cannot be
/// removed is let be.
fn remove_leftovers(room: &Path) {
    for entry in fs::read_dir(room).into_iter().flatten().flatten() {
        let is_copy = entry.file_name().to_string_lossy().starts_with(COPY)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if !is_copy {
            continue;
        }
        if let Ok(folder) = File::open(entry.path())
            && folder.try_lock().is_ok()
        {
            let _let_be = fs::remove_dir_all(entry.path());
        }
    }
}

/// Takes the folder's lock as a reader; a folder without one has never had a node, or is a copy of one.
fn lock(path: &Path) -> Result<Option<File>, StorageError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(StorageError::io("open", path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(StorageError::io("lock", path)(error)),
    }
}

fn refuse_without_room(room: &Path, dir: &Path) -> Result<(), StorageError> {
    let mut needed = SLACK_BYTES;
    for name in COPIED {
        needed += bytes_below(&dir.join(name))?;
    }
    let found = rustix::fs::statvfs(room)
        .map_err(io::Error::from)
        .map_err(StorageError::io("look for room in", room))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < needed {
        return Err(StorageError::NoRoom { path: room.to_owned(), needed, free });
    }
    Ok(())
}

fn bytes_below(path: &Path) -> Result<u64, StorageError> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(StorageError::io("read", path)(error)),
    };
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut bytes = 0;
    for entry in fs::read_dir(path).map_err(StorageError::io("read", path))? {
        bytes += bytes_below(&entry.map_err(StorageError::io("read", path))?.path())?;
    }
    Ok(bytes)
}

/// Copies a file, or a folder with all that is in it; nothing if it is not there.
fn copy_all(from: &Path, to: &Path) -> Result<(), StorageError> {
    if !from.is_dir() {
        return match fs::copy(from, to) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(StorageError::io("copy", from)(error)),
        };
    }
    fs::create_dir(to).map_err(StorageError::io("create", to))?;
    for entry in fs::read_dir(from).map_err(StorageError::io("read", from))? {
        let entry = entry.map_err(StorageError::io("read", from))?;
        copy_all(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Puts a link to every file of the archive into a folder of the copy's own.
fn link_archive(from: &Path, to: &Path) -> Result<(), StorageError> {
    fs::create_dir(to).map_err(StorageError::io("create", to))?;
    if !from.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(from).map_err(StorageError::io("read", from))? {
        let entry = entry.map_err(StorageError::io("read", from))?;
        symlink(entry.path(), to.join(entry.file_name())).map_err(StorageError::io("link", to))?;
    }
    Ok(())
}

/// The segment size that the database in `dir` was created with.
fn segment_bytes(dir: &Path) -> usize {
    SledDb::created_with(dir).unwrap_or(USUAL_SLED_SEGMENT_BYTES)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn copies_of_those_who_were_killed_are_removed() {
        let room = tempfile::tempdir().unwrap();
        let left = room.path().join(format!("{COPY}left"));
        fs::create_dir_all(left.join("wal")).unwrap();
        symlink(room.path(), left.join("archive")).unwrap();
        let other = room.path().join("other");
        fs::create_dir(&other).unwrap();
        let (copy, lock) = folder_for_copy(room.path()).unwrap();
        remove_leftovers(room.path());
        assert_eq!((left.exists(), other.exists(), copy.path().exists()), (false, true, true));
        drop(lock);
        remove_leftovers(room.path());
        assert!(!copy.path().exists());
    }
}
