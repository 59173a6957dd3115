//! A backup of the running node, consistent at one position of its journal, as a stream of frames.
//!
//! The cutting of the journal is held off meanwhile, so that no event moves while they are read. The snapshots go
//! first: what they cover is durable, and the position is the journal's durable end after the last of them. Then come
//! the events up to the position, then the vault: whoever's key an event needs had it in there before.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use relampago_actors::{Address, Sequence};
use relampago_keys::KeysError;
use relampago_snapshots::backup::{self, BackupError, Begin, End, Part, Restored};
use relampago_snapshots::{EntityKey, Identity, Snapshot, SnapshotRecord, StorageError};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

use crate::hosting;
use crate::node::Node;
use crate::start::VAULT;

/// Frames that may wait for the reader.
const FRAMES_AHEAD: usize = 2;
/// Events and states of one frame, bytes, about: as much as one file of the archive, so that a restored archive is
/// not in more files.
const FRAME_BYTES: usize = 8 << 20;
/// How long a backup waits for another one, or for a cut of the journal, to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// The longest that a frame waits for its reader: the journal is not cut meanwhile.
const STALL: Duration = Duration::from_secs(60);

/// What a backup says of the data folder besides journal and store.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) identity: Identity,
    pub(crate) sled_segment_bytes: u64,
}

/// Why a backup ended before it was whole.
#[derive(Debug, thiserror::Error)]
pub enum BackupFailed {
    /// Another one is under way.
    #[error("another backup is under way")]
    Busy,
    /// Something cannot be read.
    #[error(transparent)]
    Unreadable(#[from] BackupError),
    /// A snapshot is of a kind that this program does not know.
    #[error("a snapshot is of kind {kind}, which is unknown")]
    Unknown {
        /// Its number.
        kind: u8,
    },
    /// The vault cannot be read.
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// Nobody reads it any more.
    #[error("the reader has gone")]
    Gone,
}

impl From<StorageError> for BackupFailed {
    fn from(error: StorageError) -> Self {
        Self::Unreadable(error.into())
    }
}

/// Starts a backup: its frames, or an error as the last. It ends with the last frame, or when nobody reads it.
pub(crate) fn start(node: &Arc<Node>) -> Receiver<Result<Vec<u8>, BackupFailed>> {
    let (to, frames) = channel(FRAMES_AHEAD);
    let node = Arc::clone(node);
    drop(spawn_blocking(move || {
        let mut writer = Writer { node: &node, to: &to, end: End { position: 0, events: 0, snapshots: 0 } };
        if let Err(error) = writer.write() {
            // Whoever has gone needs no error.
            let _gone = to.blocking_send(Err(error));
        }
    }));
    frames
}

struct Writer<'a> {
    node: &'a Node,
    to: &'a Sender<Result<Vec<u8>, BackupFailed>>,
    end: End,
}

impl Writer<'_> {
    fn write(&mut self) -> Result<(), BackupFailed> {
        let node = self.node;
        let _no_cuts = node.cutting.try_lock_for(PATIENCE).ok_or(BackupFailed::Busy)?;
        let live = node.journal.first();
        let oldest = node.journal.stats().oldest_archived.map_or(live, |oldest| oldest.min(live));
        self.send(&Part::Begin(Begin {
            identity: node.origin.identity.clone(),
            taken_ms: node.clock.now(),
            oldest,
            live,
            sled_segment_bytes: node.origin.sled_segment_bytes,
        }))?;
        self.snapshots()?;
        self.end.position = node.committer.durable();
        if oldest < live {
            self.events(oldest, live - 1)?;
        }
        self.events(live, self.end.position)?;
        self.vault()?;
        self.send(&Part::End(self.end))
    }

    fn send(&self, part: &Part) -> Result<(), BackupFailed> {
        let sent = self.to.send_timeout(Ok(part.encode()?), STALL);
        Handle::current().block_on(sent).map_err(|_| BackupFailed::Gone)
    }

    /// The newest snapshot of every entity. One that is stored again meanwhile is taken as it is by then.
    fn snapshots(&mut self) -> Result<(), BackupFailed> {
        let mut known = Vec::new();
        self.node.store.scan(&mut |key, _, _| known.push(*key))?;
        let (mut records, mut bytes) = (Vec::new(), 0);
        for key in known {
            let Some(found) = self.node.store.get(&key)? else { continue };
            let index = index_of(&key, &found)?;
            bytes += found.state.len();
            records.push(SnapshotRecord { key, covers: found.covers, index, state: found.state });
            if bytes >= FRAME_BYTES {
                self.flush_snapshots(&mut records)?;
                bytes = 0;
            }
        }
        self.flush_snapshots(&mut records)
    }

    fn flush_snapshots(&mut self, records: &mut Vec<SnapshotRecord>) -> Result<(), BackupFailed> {
        if records.is_empty() {
            return Ok(());
        }
        self.end.snapshots += records.len() as u64;
        self.send(&Part::Snapshots(std::mem::take(records)))
    }

    /// The events `from..=until`.
    fn events(&mut self, from: Sequence, until: Sequence) -> Result<(), BackupFailed> {
        if from > until {
            return Ok(());
        }
        let (mut first, mut next, mut records) = (from, from, Vec::new());
        let mut outcome = Ok(());
        self.node.journal.replay(from, &mut |sequence, record| {
            if sequence > until {
                return ControlFlow::Break(());
            }
            records.extend_from_slice(&(record.len() as u32).to_le_bytes());
            records.extend_from_slice(record);
            next = sequence + 1;
            if records.len() >= FRAME_BYTES {
                outcome = self.send(&Part::Events { first, records: std::mem::take(&mut records) });
                first = next;
            }
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome?;
        self.end.events += next - from;
        if next > first { self.send(&Part::Events { first, records }) } else { Ok(()) }
    }

    /// The wrapped data keys. They are useless without the ring, which is never part of a backup.
    fn vault(&self) -> Result<(), BackupFailed> {
        let bytes = self.node.keys.vault_bytes()?;
        let send = |piece: &[u8]| self.send(&Part::File { name: VAULT.to_owned(), bytes: piece.to_vec() });
        // An empty one is a vault too: without any a start would take it for lost.
        if bytes.is_empty() { send(&[]) } else { bytes.chunks(FRAME_BYTES).try_for_each(send) }
    }
}

/// The index entry of a state, made anew: the stored one may be of another state by now.
fn index_of(key: &EntityKey, found: &Snapshot) -> Result<Vec<u8>, BackupFailed> {
    let at = Address::from_key(key).ok_or(BackupFailed::Unknown { kind: key[0] })?;
    let hosted = hosting::load(at, Some((found.covers, &found.state))).map_err(BackupError::from)?;
    Ok(hosted.pack().map_err(BackupError::from)?.index().to_vec())
}

/// Restores a backup into the folder `dir`, which must be new or empty.
///
/// # Errors
/// What is wrong with the backup or the folder, or what the disk refuses.
pub fn restore(dir: &Path, from: impl Read) -> Result<Restored, BackupError> {
    backup::restore(dir, from, &[VAULT])
}

/// Reads a whole backup and checks every part of it.
///
/// # Errors
/// What is wrong with it.
pub fn verify_backup(from: impl Read) -> Result<(Begin, End), BackupError> {
    backup::verify(from)
}
