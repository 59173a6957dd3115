//! Stores states that have left memory, and cuts the journal below what is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use relampago_actors::{Address, Millis, Sequence};
use relampago_snapshots::{SnapshotRecord, StorageError};

use crate::leisure::Leisure;
use crate::node::Node;
use crate::region::Resting;

/// States stored with one wait for the disk; fewer of large ones, of which so many bytes are enough.
const STATES_A_PUT: usize = 16_384;
const BYTES_A_PUT: usize = 4 << 20;

/// The journal is cut once so many events can go: cutting costs a write to the archive.
const EVENTS_A_CUT: u64 = 50_000;

/// Resting states are stored early once there are so many: what may wait in memory is bounded.
const RESTING_AT_MOST: usize = 250_000;

/// For so many times as long as a put or a file of the archive took nothing more is done, while the node is busy and the
/// debt below its bound: it is not urgent, and paid at one go it takes half a core for seconds, which every request waits
/// for. At the most so long.
const RESTS: u32 = 3;
const LONGEST_REST: Duration = Duration::from_millis(500);

/// How often the debt is looked at.
const LOOK: Duration = Duration::from_millis(100);

/// How far snapshots are behind.
#[derive(Debug, Default)]
pub(crate) struct Debt {
    /// When states were last stored that waited, ms; what waits now came later.
    paid: AtomicU64,
    /// All events below are in snapshots, as of then.
    covered_below: AtomicU64,
}

impl Debt {
    /// For how long the oldest state may have waited, ms.
    pub(crate) fn age(&self, now: Millis) -> u64 {
        now.saturating_sub(self.paid.load(Ordering::Relaxed))
    }

    /// Events up to `durable` that may be in no snapshot.
    pub(crate) fn lag(&self, durable: Sequence) -> u64 {
        (durable + 1).saturating_sub(self.covered_below.load(Ordering::Relaxed).max(1))
    }

    /// Nothing waits yet.
    pub(crate) fn begin(&self, now: Millis, first: Sequence) {
        self.paid.store(now, Ordering::Relaxed);
        self.covered_below.store(first, Ordering::Relaxed);
    }
}

/// The snapshotter's thread: until `stop` is closed, or storing fails. Snapshots are a debt that is paid after
/// an interval or when it has grown: a state that changes again meanwhile is stored once.
pub(crate) fn run(node: &Arc<Node>, stop: &Receiver<()>) {
    let mut paid = Instant::now();
    while stop.recv_timeout(LOOK.min(node.limits.snapshot)) == Err(RecvTimeoutError::Timeout) {
        // A journal may fail in the background, and nobody may be there whose next write would tell.
        if let Err(error) = node.journal.check() {
            tracing::error!(%error, "the journal failed: the node stops");
            return node.failure.set(format!("the journal failed: {error}"));
        }
        if paid.elapsed() < node.limits.snapshot && node.region.resting_count() < RESTING_AT_MOST {
            continue;
        }
        paid = Instant::now();
        let began = node.clock.now();
        if let Err(error) = pay(node, stop) {
            tracing::error!(%error, "snapshots failed: the node stops");
            return node.failure.set(format!("snapshots failed: {error}"));
        }
        node.debt.paid.store(began, Ordering::Relaxed);
    }
}

/// Stores what waits and cuts the journal, with rests in between; the rest is left if the node stops, or the journal has
/// failed meanwhile.
fn pay(node: &Node, stop: &Receiver<()>) -> Result<(), StorageError> {
    let mut leisure = Leisure::begin();
    let mut goes_on = |took: Duration| {
        let may_rest = leisure.is_busy() && node.region.resting_count() < RESTING_AT_MOST;
        let rest = (took * RESTS).min(LONGEST_REST);
        let stops = may_rest && stop.recv_timeout(rest) != Err(RecvTimeoutError::Timeout);
        !stops && node.journal.check().is_ok()
    };
    node.store.note_keys(node.keys.changes())?;
    if store(node, &mut goes_on)? { cut(node, EVENTS_A_CUT, &mut goes_on) } else { Ok(()) }
}

/// Stores every state whose events are durable.
pub(crate) fn store_resting(node: &Node) -> Result<(), StorageError> {
    store(node, |_| true).map(drop)
}

/// Stores states whose events are durable; `goes_on` is told after every put how long it took. Whether that was all.
fn store(node: &Node, mut goes_on: impl FnMut(Duration) -> bool) -> Result<bool, StorageError> {
    let durable = node.committer.durable();
    let mut resting = node.region.resting();
    resting.retain(|(_, resting)| resting.packed.covers <= durable);
    let any = !resting.is_empty();
    while !resting.is_empty() {
        let began = Instant::now();
        // From the end: what is stored is let go of at once.
        let part = resting.split_off(resting.len() - last_lot(&resting));
        node.store.put(part.iter().map(record).collect())?;
        for (at, resting) in &part {
            node.region.stored(*at, resting.packed.covers);
        }
        drop(part);
        if !resting.is_empty() && !goes_on(began.elapsed()) {
            return Ok(false);
        }
    }
    // Under load there are others by now, which need the room.
    if any && node.region.resting_count() == 0 {
        node.region.shrink_resting();
    }
    Ok(true)
}

/// How many of the last states, one at least, are stored together.
fn last_lot(resting: &[(Address, Resting)]) -> usize {
    let mut bytes = 0;
    let lot = resting.iter().rev().take(STATES_A_PUT).take_while(|(_, resting)| {
        let fits = bytes < BYTES_A_PUT;
        bytes += resting.packed.state().len();
        fits
    });
    lot.count()
}

fn record((at, resting): &(Address, Resting)) -> SnapshotRecord {
    let packed = &resting.packed;
    SnapshotRecord {
        key: at.key(),
        covers: packed.covers,
        index: packed.index().to_vec(),
        state: packed.state().to_vec(),
    }
}

/// Cuts all that no entity needs any more, if it is at least `least` events.
pub(crate) fn cut_all(node: &Node, least: u64) -> Result<(), StorageError> {
    cut(node, least, |_| true)
}

/// Cuts what no entity needs any more, if it is at least `least` events; nothing while a backup reads the journal.
/// `goes_on` is told after every file of the archive how long it took.
fn cut(node: &Node, least: u64, mut goes_on: impl FnMut(Duration) -> bool) -> Result<(), StorageError> {
    // The durable end first: an event submitted later cannot lie below it.
    let end = node.committer.durable() + 1;
    #[cfg(test)]
    crate::rules::meanwhile(crate::rules::Between::EndAndEntities);
    let below: Sequence = node.region.uncovered().map_or(end, |uncovered| uncovered.min(end));
    node.debt.covered_below.store(below, Ordering::Relaxed);
    if below.saturating_sub(node.journal.first()) < least {
        return Ok(());
    }
    let mut noted = false;
    loop {
        let began = Instant::now();
        {
            let Some(_cutting) = node.cutting.try_lock() else { return Ok(()) };
            // First: a start must be able to tell that snapshots are older than what was cut.
            if !noted {
                node.store.note_cut(below)?;
                noted = true;
            }
            if !node.journal.truncate_some_before(below)? {
                return Ok(());
            }
        }
        if !goes_on(began.elapsed()) {
            return Ok(());
        }
    }
}
