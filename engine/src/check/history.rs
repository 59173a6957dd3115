//! The events in order, and every snapshot beside the replay of its entity's events.

use std::collections::hash_map::Entry;
use std::ops::ControlFlow;

use relampago_actors::{Address, Kind, Sequence, Stamp};
use relampago_snapshots::{Journal, SnapshotStore, StorageError};
use rustc_hash::FxHashMap;

use super::RESTORE;
use super::books::Books;
use super::replica::{Replica, replica};
use super::report::{CheckReport, Fault};
use crate::hosting::Index;
use crate::record;

/// What to do about events that contradict each other: nothing that a backup could repair.
const KEEP: &str = "keep the folder as it is and report this: the program that wrote it was at fault";

/// What the store's index says of an entity.
struct Stored {
    covers: Sequence,
    index: Index,
    /// Whether the event that it covers was met.
    met: bool,
}

/// Everything that is stored, on its way through the events.
pub(super) struct History<'a> {
    store: Option<&'a dyn SnapshotStore>,
    /// The events are kept from the first on.
    whole: bool,
    stored: FxHashMap<Address, Stored>,
    /// Entities between their first event and their snapshot, and those with events above it: few, so a folder of
    /// any age can be checked in bounded memory.
    replicas: FxHashMap<Address, Box<dyn Replica>>,
}

impl<'a> History<'a> {
    pub(super) fn new(store: Option<&'a dyn SnapshotStore>, whole: bool) -> Self {
        Self { store, whole, stored: FxHashMap::default(), replicas: FxHashMap::default() }
    }

    /// Reads the index of the snapshots.
    pub(super) fn index(&mut self, last: Sequence, report: &mut CheckReport) -> Result<(), StorageError> {
        let Some(store) = self.store else { return Ok(()) };
        store.scan(&mut |key, covers, index| {
            report.snapshots.stored += 1;
            let fault =
                |what: String| Fault { place: format!("snapshot of {key:02x?}"), what, remedy: RESTORE };
            match (Address::from_key(key), Index::load(index)) {
                (Some(at), _) if covers > last => {
                    let what = format!("it covers event {covers} and the journal ends at {last}");
                    report.found(Fault {
                        place: format!("snapshot of {}", shown(at)),
                        what,
                        remedy: RESTORE,
                    });
                }
                (Some(at), Ok(index)) => {
                    self.stored.insert(at, Stored { covers, index, met: false });
                }
                (None, _) => report.found(fault("its kind is unknown".to_owned())),
                (_, Err(error)) => report.found(fault(error.to_string())),
            }
        })
    }

