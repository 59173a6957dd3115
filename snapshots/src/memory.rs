//! Twins of journal and store in memory, for tests and for nodes that may forget.
//!
//! Both keep what is durable in a medium that outlives the instance, as a disk does: `crash` ends an instance
//! and gives the next one over the same medium, with only what was durable.

use std::{collections::VecDeque, io, ops::ControlFlow, path::PathBuf, sync::Arc};

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxHashMap;

use crate::{
    StorageError,
    journal::{Batch, Journal, JournalStats, Sequence, Visit},
    store::{EntityKey, ScanVisit, Snapshot, SnapshotRecord, SnapshotStore, StoreStats},
};

/// What a failing append leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing: the write failed.
    Lost,
    /// The batch: the write reached the medium, the sync failed. The next life finds it.
    Kept,
}

/// A [`Journal`] in memory. Clones are handles of one instance.
#[derive(Clone, Default)]
pub struct MemoryJournal {
    shared: Arc<JournalShared>,
}

#[derive(Default)]
struct JournalShared {
    state: Mutex<JournalState>,
    changed: Condvar,
}

#[derive(Default)]
struct JournalState {
    archive: Vec<Arc<Batch>>,
    live: VecDeque<Arc<Batch>>,
    /// Written by an append that failed: only the next life sees it.
    unacknowledged: Option<Arc<Batch>>,
    held: bool,
    fail_next: Option<Failure>,
    poison: Option<StorageError>,
    stats: JournalStats,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes appends wait, as on a slow disk, until [`release`](Self::release) or [`crash`](Self::crash).
    pub fn hold(&self) {
        self.shared.state.lock().held = true;
    }

    /// Lets held appends go on.
    pub fn release(&self) {
        self.shared.state.lock().held = false;
        self.shared.changed.notify_all();
    }

    /// Poisons the journal between two appends, as a thread of its own does that fails.
    pub fn fail_in_background(&self) {
        self.shared.state.lock().poison.get_or_insert_with(|| memory_error("feed", "journal"));
    }

    /// Makes the next append fail and poison the journal.
    pub fn fail_next_append(&self, failure: Failure) {
        self.shared.state.lock().fail_next = Some(failure);
    }

    /// Ends this instance: appends that are held are lost and fail, as do all later ones. Returns the next
    /// life, which holds what was durable.
    pub fn crash(&self) -> Self {
        let mut state = self.shared.state.lock();
        let unacknowledged = state.unacknowledged.take();
        let live = state.live.iter().cloned().chain(unacknowledged).collect();
        let next = JournalState { archive: state.archive.clone(), live, ..Default::default() };
        state.poison.get_or_insert_with(|| memory_error("append after the crash to", "journal"));
        self.shared.changed.notify_all();
        Self { shared: Arc::new(JournalShared { state: Mutex::new(next), changed: Condvar::new() }) }
    }

    fn wait_while_held(&self) -> MutexGuard<'_, JournalState> {
        let mut state = self.shared.state.lock();
        while state.held && state.poison.is_none() {
            self.shared.changed.wait(&mut state);
        }
        state
    }
}

impl JournalState {
    fn last(&self) -> Sequence {
        self.live.back().map_or(0, |batch| batch.last())
    }

    fn push(&mut self, batch: Batch) {
        self.stats.batches += 1;
        self.stats.events += u64::from(batch.count);
        self.stats.written_bytes += batch.bytes.len() as u64;
        self.live.push_back(Arc::new(batch));
    }

    fn append(&mut self, batch: Batch) -> Result<(), StorageError> {
        batch.check(usize::MAX)?;
        let expected = self.last() + 1;
        if batch.first != expected {
            return Err(StorageError::OutOfOrder { expected, found: batch.first });
        }
        match self.fail_next.take() {
            None => {
                self.push(batch);
                Ok(())
            }
            Some(failure) => {
                if failure == Failure::Kept {
                    self.unacknowledged = Some(Arc::new(batch));
                }
                Err(memory_error("append to", "journal"))
            }
        }
    }
}

impl Journal for MemoryJournal {
    fn append(&self, batch: Batch) -> Result<(), StorageError> {
        let mut state = self.wait_while_held();
        if let Some(poison) = &state.poison {
            return Err(poison.clone());
        }
        state.append(batch).inspect_err(|error| state.poison = Some(error.clone()))
    }

    fn check(&self) -> Result<(), StorageError> {
        self.shared.state.lock().poison.clone().map_or(Ok(()), Err)
    }

    fn last(&self) -> Sequence {
        self.shared.state.lock().last()
    }

    fn first(&self) -> Sequence {
        self.shared.state.lock().live.front().map_or(1, |batch| batch.first)
    }

