//! Random lives of a vault against what it has to remember.

use std::collections::BTreeMap;

use proptest::prelude::*;
use relampago_actors::{Id, personal::Personal};
use relampago_keys::{KeysError, Unreadable};

use crate::support::Scratch;

#[derive(Clone, Debug)]
enum Step {
    Seal(u8),
    Destroy(u8),
    Rotate,
    Reopen,
    /// A crash while the next slot was being written: so many bytes of it.
    Torn(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..12u8).prop_map(Step::Seal),
        2 => (0..12u8).prop_map(Step::Destroy),
        1 => Just(Step::Rotate),
        1 => Just(Step::Reopen),
        1 => (0..124u8).prop_map(Step::Torn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_vault_keeps_what_it_acknowledged(steps in prop::collection::vec(step(), 1..40)) {
        let scratch = Scratch::new();
        let mut keys = scratch.open();
        // By owner: what was sealed, or `None` once the key was destroyed.
        let mut model: BTreeMap<u8, Option<Vec<(Personal, String)>>> = BTreeMap::new();
        let mut erased: Vec<Personal> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Seal(owner) => match (keys.key_of(Id(owner.into())), model.get_mut(&owner)) {
                    (Err(KeysError::Destroyed), Some(None)) => {}
                    (Ok(key), None | Some(Some(_))) => {
                        let text = format!("{owner} at {number}");
                        let sealed = keys.seal(key, &text).unwrap();
                        let known = model.entry(owner).or_insert_with(|| Some(Vec::new()));
                        known.as_mut().unwrap().push((sealed, text));
                    }
                    (key, known) => prop_assert!(false, "{key:?} for {known:?}"),
                },
                Step::Destroy(owner) => {
                    keys.destroy(Id(owner.into())).unwrap();
                    let sealed = model.insert(owner, None).flatten().unwrap_or_default();
                    erased.extend(sealed.into_iter().map(|(personal, _)| personal));
                }
                Step::Rotate => drop(keys.rotate_master(number as u64).unwrap()),
                Step::Reopen => keys = scratch.open(),
                Step::Torn(length) => {
                    let whole = Scratch::new();
                    whole.open().key_of(Id(99)).unwrap();
                    let slot = std::fs::read(whole.vault()).unwrap();
                    scratch.edit_vault(|bytes| bytes.extend_from_slice(&slot[..length.into()]));
                    keys = scratch.open();
                }
            }
            for (personal, text) in model.values().flatten().flatten() {
                prop_assert_eq!(&*keys.reveal(personal).unwrap(), text);
            }
            for personal in &erased {
                prop_assert_eq!(keys.reveal(personal), Err(Unreadable::Destroyed));
            }
        }
    }
}
