//! The books of a shop with our interface, against what it acknowledged to one generator.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::asking::ask_again;
use super::notes::Notes;
use super::whole::{FIRST_PAUSE, Known, LONGEST_PAUSE, NAMES, Whole, patience, unanswered};
use super::{Ended, Far, Obstacle, Scope, check, unjudged};
use crate::audit::{Auditor, Moment, READERS, ReadBack, compare_order, lost, read_entry};
use crate::client::ClientError;
use crate::decimal::Decimal;
use crate::ledger::{Entry, Settlement};
use crate::run::AuditProgress;
use crate::summary::document::{Audit, AuditCheck, PartLedger};
use crate::wire::Order;

const ANSWERED: &str = "every purchase answered";
const PRESENT: &str = "acknowledged orders are present and equal";
const KEYS: &str = "no key has two orders";
const PAID: &str = "paid equals charged";

/// Orders that are read one by one; of more than these, so many spread over all of them. The rest is looked up in the
/// list of all orders.
const MOST_READ: usize = 20_000;

/// The audit of what one generator knows, and, where it bought alone, of the whole shop.
#[derive(Debug)]
pub(crate) struct Books {
    auditor: Auditor,
    notes: Arc<Notes>,
    scope: Scope,
    patience: Duration,
    far: Far,
    /// Purchases that are left without an answer.
    unknown: Vec<String>,
    entries: Vec<Entry>,
    /// What is known of each of `entries`.
    seen: Vec<Seen>,
    whole: Option<Whole>,
}

/// What the shop shows of an acknowledged order.
#[derive(Clone, Debug, Default)]
struct Seen {
    read: bool,
    /// Its total, if it is sold.
    sold: Option<String>,
    findings: Vec<String>,
}

impl Books {
    /// What may lag (lists, refunds, providers) has until `patience` is over, all of it together.
    pub(crate) fn new(
        auditor: Auditor,
        notes: Arc<Notes>,
        scope: Scope,
        patience: Duration,
        far: Far,
    ) -> Self {
        let (entries, seen, unknown) = (Vec::new(), Vec::new(), Vec::new());
        Self { auditor, notes, scope, patience, far, unknown, entries, seen, whole: None }
    }

    /// Asks again for what nobody answered, looks at everything, and then again at what is not as it should be.
    pub(crate) async fn settle(&mut self) -> Result<(), Obstacle> {
        let answered = Instant::now() + self.patience;
        let open = self.notes.take_unanswered();
        self.unknown = vec!["nobody asked again".to_owned(); open.len()];
        self.unknown = ask_again(&self.auditor.target, &self.notes, open, answered, &self.far).await;
        self.entries = self.notes.ledger.entries();
        self.seen = vec![Seen::default(); self.entries.len()];
        self.look(answered).await?;
        let until = Instant::now() + self.patience;
        let mut pause = FIRST_PAUSE;
        while self.is_unsettled() && Instant::now() < until {
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            self.look_again(until).await?;
        }
        Ok(())
    }

    /// The first look at everything. `until`: when an absent server has been waited for long enough.
    async fn look(&mut self, until: Instant) -> Result<(), Obstacle> {
        let step = self.entries.len().div_ceil(MOST_READ).max(1);
        if self.scope == Scope::Whole {
            let mut whole = Whole::new(self.auditor.clone(), self.known(), until, self.far.clone());
            let looked = whole.look().await;
            self.whole = Some(whole);
            looked?;
        }
        if step > 1 {
            self.look_up(step, until).await?;
        }
        self.read((0..self.entries.len()).step_by(step).collect(), until).await
    }

    /// Looks at what was not as it should be.
    async fn look_again(&mut self, until: Instant) -> Result<(), Obstacle> {
        let unsettled = self.unsettled();
        self.far.send_modify(|progress| progress.waits = Some(unsettled.len() as u64));
        self.read(unsettled, until).await?;
        match &mut self.whole {
            Some(whole) => whole.look_again().await,
            None => Ok(()),
        }
    }

    fn unsettled(&self) -> Vec<usize> {
        (0..).zip(&self.seen).filter(|(_, seen)| !seen.findings.is_empty()).map(|(index, _)| index).collect()
    }

