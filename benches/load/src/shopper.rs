//! One shopper, and one clerk: each a loop over one connection.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::client::Client;
use crate::ledger::{Cancellation, Settlement, Wanted, merged};
use crate::message::{Answer, Request};
use crate::report::Step;
use crate::rng::Rng;
use crate::sale::{Shared, Until};
use crate::wire::{Cart, Order, Payment};

/// A guest who buys again and again.
pub(crate) struct Shopper {
    till: Till,
    rng: Rng,
    /// The most units of each sku that may still be had, as far as this shopper was told.
    wanted: BTreeMap<String, i64>,
}

/// A clerk who changes the stock.
pub(crate) struct Adjuster {
    till: Till,
    rng: Rng,
}

/// A connection whose answers are counted.
struct Till {
    sale: Arc<Shared>,
    client: Client,
    /// Set by the first answer that must not be given, or that was given up: whoever uses this till leaves, so
    /// that a broken server ends a sale instead of spinning it.
    broken: bool,
}

impl Till {
    fn new(sale: Arc<Shared>, client: Client) -> Self {
        Self { sale, client, broken: false }
    }

    fn is_open(&self) -> bool {
        !self.broken && !self.sale.is_over()
    }

    /// Sends a keyed request until it is answered. `None` when it was given up, which is written down.
    async fn ask(&mut self, step: Step, request: &Request) -> Option<Answer> {
        let sale = &self.sale;
        let observe = |attempt: crate::client::Attempt<'_>| sale.report().record(step, &attempt);
        let answer = self.client.persist(request, sale.plan.patience, observe).await;
        match answer {
            Ok(answer) if !answer.asks_for_retry() => Some(answer),
            Ok(answer) => self.give_up(request, &answer.kind()),
            Err(error) => self.give_up(request, &error.to_string()),
        }
    }

    fn give_up(&mut self, request: &Request, why: &str) -> Option<Answer> {
        let key = request.headers.get("idempotency-key").and_then(|key| key.to_str().ok()).unwrap_or("-");
        self.sale.ledger.unanswered(format!("{} {} under {key}: {why}", request.method, request.path));
        self.broken = true;
        None
    }

    /// Writes down an answer that the contract does not know for this request.
    fn surprise(&mut self, request: &Request, answer: &Answer) {
        let body = String::from_utf8_lossy(&answer.body);
        let what = format!("{} {} answered {}: {body}", request.method, request.path, answer.kind());
        self.sale.ledger.anomaly(what);
        self.broken = true;
    }
}

impl Shopper {
    pub(crate) fn new(sale: Arc<Shared>, rng: Rng) -> Self {
        let wanted = sale.plan.skus.iter().map(|sku| (sku.clone(), sale.plan.max_quantity)).collect();
        let client = Client::guest(sale.plan.target.clone());
        Self { till: Till::new(sale, client), rng, wanted }
    }

    /// Buys until there is nothing left to have, or the sale is over.
    pub(crate) async fn shop(mut self) {
        while self.till.is_open() {
            let lines = self.choose();
            if lines.is_empty() {
                break;
            }
            if let Some(order) = self.buy(&lines).await {
                self.decide(&order).await;
            }
        }
    }

    /// One or two lines of what may still be had.
    fn choose(&mut self) -> Vec<Wanted> {
        let mut open: Vec<(String, i64)> = self
            .wanted
            .iter()
            .filter(|(_, most)| **most > 0)
            .map(|(sku, most)| (sku.clone(), *most))
            .collect();
        let lines = if self.rng.percent(self.till.sale.plan.mix.two_skus) { 2 } else { 1 };
        let mut chosen = Vec::new();
        while chosen.len() < lines && !open.is_empty() {
            let index = usize::try_from(self.rng.below(open.len() as u64)).unwrap_or(0);
            let (sku, most) = open.swap_remove(index);
            let quantity = 1 + i64::try_from(self.rng.below(most.unsigned_abs())).unwrap_or(0);
            chosen.push(Wanted { sku, quantity });
        }
        chosen
    }

    /// One purchase, in one step or through a cart; the order, if there is one.
    async fn buy(&mut self, lines: &[Wanted]) -> Option<Order> {
        let (step, request) = if self.rng.percent(self.till.sale.plan.mix.cart) {
            (Step::Checkout, self.fill_cart(lines).await?)
        } else {
            (Step::Buy, Request::post("/api/v1/orders", &json!({ "items": order_lines(lines) })))
        };
        let key = self.rng.key();
        let request = request.key(&key);
        let answer = self.till.ask(step, &request).await?;
        match (answer.code(), answer.problem().as_str()) {
            (201, _) => self.bought(&key, lines, &request, &answer),
            (409, "out_of_stock") => {
                self.till.sale.report().refused += 1;
                self.learn(&answer);
                None
            }
            _ => {
                self.till.surprise(&request, &answer);
                None
            }
        }
    }

