//! The one flipped bit that keeps a record from being whole.
//!
//! A record whose write was cut off lacks sectors; one that was written and rots on the disk differs in a bit. The first
//! was never acknowledged and the second may have been, so the two must not be confused. A checksum is linear: the
//! difference between what it is and what it should be tells which single bit, if any, has flipped.
//!
//! The last sector of a record may have so little in it that all it lacks when it was not written is one bit. So the bit
//! counts as flipped only where the padding behind the record shows that the sector was written.

use super::record::{CHECKED_FROM, CHECKSUM_AT, PADDING_BYTES, RECORD_HEADER_BYTES, RecordHeader};

/// What a disk writes whole or not at all, bytes.
const SECTOR: usize = 512;

/// Of CRC-32 as [`crc32fast`] computes it, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The record at the start of `bytes` with one bit put right; `None` if that makes none, or if the bit was not written.
pub(super) fn mended(bytes: &[u8]) -> Option<(RecordHeader, Vec<u8>)> {
    let header = bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
    let length = u32::from_le_bytes(*header[CHECKED_FROM..].first_chunk()?);
    // Magic, version, checksum and length say what is to be checked, and how: each of their bits is tried.
    let framing = (0..(CHECKED_FROM + 4) * 8).find_map(|bit| with_flipped(bytes, bit));
    framing.or_else(|| {
        let checked = bytes.get(CHECKED_FROM..RECORD_HEADER_BYTES + length as usize)?;
        let stored = u32::from_le_bytes(*header[CHECKSUM_AT..].first_chunk()?);
        let bit = bit_of(stored ^ crc32fast::hash(checked), checked.len())?;
        with_flipped(bytes, CHECKED_FROM * 8 + bit)
    })
}

/// The record that `bytes` begin with once `bit` is flipped. Cheap where they do not, unless the length says otherwise.
fn with_flipped(bytes: &[u8], bit: usize) -> Option<(RecordHeader, Vec<u8>)> {
    let mut header = *bytes.first_chunk::<RECORD_HEADER_BYTES>()?;
    let mut record = Vec::new();
    if let Some(byte) = header.get_mut(bit / 8) {
        *byte ^= 1 << (bit % 8);
        let length = u32::from_le_bytes(*header[CHECKED_FROM..].first_chunk()?) as usize;
        record.extend_from_slice(&header);
        record.extend_from_slice(bytes.get(RECORD_HEADER_BYTES..RECORD_HEADER_BYTES.checked_add(length)?)?);
    } else {
        record.extend_from_slice(bytes);
        *record.get_mut(bit / 8)? ^= 1 << (bit % 8);
    }
    let (found, payload) = RecordHeader::parse(&record)?;
    let padding = RecordHeader::padding(record.first_chunk()?);
    let ends = RECORD_HEADER_BYTES + payload.len();
    was_written(bytes, bit / 8 / SECTOR, ends, padding).then(|| (found, payload.to_vec()))
}

/// Whether a sector of `bytes` has the padding of the record that ends before `ends`, as far as it has room for any.
fn was_written(bytes: &[u8], sector: usize, ends: usize, padding: [u8; PADDING_BYTES]) -> bool {
    let behind = bytes.get(ends..((sector + 1) * SECTOR).min(bytes.len())).unwrap_or_default();
    behind.iter().zip(padding.iter().cycle()).all(|(byte, expected)| byte == expected)
}

/// Which bit of `length` bytes changes their checksum by `difference` when it flips, if one does.
fn bit_of(difference: u32, length: usize) -> Option<usize> {
    // What flipping the highest bit of the last byte changes, then the one before it, and so on to the first.
    let mut change = POLYNOMIAL;
    for bit in (0..length * 8).rev() {
        if change == difference {
            return Some(bit);
        }
        change = (change >> 1) ^ if change & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::wal::buffer::AlignedBuffer;

    /// A record as it is written, block by block.
    fn record(payload: &[u8], generation: u64) -> Vec<u8> {
        let length = payload.len() as u32;
        let header = RecordHeader { first: 9, count: 2, length, generation, journal_id: [4; 16] };
        let header = header.encode(payload);
        AlignedBuffer::default().fill(&header, payload, RecordHeader::padding(&header)).to_vec()
    }

    /// The same from a build that filled up with zeros.
    fn old_record(payload: &[u8]) -> Vec<u8> {
        let mut bytes = record(payload, 3);
        let ends = RECORD_HEADER_BYTES + payload.len();
        bytes[28] = 0;
        let checksum = crc32fast::hash(&bytes[CHECKED_FROM..ends]);
        bytes[CHECKSUM_AT..CHECKED_FROM].copy_from_slice(&checksum.to_le_bytes());
        bytes[ends..].fill(0);
        bytes
    }

    #[test]
    fn every_single_bit_is_found() {
        let payload = b"hello, world";
        let ends = RECORD_HEADER_BYTES + payload.len();
        for whole in [record(payload, 3), old_record(payload)] {
            let header = RecordHeader::parse(&whole).unwrap().0;
            for bit in 0..ends * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let reserved = (5..8).contains(&(bit / 8));
                assert_eq!(RecordHeader::parse(&bytes).is_some(), reserved, "bit {bit}");
                assert_eq!(mended(&bytes).unwrap(), (header.clone(), payload.to_vec()), "bit {bit}");
            }
        }
    }

    #[test]
    fn what_lacks_more_than_a_bit_is_not_mended() {
        let payload: Vec<u8> = (0..9000_u32).map(|at| (at * 31) as u8).collect();
        let whole = record(&payload, 3);
        for cut in (0..RECORD_HEADER_BYTES + payload.len()).step_by(SECTOR) {
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            assert!(mended(&torn).is_none(), "cut at {cut}");
        }
        assert!(mended(&[0; 4096]).is_none());
        assert!(mended(&whole[..40]).is_none());
    }

    /// A payload whose last byte stands alone in a sector, with one bit of it set.
    fn with_a_lonely_bit() -> Vec<u8> {
        let mut payload = vec![7; 3 * SECTOR - RECORD_HEADER_BYTES + 1];
        *payload.last_mut().unwrap() = 0b100;
        payload
    }

    #[test]
    fn a_sector_that_lacks_one_bit_and_its_padding_was_not_written() {
        let (payload, other) = (with_a_lonely_bit(), vec![0; with_a_lonely_bit().len()]);
        let whole = record(&payload, 3);
        // Zeros of a fresh segment, or what another generation has left, which differs in no other bit either.
        for before in [vec![0; whole.len()], record(&other, 2)] {
            let mut torn = whole.clone();
            torn[3 * SECTOR..].copy_from_slice(&before[3 * SECTOR..]);
            assert!(RecordHeader::parse(&torn).is_none());
            assert!(mended(&torn).is_none());
        }
    }

    #[test]
    fn a_lonely_bit_that_was_written_and_has_flipped_is_found() {
        let payload = with_a_lonely_bit();
        for whole in [record(&payload, 3), old_record(&payload)] {
            let mut rotten = whole.clone();
            rotten[3 * SECTOR] = 0;
            assert!(RecordHeader::parse(&rotten).is_none());
            assert_eq!(mended(&rotten).unwrap().1, payload);
        }
    }
}
