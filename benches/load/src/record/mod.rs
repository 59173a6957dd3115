//! What a run writes down: one [`Recorder`] a worker, without locks, and the [`Recorded`] that they add up to.
//!
//! A worker owns its recorder. About once a second it swaps it for an empty one ([`std::mem::replace`]) and hands the
//! full one to whoever collects: [`Recorded::absorb`] adds it up, [`Recorder::clear`] makes it the next spare one. So
//! the path of a request takes no lock, and allocates only when a step meets an outcome for the first time.
//!
//! Latency counts from the *intended* start of a request, not from the moment that its bytes went out: a server that
//! stalls for a second is charged for every request that should have started in that second (what Gil Tene calls
//! coordinated omission is what happens otherwise).

mod counts;
mod exposition;
mod histogram;
mod outcome;
mod recorded;
mod recorder;
#[cfg(test)]
mod tests;

use std::time::Instant;

pub use counts::Counts;
pub use exposition::{CONTENT_TYPE, exposition};
pub use histogram::{HistogramError, Latencies};
pub(crate) use histogram::{decode, encode, of_run as no_latencies};
pub use outcome::{Kind, Outcome};
pub use recorded::{MergeError, OutcomeRecorded, Recorded, SecondRecorded, StepRecorded, StepSecond};
pub use recorder::{Clock, Recorder};

/// A step of the scenario: its index in the run's list of step names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId(pub u16);

impl StepId {
    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// The moments of a request.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When the arrival process (or the end of a think time) wanted the request to start. Latency counts from here,
    /// also that of a request that had to be sent again: it is how long somebody waited.
    pub intended: Instant,
    /// When this try of it should have left: as intended, or after the wait before it is sent again.
    pub due: Instant,
    /// When its bytes went out. What lies between is the lateness of the generator or of its pool of connections.
    pub sent: Instant,
    /// When its answer was read, or it was given up.
    pub finished: Instant,
}
