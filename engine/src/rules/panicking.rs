//! A panic anywhere is survived or stops the node: what was acknowledged stands, nothing happens twice, the others are
//! served, and nobody waits for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relampago_actors::{Address, Id, Message, Party, inventory, order, payment};
use relampago_config::{Flags, Settings};
use relampago_snapshots::memory::Failure;
use tokio::task::JoinSet;

use super::asking::{
    Question, ask, cancel, check_out, fill_cart, pay, place, product, status, stock, units, until,
    until_units,
};
use super::failing::reason;
use crate::injection::{At, Happening, is_to_fall, let_fall};
use crate::start::twin::Twin;
use crate::{Answered, AskError, Engine};

const PATIENCE: Duration = Duration::from_secs(20);

/// What dies or fails is asked for again soon.
const REDRIVEN: (&str, &str) = ("ENGINE__REDRIVE_INTERVAL", "20ms");

/// Asks under the same key until somebody knows.
async fn insist(engine: &Engine, question: Question) -> Answered {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask(engine, question.clone()).await {
            Ok(answered) => return answered,
            Err(AskError::OutcomeUnknown) => {}
            Err(other) => panic!("{question:?}: {other:?}"),
        }
        assert!(Instant::now() < until, "nobody ever knows of {question:?}");
    }
}

/// One purchase from the cart to the refund, in which an entity panics.
#[derive(Clone, Copy, Debug)]
struct Fall {
    at: At,
    /// The entity, of those of the purchase.
    whom: Whom,
}

#[derive(Clone, Copy, Debug)]
enum Whom {
    Cart,
    Order,
    Inventory,
    Payment,
}

/// Where an entity can panic in a purchase. An inventory stays live, and a cart is live already.
fn falls() -> Vec<Fall> {
    let mut falls = Vec::new();
    for whom in [Whom::Cart, Whom::Order, Whom::Inventory, Whom::Payment] {
        falls.extend([At::Submitted, At::Applying, At::Applied].map(|at| Fall { at, whom }));
    }
    falls.extend([Whom::Cart, Whom::Order, Whom::Payment].map(|whom| Fall { at: At::Retiring, whom }));
    falls.extend([Whom::Order, Whom::Payment].map(|whom| Fall { at: At::Activating, whom }));
    falls.extend([Whom::Order, Whom::Payment].map(|whom| Fall { at: At::Answering, whom }));
    falls
}

