//! A catalogue that is folded from the events of products and inventories, as the engine's is.

use std::collections::BTreeMap;
use std::sync::Arc;

use relampago_actors::catalogue::{Card, Catalogue, Stock};
use relampago_actors::product::{Product, Status};
use relampago_actors::{Address, Id, Sequence};

/// Cards by sku and by product.
#[derive(Debug, Default)]
pub struct Shelf {
    cards: BTreeMap<Arc<str>, Arc<Card>>,
    skus: BTreeMap<Id, Arc<str>>,
    stocks: BTreeMap<Address, Arc<Stock>>,
}

impl Shelf {
    /// Takes note of a product after an event of it.
    pub fn note_product(&mut self, id: Id, product: &Product, sequence: Sequence) {
        let Some((details, status)) = product.card() else { return };
        let inventory = Address::inventory(&details.sku);
        let card = Card {
            product: id,
            sku: Arc::clone(&details.sku),
            name: Arc::clone(&details.name),
            price: details.price,
            currency: details.currency,
            active: status == Status::Active,
            inventory,
            stock: Arc::clone(self.stocks.entry(inventory).or_default()),
            sequence,
        };
        self.skus.insert(id, Arc::clone(&card.sku));
        self.cards.insert(Arc::clone(&card.sku), Arc::new(card));
    }

    /// Takes note of a stock after an event of an inventory.
    pub fn note_stock(&mut self, inventory: Address, available: i64, sequence: Sequence) {
        self.stocks.entry(inventory).or_default().record(available, sequence);
    }
}

impl Catalogue for Shelf {
    fn by_sku(&self, sku: &str) -> Option<Arc<Card>> {
        self.cards.get(sku).cloned()
    }

    fn by_product(&self, product: Id) -> Option<Arc<Card>> {
        self.by_sku(self.skus.get(&product)?)
    }
}