    /// Reads every event from `oldest` on.
    pub(super) fn replay(
        &mut self,
        journal: &dyn Journal,
        oldest: Sequence,
        report: &mut CheckReport,
    ) -> Result<(), StorageError> {
        let (mut next, mut outcome) = (oldest, Ok(()));
        journal.replay(oldest, &mut |sequence, bytes| {
            if sequence != next {
                let what = format!("event {next} should follow");
                report.found(Fault { place: format!("event {sequence}"), what, remedy: RESTORE });
            }
            next = sequence + 1;
            report.events += 1;
            outcome = self.event(sequence, bytes, report);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        self.note_unmet(oldest, report);
        Ok(())
    }

    fn event(
        &mut self,
        sequence: Sequence,
        bytes: &[u8],
        report: &mut CheckReport,
    ) -> Result<(), StorageError> {
        let unreadable = |what: String| Fault { place: format!("event {sequence}"), what, remedy: RESTORE };
        let Some(parts) = record::parse(bytes) else {
            report.found(unreadable("too short, or of an unknown kind".to_owned()));
            return Ok(());
        };
        let (at, stamp) = (parts.at, Stamp { sequence, at: parts.time });
        let covers = self.stored.get(&at).map_or(0, |stored| stored.covers);
        let first = !self.replicas.contains_key(&at);
        let from = if first && covers > 0 && sequence > covers { self.state(at, report)? } else { None };
        let known = match self.replicas.entry(at) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(vacant) => match replica(at, from.as_deref()) {
                Ok(fresh) => vacant.insert(fresh),
                Err(error) => {
                    report.found(unreadable(format!("the snapshot of {}: {error}", shown(at))));
                    return Ok(());
                }
            },
        };
        match known.apply(parts.event, stamp) {
            Err(error) => {
                self.replicas.remove(&at);
                report.found(unreadable(format!("{}: {error}", shown(at))));
                return Ok(());
            }
            // Its first events are no longer kept: it can be known from its snapshot on.
            Ok(applied) if first && sequence <= covers && !self.whole && !applied.begins => {
                self.replicas.remove(&at);
            }
            // What contradicts earlier events that nobody knows is no fault of the event.
            Ok(_) if self.store.is_none() && !self.whole => {}
            Ok(applied) => {
                if let Some(objection) = applied.objection {
                    let what = format!("{}: {objection}", shown(at));
                    report.found(Fault { place: format!("event {sequence}"), what, remedy: KEEP });
                }
            }
        }
        if sequence == covers { self.compare(at, report) } else { Ok(()) }
    }

    /// The entity stands where its snapshot does: both must be equal. From there on the snapshot serves.
    fn compare(&mut self, at: Address, report: &mut CheckReport) -> Result<(), StorageError> {
        let Some(stored) = self.stored.get_mut(&at) else { return Ok(()) };
        stored.met = true;
        let index = stored.index;
        let Some(replica) = self.replicas.remove(&at) else {
            report.snapshots.older += 1;
            return Ok(());
        };
        report.snapshots.compared += 1;
        let Some(state) = self.state(at, report)? else { return Ok(()) };
        let what = match replica.is_as_stored(&state, &index) {
            Ok(true) => return Ok(()),
            Ok(false) => "it differs from the replay of its events".to_owned(),
            Err(error) => error.to_string(),
        };
        report.found(Fault { place: format!("snapshot of {}", shown(at)), what, remedy: RESTORE });
        Ok(())
    }

    /// The stored state of an entity; a fault if its index entry is all there is.
    fn state(&self, at: Address, report: &mut CheckReport) -> Result<Option<Vec<u8>>, StorageError> {
        let Some(store) = self.store else { return Ok(None) };
        let found = store.get(&at.key())?.map(|snapshot| snapshot.state);
        if found.is_none() {
            let what = "it is indexed and not there".to_owned();
            report.found(Fault { place: format!("snapshot of {}", shown(at)), what, remedy: RESTORE });
        }
        Ok(found)
    }

    /// Snapshots whose last event never came by.
    fn note_unmet(&mut self, oldest: Sequence, report: &mut CheckReport) {
        for (at, stored) in self.stored.iter().filter(|(_, stored)| !stored.met) {
            if stored.covers < oldest {
                report.snapshots.older += 1;
                continue;
            }
            let what = format!("it covers event {}, which is not one of its own", stored.covers);
            report.found(Fault { place: format!("snapshot of {}", shown(*at)), what, remedy: RESTORE });
        }
    }

    /// Counts what there is, and balances inventories and orders.
    pub(super) fn balance(self, report: &mut CheckReport) -> Result<(), StorageError> {
        let mut counts = Kind::ALL.map(|kind| (kind, 0));
        let mut books = Books::default();
        let resting = self.stored.keys().filter(|at| !self.replicas.contains_key(at)).copied();
        for at in resting.chain(self.replicas.keys().copied()) {
            if let Some((_, count)) = counts.iter_mut().find(|(kind, _)| *kind == at.kind) {
                *count += 1;
            }
            if let Some(replica) = self.replicas.get(&at) {
                replica.tell(at, &mut books);
            } else if matches!(at.kind, Kind::Order | Kind::Inventory)
                && let Some(state) = self.state(at, report)?
            {
                match replica(at, Some(&state)) {
                    Ok(replica) => replica.tell(at, &mut books),
                    Err(error) => {
                        let place = format!("snapshot of {}", shown(at));
                        report.found(Fault { place, what: error.to_string(), remedy: RESTORE });
                    }
                }
            }
        }
        report.entities = counts.to_vec();
        report.close(books);
        Ok(())
    }
}

/// An address as people write it, and as `inspect` takes it.
pub(super) fn shown(at: Address) -> String {
    format!("{} {}", at.kind.name(), at.id)
}
