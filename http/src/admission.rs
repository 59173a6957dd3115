//! Admission: how many requests are worked on at once, and how many bodies are read meanwhile.
//!
//! A request takes its place only once it is here as a whole: a client that sends slowly, or stops half-way,
//! holds a place among the arriving bodies and none among the requests that are worked on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::error::Problem;
use crate::metrics::{FrontMetrics, Refusal};

/// Bodies that may be arriving for each request that may be worked on.
const ARRIVING_PER_IN_FLIGHT: usize = 4;

/// The places there are.
#[derive(Debug)]
pub(crate) struct Admission {
    in_flight: Arc<Places>,
    arriving: Arc<Places>,
    draining: AtomicBool,
    drained: Notify,
    metrics: FrontMetrics,
}

#[derive(Debug)]
struct Places {
    most: usize,
    taken: AtomicUsize,
    gauge: ::metrics::Gauge,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Admission {
    /// Places for `most` requests at once.
    pub(crate) fn new(most: usize) -> Self {
        let metrics = FrontMetrics::new();
        let places = |most, gauge: &::metrics::Gauge| {
            Arc::new(Places { most, taken: AtomicUsize::new(0), gauge: gauge.clone() })
        };
        Self {
            in_flight: places(most, &metrics.in_flight),
            arriving: places(most.saturating_mul(ARRIVING_PER_IN_FLIGHT), &metrics.arriving),
            draining: AtomicBool::new(false),
            drained: Notify::new(),
            metrics,
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

    /// Counts a refusal.
    pub(crate) fn refuse(&self, why: Refusal) {
        self.metrics.refuse(why);
    }

    /// How many requests are worked on, and how many may be.
    pub(crate) fn in_flight(&self) -> (usize, usize) {
        (self.in_flight.taken.load(Ordering::Relaxed), self.in_flight.most)
    }

    fn place(&self, places: &Arc<Places>, full: Refusal) -> Result<Place, Problem> {
        if self.is_draining() {
            self.refuse(Refusal::ShuttingDown);
            return Err(Problem::shutting_down());
        }
        Place::take(places).ok_or_else(|| {
            self.refuse(full);
            Problem::overloaded()
        })
    }
}

impl Place {
    fn take(places: &Arc<Places>) -> Option<Self> {
        let place = Self(Arc::clone(places));
        places.gauge.increment(1.0);
        // One too many gives its place back by being dropped.
        (places.taken.fetch_add(1, Ordering::Relaxed) < places.most).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
        self.0.gauge.decrement(1.0);
    }
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
