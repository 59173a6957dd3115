//! [`Keys`]: the ring and the vault together.

use std::{
    collections::BTreeSet,
    fmt,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::{Mutex, MutexGuard, RwLock};
use relampago_actors::{Id, Millis, personal::Personal};
use zeroize::Zeroizing;

use crate::{
    KeysError, SigningSet, Unreadable, files,
    master::Masters,
    opened::Opened,
    ring::Ring,
    sealing,
    secret::{Cipher, Forged, Secret},
    slot::{Slot, Wrapped},
    vault::{self, Status, Vault},
};

/// The data key of one owner: its id, as it stands in [`Personal`]. Good in the [`Keys`] it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DataKey(NonZeroU32);

impl DataKey {
    /// The key's id.
    #[must_use]
    pub fn id(self) -> NonZeroU32 {
        self.0
    }
}

/// All keys of a node. Shared; every method takes `&self`.
///
/// [`seal`](Self::seal), [`reveal`](Self::reveal), [`existing_key_of`](Self::existing_key_of),
/// [`signing`](Self::signing) and the MACs never wait for a write. What writes waits for the disk, one after
/// the other: call it where blocking is allowed.
pub struct Keys {
    pub(crate) ring: PathBuf,
    pub(crate) state: RwLock<State>,
    /// Held by whoever writes to ring or vault.
    writing: Mutex<Writing>,
    /// Changes of the vault that are durable.
    changes: AtomicU64,
    opened: Opened,
}

/// What is known in memory. Locked for moments only, never while something is written; readers may read a
/// slot meanwhile.
pub(crate) struct State {
    pub(crate) vault: Vault,
    pub(crate) masters: Masters,
    pub(crate) signing: Arc<SigningSet>,
    /// What the keys of MACs are derived from.
    pub(crate) mac: Secret,
}

/// Who is told when a write has failed.
type Tell = Box<dyn FnOnce(&KeysError) + Send>;

/// Whether writing may go on.
#[derive(Default)]
pub(crate) struct Writing {
    /// A write failed half-way: memory and disk may differ.
    stopped: bool,
    tell: Option<Tell>,
}

impl Writing {
    /// Passes the result on; an error ends all writing.
    pub(crate) fn or_stop<T>(&mut self, result: Result<T, KeysError>) -> Result<T, KeysError> {
        if let Err(error) = &result {
            self.stopped = true;
            if let Some(tell) = self.tell.take() {
                tell(error);
            }
        }
        result
    }
}

impl Keys {
    /// The vault as it is now, for a backup: nobody writes to it meanwhile.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn vault_bytes(&self) -> Result<Vec<u8>, KeysError> {
        let _writing = self.writing()?;
        let path = self.state.read().vault.path().to_owned();
        std::fs::read(&path).map_err(KeysError::io("read", &path))
    }

    /// Reads a vault without its ring, every slot of it. A torn last slot is taken away: give it a copy of the file.
    ///
    /// # Errors
    /// If the file cannot be read or is damaged.
    pub fn count(vault: &Path) -> Result<Counts, KeysError> {
        let vault = load_vault(vault)?;
        Ok(vault
            .map_or_else(Counts::default, |vault| Counts { keys: vault.slots(), changes: vault.changes() }))
    }

    /// Whether a ring opens a vault, as [`open`](Self::open) would find out; nothing is changed but a torn last slot
    /// of the vault: give it a copy of that file.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn verify(ring: &Path, vault: &Path) -> Result<(), KeysError> {
        let found = Ring::load(ring)?.ok_or_else(|| KeysError::RingMissing { ring: ring.to_owned() })?;
        match load_vault(vault)? {
            Some(vault) => State::of(&found, vault)?.check(ring),
            None => Ok(()),
        }
    }

    /// How many durable changes were made to the vault: a key for every owner, and the destruction of one. It never
    /// falls, and an older copy of the vault has fewer.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Opens the key ring `ring` and the vault `vault`, makes the vault if there is none, and a ring too if
    /// `create_ring` says so. Finishes a rotation that a crash cut off.
    ///
    /// # Errors
    /// If a file cannot be read, is damaged, or does not belong to the other; if others may read the ring.
    pub fn open(ring: &Path, vault: &Path, create_ring: bool, now: Millis) -> Result<Self, KeysError> {
        let loaded = load_vault(vault)?;
        let needed = loaded.iter().flat_map(Vault::live).map(|(_, master)| master).next();
        let found = match (Ring::load(ring)?, needed) {
            (Some(found), _) => found,
            (None, Some(master)) => {
                return Err(KeysError::RingLost { ring: ring.into(), vault: vault.into(), master });
            }
            (None, None) if create_ring => {
                let fresh = Ring::new(now)?;
                fresh.store(ring)?;
                fresh
            }
            (None, None) => return Err(KeysError::RingMissing { ring: ring.into() }),
        };
        let mut state = State::of(&found, loaded.map_or_else(|| Vault::create(vault), Ok)?)?;
        state.check(ring)?;
        // What was read may so far stand in the page cache alone.
        files::sync_folder_of(ring)?;
        files::wipe_and_remove(&files::aside(ring))?;
        state.finish_rotation(ring, found)?;
        Ok(Self {
            ring: ring.to_owned(),
            changes: AtomicU64::new(state.vault.changes()),
            state: RwLock::new(state),
            writing: Mutex::default(),
            opened: Opened::new(),
        })
    }

    /// Has `tell` called, once, when a write fails half-way: nothing can be written from then on.
    pub fn on_failure(&self, tell: impl FnOnce(&KeysError) + Send + 'static) {
        self.writing.lock().tell = Some(Box::new(tell));
    }

    /// The key of `owner`; made, and durable, if there was none.
    ///
    /// # Errors
    /// [`KeysError::Destroyed`] if it was destroyed; whatever keeps a new one from being stored.
    pub fn key_of(&self, owner: Id) -> Result<DataKey, KeysError> {
        if let Some(key) = self.state.read().key_of(owner)? {
            return Ok(key);
        }
        let mut writing = self.writing()?;
        // Somebody may have made it meanwhile.
        if let Some(key) = self.state.read().key_of(owner)? {
            return Ok(key);
        }
        let secret = Secret::random()?;
        let key = self.append(&mut writing, owner, Some(&secret))?;
        self.opened.put(key, Arc::new(Cipher::new(&secret)?));
        Ok(DataKey(key))
    }

    /// The key of `owner`, if there is one and it was not destroyed.
    #[must_use]
    pub fn existing_key_of(&self, owner: Id) -> Option<DataKey> {
        self.state.read().key_of(owner).ok().flatten()
    }

    /// Destroys the key of `owner` for good: nothing sealed under it can be read again, and none is made for
    /// this owner again, even if there was none so far. Doing it again changes nothing.
    ///
    /// # Errors
    /// If the disk refuses. Until a restart the key is unusable even so, but it may stand on the disk.
    pub fn destroy(&self, owner: Id) -> Result<(), KeysError> {
        let mut writing = self.writing()?;
        let known = self.state.read().vault.key_of(owner);
        match known.map(|key| (key, self.state.read().vault.status(key))) {
            None => self.append(&mut writing, owner, None).map(|_| ()),
            Some((key, Status::Live)) => {
                let (file, path) = self.unlearn(key);
                let tombstone = Slot { key, owner, wrapped: None };
                writing.or_stop(vault::write(&file, &path, &tombstone))?;
                self.changes.fetch_add(1, Ordering::Release);
                Ok(())
            }
            Some(_) => Ok(()),
        }
    }

    /// Puts `text` into an envelope under `key`.
    ///
    /// # Errors
    /// [`KeysError::Destroyed`] if the key was destroyed meanwhile.
    pub fn seal(&self, key: DataKey, text: &str) -> Result<Personal, KeysError> {
        sealing::seal(&*self.cipher(key.0)?, key.0, text)
    }

    /// Takes text out of its envelope. Key 0 is clear text.
    ///
    /// # Errors
    /// Says why it cannot be read.
    pub fn reveal(&self, personal: &Personal) -> Result<Zeroizing<String>, Unreadable> {
        let Some(key) = NonZeroU32::new(personal.key()) else {
            return sealing::readable(personal.bytes().to_vec());
        };
        let cipher = self.cipher(key).map_err(|error| match error {
            KeysError::Destroyed => Unreadable::Destroyed,
            KeysError::UnknownKey { .. } => Unreadable::UnknownKey,
            _ => Unreadable::VaultFailed,
        })?;
        sealing::open(&cipher, personal.bytes())
    }

    /// The keys of tokens now.
    #[must_use]
    pub fn signing(&self) -> Arc<SigningSet> {
        Arc::clone(&self.state.read().signing)
    }

    /// A MAC over `message`. `context` says what the MAC is for, is written in the program, and keeps MACs of one use
    /// from being good for another.
    #[must_use]
    pub fn token_mac(&self, context: &str, message: &[u8]) -> [u8; 32] {
        self.mac(context, message).into()
    }

    /// Whether [`token_mac`](Self::token_mac) gave this. It takes as long whatever `mac` is.
    #[must_use]
    pub fn check_token_mac(&self, context: &str, message: &[u8], mac: &[u8; 32]) -> bool {
        // The comparison of blake3::Hash takes constant time.
        self.mac(context, message) == *mac
    }

    fn mac(&self, context: &str, message: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(self.state.read().mac.derive(context).expose(), message)
    }

    /// The cipher under `key`, out of the vault if it was not used lately.
    fn cipher(&self, key: NonZeroU32) -> Result<Arc<Cipher>, KeysError> {
        if let Some(cipher) = self.opened.get(key) {
            return Ok(cipher);
        }
        let state = self.state.read();
        match state.vault.status(key) {
            Status::Live => {}
            Status::Destroyed => return Err(KeysError::Destroyed),
            Status::Unknown => return Err(KeysError::UnknownKey { key: key.get() }),
        }
        let cipher = Arc::new(Cipher::new(&state.read(&self.ring, key)?)?);
        // Under the lock, or a key could come back here after it was destroyed.
        self.opened.put(key, Arc::clone(&cipher));
        Ok(cipher)
    }

    /// Writes the next slot: a key for `owner`, or a tombstone.
    fn append(
        &self,
        writing: &mut Writing,
        owner: Id,
        secret: Option<&Secret>,
    ) -> Result<NonZeroU32, KeysError> {
        let (slot, file, path) = {
            let state = self.state.read();
            let key = state.vault.next_key().ok_or(KeysError::Full { owner })?;
            let wrap = |secret| state.masters.newest().wrap(key, owner, secret);
            let slot = Slot { key, owner, wrapped: secret.map(wrap).transpose()? };
            (slot, state.vault.file(), state.vault.path().to_owned())
        };
        writing.or_stop(vault::write(&file, &path, &slot))?;
        // A tombstone is a slot and the destruction of what it would have held.
        self.changes.fetch_add(if slot.wrapped.is_some() { 1 } else { 2 }, Ordering::Release);
        // Nobody else appends, so it is the owner's first and its number the next.
        let indexed = self.state.write().vault.index(&slot);
        indexed.map_err(|problem| KeysError::Damaged { vault: path, slot: slot.key.get() - 1, problem })?;
        Ok(slot.key)
    }

    /// Makes `key` unusable in memory; gives the file where it has to be destroyed.
    fn unlearn(&self, key: NonZeroU32) -> (Arc<std::fs::File>, PathBuf) {
        let mut state = self.state.write();
        state.vault.forget(key);
        self.opened.forget(key);
        (state.vault.file(), state.vault.path().to_owned())
    }

    /// The right to write.
    pub(crate) fn writing(&self) -> Result<MutexGuard<'_, Writing>, KeysError> {
        let writing = self.writing.lock();
        if writing.stopped { Err(KeysError::Stopped) } else { Ok(writing) }
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("ring", &self.ring).finish_non_exhaustive()
    }
}

