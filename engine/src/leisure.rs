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
        let now = Reading::now();
        std::mem::replace(&mut self.last, now).is_busy_until(now, self.cores)
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

    /// What the other threads took of the processors from here to `now`.
    fn others_until(self, now: Self) -> Duration {
        let own = now.thread.saturating_sub(self.thread);
        now.process.saturating_sub(self.process).saturating_sub(own)
    }

    fn is_busy_until(self, now: Self, cores: u128) -> bool {
        let passed = now.at - self.at;
        self.others_until(now).as_nanos() * 100 > passed.as_nanos() * cores * BUSY_PERCENT
    }
}

fn since_start(time: Timespec) -> Duration {
    Duration::try_from(time).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BURNT: Duration = Duration::from_millis(10);

    #[test]
    fn others_that_take_more_than_half_of_the_cores_make_it_busy() {
        let last =
            Reading { at: Instant::now(), process: Duration::from_secs(7), thread: Duration::from_secs(3) };
        let is_busy = |passed, process, thread, cores| {
            let ms = Duration::from_millis;
            let now = Reading {
                at: last.at + ms(passed),
                process: last.process + ms(process),
                thread: last.thread + ms(thread),
            };
            last.is_busy_until(now, cores)
        };
        assert!(!is_busy(100, 50, 0, 1));
        assert!(is_busy(100, 51, 0, 1));
        assert!(!is_busy(100, 100, 0, 2));
        assert!(is_busy(100, 101, 0, 2));
        assert!(!is_busy(100, 150, 50, 2), "its own work is no other work");
        assert!(is_busy(100, 151, 50, 2), "there is other work beside its own");
        assert!(!is_busy(0, 0, 0, 1), "nothing has passed");
    }

    #[test]
    fn the_work_of_another_thread_is_seen() {
        let last = Reading::now();
        let other = std::thread::spawn(|| {
            let began = Reading::now().thread;
            while Reading::now().thread.saturating_sub(began) < BURNT {}
        });
        assert!(other.join().is_ok());
        let others = last.others_until(Reading::now());
        // The two clocks are not read at the same instant.
        assert!(others >= BURNT / 2, "{others:?}");
    }
}
