//! What a run writes down for its audit.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use crate::ledger::{Cancellation, Ledger, Settlement, Wanted, merged};
use crate::run::{Outages, find_text};
use crate::scenario::model::{Role, Step};
use crate::scenario::template::{Slot, Values};
use crate::wire::{Order, Payment};

/// An answer, as far as an audit cares.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    pub(crate) status: u16,
    pub(crate) code: Option<&'a str>,
    pub(crate) body: &'a [u8],
    /// Whether the request is going to be sent again.
    pub(crate) again: bool,
}

/// A request whose outcome nobody was told.
#[derive(Clone, Debug)]
pub(crate) struct Unanswered {
    pub(crate) role: Role,
    /// The whole request, as it was sent.
    pub(crate) request: Vec<u8>,
}

/// The values that one success of a step kept.
pub(crate) type Kept = Vec<(Slot, String)>;

/// The notes of all threads.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    pub(crate) ledger: Ledger,
    pub(crate) outages: Outages,
    replayed: AtomicU64,
    open: Mutex<Vec<Unanswered>>,
    kept: Mutex<HashMap<String, Vec<Kept>>>,
    anomalies: Mutex<Vec<String>>,
}

impl Notes {
    /// Before a request leaves: it may be carried out from now on.
    pub(crate) fn asking(&self, role: Option<Role>, request: &[u8]) {
        match role {
            Some(Role::Payment) => {
                if let Some(order) = text_in(body_of(request), "order_id") {
                    self.ledger.paying(&order);
                }
            }
            Some(Role::Cancel) => {
                if let Some(order) = order_in_path(request) {
                    self.ledger.cancelling(&order);
                }
            }
            _ => {}
        }
    }

    /// An answer came.
    pub(crate) fn answered(
        &self,
        role: Option<Role>,
        request: &[u8],
        answer: &Answered<'_>,
        cart: &mut Vec<Wanted>,
    ) {
        let Some(role) = role else { return };
        let unknown = answer.status >= 500 || answer.code == Some("idempotency_in_flight");
        match role {
            // The server says that it cannot say.
            _ if unknown && answer.again => {}
            _ if unknown => self.unanswered(Some(role), request),
            Role::Stock if answer.status < 300 => self.stocked(request),
            Role::Cart if answer.status < 300 => *cart = lines_of(answer.body),
            Role::Order if answer.status < 300 => self.ordered(request, answer.body, cart),
            Role::Payment => self.paid(request, answer),
            Role::Cancel if answer.status < 300 => self.cancelled(request, Cancellation::Done),
            Role::Cancel => self.cancelled(request, Cancellation::None),
            Role::Stock | Role::Cart | Role::Order => {}
        }
    }

    /// No answer came, and nobody asks again.
    pub(crate) fn unanswered(&self, role: Option<Role>, request: &[u8]) {
        // What is asked for payments and cancellations stands in the ledger; carts sell nothing.
        if let Some(role @ (Role::Order | Role::Stock)) = role {
            locked(&self.open).push(Unanswered { role, request: request.to_owned() });
        }
    }

    /// Requests whose outcome nobody was told, since this was asked last.
    pub(crate) fn take_unanswered(&self) -> Vec<Unanswered> {
        std::mem::take(&mut *locked(&self.open))
    }

    /// A request that was sent for the first time was answered as one of an earlier run.
    pub(crate) fn replayed(&self) {
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }

    /// How often that was.
    pub(crate) fn replays(&self) -> u64 {
        self.replayed.load(Ordering::Relaxed)
    }

    /// Answers that must never be given.
    pub(crate) fn anomaly(&self, what: String) {
        locked(&self.anomalies).push(what);
    }

    /// All of them.
    pub(crate) fn anomalies(&self) -> Vec<String> {
        locked(&self.anomalies).clone()
    }

    /// Keeps the values that a step wants kept.
    pub(crate) fn keep(&self, step: &Step, values: &Values) {
        let of_step = values.iter().filter(|(slot, _)| step.keep.contains(slot));
        let kept = of_step.map(|(slot, value)| (slot, String::from_utf8_lossy(value).into_owned())).collect();
        locked(&self.kept).entry(step.name.clone()).or_default().push(kept);
    }

