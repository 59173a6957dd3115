//! A flash sale: a closed loop of shoppers who buy, pay and change their minds until the stock is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::client::{Client, ClientError};
use crate::ledger::Ledger;
use crate::message::Request;
use crate::report::Report;
use crate::rng::Rng;
use crate::shopper::{Adjuster, Shopper};
use crate::target::Target;
use crate::wire::Product;

const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// When shoppers leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Each shopper leaves when no unit of any sku on sale is available to them.
    SoldOut,
    /// They try on, sold out or not, until the sale is stopped.
    Stopped,
    /// They leave when together they have this many orders, or the stock is gone.
    Orders(u64),
}

/// What shoppers do, in percent of the cases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Purchases that go through a cart (open, add, check out); the rest buy in one request.
    pub cart: u8,
    /// Purchases of two skus.
    pub two_skus: u8,
    /// Orders that are paid.
    pub pay: u8,
    /// Orders that are cancelled, whether paid or not.
    pub cancel: u8,
}

/// A sale to run.
#[derive(Clone, Debug)]
pub struct SalePlan {
    /// The server.
    pub target: Target,
    /// What is on sale.
    pub skus: Vec<String>,
    /// Shoppers, one connection each.
    pub shoppers: usize,
    /// Clerks who add and take away a unit or two all the time; they need `api_key`.
    pub adjusters: usize,
    /// The shop's credential, for adjusters alone; shoppers are guests.
    pub api_key: String,
    /// What shoppers do.
    pub mix: Mix,
    /// Most units in a line of an order.
    pub max_quantity: i64,
    /// Card tokens, drawn with equal chances for each payment.
    pub tokens: Vec<String>,
    /// When shoppers leave.
    pub until: Until,
    /// How long one request is sent again before it is given up.
    pub patience: Duration,
    /// Decides every choice and every key, so it must be new for every sale on the same data.
    pub seed: u64,
}

/// How a running sale stands.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the start.
    pub elapsed: Duration,
    /// Orders acknowledged.
    pub orders: u64,
    /// Purchases refused with 409.
    pub refused: u64,
    /// Requests that got no answer and were sent again.
    pub lost: u64,
    /// Orders a second since the last report of progress.
    pub orders_per_second: f64,
    /// 99th percentile of the steps that place an order.
    pub p99: Duration,
}

/// A sale: its plan, its ledger and its counts.
#[derive(Clone, Debug)]
pub struct Sale {
    pub(crate) shared: Arc<Shared>,
}

/// What all shoppers of a sale share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) plan: SalePlan,
    pub(crate) ledger: Ledger,
    report: Mutex<Report>,
    stopped: AtomicBool,
}

impl Sale {
    /// A sale that writes to `ledger`, which may hold earlier sales on the same data.
    pub fn new(plan: SalePlan, ledger: Ledger) -> Self {
        let report = Mutex::default();
        Self { shared: Arc::new(Shared { plan, ledger, report, stopped: AtomicBool::new(false) }) }
    }

    /// Lets every shopper finish the request in hand and leave.
    pub fn stop(&self) {
        self.shared.stopped.store(true, Ordering::Relaxed);
    }

    /// The counts so far.
    pub fn report(&self) -> Report {
        self.shared.report().clone()
    }

    /// Runs the sale to its end, reporting progress about every 250 ms.
    pub async fn run(&self, mut progress: impl FnMut(Progress)) -> Report {
        let began = Instant::now();
        let mut seeds = Rng::new(self.shared.plan.seed);
        let mut people = JoinSet::new();
        for _ in 0..self.shared.plan.shoppers {
            people.spawn(Shopper::new(Arc::clone(&self.shared), seeds.fork()).shop());
        }
        let mut clerks = JoinSet::new();
        for _ in 0..self.shared.plan.adjusters {
            clerks.spawn(Adjuster::new(Arc::clone(&self.shared), seeds.fork()).adjust());
        }
        self.watch(&mut people, began, &mut progress).await;
        self.stop();
        while clerks.join_next().await.is_some() {}
        progress(self.progress(began.elapsed(), None));
        self.report()
    }

    /// Returns when all shoppers have left.
    async fn watch(&self, people: &mut JoinSet<()>, began: Instant, progress: &mut impl FnMut(Progress)) {
        let mut ticks = interval(PROGRESS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last: Option<Progress> = None;
        loop {
            tokio::select! {
                left = people.join_next() => match left {
                    None => break,
                    Some(Ok(())) => {}
                    Some(Err(panic)) => self.shared.ledger.anomaly(format!("a shopper died: {panic}")),
                },
                _ = ticks.tick() => {
                    let now = self.progress(began.elapsed(), last);
                    last = Some(now);
                    progress(now);
                }
            }
        }
    }

    fn progress(&self, elapsed: Duration, last: Option<Progress>) -> Progress {
        let mut report = self.shared.report();
        report.elapsed = elapsed;
        let (since, before) = last.map_or((Duration::ZERO, 0), |last| (last.elapsed, last.orders));
        let window = elapsed.saturating_sub(since).as_secs_f64().max(f64::EPSILON);
        Progress {
            elapsed,
            orders: report.orders,
            refused: report.refused,
            lost: report.lost,
            orders_per_second: (report.orders - before) as f64 / window,
            p99: report.purchase_latency(99.0),
        }
    }
}

impl Shared {
    /// Whether shoppers should leave.
    pub(crate) fn is_over(&self) -> bool {
        let enough = match self.plan.until {
            Until::Orders(orders) => self.report().orders >= orders,
            Until::SoldOut | Until::Stopped => false,
        };
        enough || self.stopped.load(Ordering::Relaxed)
    }

    /// The counts. A panic of a shopper leaves them whole, so a poisoned lock is taken all the same.
    pub(crate) fn report(&self) -> MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts a new product on sale with `units` in stock and writes it to the ledger. `price` is a decimal string.
///
/// # Errors
/// Whatever the client meets, and [`ClientError::Unexpected`] if the shop refuses.
pub async fn stock(
    staff: &mut Client,
    ledger: &Ledger,
    sku: &str,
    price: &str,
    units: i64,
) -> Result<Product, ClientError> {
    let body = json!({ "name": sku, "sku": sku, "price": price, "stock_quantity": units });
    let answer = staff.send(&Request::post("/api/v1/products", &body)).await?;
    if answer.code() != 201 {
        return Err(ClientError::Unexpected(answer.kind()));
    }
    ledger.stocked(sku, units);
    answer.json()
}
