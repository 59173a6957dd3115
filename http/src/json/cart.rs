use relampago_actors::cart::{CartLine, Status, View};
use relampago_actors::money::Currency;
use serde::Serialize;
use utoipa::ToSchema;

use super::{CurrencyCode, IdText, Money, Time};

/// A cart.
#[derive(Serialize, ToSchema)]
pub(crate) struct Cart<'a> {
    /// Also a guest's only credential for it.
    id: IdText,
    user_id: Option<IdText>,
    /// `open`, `checked_out` or `expired`.
    #[schema(example = "open")]
    status: &'static str,
    /// Oldest first.
    items: Vec<CartItem<'a>>,
    total: Money,
    currency: CurrencyCode,
    created_at: Time,
    updated_at: Time,
    version: u64,
}

/// A line of a cart, at the price it was added for.
#[derive(Serialize, ToSchema)]
pub(crate) struct CartItem<'a> {
    id: IdText,
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

impl<'a> Cart<'a> {
    /// `fallback` is the currency of a cart that has none yet.
    pub(crate) fn new(view: &'a View, fallback: Currency) -> Self {
        let currency = view.currency.unwrap_or(fallback);
        Self {
            id: IdText(view.id),
            user_id: view.user.map(IdText),
            status: match view.status {
                Status::Open => "open",
                Status::CheckedOut => "checked_out",
                Status::Expired => "expired",
            },
            items: view.items.iter().map(|item| CartItem::new(item, currency)).collect(),
            total: Money::new(view.total(), currency),
            currency: CurrencyCode(currency),
            created_at: Time(view.created_at),
            updated_at: Time(view.updated_at),
            version: view.version,
        }
    }
}

impl<'a> CartItem<'a> {
    fn new(item: &'a CartLine, currency: Currency) -> Self {
        let line = &item.line;
        Self {
            id: IdText(item.id),
            product_id: IdText(line.product),
            sku: &line.sku,
            name: &line.name,
            quantity: line.quantity,
            price: Money::new(line.price, currency),
            line_total: Money::new(line.total(), currency),
        }
    }
}
