//! Group commit: one per partition. Takes events in the order in which they are submitted, writes what has
//! come together with one wait for the disk, and lets go what waited for it.

mod load;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use metrics::{Histogram, histogram};
use relampago_actors::Sequence;
use relampago_snapshots::{Batch, Journal, StorageError};
use tokio::runtime::{Handle, RuntimeMetrics};
use tokio::sync::oneshot;

use crate::api::{AskError, Commit};
use crate::failure::Failure;
use crate::reply::{Admitted, Asker, Held, Verdict};
use crate::sync::{AtomicU64, Condvar, Mutex};
use load::Load;

/// When a batch is closed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gather {
    /// At the latest so long after its first event; the busier the workers are, the nearer to it.
    pub(crate) longest: Duration,
    /// As soon as so many percent of the commands that are about wait for it.
    pub(crate) percent: usize,
}

/// A batch larger than this is not gathered further, bytes: one write of moderate size.
const BATCH_BYTES: usize = 1 << 20;

pub(crate) struct Committer {
    partition: u16,
    queue: Mutex<Queue>,
    wake: Condvar,
    durable: AtomicU64,
    next: AtomicU64,
    gather: Gather,
    admitted: Arc<Admitted>,
    failure: Arc<Failure>,
    commits: Histogram,
    /// Of the runtime that it was made in.
    workers: Option<RuntimeMetrics>,
}

#[derive(Default)]
struct Queue {
    bytes: Vec<u8>,
    count: u32,
    since: Option<Instant>,
    /// When the first event of the batch came that is being written.
    writing: Option<Instant>,
    /// How many commands seem to be about: those answered by the last batch, who are likely to come back,
    /// and those that were under way beside it.
    expected: usize,
    waiting: Vec<Held>,
    watching: Vec<(Sequence, oneshot::Sender<()>)>,
    closed: bool,
}

/// What waits to become durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Queued {
    pub(crate) events: u64,
    pub(crate) answers: usize,
    /// Of the oldest event.
    pub(crate) age: Duration,
}

impl Committer {
    pub(crate) fn new(
        partition: u16,
        last: Sequence,
        gather: Gather,
        admitted: Arc<Admitted>,
        failure: Arc<Failure>,
    ) -> Self {
        Self {
            partition,
            queue: Mutex::new(Queue::default()),
            wake: Condvar::new(),
            durable: AtomicU64::new(last),
            next: AtomicU64::new(last + 1),
            gather,
            admitted,
            failure,
            commits: histogram!("relampago_journal_commit_seconds"),
            workers: Handle::try_current().ok().map(|runtime| runtime.metrics()),
        }
    }

    /// Highest durable sequence.
    pub(crate) fn durable(&self) -> Sequence {
        self.durable.load(Ordering::Acquire)
    }

    /// What waits to become durable, and for how long the first of it has.
    pub(crate) fn queued(&self) -> Queued {
        let queue = self.queue.lock();
        Queued {
            events: (self.next.load(Ordering::Acquire) - 1).saturating_sub(self.durable()),
            answers: queue.waiting.len(),
            age: queue.writing.or(queue.since).map_or(Duration::ZERO, |since| since.elapsed()),
        }
    }

    /// Answers and others that wait until the journal is durable up to what they need.
    #[cfg(test)]
    pub(crate) fn held(&self) -> usize {
        let queue = self.queue.lock();
        queue.waiting.len() + queue.watching.len()
    }

    /// The sequence that the next event gets, or an earlier one.
    pub(crate) fn next(&self) -> Sequence {
        self.next.load(Ordering::Acquire)
    }

    /// Takes `count` records (each with its length in front) and gives the sequence of the first.
    pub(crate) fn submit(&self, records: &[u8], count: u32) -> Sequence {
        let mut queue = self.queue.lock();
        let first = self.next.load(Ordering::Relaxed);
        self.next.store(first + u64::from(count), Ordering::Release);
        queue.bytes.extend_from_slice(records);
        queue.count += count;
        if queue.since.is_none() {
            queue.since = Some(Instant::now());
            drop(queue);
            self.wake.notify_one();
        }
        first
    }

    /// Lets an answer go as soon as the journal is durable up to what it depends on.
    pub(crate) fn release(&self, needs: Sequence, asker: Asker, verdict: Verdict) {
        let durable = self.durable();
        if needs <= durable {
            // The state that answers holds all of its entity's events up to here.
            return self.send(durable, asker, verdict);
        }
        self.release_as_of(needs, asker, verdict);
    }

