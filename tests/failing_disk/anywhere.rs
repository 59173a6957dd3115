//! Every file of the data folder, written, synced, created and renamed, on a disk that is full or broken.

use std::time::Duration;

use relampago_load::{Ledger, Mix, Sale, SalePlan};
use tokio::task::JoinSet;

use super::Faults;
use crate::api::product;
use crate::support::{Shop, eventually, seed};

pub(super) const SKUS: [&str; 2] = ["BOLT", "SPARK"];
pub(super) const UNITS: i64 = 10_000_000;
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Everything is written often: the log's segments are soon full, states are stored and the journal is packed at once.
pub(super) const SETTINGS: [(&str, &str); 6] = [
    ("JOURNAL__SEGMENT_BYTES", "64KiB"),
    ("JOURNAL__SEGMENTS", "2"),
    ("JOURNAL__FEED_INTERVAL", "20ms"),
    ("JOURNAL__SLED_SEGMENT_BYTES", "512KiB"),
    ("ENGINE__SNAPSHOT_INTERVAL", "100ms"),
    ("ENGINE__IDLE_TIMEOUT", "500ms"),
];

/// One of these stands in all last words.
const REMEDIES: [&str; 3] = ["make room on this disk", "mount it for writing", "check the disk"];

/// What fails while shoppers buy, and what the server's last words must name.
struct Case {
    rule: &'static str,
    names: &'static str,
}

/// Calls, part of the path, error, calls that go well before; then the file to be named.
const CASES: [Case; 14] = [
    Case { rule: "pwrite wal/segment ENOSPC 9", names: "wal/segment" },
    // The log grows while sled is slow.
    Case { rule: "fdatasync /journal/db delay 300\nwrite,create wal/segment ENOSPC 0", names: "wal/segment" },
    Case { rule: "fdatasync /journal/db delay 300\nrename wal/segment EIO 0", names: "wal/segment" },
    Case { rule: "pwrite /journal/db ENOSPC 3", names: "journal" },
    Case { rule: "fdatasync /journal/db EIO 2", names: "journal" },
    Case { rule: "pwrite journal.mark ENOSPC 1", names: "journal.mark" },
    Case { rule: "fdatasync journal.mark EIO 1", names: "journal.mark" },
    Case { rule: "pwrite /snapshots/db ENOSPC 1", names: "snapshots" },
    Case { rule: "fdatasync /snapshots/db EIO 1", names: "snapshots" },
    Case { rule: "pwrite snapshots.mark EROFS 0", names: "snapshots.mark" },
    Case { rule: "fdatasync snapshots.mark EIO 0", names: "snapshots.mark" },
    Case { rule: "create /archive/ ENOSPC 0", names: "/archive/" },
    Case { rule: "write /archive/ ENOSPC 0", names: "/archive/" },
    Case { rule: "rename /archive/ EIO 0", names: "/archive/" },
];

pub(super) fn load(shop: &Shop, seed: u64) -> SalePlan {
    let mix = Mix { cart: 30, two_skus: 33, pay: 40, cancel: 20 };
    SalePlan { shoppers: 32, adjusters: 1, mix, ..shop.sale(&SKUS, seed) }
}

/// The server's last words name the file and what to do.
fn assert_says(shop: &Shop, when: &str, name: &str) {
    let words = shop.last_words();
    println!("{when}: {words}");
    assert!(words.contains(name), "{when}: no {name} in {words}");
    assert!(REMEDIES.iter().any(|remedy| words.contains(remedy)), "{when}: no remedy in {words}");
}

#[tokio::test]
async fn whatever_cannot_be_written_stops_the_server_and_loses_nothing() {
    let seed = seed();
    let mut shop = Shop::open(&SETTINGS).await;
    let faults = Faults::under(&mut shop);
    shop.crash().await;
    let ledger = Ledger::default();
    for sku in SKUS {
        product(&mut shop.staff(), sku, "19.99", UNITS).await;
        ledger.stocked(sku, UNITS);
    }
    let sale = Sale::new(load(&shop, seed), ledger.clone());
    let mut running = JoinSet::new();
    let shoppers = sale.clone();
    running.spawn(async move { shoppers.run(|_| {}).await });

    for Case { rule, names } in CASES {
        let before = sale.report().orders;
        eventually("the sale goes on", async || (sale.report().orders > before + 20).then_some(())).await;
        faults.begin(rule);
        // The archive is written when enough can be cut, and at the end.
        let status = if names == "/archive/" { shop.terminate().await } else { shop.ended().await };
        assert!(!status.success(), "{rule}: {status}");
        assert_says(&shop, rule, names);
        faults.begin(&format!("write,pwrite,create {} ENOSPC 0", shop.data().display()));
        assert!(!shop.refuses_to_start().await.success());
        assert_says(&shop, "start", "No space left on device");
        faults.end();
        let took = shop.start_closed().await;
        let findings = shop.auditor().acknowledged(&ledger).await.unwrap();
        println!("ready in {took:?}, {} orders acknowledged", ledger.len());
        assert_eq!(findings, Vec::<String>::new(), "{rule}");
        shop.target.open(shop.address());
    }
    sale.stop();
    running.join_next().await.unwrap().unwrap();
    assert_eq!(shop.auditor().books(&ledger, PATIENCE).await.unwrap(), Vec::<String>::new());
}
