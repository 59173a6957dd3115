//! What clients think of: buying, paying, giving up, restocking, in no particular order.

mod steps;

use std::sync::Arc;

use relampago_actors::keys::KeyTag;
use relampago_actors::money::Currency;
use relampago_actors::order::{Buyer, Source};
use relampago_actors::payment::Method;
use relampago_actors::{Address, Id, Message, Reply, cart, inventory, order, payment, product};

use super::clients::Clients;
use super::dice::Dice;
use super::post::Post;
use crate::support::samples::{cents, details, id, tag, wanted};

/// How large a shop is.
pub struct Plan {
    pub skus: usize,
    pub carts: usize,
    pub stock: i64,
}

/// What the clients know of each other's doings.
pub struct Shopping {
    plan: Plan,
    /// How likely each idea is.
    fashion: [usize; FASHIONS.len()],
    keys: u128,
    orders: Vec<Id>,
    payments: Vec<Id>,
    /// The keys of all purchases.
    checkouts: Vec<KeyTag>,
}

type Wish = (Address, Message, Option<u128>);

/// What somebody thinks of.
#[derive(Clone, Copy)]
enum Idea {
    Add,
    CheckOut,
    Buy,
    ChangeCart,
    Pay,
    Cancel,
    GoOnPaying,
    Adjust,
    Refund,
    ChangeProduct,
    Read,
    RaceForASku,
    ReuseAKey,
}

/// The weights that each idea may have: every shop has customers of its own.
const FASHIONS: [(Idea, [usize; 3]); 13] = [
    (Idea::Add, [7, 14, 14]),
    (Idea::CheckOut, [5, 10, 20]),
    (Idea::Buy, [4, 8, 20]),
    (Idea::ChangeCart, [1, 3, 3]),
    (Idea::Pay, [10, 25, 50]),
    (Idea::Cancel, [2, 7, 20]),
    (Idea::GoOnPaying, [2, 5, 10]),
    (Idea::Adjust, [2, 5, 10]),
    (Idea::Refund, [1, 4, 10]),
    (Idea::ChangeProduct, [0, 2, 6]),
    (Idea::Read, [3, 10, 10]),
    (Idea::RaceForASku, [0, 2, 4]),
    (Idea::ReuseAKey, [0, 1, 2]),
];

impl Shopping {
    pub fn new(dice: &mut Dice) -> Self {
        let plan = Plan { skus: 1 + dice.below(4), carts: 2 + dice.below(6), stock: dice.below(9) as i64 };
        let fashion = FASHIONS.map(|(_, weights)| weights[dice.below(weights.len())]);
        Self { plan, fashion, keys: 0, orders: Vec::new(), payments: Vec::new(), checkouts: Vec::new() }
    }

    fn sku(&self, dice: &mut Dice) -> String {
        format!("sku-{}", dice.below(self.plan.skus))
    }

    fn key(&mut self) -> KeyTag {
        self.keys += 1;
        tag(self.keys, 0)
    }

    /// The catalogue, to begin with.
    pub fn open_shop(&mut self, clients: &mut Clients, post: &mut Post) {
        for number in 0..self.plan.skus {
            let (to, message, key) = self.product(number, &format!("sku-{number}"), self.plan.stock);
            clients.request(to, message, key, post);
        }
        for number in 0..self.plan.carts {
            let tag = self.key();
            let create = cart::Command::Create { user: None, currency: None, tag: Some(tag) };
            clients.request(Address::cart(id("cart", number)), Message::Cart(create), Some(tag.key), post);
        }
    }

    /// Somebody wants something new.
    pub fn go_on(&mut self, clients: &mut Clients, post: &mut Post, dice: &mut Dice) {
        let wish = match FASHIONS[dice.weighted(&self.fashion)].0 {
            Idea::Add => Some(self.add(dice)),
            Idea::CheckOut => self.check_out(dice),
            Idea::Buy => Some(self.buy(dice)),
            Idea::ChangeCart => self.change_cart(clients, dice),
            Idea::Pay => self.pay(clients, dice),
            Idea::Cancel => self.cancel(clients, dice),
            Idea::GoOnPaying => self.go_on_paying(clients, dice),
            Idea::Adjust => Some(self.adjust(dice)),
            Idea::Refund => self.refund(clients, dice),
            Idea::ChangeProduct => Some(self.change_product(dice)),
            Idea::Read => Some(self.read(dice)),
            Idea::RaceForASku => Some(self.race_for_a_sku(dice)),
            Idea::ReuseAKey => self.reuse_a_key(dice),
        };
        if let Some((to, message, key)) = wish {
            let checkout = match &message {
                Message::Cart(cart::Command::Checkout { tag, .. }) => Some(*tag),
                Message::Order(order::Command::Place { tag, .. }) => Some(*tag),
                _ => None,
            };
            self.checkouts.extend(checkout);
            clients.request(to, message, key, post);
        }
    }

