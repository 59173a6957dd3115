//! Keys that sign tokens, and MACs under the master key.

use std::{sync::Arc, thread};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use relampago_keys::SigningSet;

use crate::support::Scratch;

fn kids(set: &SigningSet) -> Vec<&str> {
    set.verifying.iter().map(|key| key.kid.as_str()).collect()
}

#[test]
fn the_active_key_signs_what_its_public_half_verifies() {
    let keys = Scratch::new().open();
    let set = keys.signing();
    let pair = Ed25519KeyPair::from_pkcs8(set.active.pkcs8()).unwrap();
    let public = set.verifying.iter().find(|key| key.kid == set.active.kid()).unwrap().public;
    assert_eq!(pair.public_key().as_ref(), public);
    let signature = pair.sign(b"header.payload");
    UnparsedPublicKey::new(&ED25519, public).verify(b"header.payload", signature.as_ref()).unwrap();
}

#[test]
fn a_retired_key_verifies_until_it_is_dropped() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let first = keys.signing();
    assert_eq!((first.generation, kids(&first)), (1, vec![first.active.kid()]));

    let kid = keys.rotate_signing(2_000).unwrap();
    let second = keys.signing();
    assert_eq!((second.generation, second.active.kid()), (2, kid.as_str()));
    assert_eq!(kids(&second), [first.active.kid(), &kid]);
    assert_eq!(second.verifying[0], first.verifying[0]);

    assert_eq!(keys.drop_retired(2_000).unwrap(), 0);
    assert!(Arc::ptr_eq(&keys.signing(), &second));
    assert_eq!(keys.drop_retired(2_001).unwrap(), 1);
    assert_eq!((keys.signing().generation, kids(&keys.signing())), (3, vec![kid.as_str()]));
    assert_eq!(keys.drop_retired(u64::MAX).unwrap(), 0);

    drop(keys);
    assert_eq!(scratch.open().signing().active.kid(), kid);
}

#[test]
fn a_change_of_the_file_is_taken_over_when_told() {
    let scratch = Scratch::new();
    let (here, there) = (scratch.open(), scratch.open());
    let kid = there.rotate_signing(2_000).unwrap();
    assert_eq!(here.signing().generation, 1);
    here.reload().unwrap();
    assert_eq!((here.signing().generation, here.signing().active.kid()), (2, kid.as_str()));
    here.reload().unwrap();
    assert_eq!(here.signing().generation, 2, "nothing has changed");
}

#[test]
fn a_mac_is_good_for_its_message_context_and_master_alone() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    let mac = keys.token_mac("reset", b"ana");
    assert_eq!(keys.token_mac("reset", b"ana"), mac);
    assert!(keys.check_token_mac("reset", b"ana", &mac));
    assert!(!keys.check_token_mac("verify", b"ana", &mac));
    assert!(!keys.check_token_mac("reset", b"bea", &mac));
    for bit in 0..256 {
        let mut changed = mac;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(!keys.check_token_mac("reset", b"ana", &changed), "bit {bit}");
    }
    assert!(scratch.open().check_token_mac("reset", b"ana", &mac));
    assert!(!Scratch::new().open().check_token_mac("reset", b"ana", &mac));

    assert_eq!(keys.rotate_master(2_000).unwrap(), 2);
    assert!(keys.check_token_mac("reset", b"ana", &mac), "it does not hang on the master key");
    assert!(scratch.open().check_token_mac("reset", b"ana", &mac));
}

#[test]
fn tokens_are_made_while_keys_rotate() {
    let scratch = Scratch::new();
    let keys = scratch.open();
    thread::scope(|scope| {
        let signer = scope.spawn(|| {
            for _ in 0..10_000 {
                let set = keys.signing();
                assert!(kids(&set).contains(&set.active.kid()));
                let mac = keys.token_mac("reset", b"ana");
                assert!(keys.check_token_mac("reset", b"ana", &mac));
            }
        });
        for now in 0..5 {
            keys.rotate_signing(now).unwrap();
            keys.rotate_master(now).unwrap();
        }
        signer.join().unwrap();
    });
    assert_eq!((keys.signing().generation, keys.signing().verifying.len()), (6, 6));
}
