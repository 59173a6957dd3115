//! An entity's lives follow each other: no message is lost between them, and each begins where the last one ended.

use std::sync::mpsc;

use relampago_actors::{Address, Id, Message, order};

use super::asking::{ask, order, place, product, status, units, until};
use crate::injection::{At, Happening, let_fall};
use crate::region::{Envelope, Input};
use crate::start::twin::Twin;

/// A placed order leaves memory with every answer. Here a second question comes while the first is answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_on_its_way_keeps_its_entity_alive() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    ask(&engine, place(0xa11, &["A"])).await.unwrap();
    let (at, events) = (Address::order(Id(0xa11)), engine.node.committer.next());
    let node = engine.node.clone();
    let (done, is_done) = mpsc::channel();
    let cancel = move || {
        let input = Input::Message(Message::Order(order::Command::Cancel { tag: None }));
        node.region.deliver(Envelope::own(at, input), &node);
        done.send(()).unwrap();
    };
    let_fall(At::Deciding, at, Happening::Run(Box::new(cancel)));
    ask(&engine, order(0xa11)).await.unwrap();
    is_done.recv().unwrap();
    assert_eq!(status(&engine, 0xa11).await, Some(order::Status::Cancelled), "the message was lost");
    assert!(engine.node.committer.next() > events);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_that_left_memory_unstored_comes_back() {
    let twin = Twin::new(&[]);
    let engine = twin.start().await;
    ask(&engine, product(1, "A", 5)).await.unwrap();
    ask(&engine, place(100, &["A"])).await.unwrap();
    // It is not in the store, and nothing of it is live.
    let resting = || engine.node.region.resting_at(Address::order(Id(100))).is_some();
    until("the order rests", resting).await;
    assert_eq!(status(&engine, 100).await, Some(order::Status::Created));
    assert_eq!(units(&engine, "A").await, (4, 1, 0));
}
