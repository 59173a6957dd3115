//! Changes of the key ring.
//!
//! A new master key takes these steps, and after a crash between any two the files open again:
//!
//! 1. The ring holds the new master beside the old ones.
//! 2. A new vault stands aside, every key wrapped under the new master.
//! 3. The two vault files exchange their names; reads go to the new one.
//! 4. The old file, now aside, is overwritten.
//! 5. The old masters leave the ring, whose old file is overwritten too.
//! 6. The file aside is removed. While it is there, opening finishes what is left.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use relampago_actors::Millis;

use crate::{
    Keys, KeysError, SigningSet, files,
    keys::State,
    master::{Master, Masters},
    ring::Ring,
    slot::Slot,
    vault::Copied,
};

impl Keys {
    /// Makes a new master key, wraps every data key anew under it and drops the old masters; answers the new
    /// one's id. Sealing and revealing go on meanwhile; new keys and destructions wait. MACs under the old
    /// masters are void afterwards.
    ///
    /// # Errors
    /// If the disk refuses or a slot is damaged; the old masters are still in the ring then.
    pub fn rotate_master(&self, now: Millis) -> Result<u32, KeysError> {
        let mut writing = self.writing()?;
        let mut ring = self.ring_on_disk()?;
        self.adopt(&ring)?;
        let id = ring.add_master(now)?;
        let added = Masters::of(&ring)?;
        ring.store(&self.ring)?;

        let vault = self.state.read().vault.path().to_owned();
        let aside = files::aside(&vault);
        files::wipe_and_remove(&aside)?;
        let copy = self.wrap_anew(&aside, added.newest());
        if copy.is_err() {
            // It holds keys that are to be destroyed one day.
            writing.or_stop(files::wipe_and_remove(&aside))?;
        }
        let copy = copy?;
        writing.or_stop(files::exchange(&vault, &aside))?;
        ring.masters.retain(|master| master.id == id);
        let masters = writing.or_stop(Masters::of(&ring))?;
        {
            let mut state = self.state.write();
            state.vault.switch_to(copy);
            state.masters = masters;
        }
        writing.or_stop(files::wipe(&aside).and_then(|()| ring.store(&self.ring)))?;
        writing.or_stop(files::remove(&aside))?;
        Ok(id)
    }

    /// Makes a new signing key, which signs from now on; the others go on verifying. Answers its id.
    ///
    /// # Errors
    /// If the ring cannot be read or written; nothing has changed in memory then.
    pub fn rotate_signing(&self, now: Millis) -> Result<String, KeysError> {
        let _writing = self.writing()?;
        let mut ring = self.ring_on_disk()?;
        let kid = ring.add_signing(now)?;
        ring.store(&self.ring)?;
        self.adopt(&ring)?;
        Ok(kid)
    }

    /// Drops the signing keys that were retired before `older_than`; answers how many.
    ///
    /// # Errors
    /// If the ring cannot be read or written; nothing has changed in memory then.
    pub fn drop_retired(&self, older_than: Millis) -> Result<usize, KeysError> {
        let _writing = self.writing()?;
        let mut ring = self.ring_on_disk()?;
        let before = ring.signing.len();
        ring.signing.retain(|key| key.retired_ms.is_none_or(|retired| retired >= older_than));
        let dropped = before - ring.signing.len();
        if dropped > 0 {
            ring.store(&self.ring)?;
        }
        self.adopt(&ring)?;
        Ok(dropped)
    }

    /// Reads the ring again, after somebody else changed the file.
    ///
    /// # Errors
    /// If it cannot be read, or lacks a master that the vault needs; the ring in memory stays then.
    pub fn reload(&self) -> Result<(), KeysError> {
        let _writing = self.writing()?;
        self.adopt(&self.ring_on_disk()?)
    }

    fn ring_on_disk(&self) -> Result<Ring, KeysError> {
        Ring::load(&self.ring)?.ok_or_else(|| KeysError::RingMissing { ring: self.ring.clone() })
    }

    /// Takes the ring over, if the vault can live with it. Only for who has the right to write.
    fn adopt(&self, ring: &Ring) -> Result<(), KeysError> {
        let masters = Masters::of(ring)?;
        let old = self.signing();
        let signing = SigningSet::of(ring, old.generation + 1)?;
        self.check_masters(&masters)?;
        let mut state = self.state.write();
        state.masters = masters;
        state.mac = ring.mac_root();
        if !signing.is_same(&old) {
            state.signing = Arc::new(signing);
        }
        Ok(())
    }

    /// Whether every master that the vault needs is in `masters`, and still the same.
    fn check_masters(&self, masters: &Masters) -> Result<(), KeysError> {
        let state = self.state.read();
        let (ring, vault) = (self.ring.clone(), state.vault.path().to_owned());
        let mut seen = BTreeSet::new();
        for (key, master) in state.vault.live().filter(|(_, master)| seen.insert(*master)) {
            match (state.masters.get(master), masters.get(master)) {
                (Some(old), Some(new)) if old.is_same(new) => {}
                (_, Some(_)) => {
                    return Err(KeysError::MasterDiffers { ring, vault, master, slot: key.get() - 1 });
                }
                (_, None) => return Err(KeysError::MasterMissing { ring, vault, master }),
            }
        }
        Ok(())
    }

    /// Writes a vault aside in which every key is wrapped under `master`.
    fn wrap_anew(&self, aside: &Path, master: &Master) -> Result<Copied, KeysError> {
        let state = self.state.read();
        state.vault.copy_to(aside, |slot| {
            let Some(wrapped) = &slot.wrapped else { return Ok(slot) };
            let data_key = state.unwrap(&self.ring, &slot, wrapped)?;
            Ok(Slot { wrapped: Some(master.wrap(slot.key, slot.owner, &data_key)?), ..slot })
        })
    }
}

impl State {
    /// Finishes a rotation of the master that was cut off, if there is a file aside: wipes it, and drops the
    /// masters that nothing is wrapped under but for the newest.
    pub(crate) fn finish_rotation(&mut self, ring_path: &Path, mut ring: Ring) -> Result<(), KeysError> {
        let aside = files::aside(self.vault.path());
        if !aside.try_exists().map_err(KeysError::io("look for", &aside))? {
            return Ok(());
        }
        files::sync_folder_of(&aside)?;
        files::wipe(&aside)?;
        let newest = ring.newest_master();
        let needed: BTreeSet<u32> = self.vault.live().map(|(_, master)| master).chain([newest]).collect();
        let before = ring.masters.len();
        ring.masters.retain(|master| needed.contains(&master.id));
        if ring.masters.len() < before {
            ring.store(ring_path)?;
            self.masters = Masters::of(&ring)?;
        }
        files::remove(&aside)
    }
}
