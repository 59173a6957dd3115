//! The catalogue: cards for decisions, and products in order for lists.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use parking_lot::RwLock;
use relampago_actors::catalogue::{self, Card, Stock};
use relampago_actors::product::{Product, Status, View};
use relampago_actors::{Address, Id, Millis, Sequence};
use rustc_hash::{FxBuildHasher, FxHashMap};

use crate::api::{ProductKey, ProductOrder, ProductQuery};

/// What a live inventory keeps at hand: its stock in the catalogue.
pub(crate) type StockHandle = Option<Arc<Stock>>;

#[derive(Debug, Default)]
pub(crate) struct Catalogue {
    by_sku: DashMap<Arc<str>, Arc<Card>>,
    by_product: DashMap<Id, Arc<Card>, FxBuildHasher>,
    /// By the inventory's id.
    stocks: DashMap<Id, Arc<Stock>, FxBuildHasher>,
    listing: RwLock<Listing>,
    latest: AtomicU64,
}

#[derive(Debug, Default)]
struct Listing {
    entries: FxHashMap<Id, Entry>,
    by_created: BTreeSet<(Millis, Id)>,
    by_name: BTreeSet<(Arc<str>, Id)>,
    by_price: BTreeSet<(i64, Id)>,
}

#[derive(Debug)]
struct Entry {
    view: Arc<View>,
    /// Name in lower case: the key of the order by name.
    name: Arc<str>,
    /// What a search looks in, lower case.
    text: String,
    stock: Arc<Stock>,
}

impl catalogue::Catalogue for Catalogue {
    fn by_sku(&self, sku: &str) -> Option<Arc<Card>> {
        self.by_sku.get(sku).map(|card| Arc::clone(&card))
    }

    fn by_product(&self, product: Id) -> Option<Arc<Card>> {
        self.by_product.get(&product).map(|card| Arc::clone(&card))
    }
}

impl Catalogue {
    /// The stock of an inventory, shared with the cards of its sku.
    pub(crate) fn stock<'a>(&self, inventory: Address, handle: &'a mut StockHandle) -> &'a Stock {
        handle.get_or_insert_with(|| self.stock_of(inventory))
    }

    /// What the shop sells of a sku: units, and the inventory's event that made it so.
    pub(crate) fn sells(&self, inventory: Id) -> Option<(i64, Sequence)> {
        self.stocks.get(&inventory).map(|stock| stock.available())
    }

    fn stock_of(&self, inventory: Address) -> Arc<Stock> {
        Arc::clone(&self.stocks.entry(inventory.id).or_default())
    }

    /// Takes note of a product as it is now.
    pub(crate) fn record_product(&self, id: Id, product: &Product, sequence: Sequence) {
        let Some((details, status)) = product.card() else { return };
        let inventory = Address::inventory(&details.sku);
        let stock = self.stock_of(inventory);
        let card = Arc::new(Card {
            product: id,
            sku: Arc::clone(&details.sku),
            name: Arc::clone(&details.name),
            price: details.price,
            currency: details.currency,
            active: status == Status::Active,
            inventory,
            stock: Arc::clone(&stock),
            sequence,
        });
        self.by_product.insert(id, Arc::clone(&card));
        self.by_sku.insert(Arc::clone(&details.sku), card);
        let view = Arc::new(View {
            id,
            details: details.clone(),
            stock: 0,
            status,
            created_at: product.created_at(),
            updated_at: product.updated_at(),
            version: product.version(),
        });
        // First: whoever sees the product in the list has to wait for its event.
        self.latest.fetch_max(sequence, Ordering::AcqRel);
        self.listing.write().put(view, stock);
    }

    /// The last event that is in the lists.
    pub(crate) fn latest(&self) -> Sequence {
        self.latest.load(Ordering::Acquire)
    }

    /// A page of products with their stock, whether there are more, and the highest sequence of what it shows.
    pub(crate) fn list(&self, query: &ProductQuery) -> (Vec<Arc<View>>, bool, Sequence) {
        let listing = self.listing.read();
        let mut found = listing.matching(query);
        let mut needs = self.latest();
        let mut items = Vec::new();
        for entry in found.by_ref().take(query.limit) {
            let (stock, sequence) = entry.stock.available();
            needs = needs.max(sequence);
            items.push(Arc::new(View { stock, ..(*entry.view).clone() }));
        }
        let more = found.next().is_some();
        (items, more, needs)
    }

    pub(crate) fn len(&self) -> usize {
        self.by_product.len()
    }
}

impl Listing {
    fn put(&mut self, view: Arc<View>, stock: Arc<Stock>) {
        let id = view.id;
        let name: Arc<str> = view.details.name.to_lowercase().into();
        if let Some(old) = self.entries.get(&id) {
            self.by_created.remove(&(old.view.created_at, id));
            self.by_name.remove(&(Arc::clone(&old.name), id));
            self.by_price.remove(&(old.view.details.price, id));
        }
        self.by_created.insert((view.created_at, id));
        self.by_name.insert((Arc::clone(&name), id));
        self.by_price.insert((view.details.price, id));
        let details = &view.details;
        let text = format!("{name}\n{}\n{}", details.sku.to_lowercase(), details.description.to_lowercase());
        self.entries.insert(id, Entry { view, name, text, stock });
    }

    fn matching<'a>(&'a self, query: &'a ProductQuery) -> Box<dyn Iterator<Item = &'a Entry> + 'a> {
        let after = query.after.as_ref();
        let ids: Box<dyn Iterator<Item = Id> + 'a> = match query.order {
            ProductOrder::CreatedAt => {
                let key = after.and_then(|(key, id)| match key {
                    ProductKey::CreatedAt(at) => Some((*at, *id)),
                    _ => None,
                });
                page(&self.by_created, key, query.descending)
            }
            ProductOrder::Name => {
                let key = after.and_then(|(key, id)| match key {
                    ProductKey::Name(name) => Some((Arc::clone(name), *id)),
                    _ => None,
                });
                page(&self.by_name, key, query.descending)
            }
            ProductOrder::Price => {
                let key = after.and_then(|(key, id)| match key {
                    ProductKey::Price(price) => Some((*price, *id)),
                    _ => None,
                });
                page(&self.by_price, key, query.descending)
            }
        };
        let text = query.text.as_ref().map(|text| text.to_lowercase());
        Box::new(ids.filter_map(|id| self.entries.get(&id)).filter(move |entry| {
            let details = &entry.view.details;
            (query.archived || entry.view.status == Status::Active)
                && query
                    .category
                    .as_deref()
                    .is_none_or(|category| details.category.as_deref() == Some(category))
                && text.as_ref().is_none_or(|text| entry.text.contains(text.as_str()))
        }))
    }
}

/// The ids of an ordered set after a key, in either direction.
fn page<K: Ord + Clone>(
    set: &BTreeSet<(K, Id)>,
    after: Option<(K, Id)>,
    descending: bool,
) -> Box<dyn Iterator<Item = Id> + '_> {
    use std::ops::Bound::{Excluded, Unbounded};
    let ids = |(_, id): &(K, Id)| *id;
    match (after, descending) {
        (None, false) => Box::new(set.iter().map(ids)),
        (None, true) => Box::new(set.iter().rev().map(ids)),
        (Some(key), false) => Box::new(set.range((Excluded(key), Unbounded)).map(ids)),
        (Some(key), true) => Box::new(set.range((Unbounded, Excluded(key))).rev().map(ids)),
    }
}
