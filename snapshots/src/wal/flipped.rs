//! The one flipped bit that keeps a record from being whole.
//!
//! A record whose write was cut off lacks sectors; one that was written and rots on the disk differs in a bit. The first
//! was never acknowledged and the second may have been, so the two must not be confused. A checksum is linear: the
//! difference between what it is and what it should be tells which single bit, if any, has flipped.

use super::record::{CHECKED_FROM, CHECKSUM_AT, RECORD_HEADER_BYTES, RecordHeader};

/// Of CRC-32 as [`crc32fast`] computes it, reflected.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// The record at the start of `bytes` with one bit put right; `None` if that makes none.
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
    let payload = payload.to_vec();
    Some((found, payload))
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

    fn record(payload: &[u8]) -> Vec<u8> {
        let length = payload.len() as u32;
        let header = RecordHeader { first: 9, count: 2, length, generation: 3, journal_id: [4; 16] };
        [&header.encode(payload)[..], payload].concat()
    }

    #[test]
    fn every_single_bit_is_found() {
        let whole = record(b"hello, world");
        let (header, payload) = RecordHeader::parse(&whole).unwrap();
        // In a segment zeros follow.
        let padded = [&whole[..], &[0; 100]].concat();
        for bit in 0..whole.len() * 8 {
            let mut bytes = padded.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let reserved = (5..8).contains(&(bit / 8));
            assert_eq!(RecordHeader::parse(&bytes).is_some(), reserved, "bit {bit}");
            assert_eq!(mended(&bytes).unwrap(), (header.clone(), payload.to_vec()), "bit {bit}");
        }
    }

    #[test]
    fn what_lacks_more_than_a_bit_is_not_mended() {
        let payload: Vec<u8> = (0..9000_u32).map(|at| (at * 31) as u8).collect();
        let whole = record(&payload);
        for cut in (0..whole.len()).step_by(512) {
            let mut torn = whole.clone();
            torn[cut..].fill(0);
            assert!(mended(&torn).is_none(), "cut at {cut}");
        }
        assert!(mended(&[0; 4096]).is_none());
        assert!(mended(&whole[..40]).is_none());
    }
}
