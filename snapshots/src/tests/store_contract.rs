//! What every snapshot store does, on disk and in memory.

use std::{collections::BTreeMap, path::Path};

use super::support::{key, open_store, snapshot};
use crate::{DiskStore, MemoryStore, Snapshot, SnapshotRecord, SnapshotStore, StorageError};

trait Life {
    fn store(&self) -> &dyn SnapshotStore;
    /// Ends this life without closing and begins the next.
    fn next(&mut self);
}

struct OnDisk<'a> {
    dir: &'a Path,
    store: Option<DiskStore>,
}

impl Life for OnDisk<'_> {
    fn store(&self) -> &dyn SnapshotStore {
        self.store.as_ref().unwrap()
    }

    fn next(&mut self) {
        drop(self.store.take());
        self.store = Some(open_store(self.dir));
    }
}

struct InMemory(MemoryStore);

impl Life for InMemory {
    fn store(&self) -> &dyn SnapshotStore {
        &self.0
    }

    fn next(&mut self) {
        self.0 = self.0.crash();
    }
}

fn both(check: impl Fn(&mut dyn Life)) {
    check(&mut InMemory(MemoryStore::new()));
    let dir = tempfile::tempdir().unwrap();
    check(&mut OnDisk { dir: dir.path(), store: Some(open_store(dir.path())) });
}

fn scanned(store: &dyn SnapshotStore) -> BTreeMap<crate::EntityKey, (u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut visit = |key: &crate::EntityKey, covers, index: &[u8]| {
        assert!(found.insert(*key, (covers, index.to_vec())).is_none(), "visited twice");
    };
    store.scan(&mut visit).unwrap();
    found
}

#[test]
fn begins_empty() {
    both(|life| {
        assert_eq!(life.store().get(&key(1)).unwrap(), None);
        assert!(scanned(life.store()).is_empty());
        life.store().put(Vec::new()).unwrap();
        assert_eq!(life.store().stats().entities, 0);
    });
}

#[test]
fn gives_back_what_was_put_in_this_life_and_the_next() {
    both(|life| {
        let records: Vec<_> =
            (0..500).map(|number| snapshot(number, number, (number % 400) as usize)).collect();
        life.store().put(records.clone()).unwrap();
        for _ in 0..2 {
            let scanned = scanned(life.store());
            assert_eq!(scanned.len(), 500);
            for SnapshotRecord { key, covers, index, state } in records.clone() {
                assert_eq!(life.store().get(&key).unwrap(), Some(Snapshot { covers, state }));
                assert_eq!(scanned[&key], (covers, index));
            }
            assert_eq!(life.store().stats().entities, 500);
            life.next();
        }
    });
}

#[test]
fn the_newest_covers_wins_and_the_later_of_two_equal_ones() {
    both(|life| {
        let put = |covers, state: &[u8]| {
            let record =
                SnapshotRecord { key: key(1), covers, index: vec![covers as u8], state: state.to_vec() };
            life.store().put(vec![record]).unwrap();
        };
        put(5, b"five");
        put(3, b"three");
        assert_eq!(life.store().get(&key(1)).unwrap().unwrap().state, b"five");
        put(5, b"five again");
        assert_eq!(life.store().get(&key(1)).unwrap().unwrap().state, b"five again");
        put(6, b"six");
        life.next();
        assert_eq!(life.store().get(&key(1)).unwrap().unwrap().state, b"six");
        assert_eq!(scanned(life.store())[&key(1)], (6, vec![6]));

        let twice = [(9, b"nine".as_slice()), (8, b"eight"), (9, b"nine again")].map(|(covers, state)| {
            SnapshotRecord { key: key(2), covers, index: Vec::new(), state: state.to_vec() }
        });
        life.store().put(twice.to_vec()).unwrap();
        for _ in 0..2 {
            assert_eq!(life.store().get(&key(2)).unwrap().unwrap().state, b"nine again");
            life.next();
        }
    });
}

#[test]
fn large_states_are_stored() {
    both(|life| {
        let lengths = [3_900, 4_063, 4_064, 6_500, 6_600, 100_000, 3_000_000];
        let records: Vec<_> =
            (0..).zip(lengths).map(|(number, length)| snapshot(number, 1, length)).collect();
        life.store().put(records.clone()).unwrap();
        for _ in 0..2 {
            for record in &records {
                assert!(life.store().get(&record.key).unwrap().unwrap().state == record.state);
            }
            life.next();
        }
    });
}

#[test]
fn an_index_that_is_too_long_is_refused_for_good() {
    both(|life| {
        let mut record = snapshot(1, 1, 10);
        record.index = vec![1; 129];
        assert!(matches!(life.store().put(vec![record]), Err(StorageError::BadSnapshot { .. })));
        assert!(matches!(life.store().put(vec![snapshot(2, 1, 10)]), Err(StorageError::BadSnapshot { .. })));
        life.next();
        let mut record = snapshot(1, 1, 10);
        record.index = vec![1; 128];
        life.store().put(vec![record]).unwrap();
        assert_eq!(scanned(life.store())[&key(1)].1.len(), 128);
    });
}

#[test]
fn closes_once_and_for_all() {
    both(|life| {
        life.store().put(vec![snapshot(1, 1, 10)]).unwrap();
        life.store().close().unwrap();
        life.store().close().unwrap();
        assert!(matches!(life.store().put(vec![snapshot(2, 1, 10)]), Err(StorageError::Closed)));
        life.next();
        assert_eq!(scanned(life.store()).len(), 1);
    });
}

#[test]
fn reads_while_it_writes() {
    both(|life| {
        let store = life.store();
        let put = |covers| store.put((0..50).map(|number| snapshot(number, covers, 300)).collect()).unwrap();
        put(1);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| (2..150).for_each(put));
            let mut seen = [0; 50];
            while !writer.is_finished() {
                for (number, seen) in (0..).zip(&mut seen) {
                    let found = store.get(&key(number)).unwrap().unwrap();
                    assert!(found.covers >= *seen);
                    assert_eq!(found.state, snapshot(number, found.covers, 300).state);
                    *seen = found.covers;
                }
            }
        });
    });
}

#[test]
fn memory_fails_on_demand() {
    let store = MemoryStore::new();
    store.put(vec![snapshot(1, 1, 10)]).unwrap();
    store.fail_next_put();
    store.put(vec![snapshot(2, 1, 10)]).unwrap_err();
    store.put(vec![snapshot(3, 1, 10)]).unwrap_err();
    assert_eq!(scanned(&store.crash()).len(), 1);
}
