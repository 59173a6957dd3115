use relampago_actors::product::{Status, View};
use serde::Serialize;
use utoipa::ToSchema;

use super::{CurrencyCode, IdText, Money, Time};

/// A product.
#[derive(Serialize, ToSchema)]
pub(crate) struct Product<'a> {
    id: IdText,
    /// Stock keeping unit; never changes.
    #[schema(example = "LAMP-1")]
    sku: &'a str,
    #[schema(example = "Storm lamp")]
    name: &'a str,
    #[schema(example = "Burns in any wind.")]
    description: &'a str,
    price: Money,
    currency: CurrencyCode,
    /// Units that can be sold now.
    #[schema(example = 1000)]
    stock_quantity: i64,
    #[schema(example = "outdoor")]
    category: Option<&'a str>,
    /// `active` or `archived`.
    #[schema(example = "active")]
    status: &'static str,
    created_at: Time,
    /// Sales do not count as changes.
    updated_at: Time,
    version: u64,
}

impl<'a> From<&'a View> for Product<'a> {
    fn from(view: &'a View) -> Self {
        let details = &view.details;
        Self {
            id: IdText(view.id),
            sku: &details.sku,
            name: &details.name,
            description: &details.description,
            price: Money::new(details.price, details.currency),
            currency: CurrencyCode(details.currency),
            stock_quantity: view.stock,
            category: details.category.as_deref(),
            status: match view.status {
                Status::Active => "active",
                Status::Archived => "archived",
            },
            created_at: Time(view.created_at),
            updated_at: Time(view.updated_at),
            version: view.version,
        }
    }
}
