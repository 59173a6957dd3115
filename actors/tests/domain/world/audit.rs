//! What must hold in a world when nothing moves any more.

use relampago_actors::order::{self, Status};
use relampago_actors::{Address, Entity, Id, cart, payment};

use super::World;
use super::provider::{Account, Standing};
use super::resident::Any;

/// How often owed effects are sent again before a world counts as stuck.
const PATIENCE: usize = 60;

impl World {
    /// No more trouble: everything under way arrives, everything owed is asked for until that changes nothing
    /// any more, everybody is answered.
    pub(super) fn come_to_rest(&mut self) {
        for _ in 0..PATIENCE {
            self.drain();
            let before = self.desk.log.last();
            for address in self.restless() {
                self.residents[&address].redrive(&mut self.desk);
            }
            self.drain();
            let unanswered = self.clients.given_up();
            if self.desk.log.last() == before && unanswered.is_empty() {
                return;
            }
            for request in unanswered {
                self.clients.send(request, &mut self.desk.post);
            }
        }
        panic!("the world does not come to rest: unanswered {:?}", self.clients.unanswered());
    }

    /// Who still owes something.
    fn restless(&self) -> Vec<Address> {
        let restless = self.residents.iter().filter(|(_, any)| any.owes() && !any.at_rest());
        restless.map(|(address, _)| *address).collect()
    }

    fn drain(&mut self) {
        loop {
            while !self.desk.post.is_empty() {
                self.deliver();
            }
            self.desk.log.make_durable(self.desk.log.last());
            self.answer();
            if self.desk.calls.is_empty() && self.strays.is_empty() {
                return;
            }
            self.call_provider(false);
        }
    }

    /// Time passes until nothing is left to wait for.
    pub(super) fn let_everything_end(&mut self) {
        self.desk.now += 1_000_000;
        while self
            .residents
            .values()
            .any(|any| any.deadline().is_some_and(|deadline| deadline <= self.desk.now))
        {
            self.ring_alarm();
            self.drain();
        }
        self.come_to_rest();
        for any in self.residents.values() {
            assert_eq!(any.deadline(), None, "a deadline is left: {}", any.describe());
            assert!(!any.owes(), "it will owe for ever: {}", any.describe());
            if let Any::Order(order) = any {
                let status = order.state.view().map(|view| view.status);
                assert_ne!(status, Some(Status::Created), "an order waits for ever: {}", any.describe());
            }
        }
    }

    pub(super) fn audit(&self) {
        self.clients.promises.check(&self.residents);
        assert_eq!(self.clients.unanswered(), None, "a request is not answered");
        for (address, any) in &self.residents {
            assert_eq!(any.parked(), 0, "somebody still waits for {}", any.describe());
            assert!(any.same(&self.replay(*address, None)), "replay differs from {}", any.describe());
            match any {
                Any::Inventory(_) => self.audit_stock(*address, any),
                Any::Order(order) => self.audit_purchase(order.state.view().as_ref()),
                Any::Product(product) => assert!(product.state.pending().is_empty(), "{}", any.describe()),
                _ => {}
            }
        }
        for (payment, account) in &self.provider.accounts {
            self.audit_payment(*payment, account);
        }
        self.audit_people();
    }

    /// A cart whose order stands is bought.
    fn audit_purchase(&self, order: Option<&order::View>) {
        let Some((order, cart)) = order.and_then(|order| Some((order, order.opened.cart?))) else { return };
        let Some(any @ Any::Cart(cart)) = self.residents.get(&Address::cart(cart)) else {
            panic!("an order of no cart: {order:?}")
        };
        let status = cart.state.view().map(|view| view.status);
        assert_eq!(status, Some(cart::Status::CheckedOut), "{order:?} of {}", any.describe());
    }

    /// No unit is stranded, and a sku belongs to a product that is there.
    fn audit_stock(&self, address: Address, any: &Any) {
        let Any::Inventory(inventory) = any else { return };
        let Some(view) = inventory.state.view() else { return };
        let watch = &self.desk.watch;
        let reserved = watch.units(address, |status| status == Status::Created);
        let sold = watch.units(address, |status| status == Status::Paid);
        assert_eq!((view.reserved, view.sold), (reserved, sold), "stranded units: {}", any.describe());
        let Some(Any::Product(product)) = self.residents.get(&Address::product(view.product)) else {
            panic!("a sku without a product: {view:?}")
        };
        let sku = product.state.card().map(|(details, _)| Address::inventory(&details.sku));
        assert_eq!(sku, Some(address), "the sku's product is not on sale: {view:?}");
    }

    /// Nobody is charged without stock, and nobody keeps stock without paying.
    fn audit_payment(&self, payment: Id, account: &Account) {
        let Some(any @ Any::Payment(entity)) = self.residents.get(&Address::payment(payment)) else {
            panic!("the provider was asked for a payment that is not there: {account:?}")
        };
        let Some(view) = entity.state.view() else {
            panic!("the provider was asked before the order cleared it: {}", any.describe())
        };
        let refunded: i64 = view.refunds.iter().map(|refund| refund.amount).sum();
        match view.status {
            payment::Status::Approved | payment::Status::Refunded => {
                assert_eq!(
                    account.standing,
                    Standing::Charged,
                    "approved and not charged: {}",
                    any.describe()
                );
                assert_eq!(account.given_back(), refunded, "{account:?} and {}", any.describe());
            }
            payment::Status::Rejected => {
                let nothing = matches!(account.standing, Standing::Declined | Standing::Voided);
                assert!(nothing, "rejected, and the provider has {account:?}: {}", any.describe());
            }
            payment::Status::Pending => {
                // The provider's answer may be lost: then the payment is given up at its deadline.
                assert!(any.deadline().is_some(), "pending for ever: {}", any.describe());
                return;
            }
        }
        let Some(Any::Order(order)) = self.residents.get(&Address::order(view.order)) else {
            panic!("a payment of no order: {}", any.describe())
        };
        let of = |status| {
            order.state.view().is_some_and(|order| order.status == status && order.payment == Some(payment))
        };
        let paid = of(Status::Paid);
        let given_up = view.refunds.iter().any(|refund| refund.reason == "order_cancelled");
        assert!(!given_up || of(Status::Cancelled), "refunded and not cancelled: {}", any.describe());
        assert!(account.kept() == 0 || paid, "charged without stock: {account:?} for {}", any.describe());
        if paid {
            assert_eq!(account.standing, Standing::Charged, "paid and not charged: {}", any.describe());
        }
    }
}
