//! What must hold after every single event, kept independently of the entities' own arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use relampago_actors::inventory::{self, Hold};
use relampago_actors::order::{self, Order, Status};
use relampago_actors::payment::{self, RESERVATION_EXPIRED};
use relampago_actors::{Address, Id, cart};

use super::claims::{Claims, Place};
use super::people::PeopleWatch;

/// The books of one sku.
#[derive(Default)]
struct Ledger {
    available: i64,
    stocked: i64,
    open: BTreeMap<Hold, i64>,
    /// Reservations that were released or sold.
    closed: BTreeSet<Hold>,
    sold: BTreeMap<Hold, i64>,
    /// The last change of its product.
    change: u64,
}

/// The books of all skus and orders.
#[derive(Default)]
pub struct Watch {
    ledgers: BTreeMap<Address, Ledger>,
    /// Units by sku of every order that stands.
    standing: BTreeMap<Id, (Status, Vec<(Address, i64)>)>,
    placed: BTreeSet<Id>,
    paid: BTreeSet<Id>,
    given_back: usize,
    /// Which order a cart became.
    bought: BTreeMap<Id, Id>,
    /// How often a cart was tried to be bought.
    tries: BTreeMap<Id, u32>,
    claims: Claims,
    pub people: PeopleWatch,
}

impl Watch {
    pub fn stock_moved(
        &mut self,
        of: Address,
        view: &inventory::View,
        holds: usize,
        event: &inventory::Event,
    ) {
        let ledger = self.ledgers.entry(of).or_default();
        ledger.book(event);
        assert!(
            view.available >= 0 && view.reserved >= 0 && view.sold >= 0,
            "negative: {view:?} after {event:?}"
        );
        assert_eq!(view.available + view.reserved + view.sold, ledger.stocked, "{view:?} after {event:?}");
        assert_eq!(view.available, ledger.available, "{view:?} after {event:?}");
        assert_eq!(view.reserved, ledger.open.values().sum::<i64>(), "{view:?} after {event:?}");
        assert_eq!(view.sold, ledger.sold.values().sum::<i64>(), "{view:?} after {event:?}");
        assert_eq!(holds, ledger.open.len(), "after {event:?}");
        if let Some(hold) = moved(event) {
            self.claims.check((hold, of), ledger.place(hold));
        }
    }

    pub fn cart_changed(&mut self, cart: Id, event: &cart::Event) {
        if let cart::Event::CheckoutStarted(checkout) = event {
            let before = self.tries.insert(cart, checkout.attempt).unwrap_or(0);
            assert_eq!(checkout.attempt, before + 1, "tries of cart {cart}");
        }
        if let cart::Event::CheckedOut { order } = event {
            assert_eq!(self.bought.insert(cart, *order), None, "cart {cart} was checked out twice");
            assert!(
                self.placed.contains(order),
                "cart {cart} is checked out as {order}, which is not placed"
            );
        }
    }

    /// An order is told of a payment before that may charge, and waits for its end.
    pub fn payment_changed(&self, payment: Id, event: &payment::Event) {
        let late = matches!(event, payment::Event::Rejected { code, .. } if code == RESERVATION_EXPIRED);
        assert!(!late, "payment {payment} was approved, and its order had let go of it");
    }

    pub fn order_changed(&mut self, order: Id, state: &Order, event: &order::Event) {
        for (hold, sku) in self.claims.note(state) {
            let place = self.ledgers.get(&sku).map_or(Place::Nowhere, |ledger| ledger.place(hold));
            self.claims.check((hold, sku), place);
        }
        if let order::Event::Paid { .. } = event {
            assert!(self.paid.insert(order), "order {order} was paid twice");
        }
        if let (order::Event::Cancelled { .. }, true) = (event, self.paid.contains(&order)) {
            self.given_back += 1;
        }
        self.order_shown(order, state.view().as_ref(), event);
    }

