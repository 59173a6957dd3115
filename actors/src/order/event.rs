//! What can have happened to an order, as it is recorded.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Buyer, Lines, Rejection, Stock};
use crate::address::Id;
use crate::entity::{Millis, Sequence};
use crate::keys::KeyTag;
use crate::line::Line;
use crate::money::Currency;

/// The beginning of a try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// Which try, from 1.
    pub attempt: u32,
    /// The client's key.
    pub tag: KeyTag,
    /// The cart it comes from, if any.
    pub cart: Option<Id>,
    /// Who buys.
    pub buyer: Buyer,
    /// Currency of all prices.
    pub currency: Currency,
    /// What is bought, one line a sku.
    pub lines: Vec<Line>,
    /// Sum of the lines, minor units.
    pub total: i64,
    /// After this no reservation is to be carried out, ms.
    pub valid_until: Millis,
}

/// Why an order was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// The client asked for it.
    Requested,
    /// The hold ended unpaid.
    Expired,
}

/// What can have happened to an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// A try began.
    Opened(Arc<Opened>),
    /// One of several lines has its answer.
    LineAnswered {
        /// Which.
        line: u8,
        /// The answer.
        stock: Stock,
    },
    /// All is held; the order stands.
    Placed {
        /// Until when the stock is held.
        expires_at: Millis,
    },
    /// The try came to nothing.
    Refused {
        /// Why.
        reason: Rejection,
        /// The lines to be released: those that were held, and those that a repeated reservation might hold.
        release: Lines,
    },
    /// A payment began; the hold lasts at least as long.
    PaymentStarted {
        /// Which.
        payment: Id,
        /// When it will be decided at the latest.
        until: Millis,
    },
    /// The payment came to nothing.
    PaymentFailed {
        /// Which.
        payment: Id,
    },
    /// The order is paid.
    Paid {
        /// By which payment.
        payment: Id,
    },
    /// The client gives up a paid order; the money goes back first.
    CancelRequested {
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// The money could not be given back: the order stays paid.
    CancelFailed,
    /// The order is over.
    Cancelled {
        /// Why.
        cause: Cause,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// An inventory has carried out the move that was owed for a line.
    LineSettled {
        /// Which.
        line: u8,
    },
}

/// An event and its stamp.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Its position in the journal.
    pub sequence: Sequence,
    /// When.
    pub at: Millis,
    /// What.
    pub event: Event,
}
