//! How many requests may be worked on at once, by how fast they are done.
//!
//! A fixed number is right for requests of one sort alone: four thousand small purchases are done in a tenth of a
//! second, as many orders of a hundred lines in several. So while every core is busy, no more are admitted than are done
//! in [`GOAL`]: whoever comes then is better told at once than served late. A burst that is over before cores have
//! been busy for [`WINDOW`] is taken in whole, unless it was seen lately how much can be done. Where cores rest, or the
//! disk is slow, nothing is limited: fewer requests would not make a disk or a payment provider faster.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, RuntimeMetrics};

use super::{Admission, Counts};
use crate::app::App;

/// Requests wait no longer than about so long for a core. Before that they have waited to be read, and beside requests
/// there is other work by the second: twice as long is still below one.
const GOAL: Duration = Duration::from_millis(300);
/// How long cores are busy without a rest before more is asked for than can be done.
const WINDOW: Duration = Duration::from_millis(100);
/// The same where it is known what can be done: ten times as much comes in a tenth of the time.
const SOON: Duration = Duration::from_millis(25);
/// For so long it is known.
const KNOWN: Duration = Duration::from_secs(10);
/// What was done in so long tells what can be done, though for a moment the cores have had other work than requests.
const MEMORY: Duration = Duration::from_secs(1);
/// How often all of it is looked at.
const TICK: Duration = Duration::from_millis(25);
/// So many may always be worked on, unless the settings allow less; at least this part of what they allow, so that
/// those who wait for a password or a provider cannot hold every place.
const FEWEST: usize = 128;
const PART: usize = 128;
/// A journal that takes so long is what is waited for, however busy the cores are.
const SLOW_DISK: Duration = Duration::from_millis(250);
/// From one look to the next the limit goes down to this part of it at the least, and up to this and a few.
const DOWN: f64 = 0.9;
const UP: f64 = 1.04;
const FEW: usize = 8;
/// Refusals are told in the log so often at the most.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// One look at the server.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    counts: Counts,
    /// How often threads of the runtime have rested so far, and whether one does now.
    rests: u64,
    resting: bool,
    /// How long the oldest event has waited for the disk.
    journal: Duration,
}

/// The looks of the last [`MEMORY`], and what follows from them.
#[derive(Debug)]
struct Pressure {
    looks: VecDeque<Look>,
    /// What was done a second when cores had no rest last, and when that was.
    known: Option<(Instant, f64)>,
    most: usize,
    fewest: usize,
    ceiling: usize,
}

impl Pressure {
    fn new(ceiling: usize) -> Self {
        let fewest = (ceiling / PART).max(FEWEST).min(ceiling);
        Self { looks: VecDeque::new(), known: None, most: ceiling, fewest, ceiling }
    }

    /// How many requests may be worked on from now on.
    fn next(&mut self, now: Look) -> usize {
        while self.looks.get(1).is_some_and(|second| now.at - second.at >= MEMORY) {
            self.looks.pop_front();
        }
        let taken = now.counts.taken;
        let most = match self.goal(&now) {
            Some(goal) if taken > goal => goal.max(scaled(self.most.min(taken), DOWN)),
            _ => scaled(self.most, UP) + FEW,
        };
        self.looks.push_back(now);
        self.most = most.min(self.ceiling);
        self.most
    }

    /// How many are done within [`GOAL`], if cores have had no rest for a while and the disk is not what is waited
    /// for. Unknown until there is something to remember.
    fn goal(&mut self, now: &Look) -> Option<usize> {
        let early = self.looks.front().filter(|look| now.at - look.at >= MEMORY)?;
        let rate = match self.busy_since(now, WINDOW) {
            // Lately or in all that is remembered.
            Some(late) => {
                let rate = rate(late, now).max(rate(early, now));
                self.known = Some((now.at, rate));
                rate
            }
            None => {
                self.busy_since(now, SOON)?;
                self.known.filter(|(at, _)| now.at - *at < KNOWN)?.1
            }
        };
        Some(self.fewest.max((rate * GOAL.as_secs_f64()) as usize))
    }

