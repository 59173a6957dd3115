//! Units that are held for orders: the one part of an inventory that grows with every sale.

use std::fmt;
use std::hash::{Hash, Hasher};

use relampago_compact::CompactMap;
use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
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

/// All that is held, 36 to 42 bytes an order: numbers are kept in pieces, which need no padding. Stored as a map from [`Hold`]
/// to [`Held`].
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Holds(CompactMap<Key, Units>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    order: [u16; 8],
    attempt: [u16; 2],
}

/// Ids are hashes already: half of one is enough.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [first, second, third, fourth, ..] = self.order.map(u64::from);
        state.write_u64(first << 48 | second << 32 | third << 16 | fourth);
        state.write_u16(self.attempt[0]);
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Units {
    quantity: [u16; 2],
    /// The lower 48 bits, which last for 8,900 years.
    valid_until: [u16; 3],
}

/// The end of time as it is kept.
const LATEST: Millis = (1 << 48) - 1;

/// The lower bits of a number, the lowest first.
fn pieces<const N: usize>(number: u128) -> [u16; N] {
    std::array::from_fn(|at| (number >> (16 * at)) as u16)
}

fn whole(pieces: &[u16]) -> u128 {
    pieces.iter().rev().fold(0, |number, piece| number << 16 | u128::from(*piece))
}

impl From<Hold> for Key {
    fn from(Hold { order, attempt }: Hold) -> Self {
        Self { order: pieces(order.0), attempt: pieces(attempt.into()) }
    }
}

impl From<Key> for Hold {
    fn from(Key { order, attempt }: Key) -> Self {
        Self { order: Id(whole(&order)), attempt: whole(&attempt) as u32 }
    }
}

impl From<Held> for Units {
    fn from(Held { quantity, valid_until }: Held) -> Self {
        Self { quantity: pieces(quantity.into()), valid_until: pieces(valid_until.min(LATEST).into()) }
    }
}

impl From<Units> for Held {
    fn from(Units { quantity, valid_until }: Units) -> Self {
        Self { quantity: whole(&quantity) as u32, valid_until: whole(&valid_until) as Millis }
    }
}

impl Holds {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// All that is held, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Hold, Held)> {
        self.0.iter().map(|(key, units)| (Hold::from(key), Held::from(units)))
    }

    pub(super) fn contains(&self, hold: Hold) -> bool {
        self.0.get(&hold.into()).is_some()
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
        let mut map = serializer.serialize_map(Some(self.len()))?;
        self.iter().try_for_each(|(hold, held)| map.serialize_entry(&hold, &held))?;
        map.end()
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
                let mut holds = Holds::default();
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
        let held = Held { quantity: u32::MAX, valid_until: LATEST };
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
        assert_eq!(size_of::<(Key, Units)>(), 30);
    }

    #[test]
    fn what_lasts_for_ever_lasts_for_as_long_as_can_be_kept() {
        let (mut holds, hold) = (Holds::default(), Hold { order: Id(1), attempt: 1 });
        holds.insert(hold, Held { quantity: 1, valid_until: Millis::MAX });
        assert_eq!(holds.remove(hold), Some(Held { quantity: 1, valid_until: LATEST }));
    }
}
