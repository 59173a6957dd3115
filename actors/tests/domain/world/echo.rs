//! Messages that come once more: past younger ones of the same sender, and even after a crash.
//!
//! The engine does not do that: its mailboxes keep the order between each two, and a crash empties them. But for what
//! [`may_come_again`] names the domain bears it, and so does not rely on how it is hosted.

use relampago_actors::{Message, Sequence, inventory};

use super::dice::Dice;
use super::post::Envelope;

/// How many messages may come once more, at the most.
const KEPT: usize = 40;

/// Messages that arrived and may come once more.
#[derive(Default)]
pub struct Echoes(Vec<Envelope>);

impl Echoes {
    /// Takes note of a message that arrives.
    pub fn note(&mut self, envelope: &Envelope, dice: &mut Dice) {
        // A client's request is repeated by the client.
        if envelope.ticket.is_some() || !may_come_again(&envelope.message) {
            return;
        }
        if self.0.len() < KEPT {
            self.0.push(envelope.clone());
        } else {
            self.0[dice.below(KEPT)] = envelope.clone();
        }
    }

    /// One of them.
    pub fn take(&mut self, dice: &mut Dice) -> Option<Envelope> {
        let index = (!self.0.is_empty()).then(|| dice.below(self.0.len()))?;
        Some(self.0.swap_remove(index))
    }

    /// A crash: what had a cause that is lost was never sent.
    pub fn lose_tail(&mut self, durable: Sequence) {
        self.0.retain(|envelope| envelope.depends <= durable);
    }

    /// No more trouble.
    pub fn fade(&mut self) {
        self.0.clear();
    }
}

/// Where the order of messages between two counts: a restocking is remembered only until its order says that it will
/// not ask again, and an address does not remember who gave it back.
fn may_come_again(message: &Message) -> bool {
    !matches!(message, Message::Inventory(inventory::Command::Restock { .. }) | Message::Email(_))
}