    /// Opens a cart and fills it; the request that checks it out.
    async fn fill_cart(&mut self, lines: &[Wanted]) -> Option<Request> {
        let open = Request::post("/api/v1/carts", &json!({})).key(&self.rng.key());
        let answer = self.till.ask(Step::OpenCart, &open).await?;
        let Ok(cart) = answer.json::<Cart>() else {
            self.till.surprise(&open, &answer);
            return None;
        };
        for line in lines {
            let body = json!({ "sku": line.sku, "quantity": line.quantity });
            let add = Request::post(format!("/api/v1/carts/{}/items", cart.id), &body).key(&self.rng.key());
            let answer = self.till.ask(Step::AddItem, &add).await?;
            if answer.code() != 200 {
                self.till.surprise(&add, &answer);
                return None;
            }
        }
        Some(Request::post(format!("/api/v1/carts/{}/checkout", cart.id), &json!({})))
    }

    /// Writes an acknowledged order down.
    fn bought(&mut self, key: &str, lines: &[Wanted], request: &Request, answer: &Answer) -> Option<Order> {
        let Ok(order) = answer.json::<Order>() else {
            self.till.surprise(request, answer);
            return None;
        };
        self.till.sale.ledger.ordered(key, merged(lines), order.clone());
        self.till.sale.report().orders += 1;
        Some(order)
    }

    /// Takes in what a refusal says is left. Who waits for a restock hopes on.
    fn learn(&mut self, refusal: &Answer) {
        if self.till.sale.plan.until == Until::Stopped {
            return;
        }
        let body: Value = refusal.json().unwrap_or_default();
        for item in body["items"].as_array().into_iter().flatten() {
            let (Some(sku), Some(available)) = (item["sku"].as_str(), item["available"].as_i64()) else {
                continue;
            };
            if let Some(most) = self.wanted.get_mut(sku) {
                *most = available.clamp(0, self.till.sale.plan.max_quantity);
            }
        }
    }

    /// Pays, cancels, both or neither.
    async fn decide(&mut self, order: &Order) {
        let mix = self.till.sale.plan.mix;
        if self.rng.percent(mix.pay) {
            self.pay(order).await;
        }
        if self.rng.percent(mix.cancel) {
            self.cancel(order).await;
        }
    }

    async fn pay(&mut self, order: &Order) {
        let token = self.rng.pick(&self.till.sale.plan.tokens).map_or("tok_approve", String::as_str);
        let body = json!({
            "order_id": order.id, "amount": order.total, "payment_method": "credit_card", "token": token,
        });
        let request = Request::post("/api/v1/payments/process", &body).key(&self.rng.key());
        self.till.sale.ledger.settle(&order.id, Settlement::Asked);
        let Some(answer) = self.till.ask(Step::Pay, &request).await else { return };
        let payment = match answer.code() {
            201 => answer.json::<Payment>(),
            402 => answer.json::<Declined>().map(|declined| declined.payment),
            // An order that expired meanwhile is refused, and not charged.
            410 => return self.till.sale.ledger.settle(&order.id, Settlement::Refused(answer.problem())),
            _ => return self.till.surprise(&request, &answer),
        };
        match payment {
            Ok(payment) => self.till.sale.ledger.settle(&order.id, Settlement::Answered(payment)),
            Err(_) => self.till.surprise(&request, &answer),
        }
    }

    async fn cancel(&mut self, order: &Order) {
        let path = format!("/api/v1/orders/{}/cancel", order.id);
        let request = Request::post(path, &json!({})).key(&self.rng.key());
        self.till.sale.ledger.cancel(&order.id, Cancellation::Asked);
        let Some(answer) = self.till.ask(Step::Cancel, &request).await else { return };
        let result = match (answer.code(), answer.problem().as_str()) {
            (200, _) => Cancellation::Done,
            // The payment is still open at the provider, or the order expired first.
            (409, "payment_in_progress" | "order_not_cancellable") => Cancellation::None,
            _ => return self.till.surprise(&request, &answer),
        };
        self.till.sale.ledger.cancel(&order.id, result);
    }
}

impl Adjuster {
    pub(crate) fn new(sale: Arc<Shared>, rng: Rng) -> Self {
        let client = Client::staff(sale.plan.target.clone(), &sale.plan.api_key);
        Self { till: Till::new(sale, client), rng }
    }

    /// Adds and takes away one or two units at a time until the sale is over.
    pub(crate) async fn adjust(mut self) {
        while self.till.is_open() {
            let Some(sku) = self.rng.pick(&self.till.sale.plan.skus).cloned() else { return };
            let units =
                [-2, -1, 1, 2][usize::from(self.rng.percent(50)) * 2 + usize::from(self.rng.percent(50))];
            let path = format!("/api/v1/inventory/{sku}/adjustments");
            let request = Request::post(path, &json!({ "delta": units, "reason": "stock-taking" }))
                .key(&self.rng.key());
            self.till.sale.ledger.adjusting(&sku);
            let Some(answer) = self.till.ask(Step::Adjust, &request).await else { return };
            match (answer.code(), answer.problem().as_str()) {
                (200, _) => self.till.sale.ledger.adjusted(&sku, units),
                (409, "insufficient_stock") => self.till.sale.ledger.adjusted(&sku, 0),
                _ => return self.till.surprise(&request, &answer),
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Declined {
    payment: Payment,
}

fn order_lines(lines: &[Wanted]) -> Value {
    lines.iter().map(|line| json!({ "sku": line.sku, "quantity": line.quantity })).collect()
}
