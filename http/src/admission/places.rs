//! Places: so many, taken and given back, and counted in one word with what was done in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

/// One place in the lower half of the word, one request that is done in the upper half.
const TAKEN: u64 = 1;
const DONE: u64 = 1 << 32;

/// Places for so many at once.
#[derive(Debug)]
pub(super) struct Places {
    most: AtomicUsize,
    /// Both counts. The upper half goes round.
    counts: AtomicU64,
}

/// What is counted of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Taken now.
    pub(crate) taken: usize,
    /// Requests answered so far; it begins again at 2³².
    pub(crate) done: u32,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<Places>);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most: AtomicUsize::new(most), counts: AtomicU64::new(0) }
    }

    /// A place, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let before = Counts::of(self.counts.fetch_add(TAKEN, Relaxed));
        if before.taken < self.most() {
            return Some(Place(Arc::clone(self)));
        }
        self.counts.fetch_sub(TAKEN, Relaxed);
        None
    }

    /// A request was answered: one that was given up, or refused further in, is none.
    pub(super) fn done(&self) {
        self.counts.fetch_add(DONE, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts::of(self.counts.load(Relaxed))
    }

    pub(super) fn most(&self) -> usize {
        self.most.load(Relaxed)
    }

    /// From now on there are so many; who has a place keeps it.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }
}

impl Counts {
    const fn of(word: u64) -> Self {
        Self { taken: (word % DONE) as usize, done: (word / DONE) as u32 }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.counts.fetch_sub(TAKEN, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_given_back_whether_or_not_anything_was_done() {
        let places = Arc::new(Places::new(2));
        // The upper half is about to go round.
        places.counts.store(u64::from(u32::MAX) << 32, Relaxed);
        let (one, two) = (places.take().unwrap(), places.take().unwrap());
        assert!(places.take().is_none());
        assert_eq!(places.counts(), Counts { taken: 2, done: u32::MAX });
        places.done();
        drop(one);
        assert_eq!(places.counts(), Counts { taken: 1, done: 0 });
        places.set_most(1);
        assert!(places.take().is_none());
        drop(two);
        assert_eq!(places.counts(), Counts { taken: 0, done: 0 });
        assert!(places.take().is_some());
    }
}
