//! Missing, empty, older and damaged databases, marks and locks.

use std::{fs, path::Path};

use super::support::{NEVER, copy, expect, fill, open, options, refusal, wait_for_segments};
use crate::{DiskJournal, Journal, StorageError, sled_db::wait_for_lock};

/// A closed journal of 500 events.
fn closed(dir: &Path) {
    let journal = open(dir, NEVER).0;
    fill(&journal, 10, 50);
    journal.close().unwrap();
}

/// Opens the sled of a journal as this crate does.
fn sled(dir: &Path) -> sled::Db {
    let file = dir.join("journal/db");
    if file.exists() {
        wait_for_lock(&file).unwrap();
    }
    let config = sled::Config::new().path(dir.join("journal")).segment_size(512 << 10);
    config.flush_every_ms(None).open().unwrap()
}

fn chunk_keys(db: &sled::Db) -> Vec<sled::IVec> {
    db.iter().keys().map(Result::unwrap).collect()
}

#[test]
fn a_second_opening_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let _journal = open(dir.path(), NEVER).0;
    let error = refusal(dir.path());
    assert!(matches!(error, StorageError::InUse { .. }));
    assert!(error.to_string().contains("LOCK"));
}

#[test]
fn a_missing_or_empty_sled_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    fs::remove_dir_all(dir.path().join("journal")).unwrap();
    let error = refusal(dir.path());
    assert!(matches!(error, StorageError::BehindMark { last: 0, mark: 500, .. }), "{error}");
    drop(sled(dir.path()));
    let error = refusal(dir.path());
    assert!(matches!(error, StorageError::BehindMark { last: 0, mark: 500, .. }), "{error}");
}

#[test]
fn a_missing_mark_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    fs::remove_file(dir.path().join("journal.mark")).unwrap();
    assert!(matches!(refusal(dir.path()), StorageError::MarkMissing { .. }));
}

#[test]
fn yesterdays_sled_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (today, yesterday) = (dir.path().join("today"), dir.path().join("yesterday"));
    closed(&today);
    copy(&today, &yesterday);
    closed(&today);
    fs::remove_dir_all(today.join("journal")).unwrap();
    copy(&yesterday.join("journal"), &today.join("journal"));
    let error = refusal(&today);
    assert!(matches!(error, StorageError::BehindMark { last: 500, mark: 1000, .. }), "{error}");
    assert!(error.to_string().contains("older copy"), "{error}");
}

#[test]
fn yesterdays_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (live, today, yesterday) =
        (dir.path().join("live"), dir.path().join("today"), dir.path().join("yesterday"));
    closed(&live);
    copy(&live, &yesterday);
    let journal = open(&live, NEVER).0;
    fill(&journal, 1, 50);
    wait_for_segments(&journal, 2);
    copy(&live, &today);
    fs::remove_dir_all(today.join("wal")).unwrap();
    copy(&yesterday.join("wal"), &today.join("wal"));
    assert!(matches!(refusal(&today), StorageError::MissingSegment { .. }));
}

#[test]
fn yesterdays_mark_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (today, yesterday) = (dir.path().join("today"), dir.path().join("yesterday"));
    closed(&today);
    copy(&today, &yesterday);
    closed(&today);
    fs::copy(yesterday.join("journal.mark"), today.join("journal.mark")).unwrap();
    let (journal, report) = open(&today, NEVER);
    assert_eq!(report.last, 1000);
    expect(&journal, 1..=1000);
}

#[test]
fn a_missing_or_older_archive_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (today, yesterday) = (dir.path().join("today"), dir.path().join("yesterday"));
    closed(&today);
    copy(&today, &yesterday);
    let cut = |below| {
        let journal = open(&today, NEVER).0;
        journal.truncate_before(below).unwrap();
        journal.close().unwrap();
        journal.first()
    };
    assert!(cut(200) > 1);
    copy(&today, &yesterday);
    let first = cut(400);
    for archive in [None, Some(yesterday.join("archive"))] {
        fs::remove_dir_all(today.join("archive")).unwrap();
        if let Some(archive) = archive {
            copy(&archive, &today.join("archive"));
        }
        let error = refusal(&today);
        assert!(matches!(error, StorageError::MissingEvents { to, .. } if to == first - 1), "{error}");
        assert!(error.to_string().contains("archive"), "{error}");
    }
}

#[test]
fn the_whole_of_yesterday_is_a_backup() {
    let dir = tempfile::tempdir().unwrap();
    let (today, yesterday) = (dir.path().join("today"), dir.path().join("yesterday"));
    closed(&today);
    copy(&today, &yesterday);
    let (journal, _) = open(&yesterday, NEVER);
    expect(&journal, 1..=500);
    fill(&journal, 1, 10);
}

