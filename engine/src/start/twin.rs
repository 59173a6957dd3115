//! A node on journal, store and provider of a test's own: everything above the disk is as it always is.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use relampago_actors::Sequence;
use relampago_actors::payment::{GatewayAnswer, GatewayCall};
use relampago_config::{Flags, Settings};
use relampago_gateways::{Answering, Gateway};
use relampago_snapshots::journal::Visit;
use relampago_snapshots::memory::Failure;
use relampago_snapshots::store::{EntityKey, ScanVisit, Snapshot, StoreStats};
use relampago_snapshots::{
    Batch, Journal, JournalStats, MemoryJournal, MemoryStore, SnapshotRecord, SnapshotStore, StorageError,
};
use tempfile::TempDir;

use crate::committer::{Committer, Gather};
use crate::node::Node;
use crate::{Engine, router};

/// By data folder: what a start finds instead of the disk.
static TWINS: Mutex<Vec<(PathBuf, Found)>> = Mutex::new(Vec::new());

#[derive(Clone)]
struct Found {
    journal: Arc<TwinJournal>,
    store: Arc<TwinStore>,
    provider: Arc<Provider>,
}

/// Nothing of it happens by the clock unless a test says so.
const QUIET: [(&str, &str); 8] = [
    ("ENGINE__SNAPSHOT_INTERVAL", "1h"),
    ("ENGINE__SNAPSHOT_EVENTS", "100000000"),
    ("ENGINE__IDLE_TIMEOUT", "1d"),
    ("ENGINE__REDRIVE_INTERVAL", "1h"),
    ("PAYMENTS__RETRIES", "0"),
    // What is opened on the disk is not used: the less the better.
    ("JOURNAL__SEGMENT_BYTES", "64KiB"),
    ("JOURNAL__SEGMENTS", "2"),
    ("JOURNAL__SLED_SEGMENT_BYTES", "512KiB"),
];

/// What outlives an engine, and the engines on it.
pub(crate) struct Twin {
    pub(crate) journal: Arc<TwinJournal>,
    pub(crate) store: Arc<TwinStore>,
    pub(crate) provider: Arc<Provider>,
    env: Vec<(&'static str, &'static str)>,
    folders: Mutex<Vec<TempDir>>,
}

impl Twin {
    /// An empty one; settings are named without their prefix.
    pub(crate) fn new(env: &[(&'static str, &'static str)]) -> Self {
        Self::on(MemoryJournal::new(), MemoryStore::new(), env)
    }

    pub(crate) fn on(
        journal: MemoryJournal,
        store: MemoryStore,
        env: &[(&'static str, &'static str)],
    ) -> Self {
        let journal = Arc::new(TwinJournal::on(journal));
        let store = Arc::new(TwinStore { inner: store, panics: AtomicBool::new(false) });
        Self { journal, store, provider: Arc::default(), env: env.to_vec(), folders: Mutex::default() }
    }

    /// Starts an engine, as on a disk.
    pub(crate) async fn start(&self) -> Engine {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_owned();
        let found = Found {
            journal: Arc::clone(&self.journal),
            store: Arc::clone(&self.store),
            provider: Arc::clone(&self.provider),
        };
        TWINS.lock().push((dir.clone(), found));
        let env = QUIET.iter().chain(&self.env);
        let env = env.map(|(name, value)| (format!("RELAMPAGO_{name}"), (*value).to_owned()));
        let settings = Settings::load(None, Flags { addr: None, data: Some(dir) }, env).unwrap();
        self.folders.lock().push(folder);
        Engine::start(&settings).await.unwrap()
    }

    /// The process dies: what was not durable is gone.
    pub(crate) fn crash(&self) -> Self {
        Self::on(self.journal.inner.crash(), self.store.inner.crash(), &self.env)
    }

    /// Every event that is durable.
    pub(crate) fn events(&self) -> Vec<Vec<u8>> {
        let mut events = Vec::new();
        let copy = &mut |_: Sequence, event: &[u8]| {
            events.push(event.to_vec());
            std::ops::ControlFlow::Continue(())
        };
        self.journal.replay(1, copy).unwrap();
        events
    }
}

/// A journal that holds these events, each in a batch of its own.
pub(crate) fn journal_of(events: &[Vec<u8>]) -> MemoryJournal {
    let journal = MemoryJournal::new();
    for (first, event) in (1..).zip(events) {
        let bytes = [&(event.len() as u32).to_le_bytes()[..], event].concat();
        journal.append(Batch { first, count: 1, bytes }).unwrap();
    }
    journal
}

