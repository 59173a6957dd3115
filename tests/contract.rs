//! The conventions of the REST interface that hold for every call.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::api::{
    any_problem, cart_with, commit, expect, faults, get, key, order, pay, post, problem, product, purchase,
    send, text,
};
use crate::support::{API_KEY, Shop, eventually};
use relampago_load::{Answer, Client, Method, Request};

const NOBODY: &str = "00000000-0000-7000-8000-000000000000";
const PRODUCTS: &str = "/api/v1/products";
const ORDERS: &str = "/api/v1/orders";

fn raw(body: impl Into<Vec<u8>>) -> Request {
    let body: Vec<u8> = body.into();
    Request::new(Method::POST, ORDERS).bytes("application/json", body).key(&key())
}

#[tokio::test]
async fn everything_that_is_not_there_is_a_problem() {
    let shop = Shop::open(&[]).await;
    let mut staff = shop.staff();
    let paths = [
        "/api/v1/nothing".to_owned(),
        format!("{PRODUCTS}/{NOBODY}"),
        format!("{PRODUCTS}/not-an-id"),
        format!("{ORDERS}/{NOBODY}"),
        format!("{ORDERS}/{NOBODY}/history"),
        format!("{ORDERS}/17"),
        format!("/api/v1/carts/{NOBODY}"),
        format!("/api/v1/payments/{NOBODY}"),
        "/api/v1/inventory/NOTHING".to_owned(),
    ];
    for path in paths {
        let answer = send(&mut staff, Request::get(&*path)).await;
        assert_eq!(answer.code(), 404, "{path}");
        any_problem(&answer, 404);
    }
}

#[tokio::test]
async fn wrong_methods_types_and_sizes_are_problems() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let wrong = send(&mut guest, Request::new(Method::PUT, ORDERS)).await;
    any_problem(&wrong, 405);
    assert!(wrong.header("allow").is_some_and(|allow| allow.contains("POST")), "{wrong:?}");

    let form = Request::new(Method::POST, ORDERS).bytes("text/plain", "hello").key(&key());
    any_problem(&send(&mut guest, form).await, 415);
    let large = format!(r#"{{"email": "{}"}}"#, "x".repeat(1 << 20));
    any_problem(&send(&mut guest, raw(large)).await, 413);
}

#[tokio::test]
async fn malformed_json_is_told_from_a_wrong_field() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let nested = format!(r#"{{"items": {}{}}}"#, "[".repeat(40), "]".repeat(40));
    let bodies: [&[u8]; 7] =
        [b"", b"{", b"{\"items\": [}", b"[]", b"{\"email\": \"\xff\"}", b"{} {}", nested.as_bytes()];
    for body in bodies {
        let answer = send(&mut guest, raw(body)).await;
        assert_eq!(answer.code(), 400, "{}: {answer:?}", String::from_utf8_lossy(body));
        problem(&answer, 400, "malformed_json");
    }
}

#[tokio::test]
async fn every_field_at_fault_is_named() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let cases = [
        (json!({}), "items"),
        (json!({ "items": [] }), "items"),
        (json!({ "items": "BOLT" }), "items"),
        (json!({ "items": [{ "sku": "BOLT" }] }), "quantity"),
        (json!({ "items": [{ "sku": "BOLT", "quantity": 0 }] }), "quantity"),
        (json!({ "items": [{ "sku": "BOLT", "quantity": 1000 }] }), "quantity"),
        (json!({ "items": [{ "sku": "BOLT", "quantity": -1 }] }), "quantity"),
        (json!({ "items": [{ "sku": "BOLT", "quantity": 1.5 }] }), "quantity"),
        (json!({ "items": [{ "sku": "BOLT", "quantity": "1" }] }), "quantity"),
        (json!({ "items": [{ "sku": "BOLT", "quantity": 1 }], "surprise": 1 }), "surprise"),
        (json!({ "items": vec![json!({ "sku": "BOLT", "quantity": 1 }); 101] }), "items"),
    ];
    for (body, field) in cases {
        let answer = post(&mut guest, ORDERS, body.clone()).await;
        assert_eq!(answer.code(), 422, "{body}: {answer:?}");
        let named = faults(&answer);
        assert!(named.iter().any(|name| name.contains(field)), "{body} names {named:?}");
    }
    let answer = post(&mut staff, PRODUCTS, json!({ "sku": 1, "price": "-1" })).await;
    let named = faults(&answer);
    for field in ["name", "price"] {
        assert!(named.iter().any(|name| name.contains(field)), "{field} is not among {named:?}");
    }
}

