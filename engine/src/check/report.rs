//! What a check found.

use std::path::PathBuf;

use relampago_actors::{Kind, Sequence};

use super::RESTORE;
use super::books::Books;

/// Faults that are listed one by one; more are counted.
const LISTED: usize = 100;

/// Something that is wrong with the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which file, event or entity.
    pub place: String,
    /// What is wrong there.
    pub what: String,
    /// What to do about it; empty if `what` says so.
    pub remedy: &'static str,
}

impl Fault {
    /// A fault that the storage has found: its text names the file, and mostly the remedy.
    pub(super) fn in_storage(text: String) -> Self {
        let remedy = if text.contains("restore") { "" } else { RESTORE };
        Self { place: "storage".to_owned(), what: text, remedy }
    }
}

/// Snapshots and how they compare to the replay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotCounts {
    /// All that are stored.
    pub stored: u64,
    /// Those that were compared with the replay of their events.
    pub compared: u64,
    /// Those whose first events are no longer kept.
    pub older: u64,
}

/// Orders by where they stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OrderCounts {
    /// Being opened.
    pub opening: u64,
    /// Tried and refused.
    pub refused: u64,
    /// Placed and not paid.
    pub created: u64,
    /// Paid.
    pub paid: u64,
    /// Cancelled or expired.
    pub cancelled: u64,
}

/// The units of all skus together, by both sides of the books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StockTotals {
    /// Skus with an inventory.
    pub skus: u64,
    /// Units that can be sold.
    pub available: i64,
    /// Units held, as inventories have it.
    pub held: i64,
    /// Units held, as orders have it; with moves that are still owed as inventories have them.
    pub held_by_orders: i64,
    /// Units sold, as inventories have it.
    pub sold: i64,
    /// Units sold, as orders have it.
    pub sold_by_orders: i64,
    /// Units promised to orders that no inventory holds or sold, and units below nothing.
    pub oversold: i64,
    /// Units held for orders that are gone, refused or over.
    pub stranded: i64,
    /// Units that are neither available, held nor sold, or more than were ever stocked.
    pub difference: i64,
}

/// What a check found. The data is in order if there are no faults.
#[derive(Clone, Debug, Default)]
pub struct CheckReport {
    /// The journal's id in hexadecimal digits; empty if that cannot be told.
    pub journal: String,
    /// The oldest event that is kept.
    pub first: Sequence,
    /// The last event.
    pub last: Sequence,
    /// Events read.
    pub events: u64,
    /// Entities by kind.
    pub entities: Vec<(Kind, u64)>,
    /// Snapshots.
    pub snapshots: SnapshotCounts,
    /// Orders.
    pub orders: OrderCounts,
    /// Stock.
    pub stock: StockTotals,
    /// Keys of personal data, destroyed ones too.
    pub data_keys: u64,
    /// The key ring that was looked at; none if it is not in the folder and was not named.
    pub key_ring: Option<PathBuf>,
    /// The last record of the commit log was torn: it was never acknowledged, or it was damaged since.
    pub torn_record: bool,
    /// What is wrong, the first hundred of it.
    pub faults: Vec<Fault>,
    /// Faults beyond those.
    pub more_faults: u64,
}

impl CheckReport {
    pub(super) fn found(&mut self, fault: Fault) {
        if self.faults.len() < LISTED {
            self.faults.push(fault);
        } else {
            self.more_faults += 1;
        }
    }

    /// Takes over what the books come to.
    pub(super) fn close(&mut self, books: Books) {
        self.orders = books.orders();
        let (stock, faults) = books.balance();
        self.stock = stock;
        faults.into_iter().for_each(|fault| self.found(fault));
    }
}
