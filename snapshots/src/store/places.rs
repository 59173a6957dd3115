//! Where every newest state lies: millions of entries that are added and changed and never removed.

use relampago_compact::CompactMap;

use super::usage::Location;
use crate::store::EntityKey;

/// A location in 20 bytes, where its numbers one beside the other would take 24 and ask for an alignment: packs and
/// sequences have six bytes of their eight, which a million a second fill in nine years.
#[derive(Debug, Clone, Copy)]
struct Kept([u8; 20]);

impl From<Location> for Kept {
    fn from(Location { pack, covers, offset, length }: Location) -> Self {
        let mut bytes = [0; 20];
        bytes[..6].copy_from_slice(&pack.to_le_bytes()[..6]);
        bytes[6..12].copy_from_slice(&covers.to_le_bytes()[..6]);
        bytes[12..16].copy_from_slice(&offset.to_le_bytes());
        bytes[16..].copy_from_slice(&length.to_le_bytes());
        Self(bytes)
    }
}

impl From<Kept> for Location {
    fn from(Kept(bytes): Kept) -> Self {
        let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
        Self {
            pack: number(&bytes[..6]),
            covers: number(&bytes[6..12]),
            offset: number(&bytes[12..16]) as u32,
            length: number(&bytes[16..]) as u32,
        }
    }
}

/// A map from entities to locations, 43 to 49 bytes an entry.
#[derive(Default)]
pub(super) struct Places(CompactMap<EntityKey, Kept>);

impl Places {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, key: &EntityKey) -> Option<Location> {
        self.0.get(key).map(Location::from)
    }

    /// Adds or replaces an entry, and returns what was there.
    pub(super) fn insert(&mut self, key: EntityKey, location: Location) -> Option<Location> {
        self.0.insert(key, location.into()).map(Location::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_kept_as_it_is() {
        let mut places = Places::default();
        for (n, location) in [
            Location { pack: 0, covers: 0, offset: 0, length: 0 },
            Location { pack: (1 << 48) - 1, covers: 1, offset: 2, length: 3 },
            Location { pack: 1, covers: (1 << 48) - 2, offset: u32::MAX, length: u32::MAX - 1 },
        ]
        .into_iter()
        .enumerate()
        {
            let key = [n as u8; size_of::<EntityKey>()];
            assert_eq!(places.insert(key, location), None);
            assert_eq!((places.get(&key), places.len()), (Some(location), n + 1));
            assert_eq!(places.insert(key, location), Some(location));
        }
        assert_eq!(size_of::<(EntityKey, Kept)>(), 37);
    }
}
