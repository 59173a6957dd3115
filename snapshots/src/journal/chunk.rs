//! The journal in sled: chunks of consecutive events, one value each.
//!
//! Key: the first sequence, big-endian. Value: `format 1, crc32 4, first 8, count 4`, little-endian, and the
//! records, as they are or compressed by LZ4 with their size in front, whichever is shorter. The format
//! says which, and whether the batch goes on in the next chunk: such a batch did not go through the log, and if its
//! last chunk is missing it was never acknowledged. The newest chunk grows in place while it is small, so that a
//! trickle of events does not become one key each.
//!
//! Full chunks are stored many at a time, their keys first. A key without a value is what a crash left of that.

use std::{borrow::Cow, collections::VecDeque, ops::ControlFlow, ops::RangeInclusive};

use parking_lot::Mutex;

use super::{Batch, LENGTH_BYTES, Records, Sequence, Visit};
use crate::{
    StorageError,
    compressed::{restored, shorter},
    error::Place,
    sled_db::{KeyValue, SledDb},
};

/// How the records of a chunk stand in its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    /// The batch goes on in the next chunk.
    continues: bool,
    compressed: bool,
}

impl Format {
    /// Numbers that no single flipped bit turns into one another: the checksum is over what follows.
    fn number(self) -> u8 {
        match (self.compressed, self.continues) {
            (false, false) => 1,
            (false, true) => 2,
            (true, false) => 4,
            (true, true) => 7,
        }
    }

    fn of(number: u8) -> Option<Self> {
        let all = [(false, false), (false, true), (true, false), (true, true)];
        let mut all = all.into_iter().map(|(compressed, continues)| Self { continues, compressed });
        all.find(|format| format.number() == number)
    }
}

const HEADER_BYTES: usize = 17;
const CHECKED_FROM: usize = 5;

/// The newest chunk grows in place up to this part of a full one.
const GROWING_DIVISOR: usize = 4;

/// Full chunks that wait at most, 64 KiB each, to be stored together.
const CHUNKS_AT_ONCE: usize = 128;

/// A live chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) first: Sequence,
    pub(crate) last: Sequence,
    /// Size of the records, uncompressed.
    pub(crate) bytes: usize,
}

/// All live chunks.
pub(crate) struct Chunks {
    db: SledDb,
    index: Mutex<VecDeque<ChunkRef>>,
    /// The feeder's alone.
    packing: Mutex<Packing>,
}

/// Events of the oldest chunks, about to be archived.
pub(crate) struct Cut {
    pub(crate) sequences: RangeInclusive<Sequence>,
    /// Each `[length][record]`.
    pub(crate) records: Vec<u8>,
}

/// What is being packed.
#[derive(Default)]
struct Packing {
    /// Chunks that are full and not stored.
    full: Vec<Packed>,
    newest: Packed,
}

/// A chunk that is being packed.
#[derive(Default)]
struct Packed {
    records: Vec<u8>,
    first: Sequence,
    count: u32,
}

/// A chunk read back.
struct Chunk<'a> {
    first: Sequence,
    count: u32,
    /// The batch goes on in the next chunk.
    continues: bool,
    records: Cow<'a, [u8]>,
}

impl Chunks {
    /// Reads and checks every chunk. Drops a batch whose end is missing. What is read is durable: opening a database
    /// syncs its file first, and reads it from the disk.
    pub(crate) fn open(db: SledDb) -> Result<Self, StorageError> {
        let mut index = VecDeque::<ChunkRef>::new();
        let (mut unfinished, mut unwritten) = (0, Vec::new());
        let mut newest = None;
        db.scan(&[], |key, value| {
            if value.is_empty() {
                unwritten.push(key.to_vec());
                return Ok(());
            }
            let chunk = parse(key, &value).map_err(|problem| damaged(&db, key, problem))?;
            let found = chunk.reference();
            if let Some(before) = index.back()
                && found.first != before.last + 1
            {
                let file = db.dir().to_owned();
                return Err(StorageError::MissingEvents { file, from: before.last + 1, to: found.first - 1 });
            }
            unfinished = if chunk.continues { unfinished + 1 } else { 0 };
            index.push_back(found);
            newest = Some(chunk.records.into_owned());
            Ok(())
        })?;
        unwritten.iter().try_for_each(|key| db.remove(key))?;
        let whole = index.len() - unfinished;
        for chunk in index.drain(whole..) {
            db.remove(&chunk.first.to_be_bytes())?;
            newest = None;
        }
        let newest = newest.zip(index.back()).map(|(records, back)| Packed::reopen(&records, back));
        let packing = Packing { full: Vec::new(), newest: newest.unwrap_or_default() };
        Ok(Self { db, index: Mutex::new(index), packing: Mutex::new(packing) })
    }

