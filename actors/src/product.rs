//! A product: what is sold, and for how much. Its stock is the inventory's.
//!
//! Making a product is a short saga: the product is recorded, then claims its sku at the sku's inventory,
//! which gives a sku to one product only and keeps it so for good.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::{self, Address, Effect, Id, Kind, Message, Reply};
use crate::entity::{Answer, Context, Decision, Entity, Facets, Millis, Stamp};
use crate::inventory;
use crate::keys::KeyTag;
use crate::money::{Currency, Decimal, MoneyError};

/// Whether it can be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    /// On sale.
    Active,
    /// No longer offered; existing orders and reservations stay.
    Archived,
}

/// What describes a product.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Details {
    /// Stock keeping unit; never changes.
    pub sku: Arc<str>,
    /// Name.
    pub name: Arc<str>,
    /// Free text.
    pub description: Arc<str>,
    /// Category, if any.
    pub category: Option<Arc<str>>,
    /// Price of one unit, minor units.
    pub price: i64,
    /// Currency of the price; never changes.
    pub currency: Currency,
}

/// A change of some of the details; `None` leaves as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Patch {
    /// New name.
    pub name: Option<Arc<str>>,
    /// New description.
    pub description: Option<Arc<str>>,
    /// New category, or none.
    pub category: Option<Option<Arc<str>>>,
    /// New price.
    pub price: Option<Decimal>,
    /// What can be sold from now on.
    pub stock: Option<i64>,
    /// Only accepted if it says what already is.
    pub sku: Option<Arc<str>>,
    /// Only accepted if it says what already is.
    pub currency: Option<Currency>,
    /// The version the client has seen.
    pub if_version: Option<u64>,
}

/// What can be asked of a product.
#[derive(Clone, Debug, PartialEq, Hash)]
pub enum Command {
    /// Make it.
    Create {
        /// What it is.
        details: Details,
        /// Units to sell at first.
        stock: i64,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// The inventory answers a claim.
    Claimed {
        /// The sku that was claimed: a refused product may have been made again under another.
        sku: Arc<str>,
        /// Whether the sku is this product's now.
        granted: bool,
    },
    /// Change it.
    Change(Patch),
    /// The inventory has set what can be sold.
    StockSet {
        /// Which change of this product did it.
        change: u64,
    },
    /// Take it off the shelf.
    Archive {
        /// The version the client has seen.
        if_version: Option<u64>,
    },
    /// Show it.
    Get,
}

/// What can have happened to a product.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// It was described; the sku is being claimed.
    Drafted {
        /// What it is.
        details: Details,
        /// Units to sell at first.
        stock: i64,
        /// The client's key.
        tag: Option<KeyTag>,
    },
    /// The sku is its own: it is on sale.
    Activated,
    /// The sku is another product's.
    Refused,
    /// Details changed.
    Changed {
        /// All of them, as they are now.
        details: Details,
        /// What shall be sellable from now on, if that was part of the change.
        stock: Option<i64>,
    },
    /// The inventory carried out the change of stock.
    StockSettled {
        /// Of which change.
        change: u64,
    },
    /// Taken off the shelf.
    Archived,
}

/// What a product shows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// Its id.
    pub id: Id,
    /// What it is.
    pub details: Details,
    /// Units that can be sold now.
    pub stock: i64,
    /// Whether it can be bought.
    pub status: Status,
    /// When it was made.
    pub created_at: Millis,
    /// When it last changed; sales do not count.
    pub updated_at: Millis,
    /// Grows with every change; sales do not count.
    pub version: u64,
}

/// Why a product says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Rejection {
    /// There is no such product.
    #[error("there is no such product")]
    NotFound,
    /// The sku is another product's.
    #[error("the sku is taken")]
    SkuTaken,
    /// The sku and the currency of a product never change.
    #[error("{field} cannot be changed")]
    Immutable {
        /// Which of the two.
        field: Fixed,
    },
    /// The price does not fit the currency.
    #[error("the price {0}")]
    Price(MoneyError),
    /// The product has changed since the client saw it.
    #[error("the product is at version {current}")]
    VersionConflict {
        /// Its version now.
        current: u64,
    },
}

/// What of a product never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fixed {
    /// Its sku.
    Sku,
    /// The currency of its price.
    Currency,
}

impl std::fmt::Display for Fixed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sku => "sku",
            Self::Currency => "currency",
        })
    }
}

/// An open question to a product.
#[derive(Clone, Debug, PartialEq)]
pub enum Ask {
    /// How the creation ended.
    Created(Option<KeyTag>),
    /// The product once its stock is as asked.
    Changed,
    /// The product.
    View,
    /// Whether it is archived.
    Archived,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Phase {
    Blank,
    Claiming,
    Refused,
    Live(Status),
}

/// A product's state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Product {
    id: Id,
    phase: Phase,
    details: Option<Details>,
    /// The details and the stock it was made with: a repeated creation shows them again.
    first: Option<(Details, i64, Option<KeyTag>)>,
    stock_owed: Option<(u64, i64)>,
    /// How often the stock was set through the product: the number of such a change.
    stock_changes: u64,
    created_at: Millis,
    updated_at: Millis,
    version: u64,
}

