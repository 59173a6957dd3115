//! An order: the process manager of checkout.
//!
//! It opens, reserves stock for all its lines at once, and is placed, or refused with nothing left held.
//! Placed, it waits for its payment until the hold ends; paid, its stock is sold. Every move of stock that it
//! asks for is owed until the inventory has said that it is done.
//!
//! The order keeps its own events: they are its snapshot and its history.

mod claim;
mod decide;
mod event;
mod place;
mod stored;
mod view;

use std::sync::Arc;

pub use claim::{Claim, LineClaim, Stage, Standing};
pub use event::{Cause, Event, Opened, Recorded};
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;
pub use view::{Status, SubStatus, View, Violation};

use crate::address::{self, Id, Kind, Reply};
use crate::entity::{Context, Decision, Entity, Facets, Millis, Stamp};
use crate::keys::KeyTag;
use crate::line::{Line, LineError, Shortage, Wanted};
use crate::money::{Currency, Decimal};
use crate::payment::Method;
use crate::personal::Personal;

/// How long after opening a reservation may still be carried out, ms. Far longer than it ever takes, short
/// enough that an inventory need not remember old reservations for long.
pub const RESERVE_WINDOW_MS: u64 = 60_000;

/// Who buys.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
pub struct Buyer {
    /// The account, if any.
    pub user: Option<Id>,
    /// Where to write to.
    pub email: Option<Personal>,
    /// Where to send to, as the client gave it (JSON).
    pub shipping_address: Option<Personal>,
    /// How they mean to pay.
    pub payment_method: Option<Method>,
}

/// What is bought.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Source {
    /// A cart's lines, checked by the cart.
    Cart {
        /// Which cart.
        cart: Id,
        /// Which try of the cart, from 1.
        attempt: u32,
        /// Its lines.
        lines: Vec<Line>,
        /// Their currency.
        currency: Currency,
    },
    /// Items named by the client.
    Items(Vec<Wanted>),
}

/// How an inventory answers a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stock {
    /// The units are held.
    Held,
    /// There are fewer.
    Short {
        /// So many.
        available: i64,
    },
    /// It was released before, came too late, or the sku is nobody's.
    Gone,
}

/// A move of stock that an order asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Move {
    /// reserved → available.
    Release,
    /// reserved → sold.
    Confirm,
    /// sold → available.
    Restock,
}

/// What can be asked of an order.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// Buy.
    Place {
        /// What.
        source: Source,
        /// Who.
        buyer: Buyer,
        /// The client's key.
        tag: KeyTag,
    },
    /// An inventory answers a reservation.
    ReserveAnswer {
        /// Of which try.
        attempt: u32,
        /// Of which line.
        line: u8,
        /// How.
        stock: Stock,
    },
    /// An inventory has carried out a move.
    StockSettled {
        /// Of which try.
        attempt: u32,
        /// Of which line.
        line: u8,
        /// Which move.
        what: Move,
    },
    /// The client gives it up.
    Cancel {
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// A payment wants to start.
    BeginPayment {
        /// Which.
        payment: Id,
        /// What it would charge.
        amount: Decimal,
        /// When it will be decided at the latest.
        until: Millis,
    },
    /// A payment was approved.
    PaymentApproved {
        /// Which.
        payment: Id,
    },
    /// A payment came to nothing.
    PaymentFailed {
        /// Which.
        payment: Id,
    },
    /// A payment was cleared for a try that it has given up.
    PaymentLapsed {
        /// Which.
        payment: Id,
        /// The deadline of that try.
        until: Millis,
    },
    /// A refund for a cancellation has ended.
    RefundSettled {
        /// Of which payment.
        payment: Id,
        /// For which cancellation of this order, from 1.
        cancellation: u32,
        /// Whether all money is back.
        refunded: bool,
    },
    /// Show it.
    Get,
    /// Show its events.
    History,
    /// Show what stands against paying it.
    Validate,
}

/// Why an order says no.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such order.
    #[error("there is no such order")]
    NotFound,
    /// Some lines cannot be had in full.
    #[error("not enough stock")]
    OutOfStock {
        /// Which.
        items: Vec<Shortage>,
    },
    /// The wanted items cannot be lines.
    #[error(transparent)]
    Items(#[from] LineError),
    /// The cart was turned into this order under another key.
    #[error("the cart was checked out as order {order}")]
    CartCheckedOut {
        /// The order.
        order: Id,
    },
    /// The try was interrupted for too long; the same key may be tried again.
    #[error("the checkout was interrupted; try again")]
    Lapsed,
    /// It is past cancelling.
    #[error("the order cannot be cancelled any more")]
    NotCancellable,
    /// The money could not be given back.
    #[error("the refund failed; the order stays paid")]
    RefundFailed,
    /// A payment is being decided.
    #[error("a payment of the order is in progress")]
    PaymentInProgress,
    /// The order is paid.
    #[error("the order is already paid")]
    AlreadyPaid,
    /// The order is over.
    #[error("the order cannot be paid")]
    NotPayable,
    /// The hold has ended.
    #[error("the reservation has expired")]
    ReservationExpired,
    /// The amount is not the order's total.
    #[error("the amount differs from the order's total")]
    AmountMismatch {
        /// The total, minor units.
        total: i64,
        /// Its currency.
        currency: Currency,
    },
}

/// A set of lines of one order; an order has at most 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines(u128);