/// What is in a vault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Keys, destroyed ones too.
    pub keys: u64,
    /// Changes, as [`Keys::changes`] counts them.
    pub changes: u64,
}

impl State {
    fn of(ring: &Ring, vault: Vault) -> Result<Self, KeysError> {
        Ok(Self {
            vault,
            masters: Masters::of(ring)?,
            signing: Arc::new(SigningSet::of(ring, 1)?),
            mac: ring.mac_root(),
        })
    }

    /// The key of `owner`, if it has one.
    fn key_of(&self, owner: Id) -> Result<Option<DataKey>, KeysError> {
        match self.vault.key_of(owner) {
            None => Ok(None),
            Some(key) if self.vault.status(key) == Status::Live => Ok(Some(DataKey(key))),
            Some(_) => Err(KeysError::Destroyed),
        }
    }

    /// The data key `key`, from the vault.
    fn read(&self, ring: &Path, key: NonZeroU32) -> Result<Secret, KeysError> {
        let slot = self.vault.read(key)?;
        self.unwrap(ring, &slot, slot.wrapped.as_ref().ok_or(KeysError::Destroyed)?)
    }

    /// The data key of a slot; `ring` is for the error.
    pub(crate) fn unwrap(&self, ring: &Path, slot: &Slot, wrapped: &Wrapped) -> Result<Secret, KeysError> {
        let (ring, vault, master) = (ring.to_owned(), self.vault.path().to_owned(), wrapped.master);
        match self.masters.get(master).map(|found| found.unwrap(slot.key, slot.owner, wrapped)) {
            Some(Ok(secret)) => Ok(secret),
            Some(Err(Forged)) => {
                Err(KeysError::MasterDiffers { ring, vault, master, slot: slot.key.get() - 1 })
            }
            None => Err(KeysError::MasterMissing { ring, vault, master }),
        }
    }

