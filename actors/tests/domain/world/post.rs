//! Messages under way: first in, first out between each two, in any order otherwise.

use std::collections::VecDeque;

use relampago_actors::{Address, Message, Sequence};

use super::dice::Dice;

/// Who sent a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Entity(Address),
    /// A client's request or an answer of the provider: each on a connection of its own.
    Outside(usize),
}

/// One sending of a client's request; its answer goes there.
pub type Ticket = usize;

/// A message, who waits for the answer, and the event it depends on.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub to: Address,
    pub message: Message,
    pub ticket: Option<Ticket>,
    pub depends: Sequence,
}

#[derive(Default)]
pub struct Post {
    lanes: Vec<(Sender, Address, VecDeque<Envelope>)>,
    connections: usize,
}

impl Post {
    pub fn send(&mut self, from: Address, envelope: Envelope) {
        self.put(Sender::Entity(from), envelope);
    }

    /// From a client or the provider.
    pub fn send_from_outside(&mut self, envelope: Envelope) {
        self.connections += 1;
        self.put(Sender::Outside(self.connections), envelope);
    }

    fn put(&mut self, from: Sender, envelope: Envelope) {
        let to = envelope.to;
        match self.lanes.iter_mut().find(|(sender, receiver, _)| *sender == from && *receiver == to) {
            Some((.., lane)) => lane.push_back(envelope),
            None => self.lanes.push((from, to, VecDeque::from([envelope]))),
        }
    }

    /// The first message of some lane.
    pub fn take(&mut self, dice: &mut Dice) -> Option<Envelope> {
        if self.lanes.is_empty() {
            return None;
        }
        let index = dice.below(self.lanes.len());
        let lane = &mut self.lanes[index].2;
        let envelope = lane.pop_front();
        if lane.is_empty() {
            self.lanes.swap_remove(index);
        }
        envelope
    }

    pub fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// An actor dies: what waits in its mailbox is lost.
    pub fn lose_those_to(&mut self, receiver: Address) {
        self.lanes.retain(|(_, to, _)| *to != receiver);
    }

    /// A crash: everything under way is lost.
    pub fn lose_all(&mut self) {
        self.lanes.clear();
    }
}
