//! The form of packs in sled.
//!
//! A pack is many states, one behind the other, each in a block
//! `[checksum 4][key 17][covers 8][length 4][state]`. Its bytes lie in one *part*, or in several if one state
//! alone is larger than a value may be. The *index value* of a pack is its manifest: how many parts and bytes it
//! has, and for every block `[key 17][covers 8][offset 4][length 4][index length 1][index]`. All numbers are
//! little-endian; both kinds of value begin with `[format 1][checksum 4][pack 8]`, where format 1 is for what
//! follows as it is, and 2 for what follows compressed.
//!
//! The keys of a put's packs come first, without values, each in its place (`SledDb::insert_new`); what has none at a
//! start was never written. Parts are written before the index that names them. Before the parts of a dead pack are removed, its index is
//! replaced by one without entries, whose parts may be missing; it goes last. So a crash at any point leaves
//! what a start can tell from damage.

use std::borrow::Cow;

use crate::{
    compressed::{restored, shorter},
    journal::Sequence,
    sled_db::KeyValue,
    store::{EntityKey, SnapshotRecord},
};

/// What follows is as it is ...
const PLAIN: u8 = 1;
/// ... or compressed. The two differ in more than one bit: none turns into the other by a flip.
const COMPRESSED: u8 = 2;
const CHECKED_FROM: usize = 5;
const VALUE_HEADER: usize = 13;
const PART_HEADER: usize = VALUE_HEADER + 4;
const INDEX_HEADER: usize = VALUE_HEADER + 12;
const ENTRY_FIXED: usize = 17 + 8 + 4 + 4 + 1;
/// Bytes of a block in front of its state.
pub(super) const BLOCK_HEADER: usize = 4 + 17 + 8 + 4;

pub(super) const INDEX_PREFIX: &[u8] = b"i";
pub(super) const PART_PREFIX: &[u8] = b"s";

/// Key of the index value of a pack.
pub(super) fn index_key(pack: u64) -> Vec<u8> {
    [INDEX_PREFIX, &pack.to_be_bytes()].concat()
}

/// Key of one part of a pack.
pub(super) fn part_key(pack: u64, part: u32) -> Vec<u8> {
    [PART_PREFIX, &pack.to_be_bytes(), &part.to_be_bytes()].concat()
}

/// Pack and part that a part's key names.
pub(super) fn parse_part_key(key: &[u8]) -> Option<(u64, u32)> {
    let (pack, part) = key.strip_prefix(PART_PREFIX)?.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*pack), u32::from_be_bytes(part.try_into().ok()?)))
}

/// One entry of an index value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) key: EntityKey,
    pub(super) covers: Sequence,
    /// Where the block begins in the pack's bytes.
    pub(super) offset: u32,
    /// Length of the state.
    pub(super) length: u32,
    pub(super) index: &'a [u8],
}

/// A pack that is being filled.
#[derive(Default)]
pub(super) struct PackBuilder {
    entries: Vec<u8>,
    count: u32,
    blocks: Vec<u8>,
}

impl PackBuilder {
    /// Whether a record fits beside what is there; an empty pack takes any.
    pub(super) fn takes(&self, record: &SnapshotRecord, target: usize) -> bool {
        let blocks = PART_HEADER + self.blocks.len() + BLOCK_HEADER + record.state.len();
        let entries = INDEX_HEADER + self.entries.len() + ENTRY_FIXED + record.index.len();
        self.count == 0 || (blocks <= target && entries <= target)
    }