#[tokio::test]
async fn money_is_decimal_text_and_exact() {
    let shop = Shop::open(&[]).await;
    let mut staff = shop.staff();
    let accepted = [
        ("A", json!("19.99"), "USD", "19.99"),
        ("B", json!(19.99), "USD", "19.99"),
        ("C", json!(0.1), "USD", "0.10"),
        ("D", json!(20), "USD", "20.00"),
        ("E", json!("1500"), "JPY", "1500"),
        ("F", json!("1.234"), "KWD", "1.234"),
        ("G", json!("90071992547409.93"), "USD", "90071992547409.93"),
    ];
    for (sku, price, currency, shown) in accepted {
        let body = json!({ "name": sku, "sku": sku, "price": price, "currency": currency });
        let made = expect(&post(&mut staff, PRODUCTS, body).await, 201);
        assert_eq!((text(&made, "price"), text(&made, "currency")), (shown, currency));
    }
    let refused = [
        (json!("19.999"), "USD"),
        (json!(19.999), "USD"),
        (json!("1.5"), "JPY"),
        (json!("-1.00"), "USD"),
        (json!("99999999999999999999999.00"), "USD"),
        (json!("1e3x"), "USD"),
        (json!("NaN"), "USD"),
        (json!(""), "USD"),
        (json!(null), "USD"),
        (json!("1.00"), "XXZ"),
    ];
    for (price, currency) in refused {
        let body = json!({ "name": "no", "sku": "NO", "price": price, "currency": currency });
        let answer = post(&mut staff, PRODUCTS, body).await;
        assert_eq!(answer.code(), 422, "{price} {currency}: {answer:?}");
        faults(&answer);
    }
}

#[tokio::test]
async fn two_currencies_do_not_share_an_order() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let yen = json!({
        "name": "yen", "sku": "YEN", "price": "100", "currency": "JPY", "stock_quantity": 10,
    });
    expect(&post(&mut staff, PRODUCTS, yen).await, 201);
    let both = json!({ "items": [{ "sku": "BOLT", "quantity": 1 }, { "sku": "YEN", "quantity": 1 }] });
    any_problem(&post(&mut guest, ORDERS, both).await, 422);
    let cart = cart_with(&mut guest, "BOLT", 999).await;
    for (sku, quantity) in [("YEN", 1), ("BOLT", 1)] {
        let body = json!({ "sku": sku, "quantity": quantity });
        any_problem(&post(&mut guest, format!("/api/v1/carts/{cart}/items"), body).await, 422);
    }
}

#[tokio::test]
async fn a_trailing_slash_changes_nothing() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let body = json!({ "name": "bolt", "sku": "BOLT", "price": "1.00", "stock_quantity": 5 });
    let made = expect(&post(&mut staff, "/api/v1/products/", body).await, 201);
    let plain = format!("{PRODUCTS}/{}", text(&made, "id"));
    assert_eq!(get(&mut guest, format!("{plain}/")).await, get(&mut guest, plain).await);
    expect(&send(&mut guest, Request::get("/api/v1/products/?limit=1")).await, 200);
    assert_eq!(send(&mut guest, Request::get("/livez/")).await.code(), 200);
    let buy = json!({ "items": [{ "sku": "BOLT", "quantity": 1 }] });
    expect(&post(&mut guest, "/api/v1/orders/", buy).await, 201);
}

#[tokio::test]
async fn ids_are_uuids_of_version_seven_unless_derived() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let body = json!({ "name": "bolt", "sku": "BOLT", "price": "1.00", "stock_quantity": 10 });
    let bolt = expect(&send(&mut staff, Request::post(PRODUCTS, &body)).await, 201);
    let cart = expect(&send(&mut guest, Request::new(Method::POST, "/api/v1/carts")).await, 201);
    for made in [bolt, cart] {
        assert_eq!(text(&made, "id").parse::<Uuid>().unwrap().get_version_num(), 7);
    }
    let order = order(&mut guest, "BOLT", 1).await;
    let paid = expect(&pay(&mut guest, &order, "tok_approve").await, 201);
    for made in [order, paid] {
        text(&made, "id").parse::<Uuid>().unwrap();
    }
}

