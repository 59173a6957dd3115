//! Start and stop of a node.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Weak, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ractor::ActorRuntime;
use relampago_actors::{Millis, Policy};
use relampago_config::Settings;
use relampago_gateways::{Mailbox, Simulator};
use relampago_keys::Keys;
use relampago_snapshots::{
    DiskJournal, DiskStore, Identity, Journal, JournalOptions, OpenReport, SnapshotStore, StoreOptions,
};
use tokio::task::spawn_blocking;
use tokio::time::sleep;

use crate::api::{StartError, remedy_of};
use crate::backup::Origin;
use crate::clock::Clock;
use crate::committer::{Committer, Gather};
use crate::crosscheck::{self, Crosscheck, Ledger};
use crate::deadlines::Deadlines;
use crate::failure::Failure;
use crate::figures::Figures;
use crate::node::{Limits, Node};
use crate::outbox::{self, Outbox, Patience};
use crate::quarantine::Quarantine;
use crate::region::{Envelope, Input, Region};
use crate::reply::Admitted;
use crate::shell::{ShellMessage, Supervisor};
use crate::snapshotter::Debt;
use crate::views::{Catalogue, Minutes, Orders};
use crate::watch::Watches;
use crate::{recovery, router, snapshotter, sweeper};

#[cfg(test)]
pub(crate) mod twin;

/// The file of the wrapped data keys, in the data folder.
pub(crate) const VAULT: &str = "vault";

/// sled's page cache of the journal, bytes: what it holds is written once and read when it is archived. A large one
/// only spreads every commit over fresh memory, which costs more than the commit itself.
const JOURNAL_CACHE_BYTES: u64 = 1 << 20;

/// Late answers of providers that may wait.
const LATE_ANSWERS: usize = 1024;

/// Entities that go on at once after a start with what they owe.
const REDRIVEN_AT_ONCE: usize = 256;

/// How often a drain looks whether it is done.
const DRAIN_POLL: Duration = Duration::from_millis(2);

/// States are asked for again after so many looks.
const LOOKS_A_NUDGE: u32 = 25;

/// The longest that each step of a drain waits for entities to settle; what is not settled then is owed after the start.
const DRAIN_LONGEST: Duration = Duration::from_secs(10);

/// The node's own threads.
pub(crate) struct Threads {
    committer: Mutex<Option<JoinHandle<()>>>,
    snapshotter: Mutex<Option<JoinHandle<()>>>,
    stop_snapshotter: Mutex<Option<mpsc::Sender<()>>>,
    crosscheck: Mutex<Option<JoinHandle<()>>>,
    stop_crosscheck: Mutex<Option<mpsc::Sender<()>>>,
}

pub(crate) async fn start(settings: &Settings) -> Result<(Arc<Node>, Threads), StartError> {
    let began = Instant::now();
    let (late, late_answers) = tokio::sync::mpsc::channel(LATE_ANSWERS);
    let (settings, figures) = (settings.clone(), Figures::register());
    let opened = spawn_blocking(move || open(&settings, figures, Simulator::new(late), began));
    let (node, recovery::Recovered { owing, ledger }) = opened.await.map_err(|error| {
        StartError::System { what: "the recovery panicked", source: io::Error::other(error) }
    })??;
    let threads = start_threads(&node, ledger)?;
    supervise(&node).await?;
    start_tasks(&node, late_answers);
    for some in owing.chunks(REDRIVEN_AT_ONCE) {
        for to in some {
            let redrive = Envelope::own(*to, Input::Redrive);
            node.region.deliver(redrive, &node);
        }
        tokio::task::yield_now().await;
    }
    Ok((node, threads))
}

