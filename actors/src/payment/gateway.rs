//! What payments ask of a provider, and what it answers.

use super::Method;
use crate::address::Id;
use crate::money::Currency;

/// What a provider is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayCall {
    /// The payment: the provider's idempotency key.
    pub payment: Id,
    /// What to do.
    pub operation: Operation,
}

/// What a provider can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Take the money, or only authorize it.
    Charge {
        /// Minor units.
        amount: i64,
        /// Their currency.
        currency: Currency,
        /// How.
        method: Method,
        /// The provider's name of the card.
        token: Option<String>,
        /// Whether to only authorize.
        manual: bool,
    },
    /// Go on after the buyer has done what was asked.
    Confirm,
    /// Take what was authorized.
    Capture,
    /// Undo whatever was done.
    Void,
    /// Give money back.
    Refund {
        /// Which refund of the payment, from 0: part of the idempotency key.
        number: u32,
        /// Minor units.
        amount: i64,
    },
}

impl Operation {
    /// What an answer to this is an answer to.
    #[must_use]
    pub fn asked(&self) -> Asked {
        match self {
            Self::Charge { .. } => Asked::Charge,
            Self::Confirm => Asked::Confirm,
            Self::Capture => Asked::Capture,
            Self::Void => Asked::Void,
            Self::Refund { number, .. } => Asked::Refund(*number),
        }
    }
}

/// What a provider was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// A charge.
    Charge,
    /// A confirmation.
    Confirm,
    /// A capture.
    Capture,
    /// A void.
    Void,
    /// The refund of this number.
    Refund(u32),
}

/// What a provider answers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum GatewayAnswer {
    /// Done: charged, captured, voided, refunded.
    Done,
    /// The money is set aside.
    Authorized,
    /// The buyer has to do something first.
    ActionRequired,
    /// It will be decided later.
    Pending,
    /// No.
    Declined {
        /// The provider's reason.
        code: String,
    },
    /// No answer, also after retries: it may have happened or not.
    Unknown,
}
