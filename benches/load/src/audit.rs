//! The verdict: what the API shows, against what it acknowledged. Findings are sentences for people; no finding
//! means that all is well.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::client::{Client, ClientError};
use crate::ledger::{Cancellation, Entry, Ledger, Settlement, Wanted, merged};
use crate::message::{Answer, Request};
use crate::target::Target;
use crate::wire::{Inventory, Order, Page, Payment};

/// Connections that read at the same time.
pub(crate) const READERS: usize = 16;
/// How long one read is tried again while the server is away or overloaded.
const PATIENCE: Duration = Duration::from_secs(30);
const PAGE: usize = 200;
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// What may still be on its way when an audit looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Refunds that follow an acknowledged cancellation may be owed.
    Running,
    /// Everything has come to its end.
    Settled,
}

/// Who audits which shop.
#[derive(Clone, Debug)]
pub struct Auditor {
    /// The server.
    pub target: Target,
    /// A staff credential: inventory and the list of all orders are not for guests.
    pub api_key: String,
}

impl Auditor {
    /// Checks `stocked = available + reserved + sold`, none negative, for every sku. True at every moment, also
    /// in the middle of a sale.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn conservation(&self, skus: &[String]) -> Result<Vec<String>, ClientError> {
        Ok(self.inventories(skus, PATIENCE).await?.iter().filter_map(unsound).collect())
    }

    /// Checks that every acknowledged order, payment, cancellation and adjustment is there with its content.
    /// Shoppers must have no request on its way except ones noted in the ledger as asked for: hold them back
    /// with [`Target::close`], and give the auditor a target of its own.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn acknowledged(&self, ledger: &Ledger) -> Result<Vec<String>, ClientError> {
        self.compare(ledger, Moment::Running).await
    }

    async fn compare(&self, ledger: &Ledger, moment: Moment) -> Result<Vec<String>, ClientError> {
        let mut findings = ledger.anomalies();
        let stock = ledger.stock();
        let skus: Vec<String> = stock.keys().cloned().collect();
        let inventories = self.inventories(&skus, PATIENCE).await?;
        for (sku, inventory) in &inventories {
            let Some(inventory) = inventory else {
                findings.push(gone(sku));
                continue;
            };
            findings.extend(imbalance(inventory));
            let expected = stock[sku];
            if expected.unanswered == 0 && inventory.stocked != expected.units {
                let stocked = inventory.stocked;
                findings.push(format!("{sku}: stocked {stocked}, acknowledged {}", expected.units));
            }
        }
        findings.extend(self.read_back(ledger.entries(), moment).await?);
        Ok(findings)
    }

    /// Checks the books when every request has its answer: what [`Self::acknowledged`] checks, and that the shop
    /// has exactly the acknowledged orders, that their units are the reserved and sold ones, and that money was
    /// taken for sold units alone. What may lag (lists, refunds, provider answers) has until `patience` is over.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn books(&self, ledger: &Ledger, patience: Duration) -> Result<Vec<String>, ClientError> {
        let given_up = ledger.given_up();
        if !given_up.is_empty() {
            return Ok(given_up.into_iter().map(|request| format!("never answered: {request}")).collect());
        }
        let began = Instant::now();
        loop {
            let mut findings = self.compare(ledger, Moment::Settled).await?;
            findings.extend(self.balance(ledger).await?);
            if findings.is_empty() || began.elapsed() >= patience {
                return Ok(findings);
            }
            sleep(RETRY_EVERY).await;
        }
    }

    /// Units that live orders hold and have taken, as the list of all orders shows them, against the inventory.
    async fn balance(&self, ledger: &Ledger) -> Result<Vec<String>, ClientError> {
        let orders = self.all_orders(PATIENCE, |_| {}).await?;
        let known = ledger.entries().into_iter().map(|entry| entry.order.id).collect();
        let mut findings = strangers(&orders, &known);
        let held = held_by(&orders);
        let skus: Vec<String> = ledger.stock().into_keys().collect();
        for (sku, inventory) in self.inventories(&skus, PATIENCE).await? {
            let held = held.get(&sku).copied().unwrap_or_default();
            findings.extend(inventory.as_ref().map_or_else(|| Some(gone(&sku)), |own| mismatch(own, held)));
        }
        Ok(findings)
    }

    async fn read_back(&self, entries: Vec<Entry>, moment: Moment) -> Result<Vec<String>, ClientError> {
        let mut readers = JoinSet::new();
        let share = entries.len().div_ceil(READERS).max(1);
        for entries in entries.chunks(share) {
            let (mut client, entries) = (self.client(), entries.to_vec());
            readers.spawn(async move {
                let mut findings = Vec::new();
                for entry in &entries {
                    findings.extend(read_entry(&mut client, entry, moment, PATIENCE).await?.findings);
                }
                Ok::<_, ClientError>(findings)
            });
        }
        let mut findings = Vec::new();
        while let Some(reader) = readers.join_next().await {
            match reader {
                Ok(found) => findings.extend(found?),
                Err(panic) => findings.push(format!("an auditor died: {panic}")),
            }
        }
        Ok(findings)
    }

    /// The inventories of `skus`, none where the shop knows no such sku; each read is tried until `patience` is over.
    pub(crate) async fn inventories(
        &self,
        skus: &[String],
        patience: Duration,
    ) -> Result<BTreeMap<String, Option<Inventory>>, ClientError> {
        let mut client = self.client();
        let mut inventories = BTreeMap::new();
        for sku in skus {
            let answer = read(&mut client, format!("/api/v1/inventory/{sku}"), patience).await?;
            let inventory = if answer.code() == 404 { None } else { Some(expected(&answer)?.json()?) };
            inventories.insert(sku.clone(), inventory);
        }
        Ok(inventories)
    }

    /// All orders of the shop; `so_far` is told how many are read after each page.
    pub(crate) async fn all_orders(
        &self,
        patience: Duration,
        so_far: impl Fn(usize),
    ) -> Result<Vec<Order>, ClientError> {
        let mut client = self.client();
        let mut orders = Vec::new();
        let mut path = format!("/api/v1/orders?limit={PAGE}");
        loop {
            let answer = read(&mut client, path, patience).await?;
            let page: Page<Order> = expected(&answer)?.json()?;
            orders.extend(page.items);
            so_far(orders.len());
            match page.next_cursor {
                Some(cursor) => path = format!("/api/v1/orders?limit={PAGE}&cursor={cursor}"),
                None => return Ok(orders),
            }
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::staff(self.target.clone(), &self.api_key)
    }
}

