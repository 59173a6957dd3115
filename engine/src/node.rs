//! What everything on one node shares.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use relampago_actors::{Context, Policy};
use relampago_gateways::Mailbox;
use relampago_keys::Keys;
use relampago_snapshots::{Journal, SnapshotStore};

use crate::backup::Origin;
use crate::clock::Clock;
use crate::committer::Committer;
use crate::crosscheck::Crosscheck;
use crate::deadlines::Deadlines;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::outbox::Outbox;
use crate::quarantine::Quarantine;
use crate::region::Region;
use crate::reply::Admitted;
use crate::snapshotter::Debt;
use crate::views::{Catalogue, Minutes, Orders};
use crate::watch::Watches;

/// The parts of a node, and what they need to know of each other.
pub(crate) struct Node {
    pub(crate) own: Weak<Self>,
    pub(crate) clock: Clock,
    pub(crate) policy: Policy,
    pub(crate) limits: Limits,
    pub(crate) admitted: Arc<Admitted>,
    pub(crate) failure: Arc<Failure>,
    pub(crate) committer: Committer,
    pub(crate) region: Region,
    pub(crate) deadlines: Deadlines,
    pub(crate) outbox: Outbox,
    pub(crate) quarantine: Quarantine,
    pub(crate) crosscheck: Crosscheck,
    pub(crate) debt: Debt,
    pub(crate) catalogue: Catalogue,
    pub(crate) orders: Orders,
    pub(crate) minutes: Minutes,
    pub(crate) watches: Watches,
    pub(crate) keys: Arc<Keys>,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) figures: Figures,
    pub(crate) journal: Arc<dyn Journal>,
    pub(crate) store: Arc<dyn SnapshotStore>,
    pub(crate) secret: [u8; 32],
    /// What a backup says of the data folder.
    pub(crate) origin: Origin,
    /// Held by who cuts the journal, and by who must not have it cut.
    pub(crate) cutting: Mutex<()>,
    pub(crate) recovery: Duration,
    pub(crate) stopping: AtomicBool,
}

/// Bounds and intervals of the engine.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) in_flight: usize,
    pub(crate) resident: usize,
    pub(crate) idle: Duration,
    pub(crate) redrive: Duration,
    pub(crate) snapshot: Duration,
    pub(crate) snapshot_events: u64,
    /// Largest event that the journal takes, bytes.
    pub(crate) record: usize,
}

impl Node {
    /// What a decision may look at now.
    pub(crate) fn context(&self) -> Context<'_> {
        Context::new(self.clock.now(), &self.catalogue, &self.policy)
    }

    /// A share of this node, for something that outlives the call; `None` once it is going away.
    pub(crate) fn shared(&self) -> Option<Arc<Self>> {
        self.own.upgrade()
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}
