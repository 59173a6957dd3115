//! The order of operations on the disk: nothing is freed, marked or acknowledged before it is durable.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::support::{NEVER, SOON, batch, fill, key, options, snapshot, store_options, wait_for_segments};
use crate::{
    DiskJournal, DiskStore, Journal, SnapshotStore, StorageError,
    disk::{Disk, DiskOp},
};

type Recorded = Arc<Mutex<Vec<DiskOp>>>;

fn recording() -> (Disk, Recorded) {
    let recorded = Recorded::default();
    let operations = Arc::clone(&recorded);
    let disk = Disk::observed(move |op| {
        operations.lock().push(op.clone());
        Ok(())
    });
    (disk, recorded)
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Whether the operations contain these steps one behind the other, others between them allowed.
fn in_order(operations: &[DiskOp], steps: &[&dyn Fn(&DiskOp) -> bool]) -> bool {
    let mut rest = operations.iter();
    steps.iter().all(|step| rest.any(step))
}

#[test]
fn a_segment_is_freed_only_behind_flush_sync_and_mark() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, recorded) = recording();
    let journal = DiskJournal::open_on(&disk, &options(dir.path(), SOON)).unwrap().0;
    fill(&journal, 200, 5);
    journal.close().unwrap();
    let operations = recorded.lock().clone();
    let flushed = |op: &DiskOp| matches!(op, DiskOp::SledFlush(path) if name(path) == "journal");
    let synced = |op: &DiskOp| matches!(op, DiskOp::Sync(path) if name(path) == "db");
    let marked = |op: &DiskOp| matches!(op, DiskOp::Write(path) if name(path) == "journal.mark");
    let mark_synced = |op: &DiskOp| matches!(op, DiskOp::Sync(path) if name(path) == "journal.mark");
    let mut freed = 0;
    let mut since = 0;
    for (position, operation) in operations.iter().enumerate() {
        if let DiskOp::Free(generation) = operation {
            freed += 1;
            assert_eq!(*generation, freed, "generations are freed in order");
            let steps: [&dyn Fn(&DiskOp) -> bool; 4] = [&flushed, &synced, &marked, &mark_synced];
            assert!(in_order(&operations[since..position], &steps), "generation {generation}");
            let one_pass_frees_several =
                operations.get(position + 1).is_some_and(|next| matches!(next, DiskOp::Free(_)));
            if !one_pass_frees_several {
                since = position + 1;
            }
        }
    }
    assert!(freed >= 13, "{freed} segments");
}

#[test]
fn every_flush_of_sled_is_followed_by_a_sync_of_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, recorded) = recording();
    // Nothing is fed while a segment is begun or the journal cut: the mark would move meanwhile, and rightly.
    let journal = DiskJournal::open_on(&disk, &options(dir.path(), NEVER)).unwrap().0;
    fill(&journal, 10, 25);
    journal.close().unwrap();
    drop(journal);
    let journal = DiskJournal::open_on(&disk, &options(dir.path(), SOON)).unwrap().0;
    journal.truncate_before(100).unwrap();
    journal.close().unwrap();
    let store = DiskStore::open_on(&disk, &store_options(dir.path())).unwrap();
    store.put(vec![snapshot(1, 5, 100)]).unwrap();
    store.close().unwrap();
    let operations = recorded.lock().clone();
    for folder in ["journal", "snapshots"] {
        let mut open_flushes = 0;
        for operation in &operations {
            match operation {
                DiskOp::SledFlush(path) if name(path) == folder => open_flushes = 1,
                DiskOp::Sync(path) if path.ends_with(Path::new(folder).join("db")) => open_flushes = 0,
                DiskOp::Write(path) if name(path) == format!("{folder}.mark") => {
                    assert_eq!(open_flushes, 0, "a mark moved between flush and sync");
                }
                _ => {}
            }
        }
        assert_eq!(open_flushes, 0);
    }
}

#[test]
fn a_new_folder_is_synced_with_its_parent() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, recorded) = recording();
    drop(DiskJournal::open_on(&disk, &options(dir.path(), SOON)).unwrap());
    drop(DiskStore::open_on(&disk, &store_options(dir.path())).unwrap());
    let operations = recorded.lock().clone();
    for folder in ["journal", "snapshots", "wal", "archive", "journal/blobs"] {
        assert!(operations.contains(&DiskOp::SyncFolder(dir.path().join(folder))), "{folder}");
    }
    assert!(operations.contains(&DiskOp::SyncFolder(dir.path().to_owned())));
    assert!(operations.contains(&DiskOp::Sync(dir.path().join("journal/conf"))));
}

#[test]
fn a_batch_is_one_write_and_one_sync() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, recorded) = recording();
    let journal = DiskJournal::open_on(&disk, &options(dir.path(), NEVER)).unwrap().0;
    fill(&journal, 1, 5);
    wait_for_segments(&journal, 2);
    fill(&journal, 3, 100);
    let operations = recorded.lock().clone();
    let log: Vec<_> = operations
        .iter()
        .filter_map(|op| match op {
            DiskOp::Write(path) if name(path).starts_with("segment") => Some("write"),
            DiskOp::Sync(path) if name(path).starts_with("segment") => Some("sync"),
            _ => None,
        })
        .collect();
    let of_batches = &log[log.len() - 6..];
    assert_eq!(of_batches, ["write", "sync", "write", "sync", "write", "sync"]);
}

#[test]
fn a_snapshot_is_marked_and_visible_only_when_durable() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, recorded) = recording();
    let store = DiskStore::open_on(&disk, &store_options(dir.path())).unwrap();
    recorded.lock().clear();
    store.put(vec![snapshot(1, 5, 100)]).unwrap();
    let operations = recorded.lock().clone();
    let steps: [&dyn Fn(&DiskOp) -> bool; 4] = [
        &|op| matches!(op, DiskOp::SledFlush(_)),
        &|op| matches!(op, DiskOp::Sync(path) if name(path) == "db"),
        &|op| matches!(op, DiskOp::Write(path) if name(path) == "snapshots.mark"),
        &|op| matches!(op, DiskOp::Sync(path) if name(path) == "snapshots.mark"),
    ];
    assert!(in_order(&operations, &steps), "{operations:?}");
    assert!(store.get(&key(1)).unwrap().is_some());
}

/// The feeder ends by a panic between two appends: whoever asks how the journal is learns of it.
#[test]
fn a_panic_of_the_feeder_is_an_error_of_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    let panics = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&panics);
    let disk = Disk::observed(move |op| {
        let feeds = matches!(op, DiskOp::SledFlush(_));
        assert!(!feeds || !asked.load(Ordering::Acquire), "injected: the feeder panics");
        Ok(())
    });
    let journal = DiskJournal::open_on(&disk, &options(dir.path(), SOON)).unwrap().0;
    fill(&journal, 1, 5);
    journal.check().unwrap();
    panics.store(true, Ordering::Release);
    // Durable in the log, whatever becomes of it behind that.
    journal.append(batch(6, 5)).unwrap();
    let until = Instant::now() + Duration::from_secs(10);
    while journal.check().is_ok() {
        assert!(Instant::now() < until, "nobody notices");
        std::thread::yield_now();
    }
    assert!(matches!(journal.check(), Err(StorageError::FeederPanicked)));
    assert!(matches!(journal.append(batch(11, 5)), Err(StorageError::FeederPanicked)));
    drop(journal);
    panics.store(false, Ordering::Release);
    let (_, report) = DiskJournal::open_on(&disk, &options(dir.path(), SOON)).unwrap();
    assert_eq!(report.last, 10);
}