    /// First and last live sequence; `None` if there is no chunk.
    pub(crate) fn bounds(&self) -> Option<RangeInclusive<Sequence>> {
        let index = self.index.lock();
        Some(index.front()?.first..=index.back()?.last)
    }

    /// Number of live chunks.
    pub(crate) fn len(&self) -> usize {
        self.index.lock().len()
    }

    /// Largest record a chunk can hold, bytes.
    pub(crate) fn max_record(&self) -> usize {
        self.db.max_value() - HEADER_BYTES - LENGTH_BYTES
    }

    /// Packs the events above the newest chunk's into chunks; not durable yet.
    pub(crate) fn append(&self, batch: &Batch) -> Result<(), StorageError> {
        let mut packing = self.packing.lock();
        for (sequence, record) in self.unseen(batch) {
            if !packing.newest.takes(record, self.db.target_value()) {
                let full = std::mem::take(&mut packing.newest);
                packing.full.push(full);
                if packing.full.len() >= CHUNKS_AT_ONCE {
                    self.store_full(&mut packing)?;
                }
            }
            packing.newest.push(sequence, record);
        }
        Ok(())
    }

    /// Stores the chunk that is being packed and makes everything durable.
    pub(crate) fn make_durable(&self) -> Result<(), StorageError> {
        let mut packing = self.packing.lock();
        self.store_full(&mut packing)?;
        self.store(&packing.newest)?;
        if packing.newest.records.len() > self.db.target_value() / GROWING_DIVISOR {
            packing.newest = Packed::default();
        }
        drop(packing);
        self.db.make_durable()
    }

    /// Stores a batch of any size in chunks of its own, durably. A restart finds all of it or nothing.
    pub(crate) fn append_atomically(&self, batch: &Batch) -> Result<(), StorageError> {
        self.make_durable()?;
        self.packing.lock().newest = Packed::default();
        let mut chunks = vec![Packed::default()];
        for (sequence, record) in self.unseen(batch) {
            if !chunks.last().is_some_and(|chunk| chunk.takes(record, self.db.target_value())) {
                chunks.push(Packed::default());
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.push(sequence, record);
            }
        }
        if chunks[0].count == 0 {
            return Ok(());
        }
        let last = chunks.len() - 1;
        for (number, chunk) in chunks.iter().enumerate() {
            self.db.insert(&chunk.first.to_be_bytes(), &chunk.sealed(number != last))?;
        }
        self.index.lock().extend(chunks.iter().map(Packed::chunk_ref));
        self.db.make_durable()
    }

