//! Orders in the order in which they were placed, for lists by user and status.
//!
//! Changes are only queued on the way of a checkout and folded in when somebody looks, or by the sweeper.

use std::collections::{BTreeMap, BTreeSet};

use parking_lot::Mutex;
use relampago_actors::{Facets, Id, Millis, Sequence};
use rustc_hash::FxHashMap;

use crate::api::OrderQuery;

/// A full queue is folded by whoever adds to it.
const QUEUE: usize = 1 << 16;

#[derive(Debug, Default)]
pub(crate) struct Orders {
    queue: Mutex<Vec<(Id, Facets, Sequence)>>,
    folded: Mutex<Folded>,
}

#[derive(Debug, Default)]
struct Folded {
    /// By time and id: whose, and the number of the status.
    all: BTreeMap<(Millis, Id), (Option<Id>, u8)>,
    by_user: FxHashMap<Id, BTreeSet<(Millis, Id)>>,
    latest: Sequence,
}

impl Orders {
    /// Takes note of an order as it is now.
    pub(crate) fn record(&self, id: Id, facets: Option<Facets>, sequence: Sequence) {
        let Some(facets) = facets else { return };
        let full = {
            let mut queue = self.queue.lock();
            queue.push((id, facets, sequence));
            queue.len() >= QUEUE
        };
        if full {
            self.fold();
        }
    }

    /// Brings the lists up to date.
    pub(crate) fn fold(&self) {
        let mut folded = self.folded.lock();
        // Taken under the lock, so that an older change of an order never overwrites a newer one.
        let changes = std::mem::take(&mut *self.queue.lock());
        for (id, facets, sequence) in changes {
            folded.put(id, facets);
            folded.latest = folded.latest.max(sequence);
        }
    }

    /// A page of orders, newest first; whether there are more; and the highest sequence of what it shows.
    pub(crate) fn list(&self, query: &OrderQuery) -> (Vec<(Millis, Id)>, bool, Sequence) {
        self.fold();
        let folded = self.folded.lock();
        let status = query.status.map(|status| status as u8);
        let mut found = folded.newest_first(query).filter(|key| {
            status.is_none_or(|status| folded.all.get(key).is_some_and(|(_, known)| *known == status))
        });
        let items = found.by_ref().take(query.limit).collect();
        (items, found.next().is_some(), folded.latest)
    }

    pub(crate) fn len(&self) -> usize {
        self.folded.lock().all.len()
    }
}

impl Folded {
    fn put(&mut self, id: Id, facets: Facets) {
        let key = (facets.created_at, id);
        self.all.insert(key, (facets.user, facets.status));
        if let Some(user) = facets.user {
            self.by_user.entry(user).or_default().insert(key);
        }
    }

    fn newest_first(&self, query: &OrderQuery) -> Box<dyn Iterator<Item = (Millis, Id)> + '_> {
        use std::ops::Bound::{Excluded, Unbounded};
        let end = query.after.map_or(Unbounded, Excluded);
        match query.user {
            None => Box::new(self.all.range((Unbounded, end)).rev().map(|(key, _)| *key)),
            Some(user) => match self.by_user.get(&user) {
                None => Box::new(std::iter::empty()),
                Some(keys) => Box::new(keys.range((Unbounded, end)).rev().copied()),
            },
        }
    }
}
