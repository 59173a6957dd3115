//! Values that tests need and whose content does not matter.

use std::sync::Arc;

use relampago_actors::entity::Policy;
use relampago_actors::keys::KeyTag;
use relampago_actors::line::{ProductRef, Wanted};
use relampago_actors::money::{Currency, Decimal};
use relampago_actors::{Id, product};

/// Short times, so that everything ends.
pub const POLICY: Policy = Policy {
    reservation_ttl_ms: 10_000,
    payment_deadline_ms: 6_000,
    cart_ttl_ms: 100_000,
    verification_ttl_ms: 48 * 60 * 60 * 1000,
};

/// The id of the `number`th thing of a kind.
pub fn id(kind: &str, number: usize) -> Id {
    Id::derived(kind, &[&number.to_le_bytes()])
}

/// A key with a body.
pub fn tag(key: u128, body: u64) -> KeyTag {
    KeyTag { key, body }
}

/// Details of a product in US dollars.
pub fn details(sku: &str, price: i64) -> product::Details {
    product::Details {
        sku: sku.into(),
        name: format!("{sku} by name").into(),
        description: Arc::from(""),
        category: None,
        price,
        currency: Currency::USD,
    }
}

/// Some units of a sku.
pub fn wanted(sku: &str, quantity: u32) -> Wanted {
    Wanted { product: ProductRef::Sku(sku.into()), quantity }
}

/// An amount of cents as a client writes it.
pub fn cents(minor: i64) -> Decimal {
    format!("{}.{:02}", minor / 100, minor % 100).parse().unwrap()
}
