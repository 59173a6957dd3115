//! The books: what inventories hold and sold beside what orders say of it.

use std::sync::Arc;

use relampago_actors::inventory::{Hold, Inventory};
use relampago_actors::order::{Order, Standing, Status};
use relampago_actors::{Address, Entity, Id};
use rustc_hash::FxHashMap;

use super::report::{Fault, OrderCounts, StockTotals};

/// What to do about stock that does not balance.
const ADJUST: &str = "keep a copy of the folder and report this; then set the stock right by an adjustment";

/// Held units of a sku under one reservation, by both sides.
#[derive(Clone, Copy, Default)]
struct Both {
    inventory: Option<u32>,
    order: Option<(u32, Standing)>,
}

/// One sku.
#[derive(Default)]
struct Account {
    /// By what name orders call it.
    sku: Option<Arc<str>>,
    /// Its inventory's own figures, if it has one: available, reserved, sold.
    figures: Option<(i64, i64, i64)>,
    holds: FxHashMap<Hold, Both>,
    /// Units that orders say are sold.
    sold: i64,
    /// Units that are sold or on their way back.
    returning: i64,
}

/// Inventories and orders, in any order, until they are balanced.
#[derive(Default)]
pub(super) struct Books {
    accounts: FxHashMap<Id, Account>,
    orders: OrderCounts,
}

impl Books {
    pub(super) fn inventory(&mut self, id: Id, inventory: &Inventory) {
        let account = self.accounts.entry(id).or_default();
        account.figures = inventory.view().map(|view| (view.available, view.reserved, view.sold));
        for (hold, quantity) in inventory.held() {
            account.holds.entry(hold).or_default().inventory = Some(quantity);
        }
    }

    pub(super) fn order(&mut self, _id: Id, order: &Order) {
        self.count(order);
        for claim in order.line_claims() {
            let units = claim.line.quantity;
            let account = self.accounts.entry(Address::inventory(&claim.line.sku).id).or_default();
            account.sku.get_or_insert_with(|| Arc::clone(&claim.line.sku));
            match claim.standing {
                // An inventory that holds something here has it on its own.
                Standing::Free => {}
                Standing::Sold => account.sold += i64::from(units),
                Standing::Returning => account.returning += i64::from(units),
                standing @ (Standing::Held | Standing::MaybeHeld | Standing::Selling) => {
                    account.holds.entry(claim.hold).or_default().order = Some((units, standing));
                }
            }
        }
    }

    fn count(&mut self, order: &Order) {
        let counts = &mut self.orders;
        let status = order.facets().map(|facets| facets.status);
        *match status {
            None if order.is_refused() => &mut counts.refused,
            None => &mut counts.opening,
            Some(status) if status == Status::Created as u8 => &mut counts.created,
            Some(status) if status == Status::Cancelled as u8 => &mut counts.cancelled,
            Some(_) => &mut counts.paid,
        } += 1;
    }

    pub(super) fn orders(&self) -> OrderCounts {
        self.orders
    }

    /// The totals, and every sku that does not balance.
    pub(super) fn balance(self) -> (StockTotals, Vec<Fault>) {
        let (mut totals, mut faults) = (StockTotals::default(), Vec::new());
        for (id, account) in self.accounts {
            account.balance(id, &mut totals, &mut faults);
        }
        faults.sort_by(|one, other| one.place.cmp(&other.place));
        (totals, faults)
    }
}

impl Account {
    fn balance(self, id: Id, totals: &mut StockTotals, faults: &mut Vec<Fault>) {
        let name = self.sku.as_deref().map_or_else(String::new, |sku| format!(" ({sku})"));
        let mut found = |what: String| {
            faults.push(Fault { place: format!("inventory {id}{name}"), what, remedy: ADJUST });
        };
        let (available, reserved, sold) = self.figures.unwrap_or_default();
        let (mut held, mut held_by_orders, mut sold_by_orders) = (0, 0, self.sold);
        let (mut missing, mut stranded) = (0, 0);
        for (hold, both) in &self.holds {
            held += both.inventory.map_or(0, i64::from);
            match (both.inventory, both.order) {
                (Some(there), None) => {
                    stranded += i64::from(there);
                    found(format!(
                        "{there} units stranded: held for order {}, which has no claim",
                        hold.order
                    ));
                }
                (Some(there), Some((wanted, _))) => {
                    held_by_orders += i64::from(wanted);
                    let (there, wanted) = (i64::from(there), i64::from(wanted));
                    missing += (wanted - there).max(0);
                    stranded += (there - wanted).max(0);
                    if there != wanted {
                        found(format!("{there} units held for order {}, which has {wanted}", hold.order));
                    }
                }
                (None, Some((wanted, Standing::Held))) => {
                    held_by_orders += i64::from(wanted);
                    missing += i64::from(wanted);
                    found(format!("{wanted} units oversold: order {} was placed without them", hold.order));
                }
                // It is to be sold and not held any more, so it is sold.
                (None, Some((wanted, Standing::Selling))) => sold_by_orders += i64::from(wanted),
                (None, _) => {}
            }
        }
        // What is on its way back may be sold still.
        let most = sold_by_orders + self.returning;
        let (short, over) = ((sold_by_orders - sold).max(0), (sold - most).max(0));
        if short > 0 {
            found(format!(
                "{short} units oversold: orders paid for {sold_by_orders}, the inventory sold {sold}"
            ));
        }
        if over > 0 {
            found(format!("{over} units were sold to nobody: it sold {sold}, orders paid for {most}"));
        }
        if held != reserved {
            found(format!("{reserved} units reserved, but its reservations are for {held}"));
        }
        let below = (-available).max(0);
        if below > 0 {
            found(format!("{below} units oversold: {available} available"));
        }
        totals.skus += u64::from(self.figures.is_some());
        totals.available += available;
        totals.held += held;
        totals.held_by_orders += held_by_orders;
        totals.sold += sold;
        totals.sold_by_orders += sold.clamp(sold_by_orders, most);
        totals.oversold += missing + short + below;
        totals.stranded += stranded;
        totals.difference += (reserved - held).abs() + over;
    }
}
