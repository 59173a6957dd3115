//! Segments used many times round, batches of every size, and the limits on both.

use super::support::{NEVER, SOON, batch, batch_of, event_of, expect, fill, open, options, wait_until_fed};
use crate::{DiskJournal, Journal, disk::Disk};

#[test]
fn segments_go_round_and_stay_few() {
    for (disk, interval) in [(Disk::default(), SOON), (Disk::plain(), SOON), (Disk::default(), NEVER)] {
        let dir = tempfile::tempdir().unwrap();
        let journal = DiskJournal::open_on(&disk, &options(dir.path(), interval)).unwrap().0;
        // 15 batches of one block fill a segment: 67 generations.
        for _ in 0..1000 {
            fill(&journal, 1, 5);
            let stats = journal.stats();
            assert!(stats.wal_segments <= 8 && stats.wal_segments_used <= stats.wal_segments, "{stats:?}");
        }
        expect(&journal, 1..=5000);
        drop(journal);
        let (journal, report) = open(dir.path(), NEVER);
        assert_eq!((report.last, report.dropped_torn), (5000, false));
        expect(&journal, 1..=5000);
    }
}

#[test]
fn every_life_goes_on_where_the_last_one_ended() {
    let dir = tempfile::tempdir().unwrap();
    for life in 0..30 {
        let (journal, report) = open(dir.path(), if life % 2 == 0 { SOON } else { NEVER });
        assert_eq!(report.last, life * 200);
        fill(&journal, 20, 10);
        expect(&journal, 1..=(life + 1) * 200);
    }
}

#[test]
fn another_segment_size_is_taken_up() {
    let dir = tempfile::tempdir().unwrap();
    for (life, kib) in [64, 256, 16].into_iter().enumerate() {
        let mut changed = options(dir.path(), SOON);
        changed.segment_bytes = kib << 10;
        let journal = DiskJournal::open(changed).unwrap().0;
        fill(&journal, 50, 10);
        expect(&journal, 1..=(life as u64 + 1) * 500);
    }
}

#[test]
fn a_batch_larger_than_a_segment_is_taken_whole() {
    for interval in [SOON, NEVER] {
        let dir = tempfile::tempdir().unwrap();
        let journal = open(dir.path(), interval).0;
        fill(&journal, 3, 10);
        for _ in 0..3 {
            let first = journal.last() + 1;
            journal.append(batch_of(first, (first..first + 1000).map(|at| event_of(at, 300)))).unwrap();
            fill(&journal, 3, 10);
        }
        let last = journal.last();
        assert_eq!(last, 30 + 3 * 1030);
        expect(&journal, 1..=last);
        assert!(journal.stats().wal_segments <= 8);
        drop(journal);
        expect(&open(dir.path(), NEVER).0, 1..=last);
    }
}

#[test]
fn a_batch_that_just_fits_a_segment_and_one_that_just_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), SOON).0;
    let room = (64 << 10) - 4096 - 64;
    for excess in [0, 1, 0] {
        let first = journal.last() + 1;
        let small = batch_of(first, (first..first + 99).map(|at| event_of(at, 600)));
        let rest = room + excess - small.bytes.len() - 4;
        let whole = batch_of(
            first,
            (first..first + 100).map(|at| event_of(at, if at == first + 99 { rest } else { 600 })),
        );
        assert_eq!(whole.bytes.len(), room + excess);
        journal.append(whole).unwrap();
    }
    expect(&journal, 1..=300);
}

#[test]
fn a_trickle_does_not_become_one_chunk_each() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), SOON).0;
    for _ in 0..300 {
        journal.append(batch(journal.last() + 1, 1)).unwrap();
        wait_until_fed(&journal);
    }
    let chunks = journal.stats().live_chunks;
    assert!(chunks < 40, "{chunks} chunks");
    drop(journal);
    expect(&open(dir.path(), NEVER).0, 1..=300);
}
