//! Far more carts and open orders than may be live at once: memory is bounded, every single one answers again, and every
//! deadline fires, also across SIGKILL.

use std::sync::Arc;
use std::time::{Duration, Instant};

use relampago_load::{Client, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::api::{expect, get, key, product, purchase, send, state, text, units};
use crate::process::{Memory, metric, sum};
use crate::support::{Shop, eventually, eventually_within, is_long};

/// Skus that everything is about, each with more units than are ever wanted.
const SKUS: usize = 100;
const UNITS: i64 = 1_000_000;
/// Connections that fill the shop and look at all of it.
const WORKERS: usize = 64;

/// How much there is of everything.
#[derive(Clone, Copy)]
struct Plan {
    carts: usize,
    orders: usize,
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

/// What was made, and how many units are in it.
#[derive(Clone)]
struct Made {
    id: String,
    units: i64,
}

/// What every one of them must be like.
#[derive(Clone, Copy)]
enum Like {
    /// It shows what was put into it.
    Whole,
    /// It does, and its time is over.
    Over,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_kept_in_little_memory_and_none_is_forgotten() {
    let plan = if is_long() { LONG } else { QUICK };
    let settings = [
        ("ENGINE__RESIDENT_ENTITIES", plan.resident),
        ("ORDERS__RESERVATION_TTL", plan.order_ttl),
        ("CARTS__TTL", plan.cart_ttl),
    ];
    let mut shop = Shop::open_alone(&settings).await;
    let mut staff = shop.staff();
    for number in 0..SKUS {
        product(&mut staff, &sku(number), "19.99", UNITS).await;
    }

    let began = Instant::now();
    let carts = fill(&shop, plan.carts, open_cart).await;
    let orders = fill(&shop, plan.orders, buy).await;
    println!("{} carts and {} orders in {:?}", plan.carts, plan.orders, began.elapsed());

    let resident: f64 = plan.resident.parse().unwrap();
    eventually("the rest leaves memory", async || (live(&mut staff).await <= resident).then_some(())).await;
    assert_bounded("filled", &shop, plan);
    assert_all(&shop, &carts, &orders, Like::Whole).await;

    // In the middle of the deadlines.
    let mut guest = shop.guest();
    let first = format!("/api/v1/orders/{}", orders[0].id);
    eventually_within(plan.patience, "the first order expires", async || {
        (state(&get(&mut guest, &first).await) == ("cancelled", Some("expired"))).then_some(())
    })
    .await;
    shop.kill().await;
    let took = shop.start().await;
    println!("ready {took:?} after SIGKILL");
    assert_all(&shop, &carts, &orders, Like::Whole).await;
    eventually_within(plan.patience, "every deadline has fired", async || {
        (metric(&mut staff, "relampago_deadlines_waiting").await == 0.0).then_some(())
    })
    .await;
    for number in 0..SKUS {
        eventually("all stock is back", async || {
            (units(&mut staff, &sku(number)).await == (UNITS, 0, 0)).then_some(())
        })
        .await;
    }
    assert_all(&shop, &carts, &orders, Like::Over).await;
    eventually("the rest leaves memory", async || (live(&mut staff).await <= resident).then_some(())).await;
    assert_bounded("all expired", &shop, plan);
}

fn sku(number: usize) -> String {
    format!("SKU-{:07}", number % SKUS)
}

/// An open cart with one line. Without a key: that would be remembered as long as the cart.
async fn open_cart(mut guest: Client, number: usize) -> (Client, Made) {
    let units = 1 + number as i64 % 3;
    let cart = expect(&send(&mut guest, Request::post("/api/v1/carts", &json!({}))).await, 201);
    let id = text(&cart, "id").to_owned();
    let line = json!({ "sku": sku(number), "quantity": units });
    expect(&send(&mut guest, Request::post(format!("/api/v1/carts/{id}/items"), &line)).await, 200);
    (guest, Made { id, units })
}

/// An order that nobody pays.
async fn buy(mut guest: Client, number: usize) -> (Client, Made) {
    let units = 1 + number as i64 % 3;
    let order = expect(&send(&mut guest, purchase(&sku(number), units).key(&key())).await, 201);
    let id = text(&order, "id").to_owned();
    (guest, Made { id, units })
}

/// Makes so many of something, on many connections.
async fn fill<F>(
    shop: &Shop,
    count: usize,
    make: impl Fn(Client, usize) -> F + Copy + Send + 'static,
) -> Arc<[Made]>
where
    F: Future<Output = (Client, Made)> + Send,
{
    let mut filling = JoinSet::new();
    for worker in 0..WORKERS {
        let mut guest = shop.guest();
        filling.spawn(async move {
            let mut all = Vec::new();
            for number in (worker..count).step_by(WORKERS) {
                let (again, made) = make(guest, number).await;
                guest = again;
                all.push(made);
            }
            all
        });
    }
    filling.join_all().await.concat().into()
}

/// Looks at every cart and every order, wherever its state lies.
async fn assert_all(shop: &Shop, carts: &Arc<[Made]>, orders: &Arc<[Made]>, like: Like) {
    let began = Instant::now();
    let mut looking = JoinSet::new();
    for worker in 0..WORKERS {
        let (mut guest, carts, orders) = (shop.guest(), Arc::clone(carts), Arc::clone(orders));
        looking.spawn(async move {
            for made in carts.iter().skip(worker).step_by(WORKERS) {
                let cart = get(&mut guest, format!("/api/v1/carts/{}", made.id)).await;
                made.assert_whole(&cart);
                assert!(matches!(like, Like::Whole) || state(&cart).0 == "expired", "{cart}");
            }
            for made in orders.iter().skip(worker).step_by(WORKERS) {
                let order = get(&mut guest, format!("/api/v1/orders/{}", made.id)).await;
                made.assert_whole(&order);
                let is_over = state(&order) == ("cancelled", Some("expired"));
                assert!(matches!(like, Like::Whole) || is_over, "{order}");
            }
        });
    }
    looking.join_all().await;
    println!("{} carts and {} orders looked at in {:?}", carts.len(), orders.len(), began.elapsed());
}

impl Made {
    fn assert_whole(&self, shown: &Value) {
        assert_eq!(shown["id"], self.id, "{shown}");
        assert_eq!(shown["items"][0]["quantity"], self.units, "{shown}");
    }
}

async fn live(staff: &mut Client) -> f64 {
    sum(staff, "relampago_actors_live").await
}

fn assert_bounded(when: &str, shop: &Shop, plan: Plan) {
    let memory = Memory::of(shop.process());
    println!("{when}: {memory}");
    assert!(memory.resident <= plan.memory, "{when}: {memory}, at most {} bytes expected", plan.memory);
}
