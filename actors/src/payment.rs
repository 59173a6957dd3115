//! A payment: one try to pay one order through a provider.
//!
//! The order clears it first, so that nobody is charged without stock. Then the provider is asked, under the
//! payment's id as its idempotency key, until it has answered or the deadline has passed. An approval that
//! finds its order gone is voided.

mod decide;
mod gateway;

pub use gateway::{Asked, GatewayAnswer, GatewayCall, Operation};
use serde::{Deserialize, Serialize};

use crate::address::{self, Effect, Id, Kind, Reply};
use crate::entity::{Context, Decision, Entity, Millis, Stamp};
use crate::keys::{KeyTag, Remembered};
use crate::money::{Currency, Decimal};
use crate::order;

/// Failure code of a payment that the provider did not decide in time.
pub const PROVIDER_TIMEOUT: &str = "provider_timeout";

/// Failure code of a payment whose order was gone when it was approved.
pub const RESERVATION_EXPIRED: &str = "reservation_expired";

/// How a buyer pays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// Credit card.
    CreditCard,
    /// Debit card.
    DebitCard,
    /// PayPal.
    Paypal,
}

/// What can be asked of a payment.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// Pay.
    Process {
        /// Which order.
        order: Id,
        /// How much; has to be the order's total.
        amount: Decimal,
        /// How.
        method: Method,
        /// The provider's name of the card.
        token: Option<String>,
        /// Whether to only authorize.
        manual: bool,
        /// The client's key.
        tag: KeyTag,
    },
    /// The order may be paid.
    Cleared {
        /// Which order.
        order: Id,
        /// Its total, minor units.
        amount: i64,
        /// Its currency.
        currency: Currency,
        /// Until when: names the try that is cleared.
        until: Millis,
    },
    /// The order may not be paid.
    NotCleared {
        /// Until when it wanted to be paid: names the try that is refused.
        until: Millis,
        /// Why.
        reason: order::Rejection,
    },
    /// The provider answers.
    Gateway {
        /// What it was asked.
        asked: Asked,
        /// What it says.
        answer: GatewayAnswer,
    },
    /// The order has taken note of an approval or a failure.
    OrderAnswer {
        /// Whether it is paid by this payment.
        paid: bool,
    },
    /// The buyer has done what was asked.
    Confirm {
        /// The client's key.
        tag: KeyTag,
    },
    /// Take what was authorized.
    Capture {
        /// The client's key.
        tag: KeyTag,
    },
    /// Give money back.
    Refund {
        /// How much; all that is left if not said.
        amount: Option<Decimal>,
        /// Why, for the books.
        reason: String,
        /// The client's key.
        tag: KeyTag,
    },
    /// The order is being cancelled: give all that is left back.
    RefundOrder {
        /// The order.
        order: Id,
        /// Which cancellation of the order, from 1: one may fail and another be asked for.
        cancellation: u32,
    },
    /// Show it.
    Get,
}

/// The beginning of a payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Requested {
    /// Which order.
    pub order: Id,
    /// How much.
    pub amount: Decimal,
    /// How.
    pub method: Method,
    /// The provider's name of the card.
    pub token: Option<String>,
    /// Whether to only authorize.
    pub manual: bool,
    /// The client's key.
    pub tag: KeyTag,
    /// When it has to be decided at the latest. A payment that was refused may be asked for again; this grows
    /// with every try, and so tells one from another.
    pub until: Millis,
}

/// What a payment waits for, in the order in which one follows the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Waiting {
    /// The provider has not answered.
    Unanswered,
    /// The provider decides later.
    Provider,
    /// The buyer has to do something.
    Action,
    /// The shop has to capture.
    Capture,
}

