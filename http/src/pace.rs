//! How long a connection waits, and until when it goes on at all.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep};

/// How long a client may be quiet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// From a request's first byte to its last header, and from a new connection to its first byte.
    pub(crate) head: Duration,
    /// From an answer to the first byte of the next request.
    pub(crate) idle: Duration,
}

/// One connection's timer, and its eye on the end of the server.
pub(crate) struct Pace {
    pub(crate) patience: Patience,
    /// Rings at the latest when it has to, as a rule far too early: to look then costs less than to move it with
    /// every request.
    timer: Pin<Box<Sleep>>,
    stop: Pin<Box<dyn Future<Output = ()> + Send>>,
    is_stopping: bool,
    has_begun: bool,
}

impl Pace {
    pub(crate) fn new(patience: Patience, mut stopped: watch::Receiver<bool>) -> Self {
        // The guard that `wait_for` gives must not be held while the connection ends.
        let stop = async move { drop(stopped.wait_for(|stopped| *stopped).await) };
        Self {
            patience,
            timer: Box::pin(sleep(patience.head)),
            stop: Box::pin(stop),
            is_stopping: false,
            has_begun: false,
        }
    }

    /// How long to wait for the first byte of the next request.
    pub(crate) fn patience_with_idle(&self) -> Duration {
        if self.has_begun { self.patience.idle } else { self.patience.head }
    }

    /// The first byte of all has come.
    pub(crate) fn has_begun(&mut self) {
        self.has_begun = true;
    }

    /// Resolves when the server goes away.
    pub(crate) async fn stopped(&mut self) {
        poll_fn(|cx| self.poll_stopped(cx)).await;
    }

    fn poll_stopped(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_stopping {
            ready!(self.stop.as_mut().poll(cx));
            self.is_stopping = true;
        }
        Poll::Ready(())
    }

    /// Resolves at a time. Cancelling this loses nothing.
    pub(crate) fn poll_until(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        if self.timer.deadline() > until {
            self.timer.as_mut().reset(until);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            if self.timer.deadline() >= until {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(until);
        }
    }

    /// Resolves at a time, or when the server goes away.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, until: Instant) -> Poll<()> {
        if self.poll_stopped(cx).is_ready() {
            return Poll::Ready(());
        }
        self.poll_until(cx, until)
    }
}
