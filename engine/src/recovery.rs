//! From what is on disk to what is in memory: the index of the snapshots, then the journal's tail.

use std::ops::ControlFlow;
use std::sync::Arc;

use relampago_actors::{Address, Facets, Kind, Sequence, Stamp};
use relampago_snapshots::SnapshotStore;
use rustc_hash::FxHashMap;

use crate::api::StartError;
use crate::crosscheck::Ledger;
use crate::hosting::{self, Hosted, Index};
use crate::node::Node;
use crate::record;
use crate::region::Resting;

/// What was found of one entity in the snapshot store.
struct Stored {
    covers: Sequence,
    index: Index,
}

/// What recovery leaves to be done once the node runs: entities that owe something.
pub(crate) type Owing = Vec<Address>;

/// What came of a recovery.
pub(crate) struct Recovered {
    pub(crate) owing: Owing,
    /// Of what orders and inventories say at the journal's end.
    pub(crate) ledger: Ledger,
}

/// Recovers the node's memory; nothing else runs meanwhile.
pub(crate) fn run(node: &Node) -> Result<Recovered, StartError> {
    node.store.check_cut(node.journal.first())?;
    let stored = scan(node.store.as_ref(), node.journal.last())?;
    let replayed = replay(node, &stored)?;
    let (mut owing, mut ledger) = (Vec::new(), Ledger::default());
    for (at, found) in &stored {
        if replayed.contains_key(at) {
            continue;
        }
        adopt_stored(*at, found, node, &mut owing, &mut ledger)?;
    }
    for (at, (mut hosted, uncovered)) in replayed {
        hosted.publish(node);
        hosted.account(&mut ledger);
        let packed = hosted.pack().map_err(|error| unreadable(at, &error.to_string()))?;
        if packed.owes {
            owing.push(at);
        }
        node.region.rest(at, Resting { packed: Arc::new(packed), uncovered });
    }
    node.orders.fold();
    ledger.open();
    Ok(Recovered { owing, ledger })
}

fn unreadable(at: Address, reason: &str) -> StartError {
    StartError::Snapshot { entity: format!("{} {}", at.kind.name(), at.id), reason: reason.to_owned() }
}

fn scan(store: &dyn SnapshotStore, last: Sequence) -> Result<FxHashMap<Address, Stored>, StartError> {
    let mut found = FxHashMap::default();
    let mut fault = None;
    store.scan(&mut |key, covers, index| match (Address::from_key(key), Index::load(index)) {
        _ if covers > last => {
            let why = "the folders are of different times";
            fault = Some(format!("it covers event {covers} and the journal ends at {last}: {why}"));
        }
        (Some(at), Ok(index)) => {
            found.insert(at, Stored { covers, index });
        }
        (None, _) => fault = Some(format!("kind {} is unknown; a newer program wrote it", key[0])),
        (_, Err(error)) => fault = Some(error.to_string()),
    })?;
    match fault {
        Some(reason) => Err(StartError::Snapshot { entity: "an index entry".to_owned(), reason }),
        None => Ok(found),
    }
}

/// Entities that have events above their snapshots, with the first of these events.
type Replayed = FxHashMap<Address, (Box<dyn Hosted>, Sequence)>;

fn replay(node: &Node, stored: &FxHashMap<Address, Stored>) -> Result<Replayed, StartError> {
    let mut replayed = Replayed::default();
    let mut outcome = Ok(());
    node.journal.replay(node.journal.first(), &mut |sequence, bytes| {
        outcome = replay_one(sequence, bytes, node, stored, &mut replayed);
        if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    outcome.map(|()| replayed)
}

fn replay_one(
    sequence: Sequence,
    bytes: &[u8],
    node: &Node,
    stored: &FxHashMap<Address, Stored>,
    replayed: &mut Replayed,
) -> Result<(), StartError> {
    let fault = |reason: String| StartError::Record { sequence, reason };
    let parts = record::parse(bytes).ok_or_else(|| fault("too short, or of an unknown kind".to_owned()))?;
    let at = parts.at;
    node.clock.at_least(parts.time);
    if stored.get(&at).is_some_and(|stored| sequence <= stored.covers) {
        return Ok(());
    }
    let (hosted, _) = match replayed.entry(at) {
        std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
        std::collections::hash_map::Entry::Vacant(new) => {
            let hosted = if stored.contains_key(&at) { load(at, node.store.as_ref())? } else { blank(at)? };
            new.insert((hosted, sequence))
        }
    };
    let stamp = Stamp { sequence, at: parts.time };
    hosted.replay(parts.event, stamp).map_err(|error| fault(error.to_string()))
}

fn load(at: Address, store: &dyn SnapshotStore) -> Result<Box<dyn Hosted>, StartError> {
    let found = store.get(&at.key())?.ok_or_else(|| unreadable(at, "it is indexed and not there"))?;
    hosting::load(at, Some((found.covers, &found.state))).map_err(|error| unreadable(at, &error.to_string()))
}

fn blank(at: Address) -> Result<Box<dyn Hosted>, StartError> {
    hosting::load(at, None).map_err(|error| unreadable(at, &error.to_string()))
}

/// An entity without events above its snapshot: its index says all that is needed, but for the catalogue.
fn adopt_stored(
    at: Address,
    found: &Stored,
    node: &Node,
    owing: &mut Owing,
    ledger: &mut Ledger,
) -> Result<(), StartError> {
    if found.index.owes {
        owing.push(at);
        if at.kind == Kind::Order {
            load(at, node.store.as_ref())?.account(ledger);
        }
    }
    if matches!(at.kind, Kind::Product | Kind::Inventory) {
        let mut hosted = load(at, node.store.as_ref())?;
        hosted.publish(node);
        hosted.account(ledger);
        return Ok(());
    }
    if let Some(deadline) = found.index.deadline {
        node.deadlines.schedule(deadline, at);
    }
    match (at.kind, found.index.listed) {
        (Kind::Order, Some((user, status, created_at))) => {
            node.orders.record(at.id, Some(Facets { user, status, created_at }), found.covers);
        }
        (Kind::Audit, Some((_, _, minute))) => node.minutes.record(minute),
        _ => {}
    }
    Ok(())
}
