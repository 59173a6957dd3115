//! Admission: how many requests are worked on at once, and how many bodies are read meanwhile.
//!
//! A request takes its place only once it is here as a whole: a client that sends slowly, or stops half-way,
//! holds a place among the arriving bodies and none among the requests that are worked on. How many of those there may
//! be depends on how fast they are done: see [`pressure`].

mod places;
pub(crate) mod pressure;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::available_parallelism;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::error::Problem;
use crate::metrics::{FrontMetrics, Refusal};

use places::Places;
pub(crate) use places::{Counts, Place};
use turns::Turns;

/// Bodies that may be arriving for each request that may be worked on.
const ARRIVING_PER_IN_FLIGHT: usize = 4;

/// The places there are.
#[derive(Debug)]
pub(crate) struct Admission {
    in_flight: Arc<Places>,
    arriving: Arc<Places>,
    /// The most places that there may be for requests.
    ceiling: usize,
    /// Requests that found no place.
    turned_away: AtomicU64,
    /// When they are told.
    turns: Turns,
    draining: AtomicBool,
    drained: Notify,
    metrics: FrontMetrics,
}

impl Admission {
    /// Places for `most` requests at once.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            in_flight: Arc::new(Places::new(most)),
            arriving: Arc::new(Places::new(most.saturating_mul(ARRIVING_PER_IN_FLIGHT))),
            ceiling: most,
            turned_away: AtomicU64::new(0),
            turns: Turns::new(cores(), Instant::now().into()),
            draining: AtomicBool::new(false),
            drained: Notify::new(),
            metrics: FrontMetrics::new(),
        }
    }

    /// Whether the server is going away.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// From now on nobody gets a place; those who have one keep it.
    pub(crate) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.drained.notify_waiters();
    }

    /// Resolves when the server begins to go away: nobody waits any longer for a body that would be refused.
    pub(crate) async fn draining(&self) {
        let drained = self.drained.notified();
        if !self.draining.load(Ordering::SeqCst) {
            drained.await;
        }
    }

    /// A place for a request that is here as a whole.
    ///
    /// # Errors
    /// 503 if there is none, or the server is going away.
    pub(crate) fn admit(&self) -> Result<Place, Problem> {
        self.place(&self.in_flight, Refusal::Overloaded)
    }

    /// A place for a body that is arriving.
    ///
    /// # Errors
    /// As [`Admission::admit`].
    pub(crate) fn receive(&self) -> Result<Place, Problem> {
        self.place(&self.arriving, Refusal::Bodies)
    }

    /// A request in flight was answered.
    pub(crate) fn done(&self) {
        self.in_flight.done();
    }

    /// When who was refused now is told; `None` if that is at once.
    pub(crate) fn turn(&self) -> Option<Instant> {
        if self.is_draining() { None } else { self.turns.take(Instant::now().into()).map(Into::into) }
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, why: Refusal) {
        self.metrics.refuse(why);
    }

    /// How many requests are worked on, and how many may be now.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.in_flight.counts().taken, self.in_flight.most())
    }

    /// Brings those metrics up to date that are read rather than counted.
    pub(crate) fn publish(&self) {
        let (in_flight, limit) = self.in_flight();
        self.metrics.in_flight.set(in_flight as f64);
        self.metrics.limit.set(limit as f64);
        self.metrics.arriving.set(self.arriving.counts().taken as f64);
    }

    fn place(&self, places: &Arc<Places>, full: Refusal) -> Result<Place, Problem> {
        if self.is_draining() {
            self.refuse(Refusal::ShuttingDown);
            return Err(Problem::shutting_down());
        }
        places.take().ok_or_else(|| {
            self.refuse(full);
            self.turned_away.fetch_add(1, Ordering::Relaxed);
            Problem::no_place()
        })
    }
}

/// Cores that requests are worked on with.
fn cores() -> usize {
    let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
    available_parallelism().map_or(workers, |cores| workers.min(cores.get()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arriving_bodies_take_no_place_of_requests() {
        let admission = Admission::new(1);
        let arriving: Vec<Place> = (0..4).map(|_| admission.receive().unwrap()).collect();
        assert_eq!(admission.receive().unwrap_err().kind().code, "overloaded");
        let place = admission.admit().unwrap();
        assert_eq!(admission.admit().unwrap_err().kind().code, "overloaded");
        drop((place, arriving));
        drop((admission.admit().unwrap(), admission.receive().unwrap()));
        admission.drain();
        assert_eq!(admission.admit().unwrap_err().kind().code, "shutting_down");
    }
}
