//! The vault file: data keys wrapped under a master key, one a slot, and an index of them in memory.
//!
//! The index takes some 30 bytes a key; the wrapped keys stay on disk. Slots are appended, and made durable
//! before their key is used; a key is destroyed by overwriting its slot. Ids are never used again.

use std::{
    collections::hash_map::Entry,
    fs::File,
    io::Read,
    num::NonZeroU32,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use relampago_actors::Id;
use rustc_hash::FxHashMap;

use crate::{
    KeysError, files,
    slot::{self, SLOT, Slot},
};

/// Slots that are read at once.
const SLOTS_A_READ: usize = 1024;

/// The open file and its index.
#[derive(Debug)]
pub(crate) struct Vault {
    path: PathBuf,
    file: Arc<File>,
    /// By slot: the master key its key is wrapped under, or `None` if it was destroyed.
    masters: Vec<Option<NonZeroU32>>,
    /// Owners and their keys, destroyed ones too.
    owners: FxHashMap<Id, NonZeroU32>,
}

/// What the index knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Live,
    Destroyed,
    Unknown,
}

impl Vault {
    /// Opens the file and reads it all; `None` if there is no file. A last slot whose write a crash cut off
    /// was never acknowledged and is taken away.
    pub(crate) fn load(path: &Path) -> Result<Option<Self>, KeysError> {
        let Some(file) = files::open_existing(path)? else { return Ok(None) };
        let mut vault = Self::empty(path, file);
        let file = Arc::clone(&vault.file);
        for_each_slot(&file, path, |bytes, is_last| {
            let key = vault.next_key();
            match <&[u8; SLOT]>::try_from(bytes) {
                Ok(bytes) if !(is_last && slot::is_torn(bytes)) => {
                    let slot = key.ok_or("it is more than a vault can have");
                    slot.and_then(|key| Slot::decode(bytes, key))
                        .and_then(|slot| vault.index(&slot))
                        .map_err(|problem| vault.damaged(vault.masters.len(), problem))
                }
                _ => Ok(()),
            }
        })?;
        let whole = vault.masters.len() as u64 * SLOT as u64;
        if file.metadata().map_err(KeysError::io("look at", path))?.len() != whole {
            file.set_len(whole).map_err(KeysError::io("shorten", path))?;
        }
        // What was read may so far stand in the page cache alone.
        file.sync_all().map_err(KeysError::io("make durable", path))?;
        Ok(Some(vault))
    }

    /// Makes an empty vault file.
    pub(crate) fn create(path: &Path) -> Result<Self, KeysError> {
        let file = files::create(path)?;
        files::sync(&file, path)?;
        files::sync_folder_of(path)?;
        Ok(Self::empty(path, file))
    }

    fn empty(path: &Path, file: File) -> Self {
        Self {
            path: path.to_owned(),
            file: Arc::new(file),
            masters: Vec::new(),
            owners: FxHashMap::default(),
        }
    }

    /// How many keys it has ever had.
    pub(crate) fn slots(&self) -> u64 {
        self.masters.len() as u64
    }

    /// How many changes made it: a slot for every owner, and the destruction of a key. An older copy has fewer.
    pub(crate) fn changes(&self) -> u64 {
        self.slots() + self.masters.iter().filter(|master| master.is_none()).count() as u64
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file, for writes that take no lock of the index.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// The key of `owner`, live or destroyed.
    pub(crate) fn key_of(&self, owner: Id) -> Option<NonZeroU32> {
        self.owners.get(&owner).copied()
    }

    /// What became of `key`.
    pub(crate) fn status(&self, key: NonZeroU32) -> Status {
        match self.masters.get(number(key)) {
            Some(Some(_)) => Status::Live,
            Some(None) => Status::Destroyed,
            None => Status::Unknown,
        }
    }

    /// The id of the next key; `None` if the vault is full.
    pub(crate) fn next_key(&self) -> Option<NonZeroU32> {
        let next = u32::try_from(self.masters.len()).ok()?.checked_add(1)?;
        NonZeroU32::new(next)
    }

    /// The live keys and the masters they are wrapped under.
    pub(crate) fn live(&self) -> impl Iterator<Item = (NonZeroU32, u32)> {
        let key = |number: usize| NonZeroU32::new(u32::try_from(number + 1).ok()?);
        let live = self.masters.iter().enumerate();
        live.filter_map(move |(number, master)| Some((key(number)?, master.as_ref()?.get())))
    }

    /// Reads the slot of `key`.
    pub(crate) fn read(&self, key: NonZeroU32) -> Result<Slot, KeysError> {
        let mut bytes = [0; SLOT];
        self.file.read_exact_at(&mut bytes, offset(key)).map_err(KeysError::io("read", &self.path))?;
        Slot::decode(&bytes, key).map_err(|problem| self.damaged(number(key), problem))
    }

    /// Enters a slot that was appended.
    pub(crate) fn index(&mut self, slot: &Slot) -> Result<(), &'static str> {
        match self.owners.entry(slot.owner) {
            Entry::Occupied(_) => return Err("its owner has another slot"),
            Entry::Vacant(place) => place.insert(slot.key),
        };
        self.masters.push(master_of(slot));
        Ok(())
    }

