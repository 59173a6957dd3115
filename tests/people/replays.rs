//! A request about people that comes again under its key gets the same answer.

use relampago_load::{Answer, Client, Request};
use serde_json::{Value, json};

use crate::api::{expect, get, key, post, problem, send};
use crate::people_support::{PASSWORD, Person, RESET, account, login, mailed_token, register};
use crate::support::Shop;

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == Some("true")
}

/// Sends `request` twice, and with `other` as its body: the first answer, and the same again.
async fn twice(client: &mut Client, request: &Request, other: &Value, status: u16) -> (Value, Value) {
    let first = send(client, request.clone()).await;
    let again = send(client, request.clone()).await;
    assert!(!replayed(&first) && replayed(&again), "{} {}", request.method, request.path);
    problem(&send(client, request.clone().json(other)).await, 422, "idempotency_key_reused");
    (expect(&first, status), expect(&again, status))
}

#[tokio::test]
async fn a_registration_is_one() {
    let mut shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let body = json!({ "name": "Ana", "email": "ana@example.com", "password": PASSWORD });
    let request = Request::post("/api/v1/users", &body).key(&key());
    let mut other = body.clone();
    other["password"] = "another horse 7".into();
    let (first, again) = twice(&mut guest, &request, &other, 201).await;
    assert_eq!(first, again);
    shop.crash().await;
    let after = send(&mut guest, request).await;
    assert_eq!((expect(&after, 201), replayed(&after)), (first, true));

    // A refusal leaves no trace: the key may be tried again once the address is free.
    let late = json!({ "name": "Bea", "email": "ana@example.com" });
    let late = Request::post("/api/v1/users", &late).key(&key());
    problem(&send(&mut guest, late.clone()).await, 409, "email_taken");
    let ana = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    let moved = Request::patch("/api/v1/users/me", &json!({ "email": "ana@example.org" }));
    expect(&ana.send(&mut guest, moved).await, 200);
    expect(&send(&mut guest, late).await, 201);
}

#[tokio::test]
async fn a_sign_in_is_one_session() {
    let mut shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    register(&mut guest, "Ana", "ana@example.com", Some(PASSWORD)).await;
    let body = json!({ "email": "ana@example.com", "password": PASSWORD });
    let request = Request::post("/api/v1/auth/login", &body).key(&key());
    let first = send(&mut guest, request.clone()).await;
    let again = send(&mut guest, request.clone()).await;
    shop.crash().await;
    let after = send(&mut guest, request).await;
    assert_eq!([&first, &again, &after].map(replayed), [false, true, true]);
    let [first, again, after] = [&first, &again, &after].map(Person::of);
    for person in [&again, &after] {
        assert_eq!((&person.session, &person.refresh), (&first.session, &first.refresh));
        person.get(&mut guest, "/api/v1/users/me").await;
    }
}

#[tokio::test]
async fn a_refresh_that_comes_again_is_no_theft() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let bea = account(&mut guest, "Bea", "bea@example.com").await;
    let request = |person: &Person, key: &str| {
        Request::post("/api/v1/auth/refresh", &json!({ "refresh_token": person.refresh })).key(key)
    };
    let (one, two) = (key(), key());
    let first = send(&mut guest, request(&ana, &one)).await;
    let again = send(&mut guest, request(&ana, &one)).await;
    assert_eq!([&first, &again].map(replayed), [false, true]);
    assert_eq!(Person::of(&first).refresh, Person::of(&again).refresh);
    Person::of(&again).get(&mut guest, "/api/v1/users/me").await;
    // Under another key it is one.
    problem(&send(&mut guest, request(&ana, &two)).await, 401, "refresh_token_reused");
    Person::of(&send(&mut guest, request(&bea, &two)).await);
}

#[tokio::test]
async fn an_api_key_is_one() {
    let mut shop = Shop::open(&[]).await;
    let mut staff = shop.staff();
    let body = json!({ "name": "storefront", "scopes": ["catalogue:read"] });
    let request = Request::post("/api/v1/api-keys", &body).key(&key());
    let other = json!({ "name": "storefront", "scopes": ["catalogue:write"] });
    let (first, again) = twice(&mut staff, &request, &other, 201).await;
    assert_eq!(first, again);
    shop.crash().await;
    assert_eq!(expect(&send(&mut staff, request).await, 201), first);
    let all = get(&mut staff, "/api/v1/api-keys").await;
    assert_eq!(all["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_postal_address_is_one() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let add = json!({ "address": { "line1": "Calle 1" } });
    let add = Request::post("/api/v1/users/me/addresses", &add).key(&key());
    let first = ana.send(&mut guest, add.clone()).await;
    let again = ana.send(&mut guest, add).await;
    assert_eq!([&first, &again].map(replayed), [false, true]);
    assert_eq!(expect(&first, 201), expect(&again, 201));
}

#[tokio::test]
async fn a_password_is_set_once() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let change = json!({ "current_password": PASSWORD, "new_password": "another horse 7" });
    let change = Request::post("/api/v1/auth/password", &change).key(&key());
    let first = ana.send(&mut guest, change.clone()).await;
    let again = ana.send(&mut guest, change).await;
    assert_eq!((first.code(), again.code()), (204, 204), "{:?}", again.problem());
    assert_eq!([&first, &again].map(replayed), [false, true]);

    expect(
        &post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "ana@example.com" })).await,
        202,
    );
    let token = mailed_token(&mut staff, "ana@example.com", RESET).await;
    let reset = json!({ "token": token, "new_password": "a third horse 8" });
    let reset = Request::post("/api/v1/auth/password", &reset).key(&key());
    let first = send(&mut guest, reset.clone()).await;
    let again = send(&mut guest, reset).await;
    assert_eq!((first.code(), again.code()), (204, 204));
    assert_eq!([&first, &again].map(replayed), [false, true]);
}
