//! What a crash leaves is repaired; what was durable once and is wrong now is refused.

use std::fs;

use relampago_keys::{KeysError, Unreadable};

use crate::support::{ANA, BEA, CAL, SLOT, Scratch, aside};

/// A vault with the keys of Ana, Bea and Cal.
fn three_keys() -> Scratch {
    let scratch = Scratch::new();
    let keys = scratch.open();
    for owner in [ANA, BEA, CAL] {
        keys.key_of(owner).unwrap();
    }
    scratch
}

fn assert_damaged(scratch: &Scratch, expected_slot: u32) {
    let error = scratch.refusal();
    let text = error.to_string();
    assert!(matches!(error, KeysError::Damaged { slot, .. } if slot == expected_slot), "{text}");
    for part in [scratch.vault().to_str().unwrap(), &format!("slot {expected_slot}"), "restore"] {
        assert!(text.contains(part), "{text:?} lacks {part:?}");
    }
}

#[test]
fn a_torn_last_slot_is_taken_away() {
    for length in 0..SLOT - 4 {
        // With the file as long as what was written, and as long as it was to be.
        for padding in [0, SLOT - length] {
            let scratch = three_keys();
            scratch.edit_vault(|bytes| {
                bytes.truncate(2 * SLOT + length);
                bytes.resize(2 * SLOT + length + padding, 0);
            });
            let keys = scratch.open();
            assert_eq!(keys.existing_key_of(CAL), None, "{length}");
            assert_eq!(fs::metadata(scratch.vault()).unwrap().len(), 2 * SLOT as u64, "{length}");
            assert_eq!(keys.key_of(CAL).unwrap().id().get(), 3, "{length}");
            assert_eq!(scratch.open().key_of(BEA).unwrap().id().get(), 2, "{length}");
        }
    }
}

#[test]
fn damage_is_refused_with_its_slot_and_changes_nothing() {
    for at in 0..3 * SLOT {
        let scratch = three_keys();
        scratch.edit_vault(|bytes| bytes[at] ^= 0x10);
        let before = fs::read(scratch.vault()).unwrap();
        assert_damaged(&scratch, (at / SLOT) as u32);
        assert_eq!(fs::read(scratch.vault()).unwrap(), before);
    }
}

#[test]
fn a_slot_of_zeros_is_torn_only_at_the_end() {
    let scratch = three_keys();
    scratch.edit_vault(|bytes| bytes[SLOT..2 * SLOT].fill(0));
    assert_damaged(&scratch, 1);
}

#[test]
fn slots_that_changed_places_are_refused() {
    let scratch = three_keys();
    scratch.edit_vault(|bytes| bytes.copy_within(SLOT..2 * SLOT, 0));
    assert_damaged(&scratch, 0);
}

#[test]
fn a_file_aside_is_not_touched_while_the_vault_is_missing() {
    let scratch = three_keys();
    fs::rename(scratch.vault(), aside(&scratch.vault())).unwrap();
    let error = scratch.refusal();
    assert!(matches!(error, KeysError::AsideAlone { .. }), "{error}");
    fs::rename(aside(&scratch.vault()), scratch.vault()).unwrap();
    assert_eq!(scratch.open().key_of(CAL).unwrap().id().get(), 3);
}

/// Changes a slot and makes its checksum right again, as somebody would who wants another's key.
fn forge(scratch: &Scratch, slot: usize, change: impl FnOnce(&mut [u8])) {
    scratch.edit_vault(|bytes| {
        let bytes = &mut bytes[slot * SLOT..][..SLOT];
        change(bytes);
        let checksum = crc32fast::hash(&bytes[..120]);
        bytes[120..124].copy_from_slice(&checksum.to_le_bytes());
    });
}

#[test]
fn a_wrapped_key_is_bound_to_its_owner_its_slot_and_its_master() {
    let scratch = three_keys();
    let of_bea = fs::read(scratch.vault()).unwrap()[SLOT + 32..SLOT + 92].to_vec();
    forge(&scratch, 0, |slot| slot[32..92].copy_from_slice(&of_bea));
    let other_key = scratch.refusal();

    let scratch = three_keys();
    forge(&scratch, 0, |slot| slot[8] ^= 0x80);
    let other_owner = scratch.refusal();
    for error in [other_key, other_owner] {
        assert!(matches!(error, KeysError::MasterDiffers { master: 1, slot: 0, .. }), "{error}");
    }

    let scratch = three_keys();
    forge(&scratch, 0, |slot| slot[24] = 2);
    let error = scratch.refusal();
    assert!(matches!(error, KeysError::MasterMissing { master: 2, .. }), "{error}");
}

#[test]
fn a_key_that_does_not_unwrap_is_no_erased_one() {
    let scratch = three_keys();
    let keys = scratch.open();
    let sealed = keys.seal(keys.existing_key_of(CAL).unwrap(), "Cal").unwrap();
    drop(keys);
    // Only the first slot of a master is tried at the start.
    forge(&scratch, 2, |slot| slot[8] ^= 1);
    assert_eq!(scratch.open().reveal(&sealed), Err(Unreadable::VaultFailed));
}
