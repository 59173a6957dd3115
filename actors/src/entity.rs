//! The contract between the domain and the engine.
//!
//! `decide` looks at the state and says what shall happen; `apply` makes a recorded event true in memory.
//! `decide` may refuse, `apply` may not: it must accept every event that `decide` ever produced.

use std::cell::Cell;
use std::fmt::Debug;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use smallvec::SmallVec;

use crate::access::Party;
use crate::address::{Address, Effect, Id, Kind, Message, OutsideCall, Rejection, Reply};
use crate::catalogue::{Card, Catalogue};

/// Milliseconds since the Unix epoch, UTC.
pub type Millis = u64;

/// Position of an event in its journal; the first is 1.
pub type Sequence = u64;

/// Where and when an event was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Its position in the journal.
    pub sequence: Sequence,
    /// When it was decided.
    pub at: Millis,
}

/// The shop's rules that can be set. A value that matters later is written into the event it shaped.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How long a new order holds its stock, ms.
    pub reservation_ttl_ms: u64,
    /// How long a started payment may take, ms; the hold is extended to that.
    pub payment_deadline_ms: u64,
    /// How long an untouched cart stays open, ms.
    pub cart_ttl_ms: u64,
    /// How long the mail that asks a new account or address to be verified is good for, ms.
    pub verification_ttl_ms: u64,
}

/// What a decision may look at besides the entity's own state.
#[derive(Debug)]
pub struct Context<'a> {
    /// The time of the decision.
    pub now: Millis,
    /// Products and prices as last recorded.
    pub catalogue: &'a dyn Catalogue,
    /// The shop's rules.
    pub policy: &'a Policy,
    /// In whose name the command comes.
    pub by: Party,
    seen: Cell<Sequence>,
}

impl<'a> Context<'a> {
    /// A context at `now`, in the shop's own name.
    pub fn new(now: Millis, catalogue: &'a dyn Catalogue, policy: &'a Policy) -> Self {
        Self { now, catalogue, policy, by: Party::Shop, seen: Cell::new(0) }
    }

    /// The same in another's name.
    #[must_use]
    pub fn by(self, by: Party) -> Self {
        Self { by, ..self }
    }

    /// The card of a sku. What is read is noted in [`Context::seen`].
    pub fn card_of_sku(&self, sku: &str) -> Option<Arc<Card>> {
        self.note(self.catalogue.by_sku(sku))
    }

    /// The card of a product. What is read is noted in [`Context::seen`].
    pub fn card_of_product(&self, product: Id) -> Option<Arc<Card>> {
        self.note(self.catalogue.by_product(product))
    }

    /// What can be sold of a sku now, as last recorded.
    pub fn available(&self, card: &Card) -> i64 {
        let (available, sequence) = card.stock.available();
        self.seen.set(self.seen.get().max(sequence));
        available
    }

    fn note(&self, card: Option<Arc<Card>>) -> Option<Arc<Card>> {
        if let Some(card) = &card {
            self.seen.set(self.seen.get().max(card.sequence));
        }
        card
    }

    /// The highest sequence of what was read through this context: the answer depends on it.
    pub fn seen(&self) -> Sequence {
        self.seen.get()
    }
}

/// How the one who asked is to be answered.
#[derive(Debug, PartialEq)]
pub enum Answer<A> {
    /// Nobody waits: a message from another entity, or a deadline.
    Nothing,
    /// The domain says no; nothing was recorded for it.
    Reject(Rejection),
    /// By [`Entity::answer`] once the events are applied; if that has no answer yet, at the first later
    /// event that gives one.
    Settle(A),
    /// As `Settle`, for a repetition of a command that was carried out before.
    Replay(A),
    /// Another entity answers; whoever asked goes along with this message.
    HandOver(Address, Message),
}

