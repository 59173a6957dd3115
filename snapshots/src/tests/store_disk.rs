//! The snapshot store on disk: compaction, damage, older copies.

use std::{fs, path::Path};

use super::support::{copy, key, open_store, snapshot, store_options};
use crate::{DiskStore, SnapshotStore, StorageError, StoreOptions, sled_db::wait_for_lock};

fn refusal(dir: &Path) -> StorageError {
    DiskStore::open(store_options(dir)).err().expect("it opened")
}

/// A closed store of 100 entities, one of them in parts.
fn closed(dir: &Path) {
    let store = open_store(dir);
    let mut records: Vec<_> = (0..100).map(|number| snapshot(number, 7, 300)).collect();
    records.push(snapshot(500, 7, 30_000));
    store.put(records).unwrap();
    store.close().unwrap();
}

fn sled(dir: &Path) -> sled::Db {
    sled_of(dir, 512 << 10)
}

fn sled_of(dir: &Path, segment_bytes: usize) -> sled::Db {
    let file = dir.join("snapshots/db");
    if file.exists() {
        wait_for_lock(&file).unwrap();
    }
    let config = sled::Config::new().path(dir.join("snapshots")).segment_size(segment_bytes);
    config.flush_every_ms(None).open().unwrap()
}

fn keys(db: &sled::Db, prefix: &str) -> Vec<sled::IVec> {
    db.scan_prefix(prefix).keys().map(Result::unwrap).collect()
}

#[test]
fn dead_packs_are_deleted_and_sparse_ones_moved() {
    let dir = tempfile::tempdir().unwrap();
    // Packs of 4 KiB.
    let options = || StoreOptions { sled_segment_bytes: 2 << 20, ..store_options(dir.path()) };
    let store = DiskStore::open(options()).unwrap();
    // Entity 0 of every ten is written once, the others again and again: the first packs stay, nearly dead.
    store.put((0..1000).map(|number| snapshot(number, 1, 300)).collect()).unwrap();
    for covers in 2..30 {
        let changed = (0..1000).filter(|number| number % 10 != 0);
        store.put(changed.map(|number| snapshot(number, covers, 300)).collect()).unwrap();
    }
    let stats = store.stats();
    assert!(stats.compactions > 0);
    assert_eq!(stats.entities, 1000);
    // 1,000 states of 333 bytes, at most three times what they take.
    assert!(stats.packs <= 3 * 91, "{stats:?}");
    for number in 0..1000 {
        let covers = if number % 10 == 0 { 1 } else { 29 };
        assert_eq!(store.get(&key(number)).unwrap().unwrap().covers, covers);
    }
    drop(store);
    let db = sled_of(dir.path(), 2 << 20);
    assert_eq!(keys(&db, "i").len() as u64, stats.packs, "deleted packs are gone from sled");
    drop(db);
    assert_eq!(DiskStore::open(options()).unwrap().stats().packs, stats.packs);
}

#[test]
fn large_states_lie_in_parts_and_no_blob_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    for covers in 0..20 {
        store.put((0..30).map(|number| snapshot(number, covers, 30_000)).collect()).unwrap();
    }
    drop(store);
    assert_eq!(fs::read_dir(dir.path().join("snapshots/blobs")).unwrap().count(), 0);
    let db = sled(dir.path());
    assert_eq!((keys(&db, "i").len(), keys(&db, "s").len()), (30, 30 * 5));
}

#[test]
fn a_missing_part_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let all = keys(&sled(dir.path()), "s");
    for (position, missing) in all.iter().enumerate() {
        let scratch = tempfile::tempdir().unwrap();
        copy(dir.path(), scratch.path());
        let db = sled(scratch.path());
        match position % 2 {
            0 => db.remove(missing).unwrap(),
            _ => db.insert(missing, b"").unwrap(),
        };
        drop(db);
        let error = refusal(scratch.path()).to_string();
        let [pack, part] =
            [&missing[5..9], &missing[9..13]].map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        let place = format!("pack {pack}, part {part}: an index names it, but it is missing");
        assert!(error.contains(&place) && error.contains("restore"), "{position}: {error}");
    }
}

#[test]
fn a_missing_index_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let db = sled(dir.path());
    db.remove(&keys(&db, "i")[1]).unwrap();
    drop(db);
    assert!(refusal(dir.path()).to_string().contains("no index names it"));
}

#[test]
fn a_flipped_bit_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    for prefix in ["i", "s", "m"] {
        for offset in [0, 1, 5, 9] {
            let scratch = tempfile::tempdir().unwrap();
            copy(dir.path(), scratch.path());
            let db = sled(scratch.path());
            let key = keys(&db, prefix)[0].clone();
            let mut value = db.get(&key).unwrap().unwrap().to_vec();
            value[offset] ^= 1;
            db.insert(&key, value).unwrap();
            drop(db);
            let error = refusal(scratch.path());
            assert!(matches!(error, StorageError::Damaged { .. }), "{prefix} {offset}: {error}");
        }
    }
}

#[test]
fn a_missing_or_older_store_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (today, yesterday) = (dir.path().join("today"), dir.path().join("yesterday"));
    closed(&today);
    copy(&today, &yesterday);
    let store = open_store(&today);
    store.put(vec![snapshot(1, 8, 10)]).unwrap();
    drop(store);
    let mark = fs::read(today.join("snapshots.mark")).unwrap();
    fs::remove_file(today.join("snapshots.mark")).unwrap();
    assert!(matches!(refusal(&today), StorageError::MarkMissing { .. }));
    fs::write(today.join("snapshots.mark"), mark).unwrap();
    fs::remove_dir_all(today.join("snapshots")).unwrap();
    assert!(matches!(refusal(&today), StorageError::BehindMark { last: 0, mark: 2, .. }));
    copy(&yesterday.join("snapshots"), &today.join("snapshots"));
    let error = refusal(&today);
    assert!(matches!(error, StorageError::BehindMark { last: 1, mark: 2, .. }), "{error}");
}

