//! The runtime: hosts entities on supervised actors and makes what they decide durable.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`Engine`] | start, ask, list, drain |
//! | `shell` | the one ractor actor that hosts any entity, and its supervisor |
//! | `hosting` | an entity in memory: decide, submit, apply, send |
//! | `region` | from address to live actor: activation, passivation, restart |
//! | `committer` | group commit; lets go what waited for the disk |
//! | `outbox` | calls on the outside world, until answered |
//! | `crosscheck` | orders against inventories, while the node runs |
//! | `quarantine` | commands that made their entity's code fail, and are not tried again at once |
//! | `sweeper`, `deadlines` | what happens by the clock |
//! | `snapshotter`, `recovery` | memory to disk, and back |
//! | `leisure` | whether there is other work, for what is not urgent |
//! | `views` | read models |
//! | `fuzzing` | for fuzzing alone: the readers of stored records |
//! | `injection` | for tests alone: panics on order |
//! | `sync` | locks and atomics that tests let a model checker take the place of |
//! | `backup` | the running node as a stream, and from there to a data folder |
//! | [`check()`], [`inspect()`] | verify a data folder at rest, and show an entity of it |
//! | `watch` | what has to be known at once when a session or an API key ends |

mod api;
mod backup;
mod check;
mod clock;
mod committer;
mod crosscheck;
mod deadlines;
mod failure;
mod figures;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(test)]
mod golden;
mod hosting;
#[cfg(any(test, feature = "injection"))]
mod injection;
mod inspect;
mod leisure;
mod letters;
#[cfg(test)]
mod models;
mod node;
mod outbox;
mod quarantine;
mod record;
mod recovery;
mod region;
mod reply;
#[cfg(test)]
mod restart;
mod router;
#[cfg(test)]
mod rules;
mod shell;
mod snapshotter;
mod start;
mod sweeper;
mod sync;
mod views;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use relampago_actors::{Address, Id, Message, Millis, Party, Sequence};
use relampago_config::Settings;
use relampago_gateways::Mailbox;
use relampago_keys::Keys;
use tokio::sync::mpsc::Receiver;
use tokio::time::timeout;

pub use api::{
    Answered, AskError, Commit, Health, OrderPage, OrderQuery, ProductKey, ProductOrder, ProductPage,
    ProductQuery, StartError, Trace,
};
pub use backup::{BackupFailed, restore, verify_backup};
pub use check::{CheckReport, Fault, OrderCounts, SnapshotCounts, StockTotals, check};
pub use inspect::{InspectError, Shown, inspect};
pub use reply::Asked;
pub use watch::Watch;

use crate::node::Node;
use crate::region::{Envelope, Input};
use crate::reply::Asker;
use crate::start::Threads;

/// When to come back after a refusal for want of room.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A running engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    node: Arc<Node>,
    threads: Arc<Threads>,
}

impl Engine {
    /// Recovers what is stored under `settings.data.dir` and starts. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// As [`StartError`] says: nothing that was acknowledged is changed then.
    pub async fn start(settings: &Settings) -> Result<Self, StartError> {
        let (node, threads) = start::start(settings).await?;
        Ok(Self { node, threads: Arc::new(threads) })
    }

    /// Sends a client's command to an entity, in the name of `by`, and waits until the answer may leave, at most
    /// for `patience`.
    /// What was begun goes on when the patience ends.
    ///
    /// # Errors
    /// As [`AskError`] says.
    pub async fn ask(
        &self,
        to: Address,
        by: Party,
        message: Message,
        patience: Duration,
    ) -> Result<Answered, AskError> {
        let mut asked = self.begin(to, by, message)?;
        match timeout(patience, &mut asked).await {
            Ok(answer) => answer,
            Err(_) => Err(self.too_late(&asked)),
        }
    }

    /// As [`Engine::ask`], for who sees to the time themselves: the command is on its way when this returns.
    ///
    /// # Errors
    /// [`AskError`], if it was not even begun.
    pub fn begin(&self, to: Address, by: Party, message: Message) -> Result<Asked, AskError> {
        self.begin_traced(to, by, message, Trace::default())
    }

    /// As [`Engine::begin`], as a part of a trace: what entities do for it is logged with its number.
    ///
    /// # Errors
    /// As [`Engine::begin`].
    pub fn begin_traced(
        &self,
        to: Address,
        by: Party,
        message: Message,
        trace: Trace,
    ) -> Result<Asked, AskError> {
        let node = &self.node;
        if node.is_stopping() {
            return Err(AskError::Stopping);
        }
        if node.failure.has_come() {
            return Err(AskError::OutcomeUnknown);
        }
        let Some(permit) = node.admitted.enter(node.limits.in_flight) else {
            node.figures.refused_early.increment(1);
            return Err(AskError::Overloaded { retry_after: RETRY_AFTER });
        };
        let number = permit.number();
        let (asker, answer) = Asker::new(permit);
        let input = Input::Message(message);
        let envelope = Envelope { to, input, asker: Some(asker), depends: 0, by, trace };
        // A panic on the way drops the asker, so that who waits learns that nobody knows; their connection lives on.
        if catch_unwind(AssertUnwindSafe(|| node.region.deliver(envelope, node))).is_err() {
            tracing::error!(entity = ?to, trace_id = trace.field(), "a command could not be delivered");
            node.figures.panics.increment(1);
        }
        Ok(Asked::new(number, answer))
    }

