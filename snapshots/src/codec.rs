//! The form of every stored record: `[format u8][type u16][version u16][payload]`, little-endian, with the
//! payload in bincode's standard configuration.
//!
//! bincode is positional, so a stored struct is frozen with its version. A changed struct gets the next
//! version, and [`Stored::upcast`] turns payloads of the old ones into the new form. The golden bytes in the
//! tests fail when a frozen form changes by accident.

use bincode::config::{Configuration, standard};
use bincode::serde::decode_from_slice;
use serde::{Serialize, de::DeserializeOwned};

/// The first byte of every record. It changes only when header or payload encoding do.
pub const FORMAT: u8 = 1;

/// Bytes in front of the payload.
pub const HEADER_BYTES: usize = 5;

const BINCODE: Configuration = standard();

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordType {
    /// Which struct; never used again for another one.
    pub id: u16,
    /// Which form of it.
    pub version: u16,
}

/// Why a record could not be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Shorter than its header.
    #[error("record of {0} bytes is shorter than its header")]
    Short(usize),
    /// Written in a form this program does not know.
    #[error("record format {0} is unknown; it was written by a newer program")]
    UnknownFormat(u8),
    /// Another struct than the one asked for.
    #[error("record is of type {found}, expected {expected}")]
    WrongType {
        /// In the record.
        found: u16,
        /// Asked for.
        expected: u16,
    },
    /// No upcaster reads this version.
    #[error("version {version} of record type {id} is unknown; it was written by a newer program")]
    UnknownVersion {
        /// The record type.
        id: u16,
        /// The version in the record.
        version: u16,
    },
    /// Bytes are left after the payload.
    #[error("{0} bytes are left after the payload")]
    Trailing(usize),
    /// The stored checksum does not match.
    #[error("checksum does not match")]
    Checksum,
    /// bincode could not write the value.
    #[error("cannot encode: {0}")]
    Encode(#[from] bincode::error::EncodeError),
    /// bincode could not read the payload.
    #[error("cannot decode: {0}")]
    Decode(#[from] bincode::error::DecodeError),
}

/// Appends header and payload of `value` to `out`.
pub fn encode<T: Serialize>(kind: RecordType, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    out.push(FORMAT);
    out.extend_from_slice(&kind.id.to_le_bytes());
    out.extend_from_slice(&kind.version.to_le_bytes());
    bincode::serde::encode_into_std_write(value, out, BINCODE)?;
    Ok(())
}

/// Splits a record into what it is and its payload.
pub fn decode_header(record: &[u8]) -> Result<(RecordType, &[u8]), CodecError> {
    let Some((&[format, id0, id1, version0, version1], payload)) = record.split_first_chunk::<HEADER_BYTES>()
    else {
        return Err(CodecError::Short(record.len()));
    };
    if format != FORMAT {
        return Err(CodecError::UnknownFormat(format));
    }
    let id = u16::from_le_bytes([id0, id1]);
    let version = u16::from_le_bytes([version0, version1]);
    Ok((RecordType { id, version }, payload))
}

/// Payloads up to these sizes, bytes: nearly all of them, and all but the largest states.
const SMALL: usize = 4 << 10;
const LARGE: usize = 1 << 20;
/// The most that bincode counts for one byte of a payload: a large integer that was written as a small one.
const COUNTED_PER_BYTE: usize = 16;
const MOST_COUNTED_SMALL: usize = COUNTED_PER_BYTE * SMALL;
const MOST_COUNTED_LARGE: usize = COUNTED_PER_BYTE * LARGE;
/// Of the largest state that fits into a pack.
const MOST_COUNTED: usize = COUNTED_PER_BYTE << 32;

/// Decodes a payload, which must be used up.
///
/// A text is given as much memory as it claims to be long before its bytes are looked for, so what is claimed is bounded
/// by what there is.
pub fn decode_payload<T: DeserializeOwned>(payload: &[u8]) -> Result<T, CodecError> {
    let (value, used) = if payload.len() <= SMALL {
        decode_from_slice(payload, BINCODE.with_limit::<MOST_COUNTED_SMALL>())
    } else if payload.len() <= LARGE {
        decode_from_slice(payload, BINCODE.with_limit::<MOST_COUNTED_LARGE>())
    } else {
        decode_from_slice(payload, BINCODE.with_limit::<MOST_COUNTED>())
    }?;
    match payload.len() - used {
        0 => Ok(value),
        left => Err(CodecError::Trailing(left)),
    }
}

/// A struct that is stored as a record of its own type and can read its older versions.
pub trait Stored: Serialize + DeserializeOwned {
    /// The record type; never used again for another struct.
    const TYPE: u16;
    /// The version that is written.
    const VERSION: u16;

    /// Reads a payload of an older version. The default knows none: an unknown version is an error, never a
    /// guess.
    fn upcast(version: u16, payload: &[u8]) -> Result<Self, CodecError> {
        let _ = payload;
        Err(CodecError::UnknownVersion { id: Self::TYPE, version })
    }

    /// Appends this record to `out`.
    fn store(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        encode(RecordType { id: Self::TYPE, version: Self::VERSION }, self, out)
    }

    /// Reads a record of any known version.
    fn load(record: &[u8]) -> Result<Self, CodecError> {
        let (kind, payload) = decode_header(record)?;
        if kind.id != Self::TYPE {
            return Err(CodecError::WrongType { found: kind.id, expected: Self::TYPE });
        }
        if kind.version == Self::VERSION {
            decode_payload(payload)
        } else {
            Self::upcast(kind.version, payload)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Example {
        id: [u8; 2],
        amount: i64,
        name: String,
        lines: Vec<u16>,
        note: Option<u8>,
    }

    impl Stored for Example {
        const TYPE: u16 = 0x0201;
        const VERSION: u16 = 3;
    }

    fn example() -> Example {
        Example { id: [7, 8], amount: -2, name: "é".to_owned(), lines: vec![1, 300], note: None }
    }

    const GOLDEN: &[u8] = &[
        1, // format
        0x01, 0x02, // type
        3, 0, // version
        7, 8, // a fixed array has no length
        3, // -2 in zigzag
        2, 0xc3, 0xa9, // a string has one
        2, 1, 251, 0x2c, 0x01, // so has a list; 251 announces a u16
        0,    // none
    ];

    #[test]
    fn golden_bytes() {
        let mut bytes = Vec::new();
        example().store(&mut bytes).unwrap();
        assert_eq!(bytes, GOLDEN);
        assert_eq!(Example::load(GOLDEN).unwrap(), example());
        let (kind, payload) = decode_header(GOLDEN).unwrap();
        assert_eq!((kind.id, kind.version, payload.len()), (0x0201, 3, 12));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        let changed = |at: usize, to: u8| {
            let mut bytes = GOLDEN.to_vec();
            bytes[at] = to;
            Example::load(&bytes).unwrap_err()
        };
        assert!(matches!(changed(0, 2), CodecError::UnknownFormat(2)));
        assert!(matches!(changed(1, 9), CodecError::WrongType { found: 0x0209, expected: 0x0201 }));
        assert!(matches!(changed(3, 4), CodecError::UnknownVersion { id: 0x0201, version: 4 }));
        assert!(matches!(changed(3, 2), CodecError::UnknownVersion { id: 0x0201, version: 2 }));
        assert!(matches!(Example::load(&[GOLDEN, &[0]].concat()), Err(CodecError::Trailing(1))));
        for length in 0..GOLDEN.len() {
            assert!(Example::load(&GOLDEN[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn what_claims_to_be_longer_than_memory_is_refused() {
        // 253 announces a u64: so long a text, of which nothing is there.
        let claim = |bytes: u64| [&GOLDEN[..8], &[253], &bytes.to_le_bytes()].concat();
        for bytes in [1 << 20, 1 << 40, u64::MAX] {
            assert!(matches!(Example::load(&claim(bytes)), Err(CodecError::Decode(_))), "{bytes}");
        }
    }

    #[test]
    fn no_value_is_too_much_for_its_size() {
        for count in [SMALL, SMALL + 1, LARGE + 1] {
            // Integers that count for the most, texts, and both at once.
            let numbers = vec![1_u128; count];
            let texts = vec!["text".to_owned(); count / 5];
            let mut payload = Vec::new();
            bincode::serde::encode_into_std_write((&numbers, &texts), &mut payload, BINCODE).unwrap();
            let read: (Vec<u128>, Vec<String>) = decode_payload(&payload).unwrap();
            assert!(read == (numbers, texts), "{count}");
        }
    }
}
