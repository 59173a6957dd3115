//! The process dies before any single operation on the disk: what was acknowledged is there in the next life.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use super::support::{NEVER, SOON, batch, batch_of, event_of, expect, fill, key, open, open_store, options};
use super::support::{snapshot, store_options};
use crate::{
    DiskJournal, DiskStore, Journal, SnapshotStore, StorageError,
    disk::{Disk, DiskOp},
};

/// A disk that fails every operation from the `limit`th on, and the count of operations so far.
fn dying(limit: u64) -> (Disk, Arc<AtomicU64>) {
    let done = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&done);
    let disk = Disk::observed(move |_| {
        if count.fetch_add(1, SeqCst) < limit { Ok(()) } else { Err(std::io::Error::other("power is gone")) }
    });
    (disk, done)
}

/// Appends, truncates and closes. Returns the last acknowledged sequence, the last that was tried, and whether all
/// went well.
fn journal_life(disk: &Disk, dir: &std::path::Path) -> (u64, u64, bool) {
    let Ok((journal, _)) = DiskJournal::open_on(disk, &options(dir, SOON)) else { return (0, 0, false) };
    for round in 1..=40 {
        let first = journal.last() + 1;
        let next = match round % 20 {
            0 => batch_of(first, (first..first + 150).map(|at| event_of(at, 500))),
            _ => batch(first, 20),
        };
        let tried = next.last();
        let truncated = if round % 15 == 0 { journal.truncate_before(first) } else { Ok(()) };
        if truncated.and_then(|()| journal.append(next)).is_err() {
            return (journal.last(), tried, false);
        }
    }
    let closed = journal.close().is_ok();
    (journal.last(), journal.last(), closed)
}

#[test]
fn a_journal_that_dies_anywhere_keeps_what_it_acknowledged() {
    let mut limit = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let (disk, _) = dying(limit);
        let (acknowledged, tried, well) = journal_life(&disk, dir.path());
        let (journal, report) = open(dir.path(), NEVER);
        assert!(
            [acknowledged, tried].contains(&report.last),
            "died at {limit}: {} is neither {acknowledged} nor {tried}",
            report.last
        );
        expect(&journal, 1..=report.last);
        fill(&journal, 2, 10);
        expect(&journal, 1..=report.last + 20);
        if well {
            break;
        }
        limit += 1;
    }
    assert!(limit > 100, "only {limit} operations");
}

/// Puts until the disk dies. Returns the newest acknowledged `covers` and whether all went well.
fn store_life(disk: &Disk, dir: &std::path::Path) -> (u64, bool) {
    let Ok(store) = DiskStore::open_on(disk, &store_options(dir)) else { return (0, false) };
    for covers in 1..=25 {
        let mut records: Vec<_> = (0..30).map(|number| snapshot(number, covers, 200)).collect();
        records.push(snapshot(99, covers, 20_000));
        if store.put(records).is_err() {
            return (covers - 1, false);
        }
    }
    (25, store.close().is_ok())
}

#[test]
fn a_store_that_dies_anywhere_keeps_what_it_acknowledged() {
    let mut limit = 0;
    loop {
        let dir = tempfile::tempdir().unwrap();
        let (disk, _) = dying(limit);
        let (acknowledged, well) = store_life(&disk, dir.path());
        let store = open_store(dir.path());
        for (number, length) in (0..30).map(|number| (number, 200)).chain([(99, 20_000)]) {
            let found = store.get(&key(number)).unwrap();
            let covers = found.as_ref().map_or(0, |found| found.covers);
            assert!(covers >= acknowledged, "died at {limit}: {covers} < {acknowledged}");
            if let Some(found) = found {
                assert_eq!(found.state, snapshot(number, covers, length).state);
            }
        }
        store.put(vec![snapshot(1, 100, 10)]).unwrap();
        if well {
            break;
        }
        limit += 1;
    }
    assert!(limit > 80, "only {limit} operations");
}

#[test]
fn a_failed_sync_is_final_and_never_tried_again() {
    // The log, sled and the mark, each failing once, later.
    for broken in ["segment-0000", "db", "journal.mark"] {
        let dir = tempfile::tempdir().unwrap();
        let syncs = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&syncs);
        let disk = Disk::observed(move |op| match op {
            DiskOp::Sync(path) if path.ends_with(broken) && count.fetch_add(1, SeqCst) == 8 => {
                Err(std::io::Error::other("the disk is broken"))
            }
            _ => Ok(()),
        });
        let journal = DiskJournal::open_on(&disk, &options(dir.path(), SOON)).unwrap().0;
        let mut error = None;
        while error.is_none() {
            error = journal.append(batch(journal.last() + 1, 10)).err();
        }
        let last = journal.last();
        let message = error.unwrap().to_string();
        assert!(message.contains("the disk is broken") && message.contains(broken), "{message}");
        let after = syncs.load(SeqCst);
        for answer in [
            journal.append(batch(last + 1, 10)),
            journal.truncate_before(5),
            journal.replay(1, &mut |_, _| std::ops::ControlFlow::Continue(())),
            journal.close(),
            journal.close(),
        ] {
            assert_eq!(answer.unwrap_err().to_string(), message);
        }
        assert_eq!(syncs.load(SeqCst), after, "{broken} was synced again");
        drop(journal);
        let report = open(dir.path(), NEVER).1;
        assert!(report.last >= last, "{} < {last}", report.last);
    }
}

#[test]
fn a_failed_put_is_final() {
    let dir = tempfile::tempdir().unwrap();
    let (disk, done) = dying(u64::MAX);
    let store = DiskStore::open_on(&disk, &store_options(dir.path())).unwrap();
    drop(store);
    let (disk, _) = dying(done.load(SeqCst));
    let store = DiskStore::open_on(&disk, &store_options(dir.path())).unwrap();
    let mut error = None;
    while error.is_none() {
        error = store.put(vec![snapshot(1, 1, 10)]).err();
    }
    assert!(matches!(error, Some(StorageError::Io { .. })));
    let message = error.unwrap().to_string();
    assert_eq!(store.put(vec![snapshot(1, 2, 10)]).unwrap_err().to_string(), message);
    assert_eq!(store.close().unwrap_err().to_string(), message);
}
