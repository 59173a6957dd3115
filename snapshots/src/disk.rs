//! Every write and sync of files goes through here, so that tests can observe their order and make one fail.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

#[cfg(test)]
use std::sync::Arc;

use crate::StorageError;

/// An operation on the disk, as an observer sees it, just before it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DiskOp {
    /// Bytes are written in place.
    Write(PathBuf),
    /// The data of a file is made durable.
    Sync(PathBuf),
    /// A folder's entries are made durable.
    SyncFolder(PathBuf),
    /// sled hands what it buffers to the operating system.
    SledFlush(PathBuf),
    /// A log segment may be written over.
    Free(u64),
}

#[cfg(test)]
type Observer = Arc<dyn Fn(&DiskOp) -> std::io::Result<()> + Send + Sync>;

/// The disk. Clones share the observer.
#[derive(Clone, Default)]
pub(crate) struct Disk {
    #[cfg(test)]
    observer: Option<Observer>,
    /// Never bypass the page cache.
    pub(crate) plain_writes: bool,
}

impl Disk {
    /// A disk whose every operation is shown to `observer` first; its error becomes the operation's.
    #[cfg(test)]
    pub(crate) fn observed(
        observer: impl Fn(&DiskOp) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        Self { observer: Some(Arc::new(observer)), plain_writes: false }
    }

    /// A disk that takes no direct writes.
    #[cfg(test)]
    pub(crate) fn plain() -> Self {
        Self { plain_writes: true, ..Self::default() }
    }

    /// Shows an operation to the observer.
    pub(crate) fn before(&self, op: DiskOp) -> std::io::Result<()> {
        #[cfg(test)]
        if let Some(observer) = &self.observer {
            return observer(&op);
        }
        drop(op);
        Ok(())
    }

    /// Writes all of `bytes` at `offset`.
    pub(crate) fn write_at(
        &self,
        file: &File,
        path: &Path,
        bytes: &[u8],
        offset: u64,
    ) -> Result<(), StorageError> {
        self.before(DiskOp::Write(path.to_owned()))
            .and_then(|()| file.write_all_at(bytes, offset))
            .map_err(StorageError::io("write", path))
    }

    /// Makes the data of `file` durable.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), StorageError> {
        self.before(DiskOp::Sync(path.to_owned()))
            .and_then(|()| fdatasync(file))
            .map_err(StorageError::io("make durable", path))
    }

    /// Makes the entries of the folder `path` durable; the parent of a mere name is the working folder.
    pub(crate) fn sync_folder(&self, path: &Path) -> Result<(), StorageError> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        self.before(DiskOp::SyncFolder(path.to_owned()))
            .and_then(|()| File::open(path))
            .and_then(|folder| fdatasync(&folder))
            .map_err(StorageError::io("make durable", path))
    }

    /// Creates the folder `path` with its parents and makes it and its entry durable.
    pub(crate) fn create_folder(&self, path: &Path) -> Result<(), StorageError> {
        fs::create_dir_all(path).map_err(StorageError::io("create", path))?;
        self.sync_folder(path)?;
        path.parent().map_or(Ok(()), |parent| self.sync_folder(parent))
    }

    /// Writes a whole file durably: either all of `parts` stands under `path` afterwards, or what stood there
    /// before.
    pub(crate) fn write_whole(&self, path: &Path, parts: &[&[u8]]) -> Result<(), StorageError> {
        let scratch = path.with_extension("tmp");
        let mut file = File::create(&scratch).map_err(StorageError::io("create", &scratch))?;
        for part in parts {
            self.before(DiskOp::Write(scratch.clone()))
                .and_then(|()| file.write_all(part))
                .map_err(StorageError::io("write", &scratch))?;
        }
        self.sync(&file, &scratch)?;
        fs::rename(&scratch, path).map_err(StorageError::io("rename", &scratch))?;
        path.parent().map_or(Ok(()), |parent| self.sync_folder(parent))
    }
}

/// The system call, or nothing under the feature that exists to prove that power-cut tests notice.
fn fdatasync(file: &File) -> std::io::Result<()> {
    if cfg!(feature = "unsafe-no-fdatasync") { Ok(()) } else { file.sync_data() }
}
