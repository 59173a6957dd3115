//! Short forms of what the tests ask all the time.

use std::future::Future;
use std::time::{Duration, Instant};

use relampago_actors::keys::KeyTag;
use relampago_actors::line::{ProductRef, Wanted};
use relampago_actors::money::Currency;
use relampago_actors::order::{self, Buyer, Source};
use relampago_actors::{Address, Id, Message, Party, Reply, cart, inventory, payment, product};
use tokio::task::JoinSet;

use crate::{Answered, AskError, Engine};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whom to ask, and what.
pub(crate) type Question = (Address, Message);

/// Asks, without borrowing.
pub(crate) fn ask(
    engine: &Engine,
    (to, message): Question,
) -> impl Future<Output = Result<Answered, AskError>> + Send + use<> {
    let engine = engine.clone();
    async move { engine.ask(to, Party::Shop, message, PATIENCE).await }
}

/// Lets others go on until `check` is true.
#[track_caller]
pub(crate) fn until(what: &'static str, mut check: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let until = Instant::now() + PATIENCE;
    async move {
        while !check() {
            assert!(Instant::now() < until, "never: {what}");
            tokio::task::yield_now().await;
        }
    }
}

/// Asks while the journal is held, and comes back once the answer waits for it.
pub(super) async fn held_back<T: Send + 'static>(
    engine: &Engine,
    what: &'static str,
    question: impl Future<Output = T> + Send + 'static,
) -> JoinSet<T> {
    let before = engine.node.committer.held();
    let mut asked = JoinSet::new();
    let question = asked.spawn(question);
    until(what, || question.is_finished() || engine.node.committer.held() > before).await;
    assert!(!question.is_finished(), "{what} left before its cause was durable");
    asked
}

fn tag(key: u128) -> KeyTag {
    KeyTag { key, body: 1 }
}

fn wanted(sku: &str) -> Wanted {
    Wanted { product: ProductRef::Sku(sku.into()), quantity: 1 }
}

/// A product at 10.00.
pub(crate) fn product(id: u128, sku: &str, stock: i64) -> Question {
    let details = product::Details {
        sku: sku.into(),
        name: sku.into(),
        description: "".into(),
        category: None,
        price: 1000,
        currency: Currency::USD,
    };
    let create = product::Command::Create { details, stock, tag: Some(tag(id)) };
    (Address::product(Id(id)), Message::Product(create))
}

pub(super) fn place(id: u128, skus: &[&str]) -> Question {
    let source = Source::Items(skus.iter().map(|sku| wanted(sku)).collect());
    let place = order::Command::Place { source, buyer: Buyer::default(), tag: tag(id) };
    (Address::order(Id(id)), Message::Order(place))
}

pub(super) fn order(id: u128) -> Question {
    (Address::order(Id(id)), Message::Order(order::Command::Get))
}

pub(super) fn cancel(id: u128) -> Question {
    (Address::order(Id(id)), Message::Order(order::Command::Cancel { tag: None }))
}

pub(super) fn stock(sku: &str) -> Question {
    (Address::inventory(sku), Message::Inventory(inventory::Command::Get))
}

pub(super) fn adjust(sku: &str, delta: i64) -> Question {
    let adjust = inventory::Command::Adjust { delta, reason: String::new(), tag: None };
    (Address::inventory(sku), Message::Inventory(adjust))
}

pub(super) fn pay(id: u128, order: u128, minor: i64) -> Question {
    let command = payment::Command::Process {
        order: Id(order),
        amount: format!("{}.{:02}", minor / 100, minor % 100).parse().unwrap(),
        method: payment::Method::CreditCard,
        token: None,
        manual: false,
        tag: tag(id),
    };
    (Address::payment(Id(id)), Message::Payment(command))
}

pub(super) fn cart(id: u128, command: cart::Command) -> Question {
    (Address::cart(Id(id)), Message::Cart(command))
}

/// A cart with one unit of each sku.
pub(super) async fn fill_cart(engine: &Engine, id: u128, skus: &[&str]) {
    let create = cart::Command::Create { user: None, currency: None, tag: None };
    ask(engine, cart(id, create)).await.unwrap();
    for sku in skus {
        ask(engine, cart(id, cart::Command::Add { wanted: wanted(sku), tag: None })).await.unwrap();
    }
}

pub(super) fn check_out(id: u128, order: u128) -> Question {
    cart(id, cart::Command::Checkout { order: Id(order), buyer: Buyer::default(), tag: tag(order) })
}

/// Available, reserved and sold units.
pub(super) async fn units(engine: &Engine, sku: &str) -> (i64, i64, i64) {
    match ask(engine, stock(sku)).await.unwrap().reply {
        Reply::Inventory(view) => (view.available, view.reserved, view.sold),
        other => panic!("{other:?}"),
    }
}

/// Where an order stands; `None` if there is none.
pub(super) async fn status(engine: &Engine, id: u128) -> Option<order::Status> {
    match ask(engine, order(id)).await {
        Ok(Answered { reply: Reply::Order(view), .. }) => Some(view.status),
        Err(AskError::Rejected { .. }) => None,
        other => panic!("{other:?}"),
    }
}

/// Waits until the stock of a sku is `wanted`: nobody but the inventory is asked.
pub(super) async fn until_units(engine: &Engine, sku: &str, wanted: (i64, i64, i64)) {
    let until = Instant::now() + PATIENCE;
    loop {
        let now = units(engine, sku).await;
        if now == wanted {
            return;
        }
        assert!(Instant::now() < until, "{now:?} of {sku}, never {wanted:?}");
    }
}
