//! A disk that fails under the running server: what was acknowledged stays, what was not is unknown and never
//! refused, and the server ends, naming the file and the remedy, instead of going on.

mod anywhere;
mod room;
mod slow;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use relampago_load::{Answer, Request};
use serde_json::json;
use tokio::task::JoinSet;

use crate::api::{any_problem, expect, get, key, product, purchase, send, units};
use crate::people_support::PASSWORD;
use crate::support::Shop;

const BUYERS: usize = 40;
const UNITS: i64 = 1_000;

/// Faults of the disk under a shop, as `failing_disk/faults.c` explains them.
pub(crate) struct Faults {
    rules: PathBuf,
}

impl Faults {
    /// Prepares the shop; it has to be started again.
    pub(crate) fn under(shop: &mut Shop) -> Self {
        let rules = shop.scratch().join("faults");
        shop.run_with("LD_PRELOAD", library());
        shop.run_with("FAULTS", rules.to_str().expect("a path in UTF-8"));
        Self { rules }
    }

    /// From here on the disk fails by these rules.
    pub(crate) fn begin(&self, rules: &str) {
        let whole = self.rules.with_extension("whole");
        std::fs::write(&whole, rules).expect("write the rules");
        std::fs::rename(whole, &self.rules).expect("put the rules in their place");
    }

    /// From here on all goes well.
    pub(crate) fn end(&self) {
        std::fs::remove_file(&self.rules).expect("remove the rules");
    }
}

/// The library of the faults, built once.
fn library() -> &'static str {
    static LIBRARY: OnceLock<String> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let (folder, here) = (Path::new(env!("CARGO_TARGET_TMPDIR")), Path::new(env!("CARGO_MANIFEST_DIR")));
        let (library, scratch) =
            (folder.join("faults.so"), folder.join(format!("faults-{}", std::process::id())));
        let mut build = Command::new("cc");
        build.args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&scratch);
        build.arg(here.join("failing_disk/faults.c")).arg("-ldl");
        let output = build.output().expect("cc, which building the server needs too");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(scratch, &library).expect("put the library in its place");
        library.into_os_string().into_string().expect("a path in UTF-8")
    })
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
    let faults = Faults::under(&mut shop);
    shop.crash().await;
    product(&mut staff, "BOLT", "1.00", UNITS).await;
    let before = expect(&send(&mut guest, purchase("BOLT", 1).key(&key())).await, 201);

    faults.begin("fdatasync / EIO 0");
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
    let last = shop.last_words();
    for word in ["journal", "cannot make durable", "wal/segment"] {
        assert!(last.contains(word), "no {word} in the last line of the log: {last}");
    }

    // While the disk fails there is no start; then the same keys find out, each in one order.
    assert!(!shop.refuses_to_start().await.success());
    faults.end();
    shop.start().await;
    for request in purchases {
        expect(&send(&mut guest, request).await, 201);
    }
    let bought = BUYERS as i64 + 1;
    assert_eq!(units(&mut staff, "BOLT").await, (UNITS - bought, bought, 0));
    let path = format!("/api/v1/orders/{}", before["id"].as_str().unwrap());
    assert_eq!(get(&mut guest, path).await["status"], "created");
}

#[tokio::test]
async fn keys_that_cannot_be_written_stop_the_server() {
    let mut shop = Shop::open(&[]).await;
    let faults = Faults::under(&mut shop);
    shop.crash().await;
    let mut guest = shop.guest();
    faults.begin("pwrite /vault ENOSPC 0");
    let body = json!({ "name": "Ana", "email": "ana@example.com", "password": PASSWORD });
    let registration = Request::post("/api/v1/users", &body).key(&key());
    assert!(is_unknown(&send(&mut guest, registration.clone()).await));
    assert!(!shop.ended().await.success());
    let last = shop.last_words();
    for word in ["the keys cannot be written", "/vault: No space left on device", "make room on this disk"] {
        assert!(last.contains(word), "no {word} in the last words: {last}");
    }
    faults.end();
    shop.start().await;
    expect(&send(&mut guest, registration).await, 201);
}
