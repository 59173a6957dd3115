//! What clients were told, and whether it is still true.

use std::collections::{BTreeMap, BTreeSet};

use relampago_actors::{Address, Reply, cart, order, payment};

use super::resident::Any;

/// The newest thing that clients were told of each entity.
#[derive(Default)]
pub struct Promises {
    told: BTreeMap<Address, Reply>,
    /// Users of whom clients were told that they are forgotten.
    erased: BTreeSet<Address>,
}

/// How far a reply has come: grows with every change of what it shows.
pub fn version(reply: &Reply) -> u64 {
    match reply {
        Reply::Product(view) => view.version,
        Reply::Inventory(view) => view.version,
        Reply::Cart(view) => view.version,
        Reply::Order(view) => view.version,
        Reply::Payment(view) => view.version,
        Reply::User(view) => view.version,
        Reply::History(events) => events.len() as u64,
        _ => 0,
    }
}

impl Promises {
    pub fn note(&mut self, of: Address, reply: &Reply) {
        if matches!(reply, Reply::History(_)) {
            return;
        }
        if self.version_of(of) < version(reply) {
            self.told.insert(of, reply.clone());
        }
    }

    /// A user is forgotten.
    pub fn note_erased(&mut self, of: Address) {
        self.erased.insert(of);
    }

    /// The version that clients have seen of an entity.
    pub fn version_of(&self, of: Address) -> u64 {
        self.told.get(&of).map_or(0, version)
    }

    /// What clients were told of an entity.
    pub fn of(&self, of: Address) -> Option<&Reply> {
        self.told.get(&of)
    }

    /// Nothing that was told has become untrue.
    pub fn check(&self, residents: &BTreeMap<Address, Any>) {
        for of in &self.erased {
            let Some(Any::User(user)) = residents.get(of) else { panic!("{of:?} is gone") };
            assert!(user.state.is_erased() && !residents[of].owes(), "{of:?} was said to be forgotten");
        }
        for (of, told) in &self.told {
            let Some(any) = residents.get(of) else { panic!("{of:?} is gone, and clients saw {told:?}") };
            if let (Any::Product(product), Reply::Product(told)) = (any, told) {
                assert!(product.state.version() >= told.version, "clients saw {told:?}");
                continue;
            }
            let now = show(any);
            if let (Any::User(user), true) = (any, now.is_none()) {
                assert!(user.state.is_erased(), "clients saw {told:?}, and now there is {}", any.describe());
                continue;
            }
            if let (Any::Cart(_), None) = (any, &now) {
                continue; // Thrown away by its owner.
            }
            let Some(now) = now else { panic!("{of:?} shows nothing, and clients saw {told:?}") };
            assert!(version(&now) >= version(told), "clients saw {told:?}, and now it is {now:?}");
            if version(&now) == version(told) {
                assert!(alike(&now, told), "clients saw {told:?}, and now it is {now:?}");
            }
            assert!(may_become(told, &now), "{told:?} has become {now:?}");
        }
    }
}

fn show(any: &Any) -> Option<Reply> {
    match any {
        Any::Product(_) | Any::Email(_) | Any::ApiKeys(_) | Any::Audit(_) => None,
        Any::User(user) => user.state.view().map(|view| Reply::User(Box::new(view))),
        Any::Inventory(inventory) => inventory.state.view().map(Reply::Inventory),
        Any::Cart(cart) => cart.state.view().map(|view| Reply::Cart(Box::new(view))),
        Any::Order(order) => order.state.view().map(|view| Reply::Order(Box::new(view))),
        Any::Payment(payment) => payment.state.view().map(|view| Reply::Payment(Box::new(view))),
    }
}

/// Equal, as far as what is shown at one version is always the same.
fn alike(now: &Reply, told: &Reply) -> bool {
    match (now, told) {
        // A replayed purchase shows the order as it was when it was placed.
        (Reply::Order(now), Reply::Order(told)) => now.opened == told.opened,
        (Reply::Cart(now), Reply::Cart(told)) => now.items == told.items,
        _ => now == told,
    }
}

fn may_become(told: &Reply, now: &Reply) -> bool {
    match (told, now) {
        (Reply::Order(told), Reply::Order(now)) => {
            let rank = |status| order::Status::ALL.iter().position(|known| *known == status);
            told.opened == now.opened && rank(told.status) <= rank(now.status)
        }
        (Reply::Payment(told), Reply::Payment(now)) => {
            use payment::Status::{Approved, Pending, Refunded, Rejected};
            told.amount == now.amount
                && matches!(
                    (told.status, now.status),
                    (Pending, _)
                        | (Approved, Approved | Refunded)
                        | (Rejected, Rejected)
                        | (Refunded, Refunded)
                )
        }
        (Reply::Cart(told), Reply::Cart(now)) => {
            told.status == now.status || told.status == cart::Status::Open
        }
        _ => true,
    }
}
