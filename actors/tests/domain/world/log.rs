//! The journal of a world: everything recorded, and how much of it a crash would leave.

use relampago_actors::{
    Address, Millis, Sequence, Stamp, api_keys, audit, cart, email, inventory, order, payment, product, user,
};

/// An event of any entity.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    Product(product::Event),
    Inventory(inventory::Event),
    Cart(cart::Event),
    Order(order::Event),
    Payment(payment::Event),
    User(user::Event),
    Email(email::Event),
    ApiKeys(api_keys::Event),
    Audit(audit::Event),
}

/// A recorded event.
#[derive(Clone, Debug)]
pub struct Entry {
    pub of: Address,
    pub stamp: Stamp,
    pub fact: Fact,
}

#[derive(Default)]
pub struct Log {
    entries: Vec<Entry>,
    /// The last sequence ever given out: none is used twice, also not after a crash.
    last: Sequence,
    durable: Sequence,
}

impl Log {
    pub fn append(&mut self, of: Address, fact: Fact, at: Millis) -> Stamp {
        self.last += 1;
        let stamp = Stamp { sequence: self.last, at };
        self.entries.push(Entry { of, stamp, fact });
        stamp
    }

    /// Makes everything up to `sequence` durable, as far as it is recorded.
    pub fn make_durable(&mut self, sequence: Sequence) {
        self.durable = self.durable.max(sequence.min(self.last));
    }

    pub fn durable(&self) -> Sequence {
        self.durable
    }

    pub fn last(&self) -> Sequence {
        self.last
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// A crash: what is not durable is gone; what is left is made durable before anything else.
    pub fn lose_tail(&mut self) {
        let durable = self.durable;
        self.entries.retain(|entry| entry.stamp.sequence <= durable);
        self.durable = self.last;
    }
}