    /// What to tell who will not wait any longer for a command of this engine. The command goes on.
    #[must_use]
    pub fn too_late(&self, asked: &Asked) -> AskError {
        if self.node.admitted.has_joined(asked.number()) { AskError::InFlight } else { AskError::TimedOut }
    }

    /// The time, as decisions are given it: it never goes back.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.node.clock.now()
    }

    /// An eye on a part of an entity, such as a session of an account. It tells of an end that comes from now
    /// on: ask the entity afterwards whether the part lives.
    #[must_use]
    pub fn watch(&self, at: Address, part: Id) -> Arc<Watch> {
        self.node.watches.watch(at, part)
    }

    /// Waits until the journal is durable up to `sequence`.
    ///
    /// # Errors
    /// [`AskError::OutcomeUnknown`] if the journal fails meanwhile.
    pub async fn durable(&self, sequence: Sequence) -> Result<(), AskError> {
        if self.node.committer.reached(sequence).await { Ok(()) } else { Err(AskError::OutcomeUnknown) }
    }

    /// Starts a backup: its frames (see [`relampago_snapshots::backup`]), or an error as the last of them. Must be
    /// called within a tokio runtime.
    #[must_use]
    pub fn backup(&self) -> Receiver<Result<Vec<u8>, BackupFailed>> {
        backup::start(&self.node)
    }

    /// The keys: of personal data, and of tokens.
    #[must_use]
    pub fn keys(&self) -> &Arc<Keys> {
        &self.node.keys
    }

    /// The embedded mailbox.
    #[must_use]
    pub fn mailbox(&self) -> &Mailbox {
        &self.node.mailbox
    }

    /// The minutes between two times in which something was recorded of who did what, the newest first: see
    /// [`Address::audit`].
    #[must_use]
    pub fn recorded_minutes(&self, from: Millis, until: Millis) -> Vec<u64> {
        self.node.minutes.newest_first(from, until)
    }

    /// The shop's secret: mixed into derived ids, so that they cannot be guessed.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.node.secret
    }

    /// A page of products; leaves only once what it shows is durable.
    ///
    /// # Errors
    /// [`AskError::OutcomeUnknown`] if the journal fails meanwhile.
    pub async fn list_products(&self, query: &ProductQuery) -> Result<ProductPage, AskError> {
        let durable = self.node.committer.durable();
        let (items, more, needs) = self.node.catalogue.list(query);
        Ok(ProductPage { items, more, position: self.position(durable, needs).await? })
    }

    /// A page of orders, newest first; leaves only once what it shows is durable.
    ///
    /// # Errors
    /// [`AskError::OutcomeUnknown`] if the journal fails meanwhile.
    pub async fn list_orders(&self, query: &OrderQuery) -> Result<OrderPage, AskError> {
        let durable = self.node.committer.durable();
        let (items, more, needs) = self.node.orders.list(query);
        Ok(OrderPage { items, more, position: self.position(durable, needs).await? })
    }

    /// What a list reflects that was read when the journal was durable up to `durable`.
    async fn position(&self, durable: Sequence, needs: Sequence) -> Result<Commit, AskError> {
        if !self.node.committer.reached(needs).await {
            return Err(AskError::OutcomeUnknown);
        }
        Ok(Commit { journal: router::JOURNAL, sequence: durable.max(needs) })
    }

    /// How it is.
    #[must_use]
    pub fn health(&self) -> Health {
        let node = &self.node;
        let failure = node.failure.get();
        let faults = node.crosscheck.faults();
        Health {
            ready: failure.is_none() && !node.is_stopping(),
            failure,
            durable: node.committer.durable(),
            live: node.region.live_by_kind().into_iter().map(|(kind, live)| (kind.name(), live)).collect(),
            known: node.store.stats().entities + node.region.resting_count() as u64,
            recovery: node.recovery,
            waiting: self.journal_wait(),
            snapshot_lag: node.debt.lag(node.committer.durable()),
            units_at_fault: faults.oversold + faults.stranded + faults.difference,
        }
    }

    /// How long the oldest event has waited to become durable.
    #[must_use]
    pub fn journal_wait(&self) -> Duration {
        self.node.committer.queued().age
    }

    /// Brings those metrics up to date that are read rather than counted; call before rendering.
    pub fn publish_metrics(&self) {
        self.node.figures.publish(&self.node);
    }

    /// Resolves with the reason once the engine has failed and the process has to end.
    pub async fn failed(&self) -> String {
        self.node.failure.wait().await
    }

    /// Stops taking work, finishes what is in flight, stores all states and closes the journal.
    ///
    /// # Errors
    /// If the last writes fail: everything that was acknowledged is in the journal all the same.
    pub async fn drain(&self) -> Result<(), StartError> {
        self.node.stopping.store(true, Ordering::Release);
        start::drain(&self.node, &self.threads).await
    }
}
