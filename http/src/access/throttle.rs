//! Failed sign-ins, and how long the next try has to wait.
//!
//! They are counted by account and source together, and by source alone; never by account alone, or whoever knows an
//! address could lock its owner out. An account that does not exist counts like one that does: the key is a hash of
//! the address that was tried, and nobody asks whether it is anybody's.
//!
//! A try is counted as failed from the moment it begins, and what went otherwise is taken back. So a storm of guesses
//! at once gets no further than the same guesses one by one, and who hangs up wins nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use parking_lot::Mutex;

/// Failures in a row that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;
/// The wait after these; each further failure doubles it.
const FIRST_WAIT_MS: u64 = 1000;
const LONGEST_WAIT_MS: u64 = 15 * 60 * 1000;
/// A pair that has not tried for so long starts afresh. Guessing at that pace is slower than waiting.
const FORGOTTEN_AFTER_MS: u64 = 24 * 60 * 60 * 1000;
/// Failures of one source in one window, over all accounts.
const SOURCE_FAILURES: u32 = 100;
const SOURCE_WINDOW_MS: u64 = 15 * 60 * 1000;
/// Pairs and sources remembered, each. A pair costs about 80 bytes.
const CAPACITY: usize = 100_000;

/// Counts failed sign-ins. All in memory: a restart forgives.
pub(crate) struct Throttle {
    counts: Mutex<Counts>,
}

/// A try that may go on. It counts as failed unless something else is said of it.
#[derive(Debug)]
#[must_use = "a try that is dropped counts as failed"]
pub(crate) struct Try {
    pair: Pair,
    began_at_ms: u64,
}

/// Too many failures: try again later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wait {
    /// How much later.
    pub(crate) retry_after: Duration,
}

struct Counts {
    pairs: Recent<Pair, Failures>,
    sources: Recent<IpAddr, Window>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Pair {
    account: u128,
    source: IpAddr,
}

/// Failures in a row of one pair.
#[derive(Clone, Copy)]
struct Failures {
    count: u32,
    last_ms: u64,
}

/// Failures of one source since the first of them.
#[derive(Clone, Copy)]
struct Window {
    opened_at_ms: u64,
    count: u32,
}

impl Throttle {
    /// Nobody has failed.
    pub(crate) fn new() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn with_capacity(capacity: usize) -> Self {
        Self { counts: Mutex::new(Counts { pairs: Recent::new(capacity), sources: Recent::new(capacity) }) }
    }

    /// Begins a try. `account` is a hash of what was given for an account, whether there is one or not.
    ///
    /// # Errors
    /// If the pair or the source has failed too often; that is not counted.
    pub(crate) fn check(&self, account: u128, source: IpAddr, now_ms: u64) -> Result<Try, Wait> {
        let pair = Pair { account, source: network(source) };
        let mut counts = self.counts.lock();
        let mut failures = counts.failures(&pair, now_ms);
        let mut window = counts.window(&pair.source, now_ms);
        let ready_at_ms = failures.ready_at_ms().max(window.ready_at_ms());
        if ready_at_ms > now_ms {
            return Err(Wait { retry_after: Duration::from_millis(ready_at_ms - now_ms) });
        }
        failures = Failures { count: failures.count.saturating_add(1), last_ms: now_ms };
        window.count += 1;
        counts.pairs.insert(pair, failures);
        counts.sources.insert(pair.source, window);
        Ok(Try { pair, began_at_ms: now_ms })
    }

    /// The password was wrong, or there is no such account. The wait begins now.
    pub(crate) fn failed(&self, attempt: Try, now_ms: u64) {
        let mut counts = self.counts.lock();
        let mut failures = counts.failures(&attempt.pair, now_ms);
        // A success of another try meanwhile has cleared the pair.
        failures.count = failures.count.max(1);
        failures.last_ms = failures.last_ms.max(now_ms);
        counts.pairs.insert(attempt.pair, failures);
    }

    /// The password was right: the pair starts afresh. The source does not, or an account of one's own would do to go
    /// on guessing at others'.
    pub(crate) fn succeeded(&self, attempt: Try) {
        let mut counts = self.counts.lock();
        counts.pairs.remove(&attempt.pair);
        counts.give_back_to_source(&attempt);
    }

    /// The password was not looked at, for a reason of ours.
    pub(crate) fn withdrawn(&self, attempt: Try) {
        let mut counts = self.counts.lock();
        if let Some(failures) = counts.pairs.get_mut(&attempt.pair) {
            failures.count = failures.count.saturating_sub(1);
        }
        counts.give_back_to_source(&attempt);
    }
}

impl Counts {
    fn failures(&mut self, pair: &Pair, now_ms: u64) -> Failures {
        let known = self.pairs.get_mut(pair).copied();
        let lasting = known.filter(|failures| failures.last_ms.saturating_add(FORGOTTEN_AFTER_MS) > now_ms);
        lasting.unwrap_or(Failures { count: 0, last_ms: now_ms })
    }

    fn window(&mut self, source: &IpAddr, now_ms: u64) -> Window {
        let known = self.sources.get_mut(source).copied();
        let open = known.filter(|window| window.ends_at_ms() > now_ms);
        open.unwrap_or(Window { opened_at_ms: now_ms, count: 0 })
    }

    fn give_back_to_source(&mut self, attempt: &Try) {
        if let Some(window) = self.sources.get_mut(&attempt.pair.source)
            && window.opened_at_ms <= attempt.began_at_ms
        {
            window.count = window.count.saturating_sub(1);
        }
    }
}

impl Failures {
    fn ready_at_ms(&self) -> u64 {
        let Some(doublings) = self.count.checked_sub(FREE_FAILURES) else { return 0 };
        // 2^20 seconds are far beyond the longest wait.
        let wait_ms = (FIRST_WAIT_MS << doublings.min(20)).min(LONGEST_WAIT_MS);
        self.last_ms.saturating_add(wait_ms)
    }
}

impl Window {
    fn ends_at_ms(&self) -> u64 {
        self.opened_at_ms.saturating_add(SOURCE_WINDOW_MS)
    }

    fn ready_at_ms(&self) -> u64 {
        if self.count < SOURCE_FAILURES { 0 } else { self.ends_at_ms() }
    }
}

/// What counts as one source: an IPv4 address, or the /64 that one customer of an IPv6 network gets.
fn network(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

/// A map that forgets what was not touched for long: the last `capacity / 2` keys touched are there, and never more
/// than `capacity`. A cache that favours frequent keys would forget a guesser's own failures first.
struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    fn new(capacity: usize) -> Self {
        Self { half: (capacity / 2).max(1), young: HashMap::new(), old: HashMap::new() }
    }

    fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        if let Some(value) = self.old.remove(key) {
            self.insert(*key, value);
        }
        self.young.get_mut(key)
    }

    fn insert(&mut self, key: K, value: V) {
        self.old.remove(&key);
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }

    fn remove(&mut self, key: &K) {
        self.young.remove(key);
        self.old.remove(key);
    }
}

#[cfg(test)]
#[path = "throttle_tests.rs"]
mod tests;
