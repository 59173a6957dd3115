//! Lines: what carts and orders are made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::address::Id;
use crate::catalogue::Card;
use crate::entity::Context;
use crate::money::{self, Currency};

/// The most units of one sku in one cart or order.
pub const MAX_QUANTITY: u32 = 999;

/// The most lines of one cart or order.
pub const MAX_LINES: usize = 100;

/// Some units of one product at the price of the moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Line {
    /// The product.
    pub product: Id,
    /// Its sku.
    pub sku: Arc<str>,
    /// Its name then.
    pub name: Arc<str>,
    /// Units.
    pub quantity: u32,
    /// Price of a unit then, minor units.
    pub price: i64,
}

impl Line {
    /// Price of the line, minor units. Lines are bounded in price and quantity: no overflow.
    #[must_use]
    pub fn total(&self) -> i64 {
        money::line_total(self.price, self.quantity).unwrap_or(i64::MAX)
    }
}

/// How a client names a product.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ProductRef {
    /// By its id.
    Id(Id),
    /// By its sku.
    Sku(Arc<str>),
}

/// A line as a client asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// Of what.
    pub product: ProductRef,
    /// How many, `1..=MAX_QUANTITY`.
    pub quantity: u32,
}

/// Why wanted lines cannot be lines.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, thiserror::Error)]
pub enum LineError {
    /// There is no such product on sale.
    #[error("item {index} names no product on sale")]
    UnknownProduct {
        /// Which of the wanted lines, from 0.
        index: usize,
    },
    /// More than [`MAX_QUANTITY`] of one sku, over all lines.
    #[error("more than {MAX_QUANTITY} units of {sku}")]
    TooMany {
        /// Of which.
        sku: Arc<str>,
    },
    /// More than [`MAX_LINES`] lines.
    #[error("more than {MAX_LINES} lines")]
    TooManyLines,
    /// The sum of the lines is more than can be counted.
    #[error("the total is too large")]
    TotalTooLarge,
    /// The lines' currencies differ.
    #[error("lines in {first:?} and {second:?}")]
    MixedCurrency {
        /// The currency of the cart, or of the lines before.
        first: Currency,
        /// The one that differs.
        second: Currency,
    },
}

fn card_of(wanted: &Wanted, cx: &Context<'_>) -> Option<Arc<Card>> {
    match &wanted.product {
        ProductRef::Id(id) => cx.card_of_product(*id),
        ProductRef::Sku(sku) => cx.card_of_sku(sku),
    }
}

/// The line that `wanted` stands for today, and its currency.
///
/// # Errors
/// [`LineError::UnknownProduct`] with `index`, if nothing such is on sale.
pub fn resolve(wanted: &Wanted, index: usize, cx: &Context<'_>) -> Result<(Line, Currency), LineError> {
    let card = on_sale(card_of(wanted, cx), index)?;
    Ok((line_of(&card, wanted.quantity), card.currency))
}

fn on_sale(card: Option<Arc<Card>>, index: usize) -> Result<Arc<Card>, LineError> {
    card.filter(|card| card.active).ok_or(LineError::UnknownProduct { index })
}

fn line_of(card: &Card, quantity: u32) -> Line {
    Line {
        product: card.product,
        sku: Arc::clone(&card.sku),
        name: Arc::clone(&card.name),
        quantity,
        price: card.price,
    }
}

/// What a purchase wants, as it stands in the catalogue.
#[derive(Debug)]
pub struct Resolved {
    /// Those of one sku merged.
    pub lines: Vec<Line>,
    /// Of all lines.
    pub currency: Currency,
    /// Of each line.
    cards: Cards,
}

type Cards = SmallVec<[Arc<Card>; 1]>;

impl Resolved {
    /// As [`shortages`].
    #[must_use]
    pub fn shortages(&self, cx: &Context<'_>) -> Vec<Shortage> {
        let lines = self.lines.iter().zip(&self.cards);
        lines.filter_map(|(line, card)| shortage(line, card, cx)).collect()
    }

