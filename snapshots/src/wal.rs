//! The commit log: where a batch becomes durable.
//!
//! Segments are files of equal size, written full of zeros when they are created, so that a batch changes no
//! metadata: it costs one write, padded to whole blocks, and one sync. A segment is used under a new
//! *generation* each time; generations are consecutive, and a record counts only under the generation of its
//! segment's header, so what an older use left behind is never taken for data.
//!
//! Beginning a segment makes its header durable first, then the mark ([`Mark`](crate::mark::Mark)), then the
//! first record. So recovery knows from the mark which generations must be there.

mod buffer;
mod flipped;
mod pool;
mod record;
mod recovery;
mod segment;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

pub(crate) use pool::Pool;
pub(crate) use recovery::{Recovered, recover};
pub(crate) use segment::{Layout, Segment, probe_direct_io, segment_paths};

use self::{
    buffer::AlignedBuffer,
    record::{PADDING_BYTES, RECORD_HEADER_BYTES, RecordHeader},
};
use crate::{StorageError, journal::Batch, journal::Sequence, mark::Mark};

/// Unit of the log: the size and alignment of every write.
pub(crate) const BLOCK: usize = 4096;

/// What one append cost.
pub(crate) struct Cost {
    /// Bytes written, padding included.
    pub(crate) written: u64,
    /// Time of the sync.
    pub(crate) sync: Duration,
}

/// The writing end of the log.
pub(crate) struct Wal {
    layout: Layout,
    pool: Arc<Pool>,
    mark: Arc<Mutex<Mark>>,
    buffer: AlignedBuffer,
    generation: u64,
    active: Option<Active>,
}

struct Active {
    segment: Segment,
    /// Where the next record goes.
    offset: u64,
    /// Last sequence written, or the one before the segment's first.
    last: Sequence,
}

impl Wal {
    /// A log whose next segment gets the generation after `generation`.
    pub(crate) fn new(layout: Layout, pool: Arc<Pool>, mark: Arc<Mutex<Mark>>, generation: u64) -> Self {
        Self { layout, pool, mark, buffer: AlignedBuffer::default(), generation, active: None }
    }

    /// Whether a batch fits into one segment.
    pub(crate) fn fits(&self, batch: &Batch) -> bool {
        record_bytes(batch) <= self.layout.segment_bytes - BLOCK as u64
    }

    /// Writes one batch that [`fits`](Self::fits); durable when this returns. Waits until a segment is free.
    pub(crate) fn append(&mut self, batch: &Batch) -> Result<Cost, StorageError> {
        let written = record_bytes(batch);
        if self.active.as_ref().is_some_and(|active| active.offset + written > self.layout.segment_bytes) {
            self.retire();
        }
        if self.active.is_none() {
            self.begin(batch.first)?;
        }
        let Some(active) = &mut self.active else { return Err(StorageError::Closed) };
        let header = RecordHeader {
            first: batch.first,
            count: batch.count,
            length: batch.bytes.len() as u32,
            generation: self.generation,
            journal_id: self.layout.journal_id,
        };
        let header = header.encode(&batch.bytes);
        let bytes = self.buffer.fill(&header, &batch.bytes, RecordHeader::padding(&header));
        active.segment.write(&self.layout, bytes, active.offset)?;
        let start = Instant::now();
        active.segment.sync(&self.layout)?;
        active.offset += written;
        active.last = batch.last();
        Ok(Cost { written, sync: start.elapsed() })
    }

    /// Ends the active segment; the next batch begins another one.
    pub(crate) fn retire(&mut self) {
        if let Some(Active { segment, last, .. }) = self.active.take() {
            self.pool.retire(segment, self.generation, last);
        }
    }

    fn begin(&mut self, first: Sequence) -> Result<(), StorageError> {
        let segment = self.pool.take()?;
        let generation = self.generation + 1;
        let header = segment::encode_header(&self.layout, generation, first);
        segment.write(&self.layout, self.buffer.fill(&header, &[], [0; PADDING_BYTES]), 0)?;
        segment.sync(&self.layout)?;
        let mut mark = self.mark.lock();
        let now = mark.now();
        mark.advance(crate::mark::Reached { begun: generation, ..now })?;
        drop(mark);
        self.generation = generation;
        self.active = Some(Active { segment, offset: BLOCK as u64, last: first - 1 });
        Ok(())
    }
}

/// Bytes a batch takes in the log, padding included.
fn record_bytes(batch: &Batch) -> u64 {
    (RECORD_HEADER_BYTES + batch.bytes.len()).next_multiple_of(BLOCK) as u64
}
