//! A map for what every sale adds to: millions of small entries in little more room than they need.

use std::fmt;
use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

/// Entries of a chunk. All are full but the last: a vector or a table of the entries themselves would have a third of
/// its room empty.
const CHUNK: usize = 512;

/// Entries of a table on average, when there is one more: as many as fill one of 1,024 slots.
const FULL: usize = 896;

/// A table that has become this small goes back into the one that it was split from.
const SPARSE: usize = FULL / 4;

/// A map of entries that are copied: their keys and values are best kept as bytes, which ask for no padding. It takes
/// the entries' own size and six to twelve bytes each.
///
/// The entries lie in the order of their coming, and tables of their numbers find them. The tables grow by linear
/// hashing: where one table would double, which at some millions stops its owner for a quarter of a second, here one
/// of many is split, which takes a tenth of a millisecond. All blocks are of a few sizes, so that little is lost between
/// them.
pub struct CompactMap<K, V> {
    chunks: Vec<Vec<(K, V)>>,
    tables: Vec<HashTable<u32>>,
}

impl<K: Copy + Eq + Hash, V: Copy> CompactMap<K, V> {
    /// A map without entries, which takes no room yet.
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), tables: Vec::new() }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        match self.chunks.split_last() {
            Some((last, full)) => full.len() * CHUNK + last.len(),
            None => 0,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// All entries, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (K, V)> {
        self.chunks.iter().flatten().copied()
    }

    /// What is kept under `key`.
    pub fn get(&self, key: &K) -> Option<V> {
        self.find(key, hash(key)).map(|number| at(&self.chunks, number).1)
    }

    /// Adds or replaces an entry, and returns what was there.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        let hash = hash(&key);
        if let Some(number) = self.find(&key, hash) {
            return Some(std::mem::replace(&mut at_mut(&mut self.chunks, number).1, value));
        }
        if self.len() >= self.tables.len() * FULL {
            self.split();
        }
        // There is no room for four thousand million of them anywhere.
        let number = self.len() as u32;
        self.push((key, value));
        let (table, chunks) = (self.table_of(hash), &self.chunks);
        self.tables[table].insert_unique(hash, number, |number| hash_at(chunks, *number));
        None
    }

    /// Takes an entry out. The last one takes its place.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let hash = hash(key);
        let number = self.find(key, hash)?;
        let last = self.len() as u32 - 1;
        self.number(hash, number)?.remove();
        if number != last {
            let hash = hash_at(&self.chunks, last);
            *self.number(hash, last)?.get_mut() = number;
        }
        let entry = self.pop()?;
        let (_, value) =
            if number == last { entry } else { std::mem::replace(at_mut(&mut self.chunks, number), entry) };
        if self.len() < self.tables.len().saturating_sub(1) * SPARSE {
            self.merge();
        }
        Some(value)
    }

    fn find(&self, key: &K, hash: u64) -> Option<u32> {
        let table = self.tables.get(self.table_of(hash))?;
        table.find(hash, |number| at(&self.chunks, *number).0 == *key).copied()
    }

    /// Where a number that is known stands among its table's.
    fn number(&mut self, hash: u64, number: u32) -> Option<hashbrown::hash_table::OccupiedEntry<'_, u32>> {
        let table = self.table_of(hash);
        self.tables.get_mut(table)?.find_entry(hash, |known| *known == number).ok()
    }

    fn push(&mut self, entry: (K, V)) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => {
                if last.len() == last.capacity() {
                    last.reserve_exact(last.len().min(CHUNK - last.len()).max(1));
                }
                last.push(entry);
            }
            last => {
                // The first grows as it has to: most maps are small.
                let mut chunk = Vec::with_capacity(if last.is_some() { CHUNK } else { 1 });
                chunk.push(entry);
                self.chunks.push(chunk);
            }
        }
    }

    fn pop(&mut self) -> Option<(K, V)> {
        let last = self.chunks.last_mut()?;
        let entry = last.pop();
        if last.is_empty() {
            self.chunks.pop();
        }
        entry
    }

    /// By as many bits of the hash as number the tables, and by one less where that table does not exist yet. The
    /// tables themselves look at the bits below and at the highest.
    fn table_of(&self, hash: u64) -> usize {
        let mask = self.tables.len().next_power_of_two() - 1;
        let at = (hash >> 12) as usize & mask;
        if at < self.tables.len() { at } else { at & (mask >> 1) }
    }

    /// The table that shares its numbers with the last one.
    fn partner(&self) -> Option<usize> {
        let last = self.tables.len() - 1;
        last.checked_ilog2().map(|highest| last - (1 << highest))
    }

    /// Adds a table and moves to it what belongs there.
    fn split(&mut self) {
        self.tables.push(HashTable::new());
        let Some(partner) = self.partner() else { return };
        let last = self.tables.len() - 1;
        let both = std::mem::take(&mut self.tables[partner]);
        let chunks = &self.chunks;
        let hashed = |number: u32| (hash_at(chunks, number), number);
        let (upper, lower): (Vec<_>, Vec<_>) =
            both.into_iter().map(hashed).partition(|(hash, _)| self.table_of(*hash) == last);
        for (at, numbers) in [(partner, lower), (last, upper)] {
            let mut table = HashTable::with_capacity(numbers.len());
            for (hash, number) in numbers {
                table.insert_unique(hash, number, |number| hash_at(chunks, *number));
            }
            self.tables[at] = table;
        }
    }

    /// Takes the last table away, once another one can take its numbers.
    fn merge(&mut self) {
        let Some(partner) = self.partner() else { return };
        let last = self.tables.pop().unwrap_or_default();
        let chunks = &self.chunks;
        let table = &mut self.tables[partner];
        for number in last {
            table.insert_unique(hash_at(chunks, number), number, |number| hash_at(chunks, *number));
        }
        table.shrink_to_fit(|number| hash_at(chunks, *number));
    }
}

fn at<K, V>(chunks: &[Vec<(K, V)>], number: u32) -> &(K, V) {
    &chunks[number as usize / CHUNK][number as usize % CHUNK]
}

fn at_mut<K, V>(chunks: &mut [Vec<(K, V)>], number: u32) -> &mut (K, V) {
    &mut chunks[number as usize / CHUNK][number as usize % CHUNK]
}

fn hash<K: Hash>(key: &K) -> u64 {
    FxBuildHasher.hash_one(key)
}

fn hash_at<K: Hash, V>(chunks: &[Vec<(K, V)>], number: u32) -> u64 {
    hash(&at(chunks, number).0)
}

impl<K: Copy + Eq + Hash, V: Copy> Default for CompactMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone, V: Clone> Clone for CompactMap<K, V> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone(), tables: self.tables.clone() }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Extend<(K, V)> for CompactMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Copy + Eq + Hash, V: Copy + PartialEq> PartialEq for CompactMap<K, V> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(key, value)| other.get(&key) == Some(value))
    }
}

impl<K: Copy + Eq + Hash + fmt::Debug, V: Copy + fmt::Debug> fmt::Debug for CompactMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;
