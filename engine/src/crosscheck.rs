//! Orders against inventories, while the node runs.
//!
//! One thread reads the journal some way behind its durable end, where orders and inventories stand in one order,
//! and keeps what either says of the same units. It wakes no entity, takes nothing of a checkout's way (the last
//! half second of the journal is read from memory, where it waits for the store behind the log) and does a bounded
//! amount of work a look: little while the node is busy, so that it may fall behind, and more when it is not; from the
//! archive, where the journal may have been cut meanwhile, only then, and a whole file at a time. A look that
//! took long all the same (a piece of the journal is read from the store at one go) is followed by a long rest. Its
//! priority is a normal one, since it holds the journal's locks for moments that others would wait for.

mod ledger;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use relampago_actors::{Address, Kind, Sequence, inventory, order};
use relampago_snapshots::codec::CodecError;

pub(crate) use ledger::{Faults, Ledger};

use crate::hosting::{self, Hostable};
use crate::leisure::Leisure;
use crate::node::Node;
use crate::record;

/// How often it looks.
const LOOK: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 100 });

/// Work at one look while the node is busy, and while it is not.
const WORK_BUSY: Duration = Duration::from_millis(2);
const WORK_CALM: Duration = Duration::from_millis(40);

/// While the node is busy, so many times as long as a look took passes until the next.
const RESTS_BUSY: u32 = 20;

/// Events between two looks at the time.
const EVENTS_A_GLANCE: u64 = 64;

/// Skus whose books are compared at one look.
const SKUS_A_LOOK: usize = 1_000;

/// What was found so far.
#[derive(Debug, Default)]
pub(crate) struct Crosscheck {
    position: AtomicU64,
    claims: AtomicU64,
    oversold: AtomicU64,
    stranded: AtomicU64,
    difference: AtomicU64,
    #[cfg(test)]
    looks: AtomicU64,
}

impl Crosscheck {
    /// The faults that stand at [`Crosscheck::position`].
    pub(crate) fn faults(&self) -> Faults {
        Faults {
            oversold: self.oversold.load(Relaxed),
            stranded: self.stranded.load(Relaxed),
            difference: self.difference.load(Relaxed),
        }
    }

    /// How far the journal was read.
    pub(crate) fn position(&self) -> Sequence {
        self.position.load(Relaxed)
    }

    /// Orders that stock may yet move for.
    pub(crate) fn claims(&self) -> u64 {
        self.claims.load(Relaxed)
    }

    /// How often it has looked.
    #[cfg(test)]
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Relaxed)
    }

    fn publish(&self, ledger: &Ledger, position: Sequence) {
        let Faults { oversold, stranded, difference } = ledger.faults();
        self.oversold.store(oversold, Relaxed);
        self.stranded.store(stranded, Relaxed);
        self.difference.store(difference, Relaxed);
        self.claims.store(ledger.claims() as u64, Relaxed);
        self.position.store(position, Relaxed);
        #[cfg(test)]
        self.looks.fetch_add(1, Relaxed);
    }
}

/// The thread: until `stop` is closed, or the journal cannot be read.
pub(crate) fn run(node: &Arc<Node>, mut ledger: Ledger, from: Sequence, stop: &Receiver<()>) {
    let mut position = from;
    let mut leisure = Leisure::begin();
    node.crosscheck.publish(&ledger, position);
    let mut rest = LOOK;
    while stop.recv_timeout(rest) == Err(RecvTimeoutError::Timeout) {
        let began = Instant::now();
        let busy = leisure.is_busy();
        let work = if busy { WORK_BUSY } else { WORK_CALM };
        // What lies in the archive is read a file at a time, whatever is wanted of it: not while there is other work.
        if !busy || position + 1 >= node.journal.first() {
            match read(node, &mut ledger, position, work) {
                Ok(reached) => position = reached,
                Err(error) => return give_up(node, error.as_ref(), stop),
            }
        }
        ledger.compare(SKUS_A_LOOK, |inventory| node.catalogue.sells(inventory));
        node.crosscheck.publish(&ledger, position);
        rest = if busy { LOOK.max(began.elapsed() * RESTS_BUSY) } else { LOOK };
    }
}

/// The journal's own failure is told elsewhere; but what was deleted from the archive cannot be checked.
fn give_up(node: &Node, error: &dyn std::error::Error, stop: &Receiver<()>) {
    let stopped = stop.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected);
    if !stopped && !node.failure.has_come() {
        tracing::error!(%error, "orders are not checked against inventories any more");
    }
}

/// Reads on behind `position`, until there is no more or time is up; gives how far.
fn read(
    node: &Node,
    ledger: &mut Ledger,
    mut position: Sequence,
    work: Duration,
) -> Result<Sequence, Box<dyn std::error::Error>> {
    let (mut outcome, mut until) = (Ok(()), None);
    node.journal.replay(position + 1, &mut |sequence, bytes| {
        outcome = follow(node, ledger, sequence, bytes);
        if outcome.is_err() {
            return ControlFlow::Break(());
        }
        position = sequence;
        // Counted from the first event: what it takes to get there is paid once for all that are read.
        let until = *until.get_or_insert_with(|| Instant::now() + work);
        let is_late = sequence.is_multiple_of(EVENTS_A_GLANCE) && Instant::now() >= until;
        if is_late { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    outcome?;
    Ok(position)
}

fn follow(node: &Node, ledger: &mut Ledger, sequence: Sequence, bytes: &[u8]) -> Result<(), CodecError> {
    let Some(parts) = record::parse(bytes) else { return Ok(()) };
    let at = parts.at;
    match at.kind {
        Kind::Inventory => ledger.inventory(at.id, &inventory::Inventory::event(parts.event)?, sequence),
        Kind::Order => {
            ledger.order(at.id, &order::Order::event(parts.event)?, sequence, || stored(node, at));
        }
        _ => {}
    }
    Ok(())
}

/// An order as it was last packed or stored; it is not woken.
fn stored(node: &Node, at: Address) -> Option<order::Order> {
    if let Some(resting) = node.region.resting_at(at) {
        return hosting::read(resting.packed.state()).ok();
    }
    let found = node.store.get(&at.key()).ok()??;
    hosting::read(&found.state).ok()
}
