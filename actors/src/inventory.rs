//! The stock of one sku: `stocked = available + reserved + sold`, none of them ever negative.
//!
//! Units move `available → reserved` (an order opens), `reserved → sold` (it is paid), and back to
//! `available` (refused, cancelled, expired, restocked). A reservation is known by its order and the
//! order's attempt, so that each of these moves happens once however often it is asked for.

mod holds;

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashSet;
use serde::{Deserialize, Serialize};

use crate::address::{self, Address, Effect, Id, Kind, Message, Reply};
use crate::entity::{Answer, Context, Decision, Entity, Millis, Stamp};
use crate::keys::{KeyTag, Remembered, Seen};
use crate::{order, product};
use holds::{Held, Holds};

/// The most units of one sku: a sum of three of these cannot overflow.
pub const MAX_UNITS: i64 = 1_000_000_000_000;

/// A reservation: one try of one order. Lines of a sku are merged, so one try holds a sku once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Hold {
    /// Whose.
    pub order: Id,
    /// Which try of that order, from 1.
    pub attempt: u32,
}

/// What can be asked of an inventory.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// A product wants the sku.
    Claim {
        /// Which.
        product: Id,
        /// The sku, given back in the answer.
        sku: Arc<str>,
        /// Units to sell at first.
        initial: i64,
    },
    /// Set what can be sold.
    SetAvailable {
        /// The sku's product.
        product: Id,
        /// The number of the product's change; an older one than the last does nothing.
        change: u64,
        /// Units.
        quantity: i64,
    },
    /// Add or take away units.
    Adjust {
        /// How many; negative takes away.
        delta: i64,
        /// Why, for the books.
        reason: String,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Hold units for an order.
    Reserve {
        /// For whom.
        hold: Hold,
        /// Units.
        quantity: u32,
        /// The order's line, given back in the answer.
        line: u8,
        /// After this it is not to be done any more, ms: so old reservations can be forgotten.
        valid_until: Millis,
    },
    /// Give held units back.
    Release {
        /// Whose.
        hold: Hold,
        /// The order's line, given back in the answer.
        line: u8,
        /// Until when a late `Reserve` of the same hold might still come, ms.
        valid_until: Millis,
    },
    /// Held units are sold.
    Confirm {
        /// Whose.
        hold: Hold,
        /// The order's line, given back in the answer.
        line: u8,
    },
    /// Sold units come back.
    Restock {
        /// Whose.
        hold: Hold,
        /// Units.
        quantity: u32,
        /// The order's line, given back in the answer.
        line: u8,
    },
    /// The order has recorded the restocking and will not ask again.
    Forget {
        /// Whose.
        hold: Hold,
    },
    /// Show it.
    Get,
}

/// What can have happened to an inventory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The sku became a product's, for good.
    Claimed {
        /// Whose.
        product: Id,
        /// The sku's first stock.
        available: i64,
    },
    /// What can be sold was set.
    AvailableSet {
        /// By which change of the product.
        change: u64,
        /// Units.
        available: i64,
    },
    /// Units were added or taken away.
    Adjusted {
        /// How many.
        delta: i64,
        /// Why.
        reason: String,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Units are held for an order.
    Reserved {
        /// Whose.
        hold: Hold,
        /// Units.
        quantity: u32,
        /// As in the command.
        valid_until: Millis,
    },
    /// Held units are free again; if nothing was held, a tombstone against a late `Reserve`.
    Released {
        /// Whose.
        hold: Hold,
        /// As in the command.
        valid_until: Millis,
    },
    /// Held units are sold.
    Sold {
        /// Whose.
        hold: Hold,
    },
    /// Sold units are free again.
    Restocked {
        /// Whose.
        hold: Hold,
        /// Units.
        quantity: u32,
    },
    /// A restocking need not be remembered any more.
    Forgotten {
        /// Whose.
        hold: Hold,
    },
}

/// What an inventory shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct View {
    /// The sku's product.
    pub product: Id,
    /// Units that can be sold.
    pub available: i64,
    /// Units held for orders.
    pub reserved: i64,
    /// Units of paid orders.
    pub sold: i64,
    /// Grows with every change.
    pub version: u64,
}

/// Why an inventory says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// No product has this sku.
    #[error("there is no such sku")]
    NotFound,
    /// Fewer units can be taken away than asked.
    #[error("only {available} units are available")]
    InsufficientStock {
        /// Units that can be sold.
        available: i64,
    },
    /// More than [`MAX_UNITS`].
    #[error("more than {MAX_UNITS} units")]
    TooMany,
}

