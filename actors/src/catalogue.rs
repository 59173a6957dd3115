//! What decisions may know of products: a read model, kept by the engine from recorded events.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::address::{Address, Id};
use crate::entity::Sequence;
use crate::money::Currency;

/// The stock of a sku as last recorded, shared by every card of it.
#[derive(Debug, Default)]
pub struct Stock {
    available: AtomicI64,
    sequence: AtomicU64,
}

impl Stock {
    /// What can be sold, and the sequence of the event that made it so (or a later one).
    pub fn available(&self) -> (i64, Sequence) {
        // The count first: a reader may then see a later sequence than it needs, never an earlier one.
        let available = self.available.load(Ordering::Acquire);
        (available, self.sequence.load(Ordering::Acquire))
    }

    /// Called by the one writer of the sku, in the order of its events.
    pub fn record(&self, available: i64, sequence: Sequence) {
        self.sequence.store(sequence, Ordering::Release);
        self.available.store(available, Ordering::Release);
    }
}

/// What an order line or a cart line takes from a product.
#[derive(Clone, Debug)]
pub struct Card {
    /// The product.
    pub product: Id,
    /// Its sku.
    pub sku: Arc<str>,
    /// Its name.
    pub name: Arc<str>,
    /// Price of one unit, minor units of `currency`.
    pub price: i64,
    /// The price's currency.
    pub currency: Currency,
    /// Whether it may be sold: not archived.
    pub active: bool,
    /// Where its stock is kept.
    pub inventory: Address,
    /// The stock as last recorded.
    pub stock: Arc<Stock>,
    /// The last event of the product that is in this card.
    pub sequence: Sequence,
}

/// Looks up products.
pub trait Catalogue: Debug {
    /// By sku.
    fn by_sku(&self, sku: &str) -> Option<Arc<Card>>;
    /// By the product's id.
    fn by_product(&self, product: Id) -> Option<Arc<Card>>;
}
