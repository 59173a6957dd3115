//! Where the journal may be cut: below what any entity may still need, wherever that entity is.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::Ordering;

use relampago_actors::{Id, Message, Reply, inventory, order};
use relampago_snapshots::Journal as _;

use super::{Address, Sequence, ShellMessage};
use crate::injection::{At, Happening, let_fall};
use crate::node::Node;
use crate::rules::{Between, ask, let_happen, product, until};
use crate::start::twin::Twin;
use crate::{AskError, Engine, snapshotter};

/// A product and its stock, both stored, and the journal cut up to there.
async fn covered(twin: &Twin) -> Engine {
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    rest(&engine.node).await;
    snapshotter::store_resting(&engine.node).unwrap();
    engine
}

/// Waits until every live state rests as a snapshot.
async fn rest(node: &Node) {
    for at in [Address::product(Id(1)), Address::inventory("A")] {
        node.region.nudge(at, ShellMessage::Snapshot);
    }
    let all = || node.region.look(0).iter().all(|seen| seen.gate.uncovered().is_none());
    until("all states rest", all).await;
}

/// Units that can be sold: five, and one for every change.
async fn available(engine: &Engine) -> i64 {
    let get = Message::Inventory(inventory::Command::Get);
    match ask(engine, (Address::inventory("A"), get)).await.unwrap().reply {
        Reply::Inventory(view) => view.available,
        other => panic!("{other:?}"),
    }
}

/// Adds a unit; the sequence of the event.
async fn change(engine: &Engine) -> Sequence {
    let adjust = inventory::Command::Adjust { delta: 1, reason: "".into(), tag: None };
    let message = Message::Inventory(adjust);
    ask(engine, (Address::inventory("A"), message)).await.unwrap().commit.sequence
}

/// Cuts whatever may go, and gives the first sequence that is left.
fn cut(twin: &Twin, engine: &Engine) -> Sequence {
    snapshotter::cut_all(&engine.node, 1).unwrap();
    twin.journal.first()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_covered_is_cut() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    change(&engine).await;
    rest(&engine.node).await;
    snapshotter::store_resting(&engine.node).unwrap();
    let last = change(&engine).await;
    assert_eq!(cut(&twin, &engine), last);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_live_entity_keeps_its_events() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    let first = change(&engine).await;
    change(&engine).await;
    assert_eq!(cut(&twin, &engine), first);
}

/// Snapshots taken one after the other, none of them stored: the first one's events are needed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resting_state_keeps_its_events_and_those_of_the_one_before() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    let first = change(&engine).await;
    rest(&engine.node).await;
    assert_eq!(cut(&twin, &engine), first);
    change(&engine).await;
    rest(&engine.node).await;
    change(&engine).await;
    assert_eq!(cut(&twin, &engine), first);

    // Its store fails it: what the journal has must do.
    let engine = twin.crash().start().await;
    assert_eq!(available(&engine).await, 8);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_entity_keeps_its_events() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    let first = change(&engine).await;
    change(&engine).await;
    let region = &engine.node.region;
    region.bury(Address::inventory("A"), actor(&engine), &engine.node);
    assert_eq!(cut(&twin, &engine), first);
    assert_eq!(region.broken.lock().len(), 1);

    // Nor do they go once it is rebuilt: its store still lacks them.
    assert_eq!(available(&engine).await, 7);
    assert_eq!(cut(&twin, &engine), first);
}

/// The newest state that rests is where a rebuild begins: the events in it are not looked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_entity_is_rebuilt_from_its_resting_state() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    change(&engine).await;
    rest(&engine.node).await;
    change(&engine).await;
    let (region, at, dead) = (&engine.node.region, Address::inventory("A"), actor(&engine));
    region.bury(at, dead, &engine.node);
    assert_eq!(available(&engine).await, 7);

    // Its first actor is long gone: to hear of that again changes nothing.
    region.bury(at, dead, &engine.node);
    assert_eq!(region.deaths(at), 1);
}

fn actor(engine: &Engine) -> ractor::ActorId {
    engine.node.region.live.slots.get(&Address::inventory("A")).unwrap().mailbox.get_id()
}

/// An entity dies between the look at the dead and the look at the living: neither shows it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_death_during_the_look_is_noticed() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    let first = change(&engine).await;
    change(&engine).await;
    let (node, dead) = (engine.node.clone(), actor(&engine));
    let_happen(Between::DeadAndLiving, move || node.region.bury(Address::inventory("A"), dead, &node));
    assert!(cut(&twin, &engine) <= first);
    assert_eq!(engine.node.region.burials.load(Ordering::Acquire), 1);
}

/// An event becomes durable between the look at the journal's end and the look at the entities.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_during_the_look_is_not_cut() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    let covered = engine.health().durable;
    let runtime = tokio::runtime::Handle::current();
    let changing = engine.clone();
    let_happen(Between::EndAndEntities, move || {
        let changed = std::thread::spawn(move || {
            runtime.block_on(async {
                change(&changing).await;
                change(&changing).await
            })
        });
        assert_eq!(changed.join().unwrap(), covered + 2);
    });
    assert!(cut(&twin, &engine) <= covered + 1);
}

/// The store has an older state than the one that rests: only that one is forgotten which is stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_newer_than_what_was_stored_goes_on_resting() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    let (region, at) = (&engine.node.region, Address::inventory("A"));
    let older = change(&engine).await;
    change(&engine).await;
    rest(&engine.node).await;
    assert!(region.resting_at(at).is_some_and(|resting| resting.uncovered <= older));
    region.stored(at, older);
    // What it lacks now is what came after.
    assert_eq!(region.resting_at(at).map(|resting| resting.uncovered), Some(older + 1));
    region.stored(at, older + 1);
    assert!(region.resting_at(at).is_none());
}

/// A shell that died while it was free takes nobody with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_dead_entity_outlives_a_dead_shell() {
    let twin = Twin::new(&[]);
    let engine = covered(&twin).await;
    change(&engine).await;
    let (region, at) = (&engine.node.region, Address::inventory("A"));
    // An order leaves its shell behind.
    let nothing = ask(&engine, (Address::order(Id(9)), Message::Order(order::Command::Get))).await;
    assert!(nothing.is_err());
    until("a shell is free", || !region.free.lock().is_empty()).await;
    let free = region.free.lock().clone();
    for shell in &free {
        shell.stop_and_wait(None, None).await.unwrap();
    }
    region.bury(at, actor(&engine), &engine.node);
    assert_eq!(available(&engine).await, 6);
    assert!(region.broken.lock().is_empty());
}

/// Its stored state lacks what it did before it died, and a panic on the way back must not hide that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_dead_entity_outlives_a_panic_on_its_way_back() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    let at = Address::inventory("RETURNS");
    ask(&engine, product(1, "RETURNS", 5)).await.unwrap();
    let region = &engine.node.region;
    let dead = region.live.slots.get(&at).unwrap().mailbox.get_id();
    region.bury(at, dead, &engine.node);
    let_fall(At::Activating, at, Happening::Panic);
    let get = || (at, Message::Inventory(inventory::Command::Get));
    let unknown = ask(&engine, get()).await;
    assert!(matches!(unknown, Err(AskError::OutcomeUnknown)), "{unknown:?}");
    match ask(&engine, get()).await.unwrap().reply {
        Reply::Inventory(view) => assert_eq!(view.available, 5),
        other => panic!("{other:?}"),
    }
    assert!(region.broken.lock().is_empty());
}