impl Product {
    fn create(&self, details: Details, stock: i64, tag: Option<KeyTag>) -> Decision<Self> {
        match (&self.phase, &self.first) {
            (Phase::Blank | Phase::Refused, _) | (_, None) => {
                let claim = self.claim(&details.sku, stock);
                Decision::record(Event::Drafted { details, stock, tag })
                    .owing([claim])
                    .answer(Answer::Settle(Ask::Created(tag)))
            }
            (_, Some((.., first))) if *first != tag => Decision::reject(address::Rejection::KeyReused),
            _ => Decision::replay(Ask::Created(tag)),
        }
    }

    fn claim(&self, sku: &Arc<str>, initial: i64) -> Effect {
        let claim = inventory::Command::Claim { product: self.id, sku: Arc::clone(sku), initial };
        Effect::Send { to: Address::inventory(sku), message: Message::Inventory(claim) }
    }

    /// Whether it waits for the answer to its claim of this sku.
    fn claims(&self, sku: &str) -> bool {
        self.phase == Phase::Claiming && self.details.as_ref().is_some_and(|details| *details.sku == *sku)
    }

    fn change(&self, patch: Patch) -> Decision<Self> {
        let Some((Status::Active, details)) = self.live() else {
            return Decision::reject(Rejection::NotFound);
        };
        if let Err(rejection) = self.check(&patch, details) {
            return Decision::reject(rejection);
        }
        let price = match patch.price.map(|price| price.minor(details.currency)) {
            None => details.price,
            Some(Ok(price)) => price,
            Some(Err(error)) => return Decision::reject(Rejection::Price(error)),
        };
        let changed = Details {
            sku: Arc::clone(&details.sku),
            name: patch.name.unwrap_or_else(|| Arc::clone(&details.name)),
            description: patch.description.unwrap_or_else(|| Arc::clone(&details.description)),
            category: patch.category.unwrap_or_else(|| details.category.clone()),
            price,
            currency: details.currency,
        };
        if changed == *details && patch.stock.is_none() {
            return Decision::settle(Ask::Changed);
        }
        let effect = patch.stock.map(|stock| self.set_stock(&details.sku, self.stock_changes + 1, stock));
        Decision::record(Event::Changed { details: changed, stock: patch.stock })
            .owing(effect)
            .answer(Answer::Settle(Ask::Changed))
    }

    fn check(&self, patch: &Patch, details: &Details) -> Result<(), Rejection> {
        self.check_version(patch.if_version)?;
        if patch.sku.as_ref().is_some_and(|sku| *sku != details.sku) {
            return Err(Rejection::Immutable { field: Fixed::Sku });
        }
        if patch.currency.is_some_and(|currency| currency != details.currency) {
            return Err(Rejection::Immutable { field: Fixed::Currency });
        }
        Ok(())
    }

    fn check_version(&self, seen: Option<u64>) -> Result<(), Rejection> {
        match seen {
            Some(seen) if seen != self.version => Err(Rejection::VersionConflict { current: self.version }),
            _ => Ok(()),
        }
    }

    fn set_stock(&self, sku: &str, change: u64, quantity: i64) -> Effect {
        let set = inventory::Command::SetAvailable { product: self.id, change, quantity };
        Effect::Send { to: Address::inventory(sku), message: Message::Inventory(set) }
    }

    fn archive(&self, if_version: Option<u64>) -> Decision<Self> {
        match self.live() {
            None => Decision::reject(Rejection::NotFound),
            Some((Status::Archived, _)) => Decision::settle(Ask::Archived),
            Some((Status::Active, _)) => match self.check_version(if_version) {
                Err(rejection) => Decision::reject(rejection),
                Ok(()) => Decision::record(Event::Archived).answer(Answer::Settle(Ask::Archived)),
            },
        }
    }

    fn live(&self) -> Option<(Status, &Details)> {
        match (&self.phase, &self.details) {
            (Phase::Live(status), Some(details)) => Some((*status, details)),
            _ => None,
        }
    }

    /// What decisions elsewhere need to know: details, and whether it is on sale. `None` until it was.
    #[must_use]
    pub fn card(&self) -> Option<(&Details, Status)> {
        self.live().map(|(status, details)| (details, status))
    }

    /// The view, with the stock the catalogue knows.
    fn view(&self, cx: &Context<'_>) -> Option<View> {
        let (status, details) = self.live()?;
        let stock = cx.card_of_sku(&details.sku).map_or(0, |card| cx.available(&card));
        Some(self.view_with(details.clone(), stock, status))
    }

