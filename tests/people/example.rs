//! The tour of a small storefront, the requests written as such a storefront writes them: a user by name and e-mail
//! alone, the catalogue, a cart, an order, its validation, its payment. In the end the user claims what was bought.

use relampago_load::{Client, Request};
use serde_json::{Value, json};

use super::ME;
use crate::api::{expect, get, key, post, product, send, state, text};
use crate::people_support::{Person, RESET, login, mailed_token};
use crate::support::{Shop, eventually};

const SCOPES: [&str; 7] = [
    "users:register",
    "catalogue:read",
    "carts:use",
    "orders:place",
    "orders:use",
    "orders:manage",
    "payments:make",
];

/// Sends `body` to `path` with the storefront's key and a key of the request's own.
async fn ask(shop: &mut Client, path: &str, body: Value) -> Value {
    let request = Request::post(path, &body).key(&key());
    let answer = send(shop, request).await;
    assert!(matches!(answer.code(), 200 | 201), "{path}: {}", answer.kind());
    answer.json().expect("a JSON body")
}

#[tokio::test]
async fn a_storefront_serves_somebody_who_claims_the_profile_later() {
    let shop = Shop::open(&[]).await;
    let (mut guest, mut admin) = (shop.guest(), shop.staff());
    product(&mut admin, "LAMP-1", "50.00", 10).await;
    let made = json!({ "name": "storefront", "scopes": SCOPES });
    let made = expect(&post(&mut admin, "/api/v1/api-keys", made).await, 201);
    let mut store = Client::staff(shop.target.clone(), text(&made, "key"));

    let user =
        ask(&mut store, "/api/v1/users/", json!({ "name": "Juan Pérez", "email": "juan@example.com" }));
    let user = user.await;
    assert_eq!(user["has_password"], false);
    let lamp = get(&mut store, "/api/v1/products/").await["items"][0].clone();
    let cart = ask(&mut store, "/api/v1/carts", json!({ "user_id": user["id"] })).await;
    let line = json!({ "product_id": lamp["id"], "quantity": 2 });
    let path = format!("/api/v1/carts/{}/items", text(&cart, "id"));
    let cart = ask(&mut store, &path, line.clone()).await;
    assert_eq!(text(&cart, "total"), "100.00");
    let order = ask(&mut store, "/api/v1/orders/", json!({ "user_id": user["id"], "items": [line] })).await;
    assert_eq!((&order["user_id"], text(&order, "total")), (&user["id"], "100.00"));
    let validated = ask(&mut store, "/api/v1/validations/validate", json!({ "order_id": order["id"] })).await;
    assert_eq!(validated["valid"], true, "{validated}");
    let payment = json!({ "order_id": order["id"], "amount": 100.0, "payment_method": "credit_card" });
    let payment = ask(&mut store, "/api/v1/payments/process", payment).await;
    assert_eq!((text(&payment, "status"), text(&payment, "amount")), ("approved", "100.00"));

    expect(
        &post(&mut guest, "/api/v1/auth/password/reset", json!({ "email": "juan@example.com" })).await,
        202,
    );
    let token = mailed_token(&mut admin, "juan@example.com", RESET).await;
    let set = json!({ "token": token, "new_password": "another horse 7" });
    assert_eq!(post(&mut guest, "/api/v1/auth/password", set).await.code(), 204);
    let juan = Person::of(&login(&mut guest, "juan@example.com", "another horse 7").await);
    let claimed = juan.get(&mut guest, ME).await;
    assert_eq!((&claimed["id"], &claimed["email_verified"]), (&user["id"], &json!(true)));
    eventually("the paid order is listed", async || {
        let orders = juan.get(&mut guest, "/api/v1/users/me/orders").await;
        let first = &orders["items"][0];
        (first["id"] == order["id"] && state(first).0 == "paid").then_some(())
    })
    .await;
}
