//! The vault's file. The input is the whole file; and it is what is changed in a good one, with and without a checksum
//! that fits. Nothing that is sealed is ever read as something else, and a vault that opens goes on working.
#![no_main]

mod shop;

use std::fs;
use std::sync::LazyLock;

use relampago_actors::Id;
use relampago_actors::personal::Personal;
use relampago_keys::{Keys, KeysError};

const SLOT: usize = 128;
const CHECKSUM: usize = 120;
const NAMES: [&str; 3] = ["Ana", "Juan", "Eve"];
const NEW_OWNER: Id = Id(u128::MAX - 1);

/// A good vault, and a name sealed under each of its keys; the key of the last is destroyed.
static GOOD: LazyLock<(Vec<u8>, Vec<Personal>)> = LazyLock::new(|| {
    let shop = shop::Shop::new(shop::RING.as_bytes());
    let keys = shop.open().unwrap();
    let owners = (1..).map(Id).zip(NAMES);
    let sealed = owners.map(|(owner, name)| keys.seal(keys.key_of(owner).unwrap(), name).unwrap()).collect();
    keys.destroy(Id(3)).unwrap();
    (fs::read(shop.path("vault")).unwrap(), sealed)
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    open(input.to_vec());
    let Some((how, changes)) = input.split_first() else { return };
    let mut bytes = GOOD.0.clone();
    for [at, to] in changes.as_chunks().0 {
        let length = bytes.len();
        match at {
            // Past the end: the file becomes shorter, or longer by a copy of one of its slots.
            255 => bytes.truncate(length.saturating_sub(usize::from(*to))),
            254 => bytes.extend_from_within(..length.min(SLOT)),
            at => {
                // The interesting bytes of a slot are its first 64 and its last 8.
                let (slot, within) = (usize::from(at / 72), usize::from(at % 72));
                let within = if within < 64 { within } else { within + 56 };
                if let Some(byte) = bytes.get_mut(slot * SLOT + within) {
                    *byte = *to;
                }
            }
        }
    }
    if how % 2 == 1 {
        for slot in bytes.chunks_exact_mut(SLOT) {
            let checksum = crc32fast::hash(&slot[..CHECKSUM]).to_le_bytes();
            slot[CHECKSUM..CHECKSUM + 4].copy_from_slice(&checksum);
        }
    }
    open(bytes);
});

fn open(vault: Vec<u8>) {
    let shop = shop::Shop::new(shop::RING.as_bytes());
    fs::write(shop.path("vault"), &vault).unwrap();
    let keys = match shop.open() {
        Ok(keys) => keys,
        Err(
            KeysError::Damaged { .. } | KeysError::MasterMissing { .. } | KeysError::MasterDiffers { .. },
        ) => {
            // It is left alone, but for a last slot that was cut off.
            let left = fs::read(shop.path("vault")).unwrap();
            assert!(vault.starts_with(&left) && vault.len() - left.len() <= SLOT);
            return;
        }
        Err(error) => panic!("another fault than the vault's content: {error}"),
    };
    read(&keys);
    let sealed = keys.key_of(NEW_OWNER).and_then(|key| keys.seal(key, "Zoe"));
    // Somebody with this very id may be there, with a key that is destroyed or damaged.
    let Ok(sealed) = sealed else { return };
    let _known = keys.destroy(Id(1));
    drop(keys);

    let keys = match shop.open() {
        Ok(keys) => keys,
        // A key that somebody forged is looked at when the one before it is gone.
        Err(KeysError::MasterDiffers { .. }) => return,
        Err(error) => panic!("a vault that opened does not open again: {error}"),
    };
    read(&keys);
    assert_eq!(*keys.reveal(&sealed).unwrap(), "Zoe");
    assert_eq!(keys.existing_key_of(Id(1)), None);
}

fn read(keys: &Keys) {
    for (sealed, name) in GOOD.1.iter().zip(NAMES) {
        if let Ok(read) = keys.reveal(sealed) {
            assert_eq!(*read, name);
        }
    }
}
