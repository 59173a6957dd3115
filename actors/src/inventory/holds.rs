//! Units that are held for orders: the one part of an inventory that grows with every sale.

use std::fmt;
use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Hold;
use crate::address::Id;
use crate::entity::Millis;

/// What is held by one [`Hold`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) quantity: u32,
    /// Until when nobody opens the reservation again, ms.
    pub(super) valid_until: Millis,
}

/// Entries of at most this number are made room for before they are read: more has to be seen first.
const MOST_EXPECTED: usize = 1 << 16;

/// All that is held. 33 bytes an order, where ids as numbers would ask for 49: they are kept in pieces, which need no
/// padding. Stored as a map from [`Hold`] to [`Held`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Holds(FxHashMap<Key, Units>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    order: [u32; 4],
    attempt: u32,
}

/// Ids are hashes already: half of one is enough.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [low, high, ..] = self.order;
        state.write_u64(u64::from(high) << 32 | u64::from(low));
        state.write_u32(self.attempt);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Units {
    quantity: u32,
    valid_until: [u32; 2],
}

impl From<Hold> for Key {
    fn from(Hold { order, attempt }: Hold) -> Self {
        Self { order: [0, 32, 64, 96].map(|shift| (order.0 >> shift) as u32), attempt }
    }
}

impl From<Key> for Hold {
    fn from(Key { order, attempt }: Key) -> Self {
        let order = order.iter().rev().fold(0, |id, part| id << 32 | u128::from(*part));
        Self { order: Id(order), attempt }
    }
}

impl From<Held> for Units {
    fn from(Held { quantity, valid_until }: Held) -> Self {
        Self { quantity, valid_until: [valid_until as u32, (valid_until >> 32) as u32] }
    }
}

impl From<Units> for Held {
    fn from(Units { quantity, valid_until: [low, high] }: Units) -> Self {
        Self { quantity, valid_until: u64::from(high) << 32 | u64::from(low) }
    }
}

impl Holds {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All that is held, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Hold, Held)> {
        self.0.iter().map(|(key, units)| (Hold::from(*key), Held::from(*units)))
    }

    pub(super) fn contains(&self, hold: Hold) -> bool {
        self.0.contains_key(&hold.into())
    }

    pub(super) fn insert(&mut self, hold: Hold, held: Held) {
        self.0.insert(hold.into(), held.into());
    }

    pub(super) fn remove(&mut self, hold: Hold) -> Option<Held> {
        self.0.remove(&hold.into()).map(Held::from)
    }
}

impl Serialize for Holds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, units)| (Hold::from(*key), Held::from(*units))))
    }
}

impl<'de> Deserialize<'de> for Holds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Holds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map from reservations to units")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Holds, A::Error> {
                let expected = entries.size_hint().unwrap_or(0).min(MOST_EXPECTED);
                let mut holds = Holds(FxHashMap::with_capacity_and_hasher(expected, Default::default()));
                while let Some((hold, held)) = entries.next_entry()? {
                    holds.insert(hold, held);
                }
                Ok(holds)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_held_is_found_as_it_was() {
        let mut holds = Holds::default();
        let held = Held { quantity: u32::MAX, valid_until: Millis::MAX - 1 };
        let hold = |order, attempt| Hold { order: Id(order), attempt };
        let ids = [0, 1, u128::MAX, 1 << 64, 1 << 127, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef];
        for id in ids {
            holds.insert(hold(id, 7), held);
            assert_eq!(Hold::from(Key::from(hold(id, 7))), hold(id, 7));
        }
        assert_eq!(holds.len(), ids.len());
        for id in ids {
            assert!(holds.contains(hold(id, 7)) && !holds.contains(hold(id, 8)));
            assert_eq!(holds.remove(hold(id, 7)), Some(held));
            assert_eq!(holds.remove(hold(id, 7)), None);
        }
    }

    #[test]
    fn what_is_held_comes_back_from_bytes_with_its_time() {
        let mut holds = Holds::default();
        for attempt in 0..300 {
            let held = Held { quantity: attempt * 7, valid_until: 1 << 40 | Millis::from(attempt) };
            holds.insert(Hold { order: Id(u128::MAX / 3), attempt }, held);
        }
        let config = bincode::config::standard();
        let bytes = bincode::serde::encode_to_vec(&holds, config).unwrap();
        let (thawed, read): (Holds, usize) = bincode::serde::decode_from_slice(&bytes, config).unwrap();
        assert_eq!((thawed, read), (holds, bytes.len()));
    }

    #[test]
    fn it_takes_no_more_room_than_it_says() {
        assert_eq!(size_of::<(Key, Units)>() + 1, 33);
    }
}
