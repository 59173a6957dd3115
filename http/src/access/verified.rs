//! Credentials that were verified a moment ago, so that a signature is checked once a token and not once a request.
//!
//! Only what is valid gets in, under a hash of the credential: who fills memory with rubbish fills nothing here, and
//! who reads this memory finds no credential.

use quick_cache::sync::Cache;

/// What a credential is looked up by: its BLAKE3 hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Fingerprint(blake3::Hash);

impl Fingerprint {
    /// The fingerprint of a token or an API key.
    pub(crate) fn of(credential: &[u8]) -> Self {
        Self(blake3::hash(credential))
    }

    /// The hash itself, which compares in constant time.
    pub(crate) fn digest(&self) -> blake3::Hash {
        self.0
    }
}

/// What was found out about credentials. At its capacity those are forgotten first that nobody uses.
pub(crate) struct Verified<V> {
    cache: Cache<Fingerprint, Entry<V>>,
}

#[derive(Clone)]
struct Entry<V> {
    value: V,
    expires_at_ms: u64,
}

impl<V: Clone> Verified<V> {
    /// Room for `capacity` credentials.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { cache: Cache::new(capacity) }
    }

    /// What is known, unless it has expired by `now_ms`.
    pub(crate) fn get(&self, credential: &Fingerprint, now_ms: u64) -> Option<V> {
        let entry = self.cache.get(credential)?;
        if entry.expires_at_ms > now_ms {
            return Some(entry.value);
        }
        // Another thread may have put a newer one there meanwhile.
        self.cache.remove_if(credential, |entry| entry.expires_at_ms <= now_ms);
        None
    }

    /// Remembers until `expires_at_ms`.
    pub(crate) fn insert(&self, credential: Fingerprint, value: V, expires_at_ms: u64) {
        self.cache.insert(credential, Entry { value, expires_at_ms });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_expired_is_not_known_and_not_kept() {
        let verified = Verified::with_capacity(10);
        let token = Fingerprint::of(b"token");
        verified.insert(token, 7, 1000);
        assert_eq!(verified.get(&token, 999), Some(7));
        assert_eq!(verified.get(&Fingerprint::of(b"tokem"), 0), None);
        assert_eq!(verified.get(&token, 1000), None);
        assert!(verified.cache.is_empty());
    }

    #[test]
    fn the_newer_entry_counts() {
        let verified = Verified::with_capacity(10);
        let token = Fingerprint::of(b"token");
        verified.insert(token, 7, 1000);
        verified.insert(token, 8, 2000);
        assert_eq!(verified.get(&token, 1500), Some(8));
    }

    #[test]
    fn it_never_holds_more_than_its_capacity() {
        let verified = Verified::with_capacity(100);
        for number in 0..10_000_u32 {
            verified.insert(Fingerprint::of(&number.to_le_bytes()), number, 1);
        }
        assert!((1..=100).contains(&verified.cache.len()), "{}", verified.cache.len());
    }
}
