//! API keys that are none, or none any more.

use std::time::{Duration, SystemTime};

use humantime::format_rfc3339_millis;
use relampago_load::{Answer, Client, Request};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{ME, stranger};
use crate::api::{expect, post, problem, send, text};
use crate::people_support::{account, colleague};
use crate::support::{API_KEY, Shop, eventually};

const KEYS: &str = "/api/v1/api-keys";
const STOCK: &str = "/api/v1/inventory/NONE";

async fn made(admin: &mut Client, body: Value) -> (String, String) {
    let made = expect(&post(admin, KEYS, body).await, 201);
    (text(&made, "id").to_owned(), text(&made, "key").to_owned())
}

async fn try_key(client: &mut Client, key: &str) -> Answer {
    send(client, Request::get(STOCK).header("x-api-key", key)).await
}

#[track_caller]
fn is_good(answer: &Answer) {
    problem(answer, 404, "inventory_not_found");
}

#[tokio::test]
async fn a_key_is_good_as_a_whole_or_not_at_all() {
    let shop = Shop::open(&[]).await;
    let (mut admin, mut guest) = (shop.staff(), shop.guest());
    let (_, key) = made(&mut admin, json!({ "name": "a", "scopes": ["stock:read"] })).await;
    let (_, other) = made(&mut admin, json!({ "name": "b", "scopes": ["stock:write"] })).await;
    is_good(&try_key(&mut guest, &key).await);
    // `rk_`, 22 letters of the id, `_`, 43 of the secret.
    let (id, secret) = (&key[..26], &key[26..]);
    let nobody = "A".repeat(22);
    let mut wrong = vec![
        format!("{id}{}", &other[26..]),
        format!("{}{secret}", &other[..26]),
        format!("rk_{nobody}_{secret}"),
        format!("{id}{}", "A".repeat(43)),
        key[..key.len() - 1].to_owned(),
        format!("{key}A"),
        format!("{key}="),
        format!("RK_{}", &key[3..]),
        key.to_uppercase(),
        key[3..].to_owned(),
        "rk_".to_owned(),
        format!("{API_KEY}x"),
        API_KEY[1..].to_owned(),
        API_KEY.to_uppercase(),
        format!("{API_KEY},{key}"),
        "x".repeat(10_000),
        "' OR '1'='1".to_owned(),
        "\u{f1}".to_owned(),
    ];
    wrong.extend((26..key.len()).map(|at| {
        let other = if key.as_bytes()[at] == b'A' { "B" } else { "A" };
        format!("{}{other}{}", &key[..at], &key[at + 1..])
    }));
    for wrong in wrong {
        problem(&try_key(&mut guest, &wrong).await, 401, "invalid_api_key");
        problem(&try_key(&mut guest, &wrong).await, 401, "invalid_api_key");
    }
    is_good(&try_key(&mut guest, &key).await);
}

#[tokio::test]
async fn a_revoked_key_is_refused_at_once() {
    let shop = Shop::open(&[]).await;
    let (mut admin, mut guest) = (shop.staff(), shop.guest());
    let (id, key) = made(&mut admin, json!({ "name": "a", "scopes": ["stock:read"] })).await;
    let mut known = Vec::new();
    for number in 0..8 {
        let mut client = stranger(&shop, number);
        is_good(&try_key(&mut client, &key).await);
        known.push(client);
    }
    expect(&send(&mut admin, Request::delete(format!("{KEYS}/{id}"))).await, 204);
    known.push(guest);
    for client in &mut known {
        problem(&try_key(client, &key).await, 401, "invalid_api_key");
    }
    // It stays so, also in the next life of the shop.
    let mut shop = shop;
    shop.crash().await;
    guest = shop.guest();
    problem(&try_key(&mut guest, &key).await, 401, "invalid_api_key");
    let shown = expect(&send(&mut shop.staff(), Request::get(format!("{KEYS}/{id}"))).await, 200);
    assert!(shown["revoked_at"].is_string() && shown.get("key").is_none(), "{shown}");
}

#[expect(clippy::disallowed_methods, reason = "a time to give to the server, by the clock that both have")]
fn now() -> SystemTime {
    SystemTime::now()
}