async fn conditional(client: &mut Client, request: Request, header: &'static str, tag: &str) -> Answer {
    send(client, request.header(header, tag)).await
}

#[tokio::test]
async fn etags_guard_reads_and_writes() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let bolt = product(&mut staff, "BOLT", "1.00", 10).await;
    let path = format!("{PRODUCTS}/{}", text(&bolt, "id"));
    let read = || Request::get(&*path);
    let dearer = |price: &str| Request::patch(&*path, &json!({ "price": price }));
    let first = send(&mut guest, read()).await;
    let tag = first.header("etag").expect("an ETag").to_owned();
    assert!(tag.starts_with('"'), "a strong tag, not {tag}");

    let same = conditional(&mut guest, read(), "if-none-match", &tag).await;
    assert_eq!((same.code(), same.body.len()), (304, 0));
    assert_eq!(same.header("etag"), Some(&*tag));
    commit(&same);
    expect(&conditional(&mut guest, read(), "if-none-match", "\"other\"").await, 200);

    // Selling one changes the answer and its tag, but not what a write is checked against.
    order(&mut guest, "BOLT", 1).await;
    let sold = conditional(&mut guest, read(), "if-none-match", &tag).await;
    assert_eq!(expect(&sold, 200)["stock_quantity"], 9);
    let changed = conditional(&mut staff, dearer("2.00"), "if-match", &tag).await;
    expect(&changed, 200);
    let stale = conditional(&mut staff, dearer("3.00"), "if-match", &tag).await;
    problem(&stale, 412, "version_conflict");
    let stale = conditional(&mut staff, Request::delete(&*path), "if-match", &tag).await;
    problem(&stale, 412, "version_conflict");
    let fresh = changed.header("etag").expect("an ETag").to_owned();
    expect(&conditional(&mut staff, Request::delete(&*path), "if-match", &fresh).await, 204);
}

#[tokio::test]
async fn every_single_resource_has_a_tag() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let cart = cart_with(&mut guest, "BOLT", 1).await;
    let order = order(&mut guest, "BOLT", 1).await;
    let paid = expect(&pay(&mut guest, &order, "tok_approve").await, 201);
    let paths = [
        "/api/v1/inventory/BOLT".to_owned(),
        format!("/api/v1/carts/{cart}"),
        format!("{ORDERS}/{}", text(&order, "id")),
        format!("/api/v1/payments/{}", text(&paid, "id")),
    ];
    for path in paths {
        let answer = send(&mut staff, Request::get(&*path)).await;
        let tag = answer.header("etag").unwrap_or_else(|| panic!("{path} has no ETag")).to_owned();
        assert_eq!(conditional(&mut staff, Request::get(&*path), "if-none-match", &tag).await.code(), 304);
    }
}

/// Follows a list to its end; the ids in order.
async fn walk(client: &mut Client, list: &str, limit: usize) -> Vec<String> {
    let mut path = format!("{list}?limit={limit}");
    let mut ids = Vec::new();
    loop {
        let answer = send(client, Request::get(&*path)).await;
        assert!(answer.header("relampago-view-position").is_some(), "{answer:?}");
        let page = expect(&answer, 200);
        let items = page["items"].as_array().expect("items");
        assert!(items.len() <= limit);
        ids.extend(items.iter().map(|item| text(item, "id").to_owned()));
        let link = answer.header("link").unwrap_or_default();
        let Some(cursor) = page["next_cursor"].as_str() else {
            assert!(!link.contains("rel=\"next\""), "{link}");
            return ids;
        };
        assert!(link.contains("rel=\"next\"") && link.contains(cursor), "{link}");
        path = format!("{list}?limit={limit}&cursor={cursor}");
    }
}

#[tokio::test]
async fn lists_are_walked_by_cursor() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let mut made = Vec::new();
    for n in 0..7 {
        made.push(text(&product(&mut staff, &format!("SKU-{n}"), "1.00", 5).await, "id").to_owned());
    }
    made.sort();
    for limit in [1, 3, 7, 200] {
        eventually("all products are listed", async || {
            let mut listed = walk(&mut guest, PRODUCTS, limit).await;
            listed.sort();
            (listed == made).then_some(())
        })
        .await;
    }
    for query in ["limit=0", "limit=201", "limit=many", "cursor=%20nonsense"] {
        let answer = send(&mut guest, Request::get(format!("{PRODUCTS}?{query}"))).await;
        assert!(matches!(answer.code(), 400 | 422), "{query}: {answer:?}");
        any_problem(&answer, answer.code());
    }
}

