//! Guessing passwords: it is slowed down where it happens, and nowhere else.

use std::collections::BTreeMap;

use relampago_load::{Answer, Client, Request};
use serde_json::json;
use tokio::task::JoinSet;

use super::{stranger, told};
use crate::api::{problem, send};
use crate::people_support::{PASSWORD, Person, account, login, register};
use crate::support::Shop;

/// Failures in a row that cost nothing.
const FREE: usize = 5;

async fn guess(client: &mut Client, email: &str) -> Answer {
    login(client, email, "wrong horse 9").await
}

#[track_caller]
fn must_wait(answer: &Answer) {
    let body = problem(answer, 429, "too_many_attempts");
    assert_eq!(body["retryable"], true);
    let seconds: u64 = answer.header("retry-after").expect("Retry-After").parse().unwrap();
    assert!((1..=900).contains(&seconds), "{seconds}");
}

/// Guesses until the place has to wait; what every answer told.
async fn lock(client: &mut Client, email: &str) -> Vec<(u16, serde_json::Value)> {
    let mut answers = Vec::new();
    for _ in 0..FREE {
        let answer = guess(client, email).await;
        problem(&answer, 401, "invalid_credentials");
        answers.push(told(&answer));
    }
    let answer = guess(client, email).await;
    must_wait(&answer);
    answers.push(told(&answer));
    answers.into_iter().map(|(status, _, body)| (status, body)).collect()
}

#[tokio::test]
async fn a_guesser_locks_nobody_else_out() {
    let shop = Shop::open(&[]).await;
    let (mut owner, mut thief) = (shop.guest(), stranger(&shop, 1));
    register(&mut owner, "Ana", "ana@example.com", Some(PASSWORD)).await;
    register(&mut owner, "Eve", "eve@example.com", Some(PASSWORD)).await;
    let known = lock(&mut thief, "ana@example.com").await;
    // The right password is not even looked at: the wait tells nothing.
    must_wait(&login(&mut thief, "ana@example.com", PASSWORD).await);
    must_wait(&login(&mut thief, "Ana@Example.COM", PASSWORD).await);
    // Whoever the thief says they are: nobody in between is trusted.
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.7"),
        ("x-forwarded-for", "127.0.0.1\t,\t127.0.0.1"),
        ("forwarded", "for=203.0.113.7"),
        ("x-real-ip", "203.0.113.7"),
    ] {
        let body = json!({ "email": "ana@example.com", "password": PASSWORD });
        must_wait(&send(&mut thief, Request::post("/api/v1/auth/login", &body).header(name, value)).await);
    }
    // From a new connection it is the same place, from elsewhere it is not, and others' accounts are open to both.
    must_wait(&login(&mut stranger(&shop, 1), "ana@example.com", PASSWORD).await);
    Person::of(&login(&mut owner, "ana@example.com", PASSWORD).await);
    Person::of(&login(&mut thief, "eve@example.com", PASSWORD).await);
    // None of that is forgotten: at most the first wait is over by now, which earns one more guess.
    let mut guesses = 0;
    while guess(&mut thief, "ana@example.com").await.code() == 401 {
        guesses += 1;
    }
    assert!(guesses < FREE, "{guesses} guesses before the next wait");

    let unknown = lock(&mut stranger(&shop, 2), "nobody@example.com").await;
    assert_eq!(unknown, known, "an account that is not there is treated like one that is");
}

#[tokio::test]
async fn a_storm_of_guesses_gets_no_further() {
    const GUESSES: usize = 40;
    let shop = Shop::open(&[]).await;
    let mut owner = shop.guest();
    register(&mut owner, "Ana", "ana@example.com", Some(PASSWORD)).await;
    for email in ["ana@example.com", "nobody@example.com"] {
        let mut storm = JoinSet::new();
        for _ in 0..GUESSES {
            let mut client = stranger(&shop, 3);
            storm.spawn(async move { guess(&mut client, email).await.kind() });
        }
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for kind in storm.join_all().await {
            *kinds.entry(kind).or_default() += 1;
        }
        let looked_at = kinds.get("401 invalid_credentials").copied().unwrap_or_default();
        let refused = kinds.get("429 too_many_attempts").copied().unwrap_or_default();
        assert_eq!(looked_at + refused, GUESSES, "{kinds:?}");
        // A storm that lasts earns another try when the first wait is over.
        assert!((1..=FREE + 2).contains(&looked_at), "{kinds:?}");
    }
    Person::of(&login(&mut owner, "ana@example.com", PASSWORD).await);
}

#[tokio::test]
async fn guessing_at_the_current_password_is_no_way_round() {
    let shop = Shop::open(&[]).await;
    let (mut owner, mut thief) = (shop.guest(), stranger(&shop, 4));
    let ana = account(&mut owner, "Ana", "ana@example.com").await;
    let change = |current: &str| {
        let body = json!({ "current_password": current, "new_password": "battery staple 9" });
        Request::post("/api/v1/auth/password", &body)
    };
    for _ in 0..FREE {
        problem(&ana.send(&mut thief, change("wrong horse 9")).await, 401, "invalid_credentials");
    }
    must_wait(&ana.send(&mut thief, change(PASSWORD)).await);
    let set = ana.send(&mut owner, change(PASSWORD)).await;
    assert_eq!(set.code(), 204, "{}", set.problem());
}

#[tokio::test]
async fn who_gets_it_right_starts_afresh() {
    let shop = Shop::open(&[]).await;
    let mut owner = shop.guest();
    register(&mut owner, "Ana", "ana@example.com", Some(PASSWORD)).await;
    for _ in 0..3 {
        for _ in 0..FREE - 1 {
            problem(&guess(&mut owner, "ana@example.com").await, 401, "invalid_credentials");
        }
        Person::of(&login(&mut owner, "ana@example.com", PASSWORD).await);
    }
}