    /// Adds a record and returns the offset of its block.
    pub(super) fn push(&mut self, record: &SnapshotRecord) -> u32 {
        let offset = self.blocks.len() as u32;
        let length = record.state.len() as u32;
        self.entries.extend_from_slice(&record.key);
        self.entries.extend_from_slice(&record.covers.to_le_bytes());
        self.entries.extend_from_slice(&offset.to_le_bytes());
        self.entries.extend_from_slice(&length.to_le_bytes());
        self.entries.push(record.index.len() as u8);
        self.entries.extend_from_slice(&record.index);
        self.count += 1;

        self.blocks.extend_from_slice(&[0; 4]);
        self.blocks.extend_from_slice(&record.key);
        self.blocks.extend_from_slice(&record.covers.to_le_bytes());
        self.blocks.extend_from_slice(&length.to_le_bytes());
        self.blocks.extend_from_slice(&record.state);
        let start = offset as usize;
        let checksum = crc32fast::hash(&self.blocks[start + 4..]);
        self.blocks[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
        offset
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keys and values of the whole pack, the index last, and its number of parts.
    pub(super) fn finish(self, pack: u64, max_value: usize) -> (Vec<KeyValue>, u32) {
        let mut values = Vec::new();
        let parts = self.blocks.chunks(max_value - PART_HEADER);
        let count = parts.len() as u32;
        for (number, bytes) in (0..).zip(parts) {
            let body = [&u32::to_le_bytes(number)[..], bytes];
            values.push((part_key(pack, number), value(pack, &body)));
        }
        let bytes = (self.blocks.len() as u32).to_le_bytes();
        let body = [&count.to_le_bytes()[..], &bytes, &self.count.to_le_bytes(), &self.entries];
        values.push((index_key(pack), value(pack, &body)));
        (values, count)
    }
}

/// The index value of a dead pack while its parts are being removed.
pub(crate) fn dead_index(pack: u64, parts: u32) -> Vec<u8> {
    value(pack, &[&parts.to_le_bytes(), &[0; 8]])
}

/// A checked index value.
pub(super) struct Index<'a> {
    pub(super) pack: u64,
    pub(super) parts: u32,
    /// Bytes of all blocks.
    pub(super) bytes: u32,
    /// No entries: the pack is dead, and its parts may be gone.
    pub(super) dead: bool,
    entries: Cow<'a, [u8]>,
}

impl<'a> Index<'a> {
    /// Reads the index value under `key`.
    pub(super) fn parse(key: &[u8], value: &'a [u8]) -> Result<Self, &'static str> {
        let (pack, body) = check(value)?;
        if key != index_key(pack) {
            return Err("its index lies under another key than its own");
        }
        let numbers = body.first_chunk::<12>().ok_or("its index is too short")?;
        let [parts, bytes, count] = [0, 4, 8].map(|at| read_u32(&numbers[at..]));
        let entries = without(body, 12);
        let index = Self { pack, parts, bytes, dead: count == 0, entries };
        if index.entries().count() as u64 != u64::from(count) {
            return Err("its index holds another number of entries than it says");
        }
        Ok(index)
    }

    /// The entries, in the order of their blocks.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        let mut rest = &*self.entries;
        std::iter::from_fn(move || {
            let (fixed, tail) = rest.split_first_chunk::<ENTRY_FIXED>()?;
            let (index, tail) = tail.split_at_checked(usize::from(fixed[ENTRY_FIXED - 1]))?;
            rest = tail;
            Some(Entry {
                key: *fixed.first_chunk()?,
                covers: u64::from_le_bytes(*fixed[17..].first_chunk()?),
                offset: read_u32(&fixed[25..]),
                length: read_u32(&fixed[29..]),
                index,
            })
        })
    }
}

/// Checks a part value and returns its bytes.
pub(super) fn parse_part(pack: u64, part: u32, value: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    let (found, body) = check(value)?;
    let number = body.first_chunk::<4>().ok_or("the part is too short")?;
    if (found, u32::from_le_bytes(*number)) != (pack, part) {
        return Err("the part lies under another key than its own");
    }
    Ok(without(body, 4))
}

/// The bytes of a part without checking them: every block has a checksum of its own.
pub(super) fn part_bytes(value: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    let (header, body) = value.split_first_chunk::<VALUE_HEADER>().ok_or("a value is too short")?;
    Ok(without(opened(header[0], body)?, PART_HEADER - VALUE_HEADER))
}

/// The state in the block at `offset`, if it is whole and that of `entry`.
pub(super) fn state_at<'a>(pack: &'a [u8], entry: &Entry<'_>) -> Result<&'a [u8], &'static str> {
    let length = BLOCK_HEADER + entry.length as usize;
    let block = pack
        .get(entry.offset as usize..)
        .and_then(|rest| rest.get(..length))
        .ok_or("a state reaches beyond the end of its pack")?;
    if crc32fast::hash(&block[4..]) != read_u32(block) {
        return Err("the checksum of a state does not match");
    }
    if block[4..21] != entry.key || block[21..29] != entry.covers.to_le_bytes() {
        return Err("a state is not the one its index names");
    }
    Ok(&block[BLOCK_HEADER..])
}