    fn is_unsettled(&self) -> bool {
        !self.unsettled().is_empty() || self.whole.as_ref().is_some_and(Whole::is_unsettled)
    }

    /// What this generator knows, as if it had bought alone.
    fn known(&self) -> Known {
        let replays = self.notes.replays();
        let unknown = self.unknown.len() as u64;
        let others = match (unknown, replays) {
            (0, 0) => None,
            (0, _) => Some("an earlier run with the same names and keys bought too".to_owned()),
            _ => Some(unanswered(unknown)),
        };
        let stock = self.notes.ledger.stock().into_iter().map(|(sku, stock)| (sku, stock.units)).collect();
        Known { stock, orders: self.entries.iter().map(|entry| entry.order.id.clone()).collect(), others }
    }

    /// Compares the entries that are not read one by one with the list of all orders.
    async fn look_up(&mut self, step: usize, until: Instant) -> Result<(), Obstacle> {
        let listed: Vec<Order> = match &self.whole {
            Some(whole) => whole.orders().to_vec(),
            None => self.auditor.all_orders(patience(until), |_| {}).await?,
        };
        let listed: HashMap<&str, &Order> = listed.iter().map(|order| (order.id.as_str(), order)).collect();
        for (index, entry) in self.entries.iter().enumerate().filter(|(index, _)| index % step != 0) {
            let order = listed.get(entry.order.id.as_str());
            self.seen[index] = match order {
                Some(order) => Seen::of(Some(order), compare_order(entry, order)),
                None => Seen::of(None, vec![lost(entry)]),
            };
        }
        Ok(())
    }

    /// Reads these entries one by one, several at a time.
    async fn read(&mut self, which: Vec<usize>, until: Instant) -> Result<(), Obstacle> {
        let of = Some(which.len() as u64);
        self.far.send_modify(|progress| {
            *progress = AuditProgress { what: "acknowledged orders", done: 0, of, ..*progress };
        });
        let (tell, mut told) = mpsc::channel(READERS);
        let entries: Vec<(usize, Entry)> =
            which.into_iter().map(|index| (index, self.entries[index].clone())).collect();
        let (entries, next) = (Arc::new(entries), Arc::new(AtomicUsize::new(0)));
        let mut readers = JoinSet::new();
        for _ in 0..READERS.min(entries.len()) {
            let (auditor, entries, next) = (self.auditor.clone(), Arc::clone(&entries), Arc::clone(&next));
            readers.spawn(read_in_turn(auditor, entries, next, until, tell.clone()));
        }
        drop(tell);
        while let Some((index, read)) = told.recv().await {
            let ReadBack { order, findings } = read?;
            self.seen[index] = Seen::of(order.as_ref(), findings);
            self.far.send_modify(|progress| progress.done += 1);
        }
        Ok(())
    }

    /// What a later audit of the whole needs to know.
    pub(crate) fn ledger(&self) -> PartLedger {
        let Known { stock, orders, .. } = self.known();
        let mut orders: Vec<String> = orders.into_iter().collect();
        orders.sort_unstable();
        PartLedger {
            stock,
            orders,
            unanswered: self.unknown.len() as u64,
            patience_s: self.patience.as_secs_f64(),
            steps: None,
        }
    }

    /// What was found, however far the audit came.
    pub(crate) fn verdict(&self, ended: &Ended) -> Audit {
        let (state, reason) = ended.state(self.scope, &self.far);
        // What came from the answers alone is known, however far the audit came.
        let checks = match ended {
            Ended::Judged => {
                let mut checks = vec![self.answered(), self.present(), self.keys(), self.paid()];
                checks.extend(self.of_whole());
                checks
            }
            Ended::CutShort | Ended::Obstacle(_) => {
                let rest = [ANSWERED, PRESENT, PAID].into_iter().chain(NAMES);
                let rest = rest.map(|name| unjudged(name, "the audit did not come to its end"));
                std::iter::once(self.keys()).chain(rest).collect()
            }
        };
        Audit { state, reason, checks }
    }

