//! Random lives of a journal and a store against simple models.

use std::collections::BTreeMap;

use proptest::{prelude::*, test_runner::Config};

use super::support::{NEVER, SOON, batch_of, event_of, expect, key, open_store, options, snapshot};
use crate::{DiskJournal, Journal, SnapshotStore, disk::Disk};

#[derive(Debug, Clone)]
enum JournalStep {
    Append { count: u32, length: usize },
    Truncate { percent: u64 },
    Replay { percent: u64 },
    Reopen { plain: bool, feed: bool },
}

fn journal_step() -> impl Strategy<Value = JournalStep> {
    prop_oneof![
        12 => (1..120_u32, 8..700_usize).prop_map(|(count, length)| JournalStep::Append { count, length }),
        2 => (0..110_u64).prop_map(|percent| JournalStep::Truncate { percent }),
        2 => (0..100_u64).prop_map(|percent| JournalStep::Replay { percent }),
        2 => any::<(bool, bool)>().prop_map(|(plain, feed)| JournalStep::Reopen { plain, feed }),
    ]
}

/// Failing cases are printed with their seed and steps; nothing is kept beside the sources.
fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn a_journal_holds_every_event_through_any_life(
        steps in proptest::collection::vec(journal_step(), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = DiskJournal::open(options(dir.path(), SOON)).unwrap().0;
        let mut last = 0;
        for step in steps {
            match step {
                JournalStep::Append { count, length } => {
                    let records = (last + 1..=last + u64::from(count)).map(|at| event_of(at, length));
                    journal.append(batch_of(last + 1, records)).unwrap();
                    last += u64::from(count);
                }
                JournalStep::Truncate { percent } => {
                    journal.truncate_before(last * percent / 100).unwrap();
                    prop_assert!(journal.first() <= last.max(1));
                }
                JournalStep::Replay { percent } => expect(&journal, (last * percent / 100).max(1)..=last),
                JournalStep::Reopen { plain, feed } => {
                    drop(journal);
                    let disk = if plain { Disk::plain() } else { Disk::default() };
                    let interval = if feed { SOON } else { NEVER };
                    journal = DiskJournal::open_on(&disk, &options(dir.path(), interval)).unwrap().0;
                }
            }
            prop_assert_eq!(journal.last(), last);
        }
        expect(&journal, 1..=last);
    }
}

#[derive(Debug, Clone)]
enum StoreStep {
    Put(Vec<(u64, u64, usize)>),
    Reopen,
}

fn store_step() -> impl Strategy<Value = StoreStep> {
    let length = prop_oneof![20 => 0..600_usize, 1 => 4_000..40_000_usize];
    let record = (0..60_u64, 0..50_u64, length);
    prop_oneof![
        8 => proptest::collection::vec(record, 1..40).prop_map(StoreStep::Put),
        1 => Just(StoreStep::Reopen),
    ]
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn a_store_holds_the_newest_state_through_any_life(
        steps in proptest::collection::vec(store_step(), 1..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = open_store(dir.path());
        let mut model = BTreeMap::<u64, (u64, usize)>::new();
        for step in steps {
            match step {
                StoreStep::Put(records) => {
                    for &(number, covers, length) in &records {
                        let newest = model.entry(number).or_insert((covers, length));
                        if covers >= newest.0 {
                            *newest = (covers, length);
                        }
                    }
                    let records = records.iter().map(|&(number, covers, length)| snapshot(number, covers, length));
                    store.put(records.collect()).unwrap();
                }
                StoreStep::Reopen => {
                    drop(store);
                    store = open_store(dir.path());
                }
            }
        }
        for round in 0..2 {
            let mut scanned = BTreeMap::new();
            store.scan(&mut |key, covers, index| {
                assert!(scanned.insert(*key, (covers, index.to_vec())).is_none(), "visited twice");
            }).unwrap();
            prop_assert_eq!(scanned.len(), model.len());
            for (&number, &(covers, length)) in &model {
                let wanted = snapshot(number, covers, length);
                let found = store.get(&key(number)).unwrap().unwrap();
                prop_assert_eq!((found.covers, found.state), (covers, wanted.state));
                prop_assert_eq!(&scanned[&key(number)], &(covers, wanted.index));
            }
            if round == 0 {
                drop(store);
                store = open_store(dir.path());
            }
        }
    }
}
