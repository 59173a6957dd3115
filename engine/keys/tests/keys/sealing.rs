//! Text in and out of its envelope.

use std::num::NonZeroU32;

use relampago_actors::personal::Personal;
use relampago_keys::{KeysError, Unreadable};

use crate::support::{ANA, BEA, CAL, Scratch, holds};

#[test]
fn what_is_sealed_can_be_revealed() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let key = keys.key_of(ANA).unwrap();
    for text in ["", "Ana", "ana@example.com", "Calle Ñuñoa 12, 3º 🏠", &"x".repeat(100_000)] {
        let sealed = keys.seal(key, text).unwrap();
        assert_eq!((sealed.key(), sealed.text()), (key.id().get(), None));
        assert!(text.is_empty() || !holds(sealed.bytes(), text.as_bytes()));
        assert_eq!(*keys.reveal(&sealed).unwrap(), text);
        assert_ne!(keys.seal(key, text).unwrap(), sealed, "the same text seals differently");
    }
    assert_eq!(*keys.reveal(&Personal::clear("as it is")).unwrap(), "as it is");
}

#[test]
fn an_owner_keeps_one_key_for_good() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    assert_eq!(keys.existing_key_of(ANA), None);
    let (ana, bea) = (keys.key_of(ANA).unwrap(), keys.key_of(BEA).unwrap());
    assert_eq!((ana.id().get(), bea.id().get()), (1, 2));
    let sealed = keys.seal(ana, "Ana").unwrap();
    drop(keys);

    let keys = scratch.open();
    assert_eq!((keys.key_of(ANA).unwrap(), keys.existing_key_of(BEA)), (ana, Some(bea)));
    assert_eq!(keys.key_of(CAL).unwrap().id().get(), 3);
    assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
}

#[test]
fn tampering_is_seen() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let (ana, bea) = (keys.key_of(ANA).unwrap(), keys.key_of(BEA).unwrap());
    let sealed = keys.seal(ana, "ana@example.com").unwrap();
    for bit in 0..sealed.bytes().len() * 8 {
        let mut bytes = sealed.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let changed = Personal::sealed(ana.id(), bytes);
        assert_eq!(keys.reveal(&changed), Err(Unreadable::Tampered), "bit {bit}");
    }
    for length in 0..sealed.bytes().len() {
        let cut = Personal::sealed(ana.id(), &sealed.bytes()[..length]);
        assert_eq!(keys.reveal(&cut), Err(Unreadable::Tampered), "{length} bytes");
    }
    let moved = Personal::sealed(bea.id(), sealed.bytes());
    assert_eq!(keys.reveal(&moved), Err(Unreadable::Tampered));
}

#[test]
fn a_key_that_never_was_is_unknown() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let unknown = Personal::sealed(NonZeroU32::new(1).unwrap(), &[1; 60][..]);
    assert_eq!(keys.reveal(&unknown), Err(Unreadable::UnknownKey));
    let other = Scratch::new().open().key_of(ANA).unwrap();
    assert!(matches!(keys.seal(other, "Ana"), Err(KeysError::UnknownKey { key: 1 })));
}
