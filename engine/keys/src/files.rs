//! Files that are replaced as a whole, leaving nothing of what they held.
//!
//! The new content is written to a file *aside*, the two files exchange names in one step, and the old
//! content is overwritten before it is unlinked. So an aside file is never the one that counts: whatever a
//! crash leaves there may be wiped. Overwriting reaches the blocks of file systems that write in place; a
//! copy-on-write file system or a backup may keep them, which is why what lies there is wrapped.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::KeysError;

/// Only the owner may read and write.
const PRIVATE: u32 = 0o600;

/// Where the content that is to replace `path` is written.
pub(crate) fn aside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".aside");
    path.with_file_name(name)
}

/// Opens `path` for reading and writing; `None` if it is not there.
pub(crate) fn open_existing(path: &Path) -> Result<Option<File>, KeysError> {
    found(OpenOptions::new().read(true).write(true).open(path)).map_err(KeysError::io("open", path))
}

/// `None` in place of the error that there is no such file.
pub(crate) fn found<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates the file `path`, which must not exist, for its owner alone.
pub(crate) fn create(path: &Path) -> Result<File, KeysError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(PRIVATE);
    options.open(path).map_err(KeysError::io("create", path))
}

/// Makes the data of `file` durable.
pub(crate) fn sync(file: &File, path: &Path) -> Result<(), KeysError> {
    file.sync_data().map_err(KeysError::io("make durable", path))
}

/// Makes the entries of the folder of `path` durable.
pub(crate) fn sync_folder_of(path: &Path) -> Result<(), KeysError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    match File::open(folder).and_then(|folder| folder.sync_data()) {
        // Nobody has changed it, then.
        Err(error) if error.kind() == io::ErrorKind::ReadOnlyFilesystem => Ok(()),
        result => result.map_err(KeysError::io("make durable", folder)),
    }
}

/// Stores `content` under `path`: afterwards either it stands there durably, or what stood there before.
/// Nothing of the old content is left.
pub(crate) fn replace(path: &Path, content: &[u8]) -> Result<(), KeysError> {
    let aside = aside(path);
    wipe_and_remove(&aside)?;
    let mut file = create(&aside)?;
    file.write_all(content).map_err(KeysError::io("write", &aside))?;
    sync(&file, &aside)?;
    if path.try_exists().map_err(KeysError::io("look for", path))? {
        exchange(path, &aside)?;
        wipe_and_remove(&aside)
    } else {
        fs::rename(&aside, path).map_err(KeysError::io("rename", &aside))?;
        sync_folder_of(path)
    }
}

/// Lets the two files exchange their names, durably.
pub(crate) fn exchange(path: &Path, aside: &Path) -> Result<(), KeysError> {
    renameat_with(CWD, aside, CWD, path, RenameFlags::EXCHANGE)
        .map_err(|error| KeysError::io("exchange the new and the old", path)(error.into()))?;
    sync_folder_of(path)
}

/// Overwrites the file `path` with zeros, durably. There may be none.
pub(crate) fn wipe(path: &Path) -> Result<(), KeysError> {
    static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];

    let Some(mut file) = open_existing(path)? else { return Ok(()) };
    let mut left = file.metadata().map_err(KeysError::io("look at", path))?.len();
    while left > 0 {
        let step = left.min(ZEROS.len() as u64);
        file.write_all(&ZEROS[..step as usize]).map_err(KeysError::io("overwrite", path))?;
        left -= step;
    }
    sync(&file, path)
}

/// Removes the file `path` durably. There may be none.
pub(crate) fn remove(path: &Path) -> Result<(), KeysError> {
    match found(fs::remove_file(path)).map_err(KeysError::io("remove", path))? {
        Some(()) => sync_folder_of(path),
        None => Ok(()),
    }
}

/// [`wipe`] and [`remove`].
pub(crate) fn wipe_and_remove(path: &Path) -> Result<(), KeysError> {
    wipe(path)?;
    remove(path)
}