    /// What a step kept, one entry for each success.
    pub(crate) fn kept_by(&self, step: &str) -> Vec<Kept> {
        locked(&self.kept).get(step).cloned().unwrap_or_default()
    }

    fn stocked(&self, request: &[u8]) {
        let body: Value = serde_json::from_slice(body_of(request)).unwrap_or_default();
        if let (Some(sku), Some(units)) = (body["sku"].as_str(), body["stock_quantity"].as_i64()) {
            self.ledger.stocked(sku, units);
        }
    }

    fn ordered(&self, request: &[u8], body: &[u8], cart: &mut Vec<Wanted>) {
        let Ok(order) = serde_json::from_slice::<Order>(body) else {
            self.anomaly(format!("an order was answered as {}", String::from_utf8_lossy(body)));
            return;
        };
        let key = header_in(request, "idempotency-key").unwrap_or_default();
        let asked = lines_of(body_of(request));
        let wanted = match (asked.is_empty(), cart.is_empty()) {
            (false, _) => merged(&asked),
            (true, false) => merged(&std::mem::take(cart)),
            (true, true) => merged(&order_lines(&order)),
        };
        self.ledger.ordered(&key, wanted, order);
    }

    fn paid(&self, request: &[u8], answer: &Answered<'_>) {
        let Some(order) = text_in(body_of(request), "order_id") else { return };
        let declined = || {
            let problem: Value = serde_json::from_slice(answer.body).ok()?;
            serde_json::from_value(problem.get("payment")?.clone()).ok()
        };
        let payment: Option<Payment> = match answer.status {
            200..=299 => serde_json::from_slice(answer.body).ok(),
            402 => declined(),
            _ => None,
        };
        let settlement = match (payment, answer.status, answer.code) {
            (Some(payment), ..) => Settlement::Answered(payment),
            // An order that expired or was cancelled meanwhile is not charged.
            (None, 410, code) | (None, _, code @ Some("order_not_payable")) => {
                Settlement::Refused(code.unwrap_or_default().to_owned())
            }
            // Another try is under way, or was faster.
            (None, _, Some("payment_in_progress" | "already_paid")) => return,
            (None, ..) => Settlement::Unpaid,
        };
        self.ledger.paid(&order, settlement);
    }

    fn cancelled(&self, request: &[u8], how: Cancellation) {
        if let Some(order) = order_in_path(request) {
            self.ledger.cancel(&order, how);
        }
    }
}

/// The body of a request as it was sent.
pub(crate) fn body_of(request: &[u8]) -> &[u8] {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n");
    end.and_then(|end| request.get(end + 4..)).unwrap_or_default()
}

/// A header of a request as it was sent.
fn header_in(request: &[u8], name: &str) -> Option<String> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut parsed = httparse::Request::new(&mut headers);
    parsed.parse(request).ok()?;
    let header = parsed.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
    Some(String::from_utf8_lossy(header.value).into_owned())
}

/// `/api/v1/orders/ID/cancel`.
fn order_in_path(request: &[u8]) -> Option<String> {
    let line = request.split(|byte| *byte == b'\r').next()?;
    let path = std::str::from_utf8(line).ok()?.split(' ').nth(1)?;
    let (_, after) = path.split_once("/orders/")?;
    after.split('/').next().map(str::to_owned)
}

fn text_in(body: &[u8], field: &str) -> Option<String> {
    find_text(body, &[field.to_owned()]).map(Into::into)
}

/// The lines of a request or a cart, if every one names its sku.
fn lines_of(body: &[u8]) -> Vec<Wanted> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let line = |line: &Value| {
        Some(Wanted { sku: line["sku"].as_str()?.to_owned(), quantity: line["quantity"].as_i64()? })
    };
    let lines = body["items"].as_array().map(|lines| lines.iter().map(line).collect::<Option<Vec<_>>>());
    lines.flatten().unwrap_or_default()
}

fn order_lines(order: &Order) -> Vec<Wanted> {
    order.items.iter().map(|line| Wanted { sku: line.sku.clone(), quantity: line.quantity }).collect()
}

/// A panic of another thread leaves whole entries behind.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
