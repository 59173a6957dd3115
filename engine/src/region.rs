//! Who is live: from an address to the actor that hosts it.
//!
//! Activation, passivation and restart happen under the lock of the address's table entry; messages are
//! counted at the gate under the same lock. So there is one host at a time, a host leaves only when no
//! message is on its way to it, and none is lost between two of an entity's lives.

pub(crate) mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use parking_lot::Mutex;
use ractor::{ActorCell, ActorId, ActorRef, MessagingErr};
use relampago_actors::{Address, Kind, Message, Millis, Party, Rejection, Sequence};
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::api::Trace;
use crate::hosting::{self, Hosted, Packed};
use crate::node::Node;
use crate::reply::{Asker, Verdict};
use crate::shell::{self, ShellMessage};

pub(crate) use table::Gate;
use table::{Mailbox, Sent, Slot, Table};

/// What can come to an entity.
#[derive(Debug)]
pub(crate) enum Input {
    /// A command or an answer.
    Message(Message),
    /// Its deadline may have passed.
    Deadline,
    /// What it owes is to be sent again.
    Redrive,
}

/// Something on its way to an entity.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) to: Address,
    pub(crate) input: Input,
    pub(crate) asker: Option<Asker>,
    /// The highest sequence that the message depends on.
    pub(crate) depends: Sequence,
    /// In whose name it comes.
    pub(crate) by: Party,
    /// The trace of the request that led to it.
    pub(crate) trace: Trace,
}

impl Envelope {
    /// From the engine itself, with nobody waiting.
    pub(crate) fn own(to: Address, input: Input) -> Self {
        Self { to, input, asker: None, depends: 0, by: Party::Shop, trace: Trace::default() }
    }
}

impl Mailbox for ActorRef<ShellMessage> {
    type Message = ShellMessage;

    fn put(&self, message: ShellMessage) -> Result<(), ShellMessage> {
        match self.cast(message) {
            Err(MessagingErr::SendErr(message)) => Err(message),
            // The other errors are about actors of another type or node.
            _ => Ok(()),
        }
    }
}

/// A state that has left memory and is not yet in the snapshot store.
#[derive(Clone)]
pub(crate) struct Resting {
    pub(crate) packed: Arc<Packed>,
    /// No event of it that the snapshot store lacks is below this.
    pub(crate) uncovered: Sequence,
}

/// What is known of an entity whose actor died.
#[derive(Clone, Copy)]
pub(crate) struct Broken {
    /// No event that its stored state lacks is below this.
    pub(crate) uncovered: Sequence,
    /// None is above this.
    pub(crate) until: Sequence,
}

/// Where an entity's state is to be had from when it becomes live.
pub(crate) enum Origin {
    /// From memory: it rested, or was never stored.
    Resting(Resting),
    /// From the snapshot store, if that has it.
    Store,
    /// Its actor died: from what was stored last, and the journal.
    Rebuild(Broken),
}

#[derive(Default)]
pub(crate) struct Region {
    live: Table<ActorRef<ShellMessage>>,
    resting: DashMap<Address, Resting, FxBuildHasher>,
    /// Entities whose actor died; they are rebuilt when they become live again.
    broken: Mutex<FxHashMap<Address, Broken>>,
    broken_count: AtomicUsize,
    /// How many actors died, in all and by entity.
    burials: AtomicU64,
    deaths: Mutex<FxHashMap<Address, u32>>,
    /// Shells without an entity.
    free: Mutex<Vec<ActorRef<ShellMessage>>>,
    supervisor: std::sync::OnceLock<ActorCell>,
}

/// What to do with a live entity that was looked at.
pub(crate) struct Seen {
    pub(crate) gate: Arc<Gate>,
    pub(crate) idle_ms: u64,
    pub(crate) quiet: bool,
    pub(crate) size: usize,
}

impl Region {
    pub(crate) fn supervise(&self, supervisor: ActorCell) {
        // Set once, at the start of the node.
        let _already = self.supervisor.set(supervisor);
    }

