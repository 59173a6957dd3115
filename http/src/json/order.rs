use relampago_actors::line;
use relampago_actors::money::Currency;
use relampago_actors::order::{SubStatus, View};
use relampago_config::Locale;
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use super::{CurrencyCode, IdText, Money, Time};
use crate::locale;

/// An order.
#[derive(Serialize, ToSchema)]
pub(crate) struct Order<'a> {
    id: IdText,
    /// The cart it was made from, if any.
    cart_id: Option<IdText>,
    user_id: Option<IdText>,
    #[schema(value_type = Vec<Line<'_>>)]
    items: Lines<'a>,
    total: Money,
    currency: CurrencyCode,
    /// `created`, `paid`, `shipped`, `delivered` or `cancelled`.
    #[schema(example = "created")]
    status: &'static str,
    /// The status in the language of `Accept-Language`: `en` or `es`.
    #[schema(example = "Created")]
    status_label: &'static str,
    /// Finer: `expired`, `payment_in_progress` or `refunding`.
    sub_status: Option<&'static str>,
    /// The payment that pays it or tries to.
    payment_id: Option<IdText>,
    /// When the stock is given back unless it is paid; null once it is paid or over.
    reservation_expires_at: Option<Time>,
    created_at: Time,
    updated_at: Time,
    version: u64,
}

/// A line of an order, at the price it was bought for.
#[derive(Serialize, ToSchema)]
pub(crate) struct Line<'a> {
    product_id: IdText,
    #[schema(example = "LAMP-1")]
    sku: &'a str,
    #[schema(example = "Storm lamp")]
    name: &'a str,
    #[schema(example = 2)]
    quantity: u32,
    price: Money,
    line_total: Money,
}

impl<'a> Line<'a> {
    fn new(line: &'a line::Line, currency: Currency) -> Self {
        Self {
            product_id: IdText(line.product),
            sku: &line.sku,
            name: &line.name,
            quantity: line.quantity,
            price: Money::new(line.price, currency),
            line_total: Money::new(line.total(), currency),
        }
    }
}

/// Lines, written one by one without a list of their own.
pub(super) struct Lines<'a> {
    pub(super) lines: &'a [line::Line],
    pub(super) currency: Currency,
}

impl Serialize for Lines<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.lines.iter().map(|line| Line::new(line, self.currency)))
    }
}

impl<'a> Order<'a> {
    pub(crate) fn new(view: &'a View, locale: Locale) -> Self {
        let opened = &view.opened;
        Self {
            id: IdText(view.id),
            cart_id: opened.cart.map(IdText),
            user_id: opened.buyer.user.map(IdText),
            items: Lines { lines: &opened.lines, currency: opened.currency },
            total: Money::new(opened.total, opened.currency),
            currency: CurrencyCode(opened.currency),
            status: locale::order_code(view.status),
            status_label: locale::order_label(view.status, locale),
            sub_status: view.sub_status.map(sub_status),
            payment_id: view.payment.map(IdText),
            reservation_expires_at: view.expires_at.map(Time),
            created_at: Time(view.created_at),
            updated_at: Time(view.updated_at),
            version: view.version,
        }
    }
}

fn sub_status(sub_status: SubStatus) -> &'static str {
    match sub_status {
        SubStatus::Expired => "expired",
        SubStatus::PaymentInProgress => "payment_in_progress",
        SubStatus::Refunding => "refunding",
    }
}
