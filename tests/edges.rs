//! Requests at the edge of the contract: half-sent, odd in form, or repeated after things have moved.

use relampago_load::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::{any_problem, expect, faults, get, key, order, payment, post, problem, product, send, text};
use crate::support::{Shop, eventually};

const PRODUCTS: &str = "/api/v1/products";
const ORDERS: &str = "/api/v1/orders";

#[tokio::test]
async fn half_sent_bodies_keep_nobody_out() {
    let shop = Shop::open(&[("SERVER__MAX_IN_FLIGHT", "2")]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(shop.address()).await.unwrap();
        let head = format!(
            "POST {ORDERS} HTTP/1.1\r\nHost: shop\r\nIdempotency-Key: {}\r\nContent-Length: 99\r\n\r\n{{",
            key()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stalled.push(stream);
    }
    eventually("the bodies are arriving", async || {
        let metrics = send(&mut guest, Request::get("/metrics")).await;
        String::from_utf8_lossy(&metrics.body).contains("http_bodies_arriving 4").then_some(())
    })
    .await;
    get(&mut guest, PRODUCTS).await;
    expect(&send(&mut guest, Request::get("/api/v1/nothing")).await, 404);
}

#[tokio::test]
async fn what_is_wrong_before_the_route_is_a_problem() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let long = format!("{PRODUCTS}?q={}", "x".repeat(9000));
    problem(&send(&mut guest, Request::get(long)).await, 414, "uri_too_long");
    let large = Request::get(PRODUCTS).header("x-large", &"x".repeat(40_000));
    problem(&send(&mut guest, large).await, 431, "headers_too_large");
    let packed = Request::post(ORDERS, &json!({})).key(&key()).header("content-encoding", "gzip");
    problem(&send(&mut guest, packed).await, 415, "unsupported_media_type");
    let probe = Request::get("/livez").header("authorization", "Basic cHJvYmU6");
    assert_eq!(send(&mut guest, probe).await.code(), 200);

    let mut stream = TcpStream::connect(shop.address()).await.unwrap();
    let nowhere = b"GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n";
    stream.write_all(nowhere).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("bad_request"), "{answer}");
}

#[tokio::test]
async fn odd_values_are_told_apart() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let bolt = product(&mut staff, "BOLT", "1.00", 10).await;
    let address = json!({ "items": [{ "sku": "BOLT", "quantity": 1 }], "shipping_address": [] });
    problem(&post(&mut guest, ORDERS, address).await, 400, "malformed_json");
    let huge = Request::post(PRODUCTS, &Value::Null)
        .bytes("application/json", r#"{"name": "x", "price": 1e400}"#)
        .key(&key());
    assert_eq!(faults(&send(&mut staff, huge).await), ["price"]);
    any_problem(&send(&mut guest, Request::get(format!("{PRODUCTS}?q=%ff"))).await, 422);

    let path = format!("{PRODUCTS}/{}", text(&bolt, "id"));
    for field in ["name", "price", "stock_quantity"] {
        let answer = send(&mut staff, Request::patch(&*path, &json!({ field: null }))).await;
        assert_eq!(faults(&answer), [field]);
    }
    let cleared = send(&mut staff, Request::patch(&*path, &json!({ "description": null }))).await;
    assert_eq!(expect(&cleared, 200)["description"], "");

    let paid = order(&mut guest, "BOLT", 1).await;
    let payment = expect(&send(&mut guest, payment(&paid, "tok_approve").key(&key())).await, 201);
    let refunds = format!("/api/v1/payments/{}/refunds", text(&payment, "id"));
    assert_eq!(faults(&post(&mut staff, refunds, json!({ "amount": "0.001" })).await), ["amount"]);
    let question =
        Request::post("/api/v1/validations/validate", &json!({ "order_id": paid["id"] })).key("short");
    expect(&send(&mut guest, question).await, 200);
}

#[tokio::test]
async fn a_page_goes_on_where_it_ended_though_its_last_entry_has_moved() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let mut last = Value::Null;
    for price in 1..=4 {
        let made = product(&mut staff, &format!("SKU-{price}"), &format!("{price}.00"), 1).await;
        last = if price == 2 { made } else { last };
    }
    let sorted = format!("{PRODUCTS}?sort=price");
    let first = get(&mut guest, format!("{sorted}&limit=2")).await;
    let path = format!("{PRODUCTS}/{}", text(&last, "id"));
    expect(&send(&mut staff, Request::patch(path, &json!({ "price": "3.50" }))).await, 200);
    eventually("nothing is lost behind the entry that moved", async || {
        let page = get(&mut guest, format!("{sorted}&limit=9&cursor={}", text(&first, "next_cursor"))).await;
        let skus: Vec<&str> =
            page["items"].as_array().unwrap().iter().map(|item| text(item, "sku")).collect();
        (skus == ["SKU-3", "SKU-2", "SKU-4"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_declined_payment_is_replayed_byte_for_byte() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let order = order(&mut guest, "BOLT", 1).await;
    let request = payment(&order, "tok_decline").key(&key());
    let first = send(&mut guest, request.clone()).await;
    let again = send(&mut guest, request).await;
    problem(&first, 402, "payment_declined");
    assert_eq!(first.body, again.body);
    for name in ["etag", "location", "vary"] {
        assert!(first.header(name).is_some() && first.header(name) == again.header(name), "{name}");
    }
}

#[tokio::test]
async fn one_path_written_in_two_ways_is_one_scope() {
    let shop = Shop::open(&[]).await;
    let mut staff = shop.staff();
    product(&mut staff, "A", "1.00", 10).await;
    let (key, body) = (key(), json!({ "delta": 1, "reason": "found" }));
    for path in ["/api/v1/inventory/A/adjustments", "/api/v1/inventory/%41/adjustments"] {
        let stock = expect(&send(&mut staff, Request::post(path, &body).key(&key)).await, 200);
        assert_eq!(stock["available"], 11, "{path}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_problem_too() {
    let shop = Shop::open(&[]).await;
    let many = (0..150).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    let cases = [
        ("GARBAGE\r\n\r\n".to_owned(), 400),
        ("POST /api/v1/carts HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_owned(), 400),
        (format!("GET /livez HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "a".repeat(70_000)), 414),
    ];
    for (request, status) in cases {
        let mut stream = TcpStream::connect(shop.address()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert!(head.contains("application/problem+json") && head.contains("x-request-id: "), "{answer}");
        let problem: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (problem["status"].as_u64(), problem["trace_id"].is_string()),
            (Some(status), true),
            "{answer}"
        );
    }
}
