//! 256 secret bits, and AES-256-GCM under them.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey},
    rand,
};
use zeroize::Zeroizing;

use crate::KeysError;

/// Bytes of a nonce.
pub(crate) const NONCE: usize = 12;
/// Bytes of the tag that authenticates what was sealed.
pub(crate) const TAG: usize = 16;

/// A key of 256 bits. Boxed, so that moving it leaves no copy behind; wiped when dropped; never shown.
pub(crate) struct Secret(Box<Zeroizing<[u8; 32]>>);

impl Secret {
    /// A fresh one.
    pub(crate) fn random() -> Result<Self, KeysError> {
        Self::filled_by(|bytes| rand::fill(bytes).map_err(|_| KeysError::Cipher("draw a random key")))
    }

    /// One whose bytes `fill` puts in place.
    pub(crate) fn filled_by<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut bytes = Box::new(Zeroizing::new([0; 32]));
        fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// A key for one purpose, derived from this one (BLAKE3's `derive_key`).
    pub(crate) fn derive(&self, context: &str) -> Self {
        Self(Box::new(Zeroizing::new(blake3::derive_key(context, self.expose()))))
    }

    /// The key itself. Named so that every use stands out in a review.
    pub(crate) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What was sealed does not open: another key, another context, or other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forged;

/// AES-256-GCM under one key, with random nonces: good for 2^32 seals (NIST SP 800-38D, 8.3). AWS-LC wipes
/// its key schedule when it is dropped.
pub(crate) struct Cipher(RandomizedNonceKey);

impl Cipher {
    /// The cipher under `key`.
    pub(crate) fn new(key: &Secret) -> Result<Self, KeysError> {
        RandomizedNonceKey::new(&AES_256_GCM, key.expose())
            .map(Self)
            .map_err(|_| KeysError::Cipher("prepare a key"))
    }

    /// Encrypts `text` in place; it opens only with the same `context`.
    pub(crate) fn seal(
        &self,
        context: &[u8],
        text: &mut [u8],
    ) -> Result<([u8; NONCE], [u8; TAG]), KeysError> {
        let failed = |_| KeysError::Cipher("seal");
        let (nonce, tag) = self.0.seal_in_place_separate_tag(Aad::from(context), text).map_err(failed)?;
        let tag = <[u8; TAG]>::try_from(tag.as_ref()).map_err(|_| KeysError::Cipher("seal"))?;
        Ok((*nonce.as_ref(), tag))
    }

    /// Decrypts `sealed`, ciphertext and tag, in place; what comes before the tag is the text then.
    pub(crate) fn open(&self, nonce: [u8; NONCE], context: &[u8], sealed: &mut [u8]) -> Result<(), Forged> {
        self.0
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(context), sealed)
            .map(|_| ())
            .map_err(|_| Forged)
    }
}

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
