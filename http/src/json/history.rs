use relampago_actors::line;
use relampago_actors::money::Currency;
use relampago_actors::order::{Cause, Event, Opened, Recorded, Rejection, Stock};
use serde::Serialize;
use utoipa::ToSchema;

use super::order::Lines;
use super::{CurrencyCode, IdText, Line, Money, Time};

/// Everything that happened to an order, oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct History<'a> {
    items: Vec<HistoryEvent<'a>>,
    /// Always null: a history comes whole.
    next_cursor: Option<&'static str>,
}

/// Something that happened to an order.
#[derive(Serialize, ToSchema)]
pub(crate) struct HistoryEvent<'a> {
    /// Its position in the journal.
    #[schema(example = 4711)]
    sequence: u64,
    at: Time,
    #[serde(flatten)]
    #[schema(inline)]
    what: What<'a>,
}

/// What happened.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", content = "data", rename_all = "snake_case")]
enum What<'a> {
    /// The purchase began.
    Opened {
        attempt: u32,
        cart_id: Option<IdText>,
        user_id: Option<IdText>,
        #[schema(value_type = Vec<Line<'_>>)]
        items: Lines<'a>,
        total: Money,
        currency: CurrencyCode,
    },
    /// One of several lines was reserved or not.
    LineAnswered { sku: Option<&'a str>, reserved: bool, available: Option<i64> },
    /// Everything is reserved: the order stands.
    Placed { reservation_expires_at: Time },
    /// The purchase came to nothing.
    Refused { reason: &'static str },
    /// A payment began.
    PaymentStarted { payment_id: IdText, until: Time },
    /// It came to nothing.
    PaymentFailed { payment_id: IdText },
    /// The order is paid.
    Paid { payment_id: IdText },
    /// The buyer gives up a paid order.
    CancelRequested {},
    /// The money could not be given back.
    CancelFailed {},
    /// The order is over.
    Cancelled { cause: &'static str },
    /// The stock of a line was released, sold or put back.
    LineSettled { sku: Option<&'a str> },
}

impl<'a> History<'a> {
    pub(crate) fn new(events: &'a [Recorded]) -> Self {
        let mut lines: &[line::Line] = &[];
        let mut items = Vec::with_capacity(events.len());
        for recorded in events {
            if let Event::Opened(opened) = &recorded.event {
                lines = &opened.lines;
            }
            let what = What::new(&recorded.event, lines);
            items.push(HistoryEvent { sequence: recorded.sequence, at: Time(recorded.at), what });
        }
        Self { items, next_cursor: None }
    }
}

impl<'a> What<'a> {
    fn new(event: &'a Event, lines: &'a [line::Line]) -> Self {
        let sku = |index: u8| lines.get(usize::from(index)).map(|line| &*line.sku);
        match event {
            Event::Opened(opened) => Self::opened(opened),
            Event::LineAnswered { line, stock } => Self::LineAnswered {
                sku: sku(*line),
                reserved: *stock == Stock::Held,
                available: match stock {
                    Stock::Short { available } => Some(*available),
                    Stock::Held | Stock::Gone => None,
                },
            },
            Event::Placed { expires_at } => Self::Placed { reservation_expires_at: Time(*expires_at) },
            Event::Refused { reason, .. } => Self::Refused {
                reason: match reason {
                    Rejection::OutOfStock { .. } => "out_of_stock",
                    _ => "checkout_interrupted",
                },
            },
            Event::PaymentStarted { payment, until } => {
                Self::PaymentStarted { payment_id: IdText(*payment), until: Time(*until) }
            }
            Event::PaymentFailed { payment } => Self::PaymentFailed { payment_id: IdText(*payment) },
            Event::Paid { payment } => Self::Paid { payment_id: IdText(*payment) },
            Event::CancelRequested { .. } => Self::CancelRequested {},
            Event::CancelFailed => Self::CancelFailed {},
            Event::Cancelled { cause, .. } => Self::Cancelled {
                cause: match cause {
                    Cause::Requested => "requested",
                    Cause::Expired => "expired",
                },
            },
            Event::LineSettled { line } => Self::LineSettled { sku: sku(*line) },
        }
    }

    fn opened(opened: &'a Opened) -> Self {
        let currency: Currency = opened.currency;
        Self::Opened {
            attempt: opened.attempt,
            cart_id: opened.cart.map(IdText),
            user_id: opened.buyer.user.map(IdText),
            items: Lines { lines: &opened.lines, currency },
            total: Money::new(opened.total, currency),
            currency: CurrencyCode(currency),
        }
    }
}
