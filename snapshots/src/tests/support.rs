//! Small journals and stores, events whose content tells their sequence, and copies of folders.

use std::{
    fs,
    ops::{ControlFlow, RangeInclusive},
    path::Path,
    time::Duration,
};

use crate::{
    Batch, DiskJournal, DiskStore, EntityKey, Journal, JournalOptions, OpenReport, Sequence, SnapshotRecord,
    StorageError, StoreOptions,
};

pub(super) const ID: [u8; 16] = [0x5a; 16];

/// The feeder never starts by itself.
pub(super) const NEVER: Duration = Duration::from_secs(3600);
pub(super) const SOON: Duration = Duration::from_millis(1);

/// Log segments of 64 KiB, sled segments of 512 KiB.
pub(super) fn options(dir: &Path, feed_interval: Duration) -> JournalOptions {
    JournalOptions {
        dir: dir.to_owned(),
        journal_id: ID,
        segment_bytes: 64 << 10,
        segments: 2,
        feed_interval,
        sled_segment_bytes: 512 << 10,
        cache_bytes: 16 << 20,
        archive_retention_bytes: None,
    }
}

pub(super) fn store_options(dir: &Path) -> StoreOptions {
    StoreOptions { dir: dir.to_owned(), sled_segment_bytes: 512 << 10, cache_bytes: 16 << 20 }
}

pub(super) fn open(dir: &Path, feed_interval: Duration) -> (DiskJournal, OpenReport) {
    DiskJournal::open(options(dir, feed_interval)).unwrap()
}

/// The error of an open that must be refused.
pub(super) fn refusal(dir: &Path) -> StorageError {
    match DiskJournal::open(options(dir, NEVER)) {
        Err(error) => error,
        Ok((_, report)) => panic!("opened: {report:?}"),
    }
}

pub(super) fn open_store(dir: &Path) -> DiskStore {
    DiskStore::open(store_options(dir)).unwrap()
}

/// The record of an event: its sequence, repeated to a length that varies with it.
pub(super) fn event(sequence: Sequence) -> Vec<u8> {
    event_of(sequence, 8 + (sequence * 37 % 120) as usize)
}

pub(super) fn event_of(sequence: Sequence, length: usize) -> Vec<u8> {
    sequence.to_le_bytes().into_iter().cycle().take(length).collect()
}

/// A batch of `count` events.
pub(super) fn batch(first: Sequence, count: u32) -> Batch {
    batch_of(first, (first..).take(count as usize).map(event))
}

pub(super) fn batch_of(first: Sequence, records: impl Iterator<Item = Vec<u8>>) -> Batch {
    let mut batch = Batch { first, count: 0, bytes: Vec::new() };
    for record in records {
        batch.count += 1;
        batch.bytes.extend_from_slice(&(record.len() as u32).to_le_bytes());
        batch.bytes.extend_from_slice(&record);
    }
    batch
}

/// Appends `batches` batches of `count` events.
pub(super) fn fill(journal: &dyn Journal, batches: u64, count: u32) {
    for _ in 0..batches {
        journal.append(batch(journal.last() + 1, count)).unwrap();
    }
}

/// Replays from the first of `range` and expects exactly `range`, every event with its content.
pub(super) fn expect(journal: &dyn Journal, range: RangeInclusive<Sequence>) {
    let mut next = *range.start();
    journal
        .replay(next, &mut |sequence, record| {
            assert_eq!(sequence, next);
            assert_eq!(&record[..8], &sequence.to_le_bytes(), "content of {sequence}");
            next += 1;
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(next, range.end() + 1, "the replay ended early");
}

/// Waits until sled holds everything.
pub(super) fn wait_until_fed(journal: &DiskJournal) {
    while journal.stats().feeder_lag > 0 {
        std::thread::yield_now();
    }
}

/// Waits until the feeder has made as many log segments: from then on it creates none, and a copy is whole.
pub(super) fn wait_for_segments(journal: &DiskJournal, segments: u64) {
    while journal.stats().wal_segments < segments {
        std::thread::yield_now();
    }
}

/// Copies a data folder, leaving out the lock.
pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Flips one bit of a file.
pub(super) fn flip(path: &Path, offset: u64) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset as usize] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

pub(super) fn key(number: u64) -> EntityKey {
    let mut key = [3; 17];
    key[9..].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}

/// A snapshot whose state tells entity and sequence.
pub(super) fn snapshot(number: u64, covers: Sequence, length: usize) -> SnapshotRecord {
    SnapshotRecord {
        key: key(number),
        covers,
        index: [number, covers].iter().flat_map(|part| part.to_le_bytes()).collect(),
        state: event_of(number * 1_000_003 + covers, length),
    }
}
