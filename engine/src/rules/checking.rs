//! Orders are checked against inventories: whatever goes on, nothing is reported while all is well, and each kind of
//! fault is.

use std::collections::HashMap;

use metrics_exporter_prometheus::PrometheusBuilder;
use relampago_actors::inventory::Hold;
use relampago_actors::{Address, Entity, Id, Kind, Message, Stamp, inventory, order};
use relampago_snapshots::Journal;

use super::asking::{ask, cancel, pay, place, product, status, units, until};
use super::let_misread;
use crate::Engine;
use crate::crosscheck::{Faults, Ledger};
use crate::hosting::Hostable;
use crate::record;
use crate::region::{Envelope, Input};
use crate::start::twin::{Twin, journal_of};

const SOUND: Faults = Faults { oversold: 0, stranded: 0, difference: 0 };

/// Waits until the cross-check has read all there is, and looked twice at every sku.
async fn faults(engine: &Engine) -> Faults {
    let node = &engine.node;
    until("everything is checked", || node.crosscheck.position() == node.committer.durable()).await;
    let looks = node.crosscheck.looks();
    until("every sku is looked at twice", || node.crosscheck.looks() > looks + 2).await;
    let faults = node.crosscheck.faults();
    assert_eq!(published(engine), faults, "operators see something else");
    faults
}

/// What operators are shown of it.
fn published(engine: &Engine) -> Faults {
    let recorder = PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || engine.node.figures.publish(&engine.node));
    let page = recorder.handle().render();
    let units = |name: &str| {
        let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{name} is not among the figures:\n{page}"))
    };
    Faults {
        oversold: units("relampago_oversold_units"),
        stranded: units("relampago_stranded_units"),
        difference: units("relampago_conservation_difference_units"),
    }
}

/// Sends a message that nobody should have sent.
fn forge(engine: &Engine, to: Address, message: Message) {
    engine.node.region.deliver(Envelope::own(to, Input::Message(message)), &engine.node);
}

/// One more unit than was asked for.
fn one_more(message: &Message) -> Option<Message> {
    let Message::Inventory(inventory::Command::Reserve { hold, quantity, line, valid_until }) = message
    else {
        return None;
    };
    let (hold, quantity, line, valid_until) = (*hold, quantity + 1, *line, *valid_until);
    Some(Message::Inventory(inventory::Command::Reserve { hold, quantity, line, valid_until }))
}

/// Whatever is to be released stays.
fn keep(message: &Message) -> Option<Message> {
    matches!(message, Message::Inventory(inventory::Command::Release { .. }))
        .then_some(Message::Inventory(inventory::Command::Get))
}

/// Some of everything that can happen to stock: sold out, cancelled, paid, refunded, adjusted.
async fn a_day(engine: &Engine, skus: [&str; 2], first: u128) {
    for (id, sku) in (first..).zip(skus) {
        ask(engine, product(id, sku, 10)).await.unwrap();
    }
    for id in first + 10..first + 20 {
        let skus = if id % 2 == 0 { &skus[..] } else { &skus[..1] };
        ask(engine, place(id, skus)).await.unwrap();
    }
    // The first is sold out; the second has some.
    ask(engine, place(first + 20, &skus)).await.unwrap_err();
    ask(engine, cancel(first + 10)).await.unwrap();
    ask(engine, pay(first + 30, first + 12, 2000)).await.unwrap();
    ask(engine, pay(first + 31, first + 13, 1000)).await.unwrap();
    // Paid: the money goes back first, then the units.
    ask(engine, cancel(first + 12)).await.unwrap();
    ask(engine, super::asking::adjust(skus[0], 5)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_reported_while_all_is_well() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    a_day(&engine, ["CALM-A", "CALM-B"], 1_000).await;
    assert_eq!(faults(&engine).await, SOUND);
    // Seven placed orders wait to be paid; what is settled is not watched any more.
    assert_eq!(engine.node.crosscheck.claims(), 7);
    drop(engine);

    // The next life knows the open orders by what is held for them, and goes on.
    let engine = twin.crash().start().await;
    assert_eq!((faults(&engine).await, engine.node.crosscheck.claims()), (SOUND, 7));
    for id in 1_014..1_020 {
        ask(&engine, cancel(id)).await.unwrap();
    }
    ask(&engine, pay(1_032, 1_011, 1000)).await.unwrap();
    ask(&engine, cancel(1_011)).await.unwrap();
    // Paid in the life before.
    ask(&engine, cancel(1_013)).await.unwrap();
    assert_eq!((faults(&engine).await, engine.node.crosscheck.claims()), (SOUND, 0));
    assert_eq!(units(&engine, "CALM-A").await, (15, 0, 0));
}

/// Work that is under way is no fault, wherever in it one looks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_reported_at_any_position() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    a_day(&engine, ["STEP-A", "STEP-B"], 2_000).await;
    engine.drain().await.unwrap();
    let (mut ledger, mut orders) = (Ledger::default(), HashMap::new());
    for (sequence, bytes) in (1..).zip(twin.events()) {
        let parts = record::parse(&bytes).unwrap();
        match parts.at.kind {
            Kind::Inventory => {
                let event = inventory::Inventory::event(parts.event).unwrap();
                ledger.inventory(parts.at.id, &event, sequence);
            }
            Kind::Order => {
                let event = order::Order::event(parts.event).unwrap();
                let order = orders.entry(parts.at.id).or_insert_with(|| order::Order::blank(parts.at.id));
                order.apply(event.clone(), Stamp { sequence, at: parts.time });
                ledger.order(parts.at.id, &event, sequence, || Some(order.clone()));
            }
            _ => {}
        }
        assert_eq!(ledger.faults(), SOUND, "at {sequence}: {:?}", parts.at);
    }
}