    /// Sends a message to its entity, which becomes live if it is not.
    pub(crate) fn deliver(&self, envelope: Envelope, node: &Node) {
        // Boxed once: it is handed on a dozen times.
        let mut unsent = Some(Box::new(envelope));
        while let Some(envelope) = unsent {
            unsent = self.send(envelope, node).and_then(|envelope| self.activate(envelope, node));
        }
    }

    /// Sends a message to an entity if it is live, or gives it back.
    fn send(&self, envelope: Box<Envelope>, node: &Node) -> Option<Box<Envelope>> {
        let to = envelope.to;
        let unsent = match self.live.send(to, ShellMessage::Deliver(envelope)) {
            Sent::Away => return None,
            Sent::NotLive(unsent) => unsent,
            Sent::Dead(unsent, actor) => {
                self.bury(to, actor.get_id(), node);
                unsent
            }
        };
        if let ShellMessage::Deliver(envelope) = unsent { Some(envelope) } else { None }
    }

    /// Makes an entity live with a first message; gives the message back if that has to be tried again. Once
    /// no entity can be hosted any more the message is dropped, which tells its asker.
    fn activate(&self, envelope: Box<Envelope>, node: &Node) -> Option<Box<Envelope>> {
        let at = envelope.to;
        let glance = Glance::at(&envelope, node);
        let mut unsent = Some(envelope);
        let mut refused = None;
        self.live.activate(at, || {
            let mut first = unsent.take()?;
            let origin = self.origin(at);
            // Under the lock: it does not come to be meanwhile, and what is not there now was not there at the glance.
            if glance.is_some() && matches!(origin, Origin::Store) && !node.store.holds(&at.key()) {
                refused = first.asker.take();
                return None;
            }
            let actor = self.shell(node)?;
            let uncovered = match &origin {
                Origin::Resting(resting) => resting.uncovered,
                Origin::Store => 0,
                Origin::Rebuild(broken) => broken.uncovered,
            };
            let rebuilt = matches!(origin, Origin::Rebuild(_));
            #[cfg(any(test, feature = "injection"))]
            crate::injection::fall(crate::injection::At::Activating, at);
            let gate = Arc::new(Gate::new(at, node.clock.now(), uncovered));
            // If it died while it was free another one is taken.
            if let Err(ShellMessage::Host { first, .. }) =
                actor.put(ShellMessage::Host { gate: Arc::clone(&gate), origin, first })
            {
                unsent = Some(first);
                return None;
            }
            if rebuilt {
                // Its gate says from now on what it needs. Not earlier: else a panic on the way would leave
                // nobody who knows that its stored state lacks something.
                self.forget_broken(at);
            }
            node.figures.activated(at.kind);
            Some(Slot { mailbox: actor, gate })
        });
        if let (Some(asker), Some(glance)) = (refused, glance) {
            glance.refuse(at, asker, node);
        }
        unsent
    }

    fn origin(&self, at: Address) -> Origin {
        if self.broken_count.load(Ordering::Acquire) > 0 {
            let known = self.broken.lock().get(&at).copied();
            if let Some(known) = known {
                return Origin::Rebuild(known);
            }
        }
        self.resting.get(&at).map_or(Origin::Store, |resting| Origin::Resting(resting.clone()))
    }

    fn shell(&self, node: &Node) -> Option<ActorRef<ShellMessage>> {
        if let Some(actor) = self.free.lock().pop() {
            return Some(actor);
        }
        shell::spawn(node.shared()?, self.supervisor.get()?.clone())
    }

    /// Takes an entity out of memory, unless a message is on its way to it. The state is found under
    /// [`Origin::Resting`] until it is stored.
    pub(crate) fn retire(&self, gate: &Gate, hosted: &dyn Hosted, node: &Node) -> bool {
        let Some(actor) = self.live.retire(gate, || self.leave(gate, hosted)) else { return false };
        self.keep_free(actor, node.limits.resident);
        node.figures.passivated(gate.at.kind);
        true
    }