fn open(
    settings: &Settings,
    figures: Figures,
    gateway: Simulator,
    began: Instant,
) -> Result<(Arc<Node>, recovery::Recovered), StartError> {
    let dir = settings.data.dir.clone();
    let clock = Clock::default();
    let fresh = fresh_identity(&clock)?;
    let identity = Identity::load_or_create(&dir, || fresh)?;
    let (journal, report) = DiskJournal::open(JournalOptions {
        dir: dir.clone(),
        journal_id: identity.journal_id,
        segment_bytes: settings.journal.segment_bytes,
        segments: settings.journal.segments,
        feed_interval: settings.journal.feed_interval,
        sled_segment_bytes: settings.journal.sled_segment_bytes,
        cache_bytes: JOURNAL_CACHE_BYTES,
        archive_retention_bytes: settings.journal.archive_retention_bytes,
    })?;
    let keys = keys(settings, report.last, clock.now())?;
    let store = DiskStore::open(StoreOptions {
        dir,
        sled_segment_bytes: settings.journal.sled_segment_bytes,
        cache_bytes: settings.journal.cache_bytes,
    })?;
    refuse_older_vault(settings.data.dir.join(VAULT), keys.changes(), &store)?;
    let opened = Opened {
        origin: Origin { sled_segment_bytes: settings.journal.sled_segment_bytes as u64, identity },
        last: report.last,
        journal: Arc::new(journal),
        store: Arc::new(store),
        keys,
    };
    let mut node = node(settings, figures, gateway, clock, opened);
    #[cfg(test)]
    twin::put(&settings.data.dir, &mut node);
    let recovered = recovery::run(&node)?;
    node.debt.begin(node.clock.now(), node.journal.first());
    stop_with_the_keys(&node);
    node.recovery = began.elapsed();
    say(&report, node.recovery, recovered.owing.len());
    // Tied to itself only now that nothing changes it any more.
    let node = Arc::new_cyclic(|own| Node { own: own.clone(), ..node });
    Ok((node, recovered))
}

/// The keys, made at the first start. Without the vault what the journal holds of people could not be read again:
/// it must not seem as if there never had been one. It is made before the first event.
fn keys(settings: &Settings, last: u64, now: Millis) -> Result<Keys, StartError> {
    let (ring, vault) = (settings.keys_file(), settings.data.dir.join(VAULT));
    if last > 0 && !vault.exists() {
        return Err(StartError::VaultMissing { vault });
    }
    Ok(Keys::open(&ring, &vault, true, now)?)
}

/// Refuses a vault that was changed less often than the snapshots know of: it would lack keys, give out their numbers
/// again, and bring back what was erased.
pub(crate) fn refuse_older_vault(
    vault: PathBuf,
    changes: u64,
    store: &dyn SnapshotStore,
) -> Result<(), StartError> {
    let noted = store.keys_noted();
    if changes < noted { Err(StartError::VaultOlder { vault, changes, noted }) } else { Ok(()) }
}

/// Keys that cannot be written any more stop the node: it could neither take anybody in nor forget anybody.
fn stop_with_the_keys(node: &Node) {
    let failure = Arc::clone(&node.failure);
    node.keys.on_failure(move |error| {
        tracing::error!(%error, "the keys cannot be written: the node stops");
        failure.set(format!("the keys cannot be written: {error}{}", remedy_of(error)));
    });
}

/// A new journal id and a new shop secret, from the operating system's randomness.
fn fresh_identity(clock: &Clock) -> Result<Identity, StartError> {
    let (mut journal_id, mut shop_secret) = ([0; 16], [0; 32]);
    for bytes in [&mut journal_id[..], &mut shop_secret[..]] {
        getrandom::fill(bytes).map_err(|error| StartError::System {
            what: "no randomness for the shop's secret",
            source: io::Error::other(error),
        })?;
    }
    Ok(Identity { journal_id, created_ms: clock.now(), shop_secret })
}

fn say(report: &OpenReport, took: Duration, owing: usize) {
    tracing::info!(
        last = report.last,
        first = report.first,
        from_log = report.from_log,
        dropped_torn_record = report.dropped_torn,
        direct_io = report.direct_io,
        owing,
        took_ms = took.as_millis() as u64,
        "recovered"
    );
}

/// What was found in the data folder.
struct Opened {
    origin: Origin,
    journal: Arc<dyn Journal>,
    store: Arc<dyn SnapshotStore>,
    /// Of the journal's last event.
    last: u64,
    keys: Keys,
}

