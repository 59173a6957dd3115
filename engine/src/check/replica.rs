//! An entity that is replayed, and what no event may do to it.

use relampago_actors::{
    Address, Entity, Kind, Stamp, api_keys, audit, cart, email, inventory, order, payment, product, user,
};
use relampago_snapshots::codec::{self, CodecError};

use super::books::Books;
use crate::hosting::{Hostable, Index, decode};

/// What a check asks of an entity beyond hosting it. Most kinds need no more than to be replayed.
trait Checked: Hostable + PartialEq {
    /// Looked at before an event, to compare with afterwards.
    type Before;

    fn before(&self) -> Self::Before;

    /// Why this event should not have been recorded, now that it is applied.
    fn objection(&self, _before: Self::Before, _event: &Self::Event) -> Option<String> {
        None
    }

    /// Whether nothing that came before this event is left in the stored state.
    fn begins(_event: &Self::Event) -> bool {
        false
    }

    fn tell(&self, _at: Address, _books: &mut Books) {}
}

macro_rules! replayed_only {
    ($($entity:ty),*) => {$(
        impl Checked for $entity {
            type Before = ();
            fn before(&self) {}
        }
    )*};
}

replayed_only!(product::Product, payment::Payment, user::User, email::Email, api_keys::ApiKeys, audit::Audit);

impl Checked for cart::Cart {
    type Before = ();

    fn before(&self) {}

    fn begins(event: &cart::Event) -> bool {
        matches!(event, cart::Event::Created { .. })
    }
}

impl Checked for inventory::Inventory {
    type Before = (Option<inventory::View>, usize);

    fn before(&self) -> Self::Before {
        (self.view(), self.holds())
    }

    fn objection(&self, (before, holds): Self::Before, event: &inventory::Event) -> Option<String> {
        use inventory::Event::{Adjusted, AvailableSet, Claimed, Reserved, Restocked, Sold};
        let after = self.view()?;
        let below = |view: inventory::View| view.available < 0 || view.reserved < 0 || view.sold < 0;
        if below(after) && !before.is_some_and(below) {
            let inventory::View { available, reserved, sold, .. } = after;
            return Some(format!("oversold: {available} available, {reserved} held, {sold} sold"));
        }
        let units = |view: inventory::View| view.available + view.reserved + view.sold;
        let restocked = matches!(event, Claimed { .. } | AvailableSet { .. } | Adjusted { .. });
        if let Some(before) = before.filter(|before| !restocked && units(*before) != units(after)) {
            return Some(format!("{} units became {}", units(before), units(after)));
        }
        match event {
            Reserved { .. } if self.holds() != holds + 1 => {
                Some("a reservation was recorded twice".to_owned())
            }
            Sold { .. } if self.holds() + 1 != holds => Some("units were sold that were not held".to_owned()),
            Restocked { quantity, .. } if before.is_none_or(|before| before.sold < i64::from(*quantity)) => {
                Some("more came back than was sold".to_owned())
            }
            _ => None,
        }
    }

    fn tell(&self, at: Address, books: &mut Books) {
        books.inventory(at.id, self);
    }
}

impl Checked for order::Order {
    type Before = Option<u8>;

    /// Its status, by number.
    fn before(&self) -> Self::Before {
        self.facets().map(|facets| facets.status)
    }

    fn objection(&self, before: Self::Before, event: &order::Event) -> Option<String> {
        use order::Event::{Cancelled, Opened, Paid, Placed};
        use order::Status;
        let was = |status: Status| before == Some(status as u8);
        let lawful = match event {
            Opened(_) => before.is_none(),
            Placed { .. } => before.is_none() && self.facets().is_some(),
            Paid { .. } => was(Status::Created),
            Cancelled { .. } => was(Status::Created) || was(Status::Paid),
            _ => true,
        };
        let what = match event {
            Opened(_) => "opened again while it stands",
            Placed { .. } => "placed twice, or without being opened",
            Paid { .. } => "paid twice, or without being placed",
            _ => "cancelled twice, or without being placed",
        };
        (!lawful).then(|| what.to_owned())
    }

    fn begins(event: &order::Event) -> bool {
        matches!(event, order::Event::Opened(_))
    }

    fn tell(&self, at: Address, books: &mut Books) {
        books.order(at.id, self);
    }
}

/// What an event did.
pub(super) struct Applied {
    /// Why it should not have been recorded.
    pub(super) objection: Option<String>,
    /// Nothing before it is left in the stored state.
    pub(super) begins: bool,
}

/// An entity of any kind.
pub(super) trait Replica {
    fn apply(&mut self, record: &[u8], stamp: Stamp) -> Result<Applied, CodecError>;

    /// Whether it is what was stored, state and index entry.
    fn is_as_stored(&self, state: &[u8], index: &Index) -> Result<bool, CodecError>;

    fn tell(&self, at: Address, books: &mut Books);
}

struct Replayed<E>(E);

impl<E: Checked> Replica for Replayed<E> {
    fn apply(&mut self, record: &[u8], stamp: Stamp) -> Result<Applied, CodecError> {
        let event = E::event(record)?;
        let (before, begins) = (self.0.before(), E::begins(&event));
        self.0.apply(event.clone(), stamp);
        Ok(Applied { objection: self.0.objection(before, &event), begins })
    }

    fn is_as_stored(&self, state: &[u8], index: &Index) -> Result<bool, CodecError> {
        // What is stored may leave out what can be worked out again: both sides come from their stored form.
        let mut own = Vec::new();
        codec::encode(E::STATE, &self.0, &mut own)?;
        let (own, stored): (E, E) = (decode(E::STATE, &own)?, decode(E::STATE, state)?);
        Ok(own == stored && Index::of(&self.0) == *index)
    }

    fn tell(&self, at: Address, books: &mut Books) {
        self.0.tell(at, books);
    }
}

/// A replica from a stored state, or blank.
pub(super) fn replica(at: Address, stored: Option<&[u8]>) -> Result<Box<dyn Replica>, CodecError> {
    fn of<E: Checked>(at: Address, stored: Option<&[u8]>) -> Result<Box<dyn Replica>, CodecError> {
        Ok(Box::new(Replayed(match stored {
            Some(state) => decode(E::STATE, state)?,
            None => E::blank(at.id),
        })))
    }
    match at.kind {
        Kind::Product => of::<product::Product>(at, stored),
        Kind::Inventory => of::<inventory::Inventory>(at, stored),
        Kind::Cart => of::<cart::Cart>(at, stored),
        Kind::Order => of::<order::Order>(at, stored),
        Kind::Payment => of::<payment::Payment>(at, stored),
        Kind::User => of::<user::User>(at, stored),
        Kind::Email => of::<email::Email>(at, stored),
        Kind::ApiKeys => of::<api_keys::ApiKeys>(at, stored),
        Kind::Audit => of::<audit::Audit>(at, stored),
    }
}