    /// Notes that `key` is destroyed.
    pub(crate) fn forget(&mut self, key: NonZeroU32) {
        if let Some(master) = self.masters.get_mut(number(key)) {
            *master = None;
        }
    }

    /// Writes a copy of the file to the new file `path`, durably, with every slot as `change` makes it.
    pub(crate) fn copy_to(
        &self,
        path: &Path,
        mut change: impl FnMut(Slot) -> Result<Slot, KeysError>,
    ) -> Result<Copied, KeysError> {
        let file = files::create(path)?;
        let mut masters = Vec::with_capacity(self.masters.len());
        let mut chunk = Vec::with_capacity(SLOTS_A_READ * SLOT);
        let mut written = 0;
        for number in 0..self.masters.len() {
            let key = u32::try_from(number + 1).ok().and_then(NonZeroU32::new);
            let key = key.ok_or_else(|| self.damaged(number, "it is more than a vault can have"))?;
            let slot = change(self.read(key)?)?;
            masters.push(master_of(&slot));
            chunk.extend_from_slice(&slot.encode());
            if chunk.len() == chunk.capacity() || masters.len() == self.masters.len() {
                file.write_all_at(&chunk, written).map_err(KeysError::io("write", path))?;
                written += chunk.len() as u64;
                chunk.clear();
            }
        }
        files::sync(&file, path)?;
        Ok(Copied { file, masters })
    }

    /// Goes on with the copy, which has taken the name of the file.
    pub(crate) fn switch_to(&mut self, copy: Copied) {
        self.file = Arc::new(copy.file);
        self.masters = copy.masters;
    }

    /// Goes on with another open file.
    #[cfg(test)]
    pub(crate) fn use_file(&mut self, file: File) {
        self.file = Arc::new(file);
    }

    fn damaged(&self, number: usize, problem: &'static str) -> KeysError {
        let slot = u32::try_from(number).unwrap_or(u32::MAX);
        KeysError::Damaged { vault: self.path.clone(), slot, problem }
    }
}

/// A copy of a vault's file.
pub(crate) struct Copied {
    file: File,
    masters: Vec<Option<NonZeroU32>>,
}

/// Writes `slot` to its place, durably.
pub(crate) fn write(file: &File, path: &Path, slot: &Slot) -> Result<(), KeysError> {
    file.write_all_at(&slot.encode(), offset(slot.key)).map_err(KeysError::io("write", path))?;
    files::sync(file, path)
}

/// Shows the bytes of each slot, and whether it is the last; the last may be short.
fn for_each_slot(
    file: &File,
    path: &Path,
    mut each: impl FnMut(&[u8], bool) -> Result<(), KeysError>,
) -> Result<(), KeysError> {
    let mut left = file.metadata().map_err(KeysError::io("look at", path))?.len();
    let mut chunk = vec![0; SLOTS_A_READ * SLOT];
    let mut reader = file;
    while left > 0 {
        let length = left.min(chunk.len() as u64);
        let part = &mut chunk[..length as usize];
        reader.read_exact(part).map_err(KeysError::io("read", path))?;
        left -= length;
        let mut slots = part.chunks(SLOT).peekable();
        while let Some(bytes) = slots.next() {
            each(bytes, left == 0 && slots.peek().is_none())?;
        }
    }
    Ok(())
}

fn master_of(slot: &Slot) -> Option<NonZeroU32> {
    slot.wrapped.and_then(|wrapped| NonZeroU32::new(wrapped.master))
}

fn number(key: NonZeroU32) -> usize {
    key.get() as usize - 1
}

fn offset(key: NonZeroU32) -> u64 {
    u64::from(key.get() - 1) * SLOT as u64
}
