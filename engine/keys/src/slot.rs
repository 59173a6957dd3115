//! One slot of the vault: a wrapped data key, or the tombstone of one.
//!
//! 128 bytes, so that a slot never crosses a sector and is written as a whole or not at all:
//! `magic 3, format 1, key id 4, owner 16, master 4, state 1, zeros 3, nonce 12, wrapped key 48, zeros 28,
//! crc32 4` over all before it, and an end mark of 4; integers little-endian. The end mark tells a slot that
//! never got to the disk from one that was damaged there. A tombstone has zeros for master, nonce and key.

use std::num::NonZeroU32;

use relampago_actors::Id;

use crate::secret::{NONCE, TAG};

/// Bytes of a slot.
pub(crate) const SLOT: usize = 128;

/// Bytes of a wrapped data key with its tag.
pub(crate) const WRAPPED: usize = 32 + TAG;

const MAGIC_AND_FORMAT: [u8; 4] = *b"RVK\x01";
const END: [u8; 4] = *b"KVR\x01";
const LIVE: u8 = 1;
const DESTROYED: u8 = 2;

const KEY: usize = 4;
const OWNER: usize = 8;
const MASTER: usize = 24;
const STATE: usize = 28;
const NONCE_AT: usize = 32;
const WRAPPED_AT: usize = NONCE_AT + NONCE;
const CHECKSUM: usize = 120;
const END_AT: usize = 124;

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot {
    /// The data key's id: the slot's number from 1.
    pub(crate) key: NonZeroU32,
    /// Whose key it is.
    pub(crate) owner: Id,
    /// The key, or `None` if it was destroyed.
    pub(crate) wrapped: Option<Wrapped>,
}

/// A data key under a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrapped {
    /// The master key's id; never 0.
    pub(crate) master: u32,
    /// The nonce it was sealed with.
    pub(crate) nonce: [u8; NONCE],
    /// Ciphertext and tag.
    pub(crate) sealed: [u8; WRAPPED],
}

impl Slot {
    /// The slot as it stands in the file.
    pub(crate) fn encode(&self) -> [u8; SLOT] {
        let mut bytes = [0; SLOT];
        bytes[..KEY].copy_from_slice(&MAGIC_AND_FORMAT);
        bytes[KEY..OWNER].copy_from_slice(&self.key.get().to_le_bytes());
        bytes[OWNER..MASTER].copy_from_slice(&self.owner.0.to_le_bytes());
        bytes[STATE] = DESTROYED;
        if let Some(wrapped) = &self.wrapped {
            bytes[STATE] = LIVE;
            bytes[MASTER..STATE].copy_from_slice(&wrapped.master.to_le_bytes());
            bytes[NONCE_AT..WRAPPED_AT].copy_from_slice(&wrapped.nonce);
            bytes[WRAPPED_AT..WRAPPED_AT + WRAPPED].copy_from_slice(&wrapped.sealed);
        }
        let checksum = crc32fast::hash(&bytes[..CHECKSUM]);
        bytes[CHECKSUM..END_AT].copy_from_slice(&checksum.to_le_bytes());
        bytes[END_AT..].copy_from_slice(&END);
        bytes
    }

    /// The slot of `key`, or what is wrong with it.
    pub(crate) fn decode(bytes: &[u8; SLOT], key: NonZeroU32) -> Result<Self, &'static str> {
        if bytes[END_AT..] != END {
            return Err("it has no end");
        }
        if crc32fast::hash(&bytes[..CHECKSUM]).to_le_bytes() != bytes[CHECKSUM..END_AT] {
            return Err("its checksum is wrong");
        }
        if bytes[..KEY] != MAGIC_AND_FORMAT {
            return Err("its format is unknown");
        }
        if field::<4>(bytes, KEY) != key.get().to_le_bytes() {
            return Err("it is another slot's");
        }
        let master = u32::from_le_bytes(field(bytes, MASTER));
        let wrapped = match bytes[STATE] {
            DESTROYED => None,
            LIVE if master != 0 => {
                Some(Wrapped { master, nonce: field(bytes, NONCE_AT), sealed: field(bytes, WRAPPED_AT) })
            }
            _ => return Err("its state is unknown"),
        };
        Ok(Self { key, owner: Id(u128::from_le_bytes(field(bytes, OWNER))), wrapped })
    }
}

/// Whether the bytes, as the last of the file, are a slot whose write a crash cut off: they are fewer than a
/// slot has, or their end never arrived.
pub(crate) fn is_torn(last: &[u8]) -> bool {
    last.len() < SLOT || last[END_AT..] == [0; 4]
}

/// `N` bytes from `at` on.
fn field<const N: usize>(bytes: &[u8; SLOT], at: usize) -> [u8; N] {
    std::array::from_fn(|index| bytes[at + index])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn live() -> Slot {
        let wrapped = Wrapped { master: 7, nonce: [0xaa; NONCE], sealed: [0xbb; WRAPPED] };
        Slot { key: NonZeroU32::new(3).unwrap(), owner: Id(0x0102), wrapped: Some(wrapped) }
    }

    #[test]
    fn golden_bytes() {
        let mut golden = b"RVK\x01\x03\0\0\0\x02\x01".to_vec();
        golden.extend([0; 14]);
        golden.extend(*b"\x07\0\0\0\x01\0\0\0");
        golden.extend([0xaa; 12]);
        golden.extend([0xbb; 48]);
        golden.extend([0; 28]);
        golden.extend(crc32fast::hash(&golden).to_le_bytes());
        golden.extend(*b"KVR\x01");
        assert_eq!(live().encode(), golden[..]);
        assert_eq!(Slot::decode(&live().encode(), live().key), Ok(live()));

        let tombstone = Slot { wrapped: None, ..live() };
        assert_eq!(tombstone.encode()[MASTER..CHECKSUM], [&[0, 0, 0, 0, 2][..], &[0; 91]].concat());
        assert_eq!(Slot::decode(&tombstone.encode(), tombstone.key), Ok(tombstone));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        for bit in 0..SLOT * 8 {
            let mut bytes = live().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Slot::decode(&bytes, live().key).is_err(), "bit {bit}");
            assert!(!is_torn(&bytes), "bit {bit}");
        }
        let moved = Slot::decode(&live().encode(), NonZeroU32::new(4).unwrap());
        assert_eq!(moved, Err("it is another slot's"));
    }

    #[test]
    fn a_slot_that_was_cut_off_is_known() {
        let whole = live().encode();
        for length in 0..END_AT {
            let mut padded = [0; SLOT];
            padded[..length].copy_from_slice(&whole[..length]);
            assert!(is_torn(&padded) && is_torn(&whole[..length]), "{length}");
        }
        assert!(!is_torn(&whole));
    }
}