fn node(settings: &Settings, figures: Figures, gateway: Simulator, clock: Clock, opened: Opened) -> Node {
    let Opened { origin, journal, store, last, keys } = opened;
    let (admitted, failure) = (Arc::new(Admitted::default()), Arc::new(Failure::default()));
    let gather = Gather { longest: settings.journal.gather_max, percent: settings.journal.gather_percent };
    let patience = Patience {
        one: settings.payments.provider_timeout,
        all: settings.payments.wait,
        retries: settings.payments.retries,
    };
    let mailbox = Arc::new(Mailbox::default());
    let ms = |duration: Duration| duration.as_millis() as u64;
    Node {
        own: std::sync::Weak::new(),
        clock,
        policy: Policy {
            reservation_ttl_ms: ms(settings.orders.reservation_ttl),
            payment_deadline_ms: ms(settings.payments.deadline),
            cart_ttl_ms: ms(settings.carts.ttl),
            verification_ttl_ms: ms(settings.auth.verification_ttl),
        },
        limits: Limits {
            in_flight: settings.server.max_in_flight,
            resident: settings.engine.resident_entities,
            idle: settings.engine.idle_timeout,
            redrive: settings.engine.redrive_interval,
            snapshot: settings.engine.snapshot_interval,
            snapshot_events: settings.engine.snapshot_events,
            record: journal.max_record_bytes(),
        },
        committer: Committer::new(router::JOURNAL, last, gather, Arc::clone(&admitted), Arc::clone(&failure)),
        admitted,
        failure,
        region: Region::default(),
        deadlines: Deadlines::default(),
        outbox: Outbox::new(Arc::new(gateway), mailbox.clone(), settings.mail.link.clone(), patience),
        quarantine: Quarantine::default(),
        crosscheck: Crosscheck::default(),
        debt: Debt::default(),
        catalogue: Catalogue::default(),
        orders: Orders::default(),
        minutes: Minutes::default(),
        watches: Watches::default(),
        keys: Arc::new(keys),
        mailbox,
        figures,
        journal,
        store,
        secret: origin.identity.shop_secret,
        origin,
        cutting: Mutex::default(),
        recovery: Duration::ZERO,
        stopping: AtomicBool::new(false),
    }
}

fn start_threads(node: &Arc<Node>, ledger: Ledger) -> Result<Threads, StartError> {
    let system = |source| StartError::System { what: "a thread could not be started", source };
    let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let committing = Arc::clone(node);
    let committer = thread("committer")
        .spawn(move || {
            let _guard = EndsTheNode(Arc::downgrade(&committing), "the committer panicked");
            committing.committer.run(committing.journal.as_ref());
        })
        .map_err(system)?;
    let (stop, stopped) = mpsc::channel();
    let storing = Arc::clone(node);
    let snapshotter = thread("snapshotter")
        .spawn(move || {
            let _guard = EndsTheNode(Arc::downgrade(&storing), "the snapshotter panicked");
            snapshotter::run(&storing, &stopped);
        })
        .map_err(system)?;
    let (stop_check, check_stopped) = mpsc::channel();
    // Before anybody can ask for anything: nothing is durable that the ledger has not seen.
    let (checking, from) = (Arc::clone(node), node.journal.last());
    let crosscheck = thread("crosscheck")
        .spawn(move || {
            let _guard = EndsTheNode(Arc::downgrade(&checking), "the cross-check panicked");
            crosscheck::run(&checking, ledger, from, &check_stopped);
        })
        .map_err(system)?;
    Ok(Threads {
        committer: Mutex::new(Some(committer)),
        snapshotter: Mutex::new(Some(snapshotter)),
        stop_snapshotter: Mutex::new(Some(stop)),
        crosscheck: Mutex::new(Some(crosscheck)),
        stop_crosscheck: Mutex::new(Some(stop_check)),
    })
}