impl Lines {
    /// The first `count` lines.
    #[must_use]
    pub const fn first(count: usize) -> Self {
        Self(if count >= 128 { u128::MAX } else { (1 << count) - 1 })
    }

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many lines are in it.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether a line is in it.
    #[must_use]
    pub const fn contains(self, line: u8) -> bool {
        line < 128 && self.0 & (1 << line) != 0
    }

    /// With one line more.
    #[must_use]
    pub const fn with(self, line: u8) -> Self {
        Self(if line < 128 { self.0 | (1 << line) } else { self.0 })
    }

    /// With one line less.
    #[must_use]
    pub const fn without(self, line: u8) -> Self {
        Self(if line < 128 { self.0 & !(1 << line) } else { self.0 })
    }
}

/// An open question to an order.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// How the purchase under this key ended.
    Placed(KeyTag),
    /// The order once it is cancelled and its stock is back.
    Cancelled,
    /// The order.
    View,
    /// Its events.
    History,
    /// What stands against paying it.
    Violations,
}

#[derive(Clone, Debug, PartialEq)]
enum Phase {
    Blank,
    Opening { answers: SmallVec<[Option<Stock>; 1]> },
    Refused(Rejection),
    Created,
    Paid,
    Refunding,
    Cancelled(Cause),
}

/// An order's state: its events, and what they come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    id: Id,
    events: Vec<Recorded>,
    phase: Phase,
    attempt: u32,
    opened: Option<Arc<Opened>>,
    /// Lines whose move of stock is asked for and not yet answered.
    owed: Option<(Move, Lines)>,
    /// The payment that pays it or tries to.
    payment: Option<Id>,
    /// Until when the running payment is decided at the latest.
    paying_until: Option<Millis>,
    expires_at: Millis,
    placed_at: Millis,
    updated_at: Millis,
    version: u64,
    /// Whether the last cancellation failed for want of a refund.
    refund_failed: bool,
}

impl Entity for Order {
    const KIND: Kind = Kind::Order;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(id: Id) -> Self {
        Self {
            id,
            events: Vec::new(),
            phase: Phase::Blank,
            attempt: 0,
            opened: None,
            owed: None,
            payment: None,
            paying_until: None,
            expires_at: 0,
            placed_at: 0,
            updated_at: 0,
            version: 0,
            refund_failed: false,
        }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        if !self.facets().is_none_or(|facets| cx.by.reaches(facets.user)) {
            return Decision::reject(Rejection::NotFound);
        }
        match command {
            Command::Place { source, buyer, tag } => self.place(source, buyer, tag, cx),
            Command::ReserveAnswer { attempt, line, stock } => self.reserved(attempt, line, stock, cx),
            Command::StockSettled { attempt, line, what } => self.settled(attempt, line, what),
            Command::Cancel { tag } => self.cancel(tag),
            Command::BeginPayment { payment, amount, until } => {
                self.begin_payment(payment, amount, until, cx)
            }
            Command::PaymentApproved { payment } => self.payment_approved(payment),
            Command::PaymentFailed { payment } => self.payment_failed(payment, cx),
            Command::PaymentLapsed { payment, until } => self.payment_lapsed(payment, until, cx),
            Command::RefundSettled { payment, cancellation, refunded } => {
                self.refund_settled(payment, cancellation, refunded)
            }
            Command::Get => Decision::settle(Ask::View),
            Command::History => Decision::settle(Ask::History),
            Command::Validate => Decision::settle(Ask::Violations),
        }
    }

    fn expire(&self, cx: &Context<'_>) -> Decision<Self> {
        if self.deadline().is_some_and(|deadline| deadline <= cx.now) {
            return self.cancelled(Cause::Expired, None);
        }
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        if matches!(event, Event::Opened(_)) && !self.events.is_empty() {
            // A refused try leaves no trace once another begins: what is kept of an order is its events alone.
            *self = Self::blank(self.id);
        }
        self.events.push(Recorded { sequence: stamp.sequence, at: stamp.at, event: event.clone() });
        self.make_true(event, stamp.at);
    }

    fn answer(&self, ask: &Ask, cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        let not_found = || Err(Rejection::NotFound.into());
        match ask {
            Ask::Placed(tag) => self.placed_answer(*tag),
            Ask::Cancelled => self.cancelled_answer(),
            Ask::View => Some(self.view().map_or_else(not_found, |view| Ok(Reply::Order(Box::new(view))))),
            Ask::History => Some(match self.view() {
                Some(_) => Ok(Reply::History(self.events.clone())),
                None => not_found(),
            }),
            Ask::Violations => Some(match self.view() {
                Some(_) => Ok(Reply::Violations(self.violations(cx))),
                None => not_found(),
            }),
        }
    }

    fn pending(&self) -> Vec<address::Effect> {
        self.owed_effects()
    }

    fn deadline(&self) -> Option<Millis> {
        // While a payment runs it is the payment's deadline that counts.
        (self.phase == Phase::Created && self.paying_until.is_none()).then_some(self.expires_at)
    }

    fn facets(&self) -> Option<Facets> {
        let (view, opened) = (self.status()?, self.opened.as_ref()?);
        Some(Facets { user: opened.buyer.user, status: view as u8, created_at: self.placed_at })
    }

    fn at_rest(&self) -> bool {
        !matches!(self.phase, Phase::Opening { .. } | Phase::Refunding)
            && self.owed.is_none()
            && self.paying_until.is_none()
    }
}
