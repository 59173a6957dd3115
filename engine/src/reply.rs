//! The way back to whoever asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use relampago_actors::{Rejection, Reply, Sequence};
use tokio::sync::oneshot;

use crate::api::{Answered, AskError, Commit};

/// How many client commands are under way.
#[derive(Debug, Default)]
pub(crate) struct Admitted(AtomicUsize);

impl Admitted {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more, unless `limit` are under way.
    pub(crate) fn enter(self: &Arc<Self>, limit: usize) -> Option<Permit> {
        if self.0.fetch_add(1, Ordering::Relaxed) >= limit {
            self.0.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Permit(Arc::clone(self)))
    }
}

/// One admitted client command; leaving scope ends it.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Admitted>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Someone waits for an answer. Dropped without one, they learn that the outcome is unknown.
#[derive(Debug)]
pub(crate) struct Asker {
    to: oneshot::Sender<Result<Answered, AskError>>,
    _permit: Permit,
}

impl Asker {
    pub(crate) fn new(permit: Permit) -> (Self, oneshot::Receiver<Result<Answered, AskError>>) {
        let (to, from) = oneshot::channel();
        (Self { to, _permit: permit }, from)
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.to.is_closed()
    }

    /// Sends the answer. Who gave up waiting does not get it, which is theirs to do.
    pub(crate) fn answer(self, answer: Result<Answered, AskError>) {
        let _gone = self.to.send(answer);
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
