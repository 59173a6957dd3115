//! The form of an event in the journal: `[kind u8][id 16 bytes][at u64]`, then the event as the codec writes
//! it.

use std::cell::RefCell;

use relampago_actors::{Address, Millis};
use relampago_snapshots::codec::{self, CodecError, RecordType};
use serde::Serialize;

use crate::node::Node;

/// Bytes in front of the event.
const HEADER_BYTES: usize = 17 + 8;

thread_local! {
    /// Where a decision's events are encoded before the commit queue is locked.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// An event that cannot be stored; nothing was submitted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unrecordable {
    /// It cannot be encoded.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It is larger than a record of the journal may be.
    #[error("an event of {bytes} bytes; the journal takes {most}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        most: usize,
    },
}

/// Encodes events of one entity and submits them; gives the sequence of the first.
pub(crate) fn submit<E: Serialize>(
    at: Address,
    now: Millis,
    kind: RecordType,
    events: &[E],
    node: &Node,
) -> Result<u64, Unrecordable> {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.clear();
        for event in events {
            let start = scratch.len();
            scratch.extend_from_slice(&[0; 4]);
            scratch.extend_from_slice(&at.key());
            scratch.extend_from_slice(&now.to_le_bytes());
            codec::encode(kind, event, scratch)?;
            let (bytes, most) = (scratch.len() - start - 4, node.limits.record);
            if bytes > most {
                return Err(Unrecordable::TooLarge { bytes, most });
            }
            // The limit is far below 4 GiB.
            scratch[start..start + 4].copy_from_slice(&(bytes as u32).to_le_bytes());
        }
        Ok(node.committer.submit(scratch, events.len() as u32))
    })
}

/// A record taken apart.
pub(crate) struct Parts<'a> {
    pub(crate) at: Address,
    pub(crate) time: Millis,
    pub(crate) event: &'a [u8],
}

/// Takes a record apart; `None` if it is too short or of an unknown kind.
pub(crate) fn parse(record: &[u8]) -> Option<Parts<'_>> {
    let (header, event) = record.split_first_chunk::<HEADER_BYTES>()?;
    let (key, time) = header.split_first_chunk::<17>()?;
    let time = u64::from_le_bytes(time.try_into().ok()?);
    Some(Parts { at: Address::from_key(key)?, time, event })
}
