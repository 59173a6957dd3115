//! Signing in, going on, signing out.

use relampago_load::Request;
use serde_json::json;

use super::ME;
use crate::api::{expect, faults, get, post, problem, send};
use crate::people_support::{PASSWORD, Person, account, login, refresh, register};
use crate::support::Shop;

const MOST_SESSIONS: usize = 20;

fn logout(all: bool) -> Request {
    Request::post("/api/v1/auth/logout", &json!({ "all": all }))
}

#[tokio::test]
async fn who_signs_in_gets_tokens() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let made = register(&mut guest, "Ana", "ana@example.com", Some(PASSWORD)).await;
    let answer = login(&mut guest, "ana@example.com", PASSWORD).await;
    let tokens = expect(&answer, 200);
    assert_eq!((&tokens["user_id"], &tokens["expires_in"]), (&made["id"], &json!(900)));
    assert!(tokens["refresh_expires_in"].as_u64().unwrap() > 29 * 86_400, "{tokens}");
    let wrong = problem(&login(&mut guest, "ana@example.com", "wrong").await, 401, "invalid_credentials");
    let nobody = problem(&login(&mut guest, "no@example.com", "wrong").await, 401, "invalid_credentials");
    assert_eq!(wrong["detail"], nobody["detail"]);
    let empty = post(&mut guest, "/api/v1/auth/login", json!({})).await;
    assert_eq!(faults(&empty), ["email", "password"]);
    let keys = get(&mut guest, "/.well-known/jwks.json").await;
    assert_eq!((&keys["keys"][0]["kty"], &keys["keys"][0]["crv"]), (&json!("OKP"), &json!("Ed25519")));
}

#[tokio::test]
async fn a_refresh_token_is_good_once() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let first = account(&mut guest, "Ana", "ana@example.com").await;
    let other = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    let second = Person::of(&refresh(&mut guest, &first.refresh).await);
    assert_eq!((&second.id, &second.session), (&first.id, &first.session));
    assert_ne!(second.refresh, first.refresh);
    first.get(&mut guest, ME).await;
    second.get(&mut guest, ME).await;

    problem(&refresh(&mut guest, &first.refresh).await, 401, "refresh_token_reused");
    problem(&refresh(&mut guest, &second.refresh).await, 401, "invalid_refresh_token");
    for token in [&first, &second] {
        problem(&token.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    }
    other.get(&mut guest, ME).await;
    Person::of(&refresh(&mut guest, &other.refresh).await);
    problem(&refresh(&mut guest, "rt_nonsense").await, 401, "invalid_refresh_token");
}

#[tokio::test]
async fn signing_out_ends_this_session_or_all() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let [one, two, three] = [
        account(&mut guest, "Ana", "ana@example.com").await,
        Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await),
        Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await),
    ];
    one.get(&mut guest, ME).await;
    assert_eq!(one.send(&mut guest, logout(false)).await.code(), 204);
    problem(&one.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    problem(&refresh(&mut guest, &one.refresh).await, 401, "invalid_refresh_token");
    three.get(&mut guest, ME).await;
    assert_eq!(two.send(&mut guest, logout(true)).await.code(), 204);
    for person in [&two, &three] {
        problem(&person.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    }
    problem(&send(&mut guest, logout(false)).await, 401, "authentication_required");
}

#[tokio::test]
async fn the_oldest_session_makes_room() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let oldest = account(&mut guest, "Ana", "ana@example.com").await;
    let second = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    oldest.get(&mut guest, ME).await;
    for _ in 1..MOST_SESSIONS {
        second.get(&mut guest, ME).await;
        Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    }
    problem(&oldest.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    second.get(&mut guest, ME).await;
}

#[tokio::test]
async fn sessions_outlive_a_crash_and_their_ends_too() {
    let mut shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let stays = account(&mut guest, "Ana", "ana@example.com").await;
    let leaves = Person::of(&login(&mut guest, "ana@example.com", PASSWORD).await);
    assert_eq!(leaves.send(&mut guest, logout(false)).await.code(), 204);
    shop.crash().await;
    stays.get(&mut guest, ME).await;
    problem(&leaves.send(&mut guest, Request::get(ME)).await, 401, "invalid_token");
    let next = Person::of(&refresh(&mut guest, &stays.refresh).await);
    shop.crash().await;
    problem(&refresh(&mut guest, &stays.refresh).await, 401, "refresh_token_reused");
    problem(&refresh(&mut guest, &next.refresh).await, 401, "invalid_refresh_token");
}
