//! Lines: what carts and orders are made of.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Id;
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

/// The line that `wanted` stands for today, and its currency.
///
/// # Errors
/// [`LineError::UnknownProduct`] with `index`, if nothing such is on sale.
pub fn resolve(wanted: &Wanted, index: usize, cx: &Context<'_>) -> Result<(Line, Currency), LineError> {
    let card = match &wanted.product {
        ProductRef::Id(id) => cx.card_of_product(*id),
        ProductRef::Sku(sku) => cx.card_of_sku(sku),
    };
    let card = card.filter(|card| card.active).ok_or(LineError::UnknownProduct { index })?;
    let line = Line {
        product: card.product,
        sku: Arc::clone(&card.sku),
        name: Arc::clone(&card.name),
        quantity: wanted.quantity,
        price: card.price,
    };
    Ok((line, card.currency))
}

/// Resolves wanted lines, merging those of one sku; gives the lines and their one currency.
///
/// # Errors
/// As [`LineError`] says.
pub fn resolve_all(wanted: &[Wanted], cx: &Context<'_>) -> Result<(Vec<Line>, Currency), LineError> {
    let mut lines: Vec<Line> = Vec::with_capacity(wanted.len());
    let mut currency = None;
    for (index, item) in wanted.iter().enumerate() {
        let (line, of_line) = resolve(item, index, cx)?;
        let first = *currency.get_or_insert(of_line);
        if first != of_line {
            return Err(LineError::MixedCurrency { first, second: of_line });
        }
        merge(&mut lines, line)?;
    }
    check_total(&lines)?;
    Ok((lines, currency.unwrap_or(Currency::USD)))
}

fn merge(lines: &mut Vec<Line>, line: Line) -> Result<(), LineError> {
    let known = lines.iter().position(|known| known.sku == line.sku);
    let before = known.map_or(0, |index| lines[index].quantity);
    let quantity = before.saturating_add(line.quantity);
    if quantity > MAX_QUANTITY {
        return Err(LineError::TooMany { sku: line.sku });
    }
    match known {
        Some(index) => lines[index].quantity = quantity,
        None if lines.len() == MAX_LINES => return Err(LineError::TooManyLines),
        None => lines.push(line),
    }
    Ok(())
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
    let short = |line: &Line| {
        let card = cx.card_of_sku(&line.sku)?;
        let available = cx.available(&card);
        let short = available < i64::from(line.quantity);
        short.then(|| Shortage { sku: Arc::clone(&line.sku), requested: line.quantity, available })
    };
    lines.iter().filter_map(short).collect()
}