async fn read(client: &mut Client, path: String, patience: Duration) -> Result<Answer, ClientError> {
    client.persist(&Request::get(path), patience, |_| {}).await
}

fn expected(answer: &Answer) -> Result<&Answer, ClientError> {
    match answer.code() {
        200 => Ok(answer),
        _ => Err(ClientError::Unexpected(answer.kind())),
    }
}

/// What the shop shows of an acknowledged order.
#[derive(Debug)]
pub(crate) struct ReadBack {
    /// As it is now; `None` if it is lost.
    pub(crate) order: Option<Order>,
    /// What differs from what was acknowledged.
    pub(crate) findings: Vec<String>,
}

/// Reads an acknowledged order and its payment back; each read is tried until `patience` is over.
pub(crate) async fn read_entry(
    client: &mut Client,
    entry: &Entry,
    moment: Moment,
    patience: Duration,
) -> Result<ReadBack, ClientError> {
    let answer = read(client, format!("/api/v1/orders/{}", entry.order.id), patience).await?;
    if answer.code() == 404 {
        return Ok(ReadBack { order: None, findings: vec![lost(entry)] });
    }
    let order: Order = expected(&answer)?.json()?;
    let mut findings = compare_order(entry, &order);
    if let Some(known) = entry.payment() {
        let answer = read(client, format!("/api/v1/payments/{}", known.id), patience).await?;
        if answer.code() == 404 {
            findings.push(format!("payment {} of order {} is lost", known.id, order.id));
        } else {
            findings.extend(compare_payment(entry, known, &expected(&answer)?.json()?, moment));
        }
    }
    Ok(ReadBack { order: Some(order), findings })
}

pub(crate) fn lost(entry: &Entry) -> String {
    format!("order {} is lost (key {})", entry.order.id, entry.key)
}

/// A sku of which the shop knows nothing any more.
pub(crate) fn gone(sku: &str) -> String {
    format!("{sku}: its inventory is lost")
}

/// What is wrong with an inventory by itself.
fn unsound((sku, inventory): (&String, &Option<Inventory>)) -> Option<String> {
    inventory.as_ref().map_or_else(|| Some(gone(sku)), imbalance)
}

pub(crate) fn imbalance(inventory: &Inventory) -> Option<String> {
    let Inventory { sku, stocked, available, reserved, sold } = inventory;
    let whole = *stocked == available + reserved + sold;
    let negative = [stocked, available, reserved, sold].into_iter().any(|units| *units < 0);
    (!whole || negative).then(|| {
        format!("{sku}: stocked {stocked} != available {available} + reserved {reserved} + sold {sold}")
    })
}

/// Units reserved and sold by sku, as orders have them.
pub(crate) fn held_by<'a>(orders: impl IntoIterator<Item = &'a Order>) -> BTreeMap<String, (i64, i64)> {
    let mut held: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for order in orders.into_iter().filter(|order| order.is_live()) {
        for item in &order.items {
            let (reserved, sold) = held.entry(item.sku.clone()).or_default();
            *(if order.is_sold() { sold } else { reserved }) += item.quantity;
        }
    }
    held
}