    fn replay(&self, from: Sequence, visit: Visit<'_>) -> Result<(), StorageError> {
        let batches: Vec<_> = {
            let state = self.shared.state.lock();
            state.archive.iter().chain(&state.live).filter(|batch| batch.last() >= from).cloned().collect()
        };
        for batch in batches {
            for (sequence, record) in (batch.first..).zip(batch.records()) {
                if sequence >= from && visit(sequence, record) == ControlFlow::Break(()) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn truncate_some_before(&self, sequence: Sequence) -> Result<bool, StorageError> {
        let mut state = self.shared.state.lock();
        if state.live.len() < 2 || state.live[0].last() >= sequence {
            return Ok(false);
        }
        let oldest = state.live.pop_front();
        state.archive.extend(oldest);
        Ok(true)
    }

    fn max_record_bytes(&self) -> usize {
        usize::MAX
    }

    fn stats(&self) -> JournalStats {
        let state = self.shared.state.lock();
        JournalStats {
            live_chunks: state.live.len() as u64,
            oldest_archived: state.archive.first().map(|batch| batch.first),
            archived_events: state.archive.last().map_or(0, |batch| batch.last()),
            archived_bytes: state.archive.iter().map(|batch| batch.bytes.len() as u64).sum(),
            ..state.stats
        }
    }

    fn close(&self) -> Result<(), StorageError> {
        self.shared.state.lock().poison.get_or_insert(StorageError::Closed);
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// A [`SnapshotStore`] in memory. Clones are handles of one instance.
#[derive(Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<StoreState>>,
}

#[derive(Default)]
struct StoreState {
    records: FxHashMap<EntityKey, Arc<Stored>>,
    /// The journal was cut below this, if ever.
    cut: Option<Sequence>,
    /// The keys were changed at least so many times.
    keys: u64,
    fail_next: bool,
    poison: Option<StorageError>,
    stats: StoreStats,
}

struct Stored {
    covers: Sequence,
    index: Vec<u8>,
    state: Vec<u8>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the next put fail, store nothing and poison the store.
    pub fn fail_next_put(&self) {
        self.state.lock().fail_next = true;
    }

    /// Ends this instance and returns the next life over the same medium.
    pub fn crash(&self) -> Self {
        let mut state = self.state.lock();
        state.poison.get_or_insert_with(|| memory_error("put after the crash to", "snapshots"));
        let next = StoreState {
            records: state.records.clone(),
            cut: state.cut,
            keys: state.keys,
            ..Default::default()
        };
        Self { state: Arc::new(Mutex::new(next)) }
    }
}

impl StoreState {
    fn put(&mut self, records: Vec<SnapshotRecord>) -> Result<(), StorageError> {
        if let Some(poison) = &self.poison {
            return Err(poison.clone());
        }
        records.iter().try_for_each(SnapshotRecord::check)?;
        if std::mem::take(&mut self.fail_next) {
            return Err(memory_error("put to", "snapshots"));
        }
        self.stats.puts += 1;
        for SnapshotRecord { key, covers, index, state } in records {
            if self.records.get(&key).is_none_or(|old| old.covers <= covers) {
                self.stats.written_bytes += state.len() as u64;
                self.records.insert(key, Arc::new(Stored { covers, index, state }));
            }
        }
        Ok(())
    }
}

impl SnapshotStore for MemoryStore {
    fn put(&self, records: Vec<SnapshotRecord>) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        state.put(records).inspect_err(|error| {
            state.poison.get_or_insert_with(|| error.clone());
        })
    }

    fn note_cut(&self, below: Sequence) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        if let Some(poison) = &state.poison {
            return Err(poison.clone());
        }
        state.cut = Some(below);
        Ok(())
    }

    fn note_keys(&self, changes: u64) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        if let Some(poison) = &state.poison {
            return Err(poison.clone());
        }
        state.keys = state.keys.max(changes);
        Ok(())
    }

    fn keys_noted(&self) -> u64 {
        self.state.lock().keys
    }

    fn check_cut(&self, first: Sequence) -> Result<(), StorageError> {
        let cut = self.state.lock().cut.unwrap_or(1);
        if first <= cut {
            return Ok(());
        }
        Err(StorageError::OlderThanCut { path: PathBuf::from("memory/snapshots"), first, cut })
    }

    fn holds(&self, key: &EntityKey) -> bool {
        self.state.lock().records.contains_key(key)
    }

    fn get(&self, key: &EntityKey) -> Result<Option<Snapshot>, StorageError> {
        let state = self.state.lock();
        Ok(state.records.get(key).map(|found| Snapshot { covers: found.covers, state: found.state.clone() }))
    }

    fn scan(&self, visit: ScanVisit<'_>) -> Result<(), StorageError> {
        // Cloned, so that `visit` may call the store.
        let records = self.state.lock().records.clone();
        records.iter().for_each(|(key, found)| visit(key, found.covers, &found.index));
        Ok(())
    }

    fn stats(&self) -> StoreStats {
        let state = self.state.lock();
        let entities = state.records.len() as u64;
        StoreStats { entities, packs: entities, ..state.stats }
    }

    fn close(&self) -> Result<(), StorageError> {
        self.state.lock().poison.get_or_insert(StorageError::Closed);
        Ok(())
    }
}

fn memory_error(action: &'static str, medium: &'static str) -> StorageError {
    let source = Arc::new(io::Error::other("failure asked for by a test"));
    StorageError::Io { action, path: PathBuf::from("memory").join(medium), source }
}
