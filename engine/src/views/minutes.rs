//! The minutes in which something was recorded of who did what.

use std::collections::BTreeSet;

use parking_lot::Mutex;
use relampago_actors::Millis;
use relampago_actors::audit::{Audit, MINUTE_MS};

/// Known minutes, counted since the Unix epoch.
#[derive(Debug, Default)]
pub(crate) struct Minutes(Mutex<BTreeSet<u64>>);

impl Minutes {
    /// Something was recorded at this time.
    pub(crate) fn record(&self, at: Millis) {
        self.0.lock().insert(Audit::minute_of(at));
    }

    /// Those that overlap with `from..=until`, the newest first.
    pub(crate) fn newest_first(&self, from: Millis, until: Millis) -> Vec<u64> {
        let (first, last) = (from / MINUTE_MS, until / MINUTE_MS);
        if first > last {
            return Vec::new();
        }
        self.0.lock().range(first..=last).rev().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_finds_the_minutes_that_it_overlaps_with() {
        let minutes = Minutes::default();
        for at in [60_000, 60_001, 179_999, 300_000] {
            minutes.record(at);
        }
        assert_eq!(minutes.newest_first(0, Millis::MAX), [5, 2, 1]);
        assert_eq!(minutes.newest_first(119_999, 120_000), [2, 1]);
        assert_eq!(minutes.newest_first(200_000, 100_000), [0; 0]);
    }
}
