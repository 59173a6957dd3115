use relampago_actors::inventory::{Command as C, Hold, Inventory};

use super::{after, assert_table, table};
use crate::support::samples::{id, tag};

fn hold() -> Hold {
    Hold { order: id("order", 0), attempt: 1 }
}

const UNTIL: u64 = 1_060_000;

#[test]
fn inventory_table() {
    let claim = |number| C::Claim { product: id("product", number), sku: "shirt".into(), initial: 5 };
    let keyed = |delta, key, body| C::Adjust { delta, reason: "count".into(), tag: Some(tag(key, body)) };
    let adjust = |delta, body| keyed(delta, 1, body);
    let reserve = |quantity, valid_until| C::Reserve { hold: hold(), quantity, line: 0, valid_until };
    let release = C::Release { hold: hold(), line: 0, valid_until: UNTIL };
    let confirm = C::Confirm { hold: hold(), line: 0 };
    let restock = C::Restock { hold: hold(), quantity: 2, line: 0 };
    let held = [claim(0), reserve(2, UNTIL)];
    let sold = [claim(0), reserve(2, UNTIL), confirm.clone()];
    let phases = [
        ("blank", after::<Inventory>([])),
        ("claimed", after([claim(0)])),
        ("adjusted", after([claim(0), adjust(1, 0)])),
        ("held", after(held.clone())),
        ("released", after(held.into_iter().chain([release.clone()]))),
        ("tombstone", after([claim(0), release.clone()])),
        ("sold", after(sold.clone())),
        ("restocked", after(sold.into_iter().chain([restock.clone()]))),
    ];
    let set = |change| C::SetAvailable { product: id("product", 0), change, quantity: 9 };
    let foreign = C::SetAvailable { product: id("product", 1), change: 9, quantity: 9 };
    let commands = [
        ("claim", claim(0)),
        ("claim by another", claim(1)),
        ("set available", set(2)),
        ("set available, old", set(0)),
        ("set available by another", foreign),
        ("adjust", adjust(1, 0)),
        ("adjust, other body", adjust(1, 1)),
        ("adjust below zero", keyed(-9, 2, 0)),
        ("adjust beyond", keyed(i64::MAX, 3, 0)),
        ("reserve", reserve(2, UNTIL)),
        ("reserve too many", reserve(9, UNTIL)),
        ("reserve too late", reserve(2, 999_999)),
        ("release", release),
        ("confirm", confirm),
        ("restock", restock),
        ("forget", C::Forget { hold: hold() }),
        ("get", C::Get),
    ];
    assert_table(&table(&phases, &commands), include_str!("inventory.txt"));
}