    /// The same for an answer that nobody's state gives: it says how things stood at `needs`.
    pub(crate) fn release_as_of(&self, needs: Sequence, mut asker: Asker, verdict: Verdict) {
        if needs <= self.durable() {
            return self.send(needs, asker, verdict);
        }
        let mut queue = self.queue.lock();
        // The batch may have become durable between the look above and the lock.
        if needs <= self.durable() {
            drop(queue);
            return self.send(needs, asker, verdict);
        }
        if queue.closed {
            return drop(queue);
        }
        asker.hold();
        queue.waiting.push(Held { needs, asker, verdict });
        if self.enough(&queue) {
            drop(queue);
            self.wake.notify_one();
        }
    }

    /// Waits until the journal is durable up to `sequence`. `false` if it never will be.
    pub(crate) async fn reached(&self, sequence: Sequence) -> bool {
        if sequence <= self.durable() {
            return true;
        }
        let (tell, told) = oneshot::channel();
        {
            let mut queue = self.queue.lock();
            if sequence <= self.durable() {
                return true;
            }
            if queue.closed {
                return false;
            }
            queue.watching.push((sequence, tell));
        }
        told.await.is_ok()
    }

    fn send(&self, reflects: Sequence, asker: Asker, verdict: Verdict) {
        asker.answer(verdict.into_answer(Commit { journal: self.partition, sequence: reflects }));
    }

    /// A lone caller is committed at once, a crowd together: the wait for the disk is shared by those who
    /// are about, and costs nobody more than the longest gathering.
    fn enough(&self, queue: &Queue) -> bool {
        let about = self.admitted.count().max(queue.expected);
        queue.waiting.len() * 100 >= about * self.gather.percent || queue.bytes.len() >= BATCH_BYTES
    }

    /// The committer's thread: until [`Committer::close`], or until the journal fails.
    pub(crate) fn run(&self, journal: &dyn Journal) {
        let mut released = Vec::new();
        let mut load = Load::new(self.workers.clone());
        while let Some(batch) = self.collect(&mut load) {
            let (last, began) = (batch.last(), Instant::now());
            #[cfg(any(test, feature = "injection"))]
            crate::injection::fall(crate::injection::At::Appending, None);
            if let Err(error) = journal.append(batch) {
                return self.fail(&error);
            }
            #[cfg(any(test, feature = "injection"))]
            crate::injection::fall(crate::injection::At::Appended, None);
            self.commits.record(began.elapsed());
            self.advance(last, &mut released);
        }
        self.abandon();
    }

    /// The next batch; `None` once closed and empty.
    fn collect(&self, load: &mut Load) -> Option<Batch> {
        let mut queue = self.queue.lock();
        let since = loop {
            match queue.since {
                Some(since) => break since,
                None if queue.closed => return None,
                None => self.wake.wait(&mut queue),
            }
        };
        let until = since + self.gather.longest.mul_f64(load.patience());
        while !queue.closed && !self.enough(&queue) {
            if self.wake.wait_until(&mut queue, until).timed_out() {
                break;
            }
        }
        let first = self.next.load(Ordering::Relaxed) - u64::from(queue.count);
        // As large as the last one: grown once, not batch by batch.
        let empty = Vec::with_capacity(queue.bytes.len());
        let batch = Batch { first, count: queue.count, bytes: std::mem::replace(&mut queue.bytes, empty) };
        (queue.count, queue.writing) = (0, queue.since.take());
        Some(batch)
    }

    fn advance(&self, last: Sequence, released: &mut Vec<Held>) {
        {
            let mut queue = self.queue.lock();
            self.durable.store(last, Ordering::Release);
            queue.writing = None;
            released.extend(queue.waiting.extract_if(.., |held| held.needs <= last));
            // The permits of those to be released still count as admitted.
            queue.expected = self.admitted.count();
            for (_, tell) in queue.watching.extract_if(.., |(sequence, _)| *sequence <= last) {
                let _gone = tell.send(());
            }
        }
        for Held { needs, asker, verdict } in released.drain(..) {
            self.send(needs, asker, verdict);
        }
    }

    fn fail(&self, error: &StorageError) {
        tracing::error!(%error, "the journal failed: the node stops");
        self.failure.set(format!("the journal failed: {error}"));
        self.abandon();
    }

    /// Nothing will become durable any more: who waits learns that the outcome is unknown.
    pub(crate) fn abandon(&self) {
        let mut queue = self.queue.lock();
        queue.closed = true;
        queue.watching.clear();
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        for held in waiting {
            held.asker.answer(Err(AskError::OutcomeUnknown));
        }
    }

    /// Commits what is there, then ends [`Committer::run`].
    pub(crate) fn close(&self) {
        self.queue.lock().closed = true;
        self.wake.notify_all();
    }
}