/// Carries a purchase through, whatever falls on the way, and checks every book.
async fn fall_and_go_on(twin: &Twin, engine: &Engine, number: u128, fall: Fall) {
    println!("{fall:?}");
    let [product_id, cart, bought, paid] = [1, 2, 3, 4].map(|kind| 0xfa11_0000 + number * 0x10 + kind);
    let sku = format!("FALLS-{number}");
    ask(engine, product(product_id, &sku, 5)).await.unwrap();
    fill_cart(engine, cart, &[&sku]).await;
    let whom = match fall.whom {
        Whom::Cart => Address::cart(Id(cart)),
        Whom::Order => Address::order(Id(bought)),
        Whom::Inventory => Address::inventory(&sku),
        Whom::Payment => Address::payment(Id(paid)),
    };
    let_fall(fall.at, whom, Happening::Panic);
    insist(engine, check_out(cart, bought)).await;
    insist(engine, pay(paid, bought, 1000)).await;
    assert_eq!(status(engine, bought).await, Some(order::Status::Paid), "{fall:?}");
    until_units(engine, &sku, (4, 0, 1)).await;
    insist(engine, cancel(bought)).await;
    until_units(engine, &sku, (5, 0, 0)).await;

    assert!(!is_to_fall(whom), "{fall:?} did not happen");
    // Who was asked panics before the entity is live, or nothing panics that holds a state.
    let expected = if matches!(fall.at, At::Activating | At::Answering) { 0 } else { 1 };
    until("its death is known", || engine.node.region.deaths(whom) == expected).await;
    let asked = |operation: fn(&payment::Operation) -> bool| {
        let calls = twin.provider.calls.lock();
        let mut numbers: Vec<_> = calls
            .iter()
            .filter(|call| call.payment == Id(paid) && operation(&call.operation))
            .map(|call| call.operation.asked())
            .collect();
        numbers.dedup();
        numbers.len()
    };
    // A repeated call is known by what it asks.
    assert_eq!(asked(|operation| matches!(operation, payment::Operation::Charge { .. })), 1, "{fall:?}");
    until("the money is given back", || asked(|of| matches!(of, payment::Operation::Refund { .. })) == 1)
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_falls_the_purchase_goes_on_and_the_others_are_served() {
    let twin = Twin::new(&[REDRIVEN]);
    let engine = twin.start().await;
    ask(&engine, product(1, "STEADY", 1_000_000)).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let mut others = JoinSet::new();
    let (shop, is_over) = (engine.clone(), Arc::clone(&over));
    others.spawn(async move {
        let mut bought = 0;
        while !is_over.load(Ordering::Acquire) {
            ask(&shop, place(0x57ea_0000 + bought, &["STEADY"])).await.unwrap();
            bought += 1;
        }
        bought
    });
    for (number, fall) in (0..).zip(falls()) {
        fall_and_go_on(&twin, &engine, number, fall).await;
    }
    over.store(true, Ordering::Release);
    let bought = others.join_next().await.unwrap().unwrap() as i64;
    assert!(bought > 0);
    assert_eq!(units(&engine, "STEADY").await, (1_000_000 - bought, bought, 0));

    // The next life finds the same.
    let events = twin.events().len();
    engine.drain().await.unwrap();
    let engine = twin.crash().start().await;
    assert_eq!(units(&engine, "STEADY").await, (1_000_000 - bought, bought, 0));
    assert!(engine.node.committer.durable() >= events as u64);
    for number in 0..falls().len() {
        assert_eq!(units(&engine, &format!("FALLS-{number}")).await, (5, 0, 0));
    }
}

/// Somebody has found a question that the inventory's code cannot bear, and asks it all the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_always_panics_takes_its_entity_from_nobody() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "POISONED", 100)).await.unwrap();
    let at = Address::inventory("POISONED");
    let_fall(At::DecidingFor(Party::Guest), at, Happening::PanicAlways);
    let mut asked = JoinSet::new();
    for _ in 0..50 {
        let engine = engine.clone();
        asked.spawn(async move {
            let get = Message::Inventory(inventory::Command::Get);
            let poison = engine.ask(at, Party::Guest, get, PATIENCE).await;
            assert!(matches!(poison, Err(AskError::Faulted)), "{poison:?}");
        });
    }
    for id in 0..50 {
        ask(&engine, place(0x9015_0000 + id, &["POISONED"])).await.unwrap();
    }
    asked.join_all().await;
    assert_eq!(units(&engine, "POISONED").await, (50, 50, 0));
    assert_eq!(engine.node.region.deaths(at), 0);
    assert!(engine.node.quarantine.len() <= 1, "one command, on one state");
}

async fn assert_stopped(engine: &Engine, why: &str) {
    let said = reason(engine).await;
    assert!(said.contains(why), "{said}");
    assert!(!engine.health().ready);
    for question in [product(0x570b, "LATE", 1), stock("A")] {
        let unknown = ask(engine, question).await;
        assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{unknown:?}");
    }
}

/// An event that can never be made true: nobody is told a state that lacks it, and nobody waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_that_always_panics_stops_the_node() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    let_fall(At::Applying, Address::order(Id(0xbad_0bad)), Happening::PanicAlways);
    let unknown = ask(&engine, place(0xbad_0bad, &["A"])).await;
    assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{unknown:?}");
    assert_stopped(&engine, "cannot be loaded").await;
}

