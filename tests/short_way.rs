//! The short way of purchases: nobody can tell it from the long one but by the time it takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use relampago_load::Request;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::api::{get, key, product, send};
use crate::failing_disk::Faults;
use crate::support::{API_KEY, Shop, eventually};

/// An answer, taken apart.
#[derive(Debug)]
struct Answer {
    status: String,
    headers: BTreeMap<String, String>,
    /// Null if it is no JSON.
    body: Value,
}

/// How a purchase is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Form {
    /// As nearly everybody does: the short way.
    Whole,
    /// The body in chunks: the long way.
    Chunked,
    /// Head and body apart: the long way, unless they arrive together after all.
    Halves,
}

const FORMS: [Form; 3] = [Form::Whole, Form::Chunked, Form::Halves];

struct Line(TcpStream);

impl Line {
    async fn to(shop: &Shop) -> Self {
        let stream = TcpStream::connect(shop.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self(stream)
    }

    async fn send(&mut self, bytes: &str) {
        self.0.write_all(bytes.as_bytes()).await.unwrap();
    }

    async fn buy(&mut self, form: Form, headers: &str, body: &str) -> Answer {
        let head = format!(
            "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n{headers}"
        );
        match form {
            Form::Whole => self.send(&format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await,
            Form::Chunked => {
                let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                self.send(&format!("{head}Transfer-Encoding: chunked\r\n\r\n{chunk}")).await;
            }
            Form::Halves => {
                self.send(&format!("{head}Content-Length: {}\r\n\r\n", body.len())).await;
                self.send(body).await;
            }
        }
        self.answer().await
    }

    async fn answer(&mut self) -> Answer {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        let headers: BTreeMap<_, _> = headers
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut body = vec![0; headers["content-length"].parse().unwrap()];
        self.0.read_exact(&mut body).await.unwrap();
        Answer { status: status.to_owned(), headers, body: serde_json::from_slice(&body).unwrap_or_default() }
    }
}

fn keyed(key: &str) -> String {
    format!("Idempotency-Key: {key}\r\nX-Request-Id: mine\r\n")
}

#[tokio::test]
async fn both_ways_give_one_answer() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut line) = (shop.staff(), Line::to(&shop).await);
    product(&mut staff, "TWIN", "19.99", 1_000).await;
    let bodies = [
        json!({"items": [{"sku": "TWIN", "quantity": 1}]}),
        json!({"items": [{"sku": "TWIN", "quantity": 2}], "email": "ada@example.com",
            "shipping_address": {"city": "Lima"}, "payment_method": "paypal"}),
    ];
    let callers = [String::new(), format!("X-API-Key: {API_KEY}\r\nAccept-Language: es\r\n")];
    for (body, caller) in bodies.iter().flat_map(|body| callers.iter().map(move |caller| (body, caller))) {
        for first in FORMS {
            let headers = format!("{}{caller}", keyed(&key()));
            let made = line.buy(first, &headers, &body.to_string()).await;
            assert_eq!(made.status, "HTTP/1.1 201 Created", "{made:?}");
            for again in FORMS {
                let repeated = line.buy(again, &headers, &body.to_string()).await;
                assert_eq!(repeated.status, made.status, "{first:?} then {again:?}");
                assert_eq!(repeated.body, made.body, "{first:?} then {again:?}");
                let mut headers = repeated.headers;
                assert_eq!(headers.remove("idempotent-replayed").as_deref(), Some("true"));
                headers.insert("date".into(), made.headers["date"].clone());
                assert_eq!(headers, made.headers, "{first:?} then {again:?}");
            }
        }
    }
}

