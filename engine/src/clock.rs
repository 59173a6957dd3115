//! The one place where the engine reads the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use relampago_actors::Millis;

/// Wall-clock time that never goes back, not even when the system's clock is set.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    latest: AtomicU64,
}

impl Clock {
    /// Milliseconds since the Unix epoch, at least as late as every earlier reading.
    #[expect(clippy::disallowed_methods, reason = "this is the engine's clock")]
    pub(crate) fn now(&self) -> Millis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        // Read by every core a thousand times between two changes.
        let latest = self.latest.load(Ordering::Relaxed);
        if latest >= now { latest } else { self.latest.fetch_max(now, Ordering::Relaxed).max(now) }
    }

    /// From now on no reading is earlier than `seen`, which was read before a restart.
    pub(crate) fn at_least(&self, seen: Millis) {
        self.latest.fetch_max(seen, Ordering::Relaxed);
    }
}