    /// Records of `batch` that no chunk holds, with their sequences.
    fn unseen<'a>(&self, batch: &'a Batch) -> impl Iterator<Item = (Sequence, &'a [u8])> + use<'a> {
        let last = self.bounds().map_or(0, |bounds| *bounds.end());
        (batch.first..).zip(batch.records()).filter(move |(sequence, _)| *sequence > last)
    }

    /// Stores what is full. The first may have grown in place until now.
    fn store_full(&self, packing: &mut Packing) -> Result<(), StorageError> {
        let full = std::mem::take(&mut packing.full);
        let stored = self.index.lock().back().map_or(0, |back| back.first);
        let (grown, new) = full.split_at(full.partition_point(|chunk| chunk.first <= stored));
        grown.iter().try_for_each(|chunk| self.store(chunk))?;
        let values: Vec<KeyValue> =
            new.iter().map(|chunk| (chunk.first.to_be_bytes().to_vec(), chunk.sealed(false))).collect();
        self.db.insert_new(&values)?;
        self.index.lock().extend(new.iter().map(Packed::chunk_ref));
        Ok(())
    }

    fn store(&self, packed: &Packed) -> Result<(), StorageError> {
        if packed.count == 0 {
            return Ok(());
        }
        self.db.insert(&packed.first.to_be_bytes(), &packed.sealed(false))?;
        let stored = packed.chunk_ref();
        let mut index = self.index.lock();
        match index.back_mut() {
            Some(back) if back.first == stored.first => *back = stored,
            _ => index.push_back(stored),
        }
        Ok(())
    }

    /// Visits the events of the chunk that holds `from`, between `from` and `until`. Returns the sequence to go
    /// on with, or `None` when `visit` ended the replay. `Ok(Some(from))` if no chunk holds `from` any more.
    pub(crate) fn visit_one(
        &self,
        from: Sequence,
        until: Sequence,
        visit: Visit<'_>,
    ) -> Result<Option<Sequence>, StorageError> {
        let Some(wanted) = self.find(from) else { return Ok(Some(from)) };
        let Some(value) = self.read(wanted)? else { return Ok(Some(from)) };
        let chunk = self.parse(wanted.first, &value)?;
        let mut next = from;
        for (sequence, record) in (chunk.first..).zip(Records::new(&chunk.records)) {
            if sequence > until {
                break;
            }
            if sequence >= from {
                if visit(sequence, record) == ControlFlow::Break(()) {
                    return Ok(None);
                }
                next = sequence + 1;
            }
        }
        if next == from {
            return Err(damaged(
                &self.db,
                &wanted.first.to_be_bytes(),
                "it holds fewer records than it says",
            ));
        }
        Ok(Some(next))
    }

    fn find(&self, sequence: Sequence) -> Option<ChunkRef> {
        let index = self.index.lock();
        let position = index.partition_point(|chunk| chunk.last < sequence);
        index.get(position).filter(|chunk| chunk.first <= sequence).copied()
    }

    /// The value of a chunk; `None` if it was truncated meanwhile.
    fn read(&self, wanted: ChunkRef) -> Result<Option<sled::IVec>, StorageError> {
        let value = self.db.get(&wanted.first.to_be_bytes())?;
        let still_live = self.find(wanted.first).is_some();
        if value.is_none() && still_live {
            return Err(damaged(&self.db, &wanted.first.to_be_bytes(), "it is missing"));
        }
        Ok(value)
    }

    /// Records of the oldest chunks that lie wholly below `sequence`, about `bytes` of them, the newest chunk
    /// left out. `None` if there are none.
    pub(crate) fn oldest_below(&self, sequence: Sequence, bytes: usize) -> Result<Option<Cut>, StorageError> {
        let wanted: Vec<ChunkRef> = {
            let index = self.index.lock();
            let older = index.len().saturating_sub(1);
            let mut size = 0;
            index
                .iter()
                .take(older)
                .take_while(|chunk| chunk.last < sequence)
                .take_while(|chunk| {
                    size += chunk.bytes;
                    size <= bytes.max(chunk.bytes)
                })
                .copied()
                .collect()
        };
        let (Some(first), Some(last)) = (wanted.first(), wanted.last()) else { return Ok(None) };
        let sequences = first.first..=last.last;
        let mut records = Vec::with_capacity(wanted.iter().map(|chunk| chunk.bytes).sum());
        for chunk in wanted {
            if let Some(value) = self.read(chunk)? {
                records.extend_from_slice(&self.parse(chunk.first, &value)?.records);
            }
        }
        Ok(Some(Cut { sequences, records }))
    }

    /// Removes the chunks up to `last`, which must end a chunk. Durable at the next
    /// [`make_durable`](Self::make_durable); until then a restart may find them again.
    pub(crate) fn remove_through(&self, last: Sequence) -> Result<(), StorageError> {
        loop {
            let oldest = {
                let mut index = self.index.lock();
                match index.front() {
                    Some(front) if front.last <= last => index.pop_front(),
                    _ => return Ok(()),
                }
            };
            if let Some(chunk) = oldest {
                self.db.remove(&chunk.first.to_be_bytes())?;
            }
        }
    }

    /// Makes removals durable.
    pub(crate) fn sync(&self) -> Result<(), StorageError> {
        self.db.make_durable()
    }

    /// The folder, for messages.
    pub(crate) fn dir(&self) -> &std::path::Path {
        self.db.dir()
    }

    fn parse<'a>(&self, first: Sequence, value: &'a [u8]) -> Result<Chunk<'a>, StorageError> {
        let key = first.to_be_bytes();
        parse(&key, value).map_err(|problem| damaged(&self.db, &key, problem))
    }
}

impl Chunk<'_> {
    fn reference(&self) -> ChunkRef {
        let last = self.first + u64::from(self.count) - 1;
        ChunkRef { first: self.first, last, bytes: self.records.len() }
    }
}

impl Packed {
    /// Whether `record` may be added; an empty chunk takes any.
    fn takes(&self, record: &[u8], target: usize) -> bool {
        self.count == 0 || HEADER_BYTES + self.records.len() + LENGTH_BYTES + record.len() <= target
    }

