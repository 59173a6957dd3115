use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Bytes of the blocks behind a map.
fn room<K, V>(map: &CompactMap<K, V>) -> usize {
    let entries: usize = map.chunks.iter().map(Vec::capacity).sum();
    let numbers: usize = map.tables.iter().map(HashTable::allocation_size).sum();
    entries * size_of::<(K, V)>() + numbers
}

#[test]
fn it_takes_little_more_room_than_its_entries_whatever_their_number() {
    let mut map = CompactMap::<[u8; 8], [u8; 8]>::new();
    assert_eq!(room(&map), 0);
    for n in 0..100_000_u64 {
        map.insert(n.to_le_bytes(), n.to_le_bytes());
        if n % 1_000 == 999 {
            let most = (16 + 12) * map.len() + 16 * CHUNK;
            assert!(room(&map) < most, "{} bytes for {} entries", room(&map), map.len());
        }
    }
    let largest = map.tables.iter().map(HashTable::len).max();
    assert!(largest < Some(3 * FULL), "a table of {largest:?}");
}

#[test]
fn it_gives_its_room_back() {
    let mut map = CompactMap::new();
    (0..100_000_u64).for_each(|n| assert_eq!(map.insert(n, n + 1), None));
    (0..99_990).for_each(|n| assert_eq!(map.remove(&n), Some(n + 1)));
    assert!((1..10_000).contains(&room(&map)), "{} bytes for {} entries", room(&map), map.len());
    assert_eq!(map.iter().map(|(key, _)| key).min(), Some(99_990));
}

#[test]
fn small_maps_are_small() {
    let mut map = CompactMap::new();
    map.insert([1_u8; 20], [0_u8; 10]);
    assert!(room(&map) < 80, "{}", room(&map));
}

#[test]
fn the_last_table_came_from_its_partner() {
    let partners = (1..=9).map(|count| {
        CompactMap::<u64, u64> { chunks: Vec::new(), tables: vec![HashTable::new(); count] }.partner()
    });
    let expected = [None, Some(0), Some(0), Some(1), Some(0), Some(1), Some(2), Some(3), Some(0)];
    assert!(partners.eq(expected));
}

proptest! {
    #[test]
    fn it_is_a_map(
        first in 0..6_000_u64,
        changes in proptest::collection::vec((0..8_000_u64, any::<Option<u32>>()), 0..4_000),
        gone in 0..8_000_u64,
    ) {
        let (mut map, mut expected) = (CompactMap::new(), HashMap::new());
        let changes = (0..first).map(|key| (key, Some(7))).chain(changes).chain((0..gone).map(|key| (key, None)));
        for (key, value) in changes {
            match value {
                Some(value) => prop_assert_eq!(map.insert(key, value), expected.insert(key, value)),
                None => prop_assert_eq!(map.remove(&key), expected.remove(&key)),
            }
            prop_assert_eq!(map.len(), expected.len());
        }
        prop_assert_eq!(map.is_empty(), expected.is_empty());
        for key in 0..8_000 {
            prop_assert_eq!(map.get(&key), expected.get(&key).copied());
        }
        prop_assert_eq!(map.iter().collect::<HashMap<_, _>>(), expected.clone());
        let mut again = CompactMap::new();
        again.extend(expected);
        prop_assert_eq!(again, map);
    }
}
