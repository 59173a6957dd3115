//! What a cart decides, and what its events come to.

use std::sync::Arc;

use super::{Ask, Cart, CartLine, Checkout, Event, Phase, PriceChange, Rejection, Status, View, violation};
use crate::address::{self, Address, Id, Message};
use crate::entity::{Answer, Context, Decision, Millis};
use crate::keys::{KeyTag, Seen};
use crate::line::{self, Line, LineError, MAX_LINES, MAX_QUANTITY, Wanted};
use crate::money::Currency;
use crate::order::{self, Buyer, Source, Violation};

type Decided = Result<Decision<Cart>, address::Rejection>;

impl Cart {
    pub(super) fn create(
        &self,
        user: Option<Id>,
        currency: Option<Currency>,
        tag: Option<KeyTag>,
        cx: &Context<'_>,
    ) -> Decided {
        if self.phase != Phase::Blank {
            return match (self.keyed.look_up(tag), tag) {
                (Seen::Same(_), Some(tag)) => Ok(Decision::replay(Ask::Keyed(tag))),
                _ => Err(address::Rejection::KeyReused),
            };
        }
        let created = Event::Created { user, currency, tag, ttl_ms: cx.policy.cart_ttl_ms };
        Ok(Decision::record(created).answer(Answer::Settle(Ask::View)))
    }

    pub(super) fn add(&self, wanted: &Wanted, tag: Option<KeyTag>, cx: &Context<'_>) -> Decided {
        match (self.keyed.look_up(tag), tag) {
            (Seen::Same(_), Some(tag)) => return Ok(Decision::replay(Ask::Keyed(tag))),
            (Seen::Other, _) => return Err(address::Rejection::KeyReused),
            _ => {}
        }
        self.open()?;
        let (line, currency) = line::resolve(wanted, 0, cx).map_err(Rejection::Line)?;
        let known = self.items.iter().find(|item| item.line.sku == line.sku);
        let before = known.map_or(0, |item| item.line.quantity);
        if known.is_none() && self.items.len() == MAX_LINES {
            return Err(Rejection::Line(LineError::TooManyLines).into());
        }
        if before.saturating_add(line.quantity) > MAX_QUANTITY {
            return Err(Rejection::Line(LineError::TooMany { sku: line.sku }).into());
        }
        line::check_total(self.items.iter().map(|item| &item.line).chain([&line]))
            .map_err(Rejection::Line)?;
        match self.currency {
            Some(first) if first != currency => {
                let mixed = LineError::MixedCurrency { first, second: currency };
                Err(Rejection::Line(mixed).into())
            }
            _ => Ok(Decision::record(Event::Added { line, currency, tag })
                .answer(Answer::Settle(tag.map_or(Ask::View, Ask::Keyed)))),
        }
    }

    pub(super) fn set_quantity(
        &self,
        item: Id,
        quantity: u32,
        if_version: Option<u64>,
        cx: &Context<'_>,
    ) -> Decided {
        self.open()?;
        let known = self.items.iter().find(|known| known.id == item).ok_or(Rejection::ItemNotFound)?;
        self.check_version(if_version)?;
        let card = cx.card_of_sku(&known.line.sku).filter(|card| card.active);
        let card = card.ok_or_else(|| Rejection::Unavailable { sku: Arc::clone(&known.line.sku) })?;
        // Setting a quantity is how a storefront confirms today's price.
        let line = Line { quantity, price: card.price, name: Arc::clone(&card.name), ..known.line.clone() };
        if line == known.line {
            return Ok(Decision::settle(Ask::View));
        }
        let others = self.items.iter().filter(|other| other.id != item).map(|other| &other.line);
        line::check_total(others.chain([&line])).map_err(Rejection::Line)?;
        Ok(Decision::record(Event::QuantitySet { item, line }).answer(Answer::Settle(Ask::View)))
    }

    pub(super) fn remove(&self, item: Id, if_version: Option<u64>) -> Decided {
        self.open()?;
        if self.items.iter().any(|known| known.id == item) {
            self.check_version(if_version)?;
            return Ok(Decision::record(Event::Removed { item }).answer(Answer::Settle(Ask::View)));
        }
        let number = item.0 ^ self.id.0;
        if (1..=u128::from(self.lines_made)).contains(&number) {
            return Ok(Decision::settle(Ask::View));
        }
        Err(Rejection::ItemNotFound.into())
    }

