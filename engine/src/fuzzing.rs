//! What fuzzing gets hold of: the readers of stored records, each with what holds for any bytes. It is compiled for
//! tests and under the feature `fuzzing` alone.
#![expect(clippy::expect_used, reason = "what does not hold ends a fuzzing run")]

use std::fmt::Debug;

use relampago_actors::{api_keys, audit, cart, email, inventory, order, payment, product, user};
use relampago_snapshots::codec::{self, CodecError, RecordType};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::hosting::{Hostable, Index, decode};
use crate::record;

/// Stored events and states. The input is a whole record of the journal; and behind its first byte, which says of
/// which kind, it is the payload of an event, of a state, and of an index entry.
pub fn codec(input: &[u8]) {
    let _taken_apart = record::parse(input);
    let [kind, payload @ ..] = input else { return };
    match kind % 9 {
        0 => both::<product::Product>(payload),
        1 => both::<inventory::Inventory>(payload),
        2 => both::<cart::Cart>(payload),
        3 => both::<order::Order>(payload),
        4 => both::<payment::Payment>(payload),
        5 => both::<user::User>(payload),
        6 => both::<email::Email>(payload),
        7 => both::<api_keys::ApiKeys>(payload),
        _ => both::<audit::Audit>(payload),
    }
    if let Some(index) = read::<Index>(Index::RECORD, payload) {
        assert_eq!(Some(&index), read(Index::RECORD, &written(Index::RECORD, &index)).as_ref());
    }
}

fn both<E: Hostable>(payload: &[u8]) {
    let _refused = E::event(payload);
    if let Some(event) = read::<E::Event>(E::EVENT, payload) {
        assert_eq!(Some(&event), read(E::EVENT, &written(E::EVENT, &event)).as_ref());
    }
    // States cannot be compared, but what they show of themselves can, in whatever order.
    if let Some(state) = read::<E>(E::STATE, payload) {
        let again = read::<E>(E::STATE, &written(E::STATE, &state)).expect("what was written is read");
        assert_eq!(shown(&state), shown(&again), "{state:?} {again:?}");
    }
}

fn shown(state: &impl Debug) -> Vec<u8> {
    let mut shown = format!("{state:?}").into_bytes();
    shown.sort_unstable();
    shown
}

/// The value in a record of this type with this payload.
fn read<T: DeserializeOwned + Debug>(kind: RecordType, payload: &[u8]) -> Option<T> {
    let mut record = vec![codec::FORMAT];
    record.extend_from_slice(&kind.id.to_le_bytes());
    record.extend_from_slice(&kind.version.to_le_bytes());
    record.extend_from_slice(payload);
    match decode(kind, &record) {
        Ok(value) => Some(value),
        Err(CodecError::Decode(_) | CodecError::Trailing(_)) => None,
        Err(error) => panic!("another fault than the payload's: {error}"),
    }
}

/// The payload of a value.
fn written<T: Serialize>(kind: RecordType, value: &T) -> Vec<u8> {
    let mut record = Vec::new();
    codec::encode(kind, value, &mut record).expect("what was read can be written");
    record.split_off(codec::HEADER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fuzzing_asserts_holds_for_its_seeds() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/seeds/codec");
        let mut fed = 0;
        for entry in std::fs::read_dir(seeds).expect("the seeds") {
            codec(&std::fs::read(entry.expect("a seed").path()).expect("a seed"));
            fed += 1;
        }
        assert!(fed > 9, "{fed}");
    }
}
