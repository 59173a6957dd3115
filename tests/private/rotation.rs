//! Keys are replaced while the shop sells: nobody notices, and everything can be read afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use relampago_load::{Answer, Client, Request, Rng};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::ME;
use crate::api::{expect, get, key, post, product, send, text};
use crate::people_support::{PASSWORD, Person, login, refresh};
use crate::support::{Shop, pass, seed};

const CUSTOMERS: usize = 6;
const ROTATE_EVERY: Duration = Duration::from_millis(100);
/// Of both kinds together.
const ROTATIONS: usize = 40;
const KILLS: u32 = 5;
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody, and what must be read of them ever after.
struct Kept {
    person: Person,
    name: String,
    email: String,
    street: String,
    order: Value,
}

/// Customers who come and go until `stop`.
async fn customers(mut client: Client, number: usize, stop: Arc<AtomicBool>) -> Vec<Kept> {
    let mut kept = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        kept.push(customer(&mut client, &format!("{number}-{}", kept.len())).await);
    }
    kept
}

/// Registers, signs in, reads, changes, buys, goes on.
async fn customer(client: &mut Client, number: &str) -> Kept {
    let (name, email, street) =
        (format!("Ana {number}"), format!("ana-{number}@example.com"), format!("Calle {number}"));
    let body = json!({ "name": "Ana", "email": email, "password": PASSWORD });
    expect(&post(client, "/api/v1/users", body).await, 201);
    let first = Person::of(&login(client, &email, PASSWORD).await);
    assert_eq!(text(&first.get(client, ME).await, "email"), email);
    let renamed = first.send(client, Request::patch(ME, &json!({ "name": name }))).await;
    assert_eq!(text(&expect(&renamed, 200), "name"), name);
    let add = json!({ "address": { "line1": street } });
    let add = Request::post("/api/v1/users/me/addresses", &add).key(&key());
    expect(&first.send(client, add).await, 201);
    let buy = json!({
        "items": [{ "sku": "BOLT", "quantity": 1 }], "email": email, "shipping_address": { "line1": street },
    });
    let buy = first.send(client, Request::post("/api/v1/orders", &buy).key(&key())).await;
    let person = Person::of(&refresh(client, &first.refresh).await);
    first.get(client, ME).await;
    Kept { person, name, email, street, order: expect(&buy, 201) }
}

fn rotation(number: usize) -> Request {
    let kind = if number.is_multiple_of(2) { "personal_data" } else { "signing" };
    Request::post("/api/v1/admin/keys/rotate", &json!({ "keys": kind }))
}

fn active(answer: &Answer) -> String {
    text(&expect(answer, 200), "active").to_owned()
}

/// Everything of everybody is as it was, and their tokens are good.
async fn assert_all_there(client: &mut Client, admin: &mut Client, all: &[Kept]) {
    for kept in all {
        let Kept { person, name, email, street, order } = kept;
        let own = person.get(client, ME).await;
        assert_eq!((text(&own, "name"), text(&own, "email")), (&**name, &**email));
        assert_eq!(get(admin, format!("/api/v1/users/{}", person.id)).await, own);
        let addresses = person.get(client, "/api/v1/users/me/addresses").await;
        assert_eq!(text(&addresses["items"][0]["address"], "line1"), street);
        let path = format!("/api/v1/orders/{}", text(order, "id"));
        assert_eq!(person.get(client, &path).await, *order);
    }
}

#[tokio::test]
async fn keys_are_replaced_under_load_and_nobody_notices() {
    let seed = seed();
    let mut shop = Shop::open_alone(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    product(&mut admin, "BOLT", "1.00", 1_000_000).await;
    let mut all = vec![customer(&mut guest, "before").await];

    let stop = Arc::new(AtomicBool::new(false));
    let mut running = JoinSet::new();
    for number in 0..CUSTOMERS {
        running.spawn(customers(shop.guest(), number, Arc::clone(&stop)));
    }
    let (mut tick, mut names) = (interval(ROTATE_EVERY), Vec::new());
    for number in 0..ROTATIONS {
        tick.tick().await;
        names.push(active(&send(&mut admin, rotation(number)).await));
    }
    stop.store(true, Ordering::Relaxed);
    let came: Vec<Kept> = running.join_all().await.into_iter().flatten().collect();
    println!("{} customers during {ROTATIONS} rotations", came.len());
    assert!(came.len() >= CUSTOMERS);
    names.sort();
    names.dedup();
    assert_eq!(names.len(), ROTATIONS, "a rotation gave no new key");
    all.extend(came);
    assert_all_there(&mut guest, &mut admin, &all).await;

    assert!(shop.terminate().await.success());
    shop.start().await;
    assert_all_there(&mut guest, &mut admin, &all).await;
    all[0].person = Person::of(&refresh(&mut guest, &all[0].person.refresh).await);
    crash_amid_rotations(&mut shop, Rng::new(seed)).await;
    assert_all_there(&mut guest, &mut admin, &all).await;
    customer(&mut guest, "after").await;
}

/// Kills the server at some moment of a rotation, again and again.
async fn crash_amid_rotations(shop: &mut Shop, mut rng: Rng) {
    for round in 0..KILLS {
        let mut admin = shop.staff();
        let mut rotating = JoinSet::new();
        rotating.spawn(async move {
            for number in round as usize.. {
                if admin.persist(&rotation(number), PATIENCE, |_| {}).await.is_err() {
                    break;
                }
            }
        });
        // Any moment will do.
        pass(Instant::now() + Duration::from_micros(20_000 + rng.below(40_000))).await;
        shop.kill().await;
        rotating.shutdown().await;
        shop.start().await;
    }
}
