//! When nobody could reach the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::summary::document::Outage;

/// Outages with less than this between them are one: answers of the last moments are read between refusals.
const ONE: Duration = Duration::from_millis(500);
/// What is shorter is a connection that was lost, and no outage.
const SHORTEST: Duration = Duration::from_millis(100);
/// A single request that fails may have met anything.
const FEWEST_REQUESTS: u64 = 2;

/// Watched by all threads: from a connection that was refused or lost to the next answer of the shop itself. Reading an answer costs a
/// look at a flag while all is well.
#[derive(Debug, Default)]
pub(crate) struct Outages {
    is_out: AtomicBool,
    seen: Mutex<Vec<Gap>>,
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    from: Instant,
    /// Open while nothing was answered since.
    to: Option<Instant>,
    requests: u64,
}

impl Outages {
    /// A request found no connection, or lost it, at `at`.
    pub(crate) fn broken(&self, at: Instant) {
        let mut seen = self.seen();
        self.is_out.store(true, Ordering::Relaxed);
        match seen.last_mut() {
            Some(last) if last.to.is_none_or(|to| at.saturating_duration_since(to) < ONE) => {
                last.to = None;
                last.requests += 1;
            }
            _ => seen.push(Gap { from: at, to: None, requests: 1 }),
        }
    }

    /// A request was answered at `at`.
    pub(crate) fn answered(&self, at: Instant) {
        if self.is_out.load(Ordering::Relaxed) {
            self.over(at);
        }
    }

    #[cold]
    fn over(&self, at: Instant) {
        let mut seen = self.seen();
        self.is_out.store(false, Ordering::Relaxed);
        if let Some(last) = seen.last_mut() {
            last.to.get_or_insert(at.max(last.from));
        }
    }

    /// All of them, in seconds after `epoch`; one that has not ended counts when it began long enough before `end`.
    pub(crate) fn since(&self, epoch: Instant, end: Instant) -> Vec<Outage> {
        let second = |at: Instant| (at.saturating_duration_since(epoch).as_secs_f64() * 1e3).round() / 1e3;
        let counts = |gap: &&Gap| {
            let lasted = gap.to.unwrap_or(end).saturating_duration_since(gap.from);
            lasted >= SHORTEST && gap.requests >= FEWEST_REQUESTS
        };
        let told =
            |gap: &Gap| Outage { from_s: second(gap.from), to_s: gap.to.map(second), requests: gap.requests };
        self.seen().iter().filter(counts).map(told).collect()
    }

    /// A panic of another thread leaves whole entries behind.
    fn seen(&self) -> MutexGuard<'_, Vec<Gap>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen of a run of ten seconds; `b` is a broken connection, `a` an answer, each at a moment in ms.
    fn seen(story: &[(char, u64)]) -> Vec<(f64, Option<f64>, u64)> {
        let (epoch, outages) = (Instant::now(), Outages::default());
        for (what, at) in story {
            let at = epoch + Duration::from_millis(*at);
            if *what == 'b' { outages.broken(at) } else { outages.answered(at) }
        }
        let told = outages.since(epoch, epoch + Duration::from_secs(10));
        told.into_iter().map(|outage| (outage.from_s, outage.to_s, outage.requests)).collect()
    }

    #[test]
    fn an_outage_lasts_from_the_first_refusal_to_the_next_answer() {
        assert_eq!(
            seen(&[('a', 900), ('b', 1_000), ('b', 2_500), ('a', 3_000), ('a', 3_100)]),
            [(1.0, Some(3.0), 2)]
        );
        // Answers that were on their way already end nothing.
        assert_eq!(seen(&[('b', 1_000), ('a', 1_001), ('b', 1_002), ('a', 3_000)]), [(1.0, Some(3.0), 2)]);
        assert_eq!(seen(&[('b', 9_000), ('b', 9_500)]), [(9.0, None, 2)]);
    }

    #[test]
    fn a_connection_that_is_lost_now_and_then_is_none() {
        assert_eq!(seen(&[('b', 1_000), ('a', 1_010), ('b', 5_000), ('a', 5_010)]), []);
        assert_eq!(seen(&[('b', 1_000), ('a', 4_000)]), [], "a single request");
    }
}