    fn order_shown(&mut self, order: Id, view: Option<&order::View>, event: &order::Event) {
        if let order::Event::Placed { .. } = event {
            assert!(self.placed.insert(order), "order {order} was placed twice");
        }
        let Some(view) = view else {
            assert!(!self.placed.contains(&order), "order {order} was placed and is gone after {event:?}");
            return;
        };
        if view.status == Status::Cancelled {
            self.standing.remove(&order);
            return;
        }
        let units =
            |line: &relampago_actors::line::Line| (Address::inventory(&line.sku), i64::from(line.quantity));
        self.standing.insert(order, (view.status, view.opened.lines.iter().map(units).collect()));
        self.check_not_oversold();
    }

    /// More is never promised than there is.
    fn check_not_oversold(&self) {
        for (sku, ledger) in &self.ledgers {
            let promised = self.units(*sku, |_| true);
            assert!(promised <= ledger.stocked, "oversold: {promised} of {} promised", ledger.stocked);
        }
    }

    /// Units of a sku in the standing orders of some status.
    pub fn units(&self, sku: Address, of: impl Fn(Status) -> bool) -> i64 {
        let orders = self.standing.values().filter(|(status, _)| of(*status));
        orders.flat_map(|(_, lines)| lines).filter(|(line, _)| *line == sku).map(|(_, units)| units).sum()
    }

    /// A client is told that an order is cancelled: its stock is back.
    pub fn check_given_back(&self, order: Id) {
        assert!(self.claims.are_settled(order), "order {order} was said to be cancelled");
    }

    /// How many orders were paid, and how many of them were cancelled afterwards.
    pub fn orders_paid(&self) -> (usize, usize) {
        (self.paid.len(), self.given_back)
    }

    pub fn orders_placed(&self) -> usize {
        self.placed.len()
    }
}

impl Ledger {
    fn book(&mut self, event: &inventory::Event) {
        use inventory::Event::{
            Adjusted, AvailableSet, Claimed, Forgotten, Released, Reserved, Restocked, Sold,
        };
        match event {
            Claimed { available, .. } => {
                assert_eq!(self.stocked, 0, "claimed twice");
                self.stock(*available);
            }
            AvailableSet { available, change } => {
                assert!(*change > self.change, "change {change} after {}", self.change);
                self.change = *change;
                self.stock(available - self.available);
            }
            Adjusted { delta, .. } => self.stock(*delta),
            Reserved { hold, quantity, .. } => {
                assert!(!self.closed.contains(hold), "{hold:?} is reserved after its end");
                assert_eq!(self.open.insert(*hold, i64::from(*quantity)), None, "{hold:?} is reserved twice");
                self.available -= i64::from(*quantity);
            }
            Released { hold, .. } => {
                self.available += self.open.remove(hold).unwrap_or(0);
                assert!(!self.sold.contains_key(hold), "{hold:?} is released after it was sold");
                self.closed.insert(*hold);
            }
            Sold { hold } => {
                let units = self.open.remove(hold);
                assert!(units.is_some(), "{hold:?} is sold and was not held");
                assert!(self.closed.insert(*hold), "{hold:?} is sold after its end");
                self.sold.insert(*hold, units.unwrap_or(0));
            }
            Restocked { hold, quantity } => {
                let sold = self.sold.remove(hold);
                assert_eq!(sold, Some(i64::from(*quantity)), "{hold:?} is restocked");
                self.available += i64::from(*quantity);
            }
            Forgotten { .. } => {}
        }
    }

    fn place(&self, hold: Hold) -> Place {
        match (self.open.contains_key(&hold), self.sold.contains_key(&hold)) {
            (true, _) => Place::Held,
            (false, true) => Place::Sold,
            (false, false) => Place::Nowhere,
        }
    }

    fn stock(&mut self, units: i64) {
        self.available += units;
        self.stocked += units;
    }
}

/// The reservation whose units an event moves.
fn moved(event: &inventory::Event) -> Option<Hold> {
    use inventory::Event::{Released, Reserved, Restocked, Sold};
    match event {
        Reserved { hold, .. } | Released { hold, .. } | Sold { hold } | Restocked { hold, .. } => Some(*hold),
        _ => None,
    }
}
