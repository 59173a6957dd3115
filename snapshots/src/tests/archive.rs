//! The archive behind a journal: retention, damage, leftovers of an interrupted truncation.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::support::{ID, NEVER, batch_of, copy, expect, fill, flip, open, options, refusal};
use crate::{DiskJournal, Journal, StorageError, archive::Archive};

/// A closed journal of 1,000 events, cut three times; the last is after about 750 events.
fn cut(dir: &Path) {
    let journal = open(dir, NEVER).0;
    fill(&journal, 20, 50);
    journal.close().unwrap();
    drop(journal);
    let journal = open(dir, NEVER).0;
    for limit in [250, 500, 750] {
        journal.truncate_before(limit).unwrap();
    }
    journal.close().unwrap();
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(dir.join("archive")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn is_read_by_range_beside_the_journal() {
    let dir = tempfile::tempdir().unwrap();
    cut(dir.path());
    let archive = Archive::open(dir.path(), ID).unwrap();
    let bounds = archive.bounds().unwrap();
    assert!(*bounds.start() == 1 && (600..750).contains(bounds.end()), "{bounds:?}");
    assert_eq!(archive.size().0, *bounds.end());
    let mut seen = Vec::new();
    let mut visit = |sequence, record: &[u8]| {
        assert_eq!(record, super::support::event(sequence));
        seen.push(sequence);
        ControlFlow::Continue(())
    };
    assert_eq!(archive.replay(200..=400, &mut visit).unwrap(), Some(401));
    assert_eq!(seen, Vec::from_iter(200..=400));
}

#[test]
fn retention_deletes_the_oldest_files_and_replay_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let mut small = options(dir.path(), NEVER);
    small.archive_retention_bytes = Some(1);
    let journal = DiskJournal::open(small.clone()).unwrap().0;
    fill(&journal, 20, 50);
    journal.close().unwrap();
    drop(journal);
    let journal = DiskJournal::open(small).unwrap().0;
    journal.truncate_before(400).unwrap();
    journal.truncate_before(800).unwrap();
    assert_eq!(files(dir.path()).len(), 1);
    let Err(StorageError::NotKept { from: 1, oldest }) =
        journal.replay(1, &mut |_, _| ControlFlow::Continue(()))
    else {
        panic!("the oldest events are gone")
    };
    expect(&journal, oldest..=1000);
    assert_eq!(journal.stats().oldest_archived, Some(oldest));
}

/// Whoever cuts may rest between two files: after each, nothing is missing and nothing is kept twice.
#[test]
fn a_cut_goes_a_file_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), NEVER).0;
    let bytes = journal.max_record_bytes();
    let events = (40 << 20) / bytes as u64;
    for sequence in 1..=events {
        let mut record = vec![0; bytes];
        record[..8].copy_from_slice(&sequence.to_le_bytes());
        journal.append(batch_of(sequence, [record].into_iter())).unwrap();
    }
    journal.close().unwrap();
    drop(journal);
    let journal = open(dir.path(), NEVER).0;
    let mut steps = 0;
    while journal.truncate_some_before(events).unwrap() {
        steps += 1;
        assert_eq!(files(dir.path()).len(), steps);
        assert_eq!(journal.stats().archived_events, journal.first() - 1);
        expect(&journal, 1..=events);
    }
    assert!(steps > 1, "40 MiB are more than a file");
    assert_eq!(journal.first(), events, "only the newest is left");
}

/// A crash may leave a file that ends amid the live journal: how many events there are does not tell where they begin.
#[test]
fn the_oldest_event_is_known_where_archive_and_journal_overlap() {
    let dir = tempfile::tempdir().unwrap();
    cut(dir.path());
    let first = open(dir.path(), NEVER).0.first();
    let overlapping = first - 10..=first + 5;
    let archive = Archive::with_retention(&crate::disk::Disk::default(), dir.path(), ID, Some(1)).unwrap();
    let records = super::support::batch(first - 10, 16);
    archive.append(&overlapping, &records.bytes).unwrap();
    drop(archive);
    let journal = open(dir.path(), NEVER).0;
    assert_eq!(journal.first(), first, "the chunk was longer before");
    assert_eq!(journal.stats().oldest_archived, Some(first - 10));
    expect(&journal, first - 10..=1000);
}

#[test]
fn a_damaged_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    cut(dir.path());
    let path = files(dir.path()).remove(1);
    flip(&path, 100);
    let journal = open(dir.path(), NEVER).0;
    let error = journal.replay(1, &mut |_, _| ControlFlow::Continue(())).unwrap_err();
    assert!(matches!(error, StorageError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "{error}");
    drop(journal);
    flip(&path, 24);
    assert!(matches!(refusal(dir.path()), StorageError::Damaged { .. }));
}

#[test]
fn a_missing_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    cut(dir.path());
    for missing in [1, 2] {
        let scratch = tempfile::tempdir().unwrap();
        copy(dir.path(), scratch.path());
        fs::remove_file(files(scratch.path()).remove(missing)).unwrap();
        assert!(matches!(refusal(scratch.path()), StorageError::MissingEvents { .. }), "{missing}");
    }
}

#[test]
fn a_foreign_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    cut(dir.path());
    assert!(matches!(Archive::open(dir.path(), [1; 16]).err(), Some(StorageError::Foreign { .. })));
}

/// A data folder whose archive holds what sled holds too, as after a crash between the two.
fn interrupted(dir: &Path) -> PathBuf {
    let (image, later) = (dir.join("before"), dir.join("later"));
    let journal = open(&image, NEVER).0;
    fill(&journal, 20, 50);
    journal.close().unwrap();
    drop(journal);
    copy(&image, &later);
    let journal = open(&later, NEVER).0;
    journal.truncate_before(500).unwrap();
    copy(&later.join("archive"), &image.join("archive"));
    image
}

#[test]
fn an_interrupted_truncation_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let image = interrupted(dir.path());
    let (journal, report) = open(&image, NEVER);
    assert!(report.first > 400, "{report:?}");
    expect(&journal, 1..=1000);
}

#[test]
fn an_archive_that_contradicts_the_journal_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let image = interrupted(dir.path());
    for path in files(&image) {
        fs::remove_file(path).unwrap();
    }
    let archive = Archive::open(&image, ID).unwrap();
    let wrong = super::support::batch_of(1, (1..=500).map(|_| vec![7; 9]));
    archive.append(&(1..=500), &wrong.bytes).unwrap();
    let error = refusal(&image);
    assert!(error.to_string().contains("other events under the same sequences"), "{error}");
}
