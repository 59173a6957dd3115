//! What happens when an entity's code fails.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use relampago_actors::keys::KeyTag;
use relampago_actors::line::{ProductRef, Wanted};
use relampago_actors::money::Currency;
use relampago_actors::order::{self, Buyer, Source};
use relampago_actors::{Address, Id, Message, Party, Reply, inventory, product};
use relampago_config::{Flags, Settings};

use crate::injection::{At, Happening, let_fall};
use crate::{Answered, AskError, Engine};

const PATIENCE: Duration = Duration::from_secs(30);

/// Of this test alone.
const SKU: &str = "FALLING";

async fn start(dir: &Path) -> Engine {
    let flags = Flags { addr: None, data: Some(dir.to_owned()) };
    let env = [("RELAMPAGO_ENGINE__REDRIVE_INTERVAL".to_owned(), "50ms".to_owned())];
    Engine::start(&Settings::load(None, flags, env.into_iter()).unwrap()).await.unwrap()
}

async fn buy(engine: &Engine, order: u128) -> Result<Answered, AskError> {
    let wanted = Wanted { product: ProductRef::Sku(SKU.into()), quantity: 1 };
    let tag = KeyTag { key: order, body: 1 };
    let place = order::Command::Place { source: Source::Items(vec![wanted]), buyer: Buyer::default(), tag };
    engine.ask(Address::order(Id(order)), Party::Shop, Message::Order(place), PATIENCE).await
}

async fn stock(engine: &Engine) -> (i64, i64, i64) {
    let get = Message::Inventory(inventory::Command::Get);
    match engine.ask(Address::inventory(SKU), Party::Shop, get, PATIENCE).await.unwrap().reply {
        Reply::Inventory(view) => (view.available, view.reserved, view.sold),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_lives_on_and_nothing_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let engine = start(dir.path()).await;
    let details = product::Details {
        sku: SKU.into(),
        name: SKU.into(),
        description: "".into(),
        category: None,
        price: 1999,
        currency: Currency::USD,
    };
    let create = product::Command::Create { details, stock: 10, tag: None };
    engine.ask(Address::product(Id(1)), Party::Shop, Message::Product(create), PATIENCE).await.unwrap();
    buy(&engine, 100).await.unwrap();

    // In `decide`: answered, and the entity is as it was.
    let_fall(At::Deciding, Address::inventory(SKU), Happening::Panic);
    let get = Message::Inventory(inventory::Command::Get);
    let faulted = engine.ask(Address::inventory(SKU), Party::Shop, get, PATIENCE).await;
    assert!(matches!(faulted, Err(AskError::Faulted)), "{faulted:?}");
    // Remembered: on the same state it is not tried again, and whoever asks something else is served.
    let get = Message::Inventory(inventory::Command::Get);
    let again = engine.ask(Address::inventory(SKU), Party::Shop, get.clone(), PATIENCE).await;
    assert!(matches!(again, Err(AskError::Faulted)), "{again:?}");
    assert_eq!(engine.node.quarantine.len(), 1);
    engine.ask(Address::inventory(SKU), Party::Guest, get, PATIENCE).await.unwrap();
    buy(&engine, 103).await.unwrap();
    // The state is another one.
    assert_eq!(stock(&engine).await, (8, 2, 0));
    assert_eq!((engine.node.quarantine.len(), engine.node.region.deaths(Address::inventory(SKU))), (0, 0));

    // The inventory dies with a reservation submitted: it is rebuilt with it, and the order goes on.
    let_fall(At::Submitted, Address::inventory(SKU), Happening::Panic);
    buy(&engine, 101).await.unwrap();
    assert_eq!(stock(&engine).await, (7, 3, 0));
    assert_eq!(engine.node.region.deaths(Address::inventory(SKU)), 1);

    // The order dies with its opening submitted: the outcome is unknown, and the same key finds it.
    let_fall(At::Submitted, Address::order(Id(102)), Happening::Panic);
    let unknown = buy(&engine, 102).await;
    assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{unknown:?}");
    // Again until somebody knows: the first may still meet the actor that is dying.
    while let Err(unknown) = buy(&engine, 102).await {
        assert!(matches!(unknown, AskError::OutcomeUnknown), "{unknown:?}");
    }
    assert_eq!(stock(&engine).await, (6, 4, 0));
    for id in [100, 101, 102, 103] {
        let get = Message::Order(order::Command::Get);
        let shown = engine.ask(Address::order(Id(id)), Party::Shop, get, PATIENCE).await.unwrap().reply;
        assert!(matches!(shown, Reply::Order(view) if view.status == order::Status::Created));
    }
    engine.drain().await.unwrap();
}
