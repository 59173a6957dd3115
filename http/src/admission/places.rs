//! Places: so many, taken and given back, and how much was done in them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed};

/// Places for so many at once.
#[derive(Debug)]
pub(super) struct Places {
    most: AtomicUsize,
    taken: AtomicUsize,
    done: AtomicU32,
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
        Self { most: AtomicUsize::new(most), taken: AtomicUsize::new(0), done: AtomicU32::new(0) }
    }

    /// A place, if there is one.
    pub(super) fn take(self: &Arc<Self>) -> Option<Place> {
        let place = Place(Arc::clone(self));
        // One too many gives its place back by being dropped.
        (self.taken.fetch_add(1, Relaxed) < self.most()).then_some(place)
    }

    /// A request was answered: one that was given up, or refused further in, is none.
    pub(super) fn done(&self) {
        self.done.fetch_add(1, Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        Counts { taken: self.taken.load(Relaxed), done: self.done.load(Relaxed) }
    }

    pub(super) fn most(&self) -> usize {
        self.most.load(Relaxed)
    }

    /// From now on there are so many; who has a place keeps it.
    pub(super) fn set_most(&self, most: usize) {
        self.most.store(most, Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_given_back_whether_or_not_anything_was_done() {
        let places = Arc::new(Places::new(2));
        // It is about to begin again.
        places.done.store(u32::MAX, Relaxed);
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
