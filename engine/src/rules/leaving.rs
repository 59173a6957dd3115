//! Nothing leaves before its cause is durable, and "sold out" is said to the right ones.

use relampago_actors::cart::Command;
use relampago_actors::line::Shortage;
use relampago_actors::{Address, Id, Rejection, order};

use super::asking::{
    adjust, ask, cart, check_out, fill_cart, held_back, order, pay, place, product, status, stock, units,
    until,
};
use crate::injection::{At, Happening, let_fall};
use crate::snapshotter;
use crate::start::twin::Twin;
use crate::{AskError, Engine, OrderQuery, ProductQuery};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_leaves_before_its_cause_is_durable() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 1)).await.unwrap();
    fill_cart(&engine, 7, &["A"]).await;
    let before = engine.health().durable;
    twin.journal.hold();

    let (opened, reserved, placed) = (before + 1, before + 2, before + 3);
    let questions = [
        ("an acknowledgement", place(100, &["A"]), placed),
        ("a read", order(100), placed),
        ("a read of another entity", stock("A"), reserved),
        ("a replayed answer", place(100, &["A"]), placed),
        ("a refusal", place(101, &["A"]), reserved),
        ("a look at the stock", cart(7, Command::Validate), reserved),
    ];
    let mut answers = Vec::new();
    for (what, question, needs) in questions {
        answers.push((what, held_back(&engine, what, ask(&engine, question)).await, needs));
    }
    let lists = engine.clone();
    let products = async move { lists.list_products(&ProductQuery { limit: 9, ..Default::default() }).await };
    let mut products = held_back(&engine, "a list of products", products).await;
    let lists = engine.clone();
    let orders = async move { lists.list_orders(&OrderQuery { limit: 9, ..Default::default() }).await };
    let mut orders = held_back(&engine, "a list of orders", orders).await;

    assert_eq!(engine.health().durable, before);
    assert!(opened < engine.node.committer.next());
    twin.journal.release();
    for (what, mut answer, needs) in answers {
        let commit = match answer.join_next().await.unwrap().unwrap() {
            Ok(answered) => answered.commit,
            Err(AskError::Rejected { commit, .. }) => commit,
            Err(other) => panic!("{what}: {other:?}"),
        };
        assert_eq!(commit.sequence, needs, "{what}");
    }
    let shown = products.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((shown.items[0].stock, shown.position.sequence), (0, reserved));
    let shown = orders.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((shown.items.len(), shown.position.sequence), (1, placed));
}

/// A product is listed as soon as it is on sale, which nobody is told before that is durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_list_shows_a_product_that_a_crash_can_take_back() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    twin.journal.hold();
    let mut created = held_back(&engine, "a product", ask(&engine, product(1, "A", 1))).await;
    let lists = engine.clone();
    let list = async move { lists.list_products(&ProductQuery { limit: 9, ..Default::default() }).await };
    let mut listed = held_back(&engine, "a list of products", list).await;
    twin.journal.release();
    let created = created.join_next().await.unwrap().unwrap().unwrap().commit;
    let listed = listed.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((listed.items.len(), listed.position), (1, created));
}

