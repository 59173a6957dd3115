//! Three purchases, one paid and given back, one paid too late, one paid while its time ran out, and a crash between
//! any two steps of them.

use relampago_actors::order::{self, Buyer, Source};
use relampago_actors::payment::{self, Method};
use relampago_actors::{Address, Id, Message, Millis, cart, product};

use crate::support::samples::{POLICY, cents, details, id, tag, wanted};
use crate::world::falls::Scene::{Ask, Pass};
use crate::world::falls::{self, every_fall};
use crate::world::{Scene, World};

const SKUS: [&str; 2] = ["sku-0", "sku-1"];
/// Of one unit of each sku.
const TOTAL: i64 = 2_000;

fn ask(to: Address, message: Message, key: u128) -> falls::Scene {
    Ask(to, message, Some(key))
}

fn pay(order: Id, key: u128) -> falls::Scene {
    let process = payment::Command::Process {
        order,
        amount: cents(TOTAL),
        method: Method::CreditCard,
        token: None,
        manual: false,
        tag: tag(key, 0),
    };
    ask(Address::payment(Id(key)), Message::Payment(process), key)
}

/// Somebody buys at once, and pays so long after.
fn buy_and_pay(order: Id, key: u128, pause: Millis) -> [falls::Scene; 3] {
    let source = Source::Items(SKUS.map(|sku| wanted(sku, 1)).into());
    let place = order::Command::Place { source, buyer: Buyer::default(), tag: tag(key, 0) };
    [ask(Address::order(order), Message::Order(place), key), Pass(pause), pay(order, key + 1)]
}

fn script() -> Vec<falls::Scene> {
    let mut script = Vec::new();
    for (number, sku) in SKUS.into_iter().enumerate() {
        let key = 10 + number as u128;
        let create =
            product::Command::Create { details: details(sku, 1000), stock: 2, tag: Some(tag(key, 0)) };
        script.push(ask(Address::product(id("product", number)), Message::Product(create), key));
    }
    let (cart, bought) = (id("cart", 0), id("order", 0));
    let create = cart::Command::Create { user: None, currency: None, tag: Some(tag(20, 0)) };
    script.push(ask(Address::cart(cart), Message::Cart(create), 20));
    for (number, sku) in SKUS.into_iter().enumerate() {
        let key = 21 + number as u128;
        let add = cart::Command::Add { wanted: wanted(sku, 1), tag: Some(tag(key, 0)) };
        script.push(ask(Address::cart(cart), Message::Cart(add), key));
    }
    let checkout = cart::Command::Checkout { order: bought, buyer: Buyer::default(), tag: tag(30, 0) };
    script.push(ask(Address::cart(cart), Message::Cart(checkout), 30));
    script.push(pay(bought, 31));
    let cancel = order::Command::Cancel { tag: Some(tag(32, 0)) };
    script.push(Ask(Address::order(bought), Message::Order(cancel), None));
    script.extend(buy_and_pay(id("order", 1), 40, POLICY.reservation_ttl_ms + 1));
    // Its provider may decide only when the payment's time is over.
    script.extend(buy_and_pay(id("order", 2), 50, POLICY.reservation_ttl_ms - 1));
    script.push(Pass(POLICY.payment_deadline_ms + 1));
    script
}

#[test]
fn a_crash_between_any_two_steps_oversells_and_strands_nothing() {
    let begin = |seed| World::new(seed, Scene::Shop, false);
    let falls = every_fall(begin, |_| script(), |_| {});
    println!("{falls} crashes");
    assert!(falls > 100, "only {falls} crashes");
}
