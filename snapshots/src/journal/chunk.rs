//! The journal in sled: chunks of consecutive events, one value each.
//!
//! Key: the first sequence, big-endian. Value: `format 1, crc32 4, first 8, count 4`, little-endian, and the
//! records. The format also says whether the batch goes on in the next chunk: such a batch did not go through
//! the log, and if its last chunk is missing it was never acknowledged. The newest chunk grows in place while it is small, so that a trickle of events does not become one
//! key each.

use std::{collections::VecDeque, ops::ControlFlow, ops::RangeInclusive};

use parking_lot::Mutex;

use super::{Batch, LENGTH_BYTES, Records, Sequence, Visit};
use crate::{StorageError, error::Place, sled_db::SledDb};

const FORMAT: u8 = 1;
const FORMAT_CONTINUES: u8 = 2;
const HEADER_BYTES: usize = 17;
const CHECKED_FROM: usize = 5;

/// The newest chunk grows in place up to this part of a full one.
const GROWING_DIVISOR: usize = 4;

/// A live chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkRef {
    pub(crate) first: Sequence,
    pub(crate) last: Sequence,
    /// Size of the value.
    pub(crate) bytes: usize,
}

/// All live chunks.
pub(crate) struct Chunks {
    db: SledDb,
    index: Mutex<VecDeque<ChunkRef>>,
    /// The newest chunk; the feeder's alone.
    newest: Mutex<Packed>,
}

/// Events of the oldest chunks, about to be archived.
pub(crate) struct Cut {
    pub(crate) sequences: RangeInclusive<Sequence>,
    /// Each `[length][record]`.
    pub(crate) records: Vec<u8>,
}

/// The value of a chunk that is being packed.
#[derive(Default)]
struct Packed {
    value: Vec<u8>,
    first: Sequence,
    count: u32,
}

/// A chunk read back.
struct Chunk<'a> {
    first: Sequence,
    count: u32,
    /// The batch goes on in the next chunk.
    continues: bool,
    records: &'a [u8],
}

impl Chunks {
    /// Reads and checks every chunk. Drops a batch whose end is missing. What is read is durable: opening a database
    /// syncs its file first, and reads it from the disk.
    pub(crate) fn open(db: SledDb) -> Result<Self, StorageError> {
        let mut index = VecDeque::<ChunkRef>::new();
        let mut unfinished = 0;
        let mut newest = None;
        db.scan(&[], |key, value| {
            let chunk = parse(key, &value).map_err(|problem| damaged(&db, key, problem))?;
            let found = chunk.reference(value.len());
            if let Some(before) = index.back()
                && found.first != before.last + 1
            {
                let file = db.dir().to_owned();
                return Err(StorageError::MissingEvents { file, from: before.last + 1, to: found.first - 1 });
            }
            unfinished = if chunk.continues { unfinished + 1 } else { 0 };
            index.push_back(found);
            newest = Some(value);
            Ok(())
        })?;
        let whole = index.len() - unfinished;
        for chunk in index.drain(whole..) {
            db.remove(&chunk.first.to_be_bytes())?;
            newest = None;
        }
        let newest = newest.zip(index.back()).map(|(value, back)| Packed::reopen(&value, back));
        Ok(Self { db, index: Mutex::new(index), newest: Mutex::new(newest.unwrap_or_default()) })
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
        let mut newest = self.newest.lock();
        for (sequence, record) in self.unseen(batch) {
            if !newest.takes(record, self.db.target_value()) {
                self.store(&newest)?;
                *newest = Packed::default();
            }
            newest.push(sequence, record);
        }
        Ok(())
    }

    /// Stores the chunk that is being packed and makes everything durable.
    pub(crate) fn make_durable(&self) -> Result<(), StorageError> {
        let mut newest = self.newest.lock();
        self.store(&newest)?;
        if newest.value.len() > self.db.target_value() / GROWING_DIVISOR {
            *newest = Packed::default();
        }
        drop(newest);
        self.db.make_durable()
    }

