//! The committer's hand-off: what is submitted is appended in its order, whoever waits is let go, and nobody before
//! the journal is durable up to what they need.

use std::sync::Arc;
use std::time::Duration;

use relampago_actors::{Reply, Sequence};
use relampago_snapshots::journal::Visit;
use relampago_snapshots::{Batch, Journal, JournalStats, StorageError};
use shuttle::rand::Rng as _;
use shuttle::{future, thread};

use super::explore;
use crate::api::AskError;
use crate::committer::{Committer, Gather};
use crate::failure::Failure;
use crate::reply::{Admitted, Asked, Asker, Verdict};
use crate::sync::{AtomicU64, Mutex};

/// Commands of each client, one after the other.
const COMMANDS: usize = 2;
const CLIENTS: u64 = 3;
/// More than there ever are.
const ADMITTED: usize = 100;

/// A journal that takes its time, and may fail.
pub(super) struct SlowJournal {
    /// The first records of all events, in order.
    written: Mutex<Vec<u64>>,
    durable: AtomicU64,
    /// It fails with the batch that holds this one.
    fails_at: Option<Sequence>,
}

impl SlowJournal {
    pub(super) fn new(fails_at: Option<Sequence>) -> Self {
        Self { written: Mutex::default(), durable: AtomicU64::new(0), fails_at }
    }

    pub(super) fn durable(&self) -> Sequence {
        self.durable.load(std::sync::atomic::Ordering::Acquire)
    }
}

impl Journal for SlowJournal {
    fn append(&self, batch: Batch) -> Result<(), StorageError> {
        let mut written = self.written.lock();
        assert_eq!(batch.first, written.len() as u64 + 1, "a batch is out of order");
        assert_eq!(batch.records().count(), batch.count as usize, "a batch is not what it says");
        for record in batch.records() {
            written.push(u64::from_le_bytes(record.try_into().unwrap()));
        }
        drop(written);
        // The wait for the disk.
        thread::yield_now();
        if self.fails_at.is_some_and(|fails| fails <= batch.last()) {
            return Err(StorageError::Closed);
        }
        self.durable.store(batch.last(), std::sync::atomic::Ordering::Release);
        Ok(())
    }

    fn check(&self) -> Result<(), StorageError> {
        Ok(())
    }

    fn last(&self) -> Sequence {
        self.durable()
    }

    fn first(&self) -> Sequence {
        1
    }

    fn replay(&self, _: Sequence, _: Visit<'_>) -> Result<(), StorageError> {
        Ok(())
    }

    fn truncate_some_before(&self, _: Sequence) -> Result<bool, StorageError> {
        Ok(false)
    }

    fn max_record_bytes(&self) -> usize {
        usize::MAX
    }

    fn stats(&self) -> JournalStats {
        JournalStats::default()
    }

    fn close(&self) -> Result<(), StorageError> {
        Ok(())
    }
}

/// A committer, its journal and who is admitted.
pub(super) struct Stage {
    pub(super) committer: Committer,
    pub(super) journal: SlowJournal,
    admitted: Arc<Admitted>,
}

impl Stage {
    pub(super) fn new(journal: SlowJournal) -> Arc<Self> {
        let (admitted, failure) = (Arc::new(Admitted::default()), Arc::new(Failure::default()));
        let gather = Gather { longest: Duration::from_millis(2), percent: 75 };
        let committer = Committer::new(0, 0, gather, Arc::clone(&admitted), failure);
        Arc::new(Self { committer, journal, admitted })
    }

    /// Starts the committer's thread.
    pub(super) fn run(self: &Arc<Self>) -> thread::JoinHandle<()> {
        let stage = Arc::clone(self);
        thread::spawn(move || stage.committer.run(&stage.journal))
    }

    /// A client's command comes in.
    pub(super) fn ask(&self) -> (Asker, Asked) {
        let permit = self.admitted.enter(ADMITTED).unwrap();
        let number = permit.number();
        let (asker, answer) = Asker::new(permit);
        (asker, Asked::new(number, answer))
    }

    /// Submits events of eight bytes; the last one's sequence.
    pub(super) fn submit(&self, events: &[u64]) -> Sequence {
        let record = |event: &u64| [&8u32.to_le_bytes()[..], &event.to_le_bytes()].concat();
        let bytes: Vec<u8> = events.iter().flat_map(record).collect();
        self.committer.submit(&bytes, events.len() as u32) + events.len() as u64 - 1
    }
}

fn yes() -> Verdict {
    Verdict::Yes { reply: Reply::Done, replayed: false }
}

/// Carries out commands; every second one is a read of what was there. Whether the outcome became unknown.
fn client(stage: &Stage, number: u64) -> bool {
    for command in 0..COMMANDS as u64 {
        let (asker, asked) = stage.ask();
        let needs =
            if command % 2 == 0 { stage.submit(&[number, number]) } else { stage.committer.next() - 1 };
        stage.committer.release(needs, asker, yes());
        match future::block_on(asked) {
            Ok(answered) => {
                assert!(answered.commit.sequence >= needs, "an answer shows less than it needs");
                let durable = stage.journal.durable();
                assert!(needs <= durable, "{needs} was answered, and {durable} is durable");
            }
            Err(AskError::OutcomeUnknown) => return true,
            Err(other) => panic!("{other:?}"),
        }
    }
    false
}

fn everybody_is_answered(fails_at: Option<Sequence>) {
    let stage = Stage::new(SlowJournal::new(fails_at));
    let committing = stage.run();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let stage = Arc::clone(&stage);
            thread::spawn(move || client(&stage, number))
        })
        .collect();
    let watching = Arc::clone(&stage);
    let watcher = thread::spawn(move || {
        // The last event of all.
        let wanted = CLIENTS * 2;
        let reached = future::block_on(watching.committer.reached(wanted));
        assert!(!reached || watching.journal.durable() >= wanted, "told of {wanted} too early");
        reached
    });
    let unknown = clients.into_iter().map(|client| client.join().unwrap()).filter(|unknown| *unknown).count();
    let reached = watcher.join().unwrap();
    stage.committer.close();
    committing.join().unwrap();
    let written = stage.journal.written.lock();
    match fails_at {
        None => {
            assert_eq!((unknown, reached), (0, true));
            assert_eq!(stage.committer.durable(), CLIENTS * 2);
            // The events of one decision stand side by side.
            assert!(written.chunks(2).all(|pair| pair[0] == pair[1]), "{:?}", *written);
        }
        Some(fails_at) => assert!(stage.committer.durable() < fails_at),
    }
    assert_eq!(stage.committer.held(), 0, "somebody waits for ever");
}

#[test]
fn nobody_is_answered_early_or_never() {
    explore(|| everybody_is_answered(None));
}

#[test]
fn when_the_disk_fails_everybody_learns_that_nobody_knows() {
    explore(|| {
        let fails_at = shuttle::rand::thread_rng().gen_range(1..=CLIENTS * 2);
        everybody_is_answered(Some(fails_at));
    });
}
