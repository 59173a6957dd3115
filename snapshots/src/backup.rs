//! A backup: everything that a data folder comes to at one position of its journal, as one stream of frames.
//!
//! A frame is `[kind u8][length u32][checksum u32][payload]`, little-endian, the checksum over kind and payload. The
//! first frame says what is backed up, the last one up to where; a stream without it is not whole. In between come
//! snapshots, then the events in order, then files of others, in pieces. Snapshots go first: whatever they cover lies
//! below the position, which is taken after them.
//!
//! | module | what it does |
//! | --- | --- |
//! | this one | the frames, both ways |
//! | `packed` | what is compressed in them, and how much it may become |
//! | `order` | which parts may follow each other |
//! | `restore` | from frames to a data folder that a node can start on |

mod order;
pub(crate) mod packed;
mod restore;

use std::io::{self, Read};

use serde::{Deserialize, Serialize};

use order::Order;
pub use restore::{Restored, restore};

use crate::{
    Identity, Sequence, SnapshotRecord,
    archive::MOST_RAW_BYTES,
    codec::{CodecError, Stored},
};

/// Kind, length and checksum.
pub(crate) const HEADER_BYTES: usize = 9;
/// No frame is larger, packed or not: a length beyond it is damage and not asked for. A snapshot has at most 1 GiB, and
/// 8 MiB of others may stand before it; bytes that cannot be compressed grow by a 256th.
const MOST_BYTES: u32 = (1 << 30) + (16 << 20);

const BEGIN: u8 = 1;
pub(crate) const SNAPSHOTS: u8 = 2;
pub(crate) const EVENTS: u8 = 3;
const FILE: u8 = 4;
const END: u8 = 5;

/// What is backed up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Begin {
    /// The data folder's, its secret too.
    pub identity: Identity,
    /// When, milliseconds since 1970.
    pub taken_ms: u64,
    /// The oldest event that is kept.
    pub oldest: Sequence,
    /// The first event of the live journal; older ones belong into the archive.
    pub live: Sequence,
    /// Segment size of both databases.
    pub sled_segment_bytes: u64,
}

impl Stored for Begin {
    const TYPE: u16 = 2;
    const VERSION: u16 = 1;
}

/// How far it reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct End {
    /// The last event in it: everything up to here is in it, and nothing above.
    pub position: Sequence,
    /// Events.
    pub events: u64,
    /// Snapshots.
    pub snapshots: u64,
}

impl Stored for End {
    const TYPE: u16 = 3;
    const VERSION: u16 = 1;
}

/// A part of a backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// The first.
    Begin(Begin),
    /// Some snapshots.
    Snapshots(Vec<SnapshotRecord>),
    /// Events that follow each other.
    Events {
        /// Sequence of the first.
        first: Sequence,
        /// Each `[length u32][record]`.
        records: Vec<u8>,
    },
    /// The next piece of a file.
    File {
        /// Its name in the data folder.
        name: String,
        /// What comes next in it.
        bytes: Vec<u8>,
    },
    /// The last.
    End(End),
}