#[test]
fn a_flipped_bit_in_a_chunk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let db = sled(dir.path());
    let key = chunk_keys(&db)[3].clone();
    let whole = db.get(&key).unwrap().unwrap();
    drop(db);
    for offset in [0, 1, 5, 13, 17, 40, whole.len() - 1] {
        let mut value = whole.to_vec();
        value[offset] ^= 4;
        let db = sled(dir.path());
        db.insert(&key, value).unwrap();
        drop(db);
        let error = refusal(dir.path());
        assert!(matches!(error, StorageError::Damaged { .. }), "{offset}: {error}");
        let first = u64::from_be_bytes(key.as_ref().try_into().unwrap());
        assert!(error.to_string().contains(&format!("the chunk of event {first}")), "{error}");
    }
}

#[test]
fn a_missing_chunk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let db = sled(dir.path());
    let keys = chunk_keys(&db);
    db.remove(&keys[3]).unwrap();
    drop(db);
    let from = u64::from_be_bytes(keys[3].as_ref().try_into().unwrap());
    let error = refusal(dir.path());
    assert!(matches!(error, StorageError::MissingEvents { from: found, .. } if found == from), "{error}");
}

#[test]
fn a_database_of_random_bytes_is_refused_without_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let path = dir.path().join("journal/db");
    let mut bytes = fs::read(&path).unwrap();
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    for byte in &mut bytes {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        *byte = noise as u8;
    }
    fs::write(&path, bytes).unwrap();
    for snapshot in fs::read_dir(dir.path().join("journal")).unwrap() {
        let path = snapshot.unwrap().path();
        if path.file_name().unwrap().to_str().unwrap().starts_with("snap") {
            fs::remove_file(path).unwrap();
        }
    }
    let error = refusal(dir.path());
    assert!(error.to_string().contains("journal"), "{error}");
}

#[test]
fn a_blob_stops_the_start_and_the_running_journal() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), NEVER).0;
    fill(&journal, 1, 10);
    let blob = dir.path().join("journal/blobs/1");
    fs::write(&blob, b"").unwrap();
    assert!(matches!(journal.close(), Err(StorageError::Blobs { .. })));
    assert!(matches!(journal.append(super::support::batch(11, 1)), Err(StorageError::Blobs { .. })));
    drop(journal);
    assert!(matches!(refusal(dir.path()), StorageError::Blobs { .. }));
    fs::remove_file(blob).unwrap();
    expect(&open(dir.path(), NEVER).0, 1..=10);
}

#[test]
fn settings_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |change: fn(&mut crate::JournalOptions)| {
        let mut wrong = options(dir.path(), NEVER);
        change(&mut wrong);
        DiskJournal::open(wrong).err().unwrap().to_string()
    };
    assert!(refused(|options| options.segment_bytes = 5000).contains("segment_bytes"));
    assert!(refused(|options| options.segment_bytes = 8192).contains("segment_bytes"));
    assert!(refused(|options| options.segments = 1).contains("segments"));
    assert!(refused(|options| options.sled_segment_bytes = 3 << 20).contains("sled_segment_bytes"));
}

/// A chunk as the journal writes it.
fn chunk(first: u64, format: u8) -> Vec<u8> {
    let records = super::support::batch(first, 5);
    let mut value =
        [&[format, 0, 0, 0, 0][..], &first.to_le_bytes(), &5_u32.to_le_bytes(), &records.bytes].concat();
    let checksum = crc32fast::hash(&value[5..]);
    value[1..5].copy_from_slice(&checksum.to_le_bytes());
    value
}

#[test]
fn a_large_batch_without_its_end_is_dropped() {
    for (formats, last) in [(vec![2], 500), (vec![2, 2], 500), (vec![2, 2, 1], 515), (vec![2, 1, 2], 510)] {
        let dir = tempfile::tempdir().unwrap();
        closed(dir.path());
        let db = sled(dir.path());
        for (first, format) in (501_u64..).step_by(5).zip(&formats) {
            db.insert(first.to_be_bytes(), chunk(first, *format)).unwrap();
        }
        drop(db);
        for _ in 0..2 {
            let (journal, report) = open(dir.path(), NEVER);
            assert_eq!(report.last, last, "{formats:?}");
            expect(&journal, 1..=last);
        }
        let journal = open(dir.path(), NEVER).0;
        fill(&journal, 3, 10);
        drop(journal);
        expect(&open(dir.path(), NEVER).0, 1..=last + 30);
    }
}

#[test]
fn a_key_whose_value_did_not_come_is_nothing() {
    let dir = tempfile::tempdir().unwrap();
    closed(dir.path());
    let db = sled(dir.path());
    for (first, value) in [(501_u64, chunk(501, 1)), (506, Vec::new()), (511, Vec::new())] {
        db.insert(first.to_be_bytes(), value).unwrap();
    }
    drop(db);
    let (journal, report) = open(dir.path(), NEVER);
    assert_eq!(report.last, 505);
    drop(journal);
    let db = sled(dir.path());
    assert!(db.iter().all(|entry| !entry.unwrap().1.is_empty()));
    // Values come in order: one behind a key without its own is a loss.
    db.insert(506_u64.to_be_bytes(), b"").unwrap();
    db.insert(511_u64.to_be_bytes(), chunk(511, 1)).unwrap();
    drop(db);
    let error = refusal(dir.path());
    assert!(matches!(error, StorageError::MissingEvents { from: 506, to: 510, .. }), "{error}");
}
