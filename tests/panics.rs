//! Code that panics, in the real server: a build of it that only these tests make is told where, see
//! `engine/src/injection.rs`. The rest is served, nothing acknowledged is lost, and every answer says what it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use relampago_load::{Ledger, Request, Sale, SalePlan};
use tokio::task::JoinSet;

use crate::api::{
    adjust, any_problem, cart_with, expect, get, key, order, problem, product, purchase, send, text, units,
};
use crate::support::{Shop, build, eventually, seed};

const PATIENCE: Duration = Duration::from_secs(60);
const UNITS: i64 = 1_000_000;
/// What dies is asked for again soon, and little stays live.
const SETTINGS: [(&str, &str); 2] = [("ENGINE__REDRIVE_INTERVAL", "50ms"), ("ENGINE__IDLE_TIMEOUT", "500ms")];
const BUYERS: i64 = 40;

/// What panics in a shop, and where.
struct Panics {
    rules: PathBuf,
}

impl Panics {
    /// Prepares the shop, which is started again.
    async fn under(shop: &mut Shop) -> Self {
        static SERVER: OnceLock<PathBuf> = OnceLock::new();
        let rules = shop.scratch().join("panics");
        shop.run_as(SERVER.get_or_init(|| build("relampago-injected", &["injection"])));
        shop.run_with("PANICS", rules.to_str().expect("a path in UTF-8"));
        shop.crash().await;
        Self { rules }
    }

    /// From here on code panics by this rule.
    fn begin(&self, rule: &str) {
        println!("{rule}");
        let whole = self.rules.with_extension("whole");
        fs::write(&whole, rule).expect("write the rule");
        fs::rename(whole, &self.rules).expect("put the rule in its place");
    }

    /// From here on none does.
    fn end(&self) {
        fs::remove_file(&self.rules).expect("remove the rule");
    }
}

/// How often code panicked on order at a place.
fn falls(log: &Path, at: &str) -> usize {
    let log = fs::read_to_string(log).expect("the server's log");
    let end = format!("falls while {at}");
    log.lines().filter(|line| line.starts_with("injected: ") && line.ends_with(&end)).count()
}

/// Where an entity may die on the way of a purchase, and what dies there.
const FALLS: [(&str, &[&str]); 6] = [
    ("Submitted", &["inventory:BOLT", "cart", "order", "payment"]),
    ("Applying", &["inventory:BOLT", "cart", "order", "payment"]),
    ("Applied", &["inventory:BOLT", "cart", "order", "payment"]),
    ("Answering", &["inventory:BOLT", "cart", "order", "payment"]),
    ("Activating", &["cart", "order", "payment"]),
    ("Retiring", &["cart", "order", "payment"]),
];

#[tokio::test]
async fn whoever_falls_the_rest_is_served_and_nothing_is_lost() {
    let seed = seed();
    let mut shop = Shop::open(&SETTINGS).await;
    let panics = Panics::under(&mut shop).await;
    let ledger = Ledger::default();
    for sku in ["BOLT", "STEADY"] {
        product(&mut shop.staff(), sku, "19.99", UNITS).await;
        ledger.stocked(sku, UNITS);
    }
    let plan = SalePlan { shoppers: 32, adjusters: 1, ..shop.sale(&["BOLT", "STEADY"], seed) };
    let sale = Sale::new(plan, ledger.clone());
    let mut running = JoinSet::new();
    let shoppers = sale.clone();
    running.spawn(async move { shoppers.run(|_| {}).await });

    let log = shop.log();
    for (at, entities) in FALLS {
        for (before, whom) in entities.iter().enumerate() {
            panics.begin(&format!("{at} {whom} once"));
            eventually("it falls", async || (falls(&log, at) > before).then_some(())).await;
            let bought = sale.report().orders;
            eventually("the sale goes on", async || (sale.report().orders > bought + 20).then_some(())).await;
            assert_eq!(falls(&log, at), before + 1, "{at} {whom}");
        }
    }
    panics.end();
    sale.stop();
    let report = running.join_next().await.unwrap().unwrap();
    println!("{report}");
    assert_eq!(report.lost, 0, "everybody was answered");
    shop.kill().await;
    shop.start_closed().await;
    let findings = shop.auditor().acknowledged(&ledger).await.unwrap();
    assert_eq!(findings, Vec::<String>::new());
    let findings = shop.auditor().books(&ledger, PATIENCE).await.unwrap();
    assert_eq!(findings, Vec::<String>::new());
}