/// Reads a value as an index and as a part of `pack`, and every state that they could be of.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn try_all(pack: u64, value: &[u8]) {
    let bytes = part_bytes(value).unwrap_or_default();
    let _part = parse_part(pack, 0, value);
    if let Ok(index) = Index::parse(&index_key(pack), value) {
        for entry in index.entries() {
            let _state = state_at(&bytes, &entry);
        }
    }
}

fn value(pack: u64, body: &[&[u8]]) -> Vec<u8> {
    let body = body.concat();
    let shorter = shorter(&body);
    let format = if shorter.is_some() { COMPRESSED } else { PLAIN };
    let body = shorter.as_deref().unwrap_or(&body);
    let mut value = Vec::with_capacity(VALUE_HEADER + body.len());
    value.push(format);
    value.extend_from_slice(&[0; 4]);
    value.extend_from_slice(&pack.to_le_bytes());
    value.extend_from_slice(body);
    let checksum = crc32fast::hash(&value[CHECKED_FROM..]);
    value[1..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
    value
}

/// Checks a value and returns its pack and what follows.
fn check(value: &[u8]) -> Result<(u64, Cow<'_, [u8]>), &'static str> {
    let (header, body) = value.split_first_chunk::<VALUE_HEADER>().ok_or("a value is too short")?;
    if crc32fast::hash(&value[CHECKED_FROM..]) != read_u32(&header[1..]) {
        return Err("the checksum of a value does not match");
    }
    let pack = header[CHECKED_FROM..].first_chunk().map_or(0, |pack| u64::from_le_bytes(*pack));
    Ok((pack, opened(header[0], body)?))
}

/// What follows a value's header, as it was before it was compressed, if it was.
fn opened(format: u8, body: &[u8]) -> Result<Cow<'_, [u8]>, &'static str> {
    match format {
        PLAIN => Ok(body.into()),
        COMPRESSED => restored(body).map(Cow::Owned),
        _ => Err("the format of a value is unknown"),
    }
}

/// What is behind the first `count` bytes, of which there are so many.
fn without(bytes: Cow<'_, [u8]>, count: usize) -> Cow<'_, [u8]> {
    match bytes {
        Cow::Borrowed(bytes) => bytes.get(count..).unwrap_or_default().into(),
        Cow::Owned(mut bytes) => {
            bytes.drain(..count.min(bytes.len()));
            bytes.into()
        }
    }
}

/// The number at the start of `bytes`, which are at least four.
fn read_u32(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |number| u32::from_le_bytes(*number))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const PACK: u64 = 7;
    const MAX_VALUE: usize = 1_000;

    /// A pack of one state that needs three parts.
    fn large() -> Vec<KeyValue> {
        let mut builder = PackBuilder::default();
        let state = (0..2_500).map(|number| number as u8).collect();
        builder.push(&SnapshotRecord { key: [1; 17], covers: 9, index: vec![2], state });
        let (values, parts) = builder.finish(PACK, MAX_VALUE);
        assert_eq!(parts, 3);
        values
    }

    /// Puts are not atomic: a crash must leave parts that no index names, never an index without its parts.
    #[test]
    fn the_index_is_written_after_all_that_it_names() {
        let keys: Vec<Vec<u8>> = large().into_iter().map(|(key, _)| key).collect();
        let parts = (0..3).map(|part| part_key(PACK, part));
        assert_eq!(keys, parts.chain([index_key(PACK)]).collect::<Vec<_>>());
    }

    #[test]
    fn a_part_is_taken_for_no_other() {
        let values = large();
        assert!(parse_part(PACK, 1, &values[1].1).is_ok());
        for (pack, part) in [(PACK, 0), (PACK, 2), (PACK + 1, 1)] {
            assert!(parse_part(pack, part, &values[1].1).is_err(), "{pack} {part}");
        }
    }

    #[test]
    fn a_state_is_whole_or_refused() {
        let values = large();
        let (key, index) = &values[3];
        let index = Index::parse(key, index).unwrap();
        let entry = index.entries().next().unwrap();
        let mut bytes: Vec<u8> =
            values[..3].iter().flat_map(|(_, value)| part_bytes(value).unwrap().into_owned()).collect();
        assert_eq!(state_at(&bytes, &entry).unwrap().len(), 2_500);
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(state_at(&bytes, &entry).is_err(), "byte {at}");
            bytes[at] ^= 1;
        }
        bytes.pop();
        assert!(state_at(&bytes, &entry).is_err());
    }
}