/// An inventory that has other units reserved and sold than orders do.
pub(crate) fn mismatch(inventory: &Inventory, held: (i64, i64)) -> Option<String> {
    let Inventory { sku, reserved, sold, .. } = inventory;
    let (by_orders, had) = held;
    let differs = (*reserved, *sold) != held;
    differs.then(|| {
        format!("{sku}: {reserved} reserved and {sold} sold, but orders hold {by_orders} and have {had}")
    })
}

/// Orders in the shop that nobody was told about, and orders listed twice.
pub(crate) fn strangers<'a>(
    orders: impl IntoIterator<Item = &'a Order>,
    known: &HashSet<String>,
) -> Vec<String> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    for order in orders {
        *seen.entry(&order.id).or_default() += 1;
    }
    let mut findings = Vec::new();
    for (id, times) in &seen {
        if !known.contains(*id) {
            findings.push(format!("order {id} exists, but no purchase was answered with it"));
        }
        if *times > 1 {
            findings.push(format!("order {id} is listed {times} times"));
        }
    }
    let missing = known.iter().filter(|id| !seen.contains_key(id.as_str()));
    findings.extend(missing.map(|id| format!("order {id} is not in the list of orders")));
    findings
}

pub(crate) fn compare_order(entry: &Entry, now: &Order) -> Vec<String> {
    let known = &entry.order;
    let mut findings = Vec::new();
    let mut differs = |what: &str, known: &dyn std::fmt::Debug, now: &dyn std::fmt::Debug| {
        findings.push(format!("order {}: {what} was acknowledged as {known:?}, is {now:?}", entry.order.id));
    };
    if known.sorted_items() != now.sorted_items() {
        differs("items", &known.items, &now.items);
    }
    let bought: Vec<Wanted> =
        now.items.iter().map(|item| Wanted { sku: item.sku.clone(), quantity: item.quantity }).collect();
    if merged(&bought) != entry.wanted {
        differs("what was asked for", &entry.wanted, &bought);
    }
    if (&known.total, &known.currency) != (&now.total, &now.currency) {
        differs("total", &known.total, &now.total);
    }
    if known.cart_id != now.cart_id {
        differs("cart", &known.cart_id, &now.cart_id);
    }
    if let Some(payment) = entry.payment().filter(|_| entry.is_paid()) {
        if payment.amount != now.total {
            differs("charged amount", &payment.amount, &now.total);
        }
        if now.payment_id.as_ref() != Some(&payment.id) {
            differs("payment", &payment.id, &now.payment_id);
        }
    }
    if !may_be(entry, now) {
        let told = (&entry.settlement, entry.cancellation);
        differs("state", &told, &(&now.status, &now.sub_status));
    }
    findings
}

/// Whether an order may be in the state that it is in now, by what was asked for and acknowledged.
fn may_be(entry: &Entry, now: &Order) -> bool {
    let cancelled = now.status == "cancelled";
    let expired = cancelled && now.sub_status.as_deref() == Some("expired");
    let open = now.status == "created";
    if entry.cancellation == Cancellation::Done {
        return cancelled;
    }
    let by_request = cancelled && entry.cancellation == Cancellation::Asked;
    match &entry.settlement {
        _ if by_request => true,
        Settlement::Answered(payment) if payment.status == "approved" => now.is_sold(),
        Settlement::Answered(payment) if payment.status == "pending" => open || now.is_sold() || cancelled,
        Settlement::Asked => open || now.is_sold() || cancelled,
        Settlement::Refused(_) => cancelled,
        Settlement::Unpaid | Settlement::Answered(_) => open || expired,
    }
}

fn compare_payment(entry: &Entry, known: &Payment, now: &Payment, moment: Moment) -> Vec<String> {
    let mut findings = Vec::new();
    let id = &known.id;
    let same =
        (&known.order_id, &known.amount, &known.currency) == (&now.order_id, &now.amount, &now.currency);
    if !same || now.order_id != entry.order.id {
        findings.push(format!("payment {id}: acknowledged as {known:?}, is {now:?}"));
    }
    let fitting = match (known.status.as_str(), entry.cancellation) {
        ("pending", _) => true,
        ("approved", Cancellation::None) => now.status == "approved",
        ("approved", Cancellation::Done) if moment == Moment::Settled => now.status == "refunded",
        ("approved", _) => matches!(now.status.as_str(), "approved" | "refunded"),
        (status, _) => now.status == status,
    };
    if !fitting {
        let (was, is) = (&known.status, &now.status);
        findings.push(format!("payment {id}: acknowledged as {was}, is {is}, {:?}", entry.cancellation));
    }
    findings
}
