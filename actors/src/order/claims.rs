//! What an order says of the stock: where the units of its lines are. Inventories say the same from the other side.

use serde::Serialize;

use super::{Lines, Move, Order, Phase, Stock};
use crate::inventory::Hold;
use crate::line::Line;

/// Where the units of a line are, as far as its order knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Standing {
    /// Nowhere: never held, or given back.
    Free,
    /// Asked for and not answered, or to be given back and not answered: held or not.
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
pub struct Claim<'a> {
    /// Under which the inventory knows it.
    pub hold: Hold,
    /// Of what, and how much.
    pub line: &'a Line,
    /// Where the units are.
    pub standing: Standing,
}

impl Order {
    /// One claim a line of the newest try.
    pub fn claims(&self) -> impl Iterator<Item = Claim<'_>> {
        let hold = Hold { order: self.id, attempt: self.attempt };
        let lines = self.opened.iter().flat_map(|opened| &opened.lines);
        (0u8..).zip(lines).map(move |(index, line)| Claim { hold, line, standing: self.standing(index) })
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
                Some(None) => Standing::MaybeHeld,
                _ => Standing::Free,
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
