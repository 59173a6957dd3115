//! What the store keeps in memory: where every newest state lies, and how much of each pack is still needed.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::pack::{BLOCK_HEADER, Entry};
use super::places::Places;
use crate::{journal::Sequence, store::EntityKey};

/// A pack is worth moving when less than this part of it lives.
const SPARSE_DIVISOR: u64 = 3;

/// Where a state lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) pack: u64,
    pub(super) covers: Sequence,
    pub(super) offset: u32,
    pub(super) length: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct PackUse {
    parts: u32,
    bytes: u64,
    live: u32,
    live_bytes: u64,
}

/// Newest states and packs.
#[derive(Default)]
pub(super) struct Usage {
    entries: Places,
    packs: FxHashMap<u64, PackUse>,
    sparse: BTreeSet<u64>,
    /// Packs without a living state, and their parts.
    dead: Vec<(u64, u32)>,
}

impl Usage {
    pub(super) fn get(&self, key: &EntityKey) -> Option<Location> {
        self.entries.get(key)
    }

    pub(super) fn entities(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn packs(&self) -> usize {
        self.packs.len()
    }

    /// Number of parts of a pack, 0 if it is gone.
    pub(super) fn parts(&self, pack: u64) -> u32 {
        self.packs.get(&pack).map_or(0, |found| found.parts)
    }

    /// Whether a snapshot that covers `covers` is older than the one that is stored.
    pub(super) fn is_stale(&self, key: &EntityKey, covers: Sequence) -> bool {
        self.get(key).is_some_and(|found| found.covers > covers)
    }

    /// Whether the entry of `pack` is the newest of its entity.
    pub(super) fn is_newest(&self, pack: u64, entry: &Entry<'_>) -> bool {
        self.get(&entry.key).is_some_and(|found| found.pack == pack && found.offset == entry.offset)
    }

    /// Adds a pack before its entries.
    pub(super) fn begin_pack(&mut self, pack: u64, parts: u32, bytes: u64) {
        self.packs.insert(pack, PackUse { parts, bytes, ..PackUse::default() });
    }

    /// Adds an entry of the newest pack. The newest `covers` wins, at equal ones the later entry.
    pub(super) fn add(&mut self, key: EntityKey, location: Location) {
        if self.is_stale(&key, location.covers) {
            return;
        }
        if let Some(found) = self.packs.get_mut(&location.pack) {
            found.live += 1;
            found.live_bytes += block_bytes(&location);
        }
        if let Some(old) = self.entries.insert(key, location) {
            self.supersede(&old);
        }
    }

    /// Ends the newest pack: nothing of it may live.
    pub(super) fn end_pack(&mut self, pack: u64) {
        self.settle(pack);
    }

    fn supersede(&mut self, old: &Location) {
        if let Some(found) = self.packs.get_mut(&old.pack) {
            found.live -= 1;
            found.live_bytes -= block_bytes(old);
        }
        self.settle(old.pack);
    }

    /// Files a pack under dead or sparse as its use demands.
    fn settle(&mut self, pack: u64) {
        let Some(found) = self.packs.get(&pack) else { return };
        if found.live == 0 {
            self.dead.push((pack, found.parts));
            self.packs.remove(&pack);
            self.sparse.remove(&pack);
        } else if found.live_bytes * SPARSE_DIVISOR < found.bytes {
            self.sparse.insert(pack);
        } else {
            self.sparse.remove(&pack);
        }
    }

    /// Sparse packs, oldest first, with at most `bytes` living bytes together, but at least one.
    pub(super) fn sparse(&self, bytes: u64) -> Vec<u64> {
        let mut living = 0;
        let within = |pack: &&u64| {
            let first = living == 0;
            living += self.packs.get(pack).map_or(0, |found| found.live_bytes);
            first || living <= bytes
        };
        self.sparse.iter().take_while(within).copied().collect()
    }

    /// Dead packs that were not taken yet.
    pub(super) fn take_dead(&mut self) -> Vec<(u64, u32)> {
        std::mem::take(&mut self.dead)
    }
}

fn block_bytes(location: &Location) -> u64 {
    BLOCK_HEADER as u64 + u64::from(location.length)
}
