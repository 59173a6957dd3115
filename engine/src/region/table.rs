//! The table of who is live, and the gate of each: one host at a time, and no message between two lives.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use relampago_actors::{Address, Millis, Sequence};
use rustc_hash::FxBuildHasher;

use crate::sync::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Turn};

/// Where messages for a live entity are put: its actor, and in models a queue.
pub(crate) trait Mailbox {
    /// What is put there.
    type Message;

    /// Puts a message, or gives it back because nobody will ever take it out.
    fn put(&self, message: Self::Message) -> Result<(), Self::Message>;
}

/// What region and shell share about one life of an entity.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) at: Address,
    /// Messages sent and not yet handled.
    queued: AtomicU32,
    /// When it last handled one.
    pub(super) active: AtomicU64,
    /// No event of it that no snapshot covers is below this; 0 if there is none.
    uncovered: AtomicU64,
    /// The last event in its newest snapshot, or in the state it was loaded from.
    covered: AtomicU64,
    /// Size of its last snapshot, bytes.
    pub(super) size: AtomicUsize,
    /// Whether it was found to owe nothing since it last did something.
    pub(super) quiet: AtomicBool,
}

impl Gate {
    /// For an entity that becomes live by a message, which is counted.
    pub(crate) fn new(at: Address, now: Millis, uncovered: Sequence) -> Self {
        Self {
            at,
            queued: AtomicU32::new(1),
            active: AtomicU64::new(now),
            uncovered: AtomicU64::new(uncovered),
            covered: AtomicU64::new(0),
            size: AtomicUsize::new(0),
            quiet: AtomicBool::new(false),
        }
    }

    /// Before a message is handled: whatever it submits comes at `next` or later.
    pub(crate) fn begin(&self, next: Sequence, now: Millis) {
        if self.uncovered.load(Ordering::Relaxed) == 0 {
            self.uncovered.store(next, Ordering::Release);
        }
        self.active.store(now, Ordering::Relaxed);
        self.quiet.store(false, Ordering::Relaxed);
    }

    /// After a message was carried out; `last` is the entity's last event.
    pub(crate) fn settle(&self, last: Sequence) {
        if last <= self.covered.load(Ordering::Relaxed) {
            self.uncovered.store(0, Ordering::Release);
        }
    }

    /// A message does not count any more.
    pub(crate) fn done(&self) {
        self.queued.fetch_sub(1, Ordering::Release);
    }

    /// Loaded with, or stored up to, the event `covers`; `last` is the entity's last event.
    pub(crate) fn covered(&self, covers: Sequence, last: Sequence, size: usize) {
        self.covered.store(covers, Ordering::Relaxed);
        self.size.store(size, Ordering::Relaxed);
        let uncovered = if last <= covers { 0 } else { covers + 1 };
        self.uncovered.store(uncovered, Ordering::Release);
    }

    pub(crate) fn uncovered(&self) -> Option<Sequence> {
        Some(self.uncovered.load(Ordering::Acquire)).filter(|sequence| *sequence != 0)
    }

    pub(crate) fn set_quiet(&self) {
        self.quiet.store(true, Ordering::Relaxed);
    }
}

/// A live entity.
pub(crate) struct Slot<M> {
    pub(crate) mailbox: M,
    pub(crate) gate: Arc<Gate>,
}

/// What became of a message.
pub(crate) enum Sent<M: Mailbox> {
    /// It is on its way.
    Away,
    /// Nobody hosts the entity.
    NotLive(M::Message),
    /// Its host has died, and is still in the table.
    Dead(M::Message, M),
}

/// Who is live.
pub(crate) struct Table<M> {
    pub(super) slots: DashMap<Address, Slot<M>, FxBuildHasher>,
    turn: Turn,
}

impl<M> Default for Table<M> {
    fn default() -> Self {
        let (slots, turn) = Default::default();
        Self { slots, turn }
    }
}

impl<M: Mailbox + Clone> Table<M> {
    /// Sends a message to a live entity; it is counted at the gate before it is on its way.
    pub(crate) fn send(&self, at: Address, message: M::Message) -> Sent<M> {
        let _turn = self.turn.take();
        let Some(slot) = self.slots.get(&at) else { return Sent::NotLive(message) };
        slot.gate.queued.fetch_add(1, Ordering::Relaxed);
        match slot.mailbox.put(message) {
            Ok(()) => Sent::Away,
            Err(message) => Sent::Dead(message, slot.mailbox.clone()),
        }
    }

    /// Makes an entity live as `begin` does it, which may fail; nobody else can meanwhile.
    pub(crate) fn activate(&self, at: Address, begin: impl FnOnce() -> Option<Slot<M>>) {
        let _turn = self.turn.take();
        if let Entry::Vacant(vacant) = self.slots.entry(at)
            && let Some(slot) = begin()
        {
            vacant.insert(slot);
        }
    }

    /// Takes an entity out, unless another message than the one that is being handled is on its way to it. `leave`
    /// puts its state where its next life looks for it, and may refuse. Gives the mailbox back.
    pub(crate) fn retire(&self, gate: &Gate, leave: impl FnOnce() -> bool) -> Option<M> {
        let _turn = self.turn.take();
        let Entry::Occupied(occupied) = self.slots.entry(gate.at) else { return None };
        // This message itself is still counted.
        if occupied.get().gate.queued.load(Ordering::Acquire) > 1 || !leave() {
            return None;
        }
        Some(occupied.remove().mailbox)
    }

    /// Takes out an entity whose host has died, if it is still that one; `note` is told first what its gate says.
    pub(crate) fn bury(
        &self,
        at: Address,
        is_dead: impl FnOnce(&M) -> bool,
        note: impl FnOnce(&Gate),
    ) -> bool {
        let _turn = self.turn.take();
        let Entry::Occupied(occupied) = self.slots.entry(at) else { return false };
        if !is_dead(&occupied.get().mailbox) {
            return false;
        }
        note(&occupied.get().gate);
        occupied.remove();
        true
    }
}
