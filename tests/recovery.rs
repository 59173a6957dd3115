//! SIGKILL and SIGTERM under load: what was acknowledged is there afterwards.

use std::process::Stdio;
use std::time::Duration;

use relampago_load::{Client, Ledger, Mix, Rng, Sale, SalePlan, Until};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::task::JoinSet;

use crate::api::{adjust, commit, expect, inventory, key, post, product, purchase, send};
use crate::process::Memory;
use crate::support::{API_KEY, Shop, binary, eventually, is_long, scratch, seed};

const SKUS: [&str; 2] = ["BOLT", "SPARK"];
const ROUNDS: u32 = 20;
/// Less than the shoppers want in a round, so that most of them are refused.
const UNITS_A_ROUND: i64 = 100;
const PATIENCE: Duration = Duration::from_secs(60);
const READY_WITHIN: Duration = Duration::from_secs(3);

/// Everything at once: carts, one-step purchases, payments of every kind, cancellations, adjustments.
fn full_load(shop: &Shop, seed: u64) -> SalePlan {
    let tokens = ["tok_approve", "tok_approve", "tok_decline", "tok_lost", "tok_late_100", "tok_delay_20"];
    SalePlan {
        target: shop.target.clone(),
        skus: SKUS.map(String::from).to_vec(),
        shoppers: 64,
        adjusters: 2,
        api_key: API_KEY.into(),
        mix: Mix { cart: 50, two_skus: 33, pay: 50, cancel: 30 },
        max_quantity: 3,
        tokens: tokens.map(String::from).to_vec(),
        until: Until::Stopped,
        patience: PATIENCE,
        seed,
    }
}

async fn restock(shop: &Shop, ledger: &Ledger) {
    let mut staff = shop.staff();
    for sku in SKUS {
        expect(&adjust(&mut staff, sku, UNITS_A_ROUND).await, 200);
        ledger.stocked(sku, UNITS_A_ROUND);
    }
}

/// Waits until the shoppers have `orders` more orders and `refusals` more refusals.
async fn wait_for(sale: &Sale, orders: u64, refusals: u64) {
    let before = sale.report();
    eventually("the sale goes on", async || {
        let now = sale.report();
        let enough = now.orders >= before.orders + orders && now.refused >= before.refused + refusals;
        enough.then_some(())
    })
    .await;
}