#[tokio::test]
async fn orders_are_filtered_by_status_in_both_languages() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let paid = order(&mut guest, "BOLT", 1).await;
    expect(&pay(&mut guest, &paid, "tok_approve").await, 201);
    order(&mut guest, "BOLT", 1).await;
    for status in ["paid", "pagada"] {
        eventually("the paid order is listed alone", async || {
            let page = get(&mut staff, format!("{ORDERS}?status={status}")).await;
            let ids: Vec<&str> =
                page["items"].as_array().unwrap().iter().map(|item| text(item, "id")).collect();
            (ids == [text(&paid, "id")]).then_some(())
        })
        .await;
    }
    any_problem(&send(&mut staff, Request::get(format!("{ORDERS}?status=lost"))).await, 422);
}

#[tokio::test]
async fn labels_follow_the_callers_language() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    let order = order(&mut guest, "BOLT", 1).await;
    let path = format!("{ORDERS}/{}", text(&order, "id"));
    let mut labels = Vec::new();
    for language in ["en", "es", "es-MX,es;q=0.9,en;q=0.5", "fr"] {
        let answer = send(&mut guest, Request::get(&*path).header("accept-language", language)).await;
        let vary = answer.header("vary").unwrap_or_default().to_ascii_lowercase();
        assert!(vary.contains("accept-language"), "{vary}");
        let body = expect(&answer, 200);
        assert_eq!(text(&body, "status"), "created");
        labels.push(text(&body, "status_label").to_lowercase());
    }
    assert_eq!(labels, ["created", "creada", "creada", "created"]);
}

#[tokio::test]
async fn traces_and_request_ids_are_taken_over() {
    let shop = Shop::open(&[]).await;
    let mut guest = shop.guest();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let request = Request::get(format!("{ORDERS}/{NOBODY}"))
        .header("traceparent", &format!("00-{trace}-00f067aa0ba902b7-01"))
        .header("x-request-id", "mine-17");
    let answer = send(&mut guest, request).await;
    assert_eq!(text(&any_problem(&answer, 404), "trace_id"), trace);
    assert_eq!(answer.header("x-request-id"), Some("mine-17"));
    let answer = send(&mut guest, Request::get("/livez")).await;
    assert!(answer.header("x-request-id").is_some_and(|id| !id.is_empty()));
}

#[tokio::test]
async fn the_commit_position_never_goes_back() {
    let mut shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 100).await;
    let mut last = (String::new(), 0);
    for round in 0..30 {
        if round == 15 {
            shop.crash().await;
        }
        let answer = send(&mut guest, purchase("BOLT", 1).key(&key())).await;
        let (journal, sequence) = commit(&answer);
        assert!(round == 0 || journal == last.0, "{journal} after {}", last.0);
        assert!(sequence > last.1, "{sequence} after {}", last.1);
        let path = format!("{ORDERS}/{}", text(&expect(&answer, 201), "id"));
        let read = commit(&send(&mut guest, Request::get(path)).await);
        assert!(read.1 >= sequence, "the order reflects {sequence}, its reading {}", read.1);
        last = (journal, sequence);
    }
}

#[tokio::test]
async fn staff_calls_need_the_shops_key() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let mut thief = Client::staff(shop.target.clone(), "not-the-admin-key");
    let bolt = product(&mut staff, "BOLT", "1.00", 10).await;
    let path = format!("{PRODUCTS}/{}", text(&bolt, "id"));
    let body = json!({ "name": "x", "sku": "X", "price": "1.00" });
    let requests = [
        Request::post(PRODUCTS, &body).key(&key()),
        Request::put(&*path, &body),
        Request::patch(&*path, &json!({ "price": "0.01" })),
        Request::delete(&*path),
        Request::get("/api/v1/inventory/BOLT"),
        Request::post("/api/v1/inventory/BOLT/adjustments", &json!({ "delta": 1, "reason": "x" }))
            .key(&key()),
    ];
    for request in requests {
        any_problem(&send(&mut guest, request.clone()).await, 401);
        any_problem(&send(&mut thief, request).await, 401);
    }
    // A wrong credential is refused also where none is needed.
    any_problem(&send(&mut thief, Request::get(&*path)).await, 401);
    let foreign = json!({ "items": [{ "sku": "BOLT", "quantity": 1 }], "user_id": NOBODY });
    any_problem(&post(&mut guest, ORDERS, foreign).await, 403);
    let log = get(&mut guest, "/health").await.to_string();
    assert!(!log.contains(API_KEY));
}

