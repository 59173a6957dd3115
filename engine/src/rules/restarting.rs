//! A start finds the end of the journal wherever the last life ended, and goes on from there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use relampago_actors::payment::Payment;
use relampago_actors::{Address, Id, Kind, Reply, cart, order, payment};
use relampago_snapshots::{Journal, MemoryStore, SnapshotStore};
use tokio::time::timeout;

use super::asking::{
    ask, cancel, cart as of_cart, check_out, fill_cart, held_back, order, pay, place, product, status, units,
    until, until_units,
};
use crate::hosting::Hostable;
use crate::record;
use crate::shell::ShellMessage;
use crate::snapshotter;
use crate::start::twin::{Twin, journal_of};
use crate::{AskError, Engine, OrderQuery};

const SOON: Duration = Duration::from_secs(10);
const CART: u128 = 7;
const ORDER: u128 = 500;
const PAYMENT: u128 = 200;

/// How far a purchase had come when the process died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reached {
    Cart,
    CheckingOut,
    Paying,
    Cancelling,
}

/// What a client asked for last, by these events.
fn reached(events: &[Vec<u8>]) -> Reached {
    let begins = |event: &Vec<u8>| {
        let parts = record::parse(event).unwrap();
        match parts.at.kind {
            Kind::Cart => match cart::Cart::event(parts.event).unwrap() {
                cart::Event::CheckoutStarted(_) => Some(Reached::CheckingOut),
                _ => None,
            },
            Kind::Payment => match Payment::event(parts.event).unwrap() {
                payment::Event::Requested(_) => Some(Reached::Paying),
                _ => None,
            },
            Kind::Order => match order::Order::event(parts.event).unwrap() {
                order::Event::CancelRequested { .. } => Some(Reached::Cancelling),
                _ => None,
            },
            _ => None,
        }
    };
    events.iter().filter_map(begins).max().unwrap_or(Reached::Cart)
}

/// Cart, checkout of two lines, payment, cancellation with refund: every event of it.
async fn a_whole_purchase() -> (usize, Vec<Vec<u8>>) {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    for (id, sku) in [(1, "A"), (2, "B")] {
        ask(&engine, product(id, sku, 5)).await.unwrap();
    }
    fill_cart(&engine, CART, &["A", "B"]).await;
    let begun = twin.events().len();
    ask(&engine, check_out(CART, ORDER)).await.unwrap();
    ask(&engine, of_cart(CART, cart::Command::Get)).await.unwrap();
    ask(&engine, pay(PAYMENT, ORDER, 2000)).await.unwrap();
    ask(&engine, cancel(ORDER)).await.unwrap();
    engine.drain().await.unwrap();
    (begun, twin.events())
}

async fn assert_finished(engine: &Engine, reached: Reached) {
    let (wanted, expected) = match reached {
        Reached::Cart => ((5, 0, 0), None),
        Reached::CheckingOut => ((4, 1, 0), Some(order::Status::Created)),
        Reached::Paying => ((4, 0, 1), Some(order::Status::Paid)),
        Reached::Cancelling => ((5, 0, 0), Some(order::Status::Cancelled)),
    };
    for sku in ["A", "B"] {
        until_units(engine, sku, wanted).await;
    }
    // The last answers may still be on their way back from the stock.
    let mut now = status(engine, ORDER).await;
    for _ in 0..10_000 {
        if now == expected {
            break;
        }
        now = status(engine, ORDER).await;
    }
    assert_eq!(now, expected);
    let shown = ask(engine, of_cart(CART, cart::Command::Get)).await.unwrap().reply;
    let Reply::Cart(shown) = shown else { panic!("{shown:?}") };
    let bought = if expected.is_some() { cart::Status::CheckedOut } else { cart::Status::Open };
    assert_eq!(shown.status, bought);
}

/// A crash can leave any prefix of the journal. Whatever was begun in it is finished without anybody asking, and
/// no unit is stranded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_prefix_of_the_journal_goes_on() {
    let (begun, events) = a_whole_purchase().await;
    assert!(events.len() > begun + 25, "{} events", events.len());
    for length in begun..=events.len() {
        let twin = Twin::on(journal_of(&events[..length]), MemoryStore::new(), &[]);
        let engine = twin.start().await;
        let reached = reached(&events[..length]);
        println!("{length} of {} events: {reached:?}", events.len());
        assert_finished(&engine, reached).await;
    }
}

