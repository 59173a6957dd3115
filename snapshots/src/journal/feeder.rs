//! The thread that takes batches from the log to sled, and what it shares with the appending thread.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Acquire, Ordering::Release},
    },
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{Batch, Sequence, chunk::Chunks};
use crate::{
    StorageError,
    mark::{Mark, Reached},
    wal::Pool,
};

/// Batches that stand in the log and not yet durably in sled.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<QueueState>,
    changed: Condvar,
}

#[derive(Default)]
struct QueueState {
    /// In order. Bounded by the log: a batch in the log keeps its segment until it is in sled.
    waiting: VecDeque<Arc<Pending>>,
    /// Do not wait for the interval.
    urgent: bool,
    closing: bool,
}

/// A batch on its way to sled.
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    /// It stands in the log already. Otherwise sled must take it as a whole.
    pub(crate) logged: bool,
}

impl Queue {
    /// Hands a batch to the feeder.
    pub(crate) fn push(&self, pending: Pending) {
        let mut state = self.state.lock();
        let idle = state.waiting.is_empty();
        state.urgent |= !pending.logged;
        let wake = idle || state.urgent;
        state.waiting.push_back(Arc::new(pending));
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Makes the feeder work at once.
    pub(crate) fn hurry(&self) {
        self.state.lock().urgent = true;
        self.changed.notify_all();
    }

    /// Makes the feeder work at once, for the last time.
    pub(crate) fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_all();
    }

    /// The batches that hold events from `from` on.
    pub(crate) fn since(&self, from: Sequence) -> Vec<Arc<Pending>> {
        let state = self.state.lock();
        let position = state.waiting.partition_point(|pending| pending.batch.last() < from);
        state.waiting.iter().skip(position).cloned().collect()
    }

    /// Waits for work. Returns what is to be fed and whether it is for the last time.
    fn wait(&self, interval: Duration) -> (Vec<Arc<Pending>>, bool) {
        let mut state = self.state.lock();
        while state.waiting.is_empty() && !state.urgent && !state.closing {
            self.changed.wait(&mut state);
        }
        let deadline = Instant::now() + interval;
        while !state.urgent && !state.closing {
            if self.changed.wait_until(&mut state, deadline).timed_out() {
                break;
            }
        }
        state.urgent = false;
        (state.waiting.iter().cloned().collect(), state.closing)
    }

    fn remove_through(&self, fed: Sequence) {
        let mut state = self.state.lock();
        while state.waiting.front().is_some_and(|pending| pending.batch.last() <= fed) {
            state.waiting.pop_front();
        }
    }
}

/// What appending thread, feeder and readers share.
pub(crate) struct Shared {
    pub(crate) chunks: Chunks,
    pub(crate) queue: Arc<Queue>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) mark: Arc<Mutex<Mark>>,
    /// Sled is durable up to here.
    fed: AtomicU64,
    /// Whoever waits for `fed`.
    moved: (Mutex<()>, Condvar),
    poison: OnceLock<StorageError>,
}

impl Shared {
    pub(crate) fn new(
        chunks: Chunks,
        queue: Arc<Queue>,
        pool: Arc<Pool>,
        mark: Arc<Mutex<Mark>>,
        fed: Sequence,
    ) -> Self {
        let fed = AtomicU64::new(fed);
        Self { chunks, queue, pool, mark, fed, moved: Default::default(), poison: OnceLock::new() }
    }

    /// Sled is durable up to here.
    pub(crate) fn fed(&self) -> Sequence {
        self.fed.load(Acquire)
    }

    /// The first error, if there was one.
    pub(crate) fn check(&self) -> Result<(), StorageError> {
        self.poison.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Makes `error` the answer to every later call, unless there was one before. Returns the answer.
    pub(crate) fn poison(&self, error: StorageError) -> StorageError {
        let first = self.poison.get_or_init(|| {
            tracing::error!(%error, "the journal stops");
            error
        });
        self.pool.poison(first.clone());
        self.queue.close();
        let _guard = self.moved.0.lock();
        self.moved.1.notify_all();
        first.clone()
    }

    /// Waits until sled is durable up to `sequence`.
    pub(crate) fn wait_until_fed(&self, sequence: Sequence) -> Result<(), StorageError> {
        let mut guard = self.moved.0.lock();
        while self.fed() < sequence {
            self.check()?;
            self.moved.1.wait(&mut guard);
        }
        Ok(())
    }

    fn feed(&self, work: &[Arc<Pending>]) -> Result<(), StorageError> {
        for pending in work {
            if pending.logged {
                self.chunks.append(&pending.batch)?;
            } else {
                self.chunks.append_atomically(&pending.batch)?;
            }
        }
        let fed = match work.last() {
            Some(newest) => {
                self.chunks.make_durable()?;
                newest.batch.last()
            }
            None => self.fed(),
        };
        self.free_segments(fed)?;
        self.fed.store(fed, Release);
        self.queue.remove_through(fed);
        let _guard = self.moved.0.lock();
        self.moved.1.notify_all();
        Ok(())
    }

    /// Advances the mark to what sled holds durably, then frees the segments below it.
    fn free_segments(&self, fed: Sequence) -> Result<(), StorageError> {
        let mut mark = self.mark.lock();
        let now = mark.now();
        let sealed = self.pool.sealed_by(fed).unwrap_or(now.sealed);
        mark.advance(Reached { reached: fed, sealed, ..now })?;
        drop(mark);
        self.pool.free(sealed)
    }
}

/// The thread: feeds every `interval`, at once when asked to, and a last time when the queue closes.
pub(crate) fn run(shared: &Shared, interval: Duration) {
    let outcome = catch_unwind(AssertUnwindSafe(|| feed_until_closed(shared, interval)));
    if let Err(error) = outcome.unwrap_or(Err(StorageError::FeederPanicked)) {
        shared.poison(error);
    }
}

fn feed_until_closed(shared: &Shared, interval: Duration) -> Result<(), StorageError> {
    shared.pool.replenish()?;
    loop {
        let (work, last_time) = shared.queue.wait(interval);
        shared.check()?;
        shared.feed(&work)?;
        if last_time {
            return Ok(());
        }
        shared.pool.replenish()?;
    }
}