    fn view_with(&self, details: Details, stock: i64, status: Status) -> View {
        View {
            id: self.id,
            details,
            stock,
            status,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
        }
    }

    fn created(&self) -> Option<View> {
        let (details, stock, _) = self.first.clone()?;
        let view = self.view_with(details, stock, Status::Active);
        Some(View { updated_at: self.created_at, version: 1, ..view })
    }

    /// When it was made, and its id: the order of lists.
    #[must_use]
    pub fn created_at(&self) -> Millis {
        self.created_at
    }

    /// When it last changed.
    #[must_use]
    pub fn updated_at(&self) -> Millis {
        self.updated_at
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }
}

impl Entity for Product {
    const KIND: Kind = Kind::Product;
    type Command = Command;
    type Event = Event;
    type Ask = Ask;

    fn blank(id: Id) -> Self {
        Self {
            id,
            phase: Phase::Blank,
            details: None,
            first: None,
            stock_owed: None,
            stock_changes: 0,
            created_at: 0,
            updated_at: 0,
            version: 0,
        }
    }

    fn decide(&self, command: Command, _cx: &Context<'_>) -> Decision<Self> {
        match command {
            Command::Create { details, stock, tag } => self.create(details, stock, tag),
            Command::Claimed { sku, granted } if self.claims(&sku) => {
                Decision::record(if granted { Event::Activated } else { Event::Refused })
            }
            Command::Claimed { .. } => Decision::nothing(),
            Command::Change(patch) => self.change(patch),
            Command::StockSet { change } if self.stock_owed.is_some_and(|(owed, _)| owed == change) => {
                Decision::record(Event::StockSettled { change })
            }
            Command::StockSet { .. } => Decision::nothing(),
            Command::Archive { if_version } => self.archive(if_version),
            Command::Get => Decision::settle(Ask::View),
        }
    }

    fn expire(&self, _cx: &Context<'_>) -> Decision<Self> {
        Decision::nothing()
    }

    fn apply(&mut self, event: Event, stamp: Stamp) {
        match event {
            Event::Drafted { details, stock, tag } => {
                self.details = Some(details.clone());
                self.first = Some((details, stock, tag));
                (self.phase, self.created_at) = (Phase::Claiming, stamp.at);
                (self.updated_at, self.version) = (stamp.at, 1);
            }
            Event::Activated => self.phase = Phase::Live(Status::Active),
            Event::Refused => self.phase = Phase::Refused,
            Event::Changed { details, stock } => {
                // The stock is not the product's: setting it makes no new version.
                if self.details.as_ref() != Some(&details) {
                    (self.updated_at, self.version) = (stamp.at, self.version + 1);
                }
                self.details = Some(details);
                if let Some(stock) = stock {
                    self.stock_changes += 1;
                    self.stock_owed = Some((self.stock_changes, stock));
                }
            }
            Event::StockSettled { change } => {
                self.stock_owed = self.stock_owed.filter(|(owed, _)| *owed != change);
            }
            Event::Archived => {
                self.phase = Phase::Live(Status::Archived);
                (self.updated_at, self.version) = (stamp.at, self.version + 1);
            }
        }
    }

    fn answer(&self, ask: &Ask, cx: &Context<'_>) -> Option<Result<Reply, address::Rejection>> {
        let shown = |view: Option<View>| match view {
            Some(view) => Ok(Reply::Product(Box::new(view))),
            None => Err(Rejection::NotFound.into()),
        };
        match ask {
            Ask::View => Some(shown(self.view(cx))),
            Ask::Archived => Some(Ok(Reply::Done)),
            Ask::Changed => self.stock_owed.is_none().then(|| shown(self.view(cx))),
            Ask::Created(_) => match self.phase {
                Phase::Blank | Phase::Claiming => None,
                Phase::Refused => Some(Err(Rejection::SkuTaken.into())),
                Phase::Live(_) => Some(shown(self.created())),
            },
        }
    }

    fn pending(&self) -> Vec<Effect> {
        match (&self.phase, &self.details, &self.first) {
            (Phase::Claiming, Some(details), Some((_, stock, _))) => vec![self.claim(&details.sku, *stock)],
            (_, Some(details), _) => {
                let owed = self.stock_owed.map(|(change, stock)| self.set_stock(&details.sku, change, stock));
                owed.into_iter().collect()
            }
            _ => Vec::new(),
        }
    }

    fn deadline(&self) -> Option<Millis> {
        None
    }

    fn facets(&self) -> Option<Facets> {
        let (status, _) = self.live()?;
        Some(Facets { user: None, status: status as u8, created_at: self.created_at })
    }

    fn at_rest(&self) -> bool {
        false
    }
}
