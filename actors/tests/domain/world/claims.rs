//! What orders say of their stock beside the books of the skus: the two agree at every event of either.

use std::collections::BTreeMap;

use relampago_actors::inventory::Hold;
use relampago_actors::order::{Order, Standing};
use relampago_actors::{Address, Id};

/// Where the units of a reservation are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Nowhere,
    Held,
    Sold,
}

/// The newest word of every order on every line it ever had.
#[derive(Default)]
pub struct Claims(BTreeMap<(Hold, Address), Standing>);

impl Claims {
    /// Takes note of an order after an event of it; its lines.
    pub fn note(&mut self, order: &Order) -> Vec<(Hold, Address)> {
        let lines = order.line_claims().map(|claim| {
            let line = (claim.hold, Address::inventory(&claim.line.sku));
            self.0.insert(line, claim.standing);
            line
        });
        lines.collect()
    }

    /// What the books say of a line is what its order may think.
    pub fn check(&self, line: (Hold, Address), place: Place) {
        let standing = self.0.get(&line).copied().unwrap_or(Standing::Free);
        assert!(agree(standing, place), "{line:?}: {standing:?} by the order, {place:?} by the books");
    }

    /// Whether an order has nothing left.
    pub fn are_settled(&self, order: Id) -> bool {
        let of = |(line, _): &(&(Hold, Address), &Standing)| line.0.order == order;
        self.0.iter().filter(of).all(|(_, standing)| *standing == Standing::Free)
    }
}

fn agree(standing: Standing, place: Place) -> bool {
    match standing {
        Standing::Free => place == Place::Nowhere,
        Standing::MaybeHeld => place != Place::Sold,
        Standing::Held => place == Place::Held,
        Standing::Selling => place != Place::Nowhere,
        Standing::Sold => place == Place::Sold,
        Standing::Returning => place != Place::Held,
    }
}
