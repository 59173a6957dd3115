//! Credentials that have ended, and those of others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use relampago_load::{Answer, Client, Request};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{ME, stranger, told};
use crate::api::{expect, key, order, post, problem, product, purchase, send, text};
use crate::people_support::{
    PASSWORD, Person, RESET, account, colleague, login, mailed_token, refresh, register,
};
use crate::support::Shop;

const LOGIN: &str = "/api/v1/auth/login";
const REFRESH: &str = "/api/v1/auth/refresh";

async fn me(client: &mut Client, person: &Person) -> Answer {
    person.send(client, Request::get(ME)).await
}

async fn log_out(client: &mut Client, person: &Person, body: Value) -> Answer {
    person.send(client, Request::post("/api/v1/auth/logout", &body)).await
}

/// Neither token of the session is good, on a connection that knew it and on a new one.
async fn is_over(shop: &Shop, known: &mut Client, person: &Person) {
    for client in [known, &mut shop.guest()] {
        problem(&me(client, person).await, 401, "invalid_token");
        problem(&refresh(client, &person.refresh).await, 401, "invalid_refresh_token");
        problem(&log_out(client, person, json!({})).await, 401, "invalid_token");
    }
}

#[tokio::test]
async fn nothing_is_left_of_a_session_after_sign_out() {
    let shop = Shop::open(&[]).await;
    let (mut one, mut other) = (shop.guest(), shop.guest());
    let first = account(&mut one, "Ana", "ana@example.com").await;
    let second = Person::of(&login(&mut other, "ana@example.com", PASSWORD).await);
    let third = Person::of(&login(&mut other, "ana@example.com", PASSWORD).await);
    for person in [&first, &second, &third] {
        assert_eq!(me(&mut one, person).await.code(), 200);
        assert_eq!(me(&mut other, person).await.code(), 200);
    }
    expect(&log_out(&mut other, &first, json!({})).await, 204);
    is_over(&shop, &mut one, &first).await;
    assert_eq!(me(&mut one, &second).await.code(), 200);
    expect(&log_out(&mut one, &second, json!({ "all": true })).await, 204);
    is_over(&shop, &mut other, &second).await;
    is_over(&shop, &mut other, &third).await;
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_the_session() {
    let shop = Shop::open(&[]).await;
    let (mut owner, mut thief) = (shop.guest(), stranger(&shop, 1));
    let first = account(&mut owner, "Ana", "ana@example.com").await;
    let apart = Person::of(&login(&mut owner, "ana@example.com", PASSWORD).await);
    let second = Person::of(&refresh(&mut owner, &first.refresh).await);
    assert_eq!((&second.id, &second.session), (&first.id, &first.session));
    assert_ne!(second.refresh, first.refresh);
    // Access tokens go on until they expire: only the refresh token is used up.
    assert_eq!(me(&mut thief, &first).await.code(), 200);
    assert_eq!(me(&mut owner, &second).await.code(), 200);

    problem(&refresh(&mut thief, &first.refresh).await, 401, "refresh_token_reused");
    is_over(&shop, &mut owner, &second).await;
    is_over(&shop, &mut thief, &first).await;
    assert_eq!(me(&mut owner, &apart).await.code(), 200, "another sign-in is another family");
}

#[tokio::test]
async fn refreshing_at_once_gives_one_family_at_most() {
    let shop = Shop::open(&[]).await;
    let mut owner = shop.guest();
    let ana = account(&mut owner, "Ana", "ana@example.com").await;
    let mut refreshes = JoinSet::new();
    for _ in 0..8 {
        let (mut client, token) = (shop.guest(), ana.refresh.clone());
        refreshes.spawn(async move { refresh(&mut client, &token).await });
    }
    let mut won = Vec::new();
    for answer in refreshes.join_all().await {
        if answer.code() == 200 {
            won.push(Person::of(&answer));
        } else {
            assert_eq!(answer.code(), 401, "{}", answer.problem());
        }
    }
    assert_eq!(won.len(), 1, "one token was refreshed with twice");
    is_over(&shop, &mut owner, &won[0]).await;
}

#[tokio::test]
async fn changed_refresh_tokens_are_refused() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let eve = account(&mut guest, "Eve", "eve@example.com").await;
    let bytes = |person: &Person| URL_SAFE_NO_PAD.decode(&person.refresh[3..]).unwrap();
    let (anas, eves) = (bytes(&ana), bytes(&eve));
    let token = |parts: [&[u8]; 3]| format!("rt_{}", URL_SAFE_NO_PAD.encode(parts.concat()));
    assert_eq!(token([&anas[..16], &anas[16..32], &anas[32..]]), ana.refresh);
    let nobody = Uuid::now_v7();
    for changed in [
        token([&anas[..16], &eves[16..32], &eves[32..]]),
        token([&eves[..16], &anas[16..32], &anas[32..]]),
        token([nobody.as_bytes(), &anas[16..32], &anas[32..]]),
        token([&anas[..16], nobody.as_bytes(), &anas[32..]]),
        token([&[0; 16], &[0; 16], &[0; 32]]),
        token([&anas[..16], &anas[16..32], &anas[32..63]]),
        format!("{}=", ana.refresh),
        format!("{} ", ana.refresh),
        format!("RT_{}", &ana.refresh[3..]),
        format!("rt_{}", "A".repeat(86)),
        ana.access.chars().take(200).collect(),
        "rt_".to_owned(),
        "../../keys.json".to_owned(),
    ] {
        problem(&refresh(&mut guest, &changed).await, 401, "invalid_refresh_token");
    }
    // Both go on: nobody ends a session without knowing which it is.
    Person::of(&refresh(&mut guest, &ana.refresh).await);
    Person::of(&refresh(&mut guest, &eve.refresh).await);
}