    fn product(&mut self, number: usize, sku: &str, stock: i64) -> Wish {
        let tag = self.key();
        let create = product::Command::Create { details: details(sku, 1000), stock, tag: Some(tag) };
        (Address::product(id("product", number)), Message::Product(create), Some(tag.key))
    }

    fn race_for_a_sku(&mut self, dice: &mut Dice) -> Wish {
        // The same few products again and again: a refused one may be made under another sku.
        let number = 100 + dice.below(3);
        let sku = format!("sku-{}", dice.below(self.plan.skus + 3));
        let (to, message, _) = self.product(number, &sku, 3);
        (to, message, None)
    }

    fn cart(&self, dice: &mut Dice) -> Address {
        Address::cart(id("cart", dice.below(self.plan.carts)))
    }

    fn add(&mut self, dice: &mut Dice) -> Wish {
        let tag = self.key();
        let wanted = wanted(&self.sku(dice), 1 + dice.below(3) as u32);
        let add = cart::Command::Add { wanted, tag: Some(tag) };
        (self.cart(dice), Message::Cart(add), Some(tag.key))
    }

    fn change_cart(&mut self, clients: &Clients, dice: &mut Dice) -> Option<Wish> {
        let to = self.cart(dice);
        let Some(Reply::Cart(view)) = clients.promises.of(to) else { return None };
        let item = dice.pick(&view.items)?.id;
        let if_version = dice.percent(30).then_some(view.version);
        let command = match dice.weighted(&[6, 2, 1]) {
            0 => cart::Command::SetQuantity { item, quantity: 1 + dice.below(3) as u32, if_version },
            1 => cart::Command::Remove { item, if_version },
            _ => cart::Command::Clear { if_version },
        };
        Some((to, Message::Cart(command), None))
    }

    fn check_out(&mut self, dice: &mut Dice) -> Option<Wish> {
        let to = self.cart(dice);
        let order = Id::derived("order", &[&to.id.0.to_le_bytes()]);
        self.note_order(order);
        let tag = self.key();
        let checkout = cart::Command::Checkout { order, buyer: Buyer::default(), tag };
        Some((to, Message::Cart(checkout), Some(tag.key)))
    }

    fn buy(&mut self, dice: &mut Dice) -> Wish {
        let tag = self.key();
        let order = Id::derived("order", &[&tag.key.to_le_bytes()]);
        self.note_order(order);
        self.purchase(order, tag, dice)
    }

    fn purchase(&self, order: Id, tag: KeyTag, dice: &mut Dice) -> Wish {
        let items =
            (0..1 + dice.below(3)).map(|_| wanted(&self.sku(dice), 1 + dice.below(2) as u32)).collect();
        let place = order::Command::Place { source: Source::Items(items), buyer: Buyer::default(), tag };
        (Address::order(order), Message::Order(place), Some(tag.key))
    }

    /// The same key with another body: one of the two is carried out, at most.
    fn reuse_a_key(&mut self, dice: &mut Dice) -> Option<Wish> {
        let KeyTag { key, .. } = *dice.pick(&self.checkouts)?;
        let order = Id::derived("order", &[&key.to_le_bytes()]);
        let KeyTag { key: body, .. } = self.key();
        self.orders.contains(&order).then(|| self.purchase(order, tag(key, body as u64), dice))
    }

    fn note_order(&mut self, order: Id) {
        if !self.orders.contains(&order) {
            self.orders.push(order);
        }
    }

    /// One of all orders, or of those that clients have seen in some status.
    fn order(&self, seen: Option<order::Status>, clients: &Clients, dice: &mut Dice) -> Option<Id> {
        let fits = |order: &&Id| match clients.promises.of(Address::order(**order)) {
            Some(Reply::Order(view)) => seen.is_none_or(|seen| view.status == seen),
            _ => seen.is_none(),
        };
        let orders: Vec<Id> = self.orders.iter().filter(fits).copied().collect();
        dice.pick(&orders).copied()
    }

    /// One of all payments, or of those that clients have seen in such a state.
    fn payment(
        &self,
        fits: impl Fn(&payment::View) -> bool,
        clients: &Clients,
        dice: &mut Dice,
    ) -> Option<Id> {
        let seen = |payment: &&Id| match clients.promises.of(Address::payment(**payment)) {
            Some(Reply::Payment(view)) => fits(view),
            _ => false,
        };
        let seen: Vec<Id> = self.payments.iter().filter(seen).copied().collect();
        let payments = if seen.is_empty() || dice.percent(30) { &self.payments } else { &seen };
        dice.pick(payments).copied()
    }

