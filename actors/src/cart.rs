//! A cart: lines at the price they were added for, until it is turned into one order.
//!
//! The cart drives its own checkout: it records that it checks out, hands the purchase to its order, and
//! goes on asking until the order has said how it ended. One cart makes one order at most.

mod decide;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{self, Effect, Id, Kind, Reply};
use crate::entity::{Context, Decision, Entity, Millis, Stamp};
use crate::keys::{KeyTag, Remembered};
use crate::line::{Line, LineError, Wanted};
use crate::money::Currency;
use crate::order::{self, Buyer};

/// A line of a cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartLine {
    /// The line's own id.
    pub id: Id,
    /// What is in it.
    pub line: Line,
}

/// What can be asked of a cart.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// Make it.
    Create {
        /// Whose.
        user: Option<Id>,
        /// Of which currency; open until the first line otherwise.
        currency: Option<Currency>,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Add units of a product.
    Add {
        /// Of what, how many.
        wanted: Wanted,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// Set the units of a line, at today's price.
    SetQuantity {
        /// Which line.
        item: Id,
        /// How many.
        quantity: u32,
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Take a line out.
    Remove {
        /// Which.
        item: Id,
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Take all lines out.
    Clear {
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Throw it away.
    Delete {
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Buy what is in it.
    Checkout {
        /// The id its order has.
        order: Id,
        /// Who buys.
        buyer: Buyer,
        /// The client's key.
        tag: KeyTag,
    },
    /// Its order is placed.
    CheckoutPlaced {
        /// The order.
        order: Id,
    },
    /// Its order was refused.
    CheckoutRefused {
        /// Which try.
        attempt: u32,
    },
    /// Show it.
    Get,
    /// Show what stands against checking it out.
    Validate,
}

/// A checkout that has begun.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkout {
    /// Which try, from 1.
    pub attempt: u32,
    /// The id its order has.
    pub order: Id,
    /// Who buys.
    pub buyer: Buyer,
    /// The client's key.
    pub tag: KeyTag,
}

/// What can have happened to a cart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It was made.
    Created {
        /// Whose.
        user: Option<Id>,
        /// Of which currency.
        currency: Option<Currency>,
        /// The client's key.
        tag: Option<KeyTag>,
        /// How long it lives untouched, ms.
        ttl_ms: u64,
    },
    /// Units were added: to a new line, or to the one of the same sku.
    Added {
        /// The units, at the price of the moment.
        line: Line,
        /// Its currency.
        currency: Currency,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// The units of a line were set.
    QuantitySet {
        /// Which.
        item: Id,
        /// The line as it is now.
        line: Line,
    },
    /// A line was taken out.
    Removed {
        /// Which.
        item: Id,
    },
    /// All lines were taken out.
    Cleared,
    /// It was thrown away.
    Deleted,
    /// A checkout began.
    CheckoutStarted(Box<Checkout>),
    /// It came to nothing.
    CheckoutFailed,
    /// It was bought.
    CheckedOut {
        /// The order.
        order: Id,
    },
    /// Nobody touched it for too long.
    Expired,
}

/// Where a cart stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Can be changed and bought.
    Open,
    /// Bought.
    CheckedOut,
    /// Too old.
    Expired,
}

/// What a cart shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: Id,
    /// Whose.
    pub user: Option<Id>,
    /// Where it stands.
    pub status: Status,
    /// Its lines, oldest first.
    pub items: Arc<Vec<CartLine>>,
    /// Currency of its prices; `None` while it is empty and none was named.
    pub currency: Option<Currency>,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Grows with every change.
    pub version: u64,
}

impl View {
    /// Sum of the lines, minor units.
    #[must_use]
    pub fn total(&self) -> i64 {
        self.items.iter().map(|item| item.line.total()).fold(0, i64::saturating_add)
    }
}

/// A price that is not any more what it was when the line was added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceChange {
    /// Of which.
    pub sku: Arc<str>,
    /// Then, minor units.
    pub old: i64,
    /// Now, minor units.
    pub new: i64,
    /// Their currency.
    pub currency: Currency,
}

/// Why a cart says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such cart.
    #[error("there is no such cart")]
    NotFound,
    /// It has no such line.
    #[error("the cart has no such item")]
    ItemNotFound,
    /// The product cannot be added.
    #[error(transparent)]
    Line(#[from] LineError),
    /// There is nothing to buy.
    #[error("the cart is empty")]
    Empty,
    /// It was bought.
    #[error("the cart was checked out as order {order}")]
    CheckedOut {
        /// The order.
        order: Id,
    },
    /// A checkout of it is under way.
    #[error("a checkout of the cart is in progress")]
    CheckingOut,
    /// It was left alone for too long.
    #[error("the cart has expired")]
    Expired,
    /// Prices changed since the lines were added.
    #[error("prices have changed")]
    PriceChanged {
        /// Which.
        items: Vec<PriceChange>,
    },
    /// A product is no longer on sale.
    #[error("{sku} is no longer on sale")]
    Unavailable {
        /// Which.
        sku: Arc<str>,
    },
    /// The cart has changed since the client saw it.
    #[error("the cart is at version {current}")]
    VersionConflict {
        /// Its version now.
        current: u64,
    },
}

/// An open question to a cart.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// The cart.
    View,
    /// The cart as it was after the request with this key.
    Keyed(KeyTag),
    /// Whether it is gone.
    Deleted,
    /// What stands against checking it out.
    Violations,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Blank,
    Open,
    CheckingOut(Box<Checkout>),
    CheckedOut { order: Id },
    Expired,
    Deleted,
}