/// Before the batch is durable or after it: whoever waits learns that nobody knows, and the same key finds out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_committer_stops_the_node() {
    for failure in [Failure::Lost, Failure::Kept] {
        let twin = Twin::new(&[]);
        let engine = twin.start().await;
        ask(&engine, product(1, "A", 50)).await.unwrap();
        twin.journal.hold();
        let mut asked = JoinSet::new();
        for id in 0..10 {
            asked.spawn(ask(&engine, place(100 + id, &["A"])));
        }
        until("all wait", || engine.node.committer.held() > 0).await;
        *twin.journal.panics.lock() = Some(failure);
        // One more, so that a batch is appended after this one.
        asked.spawn(ask(&engine, place(110, &["A"])));
        twin.journal.release();
        let mut known = 0;
        for answer in asked.join_all().await {
            match answer {
                Ok(_) => known += 1,
                Err(AskError::OutcomeUnknown) => {}
                Err(other) => panic!("{failure:?}: {other:?}"),
            }
        }
        assert!(known < 11, "nothing has failed");
        assert_stopped(&engine, "the committer panicked").await;

        let engine = twin.crash().start().await;
        let mut replayed = 0;
        for id in 0..11 {
            replayed += usize::from(ask(&engine, place(100 + id, &["A"])).await.unwrap().replayed);
        }
        assert!(replayed >= known, "{failure:?}: {known} were acknowledged, and {replayed} are there");
        assert_eq!(units(&engine, "A").await, (39, 11, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_snapshotter_stops_the_node() {
    let twin = Twin::new(&[("ENGINE__SNAPSHOT_INTERVAL", "10ms")]);
    let engine = twin.start().await;
    twin.store.panics.store(true, Ordering::Release);
    ask(&engine, product(1, "A", 5)).await.unwrap();
    // The order leaves memory and waits to be stored.
    let _known_or_not = ask(&engine, place(100, &["A"])).await;
    assert_stopped(&engine, "the snapshotter panicked").await;
}

/// Nobody writes anything who would learn of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_fails_in_the_background_stops_the_node() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    twin.journal.fail_in_background();
    assert_stopped(&engine, "the journal failed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_the_sweeper_stops_the_node() {
    let twin = Twin::new(&[REDRIVEN]);
    let engine = twin.start().await;
    let_fall(At::Sweeping, Address::inventory("SWEPT"), Happening::Panic);
    // It may stop before the answer leaves.
    let _known_or_not = ask(&engine, product(1, "SWEPT", 5)).await;
    assert_stopped(&engine, "the sweeper panicked").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_where_deadlines_come_due_stops_the_node() {
    let twin = Twin::new(&[("ORDERS__RESERVATION_TTL", "100ms")]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    let_fall(At::Waking, Address::order(Id(0xdead)), Happening::Panic);
    ask(&engine, place(0xdead, &["A"])).await.unwrap();
    assert_stopped(&engine, "deadlines panicked").await;
}

/// On the provider that decides late, which is the simulator of the product itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_where_late_answers_come_in_stops_the_node() {
    let dir = tempfile::tempdir().unwrap();
    let flags = Flags { addr: None, data: Some(dir.path().to_owned()) };
    let engine = Engine::start(&Settings::load(None, flags, std::iter::empty()).unwrap()).await.unwrap();
    ask(&engine, product(1, "A", 5)).await.unwrap();
    ask(&engine, place(100, &["A"])).await.unwrap();
    let_fall(At::Listening, Address::payment(Id(0x1a7e)), Happening::Panic);
    let (to, mut message) = pay(0x1a7e, 100, 1000);
    if let Message::Payment(payment::Command::Process { token, .. }) = &mut message {
        *token = Some("tok_late_10".into());
    }
    let _known_or_not = ask(&engine, (to, message)).await;
    assert_stopped(&engine, "late answers panicked").await;
}

/// The payment owes the call, so it is made again, and whoever pays hears of none of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_of_a_call_on_the_outside_is_survived() {
    let twin = Twin::new(&[REDRIVEN]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    ask(&engine, place(100, &["A"])).await.unwrap();
    twin.provider.panics.store(true, Ordering::Release);
    ask(&engine, pay(200, 100, 1000)).await.unwrap();
    assert_eq!(status(&engine, 100).await, Some(order::Status::Paid));
    assert_eq!((twin.provider.calls.lock().len(), engine.node.outbox.under_way().0), (2, 0));
}
