//! Millions of ids in the order of their times, each with a byte, in little more room than they need.

use relampago_actors::{Id, Millis};

/// Entries of a full chunk: an insertion moves half of one at most, as a rule the few behind the newest.
const CHUNK: usize = 512;

/// A time and an id, as bytes that sort as the two do: neither asks for an alignment, so none is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key([u8; 24]);

impl Key {
    pub(super) fn new(at: Millis, id: Id) -> Self {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&at.to_be_bytes());
        bytes[8..].copy_from_slice(&id.0.to_be_bytes());
        Self(bytes)
    }

    pub(super) fn parts(self) -> (Millis, Id) {
        let (at, id) = self.0.split_at(8);
        let at = at.iter().fold(0, |at, byte| at << 8 | Millis::from(*byte));
        (at, Id(id.iter().fold(0, |id, byte| id << 8 | u128::from(*byte))))
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    key: Key,
    value: u8,
}

/// A sorted map, 25 bytes an entry where keys come in their order.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// Sorted, none of them empty.
    chunks: Vec<Vec<Entry>>,
    len: usize,
}

impl Timeline {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn get(&self, key: Key) -> Option<u8> {
        let chunk = &self.chunks[self.chunk_of(key)?];
        let found = chunk.binary_search_by_key(&key, |entry| entry.key).ok()?;
        Some(chunk[found].value)
    }

    /// Adds an entry, or gives the one that is there another value.
    pub(super) fn insert(&mut self, key: Key, value: u8) {
        let Some(at) = self.chunk_of(key) else {
            self.begin_chunk(0, Entry { key, value });
            return;
        };
        let chunk = &mut self.chunks[at];
        let place = match chunk.binary_search_by_key(&key, |entry| entry.key) {
            Ok(found) => {
                chunk[found].value = value;
                return;
            }
            Err(place) => place,
        };
        if chunk.len() < CHUNK {
            chunk.insert(place, Entry { key, value });
            self.len += 1;
        } else if place == CHUNK {
            // Behind a full chunk, as nearly always: it stays full.
            self.begin_chunk(at + 1, Entry { key, value });
        } else {
            let mut upper = Vec::with_capacity(CHUNK);
            upper.extend(chunk.drain(CHUNK / 2..));
            self.chunks.insert(at + 1, upper);
            self.insert(key, value);
        }
    }

    /// Keys below `end`, or all, from the last one on.
    pub(super) fn newest_first(&self, end: Option<Key>) -> impl Iterator<Item = (Key, u8)> + '_ {
        let is_below = move |key: Key| end.is_none_or(|end| key < end);
        let chunks = self.chunks.partition_point(|chunk| is_below(chunk[0].key));
        self.chunks[..chunks].iter().rev().flat_map(move |chunk| {
            let entries = chunk.partition_point(|entry| is_below(entry.key));
            chunk[..entries].iter().rev().map(|entry| (entry.key, entry.value))
        })
    }

    /// The chunk where a key is or would be; `None` if there are none.
    fn chunk_of(&self, key: Key) -> Option<usize> {
        let behind = self.chunks.partition_point(|chunk| chunk[0].key <= key);
        (!self.chunks.is_empty()).then(|| behind.saturating_sub(1))
    }

    fn begin_chunk(&mut self, at: usize, first: Entry) {
        let mut chunk = Vec::with_capacity(CHUNK);
        chunk.push(first);
        self.chunks.insert(at, chunk);
        self.len += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn key(n: u64) -> Key {
        Key::new(n / 4, Id(u128::from(n % 4) << 100))
    }

    #[test]
    fn a_key_is_a_time_and_an_id_and_sorts_as_they_do() {
        let parts = [(0, Id(7)), (1, Id(0)), (1, Id(u128::MAX)), (256, Id(1)), (Millis::MAX, Id(2))];
        let keys = parts.map(|(at, id)| Key::new(at, id));
        assert!(keys.is_sorted());
        assert_eq!(keys.map(Key::parts), parts);
    }

    #[test]
    fn what_comes_in_order_fills_its_chunks() {
        let mut timeline = Timeline::default();
        (0..10 * CHUNK as u64).for_each(|n| timeline.insert(key(n), 0));
        assert_eq!((timeline.chunks.len(), timeline.len()), (10, 10 * CHUNK));
    }

    proptest! {
        #[test]
        fn it_is_a_sorted_map(
            sorted in 0..3 * CHUNK as u64,
            mixed in vec((0..8 * CHUNK as u64, any::<u8>()), 0..2 * CHUNK),
            end in 0..8 * CHUNK as u64,
        ) {
            let mut timeline = Timeline::default();
            let mut expected = BTreeMap::new();
            for (n, value) in (0..sorted).map(|n| (2 * n, 0)).chain(mixed) {
                timeline.insert(key(n), value);
                expected.insert(key(n), value);
            }
            prop_assert_eq!(timeline.len(), expected.len());
            for n in 0..8 * CHUNK as u64 {
                prop_assert_eq!(timeline.get(key(n)), expected.get(&key(n)).copied());
            }
            let all: Vec<_> = expected.iter().rev().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(timeline.newest_first(None).collect::<Vec<_>>(), all);
            let below: Vec<_> = expected.range(..key(end)).rev().map(|(key, value)| (*key, *value)).collect();
            prop_assert_eq!(timeline.newest_first(Some(key(end))).collect::<Vec<_>>(), below);
        }
    }
}