/// A cart's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cart {
    id: Id,
    phase: Phase,
    user: Option<Id>,
    currency: Option<Currency>,
    items: Arc<Vec<CartLine>>,
    /// How many lines it ever had: a line's id is made from its number.
    lines_made: u32,
    attempts: u32,
    ttl_ms: u64,
    created_at: Millis,
    updated_at: Millis,
    version: u64,
    keyed: Remembered<Box<View>>,
}

impl Entity for Cart {
    const KIND: Kind = Kind::Cart;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(id: Id) -> Self {
        Self {
            id,
            phase: Phase::Blank,
            user: None,
            currency: None,
            items: Arc::default(),
            lines_made: 0,
            attempts: 0,
            ttl_ms: 0,
            created_at: 0,
            updated_at: 0,
            version: 0,
            keyed: Remembered::default(),
        }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        if !cx.by.reaches(self.user) {
            return Decision::reject(Rejection::NotFound);
        }
        let decided = match command {
            Command::Create { user, currency, tag } => self.create(user, currency, tag, cx),
            Command::Add { wanted, tag } => self.add(&wanted, tag, cx),
            Command::SetQuantity { item, quantity, if_version } => {
                self.set_quantity(item, quantity, if_version, cx)
            }
            Command::Remove { item, if_version } => self.remove(item, if_version),
            Command::Clear { if_version } => self.clear(if_version),
            Command::Delete { if_version } => self.delete(if_version),
            Command::Checkout { order, buyer, tag } => self.check_out(order, buyer, tag, cx),
            Command::CheckoutPlaced { order } => Ok(self.placed(order)),
            Command::CheckoutRefused { attempt } => Ok(self.refused(attempt)),
            Command::Get => Ok(Decision::settle(Ask::View)),
            Command::Validate => Ok(Decision::settle(Ask::Violations)),
        };
        decided.unwrap_or_else(Decision::reject)
    }

    fn expire(&self, cx: &Context<'_>) -> Decision<Self> {
        if self.deadline().is_some_and(|deadline| deadline <= cx.now) {
            return Decision::record(Event::Expired);
        }
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        self.make_true(event, stamp.at);
    }

    fn answer(&self, ask: &Ask, cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        let shown = |view: Option<View>| match view {
            Some(view) => Ok(Reply::Cart(Box::new(view))),
            None => Err(Rejection::NotFound.into()),
        };
        if matches!((ask, &self.phase), (Ask::View | Ask::Violations, Phase::CheckingOut(_))) {
            // Its order may be answered before the cart hears of it: a read waits for the end of the checkout
            // and agrees with that answer.
            return None;
        }
        Some(match ask {
            Ask::View => shown(self.view()),
            Ask::Keyed(tag) => shown(self.keyed.get(*tag).map(|view| (**view).clone())),
            Ask::Deleted => Ok(Reply::Done),
            Ask::Violations => match self.view() {
                Some(_) => Ok(Reply::Violations(self.violations(cx))),
                None => Err(Rejection::NotFound.into()),
            },
        })
    }

    fn pending(&self) -> Vec<Effect> {
        match &self.phase {
            Phase::CheckingOut(checkout) => {
                let (to, message) = self.purchase(checkout);
                vec![Effect::Send { to, message }]
            }
            _ => Vec::new(),
        }
    }

    fn deadline(&self) -> Option<Millis> {
        (self.phase == Phase::Open).then(|| self.updated_at.saturating_add(self.ttl_ms))
    }

    fn at_rest(&self) -> bool {
        matches!(self.phase, Phase::CheckedOut { .. } | Phase::Expired | Phase::Deleted)
    }
}

/// A violation of the whole cart or order.
fn violation(code: &'static str, sku: Option<&Arc<str>>, message: String) -> order::Violation {
    order::Violation { code, sku: sku.map(Arc::clone), message }
}