/// What can have happened to a payment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It was asked for.
    Requested(Box<Requested>),
    /// The order may be paid.
    Cleared {
        /// Minor units.
        amount: i64,
        /// Their currency.
        currency: Currency,
    },
    /// The order may not be paid.
    NotCleared {
        /// Why.
        reason: order::Rejection,
    },
    /// The provider has not decided.
    Waiting(Waiting),
    /// The buyer has done what was asked.
    ConfirmRequested {
        /// The client's key.
        tag: KeyTag,
    },
    /// The shop captures.
    CaptureRequested {
        /// The client's key.
        tag: KeyTag,
    },
    /// The provider has taken the money.
    Approved,
    /// The order is paid by it.
    Settled,
    /// It came to nothing.
    Rejected {
        /// Why.
        code: String,
        /// Whether something may have to be undone at the provider.
        void: bool,
        /// Whether the order knows already.
        told: bool,
    },
    /// The order knows.
    OrderTold,
    /// What may have happened at the provider is undone.
    Voided,
    /// Money is to be given back.
    RefundRequested {
        /// Minor units.
        amount: i64,
        /// Why.
        reason: String,
        /// The client's key; none for a cancellation.
        tag: Option<KeyTag>,
        /// Which cancellation of the order it is for, if for one.
        cancellation: Option<u32>,
    },
    /// It was given back.
    Refunded,
    /// It was not.
    RefundFailed {
        /// Why.
        code: String,
    },
}

/// Where a payment stands, as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// Not decided.
    Pending,
    /// The money is the shop's.
    Approved,
    /// It came to nothing.
    Rejected,
    /// All money is back.
    Refunded,
}

/// Finer than a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SubStatus {
    /// The provider decides later, or has not answered.
    AwaitingProvider,
    /// The buyer has to do something.
    RequiresAction,
    /// The money is set aside.
    Authorized,
    /// Some money is back.
    PartiallyRefunded,
    /// What the provider did was undone.
    Voided,
}

/// Money given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refund {
    /// Minor units.
    pub amount: i64,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Millis,
}

/// What a payment shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: Id,
    /// The order it pays.
    pub order: Id,
    /// Minor units.
    pub amount: i64,
    /// Their currency.
    pub currency: Currency,
    /// How.
    pub method: Method,
    /// Where it stands.
    pub status: Status,
    /// Finer.
    pub sub_status: Option<SubStatus>,
    /// Why it came to nothing.
    pub failure_code: Option<String>,
    /// Money given back, oldest first.
    pub refunds: Vec<Refund>,
    /// When it was asked for.
    pub created_at: Millis,
    /// When it last changed.
    pub updated_at: Millis,
    /// Grows with every change.
    pub version: u64,
}

/// Why a payment says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such payment.
    #[error("there is no such payment")]
    NotFound,
    /// Nothing waits for a confirmation.
    #[error("the payment does not wait for a confirmation")]
    NotConfirmable,
    /// Nothing waits for a capture.
    #[error("the payment does not wait to be captured")]
    NotCapturable,
    /// There is nothing to give back.
    #[error("the payment has nothing to refund")]
    NotRefundable,
    /// Another refund is under way.
    #[error("a refund of the payment is in progress")]
    RefundInProgress,
    /// More than was paid and is not yet given back.
    #[error("the amount is not between the smallest unit and what is left to refund")]
    RefundAmount {
        /// What is left, minor units.
        left: i64,
        /// Its currency.
        currency: Currency,
    },
    /// The provider did not give the money back.
    #[error("the provider refused the refund: {code}")]
    RefundFailed {
        /// Its reason.
        code: String,
    },
}

/// An open question to a payment.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// How the request under the payment's own key ended.
    Processed,
    /// How the confirmation, the capture or the refund with this key ended.
    Keyed(KeyTag),
    /// The payment.
    View,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Blank,
    Clearing,
    Refused(order::Rejection),
    Charging,
    Waiting(Waiting),
    Confirming,
    Capturing,
    Approved,
    Settled,
    Rejected { code: String, void: bool, told: bool, voided: bool },
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Refunding {
    amount: i64,
    reason: String,
    tag: Option<KeyTag>,
    cancellation: Option<u32>,
}

