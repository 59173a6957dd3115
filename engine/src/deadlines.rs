//! When which entity has to be told that its time has come.
//!
//! Coarse and lazy: addresses in buckets of a tenth of a second, and an entry that is out of date costs the
//! entity one look at its own deadline.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use relampago_actors::{Address, Millis};

/// Width of a bucket, ms.
const BUCKET_MS: Millis = 100;

/// A full bucket grows by this part ...
const GROWN_BY: usize = 8;
/// ... and by so many.
const LEAST_GROWN_BY: usize = 8;

#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    /// Addresses by their keys, which take half of the room: every open order has one here.
    buckets: Mutex<BTreeMap<Millis, Vec<[u8; 17]>>>,
    waiting: AtomicUsize,
}

impl Deadlines {
    /// Notes that `address` is to be woken at `at` or up to one bucket later, never earlier.
    pub(crate) fn schedule(&self, at: Millis, address: Address) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let mut buckets = self.buckets.lock();
        let bucket = buckets.entry(at.div_ceil(BUCKET_MS)).or_default();
        if bucket.len() == bucket.capacity() {
            // Doubling would leave a third of the room empty.
            bucket.reserve_exact(bucket.len() / GROWN_BY + LEAST_GROWN_BY);
        }
        bucket.push(address.key());
    }

    /// Takes at most about `limit` addresses whose time has come.
    pub(crate) fn due(&self, now: Millis, limit: usize) -> Vec<Address> {
        let mut due = Vec::new();
        let mut buckets = self.buckets.lock();
        while due.len() < limit {
            let Some(mut first) = buckets.first_entry() else { break };
            if *first.key() > now / BUCKET_MS {
                break;
            }
            let room = limit - due.len();
            if first.get().len() > room {
                let keep = first.get().len() - room;
                due.extend(first.get_mut().drain(keep..));
            } else {
                due.extend(first.remove());
            }
        }
        drop(buckets);
        self.waiting.fetch_sub(due.len(), Ordering::Relaxed);
        due.iter().filter_map(Address::from_key).collect()
    }

    /// How long ago the first should have been woken, ms; 0 while none is late.
    pub(crate) fn late(&self, now: Millis) -> u64 {
        let first = self.buckets.lock().first_key_value().map(|(bucket, _)| *bucket * BUCKET_MS);
        first.map_or(0, |first| now.saturating_sub(first))
    }

    /// How many entries wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use relampago_actors::Id;

    use super::*;

    #[test]
    fn nothing_is_due_early_and_all_is_due_in_time() {
        let deadlines = Deadlines::default();
        for n in 0..1000u64 {
            deadlines.schedule(n, Address::order(Id(n.into())));
        }
        for now in [0, 1, 99, 100, 550, 1000] {
            for address in deadlines.due(now, usize::MAX) {
                assert!(address.id.0 <= now.into(), "{address:?} at {now}");
            }
        }
        assert_eq!(deadlines.len(), 0);
    }

    #[test]
    fn what_is_not_woken_in_time_is_late() {
        let deadlines = Deadlines::default();
        assert_eq!(deadlines.late(1_000), 0);
        deadlines.schedule(950, Address::order(Id(1)));
        assert_eq!([900, 1_000, 1_700].map(|now| deadlines.late(now)), [0, 0, 700]);
    }

    #[test]
    fn the_limit_holds_and_nothing_is_lost() {
        let deadlines = Deadlines::default();
        for n in 0..1000u64 {
            deadlines.schedule(5 + n / 400, Address::order(Id(n.into())));
        }
        let mut seen = std::collections::BTreeSet::new();
        for _ in 0..10 {
            let due = deadlines.due(1000, 100);
            assert!(due.len() <= 100);
            seen.extend(due);
        }
        assert_eq!(seen.len(), 1000);
    }
}
