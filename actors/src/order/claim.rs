//! What an order says of the stock behind it: for who checks orders against inventories.

use super::{Opened, Order, Phase};

/// How an order stands to the units of its last try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has asked for them.
    Opening,
    /// They are held for it.
    Placed,
    /// They are its own, or are about to be.
    Paid,
    /// They are its own until the money is back.
    Refunding,
    /// It has given them up.
    Over,
}

/// What an order's own events say of its stock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Claim<'a> {
    /// Its last try.
    pub opened: &'a Opened,
    /// How it stands to what it opened with.
    pub stage: Stage,
    /// Lines whose move of stock is asked for and not yet answered.
    pub owed: u32,
}

impl Order {
    /// What it says of its stock; `None` if it never opened.
    #[must_use]
    pub fn claim(&self) -> Option<Claim<'_>> {
        let stage = match self.phase {
            Phase::Blank => return None,
            Phase::Opening { .. } => Stage::Opening,
            Phase::Created => Stage::Placed,
            Phase::Paid => Stage::Paid,
            Phase::Refunding => Stage::Refunding,
            Phase::Refused(_) | Phase::Cancelled(_) => Stage::Over,
        };
        let owed = self.owed.map_or(0, |(_, lines)| lines.len());
        Some(Claim { opened: self.opened.as_deref()?, stage, owed })
    }
}
