//! The engine as its callers see it, on a real disk: the whole way of a purchase, restarts, deadlines.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use relampago_actors::keys::KeyTag;
use relampago_actors::line::{ProductRef, Wanted};
use relampago_actors::money::Currency;
use relampago_actors::order::{self, Buyer, Source};
use relampago_actors::payment::{self, Method};
use relampago_actors::{Address, Id, Message, Party, Rejection, Reply, cart, inventory, product};
use relampago_config::{Flags, Settings};
use relampago_engine::{Answered, AskError, Engine, StartError};
use relampago_snapshots::StorageError;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn start(dir: &Path, env: &[(&str, &str)]) -> Engine {
    let env = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let flags = Flags { addr: None, data: Some(dir.to_owned()) };
    let settings = Settings::load(None, flags, env).unwrap();
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match Engine::start(&settings).await {
            // The last of the engine before goes with its last actor.
            Err(StartError::Storage(StorageError::InUse { .. })) if Instant::now() < until => {
                tokio::task::yield_now().await;
            }
            started => return started.unwrap(),
        }
    }
}

fn tag(key: u128) -> KeyTag {
    KeyTag { key, body: 1 }
}

fn sku(name: &str) -> Arc<str> {
    name.into()
}

async fn create(engine: &Engine, id: u128, name: &str, stock: i64) -> Result<Answered, AskError> {
    let details = product::Details {
        sku: sku(name),
        name: sku(name),
        description: sku(""),
        category: None,
        price: 1999,
        currency: Currency::USD,
    };
    let command = product::Command::Create { details, stock, tag: Some(tag(id)) };
    engine.ask(Address::product(Id(id)), Party::Shop, Message::Product(command), PATIENCE).await
}

async fn buy(engine: &Engine, order: u128, items: &[(&str, u32)]) -> Result<Answered, AskError> {
    let wanted = items
        .iter()
        .map(|(name, quantity)| Wanted { product: ProductRef::Sku(sku(name)), quantity: *quantity });
    let source = Source::Items(wanted.collect());
    let place = order::Command::Place { source, buyer: Buyer::default(), tag: tag(order) };
    engine.ask(Address::order(Id(order)), Party::Shop, Message::Order(place), PATIENCE).await
}

async fn pay(engine: &Engine, payment: u128, order: u128, token: &str) -> Result<Answered, AskError> {
    pay_within(engine, payment, order, token, PATIENCE).await
}

async fn pay_within(
    engine: &Engine,
    payment: u128,
    order: u128,
    token: &str,
    patience: Duration,
) -> Result<Answered, AskError> {
    let command = payment::Command::Process {
        order: Id(order),
        amount: "19.99".parse().unwrap(),
        method: Method::CreditCard,
        token: Some(token.to_owned()),
        manual: false,
        tag: tag(payment),
    };
    engine.ask(Address::payment(Id(payment)), Party::Shop, Message::Payment(command), patience).await
}

async fn stock(engine: &Engine, name: &str) -> (i64, i64, i64) {
    let answer = engine
        .ask(Address::inventory(name), Party::Shop, Message::Inventory(inventory::Command::Get), PATIENCE)
        .await;
    match answer.unwrap().reply {
        Reply::Inventory(view) => (view.available, view.reserved, view.sold),
        other => panic!("{other:?}"),
    }
}

async fn order(engine: &Engine, id: u128) -> order::View {
    let answer =
        engine.ask(Address::order(Id(id)), Party::Shop, Message::Order(order::Command::Get), PATIENCE).await;
    match answer.unwrap().reply {
        Reply::Order(view) => *view,
        other => panic!("{other:?}"),
    }
}

fn rejection(answer: Result<Answered, AskError>) -> Rejection {
    match answer {
        Err(AskError::Rejected { rejection, .. }) => rejection,
        other => panic!("{other:?}"),
    }
}