/// Puts the states of these entities into the store.
async fn store(engine: &Engine, entities: &[Address]) {
    let node = &engine.node;
    for at in entities {
        node.region.nudge(*at, ShellMessage::Snapshot);
    }
    let covered = || node.region.look(0).iter().all(|seen| seen.gate.uncovered().is_none());
    until("all states rest", covered).await;
    snapshotter::store_resting(node).unwrap();
    assert_eq!(node.region.resting_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_snapshot_covers_is_not_replayed() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    ask(&engine, place(100, &["A"])).await.unwrap();
    store(&engine, &[Address::product(Id(1)), Address::inventory("A")]).await;
    ask(&engine, place(101, &["A"])).await.unwrap();
    assert_eq!(Journal::first(&*twin.journal), 1, "nothing was cut");

    let engine = twin.crash().start().await;
    assert_eq!(units(&engine, "A").await, (3, 2, 0));
    assert_eq!(status(&engine, 100).await, Some(order::Status::Created));
    let history = relampago_actors::Message::Order(order::Command::History);
    let history = ask(&engine, (Address::order(Id(100)), history)).await.unwrap().reply;
    assert!(matches!(&history, Reply::History(events) if events.len() == 2), "{history:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_state_is_stored_before_its_events_are_durable() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    twin.journal.hold();
    let mut bought = held_back(&engine, "an order", ask(&engine, place(100, &["A"]))).await;
    until("the order rests", || engine.node.region.resting_at(Address::order(Id(100))).is_some()).await;
    snapshotter::store_resting(&engine.node).unwrap();
    assert!(twin.store.get(&Address::order(Id(100)).key()).unwrap().is_none(), "stored ahead of the journal");

    twin.journal.release();
    bought.join_next().await.unwrap().unwrap().unwrap();
    snapshotter::store_resting(&engine.node).unwrap();
    assert!(twin.store.get(&Address::order(Id(100)).key()).unwrap().is_some());
}

/// The index beside a stored state says that something is owed: nothing of the journal is read for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stored_state_owes_is_sent_at_the_start() {
    let twin = Twin::new(&[]);
    twin.provider.silent.store(true, Ordering::Release);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    ask(&engine, place(100, &["A"])).await.unwrap();
    let mut paying = tokio::task::JoinSet::new();
    paying.spawn(ask(&engine, pay(PAYMENT, 100, 1000)));
    until("the provider is asked", || !twin.provider.calls.lock().is_empty()).await;
    let live = [Address::product(Id(1)), Address::inventory("A"), Address::order(Id(100))];
    store(&engine, &[live[0], live[1], live[2], Address::payment(Id(PAYMENT))]).await;
    drop(engine);

    let twin = twin.crash();
    let engine = twin.start().await;
    until_units(&engine, "A", (4, 0, 1)).await;
    assert_eq!(twin.provider.calls.lock().len(), 1);
}

/// The deadline of an order stands in its events, and beside its stored state: either is enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_expires_that_nobody_has_woken() {
    for stored in [false, true] {
        let twin = Twin::new(&[("ORDERS__RESERVATION_TTL", "500ms")]);
        let engine = twin.start().await;
        ask(&engine, product(1, "A", 5)).await.unwrap();
        ask(&engine, place(100, &["A"])).await.unwrap();
        if stored {
            store(&engine, &[Address::product(Id(1)), Address::inventory("A")]).await;
        }
        let twin = twin.crash();
        assert_eq!(twin.events().len(), 6, "the order has expired before the crash");
        let engine = twin.start().await;
        until_units(&engine, "A", (5, 0, 0)).await;
    }
}

/// A life that ends with its events lost gives their sequences to nobody who was told of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_life_goes_on_above_what_was_acknowledged() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    let told = ask(&engine, place(100, &["A"])).await.unwrap().commit.sequence;
    twin.journal.hold();
    let mut lost = held_back(&engine, "an order", ask(&engine, place(101, &["A"]))).await;
    let lists = engine.clone();
    let list = async move { lists.list_orders(&OrderQuery { limit: 9, ..Default::default() }).await };
    let mut list = held_back(&engine, "a list", list).await;
    let twin = twin.crash();
    let lost = lost.join_next().await.unwrap().unwrap();
    assert!(matches!(lost, Err(AskError::OutcomeUnknown)), "{lost:?}");
    let list = timeout(SOON, list.join_next()).await.expect("the list waits for ever").unwrap().unwrap();
    assert!(matches!(list, Err(AskError::OutcomeUnknown)), "{list:?}");
    let engine = twin.start().await;
    assert_eq!(ask(&engine, order(100)).await.unwrap().commit.sequence, told);
    assert_eq!(status(&engine, 101).await, None);
    let next = ask(&engine, place(102, &["A"])).await.unwrap().commit.sequence;
    assert_eq!(next, told + 3);
}