/// An open question to an inventory.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// The stock.
    View,
    /// The stock as it was after the adjustment with this key.
    Adjusted(KeyTag),
}

/// An inventory's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    product: Option<Id>,
    available: i64,
    reserved: i64,
    sold: i64,
    version: u64,
    last_change: u64,
    held: Holds,
    /// Reservations that were released or sold: what `Reserve` may not open again. Kept until nobody can
    /// ask for them any more.
    closed: FxHashSet<Hold>,
    closing: VecDeque<(Millis, Hold)>,
    restocked: FxHashSet<Hold>,
    adjusted: Remembered<View>,
}

/// What can be sold at all, if so many units are asked for: callers check and refuse; here it only must not
/// break the books.
fn sellable(units: i64) -> i64 {
    units.clamp(0, MAX_UNITS)
}

impl Inventory {
    fn claim(&self, product: Id, sku: Arc<str>, initial: i64) -> Decision<Self> {
        let decision = match self.product {
            None => Decision::record(Event::Claimed { product, available: sellable(initial) }),
            Some(_) => Decision::nothing(),
        };
        let granted = self.product.is_none_or(|owner| owner == product);
        let answer = product::Command::Claimed { sku, granted };
        decision.send(Address::product(product), Message::Product(answer))
    }

    fn set_available(&self, product: Id, change: u64, quantity: i64) -> Decision<Self> {
        if self.product != Some(product) {
            return Decision::nothing();
        }
        let done = Message::Product(product::Command::StockSet { change });
        let decision = if change > self.last_change {
            Decision::record(Event::AvailableSet { change, available: sellable(quantity) })
        } else {
            Decision::nothing()
        };
        decision.send(Address::product(product), done)
    }

    fn adjust(&self, delta: i64, reason: String, tag: Option<KeyTag>) -> Decision<Self> {
        if self.product.is_none() {
            return Decision::reject(Rejection::NotFound);
        }
        match (self.adjusted.look_up(tag), tag) {
            (Seen::Same(_), Some(tag)) => return Decision::replay(Ask::Adjusted(tag)),
            (Seen::Other, _) => return Decision::reject(address::Rejection::KeyReused),
            _ => {}
        }
        match self.available.checked_add(delta) {
            Some(after) if after < 0 => {
                Decision::reject(Rejection::InsufficientStock { available: self.available })
            }
            Some(after) if after <= MAX_UNITS => Decision::record(Event::Adjusted { delta, reason, tag })
                .answer(Answer::Settle(tag.map_or(Ask::View, Ask::Adjusted))),
            _ => Decision::reject(Rejection::TooMany),
        }
    }

    fn reserve(
        &self,
        hold: Hold,
        quantity: u32,
        line: u8,
        valid_until: Millis,
        now: Millis,
    ) -> Decision<Self> {
        use order::Stock::{Gone, Held, Short};
        let answer = |stock| {
            let answer = order::Command::ReserveAnswer { attempt: hold.attempt, line, stock };
            (Address::order(hold.order), Message::Order(answer))
        };
        let (decision, (to, message)) = if self.held.contains(hold) {
            (Decision::nothing(), answer(Held))
        } else if self.product.is_none() || self.closed.contains(&hold) || now > valid_until {
            (Decision::nothing(), answer(Gone))
        } else if self.available < i64::from(quantity) {
            (Decision::nothing(), answer(Short { available: self.available }))
        } else {
            (Decision::record(Event::Reserved { hold, quantity, valid_until }), answer(Held))
        };
        decision.send(to, message)
    }

    fn release(&self, hold: Hold, line: u8, valid_until: Millis) -> Decision<Self> {
        let done = self.settled(hold, line, order::Move::Release);
        if self.closed.contains(&hold) {
            return Decision::nothing().owing([done]);
        }
        Decision::record(Event::Released { hold, valid_until }).owing([done])
    }

    fn confirm(&self, hold: Hold, line: u8) -> Decision<Self> {
        let done = self.settled(hold, line, order::Move::Confirm);
        if self.held.contains(hold) {
            return Decision::record(Event::Sold { hold }).owing([done]);
        }
        Decision::nothing().owing([done])
    }

    fn restock(&self, hold: Hold, quantity: u32, line: u8) -> Decision<Self> {
        let done = self.settled(hold, line, order::Move::Restock);
        if self.restocked.contains(&hold) || i64::from(quantity) > self.sold {
            return Decision::nothing().owing([done]);
        }
        Decision::record(Event::Restocked { hold, quantity }).owing([done])
    }

