//! The way back to whoever asked.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use relampago_actors::{Rejection, Reply, Sequence};
use rustc_hash::FxHashSet;
use tokio::sync::oneshot;

use crate::api::{Answered, AskError, Commit};
use crate::sync::{AtomicU64, AtomicUsize};

/// The client commands that are under way.
#[derive(Debug, Default)]
pub(crate) struct Admitted {
    count: AtomicUsize,
    numbers: AtomicU64,
    /// Those that wait for the answer to an earlier one under the same key.
    joined: Mutex<FxHashSet<u64>>,
}

impl Admitted {
    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether the command of this number waits for an earlier one's answer.
    pub(crate) fn has_joined(&self, number: u64) -> bool {
        self.joined.lock().contains(&number)
    }

    /// Counts one more, unless `limit` are under way.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> Option<Permit> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= limit {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Some(Permit { admitted: Arc::clone(self), number, joined: false })
    }
}

/// One admitted client command; leaving scope ends it.
#[derive(Debug)]
pub(crate) struct Permit {
    admitted: Arc<Admitted>,
    number: u64,
    joined: bool,
}

impl Permit {
    /// Tells this command from the others.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admitted.count.fetch_sub(1, Ordering::Relaxed);
        if self.joined {
            self.admitted.joined.lock().remove(&self.number);
        }
    }
}

/// An answer on its way, and for how long it waited for the disk, where that is measured.
type Sent = (Result<Answered, AskError>, Duration);

/// A command that was begun: resolves to its answer once that may leave.
#[derive(Debug)]
pub struct Asked {
    number: u64,
    answer: oneshot::Receiver<Sent>,
    waited: Duration,
}

impl Asked {
    pub(crate) fn new(number: u64, answer: oneshot::Receiver<Sent>) -> Self {
        Self { number, answer, waited: Duration::ZERO }
    }

    /// Tells this command from the others.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// For how long the answer, once it is here, waited for the disk; measured only while `debug` is logged.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.waited
    }
}

impl Future for Asked {
    type Output = Result<Answered, AskError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let sent = ready!(Pin::new(&mut self.answer).poll(cx));
        let (answer, waited) = sent.unwrap_or((Err(AskError::OutcomeUnknown), Duration::ZERO));
        self.waited = waited;
        Poll::Ready(answer)
    }
}

/// Someone waits for an answer. Dropped without one, they learn that the outcome is unknown.
#[derive(Debug)]
pub(crate) struct Asker {
    to: oneshot::Sender<Sent>,
    permit: Permit,
    /// Since when the answer waits for the disk, where that is measured.
    held: Option<Instant>,
}

impl Asker {
    pub(crate) fn new(permit: Permit) -> (Self, oneshot::Receiver<Sent>) {
        let (to, from) = oneshot::channel();
        (Self { to, permit, held: None }, from)
    }

    /// Notes that this one waits for the answer to an earlier command under the same key.
    pub(crate) fn join(&mut self) {
        if !self.permit.joined {
            self.permit.joined = true;
            self.permit.admitted.joined.lock().insert(self.permit.number);
        }
    }

    /// The answer begins to wait for the disk.
    pub(crate) fn hold(&mut self) {
        self.held = tracing::enabled!(tracing::Level::DEBUG).then(Instant::now);
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.to.is_closed()
    }

    /// Sends the answer. Who gave up waiting does not get it, which is theirs to do.
    pub(crate) fn answer(self, answer: Result<Answered, AskError>) {
        let Self { to, permit, held } = self;
        // First, so that who gets the answer finds room for the next command.
        drop(permit);
        let waited = held.map_or(Duration::ZERO, |since| since.elapsed());
        let _gone = to.send((answer, waited));
    }
}

/// What the domain says, before it is known to be durable.
#[derive(Debug)]
pub(crate) enum Verdict {
    Yes { reply: Reply, replayed: bool },
    No(Rejection),
}

impl Verdict {
    pub(crate) fn into_answer(self, commit: Commit) -> Result<Answered, AskError> {
        match self {
            Self::Yes { reply, replayed } => Ok(Answered { reply, commit, replayed }),
            Self::No(rejection) => Err(AskError::Rejected { rejection, commit }),
        }
    }
}

/// An answer that must not leave before the journal is durable up to `needs`.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) needs: Sequence,
    pub(crate) asker: Asker,
    pub(crate) verdict: Verdict,
}
