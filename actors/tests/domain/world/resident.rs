//! An entity in memory, driven as the engine drives it: decide, record, apply, send, answer.

use relampago_actors::api_keys::ApiKeys;
use relampago_actors::audit::Audit;
use relampago_actors::cart::Cart;
use relampago_actors::email::Email;
use relampago_actors::inventory::Inventory;
use relampago_actors::order::Order;
use relampago_actors::payment::Payment;
use relampago_actors::product::Product;
use relampago_actors::user::User;
use relampago_actors::{
    Address, Answer, Context, Decision, Effect, Entity, Kind, Message, Millis, OutsideCall, Rejection, Reply,
    Sequence, Stamp,
};

use super::log::{Fact, Log};
use super::post::{Envelope, Post, Ticket};
use super::watch::Watch;
use crate::support::samples::POLICY;
use crate::support::shelf::Shelf;

/// An answer that waits until what it depends on is durable.
#[derive(Debug)]
pub struct Answered {
    pub ticket: Ticket,
    pub depends: Sequence,
    pub outcome: Result<Reply, Rejection>,
    /// When it was given: answers are numbered.
    pub number: usize,
}

/// A call on the provider that waits until its cause is durable.
#[derive(Debug)]
pub struct OwedCall {
    pub call: OutsideCall,
    pub depends: Sequence,
}

/// Everything entities share.
#[derive(Default)]
pub struct Desk {
    pub now: Millis,
    pub log: Log,
    pub post: Post,
    pub calls: Vec<OwedCall>,
    pub answers: Vec<Answered>,
    pub answered: usize,
    pub shelf: Shelf,
    pub watch: Watch,
}

/// What the world needs to know of an entity's type.
pub trait Hosted: Entity + PartialEq {
    fn command(message: Message) -> Option<Self::Command>;
    fn fact(event: Self::Event) -> Fact;
    fn event(fact: &Fact) -> Option<Self::Event>;
    /// Looks at the state after an event: keeps the catalogue and checks what must always hold.
    fn look(&self, me: Address, event: &Self::Event, stamp: Stamp, shelf: &mut Shelf, watch: &mut Watch);
}

#[derive(Debug)]
struct Parked<A> {
    ask: A,
    ticket: Ticket,
    depends: Sequence,
}

/// An entity, who waits for it, and the last event that is in it.
pub struct Resident<E: Entity> {
    me: Address,
    pub state: E,
    parked: Vec<Parked<E::Ask>>,
    last: Sequence,
}

/// What makes an entity decide.
enum Cause<C> {
    Command(C),
    Deadline,
}

impl<E: Hosted> Resident<E> {
    pub fn new(me: Address) -> Self {
        Self { me, state: E::blank(me.id), parked: Vec::new(), last: 0 }
    }

    /// Replays an event.
    pub fn restore(&mut self, fact: &Fact, stamp: Stamp, shelf: &mut Shelf, watch: &mut Watch) {
        let event = E::event(fact).unwrap();
        self.state.apply(event.clone(), stamp);
        self.state.look(self.me, &event, stamp, shelf, watch);
        self.last = stamp.sequence;
    }

    /// Replays an event above a snapshot, where there are no books to compare with.
    pub fn restore_quietly(&mut self, fact: &Fact, stamp: Stamp) {
        self.state.apply(E::event(fact).unwrap(), stamp);
        self.last = stamp.sequence;
    }

    pub fn deliver(&mut self, envelope: Envelope, desk: &mut Desk) {
        let command = E::command(envelope.message).unwrap();
        self.decide(Cause::Command(command), envelope.ticket, envelope.depends, desk);
    }

    pub fn expire(&mut self, desk: &mut Desk) {
        self.decide(Cause::Deadline, None, 0, desk);
    }

    /// Sends again what is owed.
    pub fn redrive(&self, desk: &mut Desk) {
        for effect in self.state.pending() {
            self.carry_out(effect, self.last, desk);
        }
    }

    /// Those who wait get no answer: the connection is gone.
    pub fn hang_up(&mut self) {
        self.parked.clear();
    }

    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn decide(
        &mut self,
        cause: Cause<E::Command>,
        ticket: Option<Ticket>,
        depends: Sequence,
        desk: &mut Desk,
    ) {
        let (decision, seen) = {
            let cx = Context::new(desk.now, &desk.shelf, &POLICY);
            let decision = match cause {
                Cause::Command(command) => self.state.decide(command, &cx),
                Cause::Deadline => self.state.expire(&cx),
            };
            (decision, cx.seen())
        };
        let Decision { events, effects, answer } = decision;
        let recorded = !events.is_empty();
        for event in events {
            self.record(event, desk);
        }
        let depends = depends.max(seen).max(self.last);
        for effect in effects {
            self.carry_out(effect, depends, desk);
        }
        self.respond(answer, ticket, depends, desk);
        if recorded {
            self.settle(desk);
        }
    }

    fn record(&mut self, event: E::Event, desk: &mut Desk) {
        let stamp = desk.log.append(self.me, E::fact(event.clone()), desk.now);
        self.state.apply(event.clone(), stamp);
        self.state.look(self.me, &event, stamp, &mut desk.shelf, &mut desk.watch);
        self.last = stamp.sequence;
    }