    fn answered(&self) -> AuditCheck {
        check(ANSWERED, &self.unknown, "no purchase is left without an answer".to_owned())
    }

    fn present(&self) -> AuditCheck {
        let mut findings: Vec<String> = self.seen.iter().flat_map(|seen| seen.findings.clone()).collect();
        let unread = self.seen.iter().filter(|seen| !seen.read).count();
        if unread > 0 {
            findings.push(format!("{unread} orders could not be looked at"));
        }
        check(PRESENT, &findings, format!("{} orders", self.entries.len()))
    }

    fn keys(&self) -> AuditCheck {
        let entries = self.notes.ledger.entries();
        let mut findings = self.notes.ledger.anomalies();
        findings.extend(self.notes.anomalies());
        findings.extend(twice_bought(&entries));
        check(KEYS, &findings, format!("{} keys, one order each", entries.len()))
    }

    fn paid(&self) -> AuditCheck {
        let sold = self.entries.iter().zip(&self.seen);
        let (charged, wrong) = money(sold.filter_map(|(entry, seen)| Some((entry, seen.sold.as_deref()?))));
        check(PAID, &wrong, charged)
    }

    fn of_whole(&self) -> Vec<AuditCheck> {
        match &self.whole {
            Some(whole) => whole.checks(),
            None => {
                NAMES.map(|name| unjudged(name, "the whole is looked at when the parts are merged")).into()
            }
        }
    }
}

impl Seen {
    fn of(order: Option<&Order>, findings: Vec<String>) -> Self {
        let sold = order.filter(|order| order.is_sold()).map(|order| order.total.clone());
        Self { read: true, sold, findings }
    }
}

/// Reads the next entry that nobody else reads, until there is none.
async fn read_in_turn(
    auditor: Auditor,
    entries: Arc<Vec<(usize, Entry)>>,
    next: Arc<AtomicUsize>,
    until: Instant,
    tell: mpsc::Sender<(usize, Result<ReadBack, ClientError>)>,
) {
    let mut client = auditor.client();
    while let Some((index, entry)) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
        let read = read_entry(&mut client, entry, Moment::Settled, patience(until)).await;
        let failed = read.is_err();
        if tell.send((*index, read)).await.is_err() || failed {
            return;
        }
    }
}

/// Keys that were answered with more than one order.
fn twice_bought(entries: &[Entry]) -> Vec<String> {
    let mut orders: HashMap<&str, Vec<&str>> = HashMap::new();
    for entry in entries.iter().filter(|entry| !entry.key.is_empty()) {
        orders.entry(&entry.key).or_default().push(&entry.order.id);
    }
    let several = orders.into_iter().filter(|(_, orders)| orders.len() > 1);
    several.map(|(key, orders)| format!("key {key} has the orders {}", orders.join(", "))).collect()
}

/// What was charged for orders that are sold, and what they cost; each order with its total.
fn money<'a>(sold: impl Iterator<Item = (&'a Entry, &'a str)>) -> (String, Vec<String>) {
    let mut charged = Decimal::ZERO;
    let mut paid = Decimal::ZERO;
    let mut wrong = Vec::new();
    for (entry, total) in sold {
        let id = &entry.order.id;
        let Some(payment) = entry.payment() else {
            // A payment that was asked for and never answered may have been taken.
            if entry.settlement != Settlement::Asked {
                wrong.push(format!("order {id} is sold, and nobody was told of a payment"));
            }
            continue;
        };
        let (Ok(total), Ok(amount)) = (total.parse(), payment.amount.parse()) else {
            wrong.push(format!("order {id}: {total} or {} is no amount", payment.amount));
            continue;
        };
        (paid, charged) = match (paid.checked_add(total), charged.checked_add(amount)) {
            (Some(paid), Some(charged)) => (paid, charged),
            _ => return (String::new(), vec!["the sums are beyond all bounds".to_owned()]),
        };
        if total != amount {
            wrong.push(format!("order {id}: {amount} charged for {total}"));
        }
    }
    if paid != charged {
        wrong.push(format!("{charged} charged in all for orders of {paid}"));
    }
    (format!("{charged} charged for orders of {paid}"), wrong)
}