/// Why a backup cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The system refused to read.
    #[error("the backup cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A frame is not whole, or not what it was.
    #[error("the backup is damaged at byte {at}: {problem}; take another one, or use an older one")]
    Damaged {
        /// Where the frame begins.
        at: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A record in it cannot be read.
    #[error("the backup holds what this program cannot read: {0}")]
    Codec(#[from] CodecError),
    /// What was read cannot be stored.
    #[error(transparent)]
    Storage(#[from] crate::StorageError),
    /// There is something where it should be restored to.
    #[error("{} is not empty: restore into a new folder, and move it into place", path.display())]
    Occupied {
        /// Where.
        path: std::path::PathBuf,
    },
}

impl Part {
    /// The frame.
    ///
    /// # Errors
    /// [`BackupError::Codec`] if it cannot be encoded, [`BackupError::Io`] if it cannot be compressed.
    pub fn encode(&self) -> Result<Vec<u8>, BackupError> {
        let mut payload = Vec::new();
        let kind = match self {
            Self::Begin(begin) => {
                begin.store(&mut payload)?;
                BEGIN
            }
            Self::Snapshots(records) => {
                payload = packed::pack(&write_snapshots(records))?;
                SNAPSHOTS
            }
            Self::Events { first, records } => {
                payload.extend_from_slice(&first.to_le_bytes());
                payload.extend_from_slice(&packed::pack(records)?);
                EVENTS
            }
            Self::File { name, bytes } => {
                payload.push(name.len() as u8);
                payload.extend_from_slice(name.as_bytes());
                payload.extend_from_slice(bytes);
                FILE
            }
            Self::End(end) => {
                end.store(&mut payload)?;
                END
            }
        };
        Ok(frame(kind, &payload))
    }

    /// The part in a frame that begins at byte `at`.
    fn decode(kind: u8, payload: &[u8], at: u64) -> Result<Self, BackupError> {
        let damaged = |problem| BackupError::Damaged { at, problem };
        match kind {
            BEGIN => Ok(Self::Begin(Begin::load(payload)?)),
            SNAPSHOTS => {
                let bytes = packed::unpack(payload, MOST_BYTES as usize).map_err(damaged)?;
                let records = read_snapshots(&bytes).ok_or_else(|| damaged("a snapshot is cut off"))?;
                Ok(Self::Snapshots(records))
            }
            EVENTS => {
                let (first, records) =
                    payload.split_first_chunk().ok_or_else(|| damaged("it is too short"))?;
                let records = packed::unpack(records, MOST_RAW_BYTES as usize).map_err(damaged)?;
                Ok(Self::Events { first: u64::from_le_bytes(*first), records })
            }
            FILE => {
                let name =
                    payload.split_first().and_then(|(length, rest)| rest.split_at_checked((*length).into()));
                let (name, bytes) = name.ok_or_else(|| damaged("a name is cut off"))?;
                let name = std::str::from_utf8(name).map_err(|_| damaged("a name is no text"))?;
                Ok(Self::File { name: name.to_owned(), bytes: bytes.to_vec() })
            }
            END => Ok(Self::End(End::load(payload)?)),
            _ => Err(damaged("its kind is unknown")),
        }
    }
}

/// The frame of a part.
pub(crate) fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEADER_BYTES + payload.len());
    frame.push(kind);
    frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    frame.extend_from_slice(&checksum(kind, payload).to_le_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

/// Each `[key 17][covers 8][index length 1][state length 4][index][state]`.
fn write_snapshots(records: &[SnapshotRecord]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for SnapshotRecord { key, covers, index, state } in records {
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(&covers.to_le_bytes());
        bytes.push(index.len() as u8);
        bytes.extend_from_slice(&(state.len() as u32).to_le_bytes());
        bytes.extend_from_slice(index);
        bytes.extend_from_slice(state);
    }
    bytes
}

fn read_snapshots(mut bytes: &[u8]) -> Option<Vec<SnapshotRecord>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (key, rest) = bytes.split_first_chunk::<17>()?;
        let (covers, rest) = rest.split_first_chunk::<8>()?;
        let (&index, rest) = rest.split_first()?;
        let (state, rest) = rest.split_first_chunk::<4>()?;
        let (index, rest) = rest.split_at_checked(index.into())?;
        let (state, rest) = rest.split_at_checked(u32::from_le_bytes(*state) as usize)?;
        let covers = u64::from_le_bytes(*covers);
        records.push(SnapshotRecord { key: *key, covers, index: index.to_vec(), state: state.to_vec() });
        bytes = rest;
    }
    Some(records)
}

/// The parts of a backup, each checked; ends after [`Part::End`], or with an error if that is missing.
pub struct Parts<R> {
    from: R,
    at: u64,
    ended: bool,
}

impl<R: Read> Parts<R> {
    /// The parts in `from`.
    pub fn new(from: R) -> Self {
        Self { from, at: 0, ended: false }
    }

    fn part(&mut self) -> Result<Part, BackupError> {
        let at = self.at;
        let damaged = |problem| BackupError::Damaged { at, problem };
        let cut = |error: io::Error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged("it ends here, and its last part is missing"),
            _ => BackupError::Io(error),
        };
        let mut header = [0; HEADER_BYTES];
        self.from.read_exact(&mut header).map_err(cut)?;
        let [kind, l0, l1, l2, l3, c0, c1, c2, c3] = header;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        if length > MOST_BYTES {
            return Err(damaged("a length is out of bounds"));
        }
        let mut payload = Vec::new();
        let read = self.from.by_ref().take(length.into()).read_to_end(&mut payload)?;
        if read != length as usize {
            return Err(damaged("it ends here, and its last part is missing"));
        }
        if checksum(kind, &payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(damaged("a checksum does not match"));
        }
        self.at += HEADER_BYTES as u64 + u64::from(length);
        Part::decode(kind, &payload, at)
    }
}

impl<R: Read> Iterator for Parts<R> {
    type Item = Result<Part, BackupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let part = self.part();
        self.ended = !matches!(part, Ok(ref part) if !matches!(part, Part::End(_)));
        Some(part)
    }
}

/// Reads a whole backup and checks every part, and that none is missing or out of order.
///
/// # Errors
/// [`BackupError`] with the place.
pub fn verify(from: impl Read) -> Result<(Begin, End), BackupError> {
    let mut parts = Parts::new(from);
    let mut order = Order::begin(&mut parts)?;
    loop {
        let at = parts.at;
        match parts.next() {
            Some(part) => {
                if let Some(end) = order.take(&part?, at)? {
                    return Ok((order.begin, end));
                }
            }
            None => return Err(BackupError::Damaged { at, problem: "its last part is missing" }),
        }
    }
}
