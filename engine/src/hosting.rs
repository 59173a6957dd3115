//! Hosting: how any entity of the domain lives in the shell.
//!
//! A new entity needs one arm in [`load`] and one [`Hostable`] block in `kinds`.

mod kinds;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use relampago_actors::{
    Address, Answer, Context, Decision, Effect, Entity, Id, Kind, Message, Millis, Party, Rejection, Reply,
    Sequence, Stamp, api_keys, audit, cart, email, inventory, order, payment, product, user,
};
use relampago_snapshots::codec::{self, CodecError, RecordType};
use smallvec::SmallVec;

use crate::api::{AskError, Trace};
use crate::crosscheck::Ledger;
use crate::figures::Figures;
use crate::node::Node;
use crate::quarantine::Fingerprint;
use crate::record::{self, Unrecordable};
use crate::region::{Envelope, Input};
use crate::reply::{Asker, Verdict};

/// What the engine needs to know of an entity beyond the domain.
pub(crate) trait Hostable: Entity {
    /// How its events are stored.
    const EVENT: RecordType;
    /// How its state is stored.
    const STATE: RecordType;
    /// What it keeps at hand of the read models while it is live.
    type Handle: Default + Send;

    /// Its command, if the message is for its kind.
    fn command(message: Message) -> Option<Self::Command>;

    /// Reads a stored event of any known version.
    fn event(record: &[u8]) -> Result<Self::Event, CodecError> {
        decode(Self::EVENT, record)
    }

    /// Counts an event for the operators.
    fn count(_event: &Self::Event, _figures: &Figures) {}

    /// Tells the cross-check what it holds, at a start.
    fn account(&self, _at: Address, _last: Sequence, _ledger: &mut Ledger) {}

    /// Shows its state to the read models; called after every event.
    fn project(&self, at: Address, sequence: Sequence, handle: &mut Self::Handle, node: &Node);
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(
    expected: RecordType,
    record: &[u8],
) -> Result<T, CodecError> {
    let (found, payload) = codec::decode_header(record)?;
    if found.id != expected.id {
        return Err(CodecError::WrongType { found: found.id, expected: expected.id });
    }
    if found.version != expected.version {
        return Err(CodecError::UnknownVersion { id: found.id, version: found.version });
    }
    codec::decode_payload(payload)
}

/// A stored state, for who only looks at it.
pub(crate) fn read<E: Hostable>(record: &[u8]) -> Result<E, CodecError> {
    decode(E::STATE, record)
}

/// Room that is kept for the next state, bytes.
const PACKING_BYTES: usize = 64 * 1024;

thread_local! {
    /// Where states are encoded: many wait in memory to be stored, and each in no more than it needs.
    static PACKING: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// What a start has to know of an entity without reading its state: stored beside every snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Index {
    /// When it has to be woken.
    pub(crate) deadline: Option<Millis>,
    /// Whether it owes effects.
    pub(crate) owes: bool,
    /// User, status number, time of creation: what lists show.
    pub(crate) listed: Option<(Option<Id>, u8, Millis)>,
}

impl Index {
    pub(crate) const RECORD: RecordType = RecordType { id: 1, version: 1 };

    /// Of a state.
    pub(crate) fn of<E: Entity>(state: &E) -> Self {
        Self {
            deadline: state.deadline(),
            owes: !state.at_rest() && !state.pending().is_empty(),
            listed: state.facets().map(|facets| (facets.user, facets.status, facets.created_at)),
        }
    }

    pub(crate) fn store(&self, out: &mut Vec<u8>) -> Result<(), CodecError> {
        codec::encode(Self::RECORD, self, out)
    }

    pub(crate) fn load(record: &[u8]) -> Result<Self, CodecError> {
        decode(Self::RECORD, record)
    }
}

/// A state on its way out of memory, encoded: in one piece, since many wait to be stored.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// The last event in it.
    pub(crate) covers: Sequence,
    /// Whether effects are owed.
    pub(crate) owes: bool,
    /// The index record, then the state's.
    bytes: Box<[u8]>,
    /// Where the state begins.
    state_at: u32,
}

impl Packed {
    /// The state, as it is stored.
    pub(crate) fn state(&self) -> &[u8] {
        &self.bytes[self.state_at as usize..]
    }

    /// The index entry, as it is stored.
    pub(crate) fn index(&self) -> &[u8] {
        &self.bytes[..self.state_at as usize]
    }
}

