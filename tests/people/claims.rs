//! An e-mail address is one person's: it is proved, changed, given up and taken over.

use relampago_load::Request;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::ME;
use crate::api::{expect, post, problem, send, text};
use crate::people_support::{
    NOTICE, PASSWORD, Person, RESET, VERIFY, account, letter, login, mailed_token, register,
};
use crate::support::Shop;

const AT_ONCE: usize = 30;

fn verify(token: &str) -> Request {
    Request::post("/api/v1/auth/email/verify", &json!({ "token": token }))
}

#[tokio::test]
async fn a_new_address_is_proved_anew() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let first = mailed_token(&mut staff, "ana@example.com", VERIFY).await;
    for _ in 0..2 {
        assert_eq!(send(&mut guest, verify(&first)).await.code(), 204);
    }
    assert_eq!(ana.get(&mut guest, ME).await["email_verified"], true);

    let change = json!({ "email": "ana@example.org", "name": "Ana Q." });
    let changed = expect(&ana.send(&mut guest, Request::patch(ME, &change)).await, 200);
    assert_eq!((text(&changed, "email"), text(&changed, "name")), ("ana@example.org", "Ana Q."));
    assert_eq!(changed["email_verified"], false);
    assert!(letter(&mut staff, "ana@example.com", NOTICE).await.contains("Ana"));
    let second = mailed_token(&mut staff, "ana@example.org", VERIFY).await;
    problem(&send(&mut guest, verify(&first)).await, 422, "mailed_token_invalid");
    assert_eq!(send(&mut guest, verify(&second)).await.code(), 204);
    assert_eq!(ana.get(&mut guest, ME).await["email_verified"], true);

    problem(&login(&mut guest, "ana@example.com", PASSWORD).await, 401, "invalid_credentials");
    assert_eq!(Person::of(&login(&mut guest, "ana@example.org", PASSWORD).await).id, ana.id);
    let bea = register(&mut guest, "Bea", "ana@example.com", None).await;
    assert_ne!(text(&bea, "id"), ana.id);
}

#[tokio::test]
async fn another_mail_to_prove_it_by_can_be_asked_for() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let token = mailed_token(&mut staff, "ana@example.com", VERIFY).await;
    let ask = Request::post("/api/v1/auth/email/verification", &json!({}));
    expect(&ana.send(&mut guest, ask.clone()).await, 202);
    problem(&send(&mut guest, ask).await, 401, "authentication_required");
    // The one of the registration stays good, whatever is asked for.
    assert_eq!(send(&mut guest, verify(&token)).await.code(), 204);
    problem(&send(&mut guest, verify("no token")).await, 422, "mailed_token_invalid");
    let reset = json!({ "token": token, "new_password": "another horse 7" });
    problem(&post(&mut guest, "/api/v1/auth/password", reset).await, 422, "mailed_token_invalid");
}

#[tokio::test]
async fn a_taken_address_changes_nothing() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    register(&mut guest, "Bea", "bea@ñandú.example", None).await;
    let before = ana.get(&mut guest, ME).await;
    for spelling in ["bea@ñandú.example", "BEA@ÑANDÚ.example", "bea@xn--and-6ma2c.example"] {
        let body = json!({ "name": "Eve", "email": spelling });
        problem(&post(&mut guest, "/api/v1/users", body.clone()).await, 409, "email_taken");
        problem(&ana.send(&mut guest, Request::patch(ME, &body)).await, 409, "email_taken");
    }
    assert_eq!(ana.get(&mut guest, ME).await, before);
    // Another spelling of one's own address is no change of it.
    let respelled = Request::patch(ME, &json!({ "email": "ANA@example.com" }));
    assert_eq!(expect(&ana.send(&mut guest, respelled).await, 200), before);
}

#[tokio::test]
async fn of_many_at_once_one_gets_it() {
    let shop = Shop::open(&[]).await;
    let mut callers = JoinSet::new();
    for n in 0..AT_ONCE {
        let mut guest = shop.guest();
        let spelling = if n % 2 == 0 { "ana@example.com" } else { "Ana@Example.com" };
        let body = json!({ "name": format!("Ana {n}"), "email": spelling });
        callers.spawn(async move { post(&mut guest, "/api/v1/users", body).await });
    }
    let answers = callers.join_all().await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.code() == 201);
    assert_eq!((made.len(), refused.len()), (1, AT_ONCE - 1));
    for answer in refused {
        problem(answer, 409, "email_taken");
    }
}

#[tokio::test]
async fn a_guest_profile_becomes_its_owners_by_mail_alone() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut staff) = (shop.guest(), shop.staff());
    let profile = register(&mut guest, "Ana", "ana@example.com", None).await;
    assert_eq!(profile["has_password"], false);
    for password in [PASSWORD, ""] {
        let body = json!({ "email": "ana@example.com", "password": password });
        assert!(matches!(post(&mut guest, "/api/v1/auth/login", body).await.code(), 401 | 422));
    }
    let body = json!({ "name": "Eve", "email": "ana@example.com", "password": PASSWORD });
    problem(&post(&mut guest, "/api/v1/users", body).await, 409, "email_taken");

    let asked = post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "ANA@example.com" })).await;
    let nobody = post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "no@example.com" })).await;
    assert_eq!(expect(&asked, 202), expect(&nobody, 202));
    let token = mailed_token(&mut staff, "ana@example.com", RESET).await;
    let set = json!({ "token": token, "new_password": "another horse 7" });
    assert_eq!(post(&mut guest, "/api/v1/auth/password", set.clone()).await.code(), 204);
    problem(&post(&mut guest, "/api/v1/auth/password", set).await, 422, "mailed_token_invalid");

    let ana = Person::of(&login(&mut guest, "ana@example.com", "another horse 7").await);
    let claimed = ana.get(&mut guest, ME).await;
    assert_eq!((&claimed["id"], &claimed["name"]), (&profile["id"], &profile["name"]));
    assert_eq!((&claimed["has_password"], &claimed["email_verified"]), (&json!(true), &json!(true)));
    assert_eq!(claimed["phone"], Value::Null);
}
