//! Calls on the outside world: made once their cause is durable, and again until their answer is recorded.
//!
//! The entity owes the call; the outbox only makes it. What is lost here, by a crash or for want of room, is
//! asked for again by the entity.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relampago_actors::payment::{self, Asked, GatewayAnswer, GatewayCall};
use relampago_actors::{Address, Id, Message, OutsideCall, Sequence};
use relampago_gateways::{Gateway, LateAnswer};
use rustc_hash::FxHashSet;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use crate::node::Node;
use crate::region::{Envelope, Input};

/// Calls under way at the most; an entity whose call finds no room asks again later.
const CALLS: usize = 4096;

/// The pause before the second try; doubled for every further one.
const BACKOFF: Duration = Duration::from_millis(50);

/// How patient the outbox is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// With one try.
    pub(crate) one: Duration,
    /// With all of them.
    pub(crate) all: Duration,
    /// Tries after the first.
    pub(crate) retries: usize,
}

pub(crate) struct Outbox {
    gateway: Arc<dyn Gateway>,
    patience: Patience,
    under_way: Mutex<FxHashSet<(Id, Asked)>>,
}

impl Outbox {
    pub(crate) fn new(gateway: Arc<dyn Gateway>, patience: Patience) -> Self {
        Self { gateway, patience, under_way: Mutex::default() }
    }

    /// Makes a call as soon as the journal is durable up to its cause, unless it is being made.
    pub(crate) fn call(&self, call: OutsideCall, cause: Sequence, node: &Node) {
        let OutsideCall::Gateway(call) = call;
        let key = (call.payment, call.operation.asked());
        let Some(node) = node.shared() else { return };
        {
            let mut under_way = self.under_way.lock();
            if under_way.len() >= CALLS || !under_way.insert(key) {
                return;
            }
        }
        #[expect(clippy::disallowed_methods, reason = "bounded by CALLS and by the patience with a call")]
        tokio::spawn(async move {
            let answer = {
                let _ends = UnderWay { outbox: &node.outbox, key };
                if !node.committer.reached(cause).await {
                    return;
                }
                node.outbox.ask(&call).await
            };
            tell(&node, call.payment, key.1, answer);
        });
    }

    async fn ask(&self, call: &GatewayCall) -> GatewayAnswer {
        let tries = async {
            for attempt in 0..=self.patience.retries {
                if attempt > 0 {
                    sleep(BACKOFF * (1 << (attempt - 1).min(10))).await;
                }
                if let Ok(answer) = timeout(self.patience.one, self.gateway.call(call.clone())).await {
                    return answer;
                }
            }
            GatewayAnswer::Unknown
        };
        timeout(self.patience.all, tries).await.unwrap_or(GatewayAnswer::Unknown)
    }

    pub(crate) fn under_way(&self) -> usize {
        self.under_way.lock().len()
    }
}

/// A call that is being made; however it ends, it can be made again.
struct UnderWay<'a> {
    outbox: &'a Outbox,
    key: (Id, Asked),
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.outbox.under_way.lock().remove(&self.key);
    }
}

fn tell(node: &Node, payment: Id, asked: Asked, answer: GatewayAnswer) {
    let message = Message::Payment(payment::Command::Gateway { asked, answer });
    node.region.deliver(Envelope::own(Address::payment(payment), Input::Message(message)), node);
}

/// Hands on what providers decide later, until the node is gone.
pub(crate) async fn listen(node: std::sync::Weak<Node>, mut late: mpsc::Receiver<LateAnswer>) {
    while let Some(LateAnswer { payment, asked, answer }) = late.recv().await {
        let Some(node) = node.upgrade() else { return };
        tell(&node, payment, asked, answer);
    }
}
