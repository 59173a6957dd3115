//! Requests at the edge of the contract: half-sent, odd in form, or repeated after things have moved.

use std::time::{Duration, Instant};

use relampago_load::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::interval;

use crate::api::{any_problem, expect, faults, get, key, order, payment, post, problem, product, send, text};
use crate::support::{Shop, eventually, pass};

const PRODUCTS: &str = "/api/v1/products";
const ORDERS: &str = "/api/v1/orders";
const ALIVE: &str = "GET /livez HTTP/1.1\r\nHost: shop\r\n\r\n";

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
async fn a_client_that_takes_no_answer_is_let_go() {
    let shop = Shop::open(&[("SERVER__KEEP_ALIVE_TIMEOUT", "1s")]).await;
    let mut guest = shop.guest();
    let mut connections = async |count: usize| {
        let gauge = format!("http_connections {count}\n");
        eventually(&gauge, async || {
            let metrics = send(&mut guest, Request::get("/metrics")).await;
            String::from_utf8_lossy(&metrics.body).contains(&gauge).then_some(())
        })
        .await;
    };
    let mut stream = TcpStream::connect(shop.address()).await.unwrap();
    connections(2).await;
    // Answers of many times what the kernel holds for a connection.
    let asked = "GET /openapi.json HTTP/1.1\r\nHost: shop\r\n\r\n".repeat(1_000);
    stream.write_all(asked.as_bytes()).await.unwrap();
    connections(1).await;
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
        let mut stream = connect(&shop, &request).await;
        refusal(&to_end(&mut stream).await, status);
    }
}

#[tokio::test]
async fn a_head_that_does_not_end_is_a_408() {
    let shop = Shop::open(&[("SERVER__HEADER_READ_TIMEOUT", "300ms")]).await;
    let unfinished = "GET /livez HTTP/1.1\r\nHost: shop\r\nX-Slow: ";
    let began = Instant::now();
    let mut stream = connect(&shop, unfinished).await;
    let problem = refusal(&to_end(&mut stream).await, 408);
    assert_eq!((&problem["code"], &problem["retryable"]), (&json!("request_timeout"), &json!(true)));
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());

    // Bytes that keep coming do not help.
    let (mut reading, mut writing) = connect(&shop, unfinished).await.into_split();
    let drip = async {
        let mut ticks = interval(Duration::from_millis(20));
        while writing.write_all(b"x").await.is_ok() {
            ticks.tick().await;
        }
        std::future::pending().await
    };
    let answer = tokio::select! {
        answer = to_end(&mut reading) => answer,
        () = drip => unreachable!("it never ends"),
    };
    refusal(&answer, 408);
}

#[tokio::test]
async fn a_head_that_does_not_end_behind_another_request_is_a_408() {
    let shop = Shop::open(&[("SERVER__HEADER_READ_TIMEOUT", "300ms")]).await;
    // In one piece, so that the server gets the second head's beginning with the first request.
    let mut stream = connect(&shop, &format!("{ALIVE}{ALIVE}GET /li")).await;
    for _ in 0..2 {
        alive(&mut stream).await;
    }
    refusal(&to_end(&mut stream).await, 408);

    let mut stream = connect(&shop, ALIVE).await;
    alive(&mut stream).await;
    stream.write_all(b"GET /li").await.unwrap();
    refusal(&to_end(&mut stream).await, 408);
}

#[tokio::test]
async fn an_idle_connection_is_closed_without_a_word() {
    let settings = [("SERVER__KEEP_ALIVE_TIMEOUT", "300ms"), ("SERVER__HEADER_READ_TIMEOUT", "300ms")];
    let shop = Shop::open(&settings).await;
    // An empty line behind a request is no beginning of another.
    for end in ["", "\r\n"] {
        let mut stream = connect(&shop, ALIVE).await;
        alive(&mut stream).await;
        let answered = Instant::now();
        stream.write_all(end.as_bytes()).await.unwrap();
        assert_eq!(to_end(&mut stream).await, "", "after {end:?}");
        assert!(answered.elapsed() >= Duration::from_millis(250), "{:?}", answered.elapsed());
    }
}

#[tokio::test]
async fn only_heads_are_held_to_the_time_for_heads() {
    let shop = Shop::open(&[("SERVER__HEADER_READ_TIMEOUT", "100ms")]).await;
    let mut silent = connect(&shop, "").await;
    let mut idle = connect(&shop, ALIVE).await;
    alive(&mut idle).await;
    let head = format!("POST {ORDERS} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n");
    let mut slow_body =
        connect(&shop, &format!("{head}Idempotency-Key: {}\r\nContent-Length: 2\r\n\r\n{{", key())).await;

    pass(Instant::now() + Duration::from_millis(500)).await;
    assert_eq!(to_end(&mut silent).await, "");
    idle.write_all(ALIVE.as_bytes()).await.unwrap();
    alive(&mut idle).await;
    slow_body.write_all(format!("}}{ALIVE}").as_bytes()).await.unwrap();
    let answer = until(&mut slow_body, "HTTP/1.1 200 OK").await;
    assert!(answer.starts_with("HTTP/1.1 422 "), "{answer}");
}

#[tokio::test]
async fn idle_connections_do_not_hold_up_the_drain() {
    let mut shop = Shop::open(&[
        ("SERVER__DRAIN_TIMEOUT", "1h"),
        ("SERVER__HEADER_READ_TIMEOUT", "10m"),
        ("SERVER__KEEP_ALIVE_TIMEOUT", "1h"),
    ])
    .await;
    let mut fresh = connect(&shop, "").await;
    let mut idle = connect(&shop, ALIVE).await;
    alive(&mut idle).await;
    assert!(shop.terminate().await.success());
    for stream in [&mut fresh, &mut idle] {
        assert_eq!(to_end(stream).await, "");
    }
}

/// A new connection on which `bytes` have been sent.
async fn connect(shop: &Shop, bytes: &str) -> TcpStream {
    let mut stream = TcpStream::connect(shop.address()).await.unwrap();
    stream.write_all(bytes.as_bytes()).await.unwrap();
    stream
}

/// All that comes until the server closes.
async fn to_end(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// What comes up to and including `end`, and no byte more.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(end.as_bytes()) {
        answer.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(answer).unwrap()
}

/// Reads the answer to [`ALIVE`].
async fn alive(stream: &mut TcpStream) {
    let head = until(stream, "\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
}

/// The problem in a connection's last answer, which must be one of ours with `status`.
#[track_caller]
fn refusal(answer: &str, status: u64) -> Value {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    for header in ["content-type: application/problem+json", "connection: close", "x-request-id: "] {
        assert!(head.contains(header), "no {header} in {answer}");
    }
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!((&problem["status"], problem["trace_id"].is_string()), (&json!(status), true), "{answer}");
    problem
}
