//! Text in and out of its envelope.
//!
//! Sealed bytes are `format 1, nonce 12, ciphertext, tag 16`. Every key has its own id, so they open under no
//! other one. The ciphertext is as long as the text: how long a name is, is not hidden.

use std::num::NonZeroU32;

use relampago_actors::personal::Personal;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    KeysError, Unreadable,
    secret::{Cipher, NONCE, TAG},
};

const FORMAT: u8 = 1;
const TEXT_AT: usize = 1 + NONCE;

/// Seals `text` under `key`.
pub(crate) fn seal(cipher: &Cipher, key: NonZeroU32, text: &str) -> Result<Personal, KeysError> {
    // As large as it gets, so that nothing is moved on the way.
    let mut bytes = Vec::with_capacity(TEXT_AT + text.len() + TAG);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&[0; NONCE]);
    bytes.extend_from_slice(text.as_bytes());
    match cipher.seal(&[FORMAT], &mut bytes[TEXT_AT..]) {
        Ok((nonce, tag)) => {
            bytes[1..TEXT_AT].copy_from_slice(&nonce);
            bytes.extend_from_slice(&tag);
            Ok(Personal::sealed(key, bytes))
        }
        Err(error) => {
            bytes.zeroize();
            Err(error)
        }
    }
}

/// The text that was sealed.
pub(crate) fn open(cipher: &Cipher, bytes: &[u8]) -> Result<Zeroizing<String>, Unreadable> {
    let (&format, rest) = bytes.split_first().ok_or(Unreadable::Tampered)?;
    let (nonce, sealed) = rest.split_first_chunk::<NONCE>().ok_or(Unreadable::Tampered)?;
    let length = sealed.len().checked_sub(TAG).ok_or(Unreadable::Tampered)?;
    if format != FORMAT {
        return Err(Unreadable::Tampered);
    }
    let mut text = Zeroizing::new(sealed.to_vec());
    cipher.open(*nonce, &[FORMAT], &mut text).map_err(|_| Unreadable::Tampered)?;
    text.truncate(length);
    readable(std::mem::take(&mut *text))
}

/// The bytes as text. What is not UTF-8 was never sealed by us.
pub(crate) fn readable(bytes: Vec<u8>) -> Result<Zeroizing<String>, Unreadable> {
    String::from_utf8(bytes).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        Unreadable::Tampered
    })
}
