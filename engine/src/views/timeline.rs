//! Millions of ids in the order of their times, each with a byte, in little more room than they need.

use relampago_actors::{Id, Millis};

/// Entries of a full chunk: an insertion moves half of one at most, as a rule the few behind the newest.
const CHUNK: usize = 512;

/// A chunk that was thought to be settled is given room for so many entries.
const GROWN_BY: usize = 32;

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
            let mut first = Vec::with_capacity(CHUNK);
            first.push(Entry { key, value });
            self.chunks.push(first);
            self.len = 1;
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
        self.len += 1;
        if chunk.len() < CHUNK {
            make_room(chunk);
            chunk.insert(place, Entry { key, value });
            return;
        }
        if place == CHUNK
            && let Some(next) = self.chunks.get_mut(at + 1).filter(|next| next.len() < CHUNK)
        {
            make_room(next);
            next.insert(0, Entry { key, value });
            return;
        }
        let is_last = at + 1 == self.chunks.len();
        let chunk = &mut self.chunks[at];
        // New keys come near the end of the last chunk: what is in front of them stays together. Elsewhere a chunk
        // is halved, so that both halves have room.
        let from = if is_last { place.max(CHUNK / 2) } else { CHUNK / 2 };
        let mut upper = Vec::with_capacity(CHUNK);
        upper.extend(chunk.drain(from..));
        if place < from || (is_last && chunk.len() < CHUNK) {
            chunk.insert(place, Entry { key, value });
        } else {
            upper.insert(place - from, Entry { key, value });
        }
        self.chunks.insert(at + 1, upper);
        // What comes a little late may still go into the chunk before the last. Those in front of it keep no room.
        if let Some(settled) = at.checked_sub(1).filter(|_| is_last) {
            self.chunks[settled].shrink_to_fit();
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
}

/// For one entry more: doubling would leave a third of all chunks empty.
fn make_room(chunk: &mut Vec<Entry>) {
    if chunk.len() == chunk.capacity() {
        chunk.reserve_exact((CHUNK - chunk.len()).min(GROWN_BY));
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
    fn what_comes_about_in_order_fills_its_chunks() {
        for out_of_order in [1, 2, 40, 300] {
            let mut timeline = Timeline::default();
            // Every so many in reverse.
            let numbers = (0..20 * CHUNK as u64)
                .map(|n| n / out_of_order * out_of_order + out_of_order - 1 - n % out_of_order);
            numbers.for_each(|n| timeline.insert(key(n), 0));
            assert!(timeline.chunks.len() <= 24, "{} chunks", timeline.chunks.len());
            assert!(timeline.len() >= 20 * CHUNK);
            let room: usize = timeline.chunks.iter().map(Vec::capacity).sum();
            assert!(room <= timeline.len() + 2 * CHUNK, "room for {room}");
        }
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