/// An entity in memory, whatever its kind.
pub(crate) trait Hosted: Send {
    /// Carries out what came in. A panic in `decide` is answered and survived; one later goes through.
    fn handle(&mut self, envelope: Box<Envelope>, node: &Node);

    /// Makes a recorded event true, at recovery.
    fn replay(&mut self, record: &[u8], stamp: Stamp) -> Result<(), CodecError>;

    /// Shows the state to the read models and to the deadlines, after loading.
    fn publish(&mut self, node: &Node);

    /// Tells the cross-check what it holds, at a start.
    fn account(&self, ledger: &mut Ledger);

    /// Whether it may leave memory at once.
    fn at_rest(&self) -> bool;

    /// Whether nobody waits for it and nothing is owed by it.
    fn idle(&self) -> bool;

    /// The last event in it.
    fn sequence(&self) -> Sequence;

    /// Its state as stored.
    fn pack(&self) -> Result<Packed, CodecError>;
}

/// An entity of a kind, from a stored state or blank.
pub(crate) fn load(at: Address, stored: Option<(Sequence, &[u8])>) -> Result<Box<dyn Hosted>, CodecError> {
    Ok(match at.kind {
        Kind::Product => Box::new(Live::<product::Product>::load(at, stored)?),
        Kind::Inventory => Box::new(Live::<inventory::Inventory>::load(at, stored)?),
        Kind::Cart => Box::new(Live::<cart::Cart>::load(at, stored)?),
        Kind::Order => Box::new(Live::<order::Order>::load(at, stored)?),
        Kind::Payment => Box::new(Live::<payment::Payment>::load(at, stored)?),
        Kind::User => Box::new(Live::<user::User>::load(at, stored)?),
        Kind::Email => Box::new(Live::<email::Email>::load(at, stored)?),
        Kind::ApiKeys => Box::new(Live::<api_keys::ApiKeys>::load(at, stored)?),
        Kind::Audit => Box::new(Live::<audit::Audit>::load(at, stored)?),
    })
}

/// What a blank entity says to a message, where a glance shows that it refuses: nobody has to host it for that.
pub(crate) fn refused_at_once(message: &Message, cx: &Context<'_>) -> Option<Rejection> {
    let Message::Order(command) = message else { return None };
    order::Order::sold_out(command, cx).map(Rejection::from)
}

/// Counts a refusal that no event counts, for the operators.
pub(crate) fn count_refusal(rejection: &Rejection, figures: &Figures) {
    if let Rejection::Order(order::Rejection::OutOfStock { .. }) = rejection {
        figures.orders.refused.increment(1);
    }
}

struct Parked<A> {
    ask: A,
    asker: Asker,
    replay: bool,
}

/// What an answer comes from.
#[derive(Clone, Copy)]
struct Causes {
    /// What has to be durable before it leaves.
    needs: Sequence,
    trace: Trace,
}

struct Live<E: Hostable> {
    at: Address,
    state: E,
    /// Of the last event in `state`.
    sequence: Sequence,
    parked: Vec<Parked<E::Ask>>,
    /// When it is woken at the latest: not after its deadline.
    woken: Option<Millis>,
    handle: E::Handle,
}

impl<E: Hostable> Live<E> {
    fn load(at: Address, stored: Option<(Sequence, &[u8])>) -> Result<Self, CodecError> {
        let (sequence, state) = match stored {
            Some((covers, state)) => (covers, decode(E::STATE, state)?),
            None => (0, E::blank(at.id)),
        };
        let woken = state.deadline();
        Ok(Self { at, state, sequence, parked: Vec::new(), woken, handle: E::Handle::default() })
    }

    fn decide(&self, input: Input, cx: &Context<'_>) -> Option<Decision<E>> {
        #[cfg(any(test, feature = "injection"))]
        crate::injection::fall(crate::injection::At::Deciding, self.at);
        #[cfg(test)]
        crate::injection::fall(crate::injection::At::DecidingFor(cx.by), self.at);
        #[cfg(feature = "injection")]
        if let Input::Message(message) = &input {
            crate::injection::fall_over(message, self.at);
        }
        #[cfg(test)]
        let input = crate::rules::misunderstood(self.at, input);
        match input {
            Input::Message(message) => Some(self.state.decide(E::command(message)?, cx)),
            Input::Deadline => Some(self.state.expire(cx)),
            Input::Redrive => Some(Decision::nothing().owing(self.state.pending())),
        }
    }

