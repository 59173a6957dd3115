//! The last record of the commit log, written and never acknowledged, cut anywhere.

use std::fs;
use std::path::{Path, PathBuf};

use relampago_load::{Answer, Request};
use tokio::task::JoinSet;

use super::stage::lay_out;
use crate::api::{expect, key, product, purchase, send, units};
use crate::failing_disk::Faults;
use crate::support::Shop;

const BLOCK: usize = 4096;
const RECORD: &[u8] = b"RLPR";
const UNITS: i64 = 1_000;
const EARLIER: i64 = 5;
const BUYERS: i64 = 60;

/// The segment that was written, and where its last record begins and ends.
fn last_record(wal: &Path) -> (PathBuf, usize, usize) {
    let segments = fs::read_dir(wal).unwrap().map(|entry| entry.unwrap().path());
    let written = |path: &PathBuf| fs::read(path).unwrap().starts_with(b"RLPSEGM2");
    let path = segments.into_iter().find(written).expect("a written segment");
    let bytes = fs::read(&path).unwrap();
    let begins = bytes.chunks(BLOCK).rposition(|block| block.starts_with(RECORD)).unwrap() * BLOCK;
    let length = u32::from_le_bytes(bytes[begins + 12..begins + 16].try_into().unwrap()) as usize;
    (path, begins, begins + 64 + length)
}

#[tokio::test]
async fn a_tail_that_was_never_acknowledged_may_be_cut_anywhere() {
    let mut shop = Shop::open(&[
        ("JOURNAL__FEED_INTERVAL", "10s"),
        ("JOURNAL__SEGMENT_BYTES", "256KiB"),
        ("JOURNAL__SEGMENTS", "2"),
        ("ENGINE__SNAPSHOT_INTERVAL", "1h"),
    ])
    .await;
    let faults = Faults::under(&mut shop);
    shop.crash().await;
    product(&mut shop.staff(), "BOLT", "1.00", UNITS).await;
    for _ in 0..EARLIER {
        expect(&send(&mut shop.guest(), purchase("BOLT", 1).key(&key())).await, 201);
    }
    // The next batch is written, and its sync fails.
    faults.begin("fdatasync wal/segment EIO 0");
    let purchases: Vec<Request> = (0..BUYERS).map(|_| purchase("BOLT", 1).key(&key())).collect();
    let mut asked = JoinSet::new();
    for request in purchases.clone() {
        let mut guest = shop.guest();
        asked.spawn(async move { guest.send(&request).await });
    }
    let answers: Vec<Answer> = asked.join_all().await.into_iter().filter_map(Result::ok).collect();
    assert!(answers.iter().all(|answer| [201, 503].contains(&answer.code())));
    let acknowledged = EARLIER + answers.iter().filter(|answer| answer.code() == 201).count() as i64;
    assert!(!shop.ended().await.success());
    faults.end();

    let (killed, tried) = (shop.scratch().join("killed"), shop.scratch().join("tried"));
    lay_out(shop.data(), &killed);
    shop.move_to(&tried);
    let (path, begins, ends) = last_record(&killed.join("wal"));
    let whole = fs::read(&path).unwrap();
    let middle = begins + (ends - begins) / 2;
    println!("a record of {} bytes behind {acknowledged} orders", ends - begins);
    // What was durable before; of those that were told nothing some may be, too.
    let mut before = None;
    for cut in (begins..ends).step_by(BLOCK).chain([middle, ends - 16]) {
        lay_out(&killed, &tried);
        let mut torn = whole.clone();
        torn[cut..].fill(0);
        fs::write(tried.join("wal").join(path.file_name().unwrap()), torn).unwrap();
        shop.start().await;
        let found = units(&mut shop.staff(), "BOLT").await;
        let (_, held, _) = found;
        assert!((acknowledged..EARLIER + BUYERS).contains(&held), "cut at {cut}: {found:?}");
        assert_eq!(found, (UNITS - held, held, 0), "cut at {cut}");
        assert_eq!(*before.get_or_insert(held), held, "cut at {cut}");
        for request in &purchases {
            expect(&send(&mut shop.guest(), request.clone()).await, 201);
        }
        let bought = EARLIER + BUYERS;
        assert_eq!(units(&mut shop.staff(), "BOLT").await, (UNITS - bought, bought, 0), "cut at {cut}");
        shop.kill().await;
    }
}