#[tokio::test]
async fn anothers_idempotency_key_opens_nothing() {
    let shop = Shop::open(&[]).await;
    let (mut victim, mut thief) = (shop.guest(), stranger(&shop, 1));
    register(&mut victim, "Ana", "ana@example.com", Some(PASSWORD)).await;
    register(&mut thief, "Eve", "eve@example.com", Some(PASSWORD)).await;
    let known = key();
    let sign_in =
        |email: &str| Request::post(LOGIN, &json!({ "email": email, "password": PASSWORD })).key(&known);
    let ana = Person::of(&send(&mut victim, sign_in("ana@example.com")).await);
    let again = Person::of(&send(&mut victim, sign_in("ana@example.com")).await);
    assert_eq!((&again.session, &again.refresh), (&ana.session, &ana.refresh), "a repetition");
    let eve = Person::of(&send(&mut thief, sign_in("eve@example.com")).await);
    let secret = |person: &Person| URL_SAFE_NO_PAD.decode(&person.refresh[3..]).unwrap().split_off(32);
    assert_ne!(secret(&ana), secret(&eve), "one key gives two people one secret");

    // The same for a refresh: the next secret is of the token that was shown.
    let known = key();
    let go_on =
        |person: &Person| Request::post(REFRESH, &json!({ "refresh_token": person.refresh })).key(&known);
    let (anas, eves) = (go_on(&ana), go_on(&eve));
    let ana = Person::of(&send(&mut victim, anas.clone()).await);
    assert_eq!(Person::of(&send(&mut victim, anas).await).refresh, ana.refresh, "a repetition");
    let eve = Person::of(&send(&mut thief, eves).await);
    assert_ne!(secret(&ana), secret(&eve), "one key gives two people one secret");
    // And a wrong password gets no answer that was meant for the right one.
    let body = json!({ "email": "ana@example.com", "password": "wrong horse 9" });
    problem(&send(&mut thief, Request::post(LOGIN, &body).key(&known)).await, 401, "invalid_credentials");
}

#[tokio::test]
async fn a_new_role_or_password_ends_what_was_before() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let path = format!("/api/v1/users/{}", ana.id);
    assert_eq!(me(&mut guest, &ana).await.code(), 200);
    expect(&send(&mut admin, Request::patch(&*path, &json!({ "role": "staff" }))).await, 200);
    is_over(&shop, &mut guest, &ana).await;
    let staff = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    let stock = Request::get("/api/v1/inventory/NONE");
    problem(&staff.send(&mut guest, stock.clone()).await, 404, "inventory_not_found");
    expect(&send(&mut admin, Request::patch(&*path, &json!({ "role": "customer" }))).await, 200);
    problem(&staff.send(&mut guest, stock).await, 401, "invalid_token");
    is_over(&shop, &mut guest, &staff).await;

    let kept = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    let other = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    expect(
        &post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "ana@example.com" })).await,
        202,
    );
    let mailed = mailed_token(&mut admin, "ana@example.com", RESET).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "battery staple 9" });
    expect(&kept.send(&mut guest, Request::post("/api/v1/auth/password", &body)).await, 204);
    is_over(&shop, &mut guest, &other).await;
    assert_eq!(me(&mut guest, &kept).await.code(), 200);
    problem(&login(&mut guest, "ana@example.com", PASSWORD).await, 401, "invalid_credentials");
    // What was mailed for the password of before sets none.
    let body = json!({ "token": mailed, "new_password": "thief's horse 9" });
    problem(&post(&mut guest, "/api/v1/auth/password", body).await, 422, "mailed_token_invalid");
    Person::of(&login(&mut guest, "ana@example.com", "battery staple 9").await);
}

