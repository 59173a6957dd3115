//! Orders in the order in which they were placed, for lists by user and status.
//!
//! Changes are only queued on the way of a checkout and folded in when somebody looks, or by the sweeper.

use parking_lot::Mutex;
use relampago_actors::{Facets, Id, Millis, Sequence};
use rustc_hash::FxHashMap;

use super::timeline::{Key, Timeline};
use crate::api::OrderQuery;

/// A full queue is folded by whoever adds to it.
const QUEUE: usize = 1 << 16;

/// An order as it is since an event.
type Change = (Id, Facets, Sequence);

#[derive(Debug, Default)]
pub(crate) struct Orders {
    queue: Mutex<Vec<Change>>,
    folded: Mutex<Folded>,
}

#[derive(Debug, Default)]
struct Folded {
    /// Each with the number of its status.
    all: Timeline,
    /// Sorted: few people have so many that an insertion is felt.
    by_user: FxHashMap<Id, Vec<Key>>,
    latest: Sequence,
    /// The room of the queue before, for the next one.
    spare: Vec<Change>,
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
        let mut changes = std::mem::take(&mut folded.spare);
        std::mem::swap(&mut *self.queue.lock(), &mut changes);
        for (id, facets, sequence) in changes.drain(..) {
            folded.put(id, facets);
            folded.latest = folded.latest.max(sequence);
        }
        folded.spare = changes;
    }

    /// A page of orders, newest first; whether there are more; and the highest sequence of what it shows.
    pub(crate) fn list(&self, query: &OrderQuery) -> (Vec<(Millis, Id)>, bool, Sequence) {
        self.fold();
        let folded = self.folded.lock();
        let status = query.status.map(|status| status as u8);
        let found = folded.newest_first(query);
        let mut found = found.filter(|(_, known)| status.is_none_or(|status| *known == status));
        let items = found.by_ref().take(query.limit).map(|(key, _)| key.parts()).collect();
        (items, found.next().is_some(), folded.latest)
    }

    pub(crate) fn len(&self) -> usize {
        self.folded.lock().all.len()
    }
}

impl Folded {
    fn put(&mut self, id: Id, facets: Facets) {
        let key = Key::new(facets.created_at, id);
        self.all.insert(key, facets.status);
        if let Some(user) = facets.user {
            let keys = self.by_user.entry(user).or_default();
            if let Err(place) = keys.binary_search(&key) {
                keys.insert(place, key);
            }
        }
    }

    /// What comes after the query's start, with the numbers of the statuses.
    fn newest_first(&self, query: &OrderQuery) -> Box<dyn Iterator<Item = (Key, u8)> + '_> {
        let end = query.after.map(|(at, id)| Key::new(at, id));
        let Some(user) = query.user else { return Box::new(self.all.newest_first(end)) };
        let keys = self.by_user.get(&user).map_or(&[][..], |keys| keys);
        let below = end.map_or(keys.len(), |end| keys.partition_point(|key| *key < end));
        Box::new(keys[..below].iter().rev().filter_map(|key| Some((*key, self.all.get(*key)?))))
    }
}