/// A payment's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Payment {
    id: Id,
    phase: Phase,
    request: Option<Box<Requested>>,
    amount: i64,
    currency: Option<Currency>,
    refunds: Vec<Refund>,
    refunding: Option<Refunding>,
    /// Refunds begun so far: the next one's number.
    refunds_begun: u32,
    /// The last cancellation of the order whose refund failed; 0 if none did.
    failed_cancellation: u32,
    /// The key of the running confirmation or capture.
    running: Option<KeyTag>,
    /// The first answer that was given to the request.
    processed: Option<Box<View>>,
    keyed: Remembered<Result<Box<View>, Rejection>>,
    created_at: Millis,
    updated_at: Millis,
    version: u64,
}

impl Entity for Payment {
    const KIND: Kind = Kind::Payment;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(id: Id) -> Self {
        Self {
            id,
            phase: Phase::Blank,
            request: None,
            amount: 0,
            currency: None,
            refunds: Vec::new(),
            refunding: None,
            refunds_begun: 0,
            failed_cancellation: 0,
            running: None,
            processed: None,
            keyed: Remembered::default(),
            created_at: 0,
            updated_at: 0,
            version: 0,
        }
    }

    fn decide(&self, command: Command, cx: &Context<'_>) -> Decision<Self> {
        match command {
            Command::Process { order, amount, method, token, manual, tag } => {
                let before = self.request.as_ref().map_or(0, |request| request.until);
                let until = (cx.now + cx.policy.payment_deadline_ms).max(before + 1);
                self.process(Requested { order, amount, method, token, manual, tag, until })
            }
            Command::Cleared { order, amount, currency, until } => {
                self.cleared(order, amount, currency, until)
            }
            Command::NotCleared { until, reason } if self.clears(until) => {
                Decision::record(Event::NotCleared { reason })
            }
            Command::NotCleared { .. } => Decision::nothing(),
            Command::Gateway { asked, answer } => self.gateway(asked, answer),
            Command::OrderAnswer { paid } => self.order_answer(paid),
            Command::Confirm { tag } => self.confirm(tag),
            Command::Capture { tag } => self.capture(tag),
            Command::Refund { amount, reason, tag } => self.refund(amount, reason, tag),
            Command::RefundOrder { order, cancellation } => self.refund_order(order, cancellation),
            Command::Get => Decision::settle(Ask::View),
        }
    }

    fn expire(&self, cx: &Context<'_>) -> Decision<Self> {
        if self.deadline().is_some_and(|deadline| deadline <= cx.now) {
            return self.reject(PROVIDER_TIMEOUT, true);
        }
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        self.make_true(event, stamp.at);
    }

    fn answer(&self, ask: &Ask, _cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        match ask {
            Ask::Processed => self.processed_answer(),
            Ask::Keyed(tag) => self.keyed_answer(*tag),
            Ask::View => Some(match self.view() {
                Some(view) => Ok(Reply::Payment(Box::new(view))),
                None => Err(Rejection::NotFound.into()),
            }),
        }
    }

    fn pending(&self) -> Vec<Effect> {
        self.owed_effects()
    }

    fn deadline(&self) -> Option<Millis> {
        match self.phase {
            Phase::Charging | Phase::Waiting(_) | Phase::Confirming | Phase::Capturing => {
                self.request.as_ref().map(|request| request.until)
            }
            _ => None,
        }
    }

    fn at_rest(&self) -> bool {
        match self.phase {
            Phase::Blank | Phase::Refused(_) | Phase::Settled => self.refunding.is_none(),
            // What the provider has not decided is asked for again.
            Phase::Waiting(waiting) => matches!(waiting, Waiting::Action | Waiting::Capture),
            Phase::Rejected { void, told, voided, .. } => told && (voided || !void),
            _ => false,
        }
    }
}
