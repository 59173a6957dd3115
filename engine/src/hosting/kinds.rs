//! The kinds of entities: how each is stored, and which read models see it.

use relampago_actors::{
    Address, Entity, Facets, Kind, Message, Sequence, api_keys, audit, cart, email, inventory, order,
    payment, product, user,
};
use relampago_snapshots::codec::RecordType;

use super::Hostable;
use crate::crosscheck::Ledger;
use crate::figures::Figures;
use crate::node::Node;
use crate::views::StockHandle;

/// Record types: an event is `kind * 256`, a state one more. Stored: never reuse a number.
const fn event_type(kind: Kind) -> RecordType {
    RecordType { id: kind as u16 * 256, version: 1 }
}

const fn state_type(kind: Kind) -> RecordType {
    RecordType { id: kind as u16 * 256 + 1, version: 1 }
}

impl Hostable for product::Product {
    const EVENT: RecordType = event_type(Kind::Product);
    const STATE: RecordType = state_type(Kind::Product);
    type Handle = ();

    fn command(message: Message) -> Option<product::Command> {
        if let Message::Product(command) = message { Some(command) } else { None }
    }

    fn project(&self, at: Address, sequence: Sequence, _handle: &mut (), node: &Node) {
        node.catalogue.record_product(at.id, self, sequence);
    }
}

impl Hostable for inventory::Inventory {
    const EVENT: RecordType = event_type(Kind::Inventory);
    const STATE: RecordType = state_type(Kind::Inventory);
    type Handle = StockHandle;

    fn command(message: Message) -> Option<inventory::Command> {
        if let Message::Inventory(command) = message { Some(command) } else { None }
    }

    fn count(event: &inventory::Event, figures: &Figures) {
        match event {
            inventory::Event::Reserved { .. } => figures.reservations.reserved.increment(1),
            inventory::Event::Released { .. } => figures.reservations.released.increment(1),
            inventory::Event::Sold { .. } => figures.reservations.sold.increment(1),
            inventory::Event::Restocked { .. } => figures.reservations.restocked.increment(1),
            _ => {}
        }
    }

    fn account(&self, at: Address, last: Sequence, ledger: &mut Ledger) {
        ledger.found_inventory(at.id, self, last);
    }

    fn project(&self, at: Address, sequence: Sequence, handle: &mut StockHandle, node: &Node) {
        if let Some(view) = self.view() {
            node.catalogue.stock(at, handle).record(view.available, sequence);
        }
    }
}

impl Hostable for cart::Cart {
    const EVENT: RecordType = event_type(Kind::Cart);
    const STATE: RecordType = state_type(Kind::Cart);
    type Handle = ();

    fn command(message: Message) -> Option<cart::Command> {
        if let Message::Cart(command) = message { Some(command) } else { None }
    }

    fn project(&self, _at: Address, _sequence: Sequence, _handle: &mut (), _node: &Node) {}
}

impl Hostable for order::Order {
    const EVENT: RecordType = event_type(Kind::Order);
    const STATE: RecordType = state_type(Kind::Order);
    type Handle = Option<Facets>;

    fn command(message: Message) -> Option<order::Command> {
        if let Message::Order(command) = message { Some(command) } else { None }
    }

    fn count(event: &order::Event, figures: &Figures) {
        match event {
            order::Event::Placed { .. } => figures.orders.placed.increment(1),
            order::Event::Refused { .. } => figures.orders.refused.increment(1),
            order::Event::Paid { .. } => figures.orders.paid.increment(1),
            order::Event::Cancelled { cause: order::Cause::Requested, .. } => {
                figures.orders.cancelled.increment(1);
            }
            order::Event::Cancelled { cause: order::Cause::Expired, .. } => {
                figures.orders.expired.increment(1);
            }
            _ => {}
        }
    }

    fn account(&self, at: Address, _last: Sequence, ledger: &mut Ledger) {
        ledger.found_order(at.id, self);
    }

    fn project(&self, at: Address, sequence: Sequence, shown: &mut Option<Facets>, node: &Node) {
        let facets = self.facets();
        if facets.is_some() && *shown != facets {
            *shown = facets;
            node.orders.record(at.id, facets, sequence);
        }
    }
}

impl Hostable for payment::Payment {
    const EVENT: RecordType = event_type(Kind::Payment);
    const STATE: RecordType = state_type(Kind::Payment);
    type Handle = ();

    fn command(message: Message) -> Option<payment::Command> {
        if let Message::Payment(command) = message { Some(command) } else { None }
    }

    fn project(&self, _at: Address, _sequence: Sequence, _handle: &mut (), _node: &Node) {}
}

impl Hostable for user::User {
    const EVENT: RecordType = event_type(Kind::User);
    const STATE: RecordType = state_type(Kind::User);
    type Handle = ();

    fn command(message: Message) -> Option<user::Command> {
        if let Message::User(command) = message { Some(command) } else { None }
    }

    fn project(&self, at: Address, sequence: Sequence, _handle: &mut (), node: &Node) {
        node.watches.settle(at, sequence, |session| self.session_live(session));
    }
}

impl Hostable for email::Email {
    const EVENT: RecordType = event_type(Kind::Email);
    const STATE: RecordType = state_type(Kind::Email);
    type Handle = ();

    fn command(message: Message) -> Option<email::Command> {
        if let Message::Email(command) = message { Some(command) } else { None }
    }

    fn project(&self, _at: Address, _sequence: Sequence, _handle: &mut (), _node: &Node) {}
}

impl Hostable for api_keys::ApiKeys {
    const EVENT: RecordType = event_type(Kind::ApiKeys);
    const STATE: RecordType = state_type(Kind::ApiKeys);
    type Handle = ();

    fn command(message: Message) -> Option<api_keys::Command> {
        if let Message::ApiKeys(command) = message { Some(command) } else { None }
    }

    fn project(&self, at: Address, sequence: Sequence, _handle: &mut (), node: &Node) {
        let now = node.clock.now();
        node.watches.settle(at, sequence, |key| self.key_live(key, now));
    }
}

impl Hostable for audit::Audit {
    const EVENT: RecordType = event_type(Kind::Audit);
    const STATE: RecordType = state_type(Kind::Audit);
    /// Whether its minute is known to the read model.
    type Handle = bool;

    fn command(message: Message) -> Option<audit::Command> {
        if let Message::Audit(command) = message { Some(command) } else { None }
    }

    fn project(&self, _at: Address, _sequence: Sequence, known: &mut bool, node: &Node) {
        if let Some(facets) = self.facets().filter(|_| !*known) {
            node.minutes.record(facets.created_at);
            *known = true;
        }
    }
}