async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(20);
    while !check().await {
        assert!(Instant::now() < until, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_survives_restarts() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[]).await;
    create(&engine, 1, "A", 10).await.unwrap();
    assert!(create(&engine, 1, "A", 10).await.unwrap().replayed);
    assert_eq!(rejection(create(&engine, 2, "A", 1).await), product::Rejection::SkuTaken.into());

    let first = buy(&engine, 100, &[("A", 1)]).await.unwrap();
    assert!(!first.replayed);
    let again = buy(&engine, 100, &[("A", 1)]).await.unwrap();
    assert!(again.replayed);
    assert_eq!(again.reply, first.reply);
    assert_eq!(stock(&engine, "A").await, (9, 1, 0));
    let short = rejection(buy(&engine, 101, &[("A", 50)]).await);
    assert!(matches!(short, Rejection::Order(order::Rejection::OutOfStock { .. })), "{short:?}");

    pay(&engine, 200, 100, "tok_approve").await.unwrap();
    assert_eq!(order(&engine, 100).await.status, order::Status::Paid);
    assert_eq!(stock(&engine, "A").await, (9, 0, 1));
    engine.drain().await.unwrap();
    drop(engine);

    let engine = start(dir.path(), &[]).await;
    assert_eq!(order(&engine, 100).await.status, order::Status::Paid);
    assert_eq!(stock(&engine, "A").await, (9, 0, 1));
    assert!(buy(&engine, 100, &[("A", 1)]).await.unwrap().replayed);
    let cancel = Message::Order(order::Command::Cancel { tag: None });
    engine.ask(Address::order(Id(100)), Party::Shop, cancel, PATIENCE).await.unwrap();
    assert_eq!(stock(&engine, "A").await, (10, 0, 0));
    engine.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_keys_on_one_cart_make_one_order() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[]).await;
    create(&engine, 1, "A", 10).await.unwrap();
    let at = Address::cart(Id(7 << 64));
    let create = cart::Command::Create { user: None, currency: None, tag: None };
    engine.ask(at, Party::Shop, Message::Cart(create), PATIENCE).await.unwrap();
    let wanted = Wanted { product: ProductRef::Sku(sku("A")), quantity: 2 };
    engine
        .ask(at, Party::Shop, Message::Cart(cart::Command::Add { wanted, tag: None }), PATIENCE)
        .await
        .unwrap();
    let checkout = |key| {
        let command = cart::Command::Checkout { order: Id(500), buyer: Buyer::default(), tag: tag(key) };
        engine.ask(at, Party::Shop, Message::Cart(command), PATIENCE)
    };
    let (one, same, other) = tokio::join!(checkout(1), checkout(1), checkout(2));
    assert_eq!(one.unwrap().reply, same.unwrap().reply);
    assert_eq!(rejection(other), order::Rejection::CartCheckedOut { order: Id(500) }.into());
    let shown = engine.ask(at, Party::Shop, Message::Cart(cart::Command::Get), PATIENCE).await.unwrap().reply;
    assert!(matches!(shown, Reply::Cart(view) if view.status == cart::Status::CheckedOut));
    assert_eq!(stock(&engine, "A").await, (8, 2, 0));
    engine.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unpaid_order_expires_though_the_node_was_down() {
    let dir = tempfile::tempdir().unwrap();
    let env = [("RELAMPAGO_ORDERS__RESERVATION_TTL", "1s")];
    let engine = start(dir.path(), &env).await;
    create(&engine, 1, "A", 3).await.unwrap();
    buy(&engine, 100, &[("A", 1)]).await.unwrap();
    buy(&engine, 101, &[("A", 2)]).await.unwrap();
    assert_eq!(stock(&engine, "A").await, (0, 3, 0));
    engine.drain().await.unwrap();
    drop(engine);
    let engine = start(dir.path(), &env).await;
    eventually("both expire", async || stock(&engine, "A").await == (3, 0, 0)).await;
    assert_eq!(order(&engine, 100).await.sub_status, Some(order::SubStatus::Expired));
    let late = rejection(pay(&engine, 200, 100, "tok_approve").await);
    assert_eq!(late, order::Rejection::ReservationExpired.into());
    engine.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_buys_exactly_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let env = [
        ("RELAMPAGO_ENGINE__SNAPSHOT_EVENTS", "100"),
        ("RELAMPAGO_ENGINE__IDLE_TIMEOUT", "20ms"),
        ("RELAMPAGO_ENGINE__SNAPSHOT_INTERVAL", "20ms"),
    ];
    let engine = start(dir.path(), &env).await;
    create(&engine, 1, "A", 500).await.unwrap();
    create(&engine, 2, "B", 500).await.unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for shopper in 0..64u128 {
        let engine = engine.clone();
        crowd.spawn(async move {
            let mut bought = 0;
            for n in 0..40 {
                let id = 1_000_000 + shopper * 1000 + n;
                match buy(&engine, id, &[("A", 1), ("B", 1)]).await {
                    Ok(_) => bought += 1,
                    Err(AskError::Rejected { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            bought
        });
    }
    let bought: i64 = crowd.join_all().await.into_iter().sum();
    assert_eq!(bought, 500);
    assert_eq!(stock(&engine, "A").await, (0, 500, 0));
    assert_eq!(stock(&engine, "B").await, (0, 500, 0));
    engine.drain().await.unwrap();
    drop(engine);
    let engine = start(dir.path(), &env).await;
    assert_eq!(stock(&engine, "A").await, (0, 500, 0));
    engine.drain().await.unwrap();
}

/// Deadlines come due while the engine drains: what the inventory still hears must not be cut away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_in_the_middle_of_expiries_strands_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let env =
        [("RELAMPAGO_ORDERS__RESERVATION_TTL", "1s"), ("RELAMPAGO_JOURNAL__SLED_SEGMENT_BYTES", "512KiB")];
    let engine = start(dir.path(), &env).await;
    create(&engine, 1, "A", 100_000).await.unwrap();
    let mut crowd = tokio::task::JoinSet::new();
    for shopper in 0..64u128 {
        let engine = engine.clone();
        crowd.spawn(async move {
            for n in 0..40 {
                buy(&engine, 1_000_000 + shopper * 1000 + n, &[("A", 1)]).await.unwrap();
            }
        });
    }
    crowd.join_all().await;
    // As soon as the first of them has expired.
    eventually("some expire", async || stock(&engine, "A").await.1 < 2560).await;
    engine.drain().await.unwrap();
    drop(engine);
    let engine = start(dir.path(), &env).await;
    eventually("all expire", async || stock(&engine, "A").await == (100_000, 0, 0)).await;
    engine.drain().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duplicate_that_waits_in_vain_is_told_of_the_first() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path(), &[]).await;
    create(&engine, 1, "A", 10).await.unwrap();
    buy(&engine, 100, &[("A", 1)]).await.unwrap();
    let briefly = Duration::from_millis(300);
    let first = pay_within(&engine, 200, 100, "tok_timeout", briefly).await;
    assert!(matches!(first, Err(AskError::TimedOut)), "{first:?}");
    let second = pay_within(&engine, 200, 100, "tok_timeout", briefly).await;
    assert!(matches!(second, Err(AskError::InFlight)), "{second:?}");
    engine.drain().await.unwrap();
}