#[test]
fn a_store_that_is_older_than_a_cut_of_the_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (today, yesterday) = (dir.path().join("today"), dir.path().join("yesterday"));
    closed(&today);
    copy(&today, &yesterday);
    let store = open_store(&today);
    store.note_cut(8).unwrap();
    store.close().unwrap();
    assert!(matches!(store.note_cut(9), Err(StorageError::Closed)));
    drop(store);
    let store = open_store(&today);
    store.put(vec![snapshot(1, 9, 10)]).unwrap();
    drop(store);
    let store = open_store(&today);
    assert!((1..=8).all(|first| store.check_cut(first).is_ok()));
    assert!(matches!(store.check_cut(9), Err(StorageError::OlderThanCut { first: 9, cut: 8, .. })));
    // The copy from before the cut, and one that was emptied with its mark.
    for dir in [yesterday, dir.path().join("empty")] {
        let store = open_store(&dir);
        store.check_cut(1).unwrap();
        let error = store.check_cut(8).unwrap_err().to_string();
        assert!(
            error.contains("snapshots") && error.contains("restore the data folder as a whole"),
            "{error}"
        );
    }
}

#[test]
fn the_most_changes_of_the_keys_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    assert_eq!(store.keys_noted(), 0);
    for (changes, noted) in [(3, 3), (2, 3), (5, 5)] {
        store.note_keys(changes).unwrap();
        assert_eq!(store.keys_noted(), noted);
    }
    drop(store);
    let store = open_store(dir.path());
    store.put(vec![snapshot(1, 8, 10)]).unwrap();
    store.note_cut(5).unwrap();
    store.close().unwrap();
    assert!(matches!(store.note_keys(6), Err(StorageError::Closed)));
    drop(store);
    assert_eq!(open_store(dir.path()).keys_noted(), 5);
}

#[test]
fn a_store_of_an_earlier_program_takes_any_journal_until_the_next_cut() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let db = sled(dir.path());
    let numbers = db.get("m").unwrap().unwrap()[..16].to_vec();
    db.insert("m", [&numbers[..], &crc32fast::hash(&numbers).to_le_bytes()].concat()).unwrap();
    drop(db);
    let store = open_store(dir.path());
    store.check_cut(1_000_000).unwrap();
    assert_eq!(store.keys_noted(), 0);
    store.put(vec![snapshot(1, 8, 10)]).unwrap();
    drop(store);
    let store = open_store(dir.path());
    store.check_cut(1_000_000).unwrap();
    store.note_cut(5).unwrap();
    assert!(store.check_cut(6).is_err());
}

#[test]
fn a_blob_stops_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_store(dir.path());
    store.put(vec![snapshot(1, 1, 10)]).unwrap();
    let blob = dir.path().join("snapshots/blobs/1");
    fs::write(&blob, b"").unwrap();
    assert!(matches!(store.put(vec![snapshot(1, 2, 10)]), Err(StorageError::Blobs { .. })));
    drop(store);
    assert!(matches!(refusal(dir.path()), StorageError::Blobs { .. }));
}

#[test]
fn what_an_interrupted_put_left_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let db = sled(dir.path());
    let (parts, last) = (keys(&db, "s").len(), db.get("m").unwrap().unwrap());
    let next_pack = u64::from_le_bytes(last[8..16].try_into().unwrap());
    // A part without its index, as if the put had died in between.
    let leftover = [b"s".as_slice(), &next_pack.to_be_bytes(), &[0; 4]].concat();
    db.insert(leftover, b"torn").unwrap();
    // Keys whose values were still to come.
    let later = (next_pack + 1).to_be_bytes();
    db.insert([b"s".as_slice(), &later, &[0; 4]].concat(), b"").unwrap();
    for pack in next_pack..next_pack + 2 {
        db.insert([b"i".as_slice(), &pack.to_be_bytes()].concat(), b"").unwrap();
    }
    drop(db);
    let store = open_store(dir.path());
    assert_eq!(store.stats().entities, 101);
    store.put(vec![snapshot(600, 8, 10)]).unwrap();
    drop(store);
    let db = sled(dir.path());
    assert_eq!(keys(&db, "s").len(), parts + 1);
    assert!(db.iter().all(|entry| !entry.unwrap().1.is_empty()));
    drop(db);
    assert_eq!(open_store(dir.path()).get(&key(600)).unwrap().unwrap().covers, 8);
}

#[test]
fn an_interrupted_removal_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let db = sled(dir.path());
    let large = keys(&db, "s").iter().rfind(|key| key[9..] == [0, 0, 0, 4]).unwrap().clone();
    let pack = u64::from_be_bytes(large[1..9].try_into().unwrap());
    db.insert([b"i", &large[1..9]].concat(), crate::store::dead_index(pack, 5)).unwrap();
    db.remove([b"s".as_slice(), &large[1..9], &[0; 4]].concat()).unwrap();
    drop(db);
    let store = open_store(dir.path());
    assert_eq!(store.stats().entities, 100);
    drop(store);
    let db = sled(dir.path());
    assert!(keys(&db, "s").iter().all(|key| key[1..9] != large[1..9]));
    assert!(keys(&db, "i").iter().all(|key| key[1..] != large[1..9]));
}
