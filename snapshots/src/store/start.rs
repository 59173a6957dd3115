//! What a start reads: every index, and whether every part is there.

use std::collections::BTreeMap;

use super::{
    disk::{damage, parse_index},
    pack::{self, Entry},
    usage::{Location, Usage},
};
use crate::{StorageError, error::Place, sled_db::SledDb};

/// A store as it was found.
pub(super) struct Found {
    pub(super) usage: Usage,
    pub(super) next_pack: u64,
}

/// What an index says of the parts of its pack.
struct Claim {
    parts: u32,
    found: u32,
    /// The pack is dead; its parts may be gone.
    dead: bool,
}

/// Reads every index and checks every part. What an interrupted put left is removed: it wrote packs from
/// `next_pack` on, parts before their index.
pub(super) fn read(db: &SledDb, mut next_pack: u64) -> Result<Found, StorageError> {
    let (mut usage, mut claims) = (Usage::default(), BTreeMap::new());
    let mut unwritten = Vec::new();
    db.scan(pack::INDEX_PREFIX, |key, value| {
        if value.is_empty() {
            unwritten.push(key.to_vec());
            return Ok(());
        }
        let index = parse_index(db, key, &value)?;
        let pack = index.pack;
        usage.begin_pack(pack, index.parts, u64::from(index.bytes));
        for Entry { key, covers, offset, length, .. } in index.entries() {
            usage.add(key, Location { pack, covers, offset, length });
        }
        usage.end_pack(pack);
        claims.insert(pack, Claim { parts: index.parts, found: 0, dead: index.dead });
        Ok(())
    })?;
    let leftovers = check_parts(db, &mut claims, next_pack)?;
    for (pack, part) in leftovers {
        db.remove(&pack::part_key(pack, part))?;
        next_pack = next_pack.max(pack + 1);
    }
    unwritten.iter().try_for_each(|key| db.remove(key))?;
    let newest = claims.last_key_value().map_or(0, |(pack, _)| pack + 1);
    Ok(Found { usage, next_pack: next_pack.max(newest) })
}

/// Every index has its parts, every part its index, and every checksum matches. Returns the parts that an
/// interrupted put left without an index.
fn check_parts(
    db: &SledDb,
    claims: &mut BTreeMap<u64, Claim>,
    next_pack: u64,
) -> Result<Vec<(u64, u32)>, StorageError> {
    let mut leftovers = Vec::new();
    db.scan(pack::PART_PREFIX, |key, value| {
        let (pack, part) = pack::parse_part_key(key).unwrap_or_default();
        let damage = damage(db, Place::Pack(pack, part));
        match claims.get_mut(&pack) {
            Some(claim) if part < claim.parts && value.is_empty() => return Ok(()),
            Some(claim) if part < claim.parts => claim.found += 1,
            None if pack >= next_pack => {
                leftovers.push((pack, part));
                return Ok(());
            }
            _ => return Err(damage("no index names it")),
        }
        pack::parse_part(pack, part, &value).map(drop).map_err(damage)
    })?;
    for (pack, claim) in claims.iter().filter(|(_, claim)| !claim.dead && claim.found < claim.parts) {
        for part in 0..claim.parts {
            if db.get(&pack::part_key(*pack, part))?.is_none_or(|value| value.is_empty()) {
                return Err(damage(db, Place::Pack(*pack, part))("an index names it, but it is missing"));
            }
        }
    }
    Ok(leftovers)
}
