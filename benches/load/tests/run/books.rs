//! The audit of kind `relampago` against the shop in memory: an honest one passes, each fault is found.

use relampago_load::summary::{Exit, Summary};

use crate::running;
use crate::shop::{Fault, Shop};

const SCENARIO: &str = r#"
name = "books"
description = "Three buyers at a time, until nothing is left."

[generate]
key = { kind = "uuid" }
sku = { kind = "uniform", from = 0, to = 1 }
quantity = { kind = "uniform", from = 1, to = 3 }

[answers]
code = "/code"

[[setup]]
name = "create-product"
repeat = 2
request = "POST /api/v1/products"
json = { name = "Bolt", sku = "{{run}}-{{index}}", price = "1.00", stock_quantity = 40 }
record = "stock"

[[flows]]
name = "buyer"

[[flows.steps]]
name = "buy"
request = "POST /api/v1/orders"
headers = { idempotency-key = "{{key}}" }
json = { items = [{ sku = "{{run}}-{{sku}}", quantity = "{{quantity:json}}" }] }
refused = ["409 out_of_stock"]
copies = 2
capture = { order = "/id", total = "/total" }
record = "order"
retry = { on = ["connection lost"], most = 20, wait = "1ms" }

[[flows.steps]]
name = "pay"
request = "POST /api/v1/payments/process"
headers = { idempotency-key = "{{key}}" }
json = { order_id = "{{order}}", amount = "{{total}}", payment_method = "credit_card", token = "tok_approve" }
record = "payment"
retry = { on = ["connection lost"], most = 20, wait = "1ms" }

[load]
mode = "closed"
clients = 3
flows = 60
duration = "30s"
connections = 6

[audit]
kind = "relampago"
patience = "300ms"
"#;

async fn sold(fault: Fault) -> Summary {
    let shop = Shop::open(fault).await;
    let address = shop.address;
    let mut text = SCENARIO.to_owned();
    if matches!(fault, Fault::ForgetEveryNthOrder(_)) {
        // The shop in memory cannot be paid for what it forgot.
        text = text.replace("record = \"payment\"", "record = \"payment\"\nchance = 0.0");
    }
    // The run has a runtime of its own, and the shop answers on this one.
    let summary = tokio::task::spawn_blocking(move || running::run_text(&text, address)).await;
    summary.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_honest_shop_passes() {
    let summary = sold(Fault::None).await;
    assert_eq!(summary.exit(), Exit::Passed, "{summary}");
    assert!(summary.audit.ran && summary.audit.checks.len() >= 5, "{summary}");
    assert!(summary.steps[0].all.refused > 0, "the stock ran out: {summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_that_were_lost_are_asked_for_again() {
    let summary = sold(Fault::LoseEveryNthAnswer(7)).await;
    assert_eq!(summary.exit(), Exit::Passed, "{summary}");
    assert!(
        summary.steps[0].outcomes.iter().any(|outcome| outcome.outcome == "connection lost"),
        "{summary}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_oversell_is_the_first_line_and_the_exit_code() {
    let summary = sold(Fault::Oversell).await;
    assert_eq!(summary.exit(), Exit::AuditFailed, "{summary}");
    assert!(summary.to_string().starts_with("AUDIT FAILED: "), "{summary}");
    failed(&summary, "no unit is sold twice", "too many");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_other_fault_is_found_too() {
    for (fault, check, detail) in [
        (Fault::ForgetKeys, "no key has two orders", "copies of one request got"),
        (Fault::ForgetEveryNthOrder(7), "acknowledged orders are present and equal", "is lost"),
        (Fault::ChangeTotals, "acknowledged orders are present and equal", "total was"),
    ] {
        failed(&sold(fault).await, check, detail);
    }
}

fn failed(summary: &Summary, check: &str, detail: &str) {
    assert_eq!(summary.exit(), Exit::AuditFailed, "{summary}");
    let found = summary.audit.checks.iter().find(|found| found.name == check).unwrap();
    assert!(!found.passed && found.detail.contains(detail), "{summary}");
}
