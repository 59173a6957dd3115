//! What the engine's callers see: questions, answers, and what can go wrong.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use relampago_actors::{Id, Millis, Rejection, Reply, Sequence, order, product};
use relampago_keys::KeysError;
use relampago_snapshots::{StorageError, remedy};

/// A position in a journal: everything up to it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The partition whose journal it is.
    pub journal: u16,
    /// The sequence in that journal.
    pub sequence: Sequence,
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.journal, self.sequence)
    }
}

/// The trace that a command belongs to, as W3C Trace Context numbers it; none is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trace(pub u128);

impl Trace {
    /// As a field of a log line, if there is one.
    pub(crate) fn field(self) -> Option<tracing::field::DisplayValue<Self>> {
        (self.0 != 0).then(|| tracing::field::display(self))
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The domain says yes.
#[derive(Clone, Debug)]
pub struct Answered {
    /// What.
    pub reply: Reply,
    /// What the answer reflects; durable.
    pub commit: Commit,
    /// Whether it repeats an earlier answer under the same idempotency key.
    pub replayed: bool,
}

/// A question without a yes.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// The domain says no.
    #[error("{rejection}")]
    Rejected {
        /// Why.
        rejection: Rejection,
        /// What the refusal reflects; durable.
        commit: Commit,
    },
    /// Too much is in flight: refused before any work.
    #[error("the engine is at its limit")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// It may have happened or not: ask again with the same key.
    #[error("the outcome is unknown")]
    OutcomeUnknown,
    /// No answer in the time that the caller had: as [`AskError::OutcomeUnknown`].
    #[error("no answer in time")]
    TimedOut,
    /// No answer in the time that the caller had, to a command that waits for the answer to an earlier one
    /// under the same key.
    #[error("an earlier command under the same key is still under way")]
    InFlight,
    /// The command made its entity's code fail; nothing was changed.
    #[error("the command could not be carried out")]
    Faulted,
    /// The engine drains or has stopped.
    #[error("the engine is stopping")]
    Stopping,
}

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is stored cannot be used.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A stored record cannot be read.
    #[error("journal record {sequence}: {reason}; {UNREADABLE}")]
    Record {
        /// Its position.
        sequence: Sequence,
        /// What is wrong with it.
        reason: String,
    },
    /// A stored snapshot cannot be read.
    #[error("snapshot of {entity}: {reason}; {UNREADABLE}")]
    Snapshot {
        /// Of which entity.
        entity: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The journal is there and the keys of the personal data in it are not.
    #[error(
        "{} is missing, without which personal data cannot be read: restore the data folder as a whole",
        vault.display()
    )]
    VaultMissing {
        /// The file.
        vault: std::path::PathBuf,
    },
    /// The keys of personal data are those of an earlier day: some would be missing, and what was erased would be back.
    #[error(
        "{} is an older copy, or was cut off: it was changed {changes} times, and {noted} times are known of; restore \
         the data folder as a whole",
        vault.display()
    )]
    VaultOlder {
        /// The file.
        vault: std::path::PathBuf,
        /// How often it was changed.
        changes: u64,
        /// How often it must have been changed at least.
        noted: u64,
    },
    /// The keys cannot be used.
    #[error("{}{}", .0, remedy_of(.0))]
    Keys(#[from] KeysError),
    /// The operating system refused something.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

/// What to do about a record that is whole and says nothing to this program.
const UNREADABLE: &str =
    "start the program that wrote it, or restore the data folder from a backup taken as a whole";

/// What the keys' own errors leave out: what to do about the operating system's.
pub(crate) fn remedy_of(error: &KeysError) -> String {
    match error {
        KeysError::Io { source, .. } => format!("; {}", remedy(source)),
        _ => String::new(),
    }
}

/// How to order products.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProductOrder {
    /// By when they were made.
    #[default]
    CreatedAt,
    /// By name.
    Name,
    /// By price in minor units.
    Price,
}

/// A product's place in an order: carried by whoever goes on from it, because the product may have moved since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProductKey {
    /// When it was made.
    CreatedAt(Millis),
    /// Its name in lower case.
    Name(Arc<str>),
    /// Its price in minor units.
    Price(i64),
}

impl ProductOrder {
    /// Where a product stands in this order.
    #[must_use]
    pub fn key(self, product: &product::View) -> ProductKey {
        match self {
            Self::CreatedAt => ProductKey::CreatedAt(product.created_at),
            Self::Name => ProductKey::Name(product.details.name.to_lowercase().into()),
            Self::Price => ProductKey::Price(product.details.price),
        }
    }
}

/// Which products to list.
#[derive(Clone, Debug, Default)]
pub struct ProductQuery {
    /// Part of the name, the description or the sku; any case.
    pub text: Option<String>,
    /// Exactly this category.
    pub category: Option<String>,
    /// Whether the order is turned round.
    pub descending: bool,
    /// Whether archived ones are listed too.
    pub archived: bool,
    /// In which order.
    pub order: ProductOrder,
    /// After this place. One of another order is none.
    pub after: Option<(ProductKey, Id)>,
    /// At most so many.
    pub limit: usize,
}

/// A page of products.
#[derive(Clone, Debug)]
pub struct ProductPage {
    /// The products, with their stock.
    pub items: Vec<Arc<product::View>>,
    /// Whether there are more.
    pub more: bool,
    /// What the page reflects.
    pub position: Commit,
}

/// Which orders to list, newest first.
#[derive(Clone, Debug, Default)]
pub struct OrderQuery {
    /// Whose.
    pub user: Option<Id>,
    /// Where they stand.
    pub status: Option<order::Status>,
    /// Older than this order.
    pub after: Option<(Millis, Id)>,
    /// At most so many.
    pub limit: usize,
}

/// A page of orders: ask each for what it shows.
#[derive(Clone, Debug)]
pub struct OrderPage {
    /// When each was placed, and its id.
    pub items: Vec<(Millis, Id)>,
    /// Whether there are more.
    pub more: bool,
    /// What the page reflects.
    pub position: Commit,
}

/// How the engine is.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether it takes work.
    pub ready: bool,
    /// What made it stop, if it did.
    pub failure: Option<String>,
    /// The highest durable sequence.
    pub durable: Sequence,
    /// Entities in memory by kind.
    pub live: Vec<(&'static str, u64)>,
    /// Entities known in all.
    pub known: u64,
    /// How long recovery took.
    pub recovery: Duration,
    /// For how long the oldest event has waited for the disk.
    pub waiting: Duration,
    /// Durable events that may be in no snapshot.
    pub snapshot_lag: u64,
    /// Units about which orders and inventories disagree, as far as they were checked.
    pub units_at_fault: u64,
}