    /// One of all orders, rather one that clients have seen paid.
    fn paid_order(&self, clients: &Clients, dice: &mut Dice) -> Option<Id> {
        let payment = self.payment(is_approved, clients, dice);
        match payment.and_then(|payment| clients.promises.of(Address::payment(payment))) {
            Some(Reply::Payment(view)) => Some(view.order),
            _ => dice.pick(&self.orders).copied(),
        }
    }

    fn pay(&mut self, clients: &Clients, dice: &mut Dice) -> Option<Wish> {
        let order = self.order(dice.percent(80).then_some(order::Status::Created), clients, dice)?;
        let total = match clients.promises.of(Address::order(order)) {
            Some(Reply::Order(view)) => view.opened.total,
            _ => 1000,
        };
        let tag = self.key();
        let known = dice.percent(20).then(|| dice.pick(&self.payments).copied()).flatten();
        let payment = known.unwrap_or_else(|| Id::derived("payment", &[&tag.key.to_le_bytes()]));
        if known.is_none() {
            self.payments.push(payment);
        }
        let process = payment::Command::Process {
            order,
            amount: cents(if dice.percent(5) { total + 1 } else { total }),
            method: Method::CreditCard,
            token: None,
            manual: dice.percent(30),
            tag,
        };
        Some((Address::payment(payment), Message::Payment(process), Some(tag.key)))
    }

    fn go_on_paying(&mut self, clients: &Clients, dice: &mut Dice) -> Option<Wish> {
        let tag = self.key();
        let (waits_for, command) = match dice.below(2) {
            0 => (payment::SubStatus::RequiresAction, payment::Command::Confirm { tag }),
            _ => (payment::SubStatus::Authorized, payment::Command::Capture { tag }),
        };
        let to = Address::payment(self.payment(|view| view.sub_status == Some(waits_for), clients, dice)?);
        Some((to, Message::Payment(command), Some(tag.key)))
    }

    fn refund(&mut self, clients: &Clients, dice: &mut Dice) -> Option<Wish> {
        let to = Address::payment(self.payment(is_approved, clients, dice)?);
        let tag = self.key();
        let amount = dice.percent(60).then(|| cents(1 + dice.below(900) as i64));
        let refund = payment::Command::Refund { amount, reason: "kindness".into(), tag };
        Some((to, Message::Payment(refund), Some(tag.key)))
    }

    fn cancel(&mut self, clients: &Clients, dice: &mut Dice) -> Option<Wish> {
        let order = self.paid_order(clients, dice)?;
        let tag = self.key();
        let cancel = order::Command::Cancel { tag: Some(tag) };
        // Not under a key's rules: a cancellation may fail for want of a refund, and be tried again.
        Some((Address::order(order), Message::Order(cancel), None))
    }

    fn adjust(&mut self, dice: &mut Dice) -> Wish {
        let tag = self.key();
        let delta = dice.below(7) as i64 - 2;
        let adjust = inventory::Command::Adjust { delta, reason: "count".into(), tag: Some(tag) };
        (Address::inventory(&self.sku(dice)), Message::Inventory(adjust), Some(tag.key))
    }

    fn change_product(&mut self, dice: &mut Dice) -> Wish {
        let to = Address::product(id("product", dice.below(self.plan.skus)));
        let patch = product::Patch {
            price: dice.percent(40).then(|| cents(1000 + dice.below(2) as i64)),
            stock: dice.percent(60).then(|| dice.below(8) as i64),
            name: dice.percent(20).then(|| Arc::from("renamed")),
            currency: Some(Currency::USD),
            ..product::Patch::default()
        };
        let command = match dice.percent(3) {
            true => product::Command::Archive { if_version: None },
            false => product::Command::Change(patch),
        };
        (to, Message::Product(command), None)
    }

    fn read(&mut self, dice: &mut Dice) -> Wish {
        let order = dice.pick(&self.orders).copied().unwrap_or(Id(0));
        let payment = dice.pick(&self.payments).copied().unwrap_or(Id(0));
        let (to, message) = match dice.below(7) {
            0 => (self.cart(dice), Message::Cart(cart::Command::Get)),
            1 => (self.cart(dice), Message::Cart(cart::Command::Validate)),
            2 => (Address::order(order), Message::Order(order::Command::Get)),
            3 => (Address::order(order), Message::Order(order::Command::History)),
            4 => (Address::order(order), Message::Order(order::Command::Validate)),
            5 => (Address::payment(payment), Message::Payment(payment::Command::Get)),
            _ => (Address::inventory(&self.sku(dice)), Message::Inventory(inventory::Command::Get)),
        };
        (to, message, None)
    }
}

fn is_approved(view: &payment::View) -> bool {
    view.status == payment::Status::Approved
}
