//! Shows one entity of a data folder that no node runs on.

use std::ops::ControlFlow;
use std::path::Path;

use relampago_actors::{
    Address, Kind, Millis, Sequence, Stamp, api_keys, audit, cart, email, inventory, order, payment, product,
    user,
};
use relampago_snapshots::codec::CodecError;
use relampago_snapshots::{Journal, Offline, SnapshotStore, StorageError};
use serde::Serialize;

use crate::hosting::{Hostable, decode};
use crate::record;

/// What is shown of an entity, in this order: its events, what its snapshot holds, how it stands.
pub trait Shown {
    /// An event that is kept.
    fn event(&mut self, sequence: Sequence, at: Millis, event: &impl Serialize);

    /// The snapshot, which holds every event up to `covers`.
    fn snapshot(&mut self, covers: Sequence, state: &impl Serialize);

    /// The state with its newest event, of sequence `last`.
    fn state(&mut self, last: Sequence, state: &impl Serialize);
}

/// Why an entity cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The data cannot be read.
    #[error("{0}")]
    Storage(String),
    /// A record cannot be decoded.
    #[error("{place}: {source}")]
    Record {
        /// Which.
        place: String,
        /// Why.
        source: CodecError,
    },
}

/// Shows the entity at `at` of the data folder `dir`, on a private copy in `scratch` or beside `dir`. `false` if
/// there is none.
///
/// # Errors
/// If the folder is in use or its data cannot be read.
pub fn inspect(
    dir: &Path,
    scratch: Option<&Path>,
    at: Address,
    shown: &mut impl Shown,
) -> Result<bool, InspectError> {
    let offline = Offline::open(dir, scratch).map_err(|error| InspectError::Storage(error.to_string()))?;
    let in_place = |error: StorageError| InspectError::Storage(offline.in_place(&error));
    let store = offline.store().map_err(in_place)?;
    let (journal, _) = offline.journal().map_err(in_place)?;
    let oldest = offline.oldest_archived().map_or(journal.first(), |oldest| oldest.min(journal.first()));
    let source = Source { journal: &journal, store: &store, oldest };
    match source.show(at, shown) {
        Err(Failed::Storage(error)) => Err(in_place(error)),
        Err(Failed::Codec(place, source)) => Err(InspectError::Record { place, source }),
        Ok(found) => Ok(found),
    }
}

/// A state as it is shown: as it is stored, unless that says little.
trait Summed: Hostable {
    fn summary(&self) -> impl Serialize {
        self
    }
}

impl Summed for product::Product {}
impl Summed for inventory::Inventory {}
impl Summed for cart::Cart {}
impl Summed for payment::Payment {}
impl Summed for user::User {}
impl Summed for email::Email {}
impl Summed for api_keys::ApiKeys {}
impl Summed for audit::Audit {}

/// An order is stored as its events, which are shown anyway.
#[derive(Serialize)]
struct OrderSummary<'a> {
    /// What clients see; nothing until it is placed.
    view: Option<order::View>,
    refused: bool,
    stock: Vec<LineSummary<'a>>,
}

#[derive(Serialize)]
struct LineSummary<'a> {
    sku: &'a str,
    quantity: u32,
    attempt: u32,
    standing: order::Standing,
}

impl Summed for order::Order {
    fn summary(&self) -> impl Serialize {
        let stock = self.line_claims().map(|order::LineClaim { hold, line, standing }| LineSummary {
            sku: &line.sku,
            quantity: line.quantity,
            attempt: hold.attempt,
            standing,
        });
        OrderSummary { view: self.view(), refused: self.is_refused(), stock: stock.collect() }
    }
}

enum Failed {
    Storage(StorageError),
    Codec(String, CodecError),
}

impl From<StorageError> for Failed {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// Where an entity is read from.
struct Source<'a> {
    journal: &'a dyn Journal,
    store: &'a dyn SnapshotStore,
    oldest: Sequence,
}

impl Source<'_> {
    fn show(&self, at: Address, shown: &mut impl Shown) -> Result<bool, Failed> {
        match at.kind {
            Kind::Product => self.show_entity::<product::Product>(at, shown),
            Kind::Inventory => self.show_entity::<inventory::Inventory>(at, shown),
            Kind::Cart => self.show_entity::<cart::Cart>(at, shown),
            Kind::Order => self.show_entity::<order::Order>(at, shown),
            Kind::Payment => self.show_entity::<payment::Payment>(at, shown),
            Kind::User => self.show_entity::<user::User>(at, shown),
            Kind::Email => self.show_entity::<email::Email>(at, shown),
            Kind::ApiKeys => self.show_entity::<api_keys::ApiKeys>(at, shown),
            Kind::Audit => self.show_entity::<audit::Audit>(at, shown),
        }
    }

    fn show_entity<E: Summed>(&self, at: Address, shown: &mut impl Shown) -> Result<bool, Failed> {
        let stored = self.store.get(&at.key())?;
        let mut state = E::blank(at.id);
        let mut last = 0;
        if let Some(snapshot) = &stored {
            let decoded = decode(E::STATE, &snapshot.state);
            state = decoded.map_err(|source| Failed::Codec("its snapshot".to_owned(), source))?;
            last = snapshot.covers;
        }
        let at_rest = state.clone();
        let mut outcome = Ok(());
        self.journal.replay(self.oldest, &mut |sequence, bytes| {
            let Some(parts) = record::parse(bytes).filter(|parts| parts.at == at) else {
                return ControlFlow::Continue(());
            };
            match E::event(parts.event) {
                Ok(event) => {
                    shown.event(sequence, parts.time, &event);
                    if sequence > last {
                        state.apply(event, Stamp { sequence, at: parts.time });
                        last = sequence;
                    }
                    ControlFlow::Continue(())
                }
                Err(source) => {
                    outcome = Err(Failed::Codec(format!("event {sequence}"), source));
                    ControlFlow::Break(())
                }
            }
        })?;
        outcome?;
        if let Some(snapshot) = &stored {
            shown.snapshot(snapshot.covers, &at_rest.summary());
        }
        if last > 0 {
            shown.state(last, &state.summary());
        }
        Ok(last > 0)
    }
}
