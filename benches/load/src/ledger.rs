//! Everything the server acknowledged to the shoppers, and what they asked for without an answer yet.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::wire::{Order, Payment};

/// What a shopper asked for: one sku and how many units.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wanted {
    /// The stock-keeping unit.
    pub sku: String,
    /// Units.
    pub quantity: i64,
}

/// How far the payment of an order got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Never tried.
    Unpaid,
    /// Asked for, and not answered yet.
    Asked,
    /// Answered with a payment: approved, pending or rejected.
    Answered(Payment),
    /// Refused with this problem code; there is no payment.
    Refused(String),
}

/// How far the cancellation of an order got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancellation {
    /// Never tried, or refused.
    None,
    /// Asked for, and not answered yet.
    Asked,
    /// Acknowledged.
    Done,
}

/// One acknowledged order.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key it was bought under.
    pub key: String,
    /// What was asked for, lines of one sku merged, sorted.
    pub wanted: Vec<Wanted>,
    /// The order as first acknowledged.
    pub order: Order,
    /// Its payment.
    pub settlement: Settlement,
    /// Its cancellation.
    pub cancellation: Cancellation,
}

impl Entry {
    /// The payment, if one was answered.
    pub fn payment(&self) -> Option<&Payment> {
        match &self.settlement {
            Settlement::Answered(payment) => Some(payment),
            _ => None,
        }
    }

    /// Whether the buyer was told that the money was taken, or may be.
    fn is_charged(&self) -> bool {
        self.payment().is_some_and(|payment| matches!(payment.status.as_str(), "approved" | "pending"))
    }

    /// Whether the buyer was told that the money was taken.
    pub fn is_paid(&self) -> bool {
        self.payment().is_some_and(|payment| payment.status == "approved")
    }
}

/// Stock that was put in, and changes of it that are not answered yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stocked {
    /// Units put in and acknowledged.
    pub units: i64,
    /// Adjustments asked for and not answered.
    pub unanswered: u32,
}

/// The ledger, shared by all shoppers. Cheap to clone; clones are the same ledger.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    pages: Arc<Mutex<Pages>>,
}

#[derive(Debug, Default)]
struct Pages {
    orders: HashMap<String, Entry>,
    stock: BTreeMap<String, Stocked>,
    anomalies: Vec<String>,
    unanswered: Vec<String>,
}

impl Ledger {
    /// Writes down an acknowledged order; the same again under its key is fine. Two purchases answered with one order
    /// are an anomaly.
    pub fn ordered(&self, key: &str, mut wanted: Vec<Wanted>, order: Order) {
        wanted.sort();
        let mut pages = self.pages();
        if let Some(earlier) = pages.orders.get(&order.id) {
            let same = (&earlier.order.items, &earlier.order.total) == (&order.items, &order.total);
            if earlier.key != key {
                let anomaly = format!("order {} answered to key {} and to key {key}", order.id, earlier.key);
                pages.anomalies.push(anomaly);
            } else if !same {
                pages.anomalies.push(format!("order {} answered to key {key} in two ways", order.id));
            }
            return;
        }
        let entry = Entry {
            key: key.to_owned(),
            wanted,
            settlement: Settlement::Unpaid,
            cancellation: Cancellation::None,
            order,
        };
        pages.orders.insert(entry.order.id.clone(), entry);
    }

    /// Writes down how far the payment of an order got.
    pub fn settle(&self, order_id: &str, settlement: Settlement) {
        if let Some(entry) = self.pages().orders.get_mut(order_id) {
            entry.settlement = settlement;
        }
    }

    /// Writes down that an order is to be paid, unless it is known to be, or to be on its way.
    pub(crate) fn paying(&self, order_id: &str) {
        if let Some(entry) = self.pages().orders.get_mut(order_id)
            && !entry.is_charged()
        {
            entry.settlement = Settlement::Asked;
        }
    }

    /// Writes down how the last try to pay an order ended. A later try that was refused undoes no earlier success.
    pub(crate) fn paid(&self, order_id: &str, settlement: Settlement) {
        if let Some(entry) = self.pages().orders.get_mut(order_id)
            && (!entry.is_charged() || matches!(settlement, Settlement::Answered(_)))
        {
            entry.settlement = settlement;
        }
    }

    /// Writes down that an order is to be cancelled, unless it is.
    pub(crate) fn cancelling(&self, order_id: &str) {
        if let Some(entry) = self.pages().orders.get_mut(order_id)
            && entry.cancellation != Cancellation::Done
        {
            entry.cancellation = Cancellation::Asked;
        }
    }

    /// Writes down how far the cancellation of an order got.
    pub fn cancel(&self, order_id: &str, cancellation: Cancellation) {
        if let Some(entry) = self.pages().orders.get_mut(order_id) {
            entry.cancellation = cancellation;
        }
    }

    /// Writes down units put in (or taken out) and acknowledged.
    pub fn stocked(&self, sku: &str, units: i64) {
        self.pages().stock.entry(sku.to_owned()).or_default().units += units;
    }

    /// Writes down that an adjustment of `sku` was asked for.
    pub fn adjusting(&self, sku: &str) {
        self.pages().stock.entry(sku.to_owned()).or_default().unanswered += 1;
    }

    /// Writes down the answer of an adjustment: `units` were added, 0 when it was refused.
    pub fn adjusted(&self, sku: &str, units: i64) {
        let mut pages = self.pages();
        let stock = pages.stock.entry(sku.to_owned()).or_default();
        stock.units += units;
        stock.unanswered = stock.unanswered.saturating_sub(1);
    }

    /// Writes down an answer that must never be given.
    pub fn anomaly(&self, what: String) {
        self.pages().anomalies.push(what);
    }

    /// Writes down a request that was given up without an answer: its outcome stays unknown.
    pub fn unanswered(&self, what: String) {
        self.pages().unanswered.push(what);
    }

    /// Every acknowledged order.
    pub fn entries(&self) -> Vec<Entry> {
        self.pages().orders.values().cloned().collect()
    }

    /// How many orders were acknowledged.
    pub fn len(&self) -> usize {
        self.pages().orders.len()
    }

    /// Whether no order was acknowledged.
    pub fn is_empty(&self) -> bool {
        self.pages().orders.is_empty()
    }

    /// What was put in, by sku.
    pub fn stock(&self) -> BTreeMap<String, Stocked> {
        self.pages().stock.clone()
    }

    /// Answers that must never be given.
    pub fn anomalies(&self) -> Vec<String> {
        self.pages().anomalies.clone()
    }

    /// Requests that were given up without an answer.
    pub fn given_up(&self) -> Vec<String> {
        self.pages().unanswered.clone()
    }

    /// A panic of another shopper leaves complete entries behind, so a poisoned lock is taken all the same.
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `wanted` with lines of one sku merged, in order of sku.
pub fn merged(wanted: &[Wanted]) -> Vec<Wanted> {
    let mut units: BTreeMap<&str, i64> = BTreeMap::new();
    for line in wanted {
        *units.entry(&line.sku).or_default() += line.quantity;
    }
    units.into_iter().map(|(sku, quantity)| Wanted { sku: sku.to_owned(), quantity }).collect()
}
