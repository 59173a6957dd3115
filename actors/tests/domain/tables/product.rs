use relampago_actors::product::{Command as C, Patch, Product};

use super::{after, assert_table, table};
use crate::support::samples::{cents, details, tag};

#[test]
fn product_table() {
    let create =
        |key, body| C::Create { details: details("shirt", 1000), stock: 5, tag: Some(tag(key, body)) };
    let claimed = |sku: &str, granted| C::Claimed { sku: sku.into(), granted };
    let change = |patch: Patch| C::Change(patch);
    let stock = change(Patch { stock: Some(3), ..Patch::default() });
    let live = [create(1, 0), claimed("shirt", true)];
    let phases = [
        ("blank", after::<Product>([])),
        ("claiming", after([create(1, 0)])),
        ("refused", after([create(1, 0), claimed("shirt", false)])),
        ("active", after(live.clone())),
        ("setting stock", after(live.clone().into_iter().chain([stock.clone()]))),
        ("archived", after(live.into_iter().chain([C::Archive { if_version: None }]))),
    ];
    let commands = [
        ("create", create(1, 0)),
        ("create, other body", create(1, 1)),
        ("create, other key", create(2, 0)),
        ("granted", claimed("shirt", true)),
        ("refused", claimed("shirt", false)),
        ("refused, other sku", claimed("shoe", false)),
        ("same price", change(Patch { price: Some(cents(1000)), ..Patch::default() })),
        ("new price", change(Patch { price: Some(cents(900)), ..Patch::default() })),
        ("fine price", change(Patch { price: "1.001".parse().ok(), ..Patch::default() })),
        ("new stock", stock),
        ("other sku", change(Patch { sku: Some("shoe".into()), ..Patch::default() })),
        ("other currency", change(Patch { currency: "EUR".parse().ok(), ..Patch::default() })),
        ("change, old version", change(Patch { if_version: Some(9), ..Patch::default() })),
        ("stock set", C::StockSet { change: 1 }),
        ("stock set, other", C::StockSet { change: 9 }),
        ("archive", C::Archive { if_version: None }),
        ("archive, old version", C::Archive { if_version: Some(9) }),
        ("get", C::Get),
    ];
    assert_table(&table(&phases, &commands), include_str!("product.txt"));
}
