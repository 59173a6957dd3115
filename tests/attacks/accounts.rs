//! What nobody gets by asking for it: roles, others' things, a second account under one address, weak passwords.

use relampago_load::Request;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{ME, stranger};
use crate::api::{any_problem, expect, faults, get, key, post, problem, send, text};
use crate::people_support::{PASSWORD, account, colleague, login, register};
use crate::support::Shop;

const USERS: &str = "/api/v1/users";

#[tokio::test]
async fn nobody_gives_themselves_more_than_they_have() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let staff = colleague(&mut admin, &mut guest, "staff", "sam@example.com").await;
    for role in ["staff", "admin"] {
        let new = json!({ "name": "Eve", "email": "eve@example.com", "password": PASSWORD, "role": role });
        problem(&post(&mut guest, USERS, new.clone()).await, 403, "forbidden");
        problem(&ana.send(&mut guest, Request::post(USERS, &new)).await, 403, "forbidden");
        problem(&staff.send(&mut guest, Request::post(USERS, &new)).await, 403, "forbidden");
        let change = json!({ "role": role });
        problem(&ana.send(&mut guest, Request::patch(ME, &change)).await, 403, "forbidden");
        let anas = Request::patch(format!("{USERS}/{}", ana.id), &change);
        problem(&staff.send(&mut guest, anas).await, 403, "forbidden");
    }
    problem(&staff.send(&mut guest, Request::patch(ME, &json!({ "role": "admin" }))).await, 403, "forbidden");
    for field in
        ["id", "email_verified", "verified", "has_password", "epoch", "version", "user_id", "permissions"]
    {
        let mut new = json!({ "name": "Eve", "email": "eve@example.com" });
        new[field] = json!(1);
        assert_eq!(faults(&post(&mut guest, USERS, new).await), [field]);
        let change = Request::patch(ME, &json!({ field: 1 }));
        assert_eq!(faults(&ana.send(&mut guest, change).await), [field]);
    }
    // A member that stands there twice is not the one that a filter in front of the shop saw.
    let twice = r#"{"name":"Eve","email":"eve@example.com","role":"customer","role":"admin"}"#;
    for sender in [&mut guest, &mut admin] {
        let request = Request::post(USERS, &Value::Null).bytes("application/json", twice).key(&key());
        any_problem(&send(sender, request).await, 400);
    }
    assert_eq!(text(&ana.get(&mut guest, ME).await, "role"), "customer");
    register(&mut guest, "Eve", "eve@example.com", None).await;
}

#[tokio::test]
async fn others_are_out_of_reach() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let eve = account(&mut guest, "Eve", "eve@example.com").await;
    let boss = colleague(&mut admin, &mut guest, "admin", "boss@example.com").await;
    let staff = colleague(&mut admin, &mut guest, "staff", "sam@example.com").await;
    let new = json!({ "address": { "line1": "Calle 1" } });
    let added = ana.send(&mut guest, Request::post(format!("{ME}/addresses"), &new)).await;
    let address = text(&expect(&added, 201), "id").to_owned();
    let anas = format!("{USERS}/{}", ana.id);

    for path in [ME, &*anas] {
        problem(&send(&mut guest, Request::get(path)).await, 401, "authentication_required");
        problem(&send(&mut guest, Request::delete(path)).await, 401, "authentication_required");
    }
    for request in [
        Request::get(&*anas),
        Request::patch(&*anas, &json!({ "name": "Eve" })),
        Request::delete(&*anas),
        Request::get(format!("{anas}/orders")),
        Request::get(format!("{anas}/addresses")),
        Request::post(format!("{anas}/addresses"), &new),
        Request::put(format!("{anas}/addresses/{address}"), &new),
        Request::delete(format!("{anas}/addresses/{address}")),
        Request::get(anas.to_uppercase().replace("/API/V1/USERS", USERS)),
        Request::get(format!("{USERS}/%6De")),
    ] {
        if request.path.ends_with("%6De") {
            assert_eq!(eve.send(&mut guest, request).await.code(), 200, "her own, oddly spelled");
            continue;
        }
        problem(&eve.send(&mut guest, request.clone()).await, 404, "user_not_found");
    }
    // An address of Ana's through Eve's own account.
    for id in [&*address, "../addresses", "%2e%2e", "*"] {
        let path = format!("{ME}/addresses/{id}");
        assert_eq!(eve.send(&mut guest, Request::delete(&*path)).await.code(), 404, "{path}");
        assert_eq!(eve.send(&mut guest, Request::put(&*path, &new)).await.code(), 404, "{path}");
    }
    let kept = ana.get(&mut guest, &format!("{ME}/addresses")).await;
    assert_eq!(kept["items"].as_array().unwrap().len(), 1);

    // Staff look after customers, and not after each other or administrators.
    for person in [&boss, &colleague(&mut admin, &mut guest, "staff", "tom@example.com").await] {
        let path = format!("{USERS}/{}", person.id);
        let change = Request::patch(&*path, &json!({ "email": "mine@example.com" }));
        problem(&staff.send(&mut guest, change).await, 403, "forbidden");
        problem(&staff.send(&mut guest, Request::delete(&*path)).await, 403, "forbidden");
    }
}

