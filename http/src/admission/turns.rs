//! When refusals leave: a refusal costs a third of a small purchase, so under ten times too many of them nothing else
//! would be done. No more leave a second than cost a small part of the cores; whoever is refused beyond that waits for
//! a turn, and sends nothing meanwhile.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Refusals a second and core: 6 to 12 µs each, a tenth of it.
const A_SECOND: u32 = 10_000;
/// So many leave at once after a pause, as time in which they would have had turns.
const AT_ONCE: Duration = Duration::from_millis(50);
/// Nobody waits longer: where more than 5,000 a core do, more leave.
const LONGEST: Duration = Duration::from_millis(500);

/// Turns, evenly apart.
#[derive(Debug)]
pub(super) struct Turns {
    began: Instant,
    /// How far they are apart, ns.
    apart: u64,
    /// When the next one is, ns after the beginning; in the past if there was a pause.
    next: AtomicU64,
}

impl Turns {
    pub(super) fn new(cores: usize, now: Instant) -> Self {
        let apart = nanos(Duration::from_secs(1) / A_SECOND) / cores.max(1) as u64;
        Self { began: now, apart: apart.max(1), next: AtomicU64::new(0) }
    }

    /// When who is refused now is told; `None` if that is at once.
    pub(super) fn take(&self, now: Instant) -> Option<Instant> {
        let now = nanos(now.saturating_duration_since(self.began));
        let earliest = now.saturating_sub(nanos(AT_ONCE));
        let latest = now + nanos(LONGEST);
        let after = |next: u64| (next.max(earliest) + self.apart).min(latest);
        let turn = self.next.fetch_update(Relaxed, Relaxed, |next| Some(after(next)));
        let turn = after(turn.unwrap_or_else(|next| next));
        (turn > now).then(|| self.began + Duration::from_nanos(turn))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long each of so many waits who are refused at one moment.
    fn waits(turns: &Turns, now: Instant, count: usize) -> Vec<Duration> {
        (0..count).map(|_| turns.take(now).map_or(Duration::ZERO, |turn| turn - now)).collect()
    }

    #[test]
    fn a_few_are_told_at_once_and_more_one_after_the_other() {
        let begin = Instant::now();
        let turns = Turns::new(2, begin);
        let now = begin + Duration::from_secs(9);
        let waited = waits(&turns, now, 3_000);
        assert!(waited[..1_000].iter().all(Duration::is_zero));
        assert!(waited[1_000..].windows(2).all(|pair| pair[1] - pair[0] == Duration::from_micros(50)));
        assert_eq!(waited[2_999], Duration::from_millis(100));
        // Their turns pass, and then there is room for a few again.
        let later = now + Duration::from_millis(60);
        assert_eq!(waits(&turns, later, 1), [Duration::from_micros(40_050)]);
        assert!(waits(&turns, now + Duration::from_secs(1), 1_000).iter().all(Duration::is_zero));
    }

    #[test]
    fn nobody_waits_for_long_and_nobody_is_owed_more_than_a_pause() {
        let begin = Instant::now();
        let turns = Turns::new(0, begin);
        let now = begin + Duration::from_secs(1);
        let waited = waits(&turns, now, 100_000);
        assert_eq!(waited.iter().max(), Some(&LONGEST));
        let rest = now + LONGEST + AT_ONCE;
        assert_eq!(waits(&turns, rest, 502).iter().filter(|wait| wait.is_zero()).count(), 500);
    }
}