#[tokio::test]
async fn twenty_crashes_under_load_lose_nothing() {
    let seed = seed();
    let mut rng = Rng::new(seed);
    let settings = [("PAYMENTS__DEADLINE", "5s"), ("PAYMENTS__PROVIDER_TIMEOUT", "200ms")];
    let mut shop = Shop::open_alone(&settings).await;
    let ledger = Ledger::default();
    for sku in SKUS {
        product(&mut shop.staff(), sku, "19.99", 0).await;
        ledger.stocked(sku, 0);
    }
    let sale = Sale::new(full_load(&shop, seed), ledger.clone());
    let mut running = JoinSet::new();
    let shoppers = sale.clone();
    running.spawn(async move { shoppers.run(|_| {}).await });

    for round in 1..=ROUNDS {
        restock(&shop, &ledger).await;
        wait_for(&sale, 10 + rng.below(40), rng.below(60)).await;
        shop.kill().await;
        let took = shop.start_closed().await;
        let findings = shop.auditor().acknowledged(&ledger).await.unwrap();
        println!("round {round}: ready in {took:?}, {} orders acknowledged", ledger.len());
        assert_eq!(findings, Vec::<String>::new(), "round {round}");
        shop.target.open(shop.address());
    }
    sale.stop();
    let report = running.join_next().await.unwrap().unwrap();
    println!("{report}");
    assert!(report.lost > 0, "no crash met a request");
    assert_eq!(shop.auditor().books(&ledger, PATIENCE).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn sigterm_finishes_what_is_in_flight() {
    let seed = seed();
    let mut shop = Shop::open_alone(&[]).await;
    let ledger = Ledger::default();
    for sku in SKUS {
        product(&mut shop.staff(), sku, "19.99", 0).await;
        ledger.stocked(sku, 0);
    }
    let sale = Sale::new(full_load(&shop, seed), ledger.clone());
    let mut running = JoinSet::new();
    let shoppers = sale.clone();
    running.spawn(async move { shoppers.run(|_| {}).await });
    for _ in 0..3 {
        restock(&shop, &ledger).await;
        wait_for(&sale, 20, 0).await;
        let status = shop.terminate().await;
        assert_eq!(status.code(), Some(0), "{status}");
        shop.start_closed().await;
        assert_eq!(shop.auditor().acknowledged(&ledger).await.unwrap(), Vec::<String>::new());
        shop.target.open(shop.address());
    }
    sale.stop();
    running.join_next().await.unwrap().unwrap();
    assert_eq!(shop.auditor().books(&ledger, PATIENCE).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn one_data_folder_has_one_server() {
    let shop = Shop::open(&[]).await;
    let status = shop.refuses_to_start().await;
    assert!(!status.success(), "{status}");
    product(&mut shop.staff(), "BOLT", "1.00", 1).await;
}

#[tokio::test]
async fn a_crash_right_after_the_first_start_is_harmless() {
    let mut shop = Shop::open(&[]).await;
    for _ in 0..3 {
        shop.crash().await;
    }
    product(&mut shop.staff(), "BOLT", "1.00", 1).await;
    shop.crash().await;
    assert_eq!(inventory(&mut shop.staff(), "BOLT").await.available, 1);
}

/// Lines of one order of the tail: the most that an order may have.
const LINES: usize = 100;
const WRITERS: usize = 16;

/// Orders of 100 lines until the journal has `events` events.
async fn write_tail(shop: &Shop, events: u64) -> i64 {
    let items: Vec<Value> = (0..LINES).map(|n| json!({ "sku": format!("SKU-{n}"), "quantity": 1 })).collect();
    let mut writers = JoinSet::new();
    for _ in 0..WRITERS {
        let (mut guest, body) = (shop.guest(), json!({ "items": items }));
        writers.spawn(async move {
            let mut orders = 0;
            loop {
                let answer = post(&mut guest, "/api/v1/orders", body.clone()).await;
                expect(&answer, 201);
                orders += 1;
                if commit(&answer).1 >= events {
                    return orders;
                }
            }
        });
    }
    writers.join_all().await.into_iter().sum()
}

async fn catalogue(staff: &mut Client) {
    for n in 0..LINES {
        product(staff, &format!("SKU-{n}"), "1.00", 10_000_000).await;
    }
}

/// A tail of events, and how long a start may take with it.
type Tail = (u64, Duration);

#[tokio::test]
async fn a_long_tail_is_replayed_in_seconds() {
    let tails: &[Tail] = if is_long() {
        &[(1_000_000, READY_WITHIN), (5_000_000, Duration::from_secs(15))]
    } else {
        &[(100_000, READY_WITHIN)]
    };
    // No snapshot is written, so that the start has the whole journal to replay.
    let settings = [
        ("ENGINE__SNAPSHOT_INTERVAL", "1h"),
        ("ENGINE__SNAPSHOT_EVENTS", "100000000"),
        ("ENGINE__IDLE_TIMEOUT", "1d"),
        ("ENGINE__RESIDENT_ENTITIES", "1000000"),
    ];
    let mut shop = Shop::open_alone(&settings).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    catalogue(&mut staff).await;
    let (mut orders, mut others) = (0, 0);
    for &(events, within) in tails {
        orders += write_tail(&shop, events).await;
        let last = purchase("SKU-0", 1).key(&key());
        let order = expect(&send(&mut guest, last.clone()).await, 201);
        others += 1;

        shop.kill().await;
        let took = shop.start().await;
        let memory = Memory::of(shop.process());
        println!("{events} events, {orders} orders of {LINES} lines: ready in {took:?}, {memory}");
        assert!(took < within, "ready after {took:?}");
        assert_eq!(expect(&send(&mut guest, last).await, 201), order);
        for (sku, held) in [("SKU-0", orders + others), ("SKU-99", orders)] {
            assert_eq!(inventory(&mut staff, sku).await.reserved, held);
        }
    }
}

#[tokio::test]
async fn a_data_folder_may_be_a_mere_name() {
    let folder = scratch();
    let mut server = Command::new(binary())
        .args(["serve", "--addr", "127.0.0.1:0", "--data", "shop"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let line = lines.next_line().await.unwrap();
    assert!(line.is_some_and(|line| line.starts_with("relampago listening on http://")));
    assert!(folder.path().join("shop/identity").exists());
    server.kill().await.unwrap();
}
