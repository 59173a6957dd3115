//! Carts, orders and their refusals.

use serde_json::json;

use crate::api::{
    add, adjust, any_problem, cancel, cart_with, check_out, expect, get, inventory, key, order, order_now,
    post, problem, product, send, state, text, units,
};
use crate::support::Shop;
use relampago_load::Request;

#[tokio::test]
async fn a_cart_becomes_an_order() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let bolt = product(&mut staff, "BOLT", "0.10", 10).await;
    product(&mut staff, "SPARK", "19.99", 10).await;

    let cart = cart_with(&mut guest, "BOLT", 1).await;
    let body = json!({ "product_id": bolt["id"], "quantity": 2 });
    let merged = expect(&post(&mut guest, format!("/api/v1/carts/{cart}/items"), body).await, 200);
    assert_eq!(merged["items"].as_array().unwrap().len(), 1, "{merged}");
    assert_eq!(merged["items"][0]["quantity"], 3);
    assert_eq!(merged["items"][0]["line_total"], "0.30");
    let filled = expect(&add(&mut guest, &cart, "SPARK", 1).await, 200);
    assert_eq!((text(&filled, "total"), text(&filled, "currency")), ("20.29", "USD"));
    assert_eq!(text(&filled, "status"), "open");

    let answer = check_out(&mut guest, &cart, &key()).await;
    let order = expect(&answer, 201);
    let location = answer.header("location").expect("a Location");
    assert!(location.ends_with(&format!("/api/v1/orders/{}", text(&order, "id"))), "{location}");
    assert_eq!(state(&order), ("created", None));
    assert_eq!((text(&order, "total"), text(&order, "cart_id")), ("20.29", cart.as_str()));
    assert!(order["reservation_expires_at"].is_string());
    assert_eq!(units(&mut staff, "BOLT").await, (7, 3, 0));
    assert_eq!(text(&get(&mut guest, format!("/api/v1/carts/{cart}")).await, "status"), "checked_out");
    any_problem(&add(&mut guest, &cart, "BOLT", 1).await, 409);
}

#[tokio::test]
async fn lines_are_changed_and_removed() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let cart = cart_with(&mut guest, "BOLT", 1).await;
    let path = format!("/api/v1/carts/{cart}");
    let item = format!("{path}/items/{}", text(&get(&mut guest, &*path).await["items"][0], "id"));

    let changed = send(&mut guest, Request::patch(&*item, &json!({ "quantity": 5 }))).await;
    assert_eq!(expect(&changed, 200)["total"], "5.00");
    for _ in 0..2 {
        let removed = expect(&send(&mut guest, Request::delete(&*item)).await, 200);
        assert_eq!(removed["items"], json!([]));
    }
    problem(&check_out(&mut guest, &cart, &key()).await, 409, "cart_empty");
    let answer = send(&mut guest, Request::delete(&*path)).await;
    assert!(answer.status.is_success(), "{answer:?}");
}

#[tokio::test]
async fn a_changed_price_is_confirmed_by_changing_the_line() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let bolt = product(&mut staff, "BOLT", "1.00", 10).await;
    let cart = cart_with(&mut guest, "BOLT", 2).await;
    let path = format!("/api/v1/products/{}", text(&bolt, "id"));
    expect(&send(&mut staff, Request::patch(path, &json!({ "price": "1.50" }))).await, 200);

    let refusal = check_out(&mut guest, &cart, &key()).await;
    let body = problem(&refusal, 409, "price_changed");
    let line = json!({ "sku": "BOLT", "old": "1.00", "new": "1.50" });
    assert!(body.to_string().contains(&line["new"].to_string()), "{body}");
    assert_eq!(units(&mut staff, "BOLT").await, (10, 0, 0));

    let now = get(&mut guest, format!("/api/v1/carts/{cart}")).await;
    assert_eq!(text(&now, "total"), "2.00");
    let item = format!("/api/v1/carts/{cart}/items/{}", text(&now["items"][0], "id"));
    let confirmed = expect(&send(&mut guest, Request::patch(item, &json!({ "quantity": 2 }))).await, 200);
    assert_eq!(text(&confirmed, "total"), "3.00");
    let order = expect(&check_out(&mut guest, &cart, &key()).await, 201);
    assert_eq!(text(&order, "total"), "3.00");
}

#[tokio::test]
async fn a_refused_order_leaves_nothing_reserved() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "MANY", "1.00", 10).await;
    product(&mut staff, "FEW", "1.00", 1).await;
    let items = json!([{ "sku": "MANY", "quantity": 3 }, { "sku": "FEW", "quantity": 2 }]);

    let one_step = post(&mut guest, "/api/v1/orders", json!({ "items": items })).await;
    let cart = cart_with(&mut guest, "MANY", 3).await;
    expect(&add(&mut guest, &cart, "FEW", 2).await, 200);
    let through_cart = check_out(&mut guest, &cart, &key()).await;
    for refusal in [one_step, through_cart] {
        let body = problem(&refusal, 409, "out_of_stock");
        assert_eq!(body["items"], json!([{ "sku": "FEW", "requested": 2, "available": 1 }]));
    }
    assert_eq!(units(&mut staff, "MANY").await, (10, 0, 0));
    assert_eq!(units(&mut staff, "FEW").await, (1, 0, 0));
    assert_eq!(text(&get(&mut guest, format!("/api/v1/carts/{cart}")).await, "status"), "open");

    expect(&adjust(&mut staff, "FEW", 1).await, 200);
    expect(&check_out(&mut guest, &cart, &key()).await, 201);
    assert_eq!(units(&mut staff, "FEW").await, (0, 2, 0));
}

