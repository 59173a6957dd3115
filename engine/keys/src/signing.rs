//! Ed25519 keys that sign and verify tokens.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

use crate::{KeysError, ring::Ring, secret::Secret};

/// The keys of tokens at one time. Whoever made something from them makes it anew when `generation` differs.
#[derive(Debug)]
pub struct SigningSet {
    /// Counts up whenever the set changes, from 1 at the start of the process.
    pub generation: u64,
    /// What signs.
    pub active: SigningKey,
    /// What verifies: the active one and those retired but not dropped yet.
    pub verifying: Vec<VerifyingKey>,
}

/// A private signing key. `Debug` shows its id alone; its bytes are wiped when it is dropped.
pub struct SigningKey {
    kid: String,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// A public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyingKey {
    /// Its id in the header of tokens.
    pub kid: String,
    /// The 32 bytes of the point (RFC 8032).
    pub public: [u8; 32],
}

impl SigningSet {
    /// The set of a ring.
    pub(crate) fn of(ring: &Ring, generation: u64) -> Result<Self, KeysError> {
        let active = ring.active_signing();
        let verifying = ring
            .signing
            .iter()
            .map(|entry| Ok(VerifyingKey { kid: entry.kid.clone(), public: public_key(&entry.seed)? }));
        Ok(Self {
            generation,
            active: SigningKey::new(active.kid.clone(), &active.seed)?,
            verifying: verifying.collect::<Result<_, KeysError>>()?,
        })
    }

    /// Whether both sign and verify with the same keys.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.active.kid == other.active.kid && self.verifying == other.verifying
    }
}

impl SigningKey {
    fn new(kid: String, seed: &Secret) -> Result<Self, KeysError> {
        let document = pair(seed)?.to_pkcs8().map_err(|_| KeysError::Cipher("encode a signing key"))?;
        Ok(Self { kid, pkcs8: Zeroizing::new(document.as_ref().to_vec()) })
    }

    /// Its id in the header of tokens.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The private key in PKCS#8 (RFC 5958, version 2), DER.
    #[must_use]
    pub fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// The public key of a seed.
pub(crate) fn public_key(seed: &Secret) -> Result<[u8; 32], KeysError> {
    let pair = pair(seed)?;
    pair.public_key().as_ref().try_into().map_err(|_| KeysError::Cipher("derive a public key"))
}

/// The id of a new key: a hash of its public half, so that two keys never share one. 16 hexadecimal digits.
pub(crate) fn kid(public: &[u8; 32]) -> String {
    blake3::hash(public).to_hex()[..16].to_owned()
}

fn pair(seed: &Secret) -> Result<Ed25519KeyPair, KeysError> {
    Ed25519KeyPair::from_seed_unchecked(seed.expose())
        .map_err(|_| KeysError::Cipher("make a signing key of its seed"))
}
