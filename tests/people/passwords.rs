//! Passwords: changed by who knows them, reset by who reads the mailbox.

use std::time::{Duration, Instant};

use relampago_load::{Answer, Client, Request};
use serde_json::{Value, json};

use super::ME;
use crate::api::{expect, faults, post, problem, send};
use crate::people_support::{PASSWORD, Person, RESET, account, login, mailed_token, refresh};
use crate::support::{Shop, pass};

const NEXT: &str = "another horse 7";

fn set(body: Value) -> Request {
    Request::post("/api/v1/auth/password", &body)
}

async fn reset(client: &mut Client, token: &str, password: &str) -> Answer {
    send(client, set(json!({ "token": token, "new_password": password }))).await
}

#[tokio::test]
async fn who_knows_the_password_changes_it() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let here = account(&mut guest, "Ana", "ana@example.com").await;
    let there = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    there.get(&mut guest, ME).await;

    let wrong =
        here.send(&mut guest, set(json!({ "current_password": "wrong", "new_password": NEXT }))).await;
    problem(&wrong, 401, "invalid_credentials");
    let change = set(json!({ "current_password": PASSWORD, "new_password": NEXT }));
    problem(&send(&mut guest, change.clone()).await, 401, "authentication_required");
    assert_eq!(here.send(&mut guest, change).await.code(), 204);

    here.get(&mut guest, ME).await;
    Person::of(&refresh(&mut guest, &here.refresh).await);
    problem(&there.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    problem(&refresh(&mut guest, &there.refresh).await, 401, "invalid_refresh_token");
    problem(&login(&mut guest, "ana@example.com", PASSWORD).await, 401, "invalid_credentials");
    Person::of(&login(&mut guest, "ana@example.com", NEXT).await);
}

#[tokio::test]
async fn what_is_not_a_password_is_refused() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    for (body, expected) in [
        (json!({ "current_password": PASSWORD, "new_password": "short" }), vec!["new_password"]),
        (json!({ "current_password": PASSWORD, "new_password": "12345678" }), vec!["new_password"]),
        (json!({ "current_password": PASSWORD }), vec!["new_password"]),
        (json!({ "new_password": NEXT }), vec!["current_password"]),
        (
            json!({ "current_password": PASSWORD, "token": "t", "new_password": NEXT }),
            vec!["current_password"],
        ),
    ] {
        assert_eq!(faults(&ana.send(&mut guest, set(body)).await), expected);
    }
    Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
}

#[tokio::test]
async fn who_reads_the_mailbox_resets_it_once() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    expect(
        &post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "ana@example.com" })).await,
        202,
    );
    let token = mailed_token(&mut staff, "ana@example.com", RESET).await;
    ana.get(&mut guest, ME).await;

    assert_eq!(faults(&reset(&mut guest, &token, "password").await), ["new_password"]);
    let mut forged = token.clone().into_bytes();
    forged[3] = if forged[3] == b'A' { b'B' } else { b'A' };
    let forged = String::from_utf8(forged).unwrap();
    problem(&reset(&mut guest, &forged, NEXT).await, 422, "mailed_token_invalid");
    assert_eq!(reset(&mut guest, &token, NEXT).await.code(), 204);
    problem(&reset(&mut guest, &token, "a third horse 8").await, 422, "mailed_token_invalid");
    problem(&ana.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    problem(&refresh(&mut guest, &ana.refresh).await, 401, "invalid_refresh_token");
    let verify = Request::post("/api/v1/auth/email/verify", &json!({ "token": token }));
    problem(&send(&mut guest, verify).await, 422, "mailed_token_invalid");
    let again = Person::of(&login(&mut guest, "ana@example.com", NEXT).await);
    assert_eq!(again.get(&mut guest, ME).await["email_verified"], true);
}

#[tokio::test]
async fn a_newer_password_or_address_voids_what_was_mailed() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    let ask = |email: &str| Request::post("/api/v1/auth/password/reset", &json!({ "email": email }));
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    expect(&send(&mut guest, ask("ana@example.com")).await, 202);
    let token = mailed_token(&mut staff, "ana@example.com", RESET).await;
    let change = set(json!({ "current_password": PASSWORD, "new_password": NEXT }));
    assert_eq!(ana.send(&mut guest, change).await.code(), 204);
    problem(&reset(&mut guest, &token, PASSWORD).await, 422, "mailed_token_invalid");

    let bea = account(&mut guest, "Bea", "bea@example.com").await;
    expect(&send(&mut guest, ask("bea@example.com")).await, 202);
    let token = mailed_token(&mut staff, "bea@example.com", RESET).await;
    let moved = Request::patch(ME, &json!({ "email": "bea@example.org" }));
    expect(&bea.send(&mut guest, moved).await, 200);
    problem(&reset(&mut guest, &token, NEXT).await, 422, "mailed_token_invalid");
}

#[tokio::test]
async fn a_mailed_token_has_its_time() {
    let shop = Shop::open(&[("AUTH__RESET_TOKEN_TTL", "1s")]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    account(&mut guest, "Ana", "ana@example.com").await;
    expect(
        &post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "ana@example.com" })).await,
        202,
    );
    let token = mailed_token(&mut staff, "ana@example.com", RESET).await;
    pass(Instant::now() + Duration::from_secs(1)).await;
    problem(&reset(&mut guest, &token, NEXT).await, 422, "mailed_token_invalid");
    Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
}
