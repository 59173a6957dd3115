//! Calls on the outside world: made once their cause is durable, and again until their answer is recorded.
//!
//! The entity owes the call; the outbox only makes it. What is lost here, by a crash or for want of room, is
//! asked for again by the entity.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use relampago_actors::payment::{self, Asked, GatewayAnswer, GatewayCall};
use relampago_actors::{Address, Id, Message, Millis, OutsideCall, Sequence, user};
use relampago_gateways::{Gateway, LateAnswer, NotTaken, Post};
use relampago_keys::Unreadable;
use rustc_hash::FxHashMap;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use crate::api::Trace;
use crate::letters;
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

/// A call that may be under way.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Task {
    Payment(Id, Asked),
    Mail(Id, u32),
    DestroyKey(Id),
}

impl Task {
    fn of(call: &OutsideCall) -> Self {
        match call {
            OutsideCall::Gateway(call) => Self::Payment(call.payment, call.operation.asked()),
            OutsideCall::Mail(mail) => Self::Mail(mail.user, mail.number),
            OutsideCall::DestroyKey { user } => Self::DestroyKey(*user),
        }
    }
}

pub(crate) struct Outbox {
    gateway: Arc<dyn Gateway>,
    post: Arc<dyn Post>,
    /// The storefront's page that takes mailed tokens.
    link: Option<String>,
    patience: Patience,
    /// Each with when it began.
    under_way: Mutex<FxHashMap<Task, Millis>>,
}

impl Outbox {
    pub(crate) fn new(
        gateway: Arc<dyn Gateway>,
        post: Arc<dyn Post>,
        link: Option<String>,
        patience: Patience,
    ) -> Self {
        Self { gateway, post, link, patience, under_way: Mutex::default() }
    }

    /// Asks another provider from now on.
    #[cfg(test)]
    pub(crate) fn turn_to(&mut self, gateway: Arc<dyn Gateway>) {
        self.gateway = gateway;
    }

    /// Makes a call as soon as the journal is durable up to its cause, unless it is being made.
    pub(crate) fn call(&self, call: OutsideCall, cause: Sequence, trace: Trace, node: &Node) {
        let task = Task::of(&call);
        let Some(node) = node.shared() else { return };
        {
            let mut under_way = self.under_way.lock();
            if under_way.len() >= CALLS || under_way.contains_key(&task) {
                return;
            }
            under_way.insert(task, node.clock.now());
        }
        #[expect(clippy::disallowed_methods, reason = "bounded by CALLS and by the patience with a call")]
        tokio::spawn(async move {
            let answer = {
                let _ends = UnderWay { node: &node, task };
                if !node.committer.reached(cause).await {
                    return;
                }
                node.outbox.make(call, &node).await
            };
            if let Some((to, message)) = answer {
                let envelope = Envelope { trace, ..Envelope::own(to, Input::Message(message)) };
                node.region.deliver(envelope, &node);
            }
        });
    }

    /// Makes a call; gives the answer and whom it is for, or nothing if the entity has to ask again.
    async fn make(&self, call: OutsideCall, node: &Node) -> Option<(Address, Message)> {
        match call {
            OutsideCall::Gateway(call) => {
                let answer = self.ask(&call).await;
                Some(payment_answer(call.payment, call.operation.asked(), answer))
            }
            OutsideCall::Mail(mail) => {
                self.send(&mail, node).await?;
                let sent = user::Command::MailSent { number: mail.number };
                Some((Address::user(mail.user), Message::User(sent)))
            }
            OutsideCall::DestroyKey { user } => {
                let keys = Arc::clone(&node.keys);
                match spawn_blocking(move || keys.destroy(user)).await {
                    Ok(Ok(())) => Some((Address::user(user), Message::User(user::Command::KeyDestroyed))),
                    Ok(Err(error)) => {
                        node.failure
                            .set(format!("the key of an erased account cannot be destroyed: {error}"));
                        None
                    }
                    Err(ended) => {
                        if ended.is_panic() {
                            node.failure.set("destroying the key of an erased account panicked".to_owned());
                        }
                        None
                    }
                }
            }
        }
    }

    /// Hands a letter over. One that cannot be written any more, since its user was erased, counts as sent.
    async fn send(&self, mail: &user::Mail, node: &Node) -> Option<()> {
        let letter = match letters::write(mail, self.link.as_deref(), &node.keys) {
            Ok(letter) => letter,
            Err(Unreadable::Destroyed) => return Some(()),
            Err(error) => {
                tracing::error!(user = %mail.user, %error, "a letter cannot be written; it stays owed");
                return None;
            }
        };
        match timeout(self.patience.all, self.post.post(letter, node.clock.now())).await {
            Ok(Ok(())) => Some(()),
            Ok(Err(NotTaken)) | Err(_) => None,
        }
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

    /// How many calls are being made, and when the oldest of them began.
    pub(crate) fn under_way(&self) -> (usize, Option<Millis>) {
        let under_way = self.under_way.lock();
        (under_way.len(), under_way.values().min().copied())
    }
}

/// A call that is being made; however it ends, it can be made again.
struct UnderWay<'a> {
    node: &'a Node,
    task: Task,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.node.outbox.under_way.lock().remove(&self.task);
        if std::thread::panicking() {
            tracing::error!("a call on the outside panicked; its entity asks for it again");
            self.node.figures.calls_failed.increment(1);
        }
    }
}

fn payment_answer(payment: Id, asked: Asked, answer: GatewayAnswer) -> (Address, Message) {
    (Address::payment(payment), Message::Payment(payment::Command::Gateway { asked, answer }))
}

/// Hands on what providers decide later, until the node is gone.
pub(crate) async fn listen(node: std::sync::Weak<Node>, mut late: mpsc::Receiver<LateAnswer>) {
    while let Some(LateAnswer { payment, asked, answer }) = late.recv().await {
        let Some(node) = node.upgrade() else { return };
        let (to, message) = payment_answer(payment, asked, answer);
        #[cfg(any(test, feature = "injection"))]
        crate::injection::fall(crate::injection::At::Listening, to);
        node.region.deliver(Envelope::own(to, Input::Message(message)), &node);
    }
}
