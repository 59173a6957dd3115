//! Many shoppers, little stock: no unit is sold twice and none is stranded.

use std::time::Duration;

use relampago_load::report::Step;
use relampago_load::sale::stock;
use relampago_load::wire::Inventory;
use relampago_load::{Ledger, Mix, Report, Sale, SalePlan, Until};

use crate::api::inventory;
use crate::support::{API_KEY, Shop, eventually, seed};

const SKUS: [&str; 2] = ["BOLT", "SPARK"];
const UNITS_EACH: i64 = 250;
const PATIENCE: Duration = Duration::from_secs(30);

/// 256 shoppers, one-step and through carts, quantities 1-3, two skus in a third of the purchases.
pub(crate) fn plan(shop: &Shop, mix: Mix, tokens: &[&str]) -> SalePlan {
    SalePlan {
        target: shop.target.clone(),
        skus: SKUS.map(String::from).to_vec(),
        shoppers: 256,
        adjusters: 0,
        api_key: API_KEY.into(),
        mix,
        max_quantity: 3,
        tokens: tokens.iter().map(|token| (*token).to_owned()).collect(),
        until: Until::SoldOut,
        patience: PATIENCE,
        seed: seed(),
    }
}

/// Puts the products on sale.
pub(crate) async fn fill(shop: &Shop, ledger: &Ledger, units_each: i64) {
    let mut staff = shop.staff();
    for sku in SKUS {
        stock(&mut staff, ledger, sku, "19.99", units_each).await.expect("a product on sale");
    }
}

/// Runs the sale and checks the conservation of stock all the while.
async fn run_sampled(shop: &Shop, sale: &Sale) -> Report {
    let auditor = shop.auditor();
    let skus = SKUS.map(String::from);
    let mut samples = 0;
    let mut findings = Vec::new();
    let running = sale.run(|_| {});
    tokio::pin!(running);
    let report = loop {
        tokio::select! {
            report = &mut running => break report,
            sampled = auditor.conservation(&skus) => {
                findings.extend(sampled.expect("inventory while the sale runs"));
                samples += 1;
            }
        }
    };
    println!("{samples} samples\n{report}");
    assert_eq!(findings, Vec::<String>::new());
    assert!(samples > 0);
    report
}

async fn stocks(shop: &Shop) -> Vec<Inventory> {
    let mut staff = shop.staff();
    vec![inventory(&mut staff, SKUS[0]).await, inventory(&mut staff, SKUS[1]).await]
}

fn assert_sold_or_sold_out(report: &Report) {
    for step in [Step::Buy, Step::Checkout] {
        let kinds = report.kinds(step);
        assert!(kinds.contains_key("201"), "{step}: {kinds:?}");
        assert!(kinds.keys().all(|kind| kind == "201" || kind == "409 out_of_stock"), "{step}: {kinds:?}");
    }
}

#[tokio::test]
async fn five_hundred_units_are_sold_exactly() {
    let shop = Shop::open_alone(&[]).await;
    let ledger = Ledger::default();
    fill(&shop, &ledger, UNITS_EACH).await;
    let mix = Mix { cart: 50, two_skus: 33, pay: 100, cancel: 0 };
    let sale = Sale::new(plan(&shop, mix, &["tok_approve"]), ledger.clone());
    let report = run_sampled(&shop, &sale).await;

    assert_sold_or_sold_out(&report);
    for stock in stocks(&shop).await {
        assert_eq!((stock.available, stock.reserved, stock.sold), (0, 0, UNITS_EACH), "{stock:?}");
    }
    assert_eq!(shop.auditor().books(&ledger, PATIENCE).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn cancellations_and_expiries_leave_nothing_reserved() {
    let shop =
        Shop::open_alone(&[("ORDERS__RESERVATION_TTL", "2s"), ("PAYMENTS__PROVIDER_TIMEOUT", "200ms")]).await;
    let ledger = Ledger::default();
    fill(&shop, &ledger, UNITS_EACH).await;
    let mix = Mix { cart: 50, two_skus: 33, pay: 50, cancel: 25 };
    let tokens = ["tok_approve", "tok_decline", "tok_delay_20", "tok_lost"];
    let sale = Sale::new(plan(&shop, mix, &tokens), ledger.clone());
    let report = run_sampled(&shop, &sale).await;

    assert_sold_or_sold_out(&report);
    let after = eventually("nothing stays reserved", async || {
        let stocks = stocks(&shop).await;
        stocks.iter().all(|stock| stock.reserved == 0).then_some(stocks)
    })
    .await;
    assert!(after.iter().any(|stock| stock.sold > 0), "{after:?}");
    assert_eq!(shop.auditor().books(&ledger, PATIENCE).await.unwrap(), Vec::<String>::new());
}