    pub(super) fn clear(&self, if_version: Option<u64>) -> Decided {
        self.open()?;
        if self.items.is_empty() {
            return Ok(Decision::settle(Ask::View));
        }
        self.check_version(if_version)?;
        Ok(Decision::record(Event::Cleared).answer(Answer::Settle(Ask::View)))
    }

    pub(super) fn delete(&self, if_version: Option<u64>) -> Decided {
        if self.phase != Phase::Expired {
            self.open()?;
        }
        self.check_version(if_version)?;
        Ok(Decision::record(Event::Deleted).answer(Answer::Settle(Ask::Deleted)))
    }

    pub(super) fn check_out(&self, order: Id, buyer: Buyer, tag: KeyTag, cx: &Context<'_>) -> Decided {
        match &self.phase {
            // The order knows the keys: a repetition gets its answer there, another key its refusal.
            Phase::CheckingOut(running) => {
                let again = Checkout { buyer, tag, ..(**running).clone() };
                let (to, message) = self.purchase(&again);
                return Ok(Decision::nothing().answer(Answer::HandOver(to, message)));
            }
            Phase::CheckedOut { order } => {
                let again = Checkout { attempt: self.attempts, order: *order, buyer, tag };
                let (to, message) = self.purchase(&again);
                return Ok(Decision::nothing().answer(Answer::HandOver(to, message)));
            }
            _ => self.open()?,
        }
        if self.items.is_empty() {
            return Err(Rejection::Empty.into());
        }
        self.check_prices(cx)?;
        let items = line::shortages(&self.lines(), cx);
        if !items.is_empty() {
            return Err(order::Rejection::OutOfStock { items }.into());
        }
        let buyer = Buyer { user: buyer.user.or(self.user), ..buyer };
        let checkout = Box::new(Checkout { attempt: self.attempts + 1, order, buyer, tag });
        let (to, message) = self.purchase(&checkout);
        Ok(Decision::record(Event::CheckoutStarted(checkout)).answer(Answer::HandOver(to, message)))
    }

    fn check_prices(&self, cx: &Context<'_>) -> Result<(), Rejection> {
        let mut changes = Vec::new();
        for CartLine { line, .. } in self.items.iter() {
            let card = cx.card_of_sku(&line.sku).filter(|card| card.active);
            let card = card.ok_or_else(|| Rejection::Unavailable { sku: Arc::clone(&line.sku) })?;
            if card.price != line.price {
                let (sku, currency) = (Arc::clone(&line.sku), card.currency);
                changes.push(PriceChange { sku, old: line.price, new: card.price, currency });
            }
        }
        if changes.is_empty() { Ok(()) } else { Err(Rejection::PriceChanged { items: changes }) }
    }

    /// The message that makes the cart's order.
    pub(super) fn purchase(&self, checkout: &Checkout) -> (Address, Message) {
        let source = Source::Cart {
            cart: self.id,
            attempt: checkout.attempt,
            lines: self.lines(),
            currency: self.currency.unwrap_or(Currency::USD),
        };
        let place = order::Command::Place { source, buyer: checkout.buyer.clone(), tag: checkout.tag };
        (Address::order(checkout.order), Message::Order(place))
    }

    fn lines(&self) -> Vec<Line> {
        self.items.iter().map(|item| item.line.clone()).collect()
    }

    pub(super) fn placed(&self, order: Id) -> Decision<Self> {
        match &self.phase {
            Phase::CheckingOut(running) if running.order == order => {
                Decision::record(Event::CheckedOut { order })
            }
            _ => Decision::nothing(),
        }
    }

    pub(super) fn refused(&self, attempt: u32) -> Decision<Self> {
        match &self.phase {
            Phase::CheckingOut(running) if running.attempt == attempt => {
                Decision::record(Event::CheckoutFailed)
            }
            _ => Decision::nothing(),
        }
    }