#[tokio::test]
async fn products_are_replaced_changed_and_found() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    let body = json!({ "name": "Red lamp", "sku": "LAMP", "price": "5.00", "category": "light" });
    let lamp = expect(&post(&mut staff, PRODUCTS, body).await, 201);
    product(&mut staff, "BOLT", "1.00", 10).await;
    let path = format!("{PRODUCTS}/{}", text(&lamp, "id"));
    let other = json!({ "name": "Blue lamp", "price": "6.00" });
    let replaced = expect(&send(&mut staff, Request::put(&*path, &other)).await, 200);
    assert_eq!((text(&replaced, "name"), text(&replaced, "sku")), ("Blue lamp", "LAMP"));
    assert!(replaced["version"].as_u64() > lamp["version"].as_u64(), "{replaced}");
    let twice = json!({ "name": "x", "sku": "LAMP", "price": "1.00" });
    problem(&post(&mut staff, PRODUCTS, twice).await, 409, "sku_taken");
    eventually("the lamp is found", async || {
        let page = get(&mut guest, format!("{PRODUCTS}?q=lamp")).await;
        let names: Vec<&str> =
            page["items"].as_array().unwrap().iter().map(|item| text(item, "name")).collect();
        (names == ["Blue lamp"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn operators_find_what_they_need() {
    let shop = Shop::open(&[]).await;
    let (mut staff, mut guest) = (shop.staff(), shop.guest());
    product(&mut staff, "BOLT", "1.00", 10).await;
    order(&mut guest, "BOLT", 1).await;
    for path in ["/livez", "/readyz", "/readyz?verbose", "/health", "/docs/"] {
        let answer = send(&mut guest, Request::get(path)).await;
        assert_eq!(answer.code(), 200, "{path}: {answer:?}");
    }
    let health = get(&mut guest, "/health").await;
    assert!(health["version"].is_string(), "{health}");

    let metrics = send(&mut guest, Request::get("/metrics")).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    let named = metrics.lines().filter(|line| line.starts_with("# TYPE ")).count();
    let helped = metrics.lines().filter(|line| line.starts_with("# HELP ")).count();
    assert!(named > 10 && named == helped, "{named} metrics, {helped} with HELP");
    assert!(!metrics.contains("BOLT"), "a sku became a label");
}

#[tokio::test]
async fn the_interface_is_described() {
    let shop = Shop::open(&[]).await;
    let document = get(&mut shop.guest(), "/openapi.json").await;
    assert!(text(&document, "openapi").starts_with("3.1"), "{}", document["openapi"]);
    let described = [
        ("/products", "post"),
        ("/products", "get"),
        ("/products/{id}", "put"),
        ("/products/{id}", "patch"),
        ("/products/{id}", "delete"),
        ("/inventory/{sku}", "get"),
        ("/inventory/{sku}/adjustments", "post"),
        ("/carts", "post"),
        ("/carts/{id}", "get"),
        ("/carts/{id}", "delete"),
        ("/carts/{id}/items", "post"),
        ("/carts/{id}/items/{item_id}", "patch"),
        ("/carts/{id}/items/{item_id}", "delete"),
        ("/carts/{id}/checkout", "post"),
        ("/orders", "post"),
        ("/orders", "get"),
        ("/orders/{id}", "get"),
        ("/orders/{id}/history", "get"),
        ("/orders/{id}/cancel", "post"),
        ("/validations/validate", "post"),
        ("/payments/process", "post"),
        ("/payments/{id}", "get"),
        ("/payments/{id}/confirm", "post"),
        ("/payments/{id}/capture", "post"),
        ("/payments/{id}/refunds", "post"),
    ];
    for (path, method) in described {
        let operation = &document["paths"][format!("/api/v1{path}")][method];
        let answers = operation["responses"].as_object();
        let answers = answers.unwrap_or_else(|| panic!("{method} {path} is not described"));
        assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}: {answers:?}");
        assert!(answers.keys().any(|status| status.starts_with('4')), "{method} {path}: {answers:?}");
    }
    assert_ne!(document["components"]["schemas"], Value::Null);
}