    /// Lets a state rest that no snapshot has; whether that was possible.
    fn leave(&self, gate: &Gate, hosted: &dyn Hosted) -> bool {
        if let Some(uncovered) = gate.uncovered() {
            match hosted.pack() {
                Ok(packed) => {
                    self.rest(gate.at, Resting { packed: Arc::new(packed), uncovered });
                }
                Err(error) => {
                    tracing::error!(entity = ?gate.at, %error, "a state could not be encoded");
                    return false;
                }
            }
        }
        #[cfg(any(test, feature = "injection"))]
        crate::injection::fall(crate::injection::At::Retiring, gate.at);
        true
    }

    /// Keeps a shell for the next entity, unless there are more than entities may be live.
    fn keep_free(&self, actor: ActorRef<ShellMessage>, at_most: usize) {
        let mut free = self.free.lock();
        if free.len() < at_most {
            free.push(actor);
        } else {
            drop(free);
            actor.stop(None);
        }
    }

    /// An actor has died: its entity is rebuilt when it is needed next.
    pub(crate) fn bury(&self, at: Address, dead: ActorId, node: &Node) {
        let note = |gate: &Gate| {
            tracing::error!(entity = ?at, "an actor died; its entity is rebuilt");
            let until = node.committer.next() - 1;
            // Its gate was told before anything was submitted.
            let uncovered = gate.uncovered().unwrap_or(until + 1);
            self.note_broken(at, Broken { uncovered, until });
            self.burials.fetch_add(1, Ordering::AcqRel);
            *self.deaths.lock().entry(at).or_default() += 1;
        };
        if self.live.bury(at, |actor| actor.get_id() == dead, note) {
            node.figures.restarted(at.kind);
        }
    }

    /// How often an entity's actor has died.
    pub(crate) fn deaths(&self, at: Address) -> u32 {
        self.deaths.lock().get(&at).copied().unwrap_or(0)
    }

    fn note_broken(&self, at: Address, known: Broken) {
        let mut broken = self.broken.lock();
        broken.insert(at, known);
        self.broken_count.store(broken.len(), Ordering::Release);
    }

    fn forget_broken(&self, at: Address) {
        let mut broken = self.broken.lock();
        broken.remove(&at);
        self.broken_count.store(broken.len(), Ordering::Release);
    }

    /// The entity that an actor hosts.
    pub(crate) fn hosted_by(&self, actor: ActorId) -> Option<Address> {
        self.live.slots.iter().find(|slot| slot.mailbox.get_id() == actor).map(|slot| *slot.key())
    }

    /// A state that rests until it is stored: at recovery, or as the snapshot of a live entity.
    pub(crate) fn rest(&self, at: Address, resting: Resting) {
        match self.resting.entry(at) {
            Entry::Vacant(vacant) => {
                vacant.insert(resting);
            }
            Entry::Occupied(mut older) => {
                // What the older one covers is not stored either.
                let uncovered = older.get().uncovered.min(resting.uncovered);
                older.insert(Resting { uncovered, ..resting });
            }
        }
    }

    /// The state of one entity, if it rests.
    pub(crate) fn resting_at(&self, at: Address) -> Option<Resting> {
        self.resting.get(&at).map(|resting| resting.clone())
    }

    /// States that wait to be stored.
    pub(crate) fn resting(&self) -> Vec<(Address, Resting)> {
        self.resting.iter().map(|resting| (*resting.key(), resting.value().clone())).collect()
    }

    /// Gives back the room of states that rested here before.
    pub(crate) fn shrink_resting(&self) {
        self.resting.shrink_to_fit();
    }

    pub(crate) fn resting_count(&self) -> usize {
        self.resting.len()
    }

    /// A state is in the snapshot store now: it need not rest, if it is still the newest.
    pub(crate) fn stored(&self, at: Address, covers: Sequence) {
        if let Entry::Occupied(mut resting) = self.resting.entry(at) {
            if resting.get().packed.covers <= covers {
                resting.remove();
            } else {
                // What is newer lacks less now: else one that rests again and again would hold the journal for ever.
                let newer = resting.get_mut();
                newer.uncovered = newer.uncovered.max(covers + 1);
            }
        }
    }