/// The cart has an event that its order's answer does not show: whoever asked the cart has seen it all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_answer_depends_on_is_handed_along() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 1)).await.unwrap();
    fill_cart(&engine, 7, &["A"]).await;
    let before = engine.health().durable;
    twin.journal.hold();
    let mut first = held_back(&engine, "a checkout", ask(&engine, check_out(7, 500))).await;
    // Started, opened, reserved, placed, and the cart has heard of it.
    until("the cart is checked out", || engine.node.committer.next() == before + 6).await;
    let mut again = held_back(&engine, "a repeated checkout", ask(&engine, check_out(7, 500))).await;
    twin.journal.release();
    assert_eq!(first.join_next().await.unwrap().unwrap().unwrap().commit.sequence, before + 4);
    let again = again.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((again.commit.sequence, again.replayed), (before + 5, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_reflects_less_than_one_before() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 1)).await.unwrap();
    ask(&engine, place(100, &["A"])).await.unwrap();
    fill_cart(&engine, 7, &[]).await;
    let now = engine.health().durable;
    for question in [order(100), stock("A"), place(100, &["A"])] {
        let commit = ask(&engine, question).await.unwrap().commit;
        assert_eq!(commit.sequence, now);
    }
    let products = engine.list_products(&ProductQuery::default()).await.unwrap().position;
    let orders = engine.list_orders(&OrderQuery::default()).await.unwrap().position;
    assert_eq!((products.sequence, orders.sequence), (now, now));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_provider_is_asked_before_the_cause_is_durable() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 1)).await.unwrap();
    ask(&engine, place(100, &["A"])).await.unwrap();
    twin.journal.hold();
    let mut paying = tokio::task::JoinSet::new();
    paying.spawn(ask(&engine, pay(200, 100, 1000)));
    let asked = || twin.provider.calls.lock().len();
    // The call waits for the journal; whoever pays waits for the call.
    until("the call is owed", || asked() > 0 || engine.node.committer.held() > 0).await;
    assert_eq!(asked(), 0, "the provider was asked for what may never have been");
    twin.journal.release();
    paying.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!((asked(), status(&engine, 100).await), (1, Some(order::Status::Paid)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sold_out_is_not_said_to_a_buyer_nor_after_a_restock() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 1)).await.unwrap();
    for id in 100..150 {
        let bought = ask(&engine, place(id, &["A"])).await.unwrap();
        let events = engine.node.committer.next();
        let refused = ask(&engine, place(id + 1, &["A"])).await;
        assert!(
            matches!(
                refused,
                Err(AskError::Rejected {
                    rejection: Rejection::Order(order::Rejection::OutOfStock { .. }),
                    ..
                })
            ),
            "{refused:?}"
        );
        let again = ask(&engine, place(id, &["A"])).await.unwrap();
        assert_eq!((again.reply, again.replayed), (bought.reply, true));
        assert_eq!(engine.node.committer.next(), events, "sold out was answered from memory");
        ask(&engine, adjust("A", 1)).await.unwrap();
    }
    assert_eq!(units(&engine, "A").await, (1, 50, 0));
}

/// Nobody is made live for it; who bought before is told of the order, wherever that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purchase_that_was_never_made_is_refused_without_an_actor() {
    const BOUGHT: u128 = 0x5017;
    const WANTED: u128 = 0x5018;
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 1)).await.unwrap();
    let bought = ask(&engine, place(BOUGHT, &["A"])).await.unwrap();
    let_fall(At::Activating, Address::order(Id(WANTED)), Happening::PanicAlways);

    let again = async |engine: &Engine, place_of_it: &str| {
        for _ in 0..2 {
            let again = ask(engine, place(BOUGHT, &["A"])).await.unwrap();
            assert_eq!((&again.reply, again.replayed), (&bought.reply, true), "{place_of_it}");
        }
        match ask(engine, place(WANTED, &["A"])).await {
            Err(AskError::Rejected { rejection, commit }) => {
                let items = vec![Shortage { sku: "A".into(), requested: 1, available: 0 }];
                assert_eq!(rejection, order::Rejection::OutOfStock { items }.into(), "{place_of_it}");
                assert!(commit.sequence >= bought.commit.sequence, "{place_of_it}");
            }
            other => panic!("{place_of_it}: {other:?}"),
        }
    };
    again(&engine, "at rest").await;
    let crashed = twin.crash();
    let engine = crashed.start().await;
    again(&engine, "after a crash").await;
    snapshotter::store_resting(&engine.node).unwrap();
    assert_eq!(engine.node.region.resting_count(), 0);
    again(&engine, "stored").await;
    engine.drain().await.unwrap();
}
