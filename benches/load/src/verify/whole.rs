//! What the shop as a whole must show, whoever bought.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::{Far, Obstacle, check, unjudged};
use crate::audit::{Auditor, gone, held_by, imbalance, mismatch, strangers};
use crate::run::AuditProgress;
use crate::summary::document::{AuditCheck, PartLedger};
use crate::wire::{Inventory, Order};

const CONSERVATION: &str = "conservation";
const SOLD_TWICE: &str = "no unit is sold twice";
const STRANGERS: &str = "no order that nobody was told of";
/// Names of all its checks.
pub(super) const NAMES: [&str; 3] = [CONSERVATION, SOLD_TWICE, STRANGERS];

/// What lags is looked at again after pauses that grow from the first to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(200);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server may be away for so long in the middle of an audit, however late it is.
const AWAY: Duration = Duration::from_secs(5);

/// What all generators of a run know together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Units that were put in, by sku.
    pub(crate) stock: BTreeMap<String, i64>,
    /// Ids of the acknowledged orders.
    pub(crate) orders: HashSet<String>,
    /// Why there may be orders that are not among them.
    pub(crate) others: Option<String>,
}

impl Known {
    /// What parts of a run know; `missing` says that some of them are not there.
    pub(crate) fn of(ledger: PartLedger, missing: bool) -> Self {
        let others = if missing {
            Some("parts of the run are missing, and what they bought with them".to_owned())
        } else if ledger.unanswered > 0 {
            Some(unanswered(ledger.unanswered))
        } else {
            None
        };
        Self { stock: ledger.stock, orders: ledger.orders.into_iter().collect(), others }
    }
}

/// Why there may be an order that nobody knows.
pub(super) fn unanswered(purchases: u64) -> String {
    format!("{purchases} purchases have no answer, and may have been made")
}

/// The list of orders and the inventories, against what is known.
#[derive(Debug)]
pub(crate) struct Whole {
    auditor: Auditor,
    far: Far,
    known: Known,
    /// When waiting for what the shop does not answer has taken long enough.
    until: Instant,
    orders: Vec<Order>,
    skus: BTreeSet<String>,
    /// None is one that the shop does not know.
    inventories: BTreeMap<String, Option<Inventory>>,
}

impl Whole {
    /// `until`: when an absent server has been waited for long enough.
    pub(crate) fn new(auditor: Auditor, known: Known, until: Instant, far: Far) -> Self {
        Self {
            auditor,
            far,
            known,
            until,
            orders: Vec::new(),
            skus: BTreeSet::new(),
            inventories: BTreeMap::new(),
        }
    }

    /// Looks at everything, and then again at what is not as it should be, until `patience` is over.
    pub(crate) async fn settle(&mut self, patience: Duration) -> Result<(), Obstacle> {
        self.look().await?;
        let until = Instant::now() + patience;
        let mut pause = FIRST_PAUSE;
        while self.is_unsettled() && Instant::now() < until {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.look_again().await?;
        }
        Ok(())
    }

    /// The first look.
    pub(super) async fn look(&mut self) -> Result<(), Obstacle> {
        self.list().await?;
        let skus: Vec<String> = self.skus.iter().cloned().collect();
        self.take_stock(&skus).await
    }

    /// Looks at what was not as it should be the last time.
    pub(super) async fn look_again(&mut self) -> Result<(), Obstacle> {
        let unsettled = self.unsettled_skus();
        if unsettled.is_empty() && self.strangers().is_empty() {
            return Ok(());
        }
        self.far.send_modify(|progress| progress.waits = Some(unsettled.len() as u64));
        self.list().await?;
        self.take_stock(&unsettled).await
    }

    /// Whether a later look may show something else.
    pub(super) fn is_unsettled(&self) -> bool {
        !self.unsettled_skus().is_empty() || !self.strangers().is_empty()
    }

    /// The orders of the shop that the last look showed.
    pub(super) fn orders(&self) -> &[Order] {
        &self.orders
    }

    async fn list(&mut self) -> Result<(), Obstacle> {
        let tell = |done: usize| {
            let done = done as u64;
            self.far.send_modify(|progress| {
                *progress = AuditProgress { what: "orders of the shop", done, of: None, ..*progress };
            });
        };
        self.orders = self.auditor.all_orders(patience(self.until), tell).await?;
        self.skus = self.known.stock.keys().cloned().collect();
        let own = self.orders.iter().filter(|order| self.known.orders.contains(&order.id));
        self.skus.extend(own.flat_map(|order| &order.items).map(|item| item.sku.clone()));
        Ok(())
    }

