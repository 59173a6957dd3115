//! A buffer aligned for direct writes, without unsafe code.

use super::{BLOCK, record::PADDING_BYTES};

/// Bytes that begin at a block boundary in memory. Grows, never shrinks, and is reused for every write.
#[derive(Default)]
pub(super) struct AlignedBuffer {
    /// One block longer than needed, so that an aligned start lies within.
    bytes: Vec<u8>,
}

impl AlignedBuffer {
    /// Fills the buffer with `header`, `payload` and `padding` over and over up to a whole block, and returns that.
    pub(super) fn fill(&mut self, header: &[u8], payload: &[u8], padding: [u8; PADDING_BYTES]) -> &[u8] {
        let used = header.len() + payload.len();
        let padded = used.next_multiple_of(BLOCK);
        if self.bytes.len() < padded + BLOCK {
            // A new allocation moves the aligned start, so nothing of the old one is kept.
            self.bytes = vec![0; padded.next_power_of_two() + BLOCK];
        }
        let start = self.bytes.as_ptr().align_offset(BLOCK);
        let aligned = &mut self.bytes[start..start + padded];
        aligned[..header.len()].copy_from_slice(header);
        aligned[header.len()..used].copy_from_slice(payload);
        for gap in aligned[used..].chunks_mut(PADDING_BYTES) {
            gap.copy_from_slice(&padding[..gap.len()]);
        }
        aligned
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_aligned_padded_and_clean_after_reuse() {
        let mut buffer = AlignedBuffer::default();
        for payload in [BLOCK * 3 + 5, 10, 0, BLOCK * 9] {
            let bytes = buffer.fill(&[1; 64], &vec![2; payload], [3, 4, 5, 6]);
            assert_eq!(bytes.as_ptr().align_offset(BLOCK), 0);
            assert_eq!(bytes.len(), (64 + payload).next_multiple_of(BLOCK));
            assert!(bytes[..64].iter().all(|byte| *byte == 1));
            assert!(bytes[64..64 + payload].iter().all(|byte| *byte == 2));
            assert!(
                bytes[64 + payload..].iter().zip([3, 4, 5, 6].iter().cycle()).all(|(byte, pad)| byte == pad)
            );
        }
    }
}
