//! Master keys: what wraps data keys.

use std::{collections::BTreeMap, num::NonZeroU32};

use relampago_actors::Id;

use crate::{
    KeysError,
    ring::Ring,
    secret::{Cipher, Forged, Secret},
    slot::{WRAPPED, Wrapped},
};

/// One master key, in the two forms in which it is used. It is never used as it is.
#[derive(Debug)]
pub(crate) struct Master {
    id: u32,
    wrapping: Cipher,
    /// Tells it from others.
    fingerprint: blake3::Hash,
}

impl Master {
    /// The master key `key` with this id.
    pub(crate) fn new(id: u32, key: &Secret) -> Result<Self, KeysError> {
        let wrapping = Cipher::new(&key.derive("relampago 2026-11 wrapping of data keys"))?;
        let fingerprint = blake3::hash(key.derive("relampago 2026-11 fingerprint of a master").expose());
        Ok(Self { id, wrapping, fingerprint })
    }

    /// Whether both are the same key.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }

    /// Wraps the data key `key` of `owner`; it unwraps only as this one of this owner.
    pub(crate) fn wrap(&self, key: NonZeroU32, owner: Id, data_key: &Secret) -> Result<Wrapped, KeysError> {
        let mut sealed = [0; WRAPPED];
        let (text, place_of_tag) = sealed.split_at_mut(32);
        text.copy_from_slice(data_key.expose());
        let (nonce, tag) = self.wrapping.seal(&self.context(key, owner), text)?;
        place_of_tag.copy_from_slice(&tag);
        Ok(Wrapped { master: self.id, nonce, sealed })
    }

    /// What [`wrap`](Self::wrap) wrapped.
    pub(crate) fn unwrap(&self, key: NonZeroU32, owner: Id, wrapped: &Wrapped) -> Result<Secret, Forged> {
        let mut bytes = zeroize::Zeroizing::new(wrapped.sealed);
        self.wrapping.open(wrapped.nonce, &self.context(key, owner), &mut bytes[..])?;
        Secret::filled_by(|secret| {
            secret.copy_from_slice(&bytes[..32]);
            Ok(())
        })
    }

    /// What a wrapped key is bound to.
    fn context(&self, key: NonZeroU32, owner: Id) -> [u8; 24] {
        let mut context = [0; 24];
        context[..4].copy_from_slice(&self.id.to_le_bytes());
        context[4..8].copy_from_slice(&key.get().to_le_bytes());
        context[8..].copy_from_slice(&owner.0.to_le_bytes());
        context
    }
}

/// The master keys by id.
#[derive(Debug)]
pub(crate) struct Masters {
    by_id: BTreeMap<u32, Master>,
    newest: u32,
}

impl Masters {
    /// Those of a ring.
    pub(crate) fn of(ring: &Ring) -> Result<Self, KeysError> {
        let masters = ring.masters.iter().map(|entry| Ok((entry.id, Master::new(entry.id, &entry.key)?)));
        Ok(Self { by_id: masters.collect::<Result<_, KeysError>>()?, newest: ring.newest_master() })
    }

    /// The one with this id.
    pub(crate) fn get(&self, id: u32) -> Option<&Master> {
        self.by_id.get(&id)
    }

    /// The one that wraps what is new. A ring without a master does not load, so there is one.
    #[expect(clippy::expect_used, reason = "a ring without a master does not load")]
    pub(crate) fn newest(&self) -> &Master {
        self.by_id.get(&self.newest).expect("the ring has a newest master")
    }
}
