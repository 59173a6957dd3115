//! What an order says of the stock behind it: for who checks orders against inventories.

use serde::Serialize;

use super::{Lines, Move, Opened, Order, Phase, Stock};
use crate::inventory::Hold;
use crate::line::Line;

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

/// Where the units of a line are, as far as its order knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// Nowhere: never held, or given back.
    Free,
    /// Asked for and not all answered, or to be given back and not answered: held or not.
    MaybeHeld,
    /// Held.
    Held,
    /// To be sold, and not answered: held or sold.
    Selling,
    /// Sold.
    Sold,
    /// To be put back, and not answered: sold or free.
    Returning,
}

/// What an order says of one of its lines.
#[derive(Clone, Copy, Debug)]
pub struct LineClaim<'a> {
    /// Under which the inventory knows it.
    pub hold: Hold,
    /// Of what, and how much.
    pub line: &'a Line,
    /// Where the units are.
    pub standing: Standing,
}

impl Order {
    /// One claim a line of the newest try.
    pub fn line_claims(&self) -> impl Iterator<Item = LineClaim<'_>> {
        let hold = Hold { order: self.id, attempt: self.attempt };
        let lines = self.opened.iter().flat_map(|opened| &opened.lines);
        (0u8..).zip(lines).map(move |(index, line)| LineClaim { hold, line, standing: self.standing(index) })
    }

    /// Whether it was tried and came to nothing.
    #[must_use]
    pub const fn is_refused(&self) -> bool {
        matches!(self.phase, Phase::Refused(_))
    }

    fn standing(&self, line: u8) -> Standing {
        let owed = |what: Move| matches!(self.owed, Some((owed, lines)) if owed == what && Lines::contains(lines, line));
        match &self.phase {
            Phase::Blank => Standing::Free,
            Phase::Opening { answers } => match answers.get(usize::from(line)) {
                Some(Some(Stock::Held)) => Standing::Held,
                // Also what was short: a repeated reservation may find stock that came back.
                Some(None | Some(Stock::Short { .. })) => Standing::MaybeHeld,
                Some(Some(Stock::Gone)) | None => Standing::Free,
            },
            Phase::Refused(_) | Phase::Cancelled(_) if owed(Move::Release) => Standing::MaybeHeld,
            Phase::Cancelled(_) if owed(Move::Restock) => Standing::Returning,
            Phase::Refused(_) | Phase::Cancelled(_) => Standing::Free,
            Phase::Created => Standing::Held,
            Phase::Paid if owed(Move::Confirm) => Standing::Selling,
            Phase::Paid | Phase::Refunding => Standing::Sold,
        }
    }
}
