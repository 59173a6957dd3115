//! The first half of an order's life: opening, reserving, and being placed or refused.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{
    Ask, Buyer, Command, Event, Lines, Move, Opened, Order, Phase, RESERVE_WINDOW_MS, Rejection, Source,
    Status, Stock, View,
};
use crate::address::{self, Address, Effect, Message, Reply};
use crate::cart;
use crate::entity::{Answer, Context, Decision};
use crate::inventory::{self, Hold};
use crate::keys::KeyTag;
use crate::line::{self, Shortage};

impl Order {
    pub(super) fn place(
        &self,
        source: Source,
        buyer: Buyer,
        tag: KeyTag,
        cx: &Context<'_>,
    ) -> Decision<Self> {
        match (&self.phase, &source) {
            (Phase::Blank, _) => self.open(source, buyer, tag, cx),
            (Phase::Refused(_), _) if self.owed.is_some() => self.join(tag),
            (Phase::Refused(_), Source::Cart { attempt, .. }) if *attempt <= self.attempt => {
                self.join(tag).owing(self.tell_cart())
            }
            (Phase::Refused(_), _) => self.open(source, buyer, tag, cx),
            _ => self.join(tag).owing(self.tell_cart()),
        }
    }

    /// Meets a try that was there before: waits for its end, or gets its answer.
    fn join(&self, tag: KeyTag) -> Decision<Self> {
        let first = self.opened.as_ref().map(|opened| opened.tag);
        if first.is_some_and(|first| first.key == tag.key && first.body != tag.body) {
            return Decision::reject(address::Rejection::KeyReused);
        }
        Decision::replay(Ask::Placed(tag))
    }

    fn open(&self, source: Source, buyer: Buyer, tag: KeyTag, cx: &Context<'_>) -> Decision<Self> {
        let (cart, attempt, lines, currency) = match source {
            Source::Cart { cart, attempt, lines, currency } => (Some(cart), attempt, lines, currency),
            Source::Items(wanted) => match line::resolve_all(&wanted, cx) {
                Err(error) => return Decision::reject(Rejection::Items(error)),
                Ok(resolved) => {
                    // Known to be sold out: say so without asking the stock's owner. A cart has looked
                    // itself, before it recorded that it checks out.
                    let items = resolved.shortages(cx);
                    if !items.is_empty() {
                        return Decision::reject(Rejection::OutOfStock { items });
                    }
                    (None, self.attempt + 1, resolved.lines, resolved.currency)
                }
            },
        };
        let valid_until = cx.now + RESERVE_WINDOW_MS;
        let total = line::total(&lines);
        let opened = Arc::new(Opened { attempt, tag, cart, buyer, currency, lines, total, valid_until });
        let effects: Vec<Effect> = reservations(self, &opened, Lines::first(opened.lines.len())).collect();
        Decision::record(Event::Opened(opened)).owing(effects).answer(Answer::Settle(Ask::Placed(tag)))
    }

    /// What an order that was never opened says to this, if a glance at the catalogue shows that something is sold
    /// out: exactly what [`Entity::decide`](crate::Entity::decide) says of a blank one. `None` tells nothing.
    #[must_use]
    pub fn sold_out(command: &Command, cx: &Context<'_>) -> Option<Rejection> {
        let Command::Place { source: Source::Items(wanted), .. } = command else { return None };
        let items = match line::resolve_short(wanted, cx)? {
            Ok(resolved) => resolved.shortages(cx),
            Err(error) => return Some(Rejection::Items(error)),
        };
        (!items.is_empty()).then_some(Rejection::OutOfStock { items })
    }

    pub(super) fn reserved(&self, attempt: u32, line: u8, stock: Stock, cx: &Context<'_>) -> Decision<Self> {
        let (Phase::Opening { answers }, Some(opened)) = (&self.phase, &self.opened) else {
            return Decision::nothing();
        };
        if attempt != self.attempt || answers.get(usize::from(line)) != Some(&None) {
            return Decision::nothing();
        }
        let answer_of = |index: usize| if index == usize::from(line) { Some(stock) } else { answers[index] };
        let all: Option<SmallVec<[Stock; 1]>> = (0..answers.len()).map(answer_of).collect();
        let Some(all) = all else { return Decision::record(Event::LineAnswered { line, stock }) };
        if all.iter().all(|stock| *stock == Stock::Held) {
            let expires_at = cx.now + cx.policy.reservation_ttl_ms;
            return Decision::record(Event::Placed { expires_at }).owing(self.cart_placed());
        }
        self.refuse(opened, &all)
    }