    /// Whether ring and vault belong together: every master that is needed is there, and is the right one
    /// for the first key that is wrapped under it.
    fn check(&self, ring: &Path) -> Result<(), KeysError> {
        let mut seen = BTreeSet::new();
        let mut firsts = self.vault.live().filter(|(_, master)| seen.insert(*master));
        firsts.try_for_each(|(key, _)| self.read(ring, key).map(|_| ()))
    }
}

/// The vault, unless there is none and there was none.
fn load_vault(path: &Path) -> Result<Option<Vault>, KeysError> {
    let loaded = Vault::load(path)?;
    let aside = files::aside(path);
    if loaded.is_none() && aside.try_exists().map_err(KeysError::io("look for", &aside))? {
        return Err(KeysError::AsideAlone { aside, missing: path.to_owned() });
    }
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_failed_write_ends_all_writing_until_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let (ring, vault) = (folder.path().join("ring"), folder.path().join("vault"));
        let keys = Keys::open(&ring, &vault, true, 1).unwrap();
        let ana = keys.key_of(Id(1)).unwrap();
        let sealed = keys.seal(ana, "Ana").unwrap();

        let told = Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = Arc::clone(&told);
        keys.on_failure(move |error| {
            assert!(matches!(error, KeysError::Io { action: "write", .. }));
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        });
        keys.state.write().vault.use_file(std::fs::File::open(&vault).unwrap());
        assert!(matches!(keys.destroy(Id(1)), Err(KeysError::Io { action: "write", .. })));
        assert_eq!(keys.reveal(&sealed), Err(Unreadable::Destroyed));
        assert!(matches!(keys.destroy(Id(1)), Err(KeysError::Stopped)));
        assert!(matches!(keys.key_of(Id(2)), Err(KeysError::Stopped)));
        assert!(matches!(keys.rotate_master(2), Err(KeysError::Stopped)));
        assert_eq!(told.load(std::sync::atomic::Ordering::SeqCst), 1);
        drop(keys);

        let keys = Keys::open(&ring, &vault, false, 1).unwrap();
        assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
        keys.destroy(Id(1)).unwrap();
        assert_eq!(keys.reveal(&sealed), Err(Unreadable::Destroyed));
    }

    #[test]
    fn a_key_that_was_put_out_of_its_place_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let (ring, vault) = (folder.path().join("ring"), folder.path().join("vault"));
        let keys = Keys::open(&ring, &vault, true, 1).unwrap();
        let ana = keys.key_of(Id(1)).unwrap();
        let sealed = keys.seal(ana, "Ana").unwrap();
        keys.opened.forget(ana.id());
        assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
        keys.opened.forget(ana.id());
        keys.rotate_master(2).unwrap();
        assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
    }
}
