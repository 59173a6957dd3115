//! Personal data in an envelope.
//!
//! E-mail addresses, names, postal addresses and telephone numbers stand in events and snapshots only as
//! [`Personal`]: bytes under a key id. Key 0 means "as it is"; a later key id means encrypted under that
//! key, and erasing is destroying the key. So encryption needs no migration of what is stored.

use std::fmt;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

/// Personal data. `Debug` never shows it.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Personal {
    key: u32,
    bytes: Box<[u8]>,
}

impl Personal {
    /// Puts clear text into an envelope without encryption.
    #[must_use]
    pub fn clear(text: &str) -> Self {
        Self { key: 0, bytes: text.as_bytes().into() }
    }

    /// Puts what was encrypted under a key into an envelope.
    #[must_use]
    pub fn sealed(key: NonZeroU32, bytes: impl Into<Box<[u8]>>) -> Self {
        Self { key: key.get(), bytes: bytes.into() }
    }

    /// The id of the key it is encrypted under; 0 if it is not.
    #[must_use]
    pub const fn key(&self) -> u32 {
        self.key
    }

    /// What is in the envelope: the clear text's bytes under key 0, else what [`Personal::sealed`] was given.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The text, if it is not encrypted.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        (self.key == 0).then(|| std::str::from_utf8(&self.bytes).ok()).flatten()
    }
}

impl fmt::Debug for Personal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Personal(key {}, {} bytes)", self.key, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_never_shows_it() {
        let secret = Personal::clear("ana@example.com");
        assert_eq!(format!("{secret:?}"), "Personal(key 0, 15 bytes)");
        assert_eq!(secret.text(), Some("ana@example.com"));
    }

    #[test]
    fn what_is_sealed_has_no_text() {
        let sealed = Personal::sealed(NonZeroU32::MIN, *b"ciphertext");
        assert_eq!((sealed.key(), sealed.bytes(), sealed.text()), (1, b"ciphertext".as_slice(), None));
        assert_eq!(format!("{sealed:?}"), "Personal(key 1, 10 bytes)");
    }
}
