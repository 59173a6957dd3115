//! Where every newest state lies: millions of entries that are added and changed and never removed.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::usage::Location;
use crate::store::EntityKey;

/// Entries of a chunk. Chunks are full but for the last: a vector or a table of the entries themselves would have a
/// third of its room empty, and twice as much while it grows.
const CHUNK: usize = 1 << 12;

/// Tables of numbers: each grows by itself, which moves few enough numbers that nobody waits for it.
const TABLES: usize = 256;

/// A location with its key as it is kept: 37 bytes, where its numbers one beside the other would take 48. Packs and
/// sequences have six bytes of their eight, which a million a second fill in nine years.
#[derive(Debug, Clone, Copy)]
struct Kept {
    key: EntityKey,
    location: [u8; 20],
}

impl Kept {
    fn new(key: EntityKey, Location { pack, covers, offset, length }: Location) -> Self {
        let mut location = [0; 20];
        location[..6].copy_from_slice(&pack.to_le_bytes()[..6]);
        location[6..12].copy_from_slice(&covers.to_le_bytes()[..6]);
        location[12..16].copy_from_slice(&offset.to_le_bytes());
        location[16..].copy_from_slice(&length.to_le_bytes());
        Self { key, location }
    }

    fn location(&self) -> Location {
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Location {
            pack: number(&self.location[..6]),
            covers: number(&self.location[6..12]),
            offset: number(&self.location[12..16]) as u32,
            length: number(&self.location[16..]) as u32,
        }
    }
}

/// A map from entities to locations: the entries in the order of their coming, and tables of their numbers. Some 46
/// bytes an entry.
pub(super) struct Places {
    chunks: Vec<Vec<Kept>>,
    tables: Box<[HashTable<u32>]>,
}

impl Default for Places {
    fn default() -> Self {
        Self { chunks: Vec::new(), tables: (0..TABLES).map(|_| HashTable::new()).collect() }
    }
}

impl Places {
    pub(super) fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, full)) => full.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    pub(super) fn get(&self, key: &EntityKey) -> Option<Location> {
        let hash = hash(key);
        let number = self.tables[table_of(hash)].find(hash, |number| self.at(*number).key == *key)?;
        Some(self.at(*number).location())
    }

    /// Adds or replaces an entry, and returns what was there.
    pub(super) fn insert(&mut self, key: EntityKey, location: Location) -> Option<Location> {
        let hash = hash(&key);
        let chunks = &self.chunks;
        let table = &mut self.tables[table_of(hash)];
        if let Some(number) = table.find(hash, |number| at(chunks, *number).key == key) {
            let number = *number as usize;
            let kept = &mut self.chunks[number / CHUNK][number % CHUNK];
            let old = kept.location();
            *kept = Kept::new(key, location);
            return Some(old);
        }
        let number = self.len() as u32;
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[number as usize / CHUNK].push(Kept::new(key, location));
        let chunks = &self.chunks;
        self.tables[table_of(hash)]
            .insert_unique(hash, number, |number| self::hash(&at(chunks, *number).key));
        None
    }

    fn at(&self, number: u32) -> &Kept {
        at(&self.chunks, number)
    }
}

fn at(chunks: &[Vec<Kept>], number: u32) -> &Kept {
    &chunks[number as usize / CHUNK][number as usize % CHUNK]
}

fn hash(key: &EntityKey) -> u64 {
    FxBuildHasher.hash_one(key)
}

/// By bits that the tables themselves do not look at: they take the highest seven and as many of the lowest as they
/// need.
fn table_of(hash: u64) -> usize {
    (hash >> 48) as usize % TABLES
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn key(number: u32) -> EntityKey {
        std::array::from_fn(|at| (number.wrapping_mul(2_654_435_761).rotate_left(at as u32 * 5)) as u8)
    }

    fn location(number: u64) -> Location {
        Location { pack: number, covers: number * 3, offset: number as u32, length: 7 }
    }

    #[test]
    fn a_location_is_kept_as_it_is() {
        for location in [
            Location { pack: 0, covers: 0, offset: 0, length: 0 },
            Location { pack: (1 << 48) - 1, covers: 1, offset: 2, length: 3 },
            Location { pack: 1, covers: (1 << 48) - 2, offset: u32::MAX, length: u32::MAX - 1 },
        ] {
            assert_eq!(Kept::new(key(1), location).location(), location);
        }
        assert_eq!(size_of::<Kept>(), 37);
    }

    #[test]
    fn tables_share_what_there_is() {
        let mut places = Places::default();
        let many = 100_000;
        (0..many).for_each(|n| assert_eq!(places.insert(key(n), location(n.into())), None));
        assert_eq!(places.len(), many as usize);
        let fair = many as usize / TABLES;
        let largest = places.tables.iter().map(HashTable::len).max();
        assert!(largest < Some(2 * fair), "{largest:?} where {fair} would be fair");
    }

    proptest! {
        #[test]
        fn it_is_a_map(
            first in 0..3 * CHUNK as u32,
            changes in proptest::collection::vec((0..4 * CHUNK as u32, any::<u32>()), 0..2 * CHUNK),
        ) {
            let (mut places, mut expected) = (Places::default(), HashMap::new());
            for (n, value) in (0..first).map(|n| (n, n)).chain(changes) {
                let value = location(value.into());
                prop_assert_eq!(places.insert(key(n), value), expected.insert(key(n), value));
            }
            prop_assert_eq!(places.len(), expected.len());
            for n in 0..4 * CHUNK as u32 {
                prop_assert_eq!(places.get(&key(n)), expected.get(&key(n)).copied());
            }
        }
    }
}
