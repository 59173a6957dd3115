//! Who has to know at once when a part of an entity ends: a session of an account, an API key.
//!
//! Whoever lets somebody in on the word of a session keeps a [`Watch`] on it instead of asking each time. It
//! tells of the end as soon as the entity has decided it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use dashmap::DashMap;
use relampago_actors::{Address, Id, Sequence};
use rustc_hash::FxBuildHasher;

/// An eye on a part of an entity.
#[derive(Debug)]
pub struct Watch {
    part: Id,
    /// The sequence of the event that ended it; 0 while it lives.
    ended: AtomicU64,
}

impl Watch {
    /// The sequence of the event that ended the part: who is refused for it has to wait until that is
    /// durable. `None` while it lives.
    #[must_use]
    pub fn ended(&self) -> Option<Sequence> {
        Some(self.ended.load(Ordering::Acquire)).filter(|sequence| *sequence != 0)
    }
}

/// Every watch that somebody holds.
#[derive(Default)]
pub(crate) struct Watches {
    by_entity: DashMap<Address, Vec<Weak<Watch>>, FxBuildHasher>,
}

impl Watches {
    /// A watch on a part of an entity. It tells of what ends from now on: ask the entity afterwards whether the
    /// part lives.
    pub(crate) fn watch(&self, at: Address, part: Id) -> Arc<Watch> {
        let mut watches = self.by_entity.entry(at).or_default();
        watches.retain(|watch| watch.strong_count() > 0);
        let watch = Arc::new(Watch { part, ended: AtomicU64::new(0) });
        watches.push(Arc::downgrade(&watch));
        watch
    }

    /// An entity has changed: tells those whose part lives no more.
    pub(crate) fn settle(&self, at: Address, sequence: Sequence, lives: impl Fn(Id) -> bool) {
        let Some(watches) = self.by_entity.get(&at) else { return };
        for watch in watches.iter().filter_map(Weak::upgrade) {
            if watch.ended().is_none() && !lives(watch.part) {
                watch.ended.store(sequence, Ordering::Release);
            }
        }
    }

    /// Forgets the entities that nobody watches any more.
    pub(crate) fn sweep(&self) {
        self.by_entity.retain(|_, watches| {
            watches.retain(|watch| watch.strong_count() > 0);
            !watches.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_tells_of_the_end_of_its_part_and_of_nothing_else() {
        let (watches, at) = (Watches::default(), Address::order(Id(1)));
        let (first, second) = (watches.watch(at, Id(10)), watches.watch(at, Id(20)));
        watches.settle(at, 7, |part| part != Id(10));
        assert_eq!((first.ended(), second.ended()), (Some(7), None));
        watches.settle(at, 8, |_| false);
        assert_eq!((first.ended(), second.ended()), (Some(7), Some(8)));
        watches.settle(Address::order(Id(2)), 9, |_| false);
        drop((first, second));
        watches.sweep();
        assert!(watches.by_entity.is_empty());
    }
}