    fn push(&mut self, sequence: Sequence, record: &[u8]) {
        if self.count == 0 {
            self.first = sequence;
        }
        self.count += 1;
        self.records.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.records.extend_from_slice(record);
    }

    fn chunk_ref(&self) -> ChunkRef {
        let last = self.first + u64::from(self.count) - 1;
        ChunkRef { first: self.first, last, bytes: self.records.len() }
    }

    /// A stored chunk that grows on.
    fn reopen(records: &[u8], stored: &ChunkRef) -> Self {
        let count = (stored.last - stored.first + 1) as u32;
        Self { records: records.to_vec(), first: stored.first, count }
    }

    /// The value, header and all.
    fn sealed(&self, continues: bool) -> Vec<u8> {
        let shorter = shorter(&self.records);
        let compressed = shorter.is_some();
        let records = shorter.as_deref().unwrap_or(&self.records);
        let mut value = Vec::with_capacity(HEADER_BYTES + records.len());
        value.push(Format { continues, compressed }.number());
        value.extend_from_slice(&[0; 4]);
        value.extend_from_slice(&self.first.to_le_bytes());
        value.extend_from_slice(&self.count.to_le_bytes());
        value.extend_from_slice(records);
        let checksum = crc32fast::hash(&value[CHECKED_FROM..]);
        value[1..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        value
    }
}

fn parse<'a>(key: &[u8], value: &'a [u8]) -> Result<Chunk<'a>, &'static str> {
    let (header, records) = value.split_first_chunk::<HEADER_BYTES>().ok_or("it is too short")?;
    let [format, c0, c1, c2, c3, numbers @ ..] = *header;
    let format = Format::of(format).ok_or("its format is unknown")?;
    if crc32fast::hash(&value[CHECKED_FROM..]) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err("its checksum does not match");
    }
    let [f0, f1, f2, f3, f4, f5, f6, f7, n0, n1, n2, n3] = numbers;
    let first = u64::from_le_bytes([f0, f1, f2, f3, f4, f5, f6, f7]);
    let count = u32::from_le_bytes([n0, n1, n2, n3]);
    if key != first.to_be_bytes() || count == 0 || first.checked_add(count.into()).is_none() {
        return Err("it lies under another key than its own");
    }
    let records = if format.compressed { restored(records)?.into() } else { records.into() };
    Ok(Chunk { first, count, continues: format.continues, records })
}

/// How many events a value under the key `first` holds, if it is a chunk.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn whole(first: Sequence, value: &[u8]) -> Option<u64> {
    let chunk = parse(&first.to_be_bytes(), value).ok()?;
    let found = chunk.reference();
    let _records = Records::new(&chunk.records).count();
    Some(found.last - found.first + 1)
}

fn damaged(db: &SledDb, key: &[u8], problem: &'static str) -> StorageError {
    let first = key.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    StorageError::Damaged { file: db.dir().to_owned(), place: Place::Chunk(first), problem }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const KEY: [u8; 8] = 7u64.to_be_bytes();

    /// Three records of 200 bytes each, of few or of many different bytes.
    fn packed(repeats: bool) -> Packed {
        let mut packed = Packed::default();
        for sequence in 7..10 {
            let mut byte = 1u32;
            let mut next = || {
                byte = byte.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                if repeats { 5 } else { (byte >> 24) as u8 }
            };
            let record: Vec<u8> = (0..200).map(|_| next().wrapping_add(sequence as u8)).collect();
            packed.push(sequence, &record);
        }
        packed
    }

    #[test]
    fn a_chunk_is_read_as_it_was_packed_compressed_or_not() {
        for (repeats, continues) in [(true, false), (true, true), (false, false), (false, true)] {
            let packed = packed(repeats);
            let value = packed.sealed(continues);
            assert_eq!(value.len() < packed.records.len() / 2, repeats);
            let chunk = parse(&KEY, &value).unwrap();
            assert_eq!((chunk.first, chunk.count, chunk.continues), (7, 3, continues));
            assert_eq!(chunk.records, packed.records);
            assert_eq!(chunk.reference(), packed.chunk_ref());
            assert_eq!(Packed::reopen(&chunk.records, &chunk.reference()).sealed(continues), value);
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for repeats in [true, false] {
            let mut value = packed(repeats).sealed(false);
            for bit in 0..value.len() * 8 {
                value[bit / 8] ^= 1 << (bit % 8);
                assert!(parse(&KEY, &value).is_err(), "bit {bit}");
                value[bit / 8] ^= 1 << (bit % 8);
            }
        }
    }
}
