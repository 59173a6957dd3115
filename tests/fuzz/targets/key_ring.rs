//! The key ring's file. A ring that opens can be used, and changed, and opens again.
#![no_main]

mod shop;

use relampago_actors::Id;
use relampago_keys::KeysError;

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let shop = shop::Shop::new(input);
    let keys = match shop.open() {
        Ok(keys) => keys,
        Err(KeysError::RingMalformed { .. }) => return,
        Err(error) => panic!("another fault than the ring's form: {error}"),
    };
    let key = keys.key_of(Id(1)).unwrap();
    let sealed = keys.seal(key, "Ana").unwrap();
    let kid = keys.signing().active.kid().to_owned();
    let mac = keys.token_mac("fuzzing", input);
    drop(keys);

    let keys = shop.open().unwrap();
    assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
    assert_eq!(keys.signing().active.kid(), kid);
    assert!(keys.check_token_mac("fuzzing", input, &mac));
    if let Err(error) = keys.rotate_master(3) {
        panic!("the master key cannot be replaced: {error}");
    }
    let kid = keys.rotate_signing(3).unwrap();
    drop(keys);

    let keys = shop.open().unwrap();
    assert_eq!(*keys.reveal(&sealed).unwrap(), "Ana");
    assert_eq!(keys.signing().active.kid(), kid);
    assert!(keys.check_token_mac("fuzzing", input, &mac));
});
