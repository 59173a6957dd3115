//! The calls of the REST interface that tests make all the time, and what every answer must look like.

use relampago_load::wire::Inventory;
use relampago_load::{Answer, Client, Request, Rng};
use serde_json::{Value, json};

/// A fresh idempotency key, long enough for guests.
pub(crate) fn key() -> String {
    Rng::new(Rng::fresh_seed()).key()
}

/// Sends a request that must be answered.
pub(crate) async fn send(client: &mut Client, request: Request) -> Answer {
    let answer = client.send(&request).await;
    answer.unwrap_or_else(|error| panic!("{} {}: {error:?}", request.method, request.path))
}

/// Sends `body` to `path` under a fresh key.
pub(crate) async fn post(client: &mut Client, path: impl Into<String>, body: Value) -> Answer {
    send(client, Request::post(path, &body).key(&key())).await
}

/// Reads `path`, which must be there.
pub(crate) async fn get(client: &mut Client, path: impl Into<String>) -> Value {
    expect(&send(client, Request::get(path)).await, 200)
}

/// The body of an answer that must have `status`.
#[track_caller]
pub(crate) fn expect(answer: &Answer, status: u16) -> Value {
    assert_eq!(answer.code(), status, "{}", String::from_utf8_lossy(&answer.body));
    if answer.body.is_empty() { Value::Null } else { answer.json().expect("a JSON body") }
}

/// The body of a problem, which must be complete and have `status` and `code`.
#[track_caller]
pub(crate) fn problem(answer: &Answer, status: u16, code: &str) -> Value {
    let body = any_problem(answer, status);
    assert_eq!(body["code"], code, "{body}");
    body
}

/// The body of a problem with any code.
#[track_caller]
pub(crate) fn any_problem(answer: &Answer, status: u16) -> Value {
    let body = expect(answer, status);
    let kind = answer.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "{kind}: {body}");
    for field in ["type", "title", "detail", "code", "trace_id"] {
        assert!(body[field].is_string(), "no {field} in {body}");
    }
    assert_eq!(body["status"], status, "{body}");
    assert!(body["retryable"].is_boolean(), "{body}");
    body
}

/// The field names that a `validation_failed` complains about.
#[track_caller]
pub(crate) fn faults(answer: &Answer) -> Vec<String> {
    let body = problem(answer, 422, "validation_failed");
    let errors = body["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["field"].as_str().expect("a field").to_owned()).collect()
}

/// Puts a product on sale.
pub(crate) async fn product(staff: &mut Client, sku: &str, price: &str, units: i64) -> Value {
    let body = json!({ "name": sku, "sku": sku, "price": price, "stock_quantity": units });
    expect(&post(staff, "/api/v1/products", body).await, 201)
}

/// The stock of a sku, which must add up.
pub(crate) async fn inventory(staff: &mut Client, sku: &str) -> Inventory {
    let answer = send(staff, Request::get(format!("/api/v1/inventory/{sku}"))).await;
    let stock: Inventory = answer.json().expect("an inventory");
    assert_eq!(stock.stocked, stock.available + stock.reserved + stock.sold, "{stock:?}");
    assert!(stock.available >= 0 && stock.reserved >= 0 && stock.sold >= 0, "{stock:?}");
    stock
}

/// Available, reserved and sold units of a sku.
pub(crate) async fn units(staff: &mut Client, sku: &str) -> (i64, i64, i64) {
    let stock = inventory(staff, sku).await;
    (stock.available, stock.reserved, stock.sold)
}

/// Changes the stock of a sku.
pub(crate) async fn adjust(staff: &mut Client, sku: &str, delta: i64) -> Answer {
    let path = format!("/api/v1/inventory/{sku}/adjustments");
    post(staff, path, json!({ "delta": delta, "reason": "delivery" })).await
}

/// The request of a one-step purchase.
pub(crate) fn purchase(sku: &str, quantity: i64) -> Request {
    Request::post("/api/v1/orders", &json!({ "items": [{ "sku": sku, "quantity": quantity }] }))
}

/// An order of one line, which must succeed.
pub(crate) async fn order(guest: &mut Client, sku: &str, quantity: i64) -> Value {
    expect(&send(guest, purchase(sku, quantity).key(&key())).await, 201)
}

/// The order as it is now.
pub(crate) async fn order_now(guest: &mut Client, order: &Value) -> Value {
    get(guest, format!("/api/v1/orders/{}", text(order, "id"))).await
}

/// Opens a cart with one line; its id.
pub(crate) async fn cart_with(guest: &mut Client, sku: &str, quantity: i64) -> String {
    let cart = expect(&post(guest, "/api/v1/carts", json!({})).await, 201);
    let id = text(&cart, "id").to_owned();
    expect(&add(guest, &id, sku, quantity).await, 200);
    id
}

/// Adds a line to a cart.
pub(crate) async fn add(guest: &mut Client, cart: &str, sku: &str, quantity: i64) -> Answer {
    let path = format!("/api/v1/carts/{cart}/items");
    post(guest, path, json!({ "sku": sku, "quantity": quantity })).await
}

/// Checks a cart out under a key.
pub(crate) async fn check_out(guest: &mut Client, cart: &str, key: &str) -> Answer {
    send(guest, Request::post(format!("/api/v1/carts/{cart}/checkout"), &json!({})).key(key)).await
}

/// The request that pays an order in full with a card of the simulator.
pub(crate) fn payment(order: &Value, token: &str) -> Request {
    let body = json!({
        "order_id": order["id"], "amount": order["total"], "payment_method": "credit_card", "token": token,
    });
    Request::post("/api/v1/payments/process", &body)
}

/// Pays an order in full.
pub(crate) async fn pay(guest: &mut Client, order: &Value, token: &str) -> Answer {
    send(guest, payment(order, token).key(&key())).await
}

/// Cancels an order.
pub(crate) async fn cancel(guest: &mut Client, order: &Value) -> Answer {
    post(guest, format!("/api/v1/orders/{}/cancel", text(order, "id")), json!({})).await
}

/// A text field that must be there.
#[track_caller]
pub(crate) fn text<'a>(body: &'a Value, field: &str) -> &'a str {
    body[field].as_str().unwrap_or_else(|| panic!("no text {field} in {body}"))
}

/// Status and finer status.
pub(crate) fn state(body: &Value) -> (&str, Option<&str>) {
    (body["status"].as_str().unwrap_or_default(), body["sub_status"].as_str())
}

/// Journal and sequence of an answer's `Relampago-Commit`.
#[track_caller]
pub(crate) fn commit(answer: &Answer) -> (String, u64) {
    let position = answer.header("relampago-commit").expect("a Relampago-Commit header");
    let (journal, sequence) = position.split_once('/').expect("journal/sequence");
    (journal.to_owned(), sequence.parse().expect("a sequence"))
}