#[tokio::test]
async fn lines_of_one_sku_count_together() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let twice = json!([{ "sku": "BOLT", "quantity": 3 }, { "sku": "BOLT", "quantity": 3 }]);
    let refusal = post(&mut guest, "/api/v1/orders", json!({ "items": twice })).await;
    let body = problem(&refusal, 409, "out_of_stock");
    assert_eq!(body["items"], json!([{ "sku": "BOLT", "requested": 6, "available": 5 }]));

    let twice = json!([{ "sku": "BOLT", "quantity": 2 }, { "sku": "BOLT", "quantity": 3 }]);
    let order = expect(&post(&mut guest, "/api/v1/orders", json!({ "items": twice })).await, 201);
    assert_eq!(order["items"].as_array().unwrap().len(), 1, "{order}");
    assert_eq!(order["items"][0]["quantity"], 5);
    assert_eq!(units(&mut staff, "BOLT").await, (0, 5, 0));
}

#[tokio::test]
async fn a_cancelled_order_gives_its_stock_back_once() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let order = order(&mut guest, "BOLT", 2).await;
    let path = format!("/api/v1/orders/{}/cancel", text(&order, "id"));
    let request = Request::post(path, &json!({})).key(&key());
    for _ in 0..3 {
        assert_eq!(text(&expect(&send(&mut guest, request.clone()).await, 200), "status"), "cancelled");
    }
    assert_eq!(units(&mut staff, "BOLT").await, (5, 0, 0));
    assert_eq!(text(&order_now(&mut guest, &order).await, "status"), "cancelled");
}

#[tokio::test]
async fn an_order_keeps_its_history() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 5).await;
    let order = order(&mut guest, "BOLT", 2).await;
    expect(&cancel(&mut guest, &order).await, 200);
    let history = get(&mut guest, format!("/api/v1/orders/{}/history", text(&order, "id"))).await;
    let events = history.as_array().or_else(|| history["items"].as_array()).expect("events").clone();
    assert!(events.len() >= 3, "{history}");
    let sequences: Vec<u64> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.is_sorted_by(|one, next| one < next), "{sequences:?}");
    for event in &events {
        assert!(event["at"].is_string() && event["type"].is_string() && !event["data"].is_null(), "{event}");
    }
}

#[tokio::test]
async fn validation_names_what_would_be_refused() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 1).await;
    let cart = cart_with(&mut guest, "BOLT", 1).await;
    let ask = json!({ "cart_id": cart });
    let fine = expect(&post(&mut guest, "/api/v1/validations/validate", ask.clone()).await, 200);
    assert_eq!((&fine["valid"], &fine["violations"]), (&json!(true), &json!([])));

    expect(&adjust(&mut staff, "BOLT", -1).await, 200);
    let short = expect(&post(&mut guest, "/api/v1/validations/validate", ask).await, 200);
    assert_eq!(short["valid"], false);
    assert_eq!(text(&short["violations"][0], "code"), "out_of_stock");
    assert_eq!(text(&short["violations"][0], "sku"), "BOLT");
}

#[tokio::test]
async fn stock_is_set_and_adjusted_by_staff() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let bolt = product(&mut staff, "BOLT", "1.00", 5).await;
    let path = format!("/api/v1/products/{}", text(&bolt, "id"));
    order(&mut guest, "BOLT", 2).await;
    assert_eq!(get(&mut guest, &*path).await["stock_quantity"], 3);

    problem(&adjust(&mut staff, "BOLT", -4).await, 409, "insufficient_stock");
    expect(&adjust(&mut staff, "BOLT", -3).await, 200);
    assert_eq!(units(&mut staff, "BOLT").await, (0, 2, 0));
    let set = send(&mut staff, Request::patch(&*path, &json!({ "stock_quantity": 7 }))).await;
    assert_eq!(expect(&set, 200)["stock_quantity"], 7);
    let stock = inventory(&mut staff, "BOLT").await;
    assert_eq!((stock.stocked, stock.available, stock.reserved), (9, 7, 2));
}

#[tokio::test]
async fn an_archived_product_cannot_be_had() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let bolt = product(&mut staff, "BOLT", "1.00", 5).await;
    let order = order(&mut guest, "BOLT", 2).await;
    let cart = expect(&post(&mut guest, "/api/v1/carts", json!({})).await, 201);
    let path = format!("/api/v1/products/{}", text(&bolt, "id"));
    expect(&send(&mut staff, Request::delete(&*path)).await, 204);

    assert_eq!(send(&mut guest, Request::get(&*path)).await.code(), 404);
    let refusal = add(&mut guest, text(&cart, "id"), "BOLT", 1).await;
    assert!(refusal.status.is_client_error(), "{refusal:?}");
    assert_eq!(text(&order_now(&mut guest, &order).await, "status"), "created");
    assert_eq!(units(&mut staff, "BOLT").await.1, 2);
    let body = json!({ "name": "again", "sku": "BOLT", "price": "1.00" });
    problem(&post(&mut staff, "/api/v1/products", body).await, 409, "sku_taken");
}
