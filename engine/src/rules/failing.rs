//! What cannot be carried out leaves no trace; what may have happened is never called a refusal.

use std::sync::atomic::Ordering;
use std::time::Duration;

use relampago_actors::{Address, order};
use relampago_snapshots::memory::Failure;
use tokio::time::timeout;

use super::asking::{
    Question, ask, held_back, order, place, product, status, stock, units, until, until_units,
};
use crate::injection::{At, Happening, let_fall};
use crate::start::twin::Twin;
use crate::{Answered, AskError, Engine, OrderQuery};

const SOON: Duration = Duration::from_secs(10);

pub(super) async fn reason(engine: &Engine) -> String {
    timeout(SOON, engine.failed()).await.expect("the node goes on")
}

/// Events are submitted before anything is sent: what cannot be submitted is not sent either.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_recorded_has_no_effects() {
    let twin = Twin::new(&[]);
    twin.journal.largest.store(300, Ordering::Release);
    let engine = twin.start().await;
    let skus: Vec<String> = (0..10).map(|number| format!("ONE-OF-MANY-{number:020}")).collect();
    let skus: Vec<&str> = skus.iter().map(String::as_str).collect();
    for (id, sku) in (1..).zip(&skus) {
        ask(&engine, product(id, sku, 5)).await.unwrap();
    }
    let events = engine.node.committer.next();
    let faulted = ask(&engine, place(100, &skus)).await;
    assert!(matches!(faulted, Err(AskError::Faulted)), "{faulted:?}");
    for sku in &skus {
        assert_eq!(units(&engine, sku).await, (5, 0, 0));
    }
    assert_eq!((engine.node.committer.next(), status(&engine, 100).await), (events, None));
    // The entity lives on.
    ask(&engine, place(100, &skus[..1])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn admission_refuses_commands_before_any_work_and_nothing_else() {
    let twin = Twin::new(&[("SERVER__MAX_IN_FLIGHT", "1")]);
    let engine = twin.start().await;
    for (id, sku) in [(1, "A"), (2, "B")] {
        alone(&engine, product(id, sku, 5)).await.unwrap();
    }
    twin.journal.hold();
    nobody_asks(&engine).await;
    // At the limit, and its messages to the stock and back are not refused.
    let mut first = held_back(&engine, "an order", ask(&engine, place(100, &["A", "B"]))).await;
    let events = engine.node.committer.next();
    for question in [place(101, &["A"]), order(100), stock("A")] {
        let refused = ask(&engine, question).await;
        assert!(matches!(refused, Err(AskError::Overloaded { .. })), "{refused:?}");
    }
    twin.journal.release();
    first.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(engine.node.committer.next(), events);
    let unseen = alone(&engine, order(101)).await;
    assert!(matches!(unseen, Err(AskError::Rejected { .. })), "{unseen:?}");
    nobody_asks(&engine).await;
    assert_eq!(units(&engine, "A").await, (4, 1, 0));
}

/// An answer may arrive a moment before its command stops counting.
async fn nobody_asks(engine: &Engine) {
    until("nobody asks", || engine.node.admitted.count() == 0).await;
}

async fn alone(engine: &Engine, question: Question) -> Result<Answered, AskError> {
    nobody_asks(engine).await;
    ask(engine, question).await
}

/// Whether the write reached the disk or not: who waits learns that nobody knows, and the node stops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_write_is_unknown_and_stops_the_node() {
    for failure in [Failure::Lost, Failure::Kept] {
        let twin = Twin::new(&[]);
        let engine = twin.start().await;
        ask(&engine, product(1, "A", 5)).await.unwrap();
        let durable = engine.health().durable;
        twin.journal.fail_next_append(failure);
        let unknown = ask(&engine, place(100, &["A"])).await;
        assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{failure:?}: {unknown:?}");
        assert!(reason(&engine).await.contains("journal"));
        for question in [place(101, &["A"]), order(100), stock("A")] {
            let unknown = ask(&engine, question).await;
            assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{failure:?}: {unknown:?}");
        }
        let list = engine.list_orders(&OrderQuery { limit: 9, ..Default::default() }).await;
        assert!(matches!(list, Err(AskError::OutcomeUnknown)), "{list:?}");
        let health = engine.health();
        assert_eq!((health.ready, health.durable), (false, durable));

        // The same key finds out.
        let twin = twin.crash();
        let engine = twin.start().await;
        let bought = ask(&engine, place(100, &["A"])).await.unwrap();
        assert_eq!(bought.replayed, failure == Failure::Kept);
        assert_eq!(units(&engine, "A").await, (4, 1, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_snapshot_stops_the_node() {
    let twin = Twin::new(&[("ENGINE__SNAPSHOT_INTERVAL", "10ms")]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    twin.store.fail_next_put();
    ask(&engine, place(100, &["A"])).await.unwrap();
    assert!(reason(&engine).await.contains("snapshots"));
    let refused = ask(&engine, place(101, &["A"])).await;
    assert!(matches!(refused, Err(AskError::OutcomeUnknown)), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_supervisor_the_node_ends() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    engine.node.region.stop().await;
    assert!(reason(&engine).await.contains("supervisor"));
}

/// Nobody asks for the order again: it is rebuilt and sends what it owes on its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_that_died_goes_on_with_what_it_owes() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    let_fall(At::Submitted, Address::order(relampago_actors::Id(0xdead)), Happening::Panic);
    let unknown = ask(&engine, place(0xdead, &["A"])).await;
    assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{unknown:?}");
    until_units(&engine, "A", (4, 1, 0)).await;
    assert_eq!(status(&engine, 0xdead).await, Some(order::Status::Created));
}

/// What was submitted before the death belongs to the entity, also while it is not durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuilt_entity_has_what_it_submitted() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "FALLS-LATE", 5)).await.unwrap();
    twin.journal.hold();
    let at = Address::inventory("FALLS-LATE");
    let_fall(At::Submitted, at, Happening::Panic);
    let unknown = ask(&engine, super::asking::adjust("FALLS-LATE", 2)).await;
    assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{unknown:?}");
    until("it is dead", || engine.node.region.deaths(at) == 1).await;
    let mut asked = tokio::task::JoinSet::new();
    let read = asked.spawn(ask(&engine, stock("FALLS-LATE")));
    until("it waits for the journal", || read.is_finished() || engine.node.committer.held() > 0).await;
    twin.journal.release();
    asked.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(units(&engine, "FALLS-LATE").await, (7, 0, 0));
}
