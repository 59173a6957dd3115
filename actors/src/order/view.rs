//! What an order shows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Opened;
use crate::address::Id;
use crate::entity::Millis;

/// Where an order stands, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Placed, not paid.
    Created,
    /// Paid.
    Paid,
    /// On its way.
    Shipped,
    /// Arrived.
    Delivered,
    /// Over.
    Cancelled,
}

impl Status {
    /// Every status, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Created, Self::Paid, Self::Shipped, Self::Delivered, Self::Cancelled];
}

/// Finer than a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubStatus {
    /// Cancelled because it was not paid in time.
    Expired,
    /// A payment is being decided.
    PaymentInProgress,
    /// A cancellation waits for the money to be given back.
    Refunding,
}

/// What an order shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Its id.
    pub id: Id,
    /// What was bought, and by whom.
    pub opened: Arc<Opened>,
    /// Where it stands.
    pub status: Status,
    /// Finer.
    pub sub_status: Option<SubStatus>,
    /// The payment that pays it or tries to.
    pub payment: Option<Id>,
    /// When the hold ends, while it is not paid.
    pub expires_at: Option<Millis>,
    /// When it was placed.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Grows with every change.
    pub version: u64,
}

/// Something that stands against a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Stable code.
    pub code: &'static str,
    /// Which line, if one.
    pub sku: Option<Arc<str>>,
    /// For people.
    pub message: String,
}