    /// The last look so long ago, if cores have had no rest since.
    fn busy_since(&self, now: &Look, length: Duration) -> Option<&Look> {
        let then = self.looks.iter().rev().find(|look| now.at - look.at >= length)?;
        (now.rests == then.rests && !now.resting && now.journal < SLOW_DISK).then_some(then)
    }
}

fn scaled(count: usize, by: f64) -> usize {
    (count as f64 * by) as usize
}

/// How many were done a second between two looks.
fn rate(first: &Look, now: &Look) -> f64 {
    let done = now.counts.done.wrapping_sub(first.counts.done);
    f64::from(done) / (now.at - first.at).as_secs_f64()
}

/// Adapts the limit to what is done, and tells of refusals, until it is dropped.
///
/// It has a thread of its own: a task of the runtime would wait behind the very queue that it has to keep short.
#[derive(Debug)]
pub(crate) struct Adapting {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Adapting {
    /// Looks at this runtime from now on.
    ///
    /// # Errors
    /// If the thread cannot be started.
    pub(crate) fn start(app: Arc<App>) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let mut adapter = Adapter::new(app, Handle::current().metrics());
        let adapt = move || {
            while stopped.recv_timeout(TICK) == Err(RecvTimeoutError::Timeout) {
                adapter.adapt();
            }
        };
        let thread = thread::Builder::new().name("admission".to_owned()).spawn(adapt)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Adapting {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that adapts how much is taken on has panicked");
        }
    }
}

struct Adapter {
    app: Arc<App>,
    runtime: RuntimeMetrics,
    pressure: Pressure,
    told: Told,
}

impl Adapter {
    fn new(app: Arc<App>, runtime: RuntimeMetrics) -> Self {
        let pressure = Pressure::new(app.admission.ceiling);
        Self { app, runtime, pressure, told: Told::default() }
    }

    fn adapt(&mut self) {
        let admission = &self.app.admission;
        let now = Look {
            at: Instant::now(),
            counts: admission.in_flight.counts(),
            rests: rests(&self.runtime),
            resting: is_resting(&self.runtime),
            journal: self.app.engine.journal_wait(),
        };
        admission.in_flight.set_most(self.pressure.next(now));
        self.told.tell(admission, now.at);
    }
}

/// How often the threads have parked; one alone that does shows that there is no queue.
fn rests(runtime: &RuntimeMetrics) -> u64 {
    (0..runtime.num_workers()).map(|worker| runtime.worker_park_count(worker)).sum()
}

/// Whether a thread is parked now: the counter is odd then.
fn is_resting(runtime: &RuntimeMetrics) -> bool {
    (0..runtime.num_workers()).any(|worker| runtime.worker_park_unpark_count(worker) % 2 == 1)
}

/// What was told of refusals.
#[derive(Debug, Default)]
struct Told {
    until: u64,
    at: Option<Instant>,
}

