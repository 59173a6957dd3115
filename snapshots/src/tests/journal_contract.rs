//! What every journal does, on disk and in memory.

use std::{ops::ControlFlow, path::Path};

use super::support::{NEVER, SOON, batch, batch_of, event, expect, fill, open};
use crate::{Batch, DiskJournal, Journal, MemoryJournal, StorageError, disk::Disk, memory::Failure};

/// A journal that can be opened again.
trait Life {
    fn journal(&self) -> &dyn Journal;
    /// Ends this life without closing and begins the next.
    fn next(&mut self);
}

struct OnDisk<'a> {
    dir: &'a Path,
    journal: Option<DiskJournal>,
}

impl Life for OnDisk<'_> {
    fn journal(&self) -> &dyn Journal {
        self.journal.as_ref().unwrap()
    }

    fn next(&mut self) {
        drop(self.journal.take());
        self.journal = Some(open(self.dir, SOON).0);
    }
}

struct InMemory(MemoryJournal);

impl Life for InMemory {
    fn journal(&self) -> &dyn Journal {
        &self.0
    }

    fn next(&mut self) {
        self.0 = self.0.crash();
    }
}

/// Runs a check on both twins, each with a journal of its own.
fn both(check: impl Fn(&mut dyn Life)) {
    check(&mut InMemory(MemoryJournal::new()));
    for interval in [SOON, NEVER] {
        let dir = tempfile::tempdir().unwrap();
        check(&mut OnDisk { dir: dir.path(), journal: Some(open(dir.path(), interval).0) });
    }
}

#[test]
fn begins_empty() {
    both(|life| {
        let journal = life.journal();
        assert_eq!((journal.first(), journal.last()), (1, 0));
        journal.replay(0, &mut |_, _| panic!("there is nothing")).unwrap();
        journal.truncate_before(100).unwrap();
    });
}

#[test]
fn replays_from_anywhere_in_this_life_and_the_next() {
    both(|life| {
        for size in [1, 7, 200, 1] {
            fill(life.journal(), 5, size);
        }
        let last = life.journal().last();
        assert_eq!(last, 5 * 209);
        for from in [1, 2, 6, 7, 500, last] {
            expect(life.journal(), from..=last);
        }
        life.next();
        assert_eq!(life.journal().last(), last);
        fill(life.journal(), 3, 10);
        expect(life.journal(), 1..=last + 30);
    });
}

#[test]
fn stops_when_told() {
    both(|life| {
        fill(life.journal(), 3, 10);
        let mut seen = Vec::new();
        let mut visit = |sequence, record: &[u8]| {
            seen.push((sequence, record.to_vec()));
            if sequence == 15 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        life.journal().replay(14, &mut visit).unwrap();
        assert_eq!(seen, [(14, event(14)), (15, event(15))]);
    });
}

#[test]
fn refuses_gaps_repetitions_and_malformed_batches_for_good() {
    type Wrong = fn() -> Batch;
    let wrong: [(Wrong, &str); 6] = [
        (|| batch(12, 1), "journal expects 11"),
        (|| batch(10, 1), "journal expects 11"),
        (|| batch(11, 0), "at least one record"),
        (|| Batch { count: 3, ..batch(11, 2) }, "not the number of records"),
        (|| Batch { count: 1, ..batch(11, 2) }, "not the number of records"),
        (|| Batch { bytes: vec![9, 0, 0, 0, 1], ..batch(11, 1) }, "not the number of records"),
    ];
    for (wrong, message) in wrong {
        both(|life| {
            fill(life.journal(), 1, 10);
            let error = life.journal().append(wrong()).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            let again = life.journal().append(batch(11, 1)).unwrap_err().to_string();
            assert_eq!(again, error, "an error is final");
            assert_eq!(life.journal().last(), 10);
            life.next();
            fill(life.journal(), 1, 1);
            expect(life.journal(), 1..=11);
        });
    }
}

#[test]
fn truncates_whole_chunks_and_still_replays_them() {
    both(|life| {
        fill(life.journal(), 20, 50);
        life.next();
        for (limit, reached) in [(0, 0), (300, 300), (200, 300), (600, 600), (100_000, 1000)] {
            let journal = life.journal();
            journal.truncate_before(limit).unwrap();
            assert!(journal.first() <= reached.max(1), "{limit}: {}", journal.first());
            expect(journal, 1..=1000);
        }
        assert!(life.journal().first() > 600);
        assert_eq!(life.journal().stats().archived_events, life.journal().first() - 1);
        life.next();
        expect(life.journal(), 1..=1000);
        fill(life.journal(), 1, 5);
        expect(life.journal(), 990..=1005);
    });
}

#[test]
fn replays_while_it_appends_and_truncates() {
    both(|life| {
        let journal = life.journal();
        fill(journal, 1, 1);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for round in 0..300 {
                    fill(journal, 1, 20);
                    if round % 50 == 49 {
                        journal.truncate_before(journal.last() / 2).unwrap();
                    }
                }
            });
            while !writer.is_finished() {
                let (durable, mut last) = (journal.last(), 0);
                let mut visit = |sequence, record: &[u8]| {
                    assert_eq!((sequence, record), (last + 1, event(sequence).as_slice()));
                    last = sequence;
                    ControlFlow::Continue(())
                };
                journal.replay(1, &mut visit).unwrap();
                assert!(last >= durable, "{last} < {durable}");
            }
        });
        expect(journal, 1..=6001);
    });
}