    async fn take_stock(&mut self, skus: &[String]) -> Result<(), Obstacle> {
        let of = Some(skus.len() as u64);
        self.far.send_modify(|progress| {
            *progress = AuditProgress { what: "inventories", done: 0, of, ..*progress }
        });
        for some in skus.chunks(100) {
            self.inventories.extend(self.auditor.inventories(some, patience(self.until)).await?);
            self.far.send_modify(|progress| progress.done += some.len() as u64);
        }
        Ok(())
    }

    /// Skus whose units do not add up.
    fn unsettled_skus(&self) -> Vec<String> {
        let held = held_by(&self.orders);
        let is_wrong = |(sku, inventory): &(&String, &Option<Inventory>)| {
            let held = held.get(*sku).copied().unwrap_or_default();
            inventory.as_ref().is_none_or(|inventory| {
                self.unconserved(inventory).is_some() || self.oversold(inventory, held).is_some()
            })
        };
        self.inventories.iter().filter(is_wrong).map(|(sku, _)| sku.clone()).collect()
    }

    /// Units that came or went.
    fn unconserved(&self, inventory: &Inventory) -> Option<String> {
        let Inventory { sku, stocked, .. } = inventory;
        let put_in = self.known.stock.get(sku).filter(|put_in| *put_in != stocked);
        imbalance(inventory)
            .or_else(|| put_in.map(|put_in| format!("{sku}: stocked {stocked}, acknowledged {put_in}")))
    }

    /// Units that orders have and the shop had not.
    fn oversold(&self, inventory: &Inventory, held: (i64, i64)) -> Option<String> {
        let (Inventory { sku, stocked, .. }, (reserved, sold)) = (inventory, held);
        let there = self.known.stock.get(sku).unwrap_or(stocked);
        let taken = reserved + sold;
        if taken > *there {
            let over = taken - there;
            return Some(format!("{sku}: {there} units were there and orders have {taken}, {over} too many"));
        }
        mismatch(inventory, held)
    }

    /// Orders that nobody was told of, and acknowledged ones that are not listed. Other people may buy what was not
    /// put in by this run.
    fn strangers(&self) -> Vec<String> {
        if self.others().is_some() {
            return Vec::new();
        }
        let is_own = |order: &&Order| {
            self.known.orders.contains(&order.id)
                || order.items.iter().any(|item| self.known.stock.contains_key(&item.sku))
        };
        strangers(self.orders.iter().filter(is_own), &self.known.orders)
    }

    fn others(&self) -> Option<&str> {
        let nothing = self.known.stock.is_empty();
        let nothing = nothing.then_some("the run put in no stock of its own, and others may buy the same");
        self.known.others.as_deref().or(nothing)
    }

    /// What the last look showed.
    pub(crate) fn checks(&self) -> Vec<AuditCheck> {
        let held = held_by(&self.orders);
        let held_of = |sku: &str| held.get(sku).copied().unwrap_or_default();
        let inventories = || self.inventories.values().flatten();
        let lost = self.inventories.iter().filter(|(_, own)| own.is_none()).map(|(sku, _)| gone(sku));
        let unconserved: Vec<String> =
            lost.chain(inventories().filter_map(|own| self.unconserved(own))).collect();
        let oversold: Vec<String> =
            inventories().filter_map(|own| self.oversold(own, held_of(&own.sku))).collect();
        let units: i64 = inventories().map(|inventory| inventory.stocked).sum();
        let taken: i64 =
            inventories().map(|own| held_of(&own.sku)).map(|(reserved, sold)| reserved + sold).sum();
        let skus = self.inventories.len();
        let strangers = match self.others() {
            Some(why) => unjudged(STRANGERS, why),
            None => {
                let known = self.known.orders.len();
                check(
                    STRANGERS,
                    &self.strangers(),
                    format!("the shop has the {known} acknowledged orders alone"),
                )
            }
        };
        if skus == 0 {
            let why = "nothing was put in or bought";
            return vec![unjudged(CONSERVATION, why), unjudged(SOLD_TWICE, why), strangers];
        }
        vec![
            check(CONSERVATION, &unconserved, format!("{units} units of {skus} skus are all accounted for")),
            check(SOLD_TWICE, &oversold, format!("orders hold or have {taken} of {units} units")),
            strangers,
        ]
    }
}

/// How long a read may take that a server does not answer.
pub(super) fn patience(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(AWAY)
}