    fn add(&mut self, card: Arc<Card>, quantity: u32) -> Result<(), LineError> {
        let known = self.lines.iter().position(|known| known.sku == card.sku);
        let before = known.map_or(0, |index| self.lines[index].quantity);
        let quantity = before.saturating_add(quantity);
        if quantity > MAX_QUANTITY {
            return Err(LineError::TooMany { sku: Arc::clone(&card.sku) });
        }
        match known {
            Some(index) => self.lines[index].quantity = quantity,
            None if self.lines.len() == MAX_LINES => return Err(LineError::TooManyLines),
            None => {
                self.lines.push(line_of(&card, quantity));
                self.cards.push(card);
            }
        }
        Ok(())
    }
}

/// Resolves wanted lines, merging those of one sku.
///
/// # Errors
/// As [`LineError`] says.
pub fn resolve_all(wanted: &[Wanted], cx: &Context<'_>) -> Result<Resolved, LineError> {
    resolve_cards(wanted, wanted.iter().map(|item| card_of(item, cx)))
}

fn resolve_cards(
    wanted: &[Wanted],
    cards: impl Iterator<Item = Option<Arc<Card>>>,
) -> Result<Resolved, LineError> {
    let mut resolved =
        Resolved { lines: Vec::with_capacity(wanted.len()), currency: Currency::USD, cards: Cards::new() };
    for (index, (item, card)) in wanted.iter().zip(cards).enumerate() {
        let card = on_sale(card, index)?;
        if index == 0 {
            resolved.currency = card.currency;
        }
        if resolved.currency != card.currency {
            return Err(LineError::MixedCurrency { first: resolved.currency, second: card.currency });
        }
        resolved.add(card, item.quantity)?;
    }
    check_total(&resolved.lines)?;
    Ok(resolved)
}

/// As [`resolve_all`], if a glance shows that of something wanted there is less than is wanted. `None` tells nothing.
#[must_use]
pub fn resolve_short(wanted: &[Wanted], cx: &Context<'_>) -> Option<Result<Resolved, LineError>> {
    let cards: SmallVec<[_; 1]> = wanted.iter().map(|item| card_of(item, cx)).collect();
    let is_short = |(item, card): (&Wanted, &Option<Arc<Card>>)| {
        card.as_ref().is_some_and(|card| cx.available(card) < i64::from(item.quantity))
    };
    wanted.iter().zip(&cards).any(is_short).then(|| resolve_cards(wanted, cards.into_iter()))
}

/// Whether the lines have a sum.
///
/// # Errors
/// [`LineError::TotalTooLarge`] if it overflows.
pub fn check_total<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Result<(), LineError> {
    let sum = lines.into_iter().try_fold(0i64, |sum, line| sum.checked_add(line.total()));
    sum.map(|_| ()).ok_or(LineError::TotalTooLarge)
}

/// Sum of the lines, minor units.
#[must_use]
pub fn total(lines: &[Line]) -> i64 {
    lines.iter().map(Line::total).fold(0, i64::saturating_add)
}

/// A line of which fewer units can be sold than wanted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shortage {
    /// Of which.
    pub sku: Arc<str>,
    /// Units wanted.
    pub requested: u32,
    /// Units that could be had.
    pub available: i64,
}

/// The lines that cannot be had in full, as far as the catalogue knows: what is sold out may be refused
/// without asking the stock's owner.
#[must_use]
pub fn shortages(lines: &[Line], cx: &Context<'_>) -> Vec<Shortage> {
    lines.iter().filter_map(|line| shortage(line, &*cx.card_of_sku(&line.sku)?, cx)).collect()
}

fn shortage(line: &Line, card: &Card, cx: &Context<'_>) -> Option<Shortage> {
    let available = cx.available(card);
    let short = available < i64::from(line.quantity);
    short.then(|| Shortage { sku: Arc::clone(&line.sku), requested: line.quantity, available })
}
