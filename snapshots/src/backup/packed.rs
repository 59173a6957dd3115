//! What is compressed in a frame.
//!
//! A few bytes of zstd can stand for as many zeros as one likes. So what unpacks to more than [`AT_ONCE`] bytes may be at
//! most [`RATIO`] times as long as it was packed; what truly is so regular is followed by bytes that zstd skips.

use std::io::{self, Read};

use zstd::stream::read::Decoder;

/// Fast, and already a third of the size.
const ZSTD_LEVEL: i32 = 1;
/// So much may be unpacked from anything, bytes: nearly every frame comes to 8 MiB and an event.
const AT_ONCE: usize = 16 << 20;
/// Unpacked bytes to a packed one, in what comes to more.
const RATIO: usize = 256;
/// The most that zstd looks back, as a power of two: it asks for so much memory before it unpacks. Its level 1 looks
/// back 512 KiB.
const WINDOW_LOG: u32 = 23;
/// Begins a frame that zstd skips; its length follows.
const SKIPPED: [u8; 4] = 0x184d_2a50_u32.to_le_bytes();

/// `bytes` as [`unpack`] takes them.
pub(crate) fn pack(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = zstd::bulk::compress(bytes, ZSTD_LEVEL)?;
    if bytes.len() > most(packed.len()) {
        let missing = bytes.len().div_ceil(RATIO) - packed.len();
        packed.extend_from_slice(&SKIPPED);
        packed.extend_from_slice(&(missing as u32).to_le_bytes());
        packed.resize(packed.len() + missing, 0);
    }
    Ok(packed)
}

/// What was packed; of a size in proportion to `packed`, and at most `limit`.
///
/// # Errors
/// Says why it cannot be had.
pub(super) fn unpack(packed: &[u8], limit: usize) -> Result<Vec<u8>, &'static str> {
    let most = most(packed.len()).min(limit);
    let mut bytes = Vec::new();
    let read = decoder(packed).and_then(|decoder| decoder.take(most as u64 + 1).read_to_end(&mut bytes));
    match read {
        Ok(read) if read <= most => Ok(bytes),
        Ok(_) => Err("it is larger than it can be"),
        Err(_) => Err("it cannot be unpacked"),
    }
}

fn decoder(packed: &[u8]) -> io::Result<impl Read> {
    let mut decoder = Decoder::with_buffer(packed)?;
    decoder.window_log_max(WINDOW_LOG)?;
    Ok(decoder)
}

fn most(packed: usize) -> usize {
    AT_ONCE.max(packed.saturating_mul(RATIO))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_packed_is_unpacked_however_regular_it_is() {
        for length in [0, 1, AT_ONCE, AT_ONCE + 1, AT_ONCE * 3] {
            let bytes = vec![0; length];
            let packed = pack(&bytes).unwrap();
            assert!(packed.len() <= 1000 + length / RATIO, "{length}");
            assert!(unpack(&packed, usize::MAX).unwrap() == bytes, "{length}");
        }
        let mixed: Vec<u8> =
            (0..1_u32 << 20).flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
        assert!(unpack(&pack(&mixed).unwrap(), usize::MAX).unwrap() == mixed);
    }

    #[test]
    fn a_few_bytes_do_not_become_many() {
        let bomb = zstd::bulk::compress(&vec![0; AT_ONCE + 1], ZSTD_LEVEL).unwrap();
        assert_eq!(unpack(&bomb, usize::MAX), Err("it is larger than it can be"));
        assert_eq!(unpack(&pack(&[0; 100]).unwrap(), 99), Err("it is larger than it can be"));
        assert_eq!(unpack(&bomb[..bomb.len() - 1], usize::MAX), Err("it cannot be unpacked"));
    }

    #[test]
    fn no_memory_is_asked_for_to_look_back_further_than_it_was_packed() {
        // A frame header: no size, a window of 2 to the 27 or to the 23, and an empty last block.
        let window = |log: u8| [0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 1, 0, 0];
        assert_eq!(unpack(&window(27), usize::MAX), Err("it cannot be unpacked"));
        assert_eq!(unpack(&window(23), usize::MAX), Ok(Vec::new()));
    }
}