/// Somebody has found a command that an entity's code cannot bear, and sends it all the time.
#[tokio::test]
async fn a_command_that_always_panics_takes_its_entity_from_nobody() {
    let mut shop = Shop::open(&SETTINGS).await;
    let panics = Panics::under(&mut shop).await;
    let mut staff = shop.staff();
    product(&mut staff, "BOLT", "1.00", UNITS).await;
    let cart = cart_with(&mut shop.guest(), "BOLT", 1).await;
    panics.begin("deciding:Adjust inventory:BOLT always\ndeciding:Remove cart always");
    let mut poisoning = JoinSet::new();
    for _ in 0..BUYERS {
        let mut staff = shop.staff();
        poisoning.spawn(async move { adjust(&mut staff, "BOLT", 1).await });
    }
    for _ in 0..BUYERS {
        order(&mut shop.guest(), "BOLT", 1).await;
    }
    for answer in poisoning.join_all().await {
        assert_eq!(problem(&answer, 500, "internal")["retryable"], false);
    }
    let shown = get(&mut shop.guest(), format!("/api/v1/carts/{cart}")).await;
    let path = format!("/api/v1/carts/{cart}/items/{}", text(&shown["items"][0], "id"));
    for _ in 0..3 {
        let answer = send(&mut shop.guest(), Request::delete(&path).key(&key())).await;
        problem(&answer, 500, "internal");
    }
    assert_eq!(get(&mut shop.guest(), format!("/api/v1/carts/{cart}")).await["items"], shown["items"]);
    assert_eq!(units(&mut staff, "BOLT").await, (UNITS - BUYERS, BUYERS, 0));
    let figures = String::from_utf8(send(&mut staff, Request::get("/metrics")).await.body.to_vec()).unwrap();
    assert!(!figures.contains("relampago_actors_restarted_total{kind=\"inventory\"} 1"), "{figures}");

    // Mended, it is carried out.
    panics.end();
    shop.crash().await;
    expect(&adjust(&mut staff, "BOLT", 1).await, 200);
    assert_eq!(units(&mut staff, "BOLT").await, (UNITS - BUYERS + 1, BUYERS, 0));
}

/// Who waits learns that nobody knows, the node says why it ends, and the same keys find out.
#[tokio::test]
async fn a_panic_that_ends_the_node_loses_nothing() {
    let mut shop = Shop::open(&SETTINGS).await;
    let panics = Panics::under(&mut shop).await;
    product(&mut shop.staff(), "BOLT", "1.00", UNITS).await;
    let mut bought = 0;
    for (rule, reason) in [
        ("appending - once", "the committer panicked"),
        ("appended - once", "the committer panicked"),
        ("applying inventory:BOLT always", "cannot be loaded"),
        ("sweeping inventory:BOLT once", "the sweeper panicked"),
    ] {
        let before = order(&mut shop.guest(), "BOLT", 1).await;
        panics.begin(rule);
        let purchases: Vec<Request> = (0..BUYERS).map(|_| purchase("BOLT", 1).key(&key())).collect();
        let mut asked = JoinSet::new();
        for request in purchases.clone() {
            let mut guest = shop.guest();
            asked.spawn(async move { guest.send(&request).await });
        }
        // Some find the server gone already.
        for answer in asked.join_all().await.into_iter().filter_map(Result::ok) {
            if answer.code() != 201 {
                let body = any_problem(&answer, 503);
                assert!(answer.header("retry-after").is_some(), "{body}");
                assert!(body["code"] == "outcome_unknown" || body["code"] == "shutting_down", "{body}");
            }
        }
        assert!(!shop.ended().await.success());
        assert!(shop.last_words().contains(reason), "{}", shop.last_words());

        panics.end();
        shop.start().await;
        let mut guest = shop.guest();
        for request in purchases {
            expect(&send(&mut guest, request).await, 201);
        }
        bought += BUYERS + 1;
        assert_eq!(units(&mut shop.staff(), "BOLT").await, (UNITS - bought, bought, 0), "{rule}");
        let path = format!("/api/v1/orders/{}", text(&before, "id"));
        assert_eq!(get(&mut guest, path).await["status"], "created");
    }
}
