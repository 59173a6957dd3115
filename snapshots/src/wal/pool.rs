//! The log's segments that are not being written: free ones, and full ones that wait for sled.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

use super::segment::{Layout, Segment};
use crate::{StorageError, disk::DiskOp, journal::Sequence};

/// Most segments a log grows to when the feeder falls behind.
const MOST_SEGMENTS: usize = 8;

/// Shared by the appending thread, which takes segments, and the feeder, which frees and creates them.
pub(crate) struct Pool {
    layout: Layout,
    /// Segments kept ready.
    wanted: usize,
    /// Makes the feeder free what it can now.
    wake_feeder: Box<dyn Fn() + Send + Sync>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: Vec<Segment>,
    full: VecDeque<Full>,
    /// Free, full and active ones.
    total: usize,
    next_number: u32,
    /// Ends every wait.
    poison: Option<StorageError>,
}

struct Full {
    segment: Segment,
    generation: u64,
    last: Sequence,
}

impl Pool {
    /// A pool with one free segment at least; `free` holds those that exist already.
    pub(crate) fn new(
        layout: Layout,
        wanted: usize,
        mut free: Vec<Segment>,
        mut next_number: u32,
        wake_feeder: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, StorageError> {
        if free.is_empty() {
            free.push(Segment::create(&layout, next_number)?);
            next_number += 1;
        }
        let total = free.len();
        let state = State { free, full: VecDeque::new(), total, next_number, poison: None };
        let wake_feeder = Box::new(wake_feeder);
        Ok(Self { layout, wanted, wake_feeder, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// A free segment, as soon as there is one.
    pub(super) fn take(&self) -> Result<Segment, StorageError> {
        let mut state = self.state.lock();
        loop {
            if let Some(poison) = &state.poison {
                return Err(poison.clone());
            }
            if let Some(segment) = state.free.pop() {
                return Ok(segment);
            }
            (self.wake_feeder)();
            self.changed.wait(&mut state);
        }
    }

    /// Takes a full segment back, which is free once sled is durable up to `last`.
    pub(super) fn retire(&self, segment: Segment, generation: u64, last: Sequence) {
        self.state.lock().full.push_back(Full { segment, generation, last });
    }

    /// The newest generation that sled covers when it is durable up to `fed`, of those still in use.
    pub(crate) fn sealed_by(&self, fed: Sequence) -> Option<u64> {
        self.state.lock().full.iter().take_while(|full| full.last <= fed).last().map(|full| full.generation)
    }

    /// Frees every generation up to `sealed`. The mark must have it durably.
    pub(crate) fn free(&self, sealed: u64) -> Result<(), StorageError> {
        let mut state = self.state.lock();
        while state.full.front().is_some_and(|full| full.generation <= sealed) {
            let Some(Full { segment, generation, .. }) = state.full.pop_front() else { break };
            let freed = self.layout.disk.before(DiskOp::Free(generation));
            freed.map_err(StorageError::io("free a segment in", &self.layout.dir))?;
            state.free.push(segment);
        }
        self.changed.notify_all();
        Ok(())
    }

    /// Creates segments until the wanted ones exist and, up to a limit, one is free.
    pub(crate) fn replenish(&self) -> Result<(), StorageError> {
        while let Some(number) = self.missing() {
            let segment = Segment::create(&self.layout, number)?;
            let mut state = self.state.lock();
            state.free.push(segment);
            state.total += 1;
            self.changed.notify_all();
        }
        Ok(())
    }

    /// The number of the next segment to create, if one should be.
    fn missing(&self) -> Option<u32> {
        let mut state = self.state.lock();
        let too_few = state.total < self.wanted;
        let starving = state.free.is_empty() && state.total < MOST_SEGMENTS.max(self.wanted);
        if !too_few && !starving {
            return None;
        }
        state.next_number += 1;
        Some(state.next_number - 1)
    }

    /// Ends every wait with `error`.
    pub(crate) fn poison(&self, error: StorageError) {
        self.state.lock().poison.get_or_insert(error);
        self.changed.notify_all();
    }

    /// Segments in use and all segments.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let state = self.state.lock();
        ((state.total - state.free.len()) as u64, state.total as u64)
    }
}
