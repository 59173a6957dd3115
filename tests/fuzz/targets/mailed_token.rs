//! Mailed tokens. The input is one that nobody here signed; and it is what one says that somebody here did.
#![no_main]

mod shop;

use std::sync::LazyLock;

use relampago_actors::Id;
use relampago_keys::{Keys, MailedToken};

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let shop = shop::Shop::new(shop::RING.as_bytes());
    shop.open().unwrap()
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    assert_eq!(KEYS.read_mailed(&String::from_utf8_lossy(input)), None);
    let Some((bytes, rest)) = input.split_first_chunk::<33>() else { return };
    let number = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let token = MailedToken {
        purpose: bytes[0],
        user: Id(u128::from_be_bytes(bytes[1..17].try_into().unwrap())),
        epoch: number(17),
        claim: number(21),
        expires_at: u64::from_be_bytes(bytes[25..].try_into().unwrap()),
    };
    let text = KEYS.sign_mailed(&token);
    assert_eq!(KEYS.read_mailed(&text), Some(token));
    // The rest of the input says what is changed in it: which character, and what it becomes.
    let mut changed = text.clone().into_bytes();
    for [at, byte] in rest.as_chunks().0 {
        let at = usize::from(*at) % changed.len();
        changed[at] = *byte;
    }
    let changed = String::from_utf8_lossy(&changed);
    assert_eq!(KEYS.read_mailed(&changed).is_some(), changed == text);
});