    fn carry_out(&self, effect: Effect, depends: Sequence, desk: &mut Desk) {
        match effect {
            Effect::Send { to, message } => {
                desk.post.send(self.me, Envelope { to, message, ticket: None, depends });
            }
            Effect::Call(call) => desk.calls.push(OwedCall { call, depends }),
        }
    }

    fn respond(
        &mut self,
        answer: Answer<E::Ask>,
        ticket: Option<Ticket>,
        depends: Sequence,
        desk: &mut Desk,
    ) {
        let ask = match answer {
            Answer::Nothing => {
                assert_eq!(ticket, None, "{:?}: a client was left without an answer", self.me);
                return;
            }
            Answer::Reject(rejection) => {
                return desk.answer(ticket, depends, Err(rejection));
            }
            Answer::HandOver(to, message) => {
                return desk.post.send(self.me, Envelope { to, message, ticket, depends });
            }
            Answer::Settle(ask) | Answer::Replay(ask) => ask,
        };
        if let Some(ticket) = ticket {
            self.parked.push(Parked { ask, ticket, depends });
            self.settle(desk);
        }
    }

    /// Answers whoever can be answered.
    fn settle(&mut self, desk: &mut Desk) {
        let mut index = 0;
        while index < self.parked.len() {
            let cx = Context::new(desk.now, &desk.shelf, &POLICY);
            match self.state.answer(&self.parked[index].ask, &cx) {
                None => index += 1,
                Some(outcome) => {
                    let seen = cx.seen();
                    let Parked { ticket, depends, .. } = self.parked.remove(index);
                    desk.answer(Some(ticket), depends.max(seen).max(self.last), outcome);
                }
            }
        }
    }
}

impl Desk {
    fn answer(&mut self, ticket: Option<Ticket>, depends: Sequence, outcome: Result<Reply, Rejection>) {
        let Some(ticket) = ticket else { return };
        self.answered += 1;
        self.answers.push(Answered { ticket, depends, outcome, number: self.answered });
    }
}

macro_rules! entities {
    ($($kind:ident: $entity:ident),* $(,)?) => {
        /// An entity of any type.
        pub enum Any { $($kind(Resident<$entity>)),* }

        /// Calls the same method whatever the entity is.
        macro_rules! each {
            ($any:expr, $resident:ident => $do:expr) => {
                match $any { $(Any::$kind($resident) => $do),* }
            };
        }

        impl Any {
            pub fn new(me: Address) -> Self {
                match me.kind { $(Kind::$kind => Self::$kind(Resident::new(me))),* }
            }

            /// Reads back what was serialised.
            pub fn thaw(me: Address, bytes: &[u8], last: Sequence) -> Self {
                let config = bincode::config::standard();
                match me.kind {
                    $(Kind::$kind => {
                        let (state, read) = bincode::serde::decode_from_slice(bytes, config).unwrap();
                        assert_eq!(read, bytes.len());
                        Self::$kind(Resident { me, state, parked: Vec::new(), last })
                    })*
                }
            }

            /// Whether two entities are in the same state.
            pub fn same(&self, other: &Self) -> bool {
                match (self, other) {
                    $((Self::$kind(one), Self::$kind(two)) => one.state == two.state,)*
                    _ => false,
                }
            }
        }
    };
}

entities! {
    Product: Product, Inventory: Inventory, Cart: Cart, Order: Order, Payment: Payment,
    User: User, Email: Email, ApiKeys: ApiKeys, Audit: Audit,
}

impl Any {
    pub fn restore(&mut self, fact: &Fact, stamp: Stamp, shelf: &mut Shelf, watch: &mut Watch) {
        each!(self, resident => resident.restore(fact, stamp, shelf, watch));
    }

    pub fn restore_quietly(&mut self, fact: &Fact, stamp: Stamp) {
        each!(self, resident => resident.restore_quietly(fact, stamp));
    }

    pub fn deliver(&mut self, envelope: Envelope, desk: &mut Desk) {
        each!(self, resident => resident.deliver(envelope, desk));
    }

    pub fn expire(&mut self, desk: &mut Desk) {
        each!(self, resident => resident.expire(desk));
    }

    pub fn redrive(&self, desk: &mut Desk) {
        each!(self, resident => resident.redrive(desk));
    }

    pub fn hang_up(&mut self) {
        each!(self, resident => resident.hang_up());
    }

    pub fn parked(&self) -> usize {
        each!(self, resident => resident.parked())
    }

    pub fn deadline(&self) -> Option<Millis> {
        each!(self, resident => resident.state.deadline())
    }

    pub fn at_rest(&self) -> bool {
        each!(self, resident => resident.state.at_rest())
    }

    pub fn owes(&self) -> bool {
        each!(self, resident => !resident.state.pending().is_empty())
    }

    pub fn last(&self) -> Sequence {
        each!(self, resident => resident.last)
    }

    /// The state in bytes.
    pub fn freeze(&self) -> Vec<u8> {
        let config = bincode::config::standard();
        each!(self, resident => bincode::serde::encode_to_vec(&resident.state, config).unwrap())
    }

    pub fn describe(&self) -> String {
        each!(self, resident => format!("{:?} owes {:?}", resident.state, resident.state.pending()))
    }
}