/// Puts a twin in the place of what a start has opened, if a test has asked for that.
pub(super) fn put(dir: &Path, node: &mut Node) {
    let Some(Found { journal, store, provider }) = take(dir) else { return };
    let gather = Gather { longest: Duration::from_millis(2), percent: 75 };
    let (admitted, failure) = (Arc::clone(&node.admitted), Arc::clone(&node.failure));
    node.committer = Committer::new(router::JOURNAL, journal.last(), gather, admitted, failure);
    node.limits.record = journal.max_record_bytes();
    node.journal = journal;
    node.store = store;
    node.outbox.turn_to(provider);
}

fn take(dir: &Path) -> Option<Found> {
    let mut twins = TWINS.lock();
    let position = twins.iter().position(|(known, _)| known == dir)?;
    Some(twins.swap_remove(position).1)
}

/// A journal in memory that can also take small records only, or panic.
pub(crate) struct TwinJournal {
    inner: MemoryJournal,
    pub(crate) largest: AtomicUsize,
    /// What the next append leaves behind, which panics.
    pub(crate) panics: Mutex<Option<Failure>>,
}

impl TwinJournal {
    fn on(inner: MemoryJournal) -> Self {
        Self { inner, largest: AtomicUsize::new(usize::MAX), panics: Mutex::default() }
    }
}

impl std::ops::Deref for TwinJournal {
    type Target = MemoryJournal;

    fn deref(&self) -> &MemoryJournal {
        &self.inner
    }
}

impl Journal for TwinJournal {
    fn append(&self, batch: Batch) -> Result<(), StorageError> {
        let panics = self.panics.lock().take();
        if panics != Some(Failure::Lost) {
            self.inner.append(batch)?;
        }
        assert_eq!(panics, None, "injected: the journal panics");
        Ok(())
    }

    fn check(&self) -> Result<(), StorageError> {
        self.inner.check()
    }

    fn last(&self) -> Sequence {
        self.inner.last()
    }

    fn first(&self) -> Sequence {
        self.inner.first()
    }

    fn replay(&self, from: Sequence, visit: Visit<'_>) -> Result<(), StorageError> {
        self.inner.replay(from, visit)
    }

    fn truncate_some_before(&self, sequence: Sequence) -> Result<bool, StorageError> {
        self.inner.truncate_some_before(sequence)
    }

    fn max_record_bytes(&self) -> usize {
        self.largest.load(Ordering::Acquire)
    }

    fn stats(&self) -> JournalStats {
        self.inner.stats()
    }

    fn close(&self) -> Result<(), StorageError> {
        self.inner.close()
    }
}

/// A store in memory that can also panic.
pub(crate) struct TwinStore {
    inner: MemoryStore,
    pub(crate) panics: AtomicBool,
}

impl std::ops::Deref for TwinStore {
    type Target = MemoryStore;

    fn deref(&self) -> &MemoryStore {
        &self.inner
    }
}

impl SnapshotStore for TwinStore {
    fn put(&self, records: Vec<SnapshotRecord>) -> Result<(), StorageError> {
        assert!(!self.panics.load(Ordering::Acquire), "injected: the store panics");
        self.inner.put(records)
    }

    fn note_cut(&self, below: Sequence) -> Result<(), StorageError> {
        self.inner.note_cut(below)
    }

    fn note_keys(&self, changes: u64) -> Result<(), StorageError> {
        self.inner.note_keys(changes)
    }

    fn keys_noted(&self) -> u64 {
        self.inner.keys_noted()
    }

    fn check_cut(&self, first: Sequence) -> Result<(), StorageError> {
        self.inner.check_cut(first)
    }

    fn holds(&self, key: &EntityKey) -> bool {
        self.inner.holds(key)
    }

    fn get(&self, key: &EntityKey) -> Result<Option<Snapshot>, StorageError> {
        self.inner.get(key)
    }

    fn scan(&self, visit: ScanVisit<'_>) -> Result<(), StorageError> {
        self.inner.scan(visit)
    }

    fn stats(&self) -> StoreStats {
        self.inner.stats()
    }

    fn close(&self) -> Result<(), StorageError> {
        self.inner.close()
    }
}

/// A provider that writes down what it is asked, and says yes unless it is told to be silent.
#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) silent: AtomicBool,
    /// The next call panics.
    pub(crate) panics: AtomicBool,
    pub(crate) calls: Mutex<Vec<GatewayCall>>,
}

impl Gateway for Provider {
    fn name(&self) -> &'static str {
        "twin"
    }

    fn call(&self, call: GatewayCall) -> Answering<'_> {
        self.calls.lock().push(call);
        if self.panics.swap(false, Ordering::AcqRel) {
            return Box::pin(async { panic!("injected: the provider panics") });
        }
        if self.silent.load(Ordering::Acquire) {
            return Box::pin(std::future::pending());
        }
        Box::pin(std::future::ready(GatewayAnswer::Done))
    }
}