#[tokio::test]
async fn nothing_is_left_of_who_was_erased() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    assert_eq!(me(&mut guest, &ana).await.code(), 200);
    expect(
        &post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "ana@example.com" })).await,
        202,
    );
    let mailed = mailed_token(&mut admin, "ana@example.com", RESET).await;
    expect(&ana.send(&mut guest, Request::delete(ME)).await, 204);

    is_over(&shop, &mut guest, &ana).await;
    let body = json!({ "token": mailed, "new_password": "thief's horse 9" });
    problem(&post(&mut guest, "/api/v1/auth/password", body).await, 422, "mailed_token_invalid");
    problem(
        &send(&mut admin, Request::get(format!("/api/v1/users/{}", ana.id))).await,
        404,
        "user_not_found",
    );
    let erased = login(&mut stranger(&shop, 1), "ana@example.com", PASSWORD).await;
    let unknown = login(&mut stranger(&shop, 1), "nobody@example.com", PASSWORD).await;
    assert_eq!(told(&erased), told(&unknown));
    // Who comes next under the address is somebody else.
    let next = account(&mut guest, "Ana", "ana@example.com").await;
    assert_ne!(next.id, ana.id);
    is_over(&shop, &mut guest, &ana).await;
}

#[tokio::test]
async fn cursors_and_ids_of_others_open_nothing() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    product(&mut admin, "BOLT", "1.00", 100).await;
    product(&mut admin, "NUT", "1.00", 100).await;
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let eve = colleague(&mut admin, &mut guest, "customer", "eve@example.com").await;
    let mut orders = Vec::new();
    for person in [&ana, &ana, &eve] {
        let made = person.send(&mut guest, purchase("BOLT", 1).key(&key())).await;
        orders.push(text(&expect(&made, 201), "id").to_owned());
    }
    let page = expect(&ana.send(&mut guest, Request::get(format!("{ME}/orders?limit=1"))).await, 200);
    let cursor = text(&page, "next_cursor").to_owned();
    let listed = |cursor: &str| Request::get(format!("{ME}/orders?limit=1&cursor={cursor}"));
    assert_eq!(ana.send(&mut guest, listed(&cursor)).await.code(), 200);
    for at in 0..cursor.len() {
        let other = if cursor.as_bytes()[at] == b'0' { "1" } else { "0" };
        let changed = format!("{}{other}{}", &cursor[..at], &cursor[at + 1..]);
        problem(&ana.send(&mut guest, listed(&changed)).await, 422, "validation_failed");
    }
    for elsewhere in ["/api/v1/products?", "/api/v1/orders?", &format!("{ME}/orders?status=paid&")] {
        let request = Request::get(format!("{elsewhere}limit=1&cursor={cursor}"));
        problem(&ana.send(&mut guest, request).await, 422, "validation_failed");
    }
    // A cursor is a place in a list and no key to it.
    let page = expect(&eve.send(&mut guest, listed(&cursor)).await, 200);
    assert!(page["items"].as_array().unwrap().iter().all(|order| order["user_id"] == eve.id), "{page}");

    let anas = &orders[0];
    for path in [format!("/api/v1/orders/{anas}"), format!("/api/v1/orders/{anas}/history")] {
        problem(&eve.send(&mut guest, Request::get(&*path)).await, 404, "order_not_found");
        problem(&send(&mut guest, Request::get(&*path)).await, 404, "order_not_found");
        assert_eq!(ana.send(&mut guest, Request::get(&*path)).await.code(), 200);
    }
    let cancel = Request::post(format!("/api/v1/orders/{anas}/cancel"), &json!({}));
    problem(&eve.send(&mut guest, cancel).await, 404, "order_not_found");
    // A guest's order is reached by its id alone: an id that is off by any bit reaches nothing.
    let guests = order(&mut guest, "BOLT", 1).await;
    let id: Uuid = text(&guests, "id").parse().unwrap();
    for bit in 0..128 {
        let near = Uuid::from_u128(id.as_u128() ^ (1 << bit));
        problem(
            &send(&mut guest, Request::get(format!("/api/v1/orders/{near}"))).await,
            404,
            "order_not_found",
        );
    }
    let taken = json!({ "items": [{ "sku": "NUT", "quantity": 1 }], "user_id": ana.id });
    problem(
        &eve.send(&mut guest, Request::post("/api/v1/orders", &taken).key(&key())).await,
        403,
        "forbidden",
    );
    problem(&post(&mut guest, "/api/v1/orders", taken).await, 403, "forbidden");
}
