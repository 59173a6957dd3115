//! Accounts and guest profiles: what people do with their own.

mod claims;
mod crashes;
mod example;
mod passwords;
mod replays;
mod sessions;
mod staff;

use relampago_load::Request;
use serde_json::{Value, json};

use crate::api::{expect, faults, get, key, order, post, problem, product, purchase, send, text};
use crate::people_support::{PASSWORD, Person, account, login, refresh, register};
use crate::support::{Shop, eventually};

const ME: &str = "/api/v1/users/me";
const MOST_ADDRESSES: usize = 50;

#[tokio::test]
async fn a_profile_is_made_and_shown() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    let body = json!({
        "name": "Ana Quiroga", "email": "Ana.Quiroga@Example.com", "password": PASSWORD, "phone": "+51 1 234 5678",
    });
    let answer = post(&mut guest, "/api/v1/users", body).await;
    let made = expect(&answer, 201);
    assert_eq!(made["name"], "Ana Quiroga");
    assert_eq!(made["email"], "Ana.Quiroga@Example.com");
    assert_eq!(made["phone"], "+51 1 234 5678");
    assert_eq!(made["role"], "customer");
    assert_eq!((&made["has_password"], &made["email_verified"]), (&json!(true), &json!(false)));
    assert_eq!(made["version"], 1);
    assert!(made.get("password").is_none(), "{made}");
    let path = format!("/api/v1/users/{}", text(&made, "id"));
    assert_eq!(answer.header("location"), Some(&*path));

    let ana = Person::of(&login(&mut guest, "ana.quiroga@EXAMPLE.com", PASSWORD).await);
    let shown = ana.send(&mut guest, Request::get(ME)).await;
    assert_eq!(expect(&shown, 200), made);
    assert_eq!(ana.get(&mut guest, &path).await, made);
    assert_eq!(get(&mut staff, &*path).await, made);
    let etag = shown.header("etag").expect("an ETag").to_owned();
    let again = ana.send(&mut guest, Request::get(ME).header("if-none-match", &etag)).await;
    assert_eq!(again.code(), 304);
}

#[tokio::test]
async fn nobody_registers_without_what_is_needed() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    for (body, expected) in [
        (json!({}), vec!["name", "email"]),
        (json!({ "name": "Ana", "email": "no address" }), vec!["email"]),
        (json!({ "name": "Ana", "email": "ana@example.com", "password": "short" }), vec!["password"]),
        (json!({ "name": "Ana", "email": "ana@example.com", "password": "password123" }), vec!["password"]),
        (
            json!({ "name": "Ana", "email": "ana@example.com", "password": "ana@example.com" }),
            vec!["password"],
        ),
        (json!({ "name": " ", "email": "ana@example.com", "phone": "call me" }), vec!["name", "phone"]),
        (json!({ "name": "Ana", "email": "ana@example.com", "age": 7 }), vec!["age"]),
    ] {
        assert_eq!(faults(&post(&mut guest, "/api/v1/users", body).await), expected);
    }
    let body = json!({ "name": "Ana", "email": "ana@example.com", "role": "staff" });
    problem(&post(&mut guest, "/api/v1/users", body).await, 403, "forbidden");
    register(&mut guest, "Ana", "ana@example.com", None).await;
}

#[tokio::test]
async fn a_profile_is_changed_by_its_owner() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let first = ana.send(&mut guest, Request::get(ME)).await;
    let etag = first.header("etag").expect("an ETag").to_owned();

    let change =
        Request::patch(ME, &json!({ "name": "Ana Q.", "phone": "+51 999" })).header("if-match", &etag);
    let changed = expect(&ana.send(&mut guest, change.clone()).await, 200);
    assert_eq!((text(&changed, "name"), text(&changed, "phone")), ("Ana Q.", "+51 999"));
    assert_eq!(changed["version"], 2);
    problem(&ana.send(&mut guest, change).await, 412, "version_conflict");

    let none = ana.send(&mut guest, Request::patch(ME, &json!({ "phone": null }))).await;
    assert_eq!(expect(&none, 200)["phone"], Value::Null);
    assert_eq!(text(&ana.get(&mut guest, ME).await, "name"), "Ana Q.");
    let odd = Request::patch(ME, &json!({ "name": null, "phone": 7, "password": "correct horse 10" }));
    assert_eq!(faults(&ana.send(&mut guest, odd).await), ["name", "phone", "password"]);
    let role = ana.send(&mut guest, Request::patch(ME, &json!({ "role": "admin" }))).await;
    problem(&role, 403, "forbidden");
}

#[tokio::test]
async fn what_is_anothers_is_not_there() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let eve = account(&mut guest, "Eve", "eve@example.com").await;
    let path = format!("/api/v1/users/{}", ana.id);
    for request in [
        Request::get(&path),
        Request::patch(&path, &json!({ "name": "Eve" })),
        Request::delete(&path),
        Request::get(format!("{path}/orders")),
        Request::get(format!("{path}/addresses")),
        Request::post(format!("{path}/addresses"), &json!({ "address": { "line1": "Calle 1" } })),
        Request::get("/api/v1/users/none"),
    ] {
        problem(&eve.send(&mut guest, request.clone()).await, 404, "user_not_found");
        problem(&send(&mut guest, request).await, 401, "authentication_required");
    }
    problem(&send(&mut guest, Request::get(ME)).await, 401, "authentication_required");
    problem(&send(&mut shop.staff(), Request::get(ME)).await, 404, "user_not_found");
}