    /// Whether it may be changed.
    fn open(&self) -> Result<(), Rejection> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Blank | Phase::Deleted => Err(Rejection::NotFound),
            Phase::CheckingOut(_) => Err(Rejection::CheckingOut),
            Phase::CheckedOut { order } => Err(Rejection::CheckedOut { order: *order }),
            Phase::Expired => Err(Rejection::Expired),
        }
    }

    fn check_version(&self, seen: Option<u64>) -> Result<(), Rejection> {
        match seen {
            Some(seen) if seen != self.version => Err(Rejection::VersionConflict { current: self.version }),
            _ => Ok(()),
        }
    }

    pub(super) fn make_true(&mut self, event: Event, at: Millis) {
        // The start and the failure of a checkout change nothing that a client can see.
        if !matches!(event, Event::CheckoutStarted(_) | Event::CheckoutFailed) {
            (self.updated_at, self.version) = (at, self.version + 1);
        }
        match event {
            Event::Created { user, currency, tag, ttl_ms } => {
                self.phase = Phase::Open;
                (self.user, self.currency, self.ttl_ms) = (user, currency, ttl_ms);
                self.created_at = at;
                self.remember(tag, at);
            }
            Event::Added { line, currency, tag } => {
                self.currency = Some(currency);
                self.add_line(line);
                self.remember(tag, at);
            }
            Event::QuantitySet { item, line } => {
                let known = Arc::make_mut(&mut self.items).iter_mut().find(|known| known.id == item);
                if let Some(known) = known {
                    known.line = line;
                }
            }
            Event::Removed { item } => Arc::make_mut(&mut self.items).retain(|known| known.id != item),
            Event::Cleared => Arc::make_mut(&mut self.items).clear(),
            Event::Deleted => {
                self.phase = Phase::Deleted;
                self.items = Arc::default();
            }
            Event::CheckoutStarted(checkout) => {
                self.attempts = checkout.attempt;
                self.phase = Phase::CheckingOut(checkout);
            }
            Event::CheckoutFailed => self.phase = Phase::Open,
            Event::CheckedOut { order } => self.phase = Phase::CheckedOut { order },
            Event::Expired => self.phase = Phase::Expired,
        }
    }

    fn add_line(&mut self, line: Line) {
        let items = Arc::make_mut(&mut self.items);
        match items.iter_mut().find(|known| known.line.sku == line.sku) {
            // More of the same keeps the price it was first added for: checkout asks if it changed.
            Some(known) => known.line.quantity += line.quantity,
            None => {
                self.lines_made += 1;
                items.push(CartLine { id: Id(self.id.0 ^ u128::from(self.lines_made)), line });
            }
        }
    }

    fn remember(&mut self, tag: Option<KeyTag>, at: Millis) {
        if let (Some(tag), Some(view)) = (tag, self.view()) {
            self.keyed.insert(tag, at, Box::new(view));
        }
    }

    /// What clients see.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        let status = match self.phase {
            Phase::Blank | Phase::Deleted => return None,
            Phase::Open | Phase::CheckingOut(_) => Status::Open,
            Phase::CheckedOut { .. } => Status::CheckedOut,
            Phase::Expired => Status::Expired,
        };
        Some(View {
            id: self.id,
            user: self.user,
            status,
            items: Arc::clone(&self.items),
            currency: self.currency,
            created_at: self.created_at,
            updated_at: self.updated_at,
            version: self.version,
        })
    }

    pub(super) fn violations(&self, cx: &Context<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        match &self.phase {
            Phase::CheckedOut { .. } | Phase::CheckingOut(_) => {
                found.push(violation("cart_checked_out", None, "The cart was checked out.".into()));
                return found;
            }
            Phase::Expired => found.push(violation("cart_expired", None, "The cart has expired.".into())),
            _ => {}
        }
        if self.items.is_empty() {
            found.push(violation("cart_empty", None, "The cart is empty.".into()));
        }
        for CartLine { line, .. } in self.items.iter() {
            let sku = Some(&line.sku);
            let Some(card) = cx.card_of_sku(&line.sku).filter(|card| card.active) else {
                found.push(violation("product_unavailable", sku, format!("{} is not on sale.", line.sku)));
                continue;
            };
            if card.price != line.price {
                let message = format!("The price of {} has changed.", line.sku);
                found.push(violation("price_changed", sku, message));
            }
            let available = cx.available(&card);
            if available < i64::from(line.quantity) {
                let message = format!("{} of {} wanted, {available} available.", line.quantity, line.sku);
                found.push(violation("out_of_stock", sku, message));
            }
        }
        found
    }
}