    fn refuse(&self, opened: &Opened, answers: &[Stock]) -> Decision<Self> {
        let mut lines = Lines::default();
        let mut items = Vec::new();
        for (index, (stock, line)) in (0u8..).zip(answers.iter().zip(&opened.lines)) {
            if let Stock::Short { available } = stock {
                items.push(Shortage {
                    sku: Arc::clone(&line.sku),
                    requested: line.quantity,
                    available: *available,
                });
            }
            // Also what was short: the reservation may have been sent twice, and the second one would find
            // stock that came back meanwhile.
            if *stock != Stock::Gone {
                lines = lines.with(index);
            }
        }
        let reason = if items.is_empty() { Rejection::Lapsed } else { Rejection::OutOfStock { items } };
        let releases: Vec<Effect> = moves(self, opened, Move::Release, lines).collect();
        let told = if lines.is_empty() { self.cart_refused() } else { None };
        Decision::record(Event::Refused { reason, release: lines }).owing(releases).owing(told)
    }

    /// Tells the cart how its checkout ended, once it has.
    pub(super) fn tell_cart(&self) -> Option<Effect> {
        match self.phase {
            Phase::Blank | Phase::Opening { .. } => None,
            Phase::Refused(_) if self.owed.is_some() => None,
            Phase::Refused(_) => self.cart_refused(),
            _ => self.cart_placed(),
        }
    }

    fn cart_placed(&self) -> Option<Effect> {
        let cart = self.opened.as_ref()?.cart?;
        let message = Message::Cart(cart::Command::CheckoutPlaced { order: self.id });
        Some(Effect::Send { to: Address::cart(cart), message })
    }

    pub(super) fn cart_refused(&self) -> Option<Effect> {
        let cart = self.opened.as_ref()?.cart?;
        let message = Message::Cart(cart::Command::CheckoutRefused { attempt: self.attempt });
        Some(Effect::Send { to: Address::cart(cart), message })
    }

    pub(super) fn placed_answer(&self, tag: KeyTag) -> Option<Result<Reply, address::Rejection>> {
        let opened = self.opened.as_ref()?;
        match &self.phase {
            Phase::Blank | Phase::Opening { .. } => None,
            Phase::Refused(_) if self.owed.is_some() => None,
            Phase::Refused(reason) => Some(Err(reason.clone().into())),
            _ if opened.tag.key != tag.key => Some(Err(Rejection::CartCheckedOut { order: self.id }.into())),
            _ => Some(Ok(Reply::Order(Box::new(self.as_placed(opened))))),
        }
    }

    /// The order as it was when it was placed: what a repeated purchase shows again.
    fn as_placed(&self, opened: &Arc<Opened>) -> View {
        let expires_at = self.events.iter().find_map(|recorded| match recorded.event {
            Event::Placed { expires_at } => Some(expires_at),
            _ => None,
        });
        View {
            id: self.id,
            opened: Arc::clone(opened),
            status: Status::Created,
            sub_status: None,
            payment: None,
            expires_at,
            created_at: self.placed_at,
            updated_at: self.placed_at,
            version: 1,
        }
    }
}

/// The reservations of some lines.
pub(super) fn reservations<'a>(
    order: &'a Order,
    opened: &'a Opened,
    lines: Lines,
) -> impl Iterator<Item = Effect> + 'a {
    let hold = Hold { order: order.id, attempt: opened.attempt };
    each(opened, lines).map(move |(index, line)| {
        let reserve = inventory::Command::Reserve {
            hold,
            quantity: line.quantity,
            line: index,
            valid_until: opened.valid_until,
        };
        Effect::Send { to: Address::inventory(&line.sku), message: Message::Inventory(reserve) }
    })
}

/// A move of stock for some lines.
pub(super) fn moves<'a>(
    order: &'a Order,
    opened: &'a Opened,
    what: Move,
    lines: Lines,
) -> impl Iterator<Item = Effect> + 'a {
    let hold = Hold { order: order.id, attempt: opened.attempt };
    each(opened, lines).map(move |(index, line)| {
        let command = match what {
            Move::Release => {
                inventory::Command::Release { hold, line: index, valid_until: opened.valid_until }
            }
            Move::Confirm => inventory::Command::Confirm { hold, line: index },
            Move::Restock => inventory::Command::Restock { hold, quantity: line.quantity, line: index },
        };
        Effect::Send { to: Address::inventory(&line.sku), message: Message::Inventory(command) }
    })
}

/// The restocking of every line is recorded: the inventories need not remember it.
pub(super) fn forgets<'a>(order: &'a Order, opened: &'a Opened) -> impl Iterator<Item = Effect> + 'a {
    let hold = Hold { order: order.id, attempt: opened.attempt };
    opened.lines.iter().map(move |line| Effect::Send {
        to: Address::inventory(&line.sku),
        message: Message::Inventory(inventory::Command::Forget { hold }),
    })
}

fn each(opened: &Opened, lines: Lines) -> impl Iterator<Item = (u8, &line::Line)> {
    (0u8..).zip(&opened.lines).filter(move |(index, _)| lines.contains(*index))
}
