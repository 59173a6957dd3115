//! Destroying a key erases what was sealed under it.

use std::fs;

use relampago_keys::{Keys, KeysError, Unreadable};

use crate::support::{ANA, BEA, CAL, Scratch};

#[test]
fn a_destroyed_key_is_gone_from_memory_and_disk() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let (ana, bea) = (keys.key_of(ANA).unwrap(), keys.key_of(BEA).unwrap());
    let (of_ana, of_bea) = (keys.seal(ana, "Ana").unwrap(), keys.seal(bea, "Bea").unwrap());
    let wrapped = scratch.wrapped_key(0);
    assert!(scratch.any_file_holds(&wrapped));

    keys.destroy(ANA).unwrap();
    keys.destroy(ANA).unwrap();
    for keys in [keys, scratch.open()] {
        assert_eq!(keys.reveal(&of_ana), Err(Unreadable::Destroyed));
        assert_eq!(*keys.reveal(&of_bea).unwrap(), "Bea");
        assert!(matches!(keys.seal(ana, "Ana"), Err(KeysError::Destroyed)));
        assert!(matches!(keys.key_of(ANA), Err(KeysError::Destroyed)));
        assert_eq!(keys.existing_key_of(ANA), None);
    }
    // No part of it that could help is left.
    for part in wrapped.windows(8) {
        assert!(!scratch.any_file_holds(part));
    }
}

#[test]
fn an_older_copy_has_fewer_changes() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let mut before = keys.changes();
    assert_eq!(before, 0);
    let mut more = |what: &str, keys: &Keys| {
        let (now, read) = (keys.changes(), Keys::count(&scratch.vault()).unwrap());
        assert!(now > before && read.changes == now, "{what}: {before}, {now}, {read:?}");
        before = now;
    };
    keys.key_of(ANA).unwrap();
    more("a key", &keys);
    keys.destroy(ANA).unwrap();
    more("it is destroyed", &keys);
    keys.destroy(BEA).unwrap();
    more("none is made any more", &keys);
    keys.key_of(CAL).unwrap();
    more("another key", &keys);
    keys.destroy(ANA).unwrap();
    keys.rotate_master(2_000).unwrap();
    assert_eq!((keys.changes(), scratch.open().changes()), (before, before));
    assert_eq!(Keys::count(&scratch.vault()).unwrap().keys, 3);
}

#[test]
fn a_ring_is_verified_beside_its_vault() {
    let (scratch, other) = (Scratch::new(), Scratch::new());
    other.open();
    scratch.open().key_of(ANA).unwrap();
    Keys::verify(&scratch.ring(), &scratch.vault()).unwrap();
    let error = Keys::verify(&other.ring(), &scratch.vault()).unwrap_err();
    assert!(matches!(error, KeysError::MasterDiffers { .. }), "{error}");
    let error = Keys::verify(&scratch.vault().with_file_name("none"), &scratch.vault()).unwrap_err();
    assert!(matches!(error, KeysError::RingMissing { .. }), "{error}");
}

#[test]
fn an_old_copy_of_the_vault_is_useless_after_the_next_rotation() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let sealed = keys.seal(keys.key_of(ANA).unwrap(), "Ana").unwrap();
    let copy = fs::read(scratch.vault()).unwrap();
    keys.destroy(ANA).unwrap();
    keys.rotate_master(2_000).unwrap();
    assert_eq!(keys.reveal(&sealed), Err(Unreadable::Destroyed));
    drop(keys);

    fs::write(scratch.vault(), copy).unwrap();
    let error = scratch.refusal();
    assert!(matches!(error, KeysError::MasterMissing { master: 1, .. }), "{error}");
}

#[test]
fn who_never_had_a_key_gets_none_afterwards() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    keys.destroy(ANA).unwrap();
    keys.destroy(ANA).unwrap();
    for keys in [keys, scratch.open()] {
        assert!(matches!(keys.key_of(ANA), Err(KeysError::Destroyed)));
        assert_eq!(keys.existing_key_of(ANA), None);
    }
    assert_eq!(fs::metadata(scratch.vault()).unwrap().len(), 128);
}

#[test]
fn ids_are_never_used_again() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    keys.key_of(ANA).unwrap();
    keys.destroy(ANA).unwrap();
    assert_eq!(keys.key_of(BEA).unwrap().id().get(), 2);
    keys.destroy(BEA).unwrap();
    drop(keys);
    let keys = scratch.open();
    keys.rotate_master(2_000).unwrap();
    assert_eq!(keys.key_of(CAL).unwrap().id().get(), 3);
}
