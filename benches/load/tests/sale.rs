//! The generator and its auditor against a shop in memory: an honest shop passes, each fault is found.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shop;

use std::time::Duration;

use relampago_load::audit::Auditor;
use relampago_load::report::Step;
use relampago_load::sale::stock;
use relampago_load::{Client, Ledger, Mix, Report, Request, Rng, Sale, SalePlan, Target, Until};
use shop::{Fault, Shop};

const STAFF: &str = "staff-key-of-the-tests";
const UNITS: i64 = 120;

struct Outcome {
    report: Report,
    ledger: Ledger,
    findings: Vec<String>,
}

fn plan(target: &Target, mix: Mix) -> SalePlan {
    let seed = Rng::fresh_seed();
    println!("seed {seed}");
    SalePlan {
        target: target.clone(),
        skus: vec!["bolt".into(), "spark".into()],
        shoppers: 16,
        adjusters: 0,
        api_key: STAFF.into(),
        mix,
        max_quantity: 3,
        tokens: vec!["tok_approve".into(), "tok_decline".into()],
        until: Until::SoldOut,
        patience: Duration::from_secs(5),
        seed,
    }
}

async fn catalogue(target: &Target, ledger: &Ledger) {
    let mut staff = Client::staff(target.clone(), STAFF);
    for sku in ["bolt", "spark"] {
        stock(&mut staff, ledger, sku, "1.00", UNITS).await.unwrap();
    }
}

async fn sell(fault: Fault, mix: Mix) -> Outcome {
    let shop = Shop::open(fault).await;
    let target = Target::new(shop.address);
    let ledger = Ledger::default();
    catalogue(&target, &ledger).await;
    let mut plan = plan(&target, mix);
    if fault == Fault::Oversell {
        // A shop that oversells never runs out.
        plan.until = Until::Orders(200);
    }
    let report = Sale::new(plan, ledger.clone()).run(|_| {}).await;
    let auditor = Auditor { target, api_key: STAFF.into() };
    let findings = auditor.books(&ledger, Duration::ZERO).await.unwrap();
    Outcome { report, ledger, findings }
}

const PAY_ALL: Mix = Mix { cart: 50, two_skus: 30, pay: 100, cancel: 0 };
const ALL_SORTS: Mix = Mix { cart: 50, two_skus: 30, pay: 60, cancel: 20 };

#[tokio::test]
async fn an_honest_shop_sells_every_unit_and_passes() {
    let outcome = sell(Fault::None, PAY_ALL).await;
    assert_eq!(outcome.findings, Vec::<String>::new());
    let units: i64 =
        outcome.ledger.entries().iter().flat_map(|entry| &entry.wanted).map(|line| line.quantity).sum();
    assert_eq!(units, 2 * UNITS);
    assert_eq!(outcome.report.orders, outcome.ledger.len() as u64);
    let orders = outcome.report.answers(Step::Buy, "201") + outcome.report.answers(Step::Checkout, "201");
    assert_eq!(orders, outcome.report.orders);
}

#[tokio::test]
async fn cancellations_and_declines_pass_too() {
    let outcome = sell(Fault::None, ALL_SORTS).await;
    assert_eq!(outcome.findings, Vec::<String>::new());
    assert!(outcome.report.answers(Step::Pay, "402 card_declined") > 0);
}

#[tokio::test]
async fn lost_answers_are_asked_for_again_under_their_key() {
    let outcome = sell(Fault::LoseEveryNthAnswer(5), ALL_SORTS).await;
    assert_eq!(outcome.findings, Vec::<String>::new());
    assert!(outcome.report.lost > 0);
}

#[tokio::test]
async fn a_shop_that_oversells_is_found_out() {
    let outcome = sell(Fault::Oversell, PAY_ALL).await;
    assert!(
        outcome.findings.iter().any(|finding| finding.contains("!= available -")),
        "{:?}",
        outcome.findings
    );
}

#[tokio::test]
async fn a_lost_order_is_found_out() {
    let mix = Mix { pay: 0, ..ALL_SORTS };
    let outcome = sell(Fault::ForgetEveryNthOrder(7), Mix { cancel: 0, ..mix }).await;
    assert!(outcome.findings.iter().any(|finding| finding.contains("is lost")), "{:?}", outcome.findings);
}

#[tokio::test]
async fn a_changed_order_is_found_out() {
    let outcome = sell(Fault::ChangeTotals, PAY_ALL).await;
    assert!(outcome.findings.iter().any(|finding| finding.contains("total was")), "{:?}", outcome.findings);
}

#[tokio::test]
async fn a_second_order_under_one_key_is_found_out() {
    let shop = Shop::open(Fault::ForgetKeys).await;
    let target = Target::new(shop.address);
    let ledger = Ledger::default();
    catalogue(&target, &ledger).await;
    let buy = serde_json::json!({ "items": [{ "sku": "bolt", "quantity": 1 }] });
    let request = Request::post("/api/v1/orders", &buy).key("one key, two orders");
    let mut guest = Client::guest(target.clone());
    guest.send(&request).await.unwrap();
    let answered = guest.send(&request).await.unwrap().json().unwrap();
    let wanted = relampago_load::ledger::Wanted { sku: "bolt".into(), quantity: 1 };
    ledger.ordered("one key, two orders", vec![wanted], answered);

    let auditor = Auditor { target, api_key: STAFF.into() };
    let findings = auditor.books(&ledger, Duration::ZERO).await.unwrap();
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert!(findings[0].contains("no purchase was answered with it"), "{findings:?}");
}

#[tokio::test]
async fn a_closed_target_holds_shoppers_back_until_it_opens() {
    let shop = Shop::open(Fault::None).await;
    let target = Target::new(shop.address);
    let ledger = Ledger::default();
    catalogue(&target, &ledger).await;
    target.close();
    let sale = Sale::new(plan(&target, PAY_ALL), ledger.clone());
    let mut held_back = 0;
    let report = sale
        .run(|progress| {
            // The third report of progress opens the doors.
            held_back += 1;
            if held_back < 3 {
                assert_eq!(progress.orders, 0);
            } else {
                target.open(shop.address);
            }
        })
        .await;
    assert_eq!(report.orders, ledger.len() as u64);
    assert!(report.orders > 0 && report.lost == 0);
}
