use relampago_actors::cart::{Cart, Command as C};
use relampago_actors::order::Buyer;
use relampago_actors::{Id, cart};

use super::{after, assert_table, table};
use crate::support::drive::Driver;
use crate::support::samples::{id, tag, wanted};

fn expired(commands: impl IntoIterator<Item = cart::Command>) -> Driver<Cart> {
    let mut cart = after(commands);
    cart.expire(&crate::properties::shelf());
    cart
}

#[test]
fn cart_table() {
    let create = |key| C::Create { user: None, currency: None, tag: Some(tag(key, 0)) };
    let add = |sku, quantity, key, body| C::Add { wanted: wanted(sku, quantity), tag: Some(tag(key, body)) };
    let order = id("order", 0);
    let check_out = |key| C::Checkout { order, buyer: Buyer::default(), tag: tag(key, 0) };
    let item = Id(id("entity", 0).0 ^ 1);
    let no_item = Id(7);
    let set = |item, quantity, if_version| C::SetQuantity { item, quantity, if_version };
    let open = [create(1), add("shirt", 2, 2, 0)];
    let running = [create(1), add("shirt", 2, 2, 0), check_out(3)];
    let phases = [
        ("blank", after::<Cart>([])),
        ("empty", after([create(1)])),
        ("open", after(open.clone())),
        ("beyond stock", after([create(1), add("shirt", 9, 2, 0)])),
        ("checking out", after(running.clone())),
        ("refused", after(running.clone().into_iter().chain([C::CheckoutRefused { attempt: 1 }]))),
        ("checked out", after(running.into_iter().chain([C::CheckoutPlaced { order }]))),
        ("expired", expired(open.clone())),
        ("deleted", after(open.into_iter().chain([C::Delete { if_version: None }]))),
    ];
    let commands = [
        ("create", create(1)),
        ("create, other key", create(9)),
        ("add", add("shirt", 2, 2, 0)),
        ("add, other body", add("shirt", 2, 2, 1)),
        ("add, new key", add("shoe", 1, 4, 0)),
        ("add nothing known", add("hat", 1, 4, 0)),
        ("add too many", add("shirt", 998, 4, 0)),
        ("set quantity", set(item, 3, None)),
        ("set same quantity", set(item, 2, None)),
        ("set quantity, old version", set(item, 3, Some(9))),
        ("set quantity of nothing", set(no_item, 3, None)),
        ("remove", C::Remove { item, if_version: None }),
        ("remove nothing", C::Remove { item: no_item, if_version: None }),
        ("clear", C::Clear { if_version: None }),
        ("delete", C::Delete { if_version: None }),
        ("check out", check_out(3)),
        ("check out, other key", check_out(5)),
        ("placed", C::CheckoutPlaced { order }),
        ("placed, other order", C::CheckoutPlaced { order: id("order", 1) }),
        ("refused", C::CheckoutRefused { attempt: 1 }),
        ("refused, other try", C::CheckoutRefused { attempt: 2 }),
        ("get", C::Get),
        ("validate", C::Validate),
    ];
    assert_table(&table(&phases, &commands), include_str!("cart.txt"));
}
