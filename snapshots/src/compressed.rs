//! Bytes in fewer bytes, where that helps.

use lz4_flex::block::{compress_prepend_size, decompress_size_prepended, uncompressed_size};

/// Nothing larger is compressed, bytes: what says otherwise is not read.
const MOST_BYTES: usize = 1 << 24;

/// The same in fewer bytes, if there is a way.
pub(crate) fn shorter(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() > MOST_BYTES {
        return None;
    }
    Some(compress_prepend_size(bytes)).filter(|shorter| shorter.len() < bytes.len())
}

/// What [`shorter`] was given.
///
/// # Errors
/// Says why it cannot be had.
pub(crate) fn restored(shorter: &[u8]) -> Result<Vec<u8>, &'static str> {
    match uncompressed_size(shorter) {
        Ok((size, _)) if size <= MOST_BYTES => {
            decompress_size_prepended(shorter).map_err(|_| "it cannot be decompressed")
        }
        _ => Err("it says that it is larger than it can be"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_shorter_is_restored() {
        let bytes = b"one order like another, ".repeat(100);
        let short = shorter(&bytes).unwrap_or_default();
        assert!(short.len() < bytes.len() / 10);
        assert_eq!(restored(&short), Ok(bytes));
        assert_eq!(shorter(b"no"), None);
    }

    #[test]
    fn what_claims_too_much_is_refused() {
        assert!(restored(&compress_prepend_size(&vec![0; MOST_BYTES])).is_ok());
        assert!(restored(&compress_prepend_size(&vec![0; MOST_BYTES + 1])).is_err());
        assert_eq!(shorter(&vec![0; MOST_BYTES + 1]), None);
        assert!(restored(&[]).is_err());
        assert!(restored(&[9, 0, 0, 0, 0xff]).is_err());
    }
}