/// A panic in one of the node's own threads and tasks ends the node: nobody would wait for it to go on.
struct EndsTheNode(Weak<Node>, &'static str);

impl Drop for EndsTheNode {
    fn drop(&mut self) {
        if std::thread::panicking() {
            end(&self.0, self.1);
        }
    }
}

fn end(node: &Weak<Node>, why: &str) {
    if let Some(node) = node.upgrade() {
        node.failure.set(why.to_owned());
        node.committer.abandon();
    }
}

async fn supervise(node: &Arc<Node>) -> Result<(), StartError> {
    let supervisor = Supervisor { node: Arc::clone(node) };
    let (actor, ended) =
        ActorRuntime::spawn(None, supervisor, ()).await.map_err(|error| StartError::System {
            what: "the supervisor could not be started",
            source: io::Error::other(error.to_string()),
        })?;
    node.region.supervise(actor.get_cell());
    let watched = Arc::downgrade(node);
    #[expect(clippy::disallowed_methods, reason = "ends with the supervisor")]
    tokio::spawn(async move {
        let _how = ended.await;
        if watched.upgrade().is_some_and(|node| !node.is_stopping()) {
            end(&watched, "the supervisor has ended");
        }
    });
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "each ends when the node is gone or stops")]
fn start_tasks(node: &Arc<Node>, late: tokio::sync::mpsc::Receiver<relampago_gateways::LateAnswer>) {
    tokio::spawn(guarded(node, "late answers panicked", outbox::listen(Arc::downgrade(node), late)));
    tokio::spawn(guarded(node, "deadlines panicked", sweeper::wake(Arc::downgrade(node))));
    // Often enough for the shortest of what it looks after.
    let every = node.limits.redrive.min(node.limits.idle).min(node.limits.snapshot);
    tokio::spawn(guarded(node, "the sweeper panicked", sweeper::sweep(Arc::downgrade(node), every)));
}

/// A task whose panic ends the node.
fn guarded(
    node: &Arc<Node>,
    what: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> impl Future<Output = ()> + Send + 'static {
    let guard = EndsTheNode(Arc::downgrade(node), what);
    async move {
        let _guard = guard;
        task.await;
    }
}

/// Finishes what is in flight, stores all states, closes journal and store.
pub(crate) async fn drain(node: &Arc<Node>, threads: &Threads) -> Result<(), StartError> {
    settle(|| node.admitted.count() == 0 || node.failure.has_come()).await;
    // Behind every message that is on its way, and again where another one has come meanwhile.
    let mut looks = 0u32;
    settle(|| {
        let live = node.region.look(0);
        let uncovered: Vec<_> = live.iter().filter(|seen| seen.gate.uncovered().is_some()).collect();
        if looks.is_multiple_of(LOOKS_A_NUDGE) {
            for seen in &uncovered {
                node.region.nudge(seen.gate.at, ShellMessage::Snapshot);
            }
        }
        looks += 1;
        uncovered.is_empty() || node.failure.has_come()
    })
    .await;
    let ending = [&threads.committer, &threads.snapshotter, &threads.crosscheck].map(|own| own.lock().take());
    let node = Arc::clone(node);
    drop(threads.stop_snapshotter.lock().take());
    drop(threads.stop_crosscheck.lock().take());
    node.committer.close();
    node.region.stop().await;
    let closed = spawn_blocking(move || {
        for thread in ending.into_iter().flatten() {
            // A panic has been noted as the node's failure.
            let _panicked = thread.join();
        }
        close(&node)
    });
    closed.await.map_err(|error| StartError::System {
        what: "the last writes panicked",
        source: io::Error::other(error),
    })?
}

fn close(node: &Node) -> Result<(), StartError> {
    if !node.failure.has_come() {
        node.store.note_keys(node.keys.changes())?;
        snapshotter::store_resting(node)?;
        snapshotter::cut_all(node, 1)?;
    }
    node.region.forget();
    node.journal.close()?;
    node.store.close()?;
    Ok(())
}

/// Waits until `done`, at most [`DRAIN_LONGEST`].
async fn settle(mut done: impl FnMut() -> bool) {
    let until = Instant::now() + DRAIN_LONGEST;
    while !done() && Instant::now() < until {
        sleep(DRAIN_POLL).await;
    }
}
