//! What decisions may know of products: a read model, kept by the engine from recorded events.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use crate::address::{Address, Id};
use crate::entity::Sequence;
use crate::money::Currency;

/// A number that one thread writes and others read; a test may put another in its place, to try the order of steps.
pub trait Cell<T>: Default {
    /// Reads it; whatever its writer wrote before is seen too.
    fn get(&self) -> T;
    /// Writes it.
    fn set(&self, value: T);
}

impl Cell<i64> for AtomicI64 {
    fn get(&self) -> i64 {
        self.load(Ordering::Acquire)
    }

    fn set(&self, value: i64) {
        self.store(value, Ordering::Release);
    }
}

impl Cell<Sequence> for AtomicU64 {
    fn get(&self) -> Sequence {
        self.load(Ordering::Acquire)
    }

    fn set(&self, value: Sequence) {
        self.store(value, Ordering::Release);
    }
}

/// The stock of a sku as last recorded, shared by every card of it.
pub type Stock = StockIn<AtomicI64, AtomicU64>;

/// A [`Stock`] in cells of some kind.
#[derive(Debug, Default)]
pub struct StockIn<A, S> {
    available: A,
    sequence: S,
}

impl<A: Cell<i64>, S: Cell<Sequence>> StockIn<A, S> {
    /// What can be sold, and the sequence of the event that made it so (or a later one).
    pub fn available(&self) -> (i64, Sequence) {
        // The count first: a reader may then see a later sequence than it needs, never an earlier one.
        let available = self.available.get();
        (available, self.sequence.get())
    }

    /// Called by the one writer of the sku, in the order of its events.
    pub fn record(&self, available: i64, sequence: Sequence) {
        self.sequence.set(sequence);
        self.available.set(available);
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