    /// Submits the events and makes them true. No await, no return in between.
    fn record(
        &mut self,
        events: SmallVec<[E::Event; 1]>,
        now: Millis,
        node: &Node,
    ) -> Result<(), Unrecordable> {
        let count = events.len();
        let first = record::submit(self.at, now, E::EVENT, &events, node)?;
        #[cfg(any(test, feature = "injection"))]
        crate::injection::fall(crate::injection::At::Submitted, self.at);
        for (sequence, event) in (first..).zip(events) {
            #[cfg(any(test, feature = "injection"))]
            crate::injection::fall(crate::injection::At::Applying, self.at);
            E::count(&event, &node.figures);
            self.state.apply(event, Stamp { sequence, at: now });
        }
        self.sequence = first + count as u64 - 1;
        self.state.project(self.at, self.sequence, &mut self.handle, node);
        self.schedule(node);
        #[cfg(any(test, feature = "injection"))]
        crate::injection::fall(crate::injection::At::Applied, self.at);
        Ok(())
    }

    /// Sees to it that the entity is woken at its deadline or before: woken early, it asks again.
    fn schedule(&mut self, node: &Node) {
        let Some(deadline) = self.state.deadline() else { return };
        if self.woken.is_none_or(|woken| deadline < woken) {
            self.woken = Some(deadline);
            node.deadlines.schedule(deadline, self.at);
        }
    }

    fn answer(
        &mut self,
        answer: Answer<E::Ask>,
        asker: Option<Asker>,
        Causes { needs, trace }: Causes,
        cx: &Context<'_>,
        node: &Node,
    ) {
        let Some(asker) = asker else { return };
        match answer {
            Answer::Reject(rejection) => {
                count_refusal(&rejection, &node.figures);
                node.committer.release(needs, asker, Verdict::No(rejection));
            }
            Answer::Settle(ask) => self.settle(Parked { ask, asker, replay: false }, needs, cx, node),
            Answer::Replay(ask) => self.settle(Parked { ask, asker, replay: true }, needs, cx, node),
            Answer::HandOver(to, message) => {
                let input = Input::Message(message);
                let envelope = Envelope { to, input, asker: Some(asker), depends: needs, by: cx.by, trace };
                node.region.deliver(envelope, node);
            }
            // A message that nobody is to be told about was sent by a client: a fault of the edge.
            Answer::Nothing => asker.answer(Err(AskError::Faulted)),
        }
    }

    fn settle(&mut self, parked: Parked<E::Ask>, needs: Sequence, cx: &Context<'_>, node: &Node) {
        // What was decided stands: a panic here must not take the entity from those who ask something else.
        let found = catch_unwind(AssertUnwindSafe(|| self.find_answer(&parked.ask, cx)));
        let Ok(found) = found else {
            tracing::error!(entity = ?self.at, "an answer could not be found; the entity is unchanged");
            node.figures.panics.increment(1);
            node.figures.faulted(self.at);
            return parked.asker.answer(Err(AskError::OutcomeUnknown));
        };
        match found {
            None => {
                let mut parked = parked;
                if parked.replay {
                    parked.asker.join();
                }
                self.parked.push(parked);
            }
            Some(outcome) => {
                let verdict = match outcome {
                    Ok(reply) => Verdict::Yes { reply, replayed: parked.replay },
                    Err(rejection) => Verdict::No(rejection),
                };
                node.committer.release(needs.max(cx.seen()), parked.asker, verdict);
            }
        }
    }

    fn find_answer(&self, ask: &E::Ask, cx: &Context<'_>) -> Option<Result<Reply, Rejection>> {
        #[cfg(any(test, feature = "injection"))]
        crate::injection::fall(crate::injection::At::Answering, self.at);
        self.state.answer(ask, cx)
    }

    /// A command could not be carried out, and nothing was: answered and remembered.
    fn fault(
        &self,
        command: Option<Fingerprint>,
        asker: Option<Asker>,
        trace: Trace,
        cx: &Context<'_>,
        node: &Node,
    ) {
        let what = "a command could not be carried out; the entity is unchanged";
        tracing::error!(entity = ?self.at, trace_id = trace.field(), "{what}");
        node.figures.faulted(self.at);
        if let Some(command) = command {
            node.quarantine.remember(self.at, command, self.sequence, cx.now);
        }
        answer_fault(asker);
    }

