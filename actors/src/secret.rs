//! What proves who somebody is, in the form in which it may be stored. `Debug` shows none of it.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// A hashed password: a PHC string, which says how it was hashed.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Password(Box<str>);

impl Password {
    /// From a PHC string. The domain does not look into it.
    #[must_use]
    pub fn new(phc: impl Into<Box<str>>) -> Self {
        Self(phc.into())
    }

    /// The PHC string.
    #[must_use]
    pub fn phc(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// The hash of a secret that was drawn at random: 256 bits, so that it needs no salt. Two are compared in a
/// time that does not depend on where they differ.
#[derive(Clone, Copy, Eq, Serialize, Deserialize)]
pub struct SecretHash(pub [u8; 32]);

impl PartialEq for SecretHash {
    fn eq(&self, other: &Self) -> bool {
        blake3::Hash::from_bytes(self.0) == blake3::Hash::from_bytes(other.0)
    }
}

impl Hash for SecretHash {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let (password, secret) =
            (Password::new("$argon2id$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA"), SecretHash([7; 32]));
        assert_eq!(format!("{password:?} {secret:?}"), "Password SecretHash");
    }

    #[test]
    fn secrets_are_equal_in_every_byte_or_not() {
        let mut other = [7; 32];
        assert_eq!(SecretHash(other), SecretHash([7; 32]));
        other[31] = 8;
        assert_ne!(SecretHash(other), SecretHash([7; 32]));
    }
}
