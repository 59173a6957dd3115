//! The audit of kind `relampago` against the shop in memory: an honest one passes, each fault is found.

use std::time::{Duration, Instant};

use relampago_load::Target;
use relampago_load::audit::Auditor;
use relampago_load::run::{Options, Progress, Stop, audit_whole};
use relampago_load::scenario::generator::Part;
use relampago_load::summary::document::AuditState;
use relampago_load::summary::{Exit, Missing, Summary};
use tokio::sync::watch;

use crate::running;
use crate::shop::{Fault, Shop};

pub(crate) const SCENARIO: &str = r#"
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
    run(text(fault), running::options(shop.address), |_, _| {}).await
}

fn text(fault: Fault) -> String {
    if matches!(fault, Fault::ForgetEveryNthOrder(_)) {
        // The shop in memory cannot be paid for what it forgot.
        return SCENARIO.replace("record = \"payment\"", "record = \"payment\"\nchance = 0.0");
    }
    SCENARIO.to_owned()
}

async fn run(
    text: String,
    options: Options,
    progress: impl Fn(&Progress, &watch::Sender<Stop>) + Send + 'static,
) -> Summary {
    // The run has a runtime of its own, and the shop answers on this one.
    tokio::task::spawn_blocking(move || running::run_with(&text, options, progress)).await.unwrap()
}

/// The reports of two generators, one after the other: what one of them knows is no more than its own part.
async fn parts(shop: &Shop, fault: Fault) -> [Summary; 2] {
    let both = Options { part: Part { index: 0, of: 2 }, ..running::options(shop.address) };
    let first = run(text(fault), both.clone(), |_, _| {}).await;
    let second = Options { part: Part { index: 1, of: 2 }, ..both };
    let mut second = run(text(fault), second, |_, _| {}).await;
    second.run.started.clone_from(&first.run.started);
    [first, second]
}

async fn whole(shop: &Shop, parts: &[Summary]) -> Summary {
    let merged = Summary::merge(parts, Missing::Refuse).unwrap();
    let auditor = Auditor { target: Target::new(shop.address), api_key: running::STAFF.to_owned() };
    let (_stop, stopped) = watch::channel(Stop::No);
    audit_whole(merged, auditor, stopped, |_| {}).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_honest_shop_passes() {
    let summary = sold(Fault::None).await;
    assert_eq!(summary.exit(), Exit::Passed, "{summary}");
    assert!(summary.audit.balances() && summary.audit.checks.len() == 7, "{summary}");
    assert!(summary.audit.checks.iter().all(|check| check.passed == Some(true)), "{summary}");
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
        (Fault::ForgetStock, "conservation", "its inventory is lost"),
        (Fault::ChangeTotals, "acknowledged orders are present and equal", "total was"),
    ] {
        failed(&sold(fault).await, check, detail);
    }
}

fn failed(summary: &Summary, check: &str, detail: &str) {
    assert_eq!(summary.exit(), Exit::AuditFailed, "{summary}");
    let found = summary.audit.checks.iter().find(|found| found.name == check).unwrap();
    assert!(found.passed == Some(false) && found.detail.contains(detail), "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn several_generators_judge_what_they_know_and_the_whole_is_judged_when_they_are_merged() {
    let shop = Shop::open(Fault::None).await;
    let parts = parts(&shop, Fault::None).await;
    for part in &parts {
        assert!(part.audit.state == AuditState::Part && !part.audit.failed(), "{part}");
        let judged = |name: &str| part.audit.checks.iter().find(|check| check.name == name).unwrap().passed;
        assert_eq!(judged("acknowledged orders are present and equal"), Some(true), "{part}");
        assert_eq!([judged("conservation"), judged("no unit is sold twice")], [None, None], "{part}");
    }
    assert_eq!(Summary::merge(&parts, Missing::Refuse).unwrap().exit(), Exit::NotAudited);
    let one = Summary::merge(&parts[..1], Missing::Mark).unwrap();
    assert!(one.exit() == Exit::Invalid && one.to_string().contains("part 2 of 2 is missing"), "{one}");
    let whole_run = whole(&shop, &parts).await;
    assert!(whole_run.audit.balances(), "{whole_run}");
    assert!(whole_run.audit.checks.iter().all(|check| check.passed == Some(true)), "{whole_run}");
    assert!(whole_run.ledger.is_none(), "it is told no further");

    // An order that is in nobody's ledger is found by nobody but the whole.
    let mut forgetful = parts.clone();
    forgetful[1].ledger.as_mut().unwrap().orders.pop();
    let whole_run = whole(&shop, &forgetful).await;
    failed(&whole_run, "no order that nobody was told of", "no purchase was answered with it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_oversell_that_no_part_can_see_is_found_in_the_whole() {
    let shop = Shop::open(Fault::Oversell).await;
    let parts = parts(&shop, Fault::Oversell).await;
    assert!(parts.iter().all(|part| !part.audit.failed()), "{}", parts[0]);
    failed(&whole(&shop, &parts).await, "no unit is sold twice", "too many");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_audit_that_waits_tells_for_what_and_ends_when_its_user_says_so() {
    let shop = Shop::open(Fault::ChangeTotals).await;
    let began = Instant::now();
    let patient = text(Fault::ChangeTotals).replace("300ms", "1h");
    let summary = run(patient, running::options(shop.address), |progress, stop| {
        if matches!(progress, Progress::Audit(audit) if audit.waits.is_some_and(|waits| waits > 0)) {
            stop.send_replace(Stop::Soon);
        }
    });
    let summary = summary.await;
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert_eq!((summary.exit(), summary.audit.state), (Exit::CutShort, AuditState::CutShort), "{summary}");
    assert!(summary.headline().contains("the audit, by the user, at "), "{summary}");
    // What was not as it should be might have become so.
    assert!(!summary.audit.failed(), "{summary}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn answers_of_an_earlier_run_are_told_and_make_the_run_invalid() {
    let shop = Shop::open(Fault::None).await;
    let once = || SCENARIO.replace("copies = 2\n", "");
    let options = running::options(shop.address);
    let first = run(once(), options.clone(), |_, _| {}).await;
    assert!(first.audit.balances() && !first.to_string().contains("replay"), "{first}");
    let again = run(once(), options.clone(), |_, _| {}).await;
    assert_eq!(again.exit(), Exit::Invalid, "{again}");
    assert!(again.headline().contains("answers were given before, to another run"), "{again}");
    assert!(again.steps[0].outcomes.iter().any(|outcome| outcome.outcome == "201 replayed"), "{again}");
    let strangers = again.audit.checks.iter().find(|check| check.name == "no order that nobody was told of");
    assert_eq!(strangers.unwrap().passed, None, "others may have bought: {again}");

    // The same people under another name.
    let other = Options { id: "other".parse().unwrap(), ..options };
    let other = run(once(), other, |_, _| {}).await;
    assert!(other.audit.balances() && !other.to_string().contains("replay"), "{other}");
    assert_eq!(other.steps[0].all.count, first.steps[0].all.count);
}