    fn settle_parked(&mut self, needs: Sequence, cx: &Context<'_>, node: &Node) {
        for parked in std::mem::take(&mut self.parked) {
            self.settle(parked, needs, cx, node);
        }
    }
}

fn answer_fault(asker: Option<Asker>) {
    if let Some(asker) = asker {
        asker.answer(Err(AskError::Faulted));
    }
}

impl<E: Hostable> Hosted for Live<E> {
    fn handle(&mut self, envelope: Box<Envelope>, node: &Node) {
        let Envelope { input, asker, depends, by, trace, .. } = *envelope;
        let (cx, due) = (node.context().by(by), matches!(input, Input::Deadline));
        self.parked.retain(|parked| !parked.asker.is_gone());
        let command = match &input {
            Input::Message(message) => Some(Fingerprint::of(message, by)),
            Input::Deadline | Input::Redrive => None,
        };
        if command.is_some_and(|command| node.quarantine.holds(self.at, command, self.sequence, cx.now)) {
            node.figures.quarantined.increment(1);
            return answer_fault(asker);
        }
        let decided = catch_unwind(AssertUnwindSafe(|| self.decide(input, &cx)));
        if decided.is_err() {
            node.figures.panics.increment(1);
        }
        let Ok(Some(Decision { events, effects, answer })) = decided else {
            return self.fault(command, asker, trace, &cx, node);
        };
        let changed = !events.is_empty();
        if due {
            self.woken = None;
        }
        if changed && let Err(error) = self.record(events, cx.now, node) {
            tracing::error!(entity = ?self.at, trace_id = trace.field(), %error, "an event cannot be recorded");
            return self.fault(command, asker, trace, &cx, node);
        }
        if due {
            self.schedule(node);
        }
        let needs = self.sequence.max(depends).max(cx.seen());
        // Of the id only what nobody can use: who knows a cart's may do everything with it.
        tracing::debug!(
            kind = self.at.kind.name(),
            id_end = %format_args!("{:08x}", self.at.id.0 as u32),
            trace_id = trace.field(),
            changed,
            sequence = self.sequence,
            effects = effects.len(),
            "an entity has handled a message"
        );
        for effect in effects {
            match effect {
                Effect::Send { to, message } => {
                    let input = Input::Message(message);
                    let by = Party::Shop;
                    node.region.deliver(Envelope { to, input, asker: None, depends: needs, by, trace }, node);
                }
                Effect::Call(call) => node.outbox.call(call, needs, trace, node),
            }
        }
        self.answer(answer, asker, Causes { needs, trace }, &cx, node);
        if changed && !self.parked.is_empty() {
            self.settle_parked(needs, &cx, node);
        }
    }

    fn replay(&mut self, record: &[u8], stamp: Stamp) -> Result<(), CodecError> {
        let event = E::event(record)?;
        #[cfg(any(test, feature = "injection"))]
        crate::injection::fall(crate::injection::At::Applying, self.at);
        self.state.apply(event, stamp);
        self.sequence = stamp.sequence;
        Ok(())
    }

    fn publish(&mut self, node: &Node) {
        self.state.project(self.at, self.sequence, &mut self.handle, node);
        self.woken = None;
        self.schedule(node);
    }

    fn account(&self, ledger: &mut Ledger) {
        self.state.account(self.at, self.sequence, ledger);
    }

    fn at_rest(&self) -> bool {
        self.parked.is_empty() && self.state.at_rest()
    }

    fn idle(&self) -> bool {
        self.parked.is_empty() && (self.state.at_rest() || self.state.pending().is_empty())
    }

    fn sequence(&self) -> Sequence {
        self.sequence
    }

    fn pack(&self) -> Result<Packed, CodecError> {
        let index = Index::of(&self.state);
        PACKING.with_borrow_mut(|scratch| {
            scratch.clear();
            index.store(scratch)?;
            // An index entry has some fifty bytes.
            let state_at = scratch.len() as u32;
            codec::encode(E::STATE, &self.state, scratch)?;
            let bytes = scratch.as_slice().into();
            // The state of a product that many hold is larger than all others together.
            scratch.clear();
            scratch.shrink_to(PACKING_BYTES);
            Ok(Packed { covers: self.sequence, owes: index.owes, bytes, state_at })
        })
    }
}
