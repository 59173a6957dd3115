//! The books of a shop with our interface, against what it acknowledged.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::notes::{Answered, Notes, Unanswered};
use crate::audit::{Auditor, Moment, compare_order, held_by, imbalance, mismatch, strangers};
use crate::client::ClientError;
use crate::decimal::Decimal;
use crate::ledger::{Entry, Settlement};
use crate::run::{Caller, find_text};
use crate::summary::document::AuditCheck;
use crate::wire::Order;

const RETRY_EVERY: Duration = Duration::from_millis(200);
/// How long one request of an unanswered purchase may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Orders that are read one by one; of more than these, so many spread over all of them. The list of all orders shows
/// every one in any case.
const MOST_READ: usize = 20_000;
/// Findings that a check tells.
const MOST_TOLD: usize = 5;

/// Audits the books. `alone`: whether no other generator bought in this run, so that every order must be known here.
/// What may lag (lists, refunds, providers) has until `patience` is over.
pub(crate) async fn books(
    auditor: &Auditor,
    notes: &Notes,
    alone: bool,
    patience: Duration,
) -> Vec<AuditCheck> {
    let began = Instant::now();
    let mut unknown = Vec::new();
    for open in notes.take_unanswered() {
        if let Err(problem) = ask_again(auditor, notes, &open, patience).await {
            unknown.push(problem);
        }
    }
    let answered =
        check("every purchase answered", &unknown, "no purchase is left without an answer".to_owned());
    loop {
        let found = examine(auditor, notes, alone && unknown.is_empty()).await;
        let checks = match found {
            Ok(checks) => checks,
            Err(error) => vec![check("the shop can be read", &[error.to_string()], String::new())],
        };
        if checks.iter().all(|check| check.passed) || began.elapsed() >= patience {
            return std::iter::once(answered).chain(checks).collect();
        }
        sleep(RETRY_EVERY).await;
    }
}

/// Sends a purchase again under its key, as its buyer would, until it is known what became of it.
async fn ask_again(
    auditor: &Auditor,
    notes: &Notes,
    open: &Unanswered,
    patience: Duration,
) -> Result<(), String> {
    let began = Instant::now();
    let mut caller = Caller::new(auditor.target.clone());
    loop {
        let problem = match caller.ask(&open.request, false, ANSWER_WITHIN).await {
            Ok((connection, answer)) if answer.status < 500 && answer.status != 429 => {
                let body = connection.body_of(&answer);
                let code = find_text(body, &["code".to_owned()]);
                let told = Answered { status: answer.status, code: code.as_deref(), body, again: false };
                if told.code != Some("idempotency_in_flight") {
                    notes.answered(Some(open.role), &open.request, &told, &mut Vec::new());
                    return Ok(());
                }
                "its key is still in flight".to_owned()
            }
            Ok((_, answer)) => format!("answered {}", answer.status),
            Err(problem) => problem,
        };
        if began.elapsed() >= patience {
            let line = open.request.split(|byte| *byte == b'\r').next().unwrap_or_default();
            return Err(format!("{}: {problem}", String::from_utf8_lossy(line)));
        }
        sleep(RETRY_EVERY).await;
    }
}

