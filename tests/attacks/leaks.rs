//! What must not be read anywhere: passwords, tokens, keys and personal data, in logs and figures.

use std::fs;

use relampago_load::Request;
use serde_json::json;

use super::ME;
use crate::api::{expect, key, post, product, purchase, send, text};
use crate::people_support::{Person, RESET, VERIFY, login, mailed_token, refresh};
use crate::support::{API_KEY, Shop};

#[tokio::test]
async fn neither_log_nor_figures_show_secrets() {
    const FIRST: &str = "first-secret-horse";
    const SECOND: &str = "second-secret-horse";
    const THIRD: &str = "third-secret-horse";
    const WRONG: &str = "wrong-secret-horse";
    let mut shop = Shop::open(&[("LOG__FILTER", "trace"), ("LOG__FORMAT", "json")]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    let mut secrets: Vec<String> =
        [API_KEY, FIRST, SECOND, THIRD, WRONG, "zacarias", "Zacarías", "Calle Secreta", "+51 999 888 777"]
            .map(str::to_owned)
            .into();

    let new = json!({
        "name": "Zacarías", "email": "zacarias@example.com", "password": FIRST, "phone": "+51 999 888 777",
    });
    let registration = key();
    expect(&send(&mut guest, Request::post("/api/v1/users", &new).key(&registration)).await, 201);
    assert_eq!(login(&mut guest, "zacarias@example.com", WRONG).await.code(), 401);
    let one = Person::of(&login(&mut guest, "zacarias@example.com", FIRST).await);
    let two = Person::of(&refresh(&mut guest, &one.refresh).await);
    let verify = mailed_token(&mut admin, "zacarias@example.com", VERIFY).await;
    expect(&post(&mut guest, "/api/v1/auth/email/verify", json!({ "token": verify })).await, 204);
    let place = json!({ "address": { "line1": "Calle Secreta" } });
    expect(&two.send(&mut guest, Request::post(format!("{ME}/addresses"), &place)).await, 201);
    let body = json!({ "current_password": FIRST, "new_password": SECOND });
    expect(&two.send(&mut guest, Request::post("/api/v1/auth/password", &body)).await, 204);
    let body = json!({ "email": "zacarias@example.com" });
    expect(&post(&mut guest, "/api/v1/auth/password/reset", body).await, 202);
    let reset = mailed_token(&mut admin, "zacarias@example.com", RESET).await;
    let body = json!({ "token": reset, "new_password": THIRD });
    expect(&post(&mut guest, "/api/v1/auth/password", body.clone()).await, 204);
    assert_eq!(post(&mut guest, "/api/v1/auth/password", body).await.code(), 422);
    // A replay, refused tokens and keys, and broken bodies: errors are where secrets slip out.
    assert_eq!(refresh(&mut guest, &one.refresh).await.code(), 401);
    assert_eq!(two.send(&mut guest, Request::get(ME)).await.code(), 401);
    let broken = Request::post("/api/v1/auth/login", &json!({}));
    let broken = broken
        .bytes("application/json", format!(r#"{{"email":"zacarias@example.com","password":"{THIRD}",,"#));
    assert_eq!(send(&mut guest, broken).await.code(), 400);
    product(&mut admin, "BOLT", "1.00", 10).await;
    expect(&send(&mut guest, purchase("BOLT", 1).key(&key())).await, 201);
    let made = post(&mut admin, "/api/v1/api-keys", json!({ "name": "k", "scopes": ["stock:read"] })).await;
    let api_key = text(&expect(&made, 201), "key").to_owned();
    for text in [api_key.clone(), format!("{api_key}x")] {
        send(&mut guest, Request::get("/api/v1/inventory/BOLT").header("x-api-key", &text)).await;
    }
    for keys in ["signing", "personal_data"] {
        expect(&post(&mut admin, "/api/v1/admin/keys/rotate", json!({ "keys": keys })).await, 200);
    }
    let figures = send(&mut guest, Request::get("/metrics")).await;
    let figures = String::from_utf8_lossy(&figures.body).into_owned();
    // Tokens without what everybody may see: the ids, the claims.
    secrets.extend([&one, &two].map(|person| person.access.rsplit('.').next().unwrap().to_owned()));
    secrets.extend([&one, &two].map(|person| person.refresh[46..].to_owned()));
    secrets.extend([api_key[26..].to_owned(), verify, reset, registration]);
    let ring = fs::read_to_string(shop.data().join("keys.json")).unwrap();
    let ring: serde_json::Value = serde_json::from_str(&ring).unwrap();
    for (list, field) in [("master", "key"), ("signing", "seed")] {
        secrets.extend(ring[list].as_array().unwrap().iter().map(|key| text(key, field).to_owned()));
    }
    assert!(shop.terminate().await.success());

    let log = fs::read_to_string(shop.log()).unwrap();
    assert!(log.lines().count() > 100, "the log says next to nothing");
    for secret in secrets {
        assert!(!figures.contains(&secret), "{secret:?} stands in the figures");
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret:?} stands in the log");
    }
}
