//! The identity of a data folder: which journal it holds, since when, and the secret that derives its ids.

use std::{fs, io, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    StorageError,
    codec::{CodecError, Stored, decode_payload},
    disk::Disk,
};

const FILE: &str = "identity";

/// Whose presence says that a journal was begun here.
const JOURNAL_FILES: [&str; 3] = ["journal.mark", "journal", "wal"];

/// The identity record, version 2. The file `identity` holds it with its checksum behind it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Ties all files of the journal together.
    pub journal_id: [u8; 16],
    /// When the folder was created, milliseconds since 1970.
    pub created_ms: u64,
    /// Key of derived ids; given by the caller.
    pub shop_secret: [u8; 32],
}

/// Version 1 counted in seconds.
#[derive(Serialize, Deserialize)]
struct IdentityV1 {
    journal_id: [u8; 16],
    created_s: u64,
    shop_secret: [u8; 32],
}

impl std::fmt::Debug for Identity {
    /// Leaves the secret out.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("journal_id", &self.journal_id)
            .field("created_ms", &self.created_ms)
            .finish_non_exhaustive()
    }
}

impl Stored for Identity {
    const TYPE: u16 = 1;
    const VERSION: u16 = 2;

    fn upcast(version: u16, payload: &[u8]) -> Result<Self, CodecError> {
        match version {
            1 => {
                let IdentityV1 { journal_id, created_s, shop_secret } = decode_payload(payload)?;
                Ok(Self { journal_id, created_ms: created_s.saturating_mul(1000), shop_secret })
            }
            _ => Err(CodecError::UnknownVersion { id: Self::TYPE, version }),
        }
    }
}

impl Identity {
    /// Reads the identity of the data folder `dir`, or stores what `fresh` gives if the folder is new.
    ///
    /// # Errors
    /// [`StorageError::IdentityMissing`] if journal files exist without an identity,
    /// [`StorageError::Codec`] if the file is damaged or newer than this program.
    pub fn load_or_create(dir: &Path, fresh: impl FnOnce() -> Self) -> Result<Self, StorageError> {
        if let Some(identity) = Self::read(dir)? {
            return Ok(identity);
        }
        let identity = fresh();
        identity.store_in(dir)?;
        Ok(identity)
    }

    /// Stores it as the identity of the data folder `dir`.
    pub(crate) fn store_in(&self, dir: &Path) -> Result<(), StorageError> {
        let path = dir.join(FILE);
        let bytes = self.encode().map_err(unreadable(&path))?;
        let disk = Disk::default();
        disk.create_folder(dir)?;
        disk.write_whole(&path, &[&bytes])
    }

    /// Reads the identity of the data folder `dir`; `None` if nothing was begun there.
    ///
    /// # Errors
    /// As [`Identity::load_or_create`].
    pub fn read(dir: &Path) -> Result<Option<Self>, StorageError> {
        let path = dir.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => decode(&bytes).map(Some).map_err(unreadable(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if JOURNAL_FILES.iter().any(|name| dir.join(name).exists()) {
                    return Err(StorageError::IdentityMissing { path });
                }
                Ok(None)
            }
            Err(error) => Err(StorageError::io("read", path)(error)),
        }
    }

    fn encode(&self) -> Result<Vec<u8>, CodecError> {
        let mut bytes = Vec::new();
        self.store(&mut bytes)?;
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }
}

fn unreadable(path: &Path) -> impl Fn(CodecError) -> StorageError {
    move |source| StorageError::Codec { file: path.to_owned(), source: Arc::new(source) }
}

fn decode(bytes: &[u8]) -> Result<Identity, CodecError> {
    let (record, checksum) = bytes.split_last_chunk::<4>().ok_or(CodecError::Short(bytes.len()))?;
    if crc32fast::hash(record) != u32::from_le_bytes(*checksum) {
        return Err(CodecError::Checksum);
    }
    Identity::load(record)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn example() -> Identity {
        Identity { journal_id: [0xaa; 16], created_ms: 61_000, shop_secret: [0xbb; 32] }
    }

    #[test]
    fn golden_bytes() {
        let mut golden = vec![1, 1, 0, 2, 0];
        golden.extend([0xaa; 16]);
        golden.extend([251, 0x48, 0xee]); // 61,000 as a u16
        golden.extend([0xbb; 32]);
        golden.extend(crc32fast::hash(&golden).to_le_bytes());
        assert_eq!(example().encode().unwrap(), golden);
        assert_eq!(decode(&golden).unwrap(), example());
    }

    #[test]
    fn version_one_is_read_as_version_two() {
        let mut record = vec![1, 1, 0, 1, 0];
        record.extend([0xaa; 16]);
        record.push(61); // seconds
        record.extend([0xbb; 32]);
        assert_eq!(Identity::load(&record).unwrap(), example());
        record[3] = 3;
        assert!(matches!(Identity::load(&record), Err(CodecError::UnknownVersion { id: 1, version: 3 })));
    }

    #[test]
    fn is_created_once_and_refuses_damage() {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("data");
        assert_eq!(Identity::load_or_create(&dir, example).unwrap(), example());
        let again = Identity::load_or_create(&dir, || panic!("there is one already")).unwrap();
        assert_eq!(again, example());

        let path = dir.join(FILE);
        let whole = fs::read(&path).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(&path, bytes).unwrap();
            let error = Identity::load_or_create(&dir, example).unwrap_err();
            assert!(matches!(error, StorageError::Codec { .. }), "bit {bit}: {error}");
        }
    }

    #[test]
    fn no_new_identity_for_an_old_journal() {
        for name in JOURNAL_FILES {
            let scratch = tempfile::tempdir().unwrap();
            fs::write(scratch.path().join(name), b"").unwrap();
            let error = Identity::load_or_create(scratch.path(), example).unwrap_err();
            assert!(matches!(error, StorageError::IdentityMissing { .. }));
        }
    }

    #[test]
    fn the_secret_is_not_printed() {
        assert!(!format!("{:?}", example()).contains("187"));
    }
}
