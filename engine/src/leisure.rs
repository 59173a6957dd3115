//! Whether there is other work: what is not urgent waits for it.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, Timespec, clock_gettime};

/// The node is busy while its other threads take more than this part, in hundredths, of the cores that it may use.
const BUSY_PERCENT: u128 = 50;

/// How busy the other threads of this process are: of the thread that asks, between two looks. Counted in processor time,
/// since one event may cost a hundred times what another does.
#[derive(Debug)]
pub(crate) struct Leisure {
    cores: u128,
    last: Reading,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    process: Duration,
    thread: Duration,
}

impl Leisure {
    /// For the thread that calls it.
    pub(crate) fn begin() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { cores: cores as u128, last: Reading::now() }
    }

    /// Whether there was other work since the last look.
    pub(crate) fn is_busy(&mut self) -> bool {
        let (last, now) = (self.last, Reading::now());
        self.last = now;
        let own = now.thread.saturating_sub(last.thread);
        let others = now.process.saturating_sub(last.process).saturating_sub(own);
        is_busy(others, now.at - last.at, self.cores)
    }
}

impl Reading {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            process: since_start(clock_gettime(ClockId::ProcessCPUTime)),
            thread: since_start(clock_gettime(ClockId::ThreadCPUTime)),
        }
    }
}

fn since_start(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

fn is_busy(others: Duration, passed: Duration, cores: u128) -> bool {
    others.as_nanos() * 100 > passed.as_nanos() * cores * BUSY_PERCENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_the_cores_is_busy() {
        let ms = Duration::from_millis;
        assert!(!is_busy(ms(50), ms(100), 1));
        assert!(is_busy(ms(51), ms(100), 1));
        assert!(!is_busy(ms(51), ms(100), 2));
        assert!(is_busy(ms(101), ms(100), 2));
        assert!(!is_busy(ms(0), ms(0), 1), "nothing has passed");
    }

    #[test]
    fn its_own_work_is_no_other_work() {
        let mut leisure = Leisure { cores: 1, last: Reading::now() };
        let before = leisure.last;
        while Reading::now().thread.saturating_sub(before.thread) < Duration::from_millis(5) {
            std::hint::black_box(0);
        }
        // Other tests run in this process: what is asserted holds beside any of them.
        leisure.is_busy();
        let own = leisure.last.thread.saturating_sub(before.thread);
        assert!(own >= Duration::from_millis(5), "{own:?}");
        assert!(
            leisure.last.process.saturating_sub(before.process) >= own,
            "a thread is part of its process"
        );
    }
}