/// What an entity wants to happen.
#[derive(Debug)]
pub struct Decision<E: Entity> {
    /// To be recorded and applied, in this order.
    pub events: SmallVec<[E::Event; 1]>,
    /// To be carried out after the events are submitted.
    pub effects: Vec<Effect>,
    /// For the one who asked.
    pub answer: Answer<E::Ask>,
}

impl<E: Entity> Decision<E> {
    /// Nothing happens.
    #[must_use]
    pub fn nothing() -> Self {
        Self { events: SmallVec::new(), effects: Vec::new(), answer: Answer::Nothing }
    }

    /// The domain says no.
    #[must_use]
    pub fn reject(rejection: impl Into<Rejection>) -> Self {
        Self { answer: Answer::Reject(rejection.into()), ..Self::nothing() }
    }

    /// Answers from the state as it is.
    #[must_use]
    pub fn settle(ask: E::Ask) -> Self {
        Self { answer: Answer::Settle(ask), ..Self::nothing() }
    }

    /// Answers as before.
    #[must_use]
    pub fn replay(ask: E::Ask) -> Self {
        Self { answer: Answer::Replay(ask), ..Self::nothing() }
    }

    /// Records one event.
    #[must_use]
    pub fn record(event: E::Event) -> Self {
        Self::nothing().and(event)
    }

    /// Records one more event.
    #[must_use]
    pub fn and(mut self, event: E::Event) -> Self {
        self.events.push(event);
        self
    }

    /// Sends a message.
    #[must_use]
    pub fn send(mut self, to: Address, message: Message) -> Self {
        self.effects.push(Effect::Send { to, message });
        self
    }

    /// Calls the outside world.
    #[must_use]
    pub fn call(mut self, call: OutsideCall) -> Self {
        self.effects.push(Effect::Call(call));
        self
    }

    /// Adds effects.
    #[must_use]
    pub fn owing(mut self, effects: impl IntoIterator<Item = Effect>) -> Self {
        self.effects.extend(effects);
        self
    }

    /// Says how to answer.
    #[must_use]
    pub fn answer(mut self, answer: Answer<E::Ask>) -> Self {
        self.answer = answer;
        self
    }
}

/// What the lists need to know of an entity without loading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facets {
    /// Whose it is.
    pub user: Option<Id>,
    /// The number of its status.
    pub status: u8,
    /// When it was made.
    pub created_at: Millis,
}

/// A state machine with one writer.
pub trait Entity: Serialize + DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    /// What it is.
    const KIND: Kind;
    /// What can be asked of it, by clients and by other entities.
    type Command: Debug + Send;
    /// What can have happened to it.
    type Event: Serialize + DeserializeOwned + Clone + Debug + PartialEq + Send + Sync;
    /// A question that stays open until the state can answer it.
    type Ask: Debug + Send + Sync;

    /// The state before the first event.
    fn blank(id: Id) -> Self;

    /// What a command leads to. Pure.
    fn decide(&self, command: Self::Command, cx: &Context<'_>) -> Decision<Self>;

    /// What the passing of a deadline leads to. Pure; called at or after [`Entity::deadline`].
    fn expire(&self, cx: &Context<'_>) -> Decision<Self>;

    /// Makes a recorded event true. Reads no clock and cannot fail.
    fn apply(&mut self, event: Self::Event, stamp: Stamp);

    /// The answer to a question, if the state has one.
    fn answer(&self, ask: &Self::Ask, cx: &Context<'_>) -> Option<Result<Reply, Rejection>>;

    /// Everything that is still owed: rebuilt from the state alone, so that it survives a crash. Carrying
    /// out an effect again changes nothing more.
    fn pending(&self) -> Vec<Effect>;

    /// When [`Entity::expire`] is due.
    fn deadline(&self) -> Option<Millis>;

    /// What lists need to know; `None` while there is nothing to list.
    fn facets(&self) -> Option<Facets> {
        None
    }

    /// Whether nothing is going on, so that it may leave memory at once and not only after a while.
    fn at_rest(&self) -> bool;
}