#[tokio::test]
async fn postal_addresses_are_kept() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let all = "/api/v1/users/me/addresses";
    let home = json!({ "line1": "Calle 1", "city": "Lima", "floor": 3 });
    let answer = ana.send(&mut guest, Request::post(all, &json!({ "address": home }))).await;
    let added = expect(&answer, 201);
    assert_eq!(added["address"], home);
    let path = format!("/api/v1/users/{}/addresses/{}", ana.id, text(&added, "id"));
    assert_eq!(answer.header("location"), Some(&*path));
    let work = json!({ "line1": "Calle 2" });
    expect(&ana.send(&mut guest, Request::post(all, &json!({ "address": work }))).await, 201);
    let listed = ana.get(&mut guest, all).await;
    assert_eq!((&listed["items"][0], &listed["items"][1]["address"]), (&added, &work));

    let moved = json!({ "address": { "line1": "Calle 3" } });
    let stale = Request::put(&path, &moved).header("if-match", "\"1\"");
    problem(&ana.send(&mut guest, stale).await, 412, "version_conflict");
    let set = expect(&ana.send(&mut guest, Request::put(&path, &moved)).await, 200);
    assert_eq!((&set["id"], &set["address"]), (&added["id"], &moved["address"]));
    for _ in 0..2 {
        assert_eq!(ana.send(&mut guest, Request::delete(&path)).await.code(), 204);
    }
    problem(&ana.send(&mut guest, Request::put(&path, &moved)).await, 404, "address_not_found");
    assert_eq!(ana.get(&mut guest, all).await["items"].as_array().unwrap().len(), 1);
    for odd in [json!({}), json!({ "address": "Calle 1" })] {
        assert_eq!(faults(&ana.send(&mut guest, Request::post(all, &odd)).await), ["address"]);
    }
}

#[tokio::test]
async fn postal_addresses_are_limited() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let add = Request::post("/api/v1/users/me/addresses", &json!({ "address": { "line1": "Calle 1" } }));
    for _ in 0..MOST_ADDRESSES {
        expect(&ana.send(&mut guest, add.clone()).await, 201);
    }
    problem(&ana.send(&mut guest, add).await, 409, "too_many_addresses");
}

#[tokio::test]
async fn own_orders_are_listed_and_nobody_elses() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let eve = account(&mut guest, "Eve", "eve@example.com").await;
    order(&mut guest, "BOLT", 1).await;
    let own = expect(&ana.send(&mut guest, purchase("BOLT", 2).key(&key())).await, 201);
    assert_eq!(text(&own, "user_id"), ana.id);

    let mine = eventually("the order is listed", async || {
        let mine = ana.get(&mut guest, "/api/v1/users/me/orders").await;
        (!mine["items"].as_array().unwrap().is_empty()).then_some(mine)
    })
    .await;
    assert_eq!(mine["items"], json!([own]));
    assert_eq!(get(&mut staff, format!("/api/v1/users/{}/orders", ana.id)).await["items"], mine["items"]);
    assert_eq!(eve.get(&mut guest, "/api/v1/users/me/orders").await["items"], json!([]));
    let path = format!("/api/v1/orders/{}", text(&own, "id"));
    assert_eq!(ana.get(&mut guest, &path).await, own);
    problem(&eve.send(&mut guest, Request::get(&path)).await, 404, "order_not_found");
    problem(&send(&mut guest, Request::get(&path)).await, 404, "order_not_found");
}

#[tokio::test]
async fn who_is_erased_is_gone_and_the_orders_stay() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let buy = json!({
        "items": [{ "sku": "BOLT", "quantity": 1 }], "email": "ana@example.com",
        "shipping_address": { "line1": "Calle 1" },
    });
    let bought = ana.send(&mut guest, Request::post("/api/v1/orders", &buy).key(&key())).await;
    let bought = expect(&bought, 201);

    assert_eq!(ana.send(&mut guest, Request::delete(ME)).await.code(), 204);
    let path = format!("/api/v1/users/{}", ana.id);
    for request in
        [Request::get(&path), Request::delete(&path), Request::patch(&path, &json!({ "name": "Ana" }))]
    {
        problem(&send(&mut staff, request).await, 404, "user_not_found");
    }
    problem(&ana.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    problem(&login(&mut guest, "ana@example.com", PASSWORD).await, 401, "invalid_credentials");
    let refused = refresh(&mut guest, &ana.refresh).await;
    problem(&refused, 401, "invalid_refresh_token");

    let order = format!("/api/v1/orders/{}", text(&bought, "id"));
    assert_eq!(get(&mut staff, &*order).await["items"], bought["items"]);
    let history = get(&mut staff, format!("{order}/history")).await.to_string();
    assert!(!history.contains("ana@") && !history.contains("Calle"), "{history}");
    let again = account(&mut guest, "Ana again", "ana@example.com").await;
    assert_ne!(again.id, ana.id);
    problem(&again.send(&mut guest, Request::get(&order)).await, 404, "order_not_found");
}