    /// Stores a batch of any size in chunks of its own, durably. A restart finds all of it or nothing.
    pub(crate) fn append_atomically(&self, batch: &Batch) -> Result<(), StorageError> {
        self.make_durable()?;
        let mut newest = self.newest.lock();
        *newest = Packed::default();
        let mut chunks = vec![Packed::default()];
        for (sequence, record) in self.unseen(batch) {
            if !chunks.last().is_some_and(|chunk| chunk.takes(record, self.db.target_value())) {
                chunks.push(Packed::default());
            }
            if let Some(chunk) = chunks.last_mut() {
                chunk.push(sequence, record);
            }
        }
        let last = chunks.len() - 1;
        for (number, chunk) in chunks.iter().enumerate() {
            let format = if number == last { FORMAT } else { FORMAT_CONTINUES };
            self.db.insert(&chunk.first.to_be_bytes(), &chunk.sealed(format))?;
        }
        self.index.lock().extend(chunks.iter().map(Packed::chunk_ref));
        self.db.make_durable()
    }

    /// Records of `batch` that no chunk holds, with their sequences.
    fn unseen<'a>(&self, batch: &'a Batch) -> impl Iterator<Item = (Sequence, &'a [u8])> + use<'a> {
        let last = self.bounds().map_or(0, |bounds| *bounds.end());
        (batch.first..).zip(batch.records()).filter(move |(sequence, _)| *sequence > last)
    }

    fn store(&self, packed: &Packed) -> Result<(), StorageError> {
        if packed.count == 0 {
            return Ok(());
        }
        self.db.insert(&packed.first.to_be_bytes(), &packed.sealed(FORMAT))?;
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
        for (sequence, record) in (chunk.first..).zip(Records::new(chunk.records)) {
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
                records.extend_from_slice(self.parse(chunk.first, &value)?.records);
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
    fn reference(&self, bytes: usize) -> ChunkRef {
        ChunkRef { first: self.first, last: self.first + u64::from(self.count) - 1, bytes }
    }
}

impl Packed {
    /// Whether `record` may be added; an empty chunk takes any.
    fn takes(&self, record: &[u8], target: usize) -> bool {
        self.count == 0 || self.value.len() + LENGTH_BYTES + record.len() <= target
    }

    fn push(&mut self, sequence: Sequence, record: &[u8]) {
        if self.count == 0 {
            self.first = sequence;
            self.value.resize(HEADER_BYTES, 0);
        }
        self.count += 1;
        self.value.extend_from_slice(&(record.len() as u32).to_le_bytes());
        self.value.extend_from_slice(record);
    }

    fn chunk_ref(&self) -> ChunkRef {
        let last = self.first + u64::from(self.count) - 1;
        ChunkRef { first: self.first, last, bytes: self.value.len() }
    }

    /// A stored chunk that grows on.
    fn reopen(value: &[u8], stored: &ChunkRef) -> Self {
        let count = (stored.last - stored.first + 1) as u32;
        Self { value: value.to_vec(), first: stored.first, count }
    }

    /// The value with its header.
    fn sealed(&self, format: u8) -> Vec<u8> {
        let mut value = self.value.clone();
        value[0] = format;
        value[5..13].copy_from_slice(&self.first.to_le_bytes());
        value[13..17].copy_from_slice(&self.count.to_le_bytes());
        let checksum = crc32fast::hash(&value[CHECKED_FROM..]);
        value[1..5].copy_from_slice(&checksum.to_le_bytes());
        value
    }
}

fn parse<'a>(key: &[u8], value: &'a [u8]) -> Result<Chunk<'a>, &'static str> {
    let (header, records) = value.split_first_chunk::<HEADER_BYTES>().ok_or("it is too short")?;
    let [format, c0, c1, c2, c3, numbers @ ..] = *header;
    if format != FORMAT && format != FORMAT_CONTINUES {
        return Err("its format is unknown");
    }
    if crc32fast::hash(&value[CHECKED_FROM..]) != u32::from_le_bytes([c0, c1, c2, c3]) {
        return Err("its checksum does not match");
    }
    let [f0, f1, f2, f3, f4, f5, f6, f7, n0, n1, n2, n3] = numbers;
    let first = u64::from_le_bytes([f0, f1, f2, f3, f4, f5, f6, f7]);
    let count = u32::from_le_bytes([n0, n1, n2, n3]);
    if key != first.to_be_bytes() || count == 0 {
        return Err("it lies under another key than its own");
    }
    Ok(Chunk { first, count, continues: format == FORMAT_CONTINUES, records })
}

fn damaged(db: &SledDb, key: &[u8], problem: &'static str) -> StorageError {
    let first = key.first_chunk().map_or(0, |first| u64::from_be_bytes(*first));
    StorageError::Damaged { file: db.dir().to_owned(), place: Place::Chunk(first), problem }
}