#[tokio::test]
async fn one_address_has_one_owner_however_many_ask_at_once() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    for round in ["ana@example.com", "jos\u{e9}@ñandú.ar"] {
        let spellings = [round.to_owned(), round.to_uppercase(), round.replace('\u{e9}', "e\u{301}")];
        let mut registrations = JoinSet::new();
        for number in 0..50 {
            let mut client = stranger(&shop, number);
            let body = json!({ "name": number.to_string(), "email": spellings[number % spellings.len()] });
            registrations.spawn(async move { post(&mut client, USERS, body).await });
        }
        let mut won = 0;
        for answer in registrations.join_all().await {
            if answer.code() == 201 {
                won += 1;
            } else {
                problem(&answer, 409, "email_taken");
            }
        }
        assert_eq!(won, 1, "{round}");
    }
    // Other spellings of one domain, and what only looks like a mailbox of its own.
    for same in
        ["ana@exam\u{ad}ple.com", "ana@\u{ff45}xample.com", "ANA@EXAMPLE.COM", "ana@EXAMPLE\u{3002}com"]
    {
        let body = json!({ "name": "Eve", "email": same });
        problem(&post(&mut guest, USERS, body).await, 409, "email_taken");
    }
    for odd in [
        "ana@example.com.",
        "ana@example..com",
        "\"ana\"@example.com",
        "ana(1)@example.com",
        "<ana@example.com>",
        "eve@x.es,ana@example.com",
        "ana@example.com\r\nBcc: eve@x.es",
        "ana@example.com\0",
        " ana@example.com",
        "ana@example.com\u{2028}",
        "ana@[127.0.0.1]",
        "ana",
        "@example.com",
    ] {
        let body = json!({ "name": "Eve", "email": odd });
        assert_eq!(faults(&post(&mut guest, USERS, body.clone()).await), ["email"], "{odd:?}");
        let reset = json!({ "email": odd });
        assert_eq!(faults(&post(&mut guest, "/api/v1/auth/password/reset", reset).await), ["email"]);
    }
    register(&mut guest, "Ana's box for the shop", "ana+shop@example.com", None).await;
}

#[tokio::test]
async fn a_key_is_its_callers() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana", "ana@example.com").await;
    let eve = account(&mut guest, "Eve", "eve@example.com").await;
    let (known, body) = (key(), json!({ "address": { "line1": "Calle 1" } }));
    let add = || Request::post(format!("{ME}/addresses"), &body).key(&known);
    let anas = expect(&ana.send(&mut guest, add()).await, 201);
    let eves = expect(&eve.send(&mut guest, add()).await, 201);
    assert_ne!(anas["id"], eves["id"]);
    assert_eq!(expect(&ana.send(&mut guest, add()).await, 201), anas);
    let listed = eve.get(&mut guest, &format!("{ME}/addresses")).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);

    // Registrations: the same key with another body, from another caller, and once the account is erased.
    let known = key();
    let new =
        |name: &str| Request::post(USERS, &json!({ "name": name, "email": "new@example.com" })).key(&known);
    let made = expect(&send(&mut guest, new("Nell")).await, 201);
    problem(&send(&mut stranger(&shop, 1), new("Eve")).await, 422, "idempotency_key_reused");
    problem(&eve.send(&mut guest, new("Nell")).await, 409, "email_taken");
    let mut admin = shop.staff();
    expect(&send(&mut admin, Request::delete(format!("{USERS}/{}", text(&made, "id")))).await, 204);
    problem(&send(&mut guest, new("Nell")).await, 404, "user_not_found");
    for weak in ["1", "short-key", "123456789012345678901"] {
        let request = Request::post(USERS, &json!({ "name": "N", "email": "n@example.com" })).key(weak);
        problem(&send(&mut guest, request).await, 400, "idempotency_key_invalid");
    }
}

#[tokio::test]
async fn weak_passwords_are_refused_wherever_one_is_chosen() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let ana = account(&mut guest, "Ana Quiroga", "ana@example.com").await;
    let long = "x1".repeat(65);
    for weak in ["", "1234567", "        ", "password", "PassWord1", "contraseña", "qwertyuiop", &long] {
        let new = json!({ "name": "Eve", "email": "eve@example.com", "password": weak });
        assert_eq!(faults(&post(&mut guest, USERS, new).await), ["password"], "{weak:?}");
        let body = json!({ "current_password": PASSWORD, "new_password": weak });
        let change = Request::post("/api/v1/auth/password", &body);
        assert_eq!(faults(&ana.send(&mut guest, change).await), ["new_password"], "{weak:?}");
    }
    for known in ["Eve Adams", "EVE.ADAMS@example.com"] {
        let new = json!({ "name": "Eve Adams", "email": "eve.adams@example.com", "password": known });
        assert_eq!(faults(&post(&mut guest, USERS, new).await), ["password"]);
    }
    let numbers = json!({ "name": "Eve", "email": "eve@example.com", "password": 1_234_567_890_u64 });
    assert_eq!(faults(&post(&mut guest, USERS, numbers).await), ["password"]);
    // Neither a new password alone, nor both proofs, nor somebody else's.
    for body in [
        json!({ "new_password": "battery staple 9" }),
        json!({ "new_password": "battery staple 9", "current_password": PASSWORD, "token": "x" }),
    ] {
        assert_eq!(faults(&post(&mut guest, "/api/v1/auth/password", body).await), ["current_password"]);
    }
    let body = json!({ "current_password": PASSWORD, "new_password": "battery staple 9" });
    problem(&post(&mut guest, "/api/v1/auth/password", body.clone()).await, 401, "authentication_required");
    let wrong = json!({ "current_password": "wrong horse 9", "new_password": "battery staple 9" });
    let change = Request::post("/api/v1/auth/password", &wrong);
    problem(&ana.send(&mut guest, change).await, 401, "invalid_credentials");
    assert_eq!(login(&mut guest, "ana@example.com", PASSWORD).await.code(), 200);
    let none = get(&mut shop.staff(), "/api/v1/admin/mail?to=eve@example.com").await;
    assert_eq!(none["items"], json!([]));
}
