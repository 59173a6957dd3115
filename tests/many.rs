//! Far more carts and open orders than may be live at once: memory is bounded, each of them answers again, and every
//! deadline fires, also across SIGKILL.

use std::time::{Duration, Instant};

use relampago_load::Client;
use relampago_speed::load::{Load, Pace, Scenario, Skus};
use relampago_speed::probe::buy;
use relampago_speed::template::{ADMIN_KEY, Template};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::api::{cart_with, get, order, state, text, units};
use crate::process::{Memory, metric, sum};
use crate::support::{Shop, eventually, eventually_within, is_long};

/// Skus that everything is about, each with more units than are ever wanted.
const SKUS: u64 = 100;
const UNITS: i64 = 1_000_000;
/// Connections that fill the shop.
const WORKERS: usize = 64;
/// Carts and orders that are looked at, a third of them made before, in the middle and after the others.
const WITNESSES: usize = 30;

/// How much there is of everything.
#[derive(Clone, Copy)]
struct Plan {
    carts: u64,
    orders: u64,
    resident: &'static str,
    order_ttl: &'static str,
    cart_ttl: &'static str,
    /// What memory may be in use once it is quiet, bytes.
    memory: u64,
    /// For all deadlines to have fired.
    patience: Duration,
}

/// What the shop is made for: some 200 bytes for everything that is known, and a little more for what is live.
const LONG: Plan = Plan {
    carts: 300_000,
    orders: 200_000,
    resident: "20000",
    order_ttl: "4m",
    cart_ttl: "5m",
    memory: 768 << 20,
    patience: Duration::from_secs(900),
};

const QUICK: Plan = Plan {
    carts: 3_000,
    orders: 2_000,
    resident: "200",
    order_ttl: "4s",
    cart_ttl: "5s",
    memory: 384 << 20,
    patience: Duration::from_secs(60),
};

/// A cart and an order of which the ids are known.
struct Witness {
    cart: String,
    order: Value,
}

#[tokio::test]
async fn many_are_kept_in_little_memory_and_none_is_forgotten() {
    let plan = if is_long() { LONG } else { QUICK };
    let settings = [
        ("AUTH__BOOTSTRAP_API_KEY", ADMIN_KEY),
        ("ENGINE__RESIDENT_ENTITIES", plan.resident),
        ("ORDERS__RESERVATION_TTL", plan.order_ttl),
        ("CARTS__TTL", plan.cart_ttl),
    ];
    let mut shop = Shop::open_alone(&settings).await;
    let mut staff = Client::staff(shop.target.clone(), ADMIN_KEY);
    fill(&shop, vec![product()], Skus::From(0), SKUS).await;

    let began = Instant::now();
    let mut witnesses = bear_witness(&shop).await;
    fill(&shop, cart(), Skus::RandomBelow(SKUS), plan.carts).await;
    witnesses.extend(bear_witness(&shop).await);
    fill(&shop, vec![buy()], Skus::RandomBelow(SKUS), plan.orders).await;
    witnesses.extend(bear_witness(&shop).await);
    println!("{} carts and {} orders in {:?}", plan.carts, plan.orders, began.elapsed());

    let resident: f64 = plan.resident.parse().unwrap();
    eventually("the rest leaves memory", async || (live(&mut staff).await <= resident).then_some(())).await;
    assert_bounded("filled", &shop, plan);
    assert_all_answer(&shop, &witnesses).await;

    // In the middle of the deadlines.
    let mut guest = shop.guest();
    eventually_within(plan.patience, "the first order expires", async || {
        has_expired(&mut guest, &witnesses[0]).await.then_some(())
    })
    .await;
    shop.kill().await;
    let took = shop.start().await;
    println!("ready {took:?} after SIGKILL");
    assert_all_answer(&shop, &witnesses).await;
    eventually_within(plan.patience, "every deadline has fired", async || {
        (metric(&mut staff, "relampago_deadlines_waiting").await == 0.0).then_some(())
    })
    .await;
    for sku in 0..SKUS {
        let sku = format!("SKU-{sku:07}");
        eventually("all stock is back", async || {
            (units(&mut staff, &sku).await == (UNITS, 0, 0)).then_some(())
        })
        .await;
    }
    for witness in &witnesses {
        assert!(has_expired(&mut guest, witness).await, "{}", witness.order);
        let cart = get(&mut guest, format!("/api/v1/carts/{}", witness.cart)).await;
        assert_eq!(state(&cart).0, "expired", "{cart}");
    }
    eventually("the rest leaves memory", async || (live(&mut staff).await <= resident).then_some(())).await;
    assert_bounded("all expired", &shop, plan);
}

fn product() -> Template {
    let body = format!(r#"{{"name":"Item","sku":"SKU-{{sku}}","price":"19.99","stock_quantity":{UNITS}}}"#);
    Template::post("/api/v1/products", &body)
}

/// An open cart with one line. Without a key: that would be remembered as long as the cart.
fn cart() -> Vec<Template> {
    let line = r#"{"sku":"SKU-{sku}","quantity":1}"#;
    vec![
        Template::post_without_key("/api/v1/carts", "{}"),
        Template::post_without_key("/api/v1/carts/{id}/items", line),
    ]
}

/// Carries out so many units of work, each of which must succeed.
async fn fill(shop: &Shop, steps: Vec<Template>, skus: Skus, count: u64) {
    let (address, requests) = (shop.address(), steps.len() as u64 * count);
    let scenario = Scenario { steps, skus };
    let filled = spawn_blocking(move || Load::connect(address, &scenario, WORKERS, Pace::Closed)?.run(count));
    let outcome = filled.await.unwrap().unwrap();
    let done = outcome.with_status(200) + outcome.with_status(201);
    assert_eq!(done, requests, "{:?}", outcome.statuses);
}

async fn bear_witness(shop: &Shop) -> Vec<Witness> {
    let mut guest = shop.guest();
    let mut witnesses = Vec::new();
    for number in 0..WITNESSES / 3 {
        let sku = format!("SKU-{number:07}");
        let cart = cart_with(&mut guest, &sku, 2).await;
        witnesses.push(Witness { cart, order: order(&mut guest, &sku, 1).await });
    }
    witnesses
}

/// Every one shows what was put into it, wherever its state lies.
async fn assert_all_answer(shop: &Shop, witnesses: &[Witness]) {
    let mut guest = shop.guest();
    for Witness { cart, order } in witnesses {
        let cart = get(&mut guest, format!("/api/v1/carts/{cart}")).await;
        assert_eq!(cart["items"][0]["quantity"], 2, "{cart}");
        let now = get(&mut guest, format!("/api/v1/orders/{}", text(order, "id"))).await;
        assert_eq!(now["items"], order["items"], "{now}");
    }
}

async fn has_expired(guest: &mut Client, witness: &Witness) -> bool {
    let path = format!("/api/v1/orders/{}", text(&witness.order, "id"));
    state(&get(guest, path).await) == ("cancelled", Some("expired"))
}

async fn live(staff: &mut Client) -> f64 {
    sum(staff, "relampago_actors_live").await
}

fn assert_bounded(when: &str, shop: &Shop, plan: Plan) {
    let memory = Memory::of(shop.process());
    println!("{when}: {memory}");
    assert!(memory.resident <= plan.memory, "{when}: {memory}, at most {} bytes expected", plan.memory);
}