    /// The lowest sequence that a live, resting or broken entity may need from the journal.
    pub(crate) fn uncovered(&self) -> Option<Sequence> {
        let burials = self.burials.load(Ordering::Acquire);
        // In the order in which an entity moves: from broken to live, from live to resting.
        let broken = self.broken.lock().values().map(|broken| broken.uncovered).min();
        #[cfg(test)]
        crate::rules::meanwhile(crate::rules::Between::DeadAndLiving);
        let live = self.live.slots.iter().filter_map(|slot| slot.gate.uncovered()).min();
        let resting = self.resting.iter().map(|resting| resting.uncovered).min();
        if burials != self.burials.load(Ordering::Acquire) {
            // One moved the other way meanwhile, from live to broken, and may have been missed.
            return Some(1);
        }
        [live, resting, broken].into_iter().flatten().min()
    }

    /// A look at every live entity.
    pub(crate) fn look(&self, now: Millis) -> Vec<Seen> {
        let seen = |slot: dashmap::mapref::multiple::RefMulti<'_, Address, Slot<_>>| Seen {
            gate: Arc::clone(&slot.gate),
            idle_ms: now.saturating_sub(slot.gate.active.load(Ordering::Relaxed)),
            quiet: slot.gate.quiet.load(Ordering::Relaxed),
            size: slot.gate.size.load(Ordering::Relaxed),
        };
        self.live.slots.iter().map(seen).collect()
    }

    pub(crate) fn live_count(&self) -> usize {
        self.live.slots.len()
    }

    /// Live entities by kind.
    pub(crate) fn live_by_kind(&self) -> Vec<(Kind, u64)> {
        let mut counts = Kind::ALL.map(|kind| (kind, 0));
        for slot in &self.live.slots {
            if let Some((_, count)) = counts.iter_mut().find(|(kind, _)| *kind == slot.key().kind) {
                *count += 1;
            }
        }
        counts.to_vec()
    }

    /// Sends something other than a message to a live entity's shell; it counts at the gate as one.
    pub(crate) fn nudge(&self, at: Address, message: ShellMessage) {
        // A dead actor is buried by its supervisor.
        let _sent = self.live.send(at, message);
    }

    /// Ends every actor: the supervisor, and its children with it. What their gates say stays.
    pub(crate) async fn stop(&self) {
        self.free.lock().clear();
        if let Some(supervisor) = self.supervisor.get() {
            // Only an actor that is gone already cannot be stopped.
            let _gone = supervisor.stop_and_wait(None, None).await;
        }
    }

    /// Forgets the actors, which have ended.
    pub(crate) fn forget(&self) {
        self.live.slots.clear();
    }
}

/// A client's command was seen to be refused by an entity that never was: then nobody has to be hosted for it.
struct Glance {
    rejection: Rejection,
    /// What it reflects, which has to be durable before it leaves.
    position: Sequence,
    trace: Trace,
}

impl Glance {
    fn at(envelope: &Envelope, node: &Node) -> Option<Self> {
        let (Input::Message(message), Some(_)) = (&envelope.input, &envelope.asker) else { return None };
        let durable = node.committer.durable();
        let cx = node.context().by(envelope.by);
        // Whoever panics here does so again in its own actor, where that is seen to.
        let refused = catch_unwind(AssertUnwindSafe(|| hosting::refused_at_once(message, &cx)));
        let rejection = refused.ok()??;
        let position = durable.max(cx.seen()).max(envelope.depends);
        Some(Self { rejection, position, trace: envelope.trace })
    }

    fn refuse(self, at: Address, asker: Asker, node: &Node) {
        tracing::debug!(kind = at.kind.name(), trace_id = self.trace.field(), "refused at a glance");
        hosting::count_refusal(&self.rejection, &node.figures);
        node.committer.release_as_of(self.position, asker, Verdict::No(self.rejection));
    }
}

#[cfg(test)]
mod tests;
