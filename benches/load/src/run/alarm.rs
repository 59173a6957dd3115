//! Wakes a task at a moment, to some tens of microseconds: tokio's own timers know milliseconds.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A timer of the kernel, watched like a socket.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    /// When it went off last.
    went_off: Option<Instant>,
}

impl Alarm {
    #[expect(deprecated, reason = "its successor is unsafe, for what is no OwnedFd and may close under it")]
    pub(super) fn new() -> io::Result<Self> {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        Ok(Self { timer: AsyncFd::with_interest(timer, Interest::READABLE)?, went_off: None })
    }

    /// Returns at `moment`, or at once if it has passed; but not sooner than `apart` after it went off last. Dropped, it
    /// waits for nothing.
    pub(super) async fn until(&mut self, moment: Instant, apart: Duration) -> io::Result<()> {
        let mut now = Instant::now();
        if moment <= now {
            return Ok(());
        }
        let at = self.went_off.map_or(moment, |last| moment.max(last + apart));
        while now < at {
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once_after(at - now))?;
            // Setting the timer again forgets what it counted, so that nothing has to be read from it.
            self.timer.readable().await?.clear_ready();
            now = Instant::now();
        }
        self.went_off = Some(now);
        Ok(())
    }
}

fn once_after(left: Duration) -> Itimerspec {
    let never = Timespec { tv_sec: 0, tv_nsec: 0 };
    let tv_sec = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
    Itimerspec { it_interval: never, it_value: Timespec { tv_sec, tv_nsec: left.subsec_nanos().into() } }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn it_goes_off_at_its_moment_and_not_sooner_than_it_should_again() {
        let (short, apart) = (Duration::from_micros(300), Duration::from_millis(5));
        let mut alarm = Alarm::new().unwrap();
        let mut waited = Vec::new();
        // A test that the system holds up for longer than `short` finds its moment passed.
        for _ in 0..20 {
            let begin = Instant::now();
            alarm.until(begin + short, Duration::ZERO).await.unwrap();
            assert!(begin.elapsed() >= short);
            alarm.until(Instant::now() + short, apart).await.unwrap();
            waited.push(begin.elapsed());
        }
        assert!(waited.iter().any(|waited| *waited >= short + apart), "{waited:?}");
        alarm.until(Instant::now(), Duration::from_secs(3600)).await.unwrap();
    }
}
