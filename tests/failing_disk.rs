//! A disk that fails under the running server: what was acknowledged stays, what was not is unknown and never
//! refused, and the server ends instead of going on.

use std::path::Path;
use std::process::Command;

use relampago_load::{Answer, Request};
use tokio::task::JoinSet;

use crate::api::{any_problem, expect, get, key, product, purchase, send, units};
use crate::support::Shop;

const BUYERS: usize = 40;
const UNITS: i64 = 1_000;

/// Builds what makes `fdatasync` fail, or stall.
pub(crate) fn failing_sync(folder: &Path) -> String {
    let library = folder.join("failing_sync.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("failing_disk/failing_sync.c");
    let mut build = Command::new("cc");
    build.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source).arg("-ldl");
    let output = build.output().expect("cc, which building the server needs too");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    library.into_os_string().into_string().expect("a path in UTF-8")
}

/// Whether an answer says that nobody knows. Who comes when the server is going away is told so: nothing was done.
fn is_unknown(answer: &Answer) -> bool {
    let body = any_problem(answer, 503);
    assert_eq!(body["retryable"], true, "{body}");
    assert!(answer.header("retry-after").is_some(), "{body}");
    assert!(body["code"] == "outcome_unknown" || body["code"] == "shutting_down", "{body}");
    body["code"] == "outcome_unknown"
}

#[tokio::test]
async fn a_failed_sync_is_unknown_stops_the_server_and_loses_nothing() {
    // Nothing but the commit log is written while the disk fails: it is what has to be named.
    let mut shop =
        Shop::open(&[("JOURNAL__FEED_INTERVAL", "10s"), ("ENGINE__SNAPSHOT_INTERVAL", "1h")]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let trigger = shop.data().with_extension("failing");
    shop.run_with("LD_PRELOAD", &failing_sync(trigger.parent().unwrap()));
    shop.run_with("FAILING_SYNC", trigger.to_str().unwrap());
    shop.crash().await;
    product(&mut staff, "BOLT", "1.00", UNITS).await;
    let before = expect(&send(&mut guest, purchase("BOLT", 1).key(&key())).await, 201);

    std::fs::write(&trigger, "").unwrap();
    let purchases: Vec<Request> = (0..BUYERS).map(|_| purchase("BOLT", 1).key(&key())).collect();
    let mut asked = JoinSet::new();
    for request in purchases.clone() {
        let mut guest = shop.guest();
        asked.spawn(async move { guest.send(&request).await });
    }
    // Some find the server gone already.
    let answers: Vec<Answer> = asked.join_all().await.into_iter().filter_map(Result::ok).collect();
    let unknown = answers.iter().filter(|answer| is_unknown(answer)).count();
    assert!(unknown > 0, "nobody was told");
    let status = shop.ended().await;
    assert!(!status.success(), "{status}");
    let log = std::fs::read_to_string(shop.log()).unwrap();
    let last = log.lines().last().unwrap_or_default();
    for word in ["journal", "cannot make durable", "wal/segment"] {
        assert!(last.contains(word), "no {word} in the last line of the log: {last}");
    }

    // While the disk fails there is no start; then the same keys find out, each in one order.
    assert!(!shop.refuses_to_start().await.success());
    std::fs::remove_file(&trigger).unwrap();
    shop.start().await;
    for request in purchases {
        expect(&send(&mut guest, request).await, 201);
    }
    let bought = BUYERS as i64 + 1;
    assert_eq!(units(&mut staff, "BOLT").await, (UNITS - bought, bought, 0));
    let path = format!("/api/v1/orders/{}", before["id"].as_str().unwrap());
    assert_eq!(get(&mut guest, path).await["status"], "created");
}