#[tokio::test]
async fn both_ways_refuse_alike() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut line) = (shop.staff(), Line::to(&shop).await);
    product(&mut staff, "RARE", "1.00", 1).await;
    let some = |quantity: i64| json!({"items": [{"sku": "RARE", "quantity": quantity}]}).to_string();
    let (short, good) = ("Idempotency-Key: short\r\n".to_owned(), keyed(&key()));
    let twice = format!("{good}{good}");
    let stranger = format!("{good}X-API-Key: nobody's\r\n");
    let reused = keyed(&key());
    assert_eq!(line.buy(Form::Whole, &reused, &some(1)).await.status, "HTTP/1.1 201 Created");
    let table = [
        (some(2), &good, 409, "out_of_stock"),
        (some(0), &good, 422, "validation_failed"),
        (some(1), &short, 400, "idempotency_key_invalid"),
        (some(1), &String::new(), 400, "idempotency_key_required"),
        (some(1), &twice, 400, "idempotency_key_invalid"),
        (some(1), &stranger, 401, "invalid_api_key"),
        (some(2), &reused, 422, "idempotency_key_reused"),
        ("{".to_owned(), &good, 400, "malformed_json"),
        (json!({"items": [{"sku": "NONE", "quantity": 1}]}).to_string(), &good, 404, "product_not_found"),
    ];
    for (body, headers, status, code) in table {
        let mut answers = Vec::new();
        // Not in halves: what is refused by its head is answered before its body comes.
        for form in [Form::Whole, Form::Chunked] {
            answers.push(line.buy(form, headers, &body).await);
        }
        for answer in &answers {
            assert_eq!(
                (&answer.body["status"], &answer.body["code"]),
                (&json!(status), &json!(code)),
                "{answer:?}"
            );
            let names = |answer: &Answer| {
                // Whether something was refused before is told by one header more.
                let mut names: Vec<_> = answer.headers.keys().cloned().collect();
                names.retain(|name| name != "idempotent-replayed");
                names
            };
            assert_eq!(names(answer), names(&answers[0]), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn requests_of_both_ways_are_answered_in_their_order() {
    let shop = Shop::open(&[]).await;
    let mut staff = shop.staff();
    product(&mut staff, "MANY", "1.00", 1_000).await;
    let mut line = Line::to(&shop).await;
    let body = json!({"items": [{"sku": "MANY", "quantity": 1}]}).to_string();
    let mut piece = String::new();
    let keys: Vec<String> = (0..20).map(|_| key()).collect();
    for key in &keys {
        let head = format!("POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nX-Request-Id: {key}\r\n");
        let head = format!("{head}Idempotency-Key: {key}\r\nContent-Type: application/json\r\n");
        piece += &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        piece += &format!("GET /livez HTTP/1.1\r\nHost: shop\r\nX-Request-Id: {key}-live\r\n\r\n");
    }
    // In pieces that end anywhere, so that requests are cut in all places.
    for part in piece.as_bytes().chunks(997) {
        line.0.write_all(part).await.unwrap();
    }
    for key in &keys {
        let (order, live) = (line.answer().await, line.answer().await);
        assert_eq!((order.status.as_str(), &order.headers["x-request-id"]), ("HTTP/1.1 201 Created", key));
        assert_eq!(live.headers["x-request-id"], format!("{key}-live"));
    }
}

#[tokio::test]
async fn a_connection_that_bought_is_closed_when_it_is_idle_for_too_long() {
    let settings = [("SERVER__KEEP_ALIVE_TIMEOUT", "400ms"), ("SERVER__HEADER_READ_TIMEOUT", "100ms")];
    let shop = Shop::open(&settings).await;
    let (mut staff, mut line) = (shop.staff(), Line::to(&shop).await);
    product(&mut staff, "LAST", "1.00", 10).await;
    let body = json!({"items": [{"sku": "LAST", "quantity": 1}]}).to_string();
    line.buy(Form::Whole, &keyed(&key()), &body).await;
    let answered = Instant::now();
    let mut rest = Vec::new();
    line.0.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
    assert!(answered.elapsed() >= Duration::from_millis(350), "{:?}", answered.elapsed());
}

#[tokio::test]
async fn a_connection_that_bought_does_not_hold_up_the_drain() {
    let mut shop = Shop::open(&[("SERVER__DRAIN_TIMEOUT", "1h"), ("SERVER__KEEP_ALIVE_TIMEOUT", "1h")]).await;
    let (mut staff, mut line) = (shop.staff(), Line::to(&shop).await);
    product(&mut staff, "END", "1.00", 10).await;
    let body = json!({"items": [{"sku": "END", "quantity": 1}]}).to_string();
    line.buy(Form::Whole, &keyed(&key()), &body).await;
    assert!(shop.terminate().await.success());
    let mut rest = Vec::new();
    line.0.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"");
}

#[tokio::test]
async fn a_body_that_is_owed_is_no_request() {
    let shop = Shop::open(&[]).await;
    let mut staff = shop.staff();
    product(&mut staff, "HIDE", "1.00", 10).await;
    let body = json!({"items": [{"sku": "HIDE", "quantity": 1}]}).to_string();
    let head = "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n";
    let hidden = format!("{head}Idempotency-Key: {}\r\nContent-Length: {}\r\n\r\n{body}", key(), body.len());
    let mut line = Line::to(&shop).await;
    // Refused by its head; what comes then is its body, whatever it looks like.
    let stranger = format!("X-API-Key: nobody's\r\nIdempotency-Key: {}\r\n", key());
    line.send(&format!("{head}{stranger}Content-Length: {}\r\n\r\n", hidden.len())).await;
    assert_eq!(line.answer().await.status, "HTTP/1.1 401 Unauthorized");
    // The server may have closed before it is all written.
    let _closed = line.0.write_all(hidden.as_bytes()).await;
    let mut rest = Vec::new();
    let _reset = line.0.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    assert_eq!(get(&mut staff, "/api/v1/inventory/HIDE").await["available"], 10);
}

#[tokio::test]
async fn who_hangs_up_while_the_disk_is_busy_holds_no_place() {
    let mut shop = Shop::open(&[("SERVER__MAX_IN_FLIGHT", "2")]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let faults = Faults::under(&mut shop);
    shop.crash().await;
    product(&mut staff, "SLOW", "1.00", 10).await;
    let body = json!({"items": [{"sku": "SLOW", "quantity": 1}]}).to_string();
    let head = "POST /api/v1/orders HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n";
    let purchase =
        |key: &str| format!("{head}Idempotency-Key: {key}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    faults.begin("fdatasync / stall 0");
    let keys = [key(), key()];
    let mut lines = Vec::new();
    for key in &keys {
        let mut line = Line::to(&shop).await;
        line.send(&purchase(key)).await;
        lines.push(line);
    }
    let in_flight = async |guest: &mut _, count: usize| {
        let gauge = format!("http_requests_in_flight {count}");
        eventually(&gauge, async || {
            let metrics = send(guest, Request::get("/metrics")).await;
            String::from_utf8_lossy(&metrics.body).contains(&gauge).then_some(())
        })
        .await;
    };
    in_flight(&mut guest, 2).await;
    let mut late = Line::to(&shop).await;
    late.send(&purchase(&key())).await;
    assert_eq!(late.answer().await.body["code"], "overloaded");
    drop(lines);
    in_flight(&mut guest, 0).await;
    faults.end();
    // What they had sent was bought all the same, once; the engine has room again once the disk is back.
    for key in &keys {
        eventually("what was sent is bought", async || {
            late.send(&purchase(key)).await;
            (late.answer().await.status == "HTTP/1.1 201 Created").then_some(())
        })
        .await;
    }
    assert_eq!(get(&mut staff, "/api/v1/inventory/SLOW").await["available"], 8);
}