/// As [`nothing_is_reported_at_any_position`], for a start at each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_reported_after_a_start_at_any_position() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    let sku = "START-A";
    ask(&engine, product(3_001, sku, 1)).await.unwrap();
    ask(&engine, place(3_010, &[sku])).await.unwrap();
    ask(&engine, place(3_011, &[sku])).await.unwrap_err();
    ask(&engine, pay(3_020, 3_010, 1000)).await.unwrap();
    ask(&engine, cancel(3_010)).await.unwrap();
    engine.drain().await.unwrap();
    let events = twin.events();
    for end in 0..=events.len() {
        let twin = Twin::on(journal_of(&events[..end]), relampago_snapshots::MemoryStore::new(), &[]);
        let engine = twin.start().await;
        assert_eq!(faults(&engine).await, SOUND, "after {end} events");
        engine.drain().await.unwrap();
        assert!(twin.journal.last() >= end as u64);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_inventory_that_reserves_one_too_many_is_seen() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    let sku = "GREEDY";
    let_misread(Address::inventory(sku), one_more);
    ask(&engine, product(4_001, sku, 10)).await.unwrap();
    ask(&engine, place(4_010, &[sku])).await.unwrap();
    assert_eq!(faults(&engine).await, Faults { oversold: 0, stranded: 1, difference: 1 });
    // Given back, all is as it should be.
    ask(&engine, cancel(4_010)).await.unwrap();
    assert_eq!(faults(&engine).await, SOUND);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_forgets_to_release_is_seen_and_after_a_start_too() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    let sku = "FORGOTTEN";
    ask(&engine, product(5_001, sku, 10)).await.unwrap();
    ask(&engine, place(5_010, &[sku])).await.unwrap();
    let_misread(Address::inventory(sku), keep);
    forge(&engine, Address::order(Id(5_010)), cancel(5_010).1);
    until_cancelled(&engine, 5_010).await;
    // While it is on its way nobody can know.
    assert_eq!(faults(&engine).await, SOUND);
    let settled = order::Command::StockSettled { attempt: 1, line: 0, what: order::Move::Release };
    forge(&engine, Address::order(Id(5_010)), Message::Order(settled));
    assert_eq!(status(&engine, 5_010).await, Some(order::Status::Cancelled));
    let stranded = Faults { oversold: 0, stranded: 1, difference: 1 };
    assert_eq!(faults(&engine).await, stranded);
    drop(engine);
    let engine = twin.crash().start().await;
    assert_eq!(faults(&engine).await, stranded);
}

async fn until_cancelled(engine: &Engine, id: u128) {
    while status(engine, id).await != Some(order::Status::Cancelled) {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_taken_from_under_an_order_are_seen() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    let sku = "TAKEN";
    ask(&engine, product(6_001, sku, 1)).await.unwrap();
    ask(&engine, place(6_010, &[sku])).await.unwrap();
    let hold = Hold { order: Id(6_010), attempt: 1 };
    let release = inventory::Command::Release { hold, line: 0, valid_until: engine.now() };
    forge(&engine, Address::inventory(sku), Message::Inventory(release));
    assert_eq!(units(&engine, sku).await, (1, 0, 0));
    // One unit, and two who count on it.
    ask(&engine, place(6_011, &[sku])).await.unwrap();
    assert_eq!(faults(&engine).await, Faults { oversold: 1, stranded: 0, difference: 1 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shelf_that_shows_what_is_not_in_the_books_is_seen() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    let sku = "SHOWN";
    ask(&engine, product(7_001, sku, 10)).await.unwrap();
    ask(&engine, place(7_010, &[sku])).await.unwrap();
    assert_eq!(faults(&engine).await, SOUND);
    let (at, catalogue) = (Address::inventory(sku), &engine.node.catalogue);
    let (units, sequence) = catalogue.sells(at.id).unwrap();
    catalogue.stock(at, &mut None).record(units + 3, sequence);
    assert_eq!(faults(&engine).await, Faults { oversold: 0, stranded: 0, difference: 3 });
}

/// Units reserved in the name of an order that never asked for them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_held_for_nobody_are_seen() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    let sku = "NOBODY";
    ask(&engine, product(8_001, sku, 10)).await.unwrap();
    let hold = Hold { order: Id(8_010), attempt: 1 };
    let reserve = inventory::Command::Reserve { hold, quantity: 4, line: 0, valid_until: u64::MAX };
    forge(&engine, Address::inventory(sku), Message::Inventory(reserve));
    assert_eq!(units(&engine, sku).await, (6, 4, 0));
    assert_eq!(faults(&engine).await, Faults { oversold: 0, stranded: 4, difference: 4 });
    let release = inventory::Command::Release { hold, line: 0, valid_until: engine.now() };
    forge(&engine, Address::inventory(sku), Message::Inventory(release));
    assert_eq!(units(&engine, sku).await, (10, 0, 0));
    assert_eq!(faults(&engine).await, SOUND);
}