    fn settled(&self, hold: Hold, line: u8, what: order::Move) -> Effect {
        let settled = order::Command::StockSettled { attempt: hold.attempt, line, what };
        Effect::Send { to: Address::order(hold.order), message: Message::Order(settled) }
    }

    fn close(&mut self, hold: Hold, valid_until: Millis, now: Millis) {
        while let Some((until, oldest)) = self.closing.front() {
            if *until >= now {
                break;
            }
            self.closed.remove(oldest);
            self.closing.pop_front();
        }
        if self.closed.insert(hold) {
            self.closing.push_back((valid_until, hold));
        }
    }

    /// The stock, once a product has claimed the sku.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        Some(View {
            product: self.product?,
            available: self.available,
            reserved: self.reserved,
            sold: self.sold,
            version: self.version,
        })
    }

    /// How many reservations are open.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.held.len()
    }

    /// The open reservations, each with its units.
    pub fn held(&self) -> impl Iterator<Item = (Hold, u32)> {
        self.held.iter().map(|(hold, held)| (hold, held.quantity))
    }
}

impl Entity for Inventory {
    const KIND: Kind = Kind::Inventory;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(_id: Id) -> Self {
        Self {
            product: None,
            available: 0,
            reserved: 0,
            sold: 0,
            version: 0,
            last_change: 0,
            held: Holds::default(),
            closed: FxHashSet::default(),
            closing: VecDeque::new(),
            restocked: FxHashSet::default(),
            adjusted: Remembered::default(),
        }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        match command {
            Command::Claim { product, sku, initial } => self.claim(product, sku, initial),
            Command::SetAvailable { product, change, quantity } => {
                self.set_available(product, change, quantity)
            }
            Command::Adjust { delta, reason, tag } => self.adjust(delta, reason, tag),
            Command::Reserve { hold, quantity, line, valid_until } => {
                self.reserve(hold, quantity, line, valid_until, cx.now)
            }
            Command::Release { hold, line, valid_until } => self.release(hold, line, valid_until),
            Command::Confirm { hold, line } => self.confirm(hold, line),
            Command::Restock { hold, quantity, line } => self.restock(hold, quantity, line),
            Command::Forget { hold } if self.restocked.contains(&hold) => {
                Decision::record(Event::Forgotten { hold })
            }
            Command::Forget { .. } => Decision::nothing(),
            Command::Get => Decision::settle(Ask::View),
        }
    }

    fn expire(&self, _cx: &Context<'_>) -> Decision<Self> {
        // Reservations have no clock of their own: the order that holds them lets them go.
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        self.version += 1;
        match event {
            Event::Claimed { product, available } => {
                (self.product, self.available) = (Some(product), available);
            }
            Event::AvailableSet { change, available } => {
                (self.last_change, self.available) = (change, available);
            }
            Event::Adjusted { delta, tag, .. } => {
                self.available += delta;
                if let (Some(tag), Some(view)) = (tag, self.view()) {
                    self.adjusted.insert(tag, stamp.at, view);
                }
            }
            Event::Reserved { hold, quantity, valid_until } => {
                self.available -= i64::from(quantity);
                self.reserved += i64::from(quantity);
                self.held.insert(hold, Held { quantity, valid_until });
            }
            Event::Released { hold, valid_until } => {
                if let Some(held) = self.held.remove(hold) {
                    self.reserved -= i64::from(held.quantity);
                    self.available += i64::from(held.quantity);
                }
                self.close(hold, valid_until, stamp.at);
            }
            Event::Sold { hold } => {
                if let Some(held) = self.held.remove(hold) {
                    self.reserved -= i64::from(held.quantity);
                    self.sold += i64::from(held.quantity);
                    self.close(hold, held.valid_until, stamp.at);
                }
            }
            Event::Restocked { hold, quantity } => {
                self.sold -= i64::from(quantity);
                self.available += i64::from(quantity);
                self.restocked.insert(hold);
            }
            Event::Forgotten { hold } => {
                self.restocked.remove(&hold);
            }
        }
    }

    fn answer(&self, ask: &Ask, _cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        let view = match ask {
            Ask::View => self.view(),
            Ask::Adjusted(tag) => self.adjusted.get(*tag).copied(),
        };
        Some(view.map(Reply::Inventory).ok_or_else(|| Rejection::NotFound.into()))
    }

    fn pending(&self) -> Vec<Effect> {
        Vec::new()
    }

    fn deadline(&self) -> Option<Millis> {
        None
    }

    fn at_rest(&self) -> bool {
        false
    }
}
