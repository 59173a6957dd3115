//! A disk that takes its time for every sync: all are served, together, and nothing is lost.

use std::time::{Duration, Instant};

use relampago_load::{Client, Request};
use tokio::task::JoinSet;

use super::Faults;
use crate::api::{expect, key, product, purchase, send, units};
use crate::support::{Shop, is_long};

const SHOPPERS: i64 = 64;
const UNITS: i64 = 100_000;
/// Every sync takes so long; the longest stays far below the time that a request may take.
const DELAYS_MS: [u64; 2] = [50, 500];
/// One after the other, the purchases would take longer by far.
const ORDERS_A_COMMIT: f64 = 4.0;
const COMMITS: &str = "relampago_journal_commit_seconds_count";

async fn commits(guest: &mut Client) -> f64 {
    let metrics = send(guest, Request::get("/metrics")).await;
    let text = String::from_utf8_lossy(&metrics.body).into_owned();
    let line = text.lines().find(|line| line.starts_with(COMMITS)).expect("the count of commits");
    line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a number")
}

#[tokio::test]
async fn a_slow_disk_serves_all_in_larger_batches() {
    let mut shop =
        Shop::open(&[("ENGINE__SNAPSHOT_INTERVAL", "200ms"), ("ENGINE__IDLE_TIMEOUT", "200ms")]).await;
    let faults = Faults::under(&mut shop);
    shop.crash().await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", UNITS).await;
    let each = if is_long() { 60 } else { 3 };
    let mut bought = 0;
    for delay in DELAYS_MS {
        faults.begin(&format!("fdatasync,fsync / delay {delay}"));
        let (before, began) = (commits(&mut guest).await, Instant::now());
        let mut buying = JoinSet::new();
        for _ in 0..SHOPPERS {
            let mut guest = shop.guest();
            buying.spawn(async move {
                for _ in 0..each {
                    expect(&send(&mut guest, purchase("BOLT", 1).key(&key())).await, 201);
                }
            });
        }
        buying.join_all().await;
        let (orders, took) = (SHOPPERS * each, began.elapsed());
        let made = commits(&mut guest).await - before;
        println!("{delay} ms a sync: {orders} orders in {made} commits, {took:?}");
        assert!(orders as f64 >= ORDERS_A_COMMIT * made, "{orders} orders in {made} commits");
        assert!(took < Duration::from_millis(delay) * u32::try_from(orders).unwrap());
        bought += orders;
        assert_eq!(units(&mut staff, "BOLT").await, (UNITS - bought, bought, 0));
        // Killed while syncs are under way.
        shop.kill().await;
        faults.end();
        shop.start().await;
        assert_eq!(units(&mut staff, "BOLT").await, (UNITS - bought, bought, 0));
    }
}