#[test]
fn counts() {
    both(|life| {
        fill(life.journal(), 4, 25);
        let stats = life.journal().stats();
        assert_eq!((stats.batches, stats.events), (4, 100));
        assert!(stats.written_bytes >= 100 * 12);
    });
}

#[test]
fn closes_once_and_for_all() {
    both(|life| {
        fill(life.journal(), 4, 25);
        life.journal().close().unwrap();
        assert!(matches!(life.journal().append(batch(101, 1)), Err(StorageError::Closed)));
        life.next();
        expect(life.journal(), 1..=100);
    });
}

#[test]
fn a_clean_close_leaves_nothing_in_the_log() {
    for disk in [Disk::default(), Disk::plain()] {
        let dir = tempfile::tempdir().unwrap();
        let (journal, report) =
            DiskJournal::open_on(&disk, &super::support::options(dir.path(), NEVER)).unwrap();
        assert!(!(report.direct_io && disk.plain_writes));
        fill(&journal, 4, 25);
        journal.close().unwrap();
        journal.close().unwrap();
        drop(journal);
        let report = open(dir.path(), NEVER).1;
        assert_eq!((report.first, report.last, report.from_log, report.dropped_torn), (1, 100, 0, false));
    }
}

#[test]
fn a_record_that_fits_no_chunk_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let journal = open(dir.path(), SOON).0;
    let max = journal.max_record_bytes();
    journal.append(batch_of(1, [vec![1; max]].into_iter())).unwrap();
    let error = journal.append(batch_of(2, [vec![1; max + 1]].into_iter())).unwrap_err();
    assert!(matches!(error, StorageError::RecordTooLarge { sequence: 2, .. }), "{error}");
}

#[test]
fn memory_loses_what_was_not_durable() {
    for (failure, survives) in [(Failure::Lost, 10), (Failure::Kept, 20)] {
        let journal = MemoryJournal::new();
        fill(&journal, 1, 10);
        journal.fail_next_append(failure);
        journal.append(batch(11, 10)).unwrap_err();
        assert_eq!(journal.last(), 10, "a failed append is not durable");
        journal.append(batch(11, 10)).unwrap_err();
        let next = journal.crash();
        expect(&next, 1..=survives);
    }
}

#[test]
fn memory_crash_ends_held_appends() {
    let journal = MemoryJournal::new();
    journal.hold();
    std::thread::scope(|scope| {
        let held = scope.spawn(|| journal.append(batch(1, 1)));
        let next = journal.crash();
        assert!(held.join().unwrap().is_err());
        assert_eq!(next.last(), 0);
    });
}