/// One look at everything.
async fn examine(auditor: &Auditor, notes: &Notes, alone: bool) -> Result<Vec<AuditCheck>, ClientError> {
    let entries = notes.ledger.entries();
    let stock = notes.ledger.stock();
    let skus: Vec<String> = stock.keys().cloned().collect();
    let inventories = auditor.inventories(&skus).await?;
    let mut orders = auditor.all_orders().await?;
    // The shop may have sold other things before.
    if !skus.is_empty() {
        orders.retain(|order| order.items.iter().any(|item| stock.contains_key(&item.sku)));
    }

    let mut conservation: Vec<String> = inventories.values().filter_map(imbalance).collect();
    for (sku, inventory) in &inventories {
        let put_in = stock[sku].units;
        if inventory.stocked != put_in {
            conservation.push(format!("{sku}: stocked {}, acknowledged {put_in}", inventory.stocked));
        }
    }
    let units: i64 = inventories.values().map(|inventory| inventory.stocked).sum();

    let step = entries.len().div_ceil(MOST_READ).max(1);
    let sample: Vec<Entry> = entries.iter().step_by(step).cloned().collect();
    let read = sample.len();
    let mut present = auditor.read_back(sample, Moment::Settled).await?;
    let listed: HashMap<&str, &Order> = orders.iter().map(|order| (order.id.as_str(), order)).collect();
    if step > 1 {
        let unlike = |entry: &Entry| match listed.get(entry.order.id.as_str()) {
            Some(order) => compare_order(entry, order),
            None => vec![format!("order {} is lost (key {})", entry.order.id, entry.key)],
        };
        present.extend(entries.iter().flat_map(unlike));
    }

    let mut keys = notes.ledger.anomalies();
    keys.extend(notes.anomalies());
    keys.extend(twice_bought(&entries));
    if alone {
        let known = entries.iter().map(|entry| (entry.order.id.clone(), entry.clone())).collect();
        keys.extend(strangers(&orders, &known));
    }

    let held = held_by(&orders);
    let held_of = |sku: &str| held.get(sku).copied().unwrap_or_default();
    let mut sold_twice: Vec<String> =
        inventories.values().filter_map(|inventory| mismatch(inventory, held_of(&inventory.sku))).collect();
    for (sku, put_in) in &stock {
        let (reserved, sold) = held_of(sku);
        if reserved + sold > put_in.units {
            let over = reserved + sold - put_in.units;
            sold_twice.push(format!(
                "{sku}: {} units were there and orders have {}, {over} too many",
                put_in.units,
                reserved + sold
            ));
        }
    }
    let sold: i64 = held.values().map(|(reserved, sold)| reserved + sold).sum();

    let (charged, wrong) = money(&entries, &orders);
    Ok(vec![
        check(
            "conservation",
            &conservation,
            format!("{units} units of {} skus are all accounted for", skus.len()),
        ),
        check(
            "acknowledged orders are present and equal",
            &present,
            format!("{} orders, {read} of them read one by one", entries.len()),
        ),
        check("no key has two orders", &keys, format!("{} keys, one order each", entries.len())),
        check("no unit is sold twice", &sold_twice, format!("orders hold or have {sold} of {units} units")),
        check("paid equals charged", &wrong, charged),
    ])
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

/// What was charged for orders that are sold, and what they cost.
fn money(entries: &[Entry], orders: &[Order]) -> (String, Vec<String>) {
    let mut charged = Decimal::ZERO;
    let mut paid = Decimal::ZERO;
    let mut wrong = Vec::new();
    let known: HashMap<&str, &Entry> = entries.iter().map(|entry| (entry.order.id.as_str(), entry)).collect();
    for order in orders.iter().filter(|order| order.is_sold()) {
        let Some(entry) = known.get(order.id.as_str()) else { continue };
        let Some(payment) = entry.payment() else {
            // A payment that was asked for and never answered may have been taken.
            if entry.settlement != Settlement::Asked {
                wrong.push(format!("order {} is sold, and nobody was told of a payment", order.id));
            }
            continue;
        };
        let (Ok(total), Ok(amount)) = (order.total.parse(), payment.amount.parse()) else {
            wrong.push(format!("order {}: {} or {} is no amount", order.id, order.total, payment.amount));
            continue;
        };
        (paid, charged) = match (paid.checked_add(total), charged.checked_add(amount)) {
            (Some(paid), Some(charged)) => (paid, charged),
            _ => return (String::new(), vec!["the sums are beyond all bounds".to_owned()]),
        };
        if total != amount {
            wrong.push(format!("order {}: {amount} charged for {total}", order.id));
        }
    }
    if paid != charged {
        wrong.push(format!("{charged} charged in all for orders of {paid}"));
    }
    (format!("{charged} charged for orders of {paid}"), wrong)
}

fn check(name: &str, findings: &[String], fine: String) -> AuditCheck {
    let detail = if findings.is_empty() { fine } else { told(findings) };
    AuditCheck { name: name.to_owned(), passed: findings.is_empty(), detail }
}

/// The first of many findings.
pub(super) fn told(findings: &[String]) -> String {
    let shown = findings.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join("; ");
    match findings.len().checked_sub(MOST_TOLD) {
        Some(more) if more > 0 => format!("{shown}; and {more} more"),
        _ => shown,
    }
}
