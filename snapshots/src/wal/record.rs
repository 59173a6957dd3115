//! A record of the log: a header and one batch.

use crate::journal::{Batch, Sequence};

const MAGIC: [u8; 4] = *b"RLPR";
const VERSION: u8 = 1;

/// `magic 4, version 1, zeros 3, crc32 4, payload length 4, first 8, count 4, padding 1, zeros 3, generation 8,
/// journal id 16`, zeros to 64. The checksum covers what follows it and the payload.
pub(super) const RECORD_HEADER_BYTES: usize = 64;
/// Where the checksum stands, and where what it covers begins.
pub(super) const CHECKSUM_AT: usize = 8;
pub(super) const CHECKED_FROM: usize = 12;

/// What fills the last block behind the payload: zeros in logs of older builds, now the checksum over and over. That is
/// not what stood there before, be it zeros or another record, so it tells a sector that was written from one that was
/// not.
const PADDING_AT: usize = 28;
const PADDED_WITH_CHECKSUM: u8 = 1;
pub(super) const PADDING_BYTES: usize = 4;

/// What stands in front of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordHeader {
    pub(super) first: Sequence,
    pub(super) count: u32,
    /// Payload bytes.
    pub(super) length: u32,
    pub(super) generation: u64,
    pub(super) journal_id: [u8; 16],
}

impl RecordHeader {
    /// The header's bytes, with the checksum over `payload`.
    pub(super) fn encode(&self, payload: &[u8]) -> [u8; RECORD_HEADER_BYTES] {
        let mut bytes = [0; RECORD_HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[12..16].copy_from_slice(&self.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.first.to_le_bytes());
        bytes[24..28].copy_from_slice(&self.count.to_le_bytes());
        bytes[PADDING_AT] = PADDED_WITH_CHECKSUM;
        bytes[32..40].copy_from_slice(&self.generation.to_le_bytes());
        bytes[40..56].copy_from_slice(&self.journal_id);
        let checksum = checksum(&bytes, payload);
        bytes[CHECKSUM_AT..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// What is repeated behind the record that begins with `header`.
    pub(super) fn padding(header: &[u8; RECORD_HEADER_BYTES]) -> [u8; PADDING_BYTES] {
        match header[PADDING_AT] {
            PADDED_WITH_CHECKSUM => header[CHECKSUM_AT..].first_chunk().copied().unwrap_or_default(),
            _ => [0; PADDING_BYTES],
        }
    }

    /// Reads the record at the start of `bytes`, `None` unless it is whole and its checksum matches.
    pub(super) fn parse(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
        if header[..4] != MAGIC || header[4] != VERSION {
            return None;
        }
        let length = u32::from_le_bytes(*header[12..].first_chunk()?);
        let payload = rest.get(..length as usize)?;
        if checksum(header, payload) != u32::from_le_bytes(*header[8..].first_chunk()?) {
            return None;
        }
        let parsed = Self {
            first: u64::from_le_bytes(*header[16..].first_chunk()?),
            count: u32::from_le_bytes(*header[24..].first_chunk()?),
            length,
            generation: u64::from_le_bytes(*header[32..].first_chunk()?),
            journal_id: *header[40..].first_chunk()?,
        };
        let is_possible = parsed.count > 0 && parsed.first.checked_add(parsed.count.into()).is_some();
        is_possible.then_some((parsed, payload))
    }

    /// The generation that the first bytes of a torn record name. Unchecked, so good for reports only.
    pub(super) fn begun_in(bytes: &[u8]) -> Option<u64> {
        let header = bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
        let generation = u64::from_le_bytes(*header[32..].first_chunk()?);
        (header[..4] == MAGIC).then_some(generation)
    }

    /// The batch that the header and `payload` are.
    pub(super) fn batch(&self, payload: &[u8]) -> Batch {
        Batch { first: self.first, count: self.count, bytes: payload.to_vec() }
    }
}

fn checksum(header: &[u8; RECORD_HEADER_BYTES], payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&header[CHECKED_FROM..]);
    hasher.update(payload);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let header = RecordHeader { first: 9, count: 2, length: 5, generation: 3, journal_id: [4; 16] };
        let mut bytes = header.encode(b"hello").to_vec();
        bytes.extend_from_slice(b"hello");
        assert_eq!(RecordHeader::parse(&bytes).unwrap(), (header.clone(), b"hello".as_slice()));
        for bit in 0..bytes.len() * 8 {
            // Bytes 5 to 7 are reserved and mean nothing.
            if (5..8).contains(&(bit / 8)) {
                continue;
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(RecordHeader::parse(&bytes).is_none(), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}