#[tokio::test]
async fn a_key_ends_when_its_time_has_come() {
    let shop = Shop::open(&[]).await;
    let (mut admin, mut guest) = (shop.staff(), shop.guest());
    let end = now() + Duration::from_secs(2);
    let body = json!({ "name": "a", "scopes": ["stock:read"], "expires_at": format_rfc3339_millis(end).to_string() });
    let (_, key) = made(&mut admin, body).await;
    is_good(&try_key(&mut guest, &key).await);
    eventually("the key has expired", async || (try_key(&mut guest, &key).await.code() == 401).then_some(()))
        .await;
    let now = now();
    assert!(now >= end - Duration::from_millis(1), "it ended too early");
    problem(&try_key(&mut stranger(&shop, 1), &key).await, 401, "invalid_api_key");
    for past in ["1999-12-31T23:59:59Z".to_owned(), format_rfc3339_millis(now).to_string()] {
        let body = json!({ "name": "a", "scopes": ["stock:read"], "expires_at": past });
        problem(&post(&mut admin, KEYS, body).await, 422, "validation_failed");
    }
}

#[tokio::test]
async fn a_caller_has_one_credential_of_one_kind() {
    let shop = Shop::open(&[]).await;
    let (mut admin, mut guest) = (shop.staff(), shop.guest());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let (_, key) = made(&mut admin, json!({ "name": "a", "scopes": ["stock:read"] })).await;
    let bearer = format!("Bearer {}", ana.access);
    // Both are known to be good before they are mixed up.
    is_good(&try_key(&mut guest, &key).await);
    assert_eq!(ana.send(&mut guest, Request::get(ME)).await.code(), 200);

    for (token, key) in
        [(&*bearer, &*key), (&bearer, API_KEY), ("Bearer rubbish", &key), (&bearer, "rubbish"), ("", "")]
    {
        let request = Request::get(ME).header("authorization", token).header("x-api-key", key);
        problem(&send(&mut guest, request).await, 401, "invalid_token");
    }
    for (name, first, second) in [
        ("authorization", &*bearer, "Bearer rubbish"),
        ("authorization", "Bearer rubbish", &bearer),
        ("authorization", &bearer, &bearer),
        ("x-api-key", &key, API_KEY),
        ("x-api-key", API_KEY, &key),
    ] {
        let mut request = Request::get(ME).header(name, first);
        request.headers.append(name, second.parse().unwrap());
        problem(&send(&mut guest, request).await, 401, "invalid_token");
    }
    for key in [&*key, API_KEY] {
        let request = Request::get(STOCK).header("authorization", &format!("Bearer {key}"));
        problem(&send(&mut guest, request).await, 401, "invalid_token");
    }
    problem(&try_key(&mut guest, &ana.access).await, 401, "invalid_api_key");
}

#[tokio::test]
async fn a_key_gives_no_more_than_its_maker_has() {
    let shop = Shop::open(&[]).await;
    let (mut admin, mut guest) = (shop.staff(), shop.guest());
    let (_, maker) =
        made(&mut admin, json!({ "name": "maker", "scopes": ["keys:manage", "stock:read"] })).await;
    let new = |scopes: Value| {
        Request::post(KEYS, &json!({ "name": "x", "scopes": scopes })).header("x-api-key", &maker)
    };
    expect(&send(&mut guest, new(json!(["stock:read"]))).await, 201);
    for more in ["stock:write", "roles:grant", "users:manage", "security:manage", "audit:read"] {
        problem(&send(&mut guest, new(json!(["stock:read", more]))).await, 403, "forbidden");
    }
    for odd in
        [json!([]), json!(["*"]), json!(["admin"]), json!("stock:read"), json!(["STOCK:READ"]), json!([[]])]
    {
        assert!(matches!(send(&mut guest, new(odd)).await.code(), 400 | 422));
    }
    let staff = colleague(&mut admin, &mut guest, "staff", "sam@example.com").await;
    let body = json!({ "name": "x", "scopes": ["stock:read"] });
    problem(&staff.send(&mut guest, Request::post(KEYS, &body)).await, 403, "forbidden");
    problem(&post(&mut guest, KEYS, body).await, 401, "authentication_required");
    // A program has no account of its own, whatever its scopes say.
    let (_, key) =
        made(&mut admin, json!({ "name": "self", "scopes": ["users:self", "users:manage"] })).await;
    let request = Request::get(ME).header("x-api-key", &key);
    problem(&send(&mut guest, request).await, 404, "user_not_found");
    let unknown = Request::get(format!("/api/v1/users/{}", Uuid::now_v7())).header("x-api-key", &key);
    problem(&send(&mut guest, unknown).await, 404, "user_not_found");
    let new =
        json!({ "name": "x", "email": "x@example.com", "password": "correct horse 9", "role": "admin" });
    let request = Request::post("/api/v1/users", &new).header("x-api-key", &key);
    problem(&send(&mut guest, request).await, 403, "forbidden");
}