impl Told {
    /// Tells of those that came since, now and then: a line for each would cost more than the refusal.
    fn tell(&mut self, admission: &Admission, now: Instant) {
        let turned_away = admission.turned_away.load(Ordering::Relaxed);
        if turned_away == self.until || self.at.is_some_and(|at| now - at < TELL_EVERY) {
            return;
        }
        let (in_flight, limit) = admission.in_flight();
        let refused = turned_away - self.until;
        tracing::warn!(refused, in_flight, limit, "overloaded: requests were refused");
        (self.until, self.at) = (turned_away, Some(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the limit is after so long of so many done a second while `taken` are worked on.
    fn limit(pressure: &mut Pressure, length: Duration, per_second: u32, taken: usize, rests: bool) -> usize {
        let begin = pressure.looks.back().map_or_else(Instant::now, |look| look.at + TICK);
        let before = pressure.looks.back().map_or((0, 0), |look| (look.counts.done, look.rests));
        let ticks = (length.as_millis() / TICK.as_millis()) as u32;
        let mut most = pressure.most;
        for tick in 0..ticks {
            let done = before.0.wrapping_add(per_second * tick * TICK.as_millis() as u32 / 1_000);
            let rests = before.1 + u64::from(tick) * u64::from(rests);
            let counts = Counts { taken: taken.min(most), done };
            let at = begin + TICK * tick;
            let journal = Duration::ZERO;
            most = pressure.next(Look { at, counts, rests, resting: false, journal });
        }
        most
    }

    const LONG: Duration = Duration::from_secs(5);

    #[test]
    fn what_takes_long_is_limited_to_what_is_done_in_time() {
        let mut pressure = Pressure::new(4_096);
        let limited = limit(&mut pressure, LONG, 2_000, 9_000, false);
        assert!((540..=660).contains(&limited), "{limited}");
        // And back, once requests are done faster, or there are fewer.
        assert_eq!(limit(&mut pressure, LONG, 20_000, 9_000, false), 4_096);
        assert!(limit(&mut pressure, LONG, 1_000, 9_000, false) < 400);
        assert_eq!(limit(&mut pressure, LONG, 1_000, 100, true), 4_096);
    }

    #[test]
    fn what_waits_for_others_is_not_limited() {
        assert_eq!(limit(&mut Pressure::new(4_096), LONG, 10, 4_000, true), 4_096);
    }

    #[test]
    fn who_waits_for_the_disk_or_beside_a_resting_core_is_not_limited() {
        for (journal, resting, limited) in
            [(Duration::ZERO, false, true), (SLOW_DISK, false, false), (Duration::ZERO, true, false)]
        {
            let (mut pressure, begin) = (Pressure::new(4_096), Instant::now());
            let counts = Counts { taken: 4_000, done: 0 };
            let looks =
                (0..200).map(|tick| Look { at: begin + TICK * tick, counts, rests: 0, resting, journal });
            let most = looks.map(|look| pressure.next(look)).last();
            assert_eq!(most == Some(FEWEST), limited, "{most:?}");
        }
    }

    #[test]
    fn nothing_is_limited_before_there_is_something_to_remember() {
        assert_eq!(limit(&mut Pressure::new(4_096), Duration::from_millis(900), 0, 4_000, false), 4_096);
    }

    #[test]
    fn a_burst_is_taken_in() {
        let mut pressure = Pressure::new(4_096);
        assert_eq!(limit(&mut pressure, LONG, 10, 5, true), 4_096);
        assert_eq!(limit(&mut pressure, WINDOW, 40_000, 4_000, false), 4_096);
    }

    #[test]
    fn a_pause_in_what_is_done_is_borne() {
        let mut pressure = Pressure::new(4_096);
        assert_eq!(limit(&mut pressure, LONG, 2_000, 100, true), 4_096);
        assert_eq!(limit(&mut pressure, Duration::from_millis(300), 0, 350, false), 4_096);
    }

    #[test]
    fn what_is_known_to_take_long_is_limited_before_much_of_it_waits() {
        for (pause, limited) in [(Duration::from_secs(3), true), (KNOWN * 2, false)] {
            let mut pressure = Pressure::new(4_096);
            limit(&mut pressure, LONG, 700, 9_000, false);
            assert_eq!(limit(&mut pressure, pause, 100, 5, true), 4_096);
            assert_eq!(limit(&mut pressure, SOON * 2, 700, 1_000, false) < 1_000, limited);
        }
    }

    #[test]
    fn some_are_always_let_in_but_never_more_than_is_set() {
        // It tries a little more now and then.
        let few = FEWEST..=scaled(FEWEST, UP) + FEW;
        for ceiling in [16_384, 4_096] {
            let most = limit(&mut Pressure::new(ceiling), LONG, 0, ceiling, false);
            assert!(few.contains(&most), "{most} of {ceiling}");
        }
        assert_eq!(limit(&mut Pressure::new(100), LONG, 0, 4_000, false), 100);
        assert_eq!(limit(&mut Pressure::new(8), LONG, 0, 4_000, false), 8);
    }
}
