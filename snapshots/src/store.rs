//! The snapshot store: the newest state of every entity at a sequence.
//!
//! [`DiskStore`] packs many states into one sled value, with the small index entries of a pack in a value of
//! their own, so that starting reads no states.

mod disk;
pub(crate) mod pack;
mod places;
mod start;
mod usage;

use std::path::PathBuf;

pub use disk::DiskStore;
#[cfg(test)]
pub(crate) use pack::dead_index;

use crate::{StorageError, journal::Sequence};

/// One kind byte and the sixteen bytes of the entity's id.
pub type EntityKey = [u8; 17];

/// Largest `index` of a [`SnapshotRecord`], bytes.
pub const MAX_INDEX_BYTES: usize = 128;

/// Largest `state` of a [`SnapshotRecord`], bytes.
pub const MAX_STATE_BYTES: usize = 1 << 30;

/// A state to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SnapshotRecord {
    /// The entity.
    pub key: EntityKey,
    /// The state holds every event of the entity up to this sequence.
    pub covers: Sequence,
    /// What a start must know without reading the state; at most [`MAX_INDEX_BYTES`].
    pub index: Vec<u8>,
    /// The state.
    pub state: Vec<u8>,
}

impl SnapshotRecord {
    /// Refuses what has no place in a pack.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        let problem = if self.covers >> 48 != 0 {
            "it covers more events than can be counted"
        } else if self.index.len() > MAX_INDEX_BYTES {
            "its index has more than 128 bytes"
        } else if self.state.len() > MAX_STATE_BYTES {
            "its state has more than 1 GiB"
        } else {
            return Ok(());
        };
        Err(StorageError::BadSnapshot { key: self.key.to_vec(), problem })
    }
}

/// A stored state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state holds every event of the entity up to this sequence.
    pub covers: Sequence,
    /// The state.
    pub state: Vec<u8>,
}

/// What a scan calls for every entity: its key, the sequence its snapshot covers, its index bytes.
pub type ScanVisit<'a> = &'a mut dyn FnMut(&EntityKey, Sequence, &[u8]);

/// The newest snapshot of every entity.
pub trait SnapshotStore: Send + Sync {
    /// Stores many states; durable when it returns. The newest `covers` of a key wins; at equal `covers` the
    /// later record does. The caller guarantees that the journal is durable to every `covers`. After an error
    /// the store is poisoned and every later put fails with it.
    fn put(&self, records: Vec<SnapshotRecord>) -> Result<(), StorageError>;

    /// Notes, durably, that the journal is about to be cut below `below`: what lies there stands in snapshots alone
    /// from then on. An error poisons the store.
    fn note_cut(&self, below: Sequence) -> Result<(), StorageError>;

    /// Refuses a journal that begins at `first` if it was cut after everything that this store knows of: then the
    /// store is an older copy, or was emptied.
    fn check_cut(&self, first: Sequence) -> Result<(), StorageError>;

    /// Notes, durably, that the keys that states and events are sealed with were changed so many times: a copy of them
    /// with fewer changes is an older one. It does nothing if that is known. An error poisons the store.
    fn note_keys(&self, changes: u64) -> Result<(), StorageError>;

    /// The changes of the keys that were noted last; 0 if none were.
    fn keys_noted(&self) -> u64;

    /// Whether there is a snapshot of an entity. Asks the index in memory alone.
    fn holds(&self, key: &EntityKey) -> bool;

    /// The newest snapshot of one entity.
    fn get(&self, key: &EntityKey) -> Result<Option<Snapshot>, StorageError>;

    /// Visits every newest snapshot once, in no particular order, without reading the states.
    fn scan(&self, visit: ScanVisit<'_>) -> Result<(), StorageError>;

    /// Counters since the store was opened.
    fn stats(&self) -> StoreStats;

    /// Makes everything durable and refuses later puts. Repeating it does nothing.
    fn close(&self) -> Result<(), StorageError>;
}

/// How to open a [`DiskStore`].
#[derive(Debug, Clone)]
pub struct StoreOptions {
    /// The data folder.
    pub dir: PathBuf,
    /// Segment size of sled, a power of two from 64 KiB to 16 MiB, fixed at creation. 8 MiB is a good size.
    pub sled_segment_bytes: usize,
    /// Page cache of sled, a soft limit.
    pub cache_bytes: u64,
}

/// Counters of a snapshot store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Entities with a snapshot.
    pub entities: u64,
    /// Packs that hold at least one newest state.
    pub packs: u64,
    /// Bytes handed to sled since the store was opened.
    pub written_bytes: u64,
    /// Calls of `put` since the store was opened.
    pub puts: u64,
    /// Mostly dead packs whose live states were moved since the store was opened.
    pub compactions: u64,
}
