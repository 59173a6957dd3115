//! What a life finds that follows one which was killed may stand in the page cache alone: it is made durable before
//! it is believed, and the mark says so last.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

use parking_lot::Mutex;

use super::support::{
    NEVER, copy, expect, fill, key, open, options, snapshot, store_options, wait_for_segments,
};
use crate::{
    DiskJournal, DiskStore, SnapshotStore,
    disk::{Disk, DiskOp},
    sled_db::{KeyValue, SledDb},
};

#[test]
fn what_is_found_is_synced_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), NEVER);
    fill(&journal, 3, 10);
    drop(journal);
    let store = DiskStore::open(store_options(dir.path())).unwrap();
    store.put(vec![snapshot(1, 5, 100)]).unwrap();
    drop(store);

    let operations = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&operations);
    let disk = Disk::observed(move |operation| {
        record.lock().push(operation.clone());
        Ok(())
    });
    drop(DiskJournal::open_on(&disk, &options(dir.path(), NEVER)).unwrap());
    drop(DiskStore::open_on(&disk, &store_options(dir.path())).unwrap());
    let operations = operations.lock();
    for folder in ["journal", "snapshots"] {
        let folder = dir.path().join(folder);
        let synced = DiskOp::Sync(folder.join("db"));
        let first = operations.iter().find(|op| **op == synced || **op == DiskOp::SledFlush(folder.clone()));
        assert_eq!(first, Some(&synced), "{folder:?} was read first");
    }
}

/// A crash in the middle of an opening: the log has the events until sled has them durably, and the mark says so
/// only then.
#[test]
fn an_opening_that_is_interrupted_anywhere_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (live, killed) = (dir.path().join("live"), dir.path().join("killed"));
    let (journal, _) = open(&live, NEVER);
    fill(&journal, 9, 10);
    wait_for_segments(&journal, 2);
    copy(&live, &killed);

    let (from, images) = (killed.clone(), dir.path().join("images"));
    let taken = Arc::new(AtomicU64::new(0));
    let number = Arc::clone(&taken);
    let into = images.clone();
    let disk = Disk::observed(move |_| {
        copy(&from, &into.join(number.fetch_add(1, SeqCst).to_string()));
        Ok(())
    });
    drop(DiskJournal::open_on(&disk, &options(&killed, NEVER)).unwrap());
    let taken = taken.load(SeqCst);
    assert!(taken > 15, "only {taken} operations");
    for number in 0..taken {
        let (journal, report) = open(&images.join(number.to_string()), NEVER);
        assert_eq!(report.last, 90, "after {number} operations");
        expect(&journal, 1..=90);
    }
}

#[test]
fn a_database_whose_sync_failed_is_not_synced_again() {
    let dir = tempfile::tempdir().unwrap();
    let (broken, syncs) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let (is_broken, counted) = (Arc::clone(&broken), Arc::clone(&syncs));
    let disk = Disk::observed(move |operation| match operation {
        DiskOp::Sync(_) if is_broken.load(SeqCst) => Err(std::io::Error::other("the disk is broken")),
        DiskOp::Sync(_) => {
            counted.fetch_add(1, SeqCst);
            Ok(())
        }
        _ => Ok(()),
    });
    let db = SledDb::open(&disk, &dir.path().join("journal"), 512 << 10, 16 << 20).unwrap();
    db.insert(b"key", b"value").unwrap();
    broken.store(true, SeqCst);
    let error = db.make_durable().unwrap_err().to_string();
    broken.store(false, SeqCst);
    let before = syncs.load(SeqCst);
    assert_eq!(db.make_durable().unwrap_err().to_string(), error);
    assert_eq!(syncs.load(SeqCst), before);
}

#[test]
fn what_is_new_is_written_once() {
    let value = |number: u64| key(number).repeat(100);
    let written = |insert: &dyn Fn(&SledDb, &[KeyValue])| {
        let dir = tempfile::tempdir().unwrap();
        let db = SledDb::open(&Disk::default(), dir.path(), 512 << 10, 16 << 20).unwrap();
        for lot in 0..10 {
            let keys = lot * 128..(lot + 1) * 128;
            let values: Vec<_> =
                keys.map(|number: u64| (number.to_be_bytes().to_vec(), value(number))).collect();
            insert(&db, &values);
            db.make_durable().unwrap();
        }
        for number in 0..1280_u64 {
            assert_eq!(db.get(&number.to_be_bytes()).unwrap().unwrap(), value(number));
        }
        std::fs::metadata(dir.path().join("db")).unwrap().len()
    };
    let one_by_one = written(&|db, values| {
        values.iter().for_each(|(key, value)| db.insert(key, value).unwrap());
    });
    let together = written(&|db, values| db.insert_new(values).unwrap());
    let bytes = 1280 * value(0).len() as u64;
    assert!(together < bytes * 3 / 2 + (1 << 20), "{together} for {bytes}");
    // Less than the four times that is written: freed room is used again.
    assert!(2 * one_by_one > 3 * together, "{one_by_one} and {together}");
}

/// As a full disk or a kill leaves it in the middle of an opening.
#[test]
fn a_summary_that_sled_did_not_finish_is_no_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, _) = open(dir.path(), NEVER);
    fill(&journal, 3, 10);
    drop(journal);
    let store = DiskStore::open(store_options(dir.path())).unwrap();
    store.put(vec![snapshot(1, 5, 100)]).unwrap();
    drop(store);
    for (folder, unfinished) in [("journal", &b""[..]), ("journal", b"half of one"), ("snapshots", b"")] {
        let path = dir.path().join(folder).join("snap.7FFFFFFFFFFFFFFF.generating");
        std::fs::write(&path, unfinished).unwrap();
        let (journal, report) = open(dir.path(), NEVER);
        assert_eq!(report.last, 30);
        expect(&journal, 1..=30);
        drop(journal);
        let store = DiskStore::open(store_options(dir.path())).unwrap();
        assert!(store.get(&key(1)).unwrap().is_some());
        drop(store);
        assert!(!path.exists(), "{folder}");
    }
}
